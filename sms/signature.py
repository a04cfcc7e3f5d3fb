"""Check that Twilio signed a request. Any doubt is a no, never a crash.

The scheme: base64(HMAC-SHA1(auth token, URL + every name and value, sorted by name)).
https://www.twilio.com/docs/usage/security#validating-requests (read 2026-11).
The URL comes from configuration, never from a header of the request.
Where a Webhooks Rule names a shared key, that key signs the same with HMAC-SHA256
(https://www.twilio.com/docs/usage/webhooks/webhook-shared-keys, read 2026-11, a public beta). The header that says so
is ignored. Every parameter counts, blank and unknown ones too. Twilio repeats no name in a form.

Of a webhook URL with a query, Twilio signs the form that was configured, and may send another: with the parameters
sorted (https://github.com/twilio/twilio-php/issues/790), or with `@`, `:` or `'` escaped
(https://github.com/twilio/twilio-node/pull/621, https://github.com/twilio/twilio-node/pull/1061).
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Final, Literal
from urllib.parse import unquote, unquote_to_bytes, urlsplit, urlunsplit

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
#: A text with ten pictures has fewer than a hundred fields.
MOST_FIELDS: Final = 256
#: 4,096 characters of WhatsApp have 16,384. Decoding is what an unsigned request can make expensive.
MOST_ESCAPES: Final = 20_000
#: Parameters of a query whose configured order is guessed: each order costs a digest.
MOST_REORDERED: Final = 3
#: Lengths of the two digests in base64: a request without such a signature is not decoded.
_SIGNATURE_LENGTHS: Final = frozenset({28, 44})
_ESCAPED_ONLY_WHEN_SENT: Final = re.compile(rb"%(?:40|3A|27)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Key:
    """A secret and its algorithm. Configuration chooses both, never the request."""

    secret: str
    algorithm: Literal["sha1", "sha256"] = "sha1"


class Validator:
    """Checks requests to the addresses below one public URL.

    `keys` returns, for each request, the keys that may have signed it: in a rotation the current one and the next.
    """

    def __init__(self, public_url: str, keys: Callable[[], Sequence[Key]]) -> None:
        self._bases = tuple(base.encode() for base in _port_variants(public_url.rstrip("/")))
        self._keys = keys

    def fields(self, path_and_query: str, body: bytes, signature: str) -> dict[str, str] | None:
        """Return the fields of a form that Twilio signed; None for any doubt.

        `path_and_query` is as received, below the public URL.
        """
        if len(signature) not in _SIGNATURE_LENGTHS:
            return None
        try:
            pairs = form_pairs(body)
        except ValueError:
            return None
        fields = dict(pairs)
        # the scheme does not separate a name from its value: a repeated name is a way to pass one off as another
        is_form = len(fields) == len(pairs)
        return fields if is_form and self.accepts(path_and_query, fields, signature) else None

    def accepts(self, path_and_query: str, fields: Mapping[str, str], signature: str) -> bool:
        """Return whether Twilio's signature of the decoded form fields is `signature`."""
        try:
            given = signature.encode("ascii")
            path, form = path_and_query.encode(), _in_order(fields).encode()
        except UnicodeError:
            return False
        keys = [key for key in self._keys() if key.secret]
        messages = (base + target + form for target in _as_configured(path) for base in self._bases)
        return any(hmac.compare_digest(_sign(key, message), given) for message in messages for key in keys)


def sign(token: str, url: str, fields: Mapping[str, str], *, algorithm: Literal["sha1", "sha256"] = "sha1") -> str:
    """Return Twilio's signature of a POST of `fields` to `url`."""
    return _sign(Key(token, algorithm), (url + _in_order(fields)).encode()).decode()


def form_pairs(body: bytes) -> list[tuple[str, str]]:
    """Decode a form body. Raises `ValueError` if it is not a form in UTF-8, or larger than Twilio's."""
    text = body.decode("ascii").replace("+", " ")
    if text.count("%") > MOST_ESCAPES or text.count("&") >= MOST_FIELDS:
        raise ValueError("more than a text has")
    # `parse_qsl` returns the same and takes twice the time; a test compares them
    fields = [field.partition("=") for field in text.split("&") if field]
    return [(_decoded(name), _decoded(value)) for name, _, value in fields]


def _in_order(fields: Mapping[str, str]) -> str:
    return "".join([name + fields[name] for name in sorted(fields)])


def _decoded(text: str) -> str:
    return unquote(text, errors="strict") if "%" in text else text


def _sign(key: Key, message: bytes) -> bytes:
    return b64encode(hmac.digest(key.secret.encode(), message, key.algorithm))


def _as_configured(target: bytes) -> Iterator[bytes]:
    """Yield a path and query as received, then as they may have been configured and signed."""
    yield target
    path, mark, query = target.partition(b"?")
    if not mark:
        return
    parameters = query.split(b"&")
    may_be_sorted = len(parameters) <= MOST_REORDERED and parameters == sorted(parameters)
    for order in permutations(parameters) if may_be_sorted else [parameters]:
        configured = path + mark + b"&".join(order)
        yield configured
        yield _ESCAPED_ONLY_WHEN_SENT.sub(lambda escape: unquote_to_bytes(escape.group()), configured)


def _port_variants(url: str) -> Iterable[str]:
    """Yield the URL with and without its default port: Twilio signs either."""
    yield url
    parts = urlsplit(url)
    port = _DEFAULT_PORTS.get(parts.scheme)
    if parts.port is None and port is not None:
        yield urlunsplit(parts._replace(netloc=f"{parts.netloc}:{port}"))
    elif parts.port == port:
        yield urlunsplit(parts._replace(netloc=parts.netloc.removesuffix(f":{port}")))
