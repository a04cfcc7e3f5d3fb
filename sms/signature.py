"""Is this really Twilio? Any doubt is a no, never a crash.

The scheme: base64(HMAC-SHA1(auth token, URL + every name and value, sorted by name)).
https://www.twilio.com/docs/usage/security#validating-requests (read 2026-11).
The URL is built from configuration, never from a header that the request brings with it.
Where a Webhooks Rule names a shared key, the same is signed with that key and HMAC-SHA256
(https://www.twilio.com/docs/usage/webhooks/webhook-shared-keys, read 2026-11, a public beta). The header that says so is not looked at.
Every parameter counts, blank and unknown ones too. A name that comes several times contributes each distinct value, sorted.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal
from urllib.parse import unquote, urlsplit, urlunsplit

_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Key:
    """What may have signed a request, and how: pinned by configuration, never chosen by the request."""

    secret: str
    algorithm: Literal["sha1", "sha256"] = "sha1"


class Validator:
    """Checks requests to the addresses below one public URL.

    `keys` says, at each request, what may have signed it: during a rotation the current key and the next.
    """

    def __init__(self, public_url: str, keys: Callable[[], Sequence[Key]]) -> None:
        self._bases = tuple(_port_variants(public_url.rstrip("/")))
        self._keys = keys

    def accepts(self, path_and_query: str, pairs: Iterable[tuple[str, str]], signature: str) -> bool:
        """Whether `signature` is Twilio's for this request.

        `path_and_query` is as it came on the wire, below the public URL; `pairs` are the decoded form fields.
        """
        try:
            given = signature.encode("ascii")
            rest = signed_fields(pairs).encode()
            urls = [base.encode() + path_and_query.encode("ascii") for base in self._bases]
        except UnicodeError:
            return False
        return any(
            hmac.compare_digest(_sign(key, url + rest), given) for key in self._keys() if key.secret for url in urls
        )


def tokens(*secrets: str) -> Callable[[], Sequence[Key]]:
    """Auth tokens that sign, for good."""
    keys = tuple(map(Key, secrets))
    return lambda: keys


def sign(token: str, url: str, fields: Mapping[str, str], *, algorithm: Literal["sha1", "sha256"] = "sha1") -> str:
    """Twilio's signature of a POST of `fields` to `url`."""
    return _sign(Key(token, algorithm), (url + signed_fields(fields.items())).encode()).decode()


def signed_fields(pairs: Iterable[tuple[str, str]]) -> str:
    """Every distinct name and value, run together in Twilio's order."""
    return "".join(chain.from_iterable(sorted(set(pairs))))


def form_pairs(body: bytes) -> list[tuple[str, str]]:
    """Decode a form body.

    Raises `ValueError` (`UnicodeDecodeError` is one) for what is not a form in UTF-8.
    """
    # `parse_qsl` says the same of every form in twice the time: it decodes each name and value, of which hardly any is encoded
    split = [field.partition("=") for field in body.decode("ascii").split("&") if field]
    return [(_decoded(name), _decoded(value)) for name, _, value in split]


def _decoded(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    return unquote(text, errors="strict") if "%" in text else text


def _sign(key: Key, message: bytes) -> bytes:
    return base64.b64encode(hmac.digest(key.secret.encode(), message, key.algorithm))


def _port_variants(url: str) -> Iterable[str]:
    """Twilio signs some URLs with their default port and some without: both name the same place."""
    yield url
    parts = urlsplit(url)
    port = _DEFAULT_PORTS.get(parts.scheme)
    if parts.port is None and port is not None:
        yield urlunsplit(parts._replace(netloc=f"{parts.netloc}:{port}"))
    elif parts.port == port:
        yield urlunsplit(parts._replace(netloc=parts.netloc.removesuffix(f":{port}")))
