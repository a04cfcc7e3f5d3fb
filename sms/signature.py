"""Is this really Twilio? Any doubt is a no, never a crash.

The scheme: base64(HMAC-SHA1(auth token, URL + every name and value, sorted by name)).
https://www.twilio.com/docs/usage/security#validating-requests (read 2026-11).
The URL is built from configuration, never from a header that the request brings with it.
Where a Webhooks Rule names a shared key, the same is signed with that key and HMAC-SHA256
(https://www.twilio.com/docs/usage/webhooks/webhook-shared-keys, read 2026-11, a public beta). The header that says so is not looked at.
Every parameter counts, blank and unknown ones too. A name that comes several times contributes each distinct value, sorted.
"""

from __future__ import annotations

import hmac
import re
from binascii import b2a_base64
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Final, Literal
from urllib.parse import unquote_to_bytes, urlsplit, urlunsplit

_DEFAULT_PORTS = {"https": 443, "http": 80}
#: An encoded `&` or `=`: where a form has one, it must be taken apart before it is decoded.
_ENCODED_SEPARATOR = re.compile("%(?:26|3[Dd])")
#: Sets of names whose order is kept; Twilio sends a handful. Anybody may send others, so each is small, and few are kept.
ORDERS_KEPT: Final = 64
MOST_NAMES_KEPT: Final = 64


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
        self._bases = tuple(base.encode() for base in _port_variants(public_url.rstrip("/")))
        self._keys = keys

    def accepts(self, path_and_query: str, pairs: Collection[tuple[str, str]], signature: str) -> bool:
        """Whether `signature` is Twilio's for this request.

        `path_and_query` is as it came on the wire, below the public URL; `pairs` are the decoded form fields.
        """
        try:
            given = signature.encode("ascii")
            rest = path_and_query.encode("ascii") + signed_fields(pairs).encode()
        except UnicodeError:
            return False
        for key in self._keys():
            for base in self._bases:
                if key.secret and hmac.compare_digest(_sign(key, base + rest), given):
                    return True
        return False


def tokens(*secrets: str) -> Callable[[], Sequence[Key]]:
    """Auth tokens that sign, for good."""
    keys = tuple(map(Key, secrets))
    return lambda: keys


def sign(token: str, url: str, fields: Mapping[str, str], *, algorithm: Literal["sha1", "sha256"] = "sha1") -> str:
    """Twilio's signature of a POST of `fields` to `url`."""
    return _sign(Key(token, algorithm), (url + signed_fields(fields.items())).encode()).decode()


def signed_fields(pairs: Collection[tuple[str, str]]) -> str:
    """Every distinct name and value, run together in Twilio's order."""
    if 0 < len(pairs) <= MOST_NAMES_KEPT:
        names, values = zip(*pairs, strict=True)
        order = _order(names)
        if order is not None:
            template, ordered = order
            return str(template % ordered(values))
    return "".join(chain.from_iterable(sorted(set(pairs))))


#: The names in Twilio's order with room for their values, and what puts these in that order.
_Order = tuple[str, Callable[[tuple[str, ...]], object]]


@lru_cache(maxsize=ORDERS_KEPT)
def _order(names: tuple[str, ...]) -> _Order | None:
    """How a form of these names is run together; None where a name comes twice."""
    if len(set(names)) < len(names):
        return None
    order = sorted(range(len(names)), key=names.__getitem__)
    return "".join(names[at].replace("%", "%%") + "%s" for at in order), itemgetter(*order)


def form_pairs(body: bytes) -> list[tuple[str, str]]:
    """Decode a form body.

    Raises `ValueError` (`UnicodeDecodeError` is one) for what is not a form in UTF-8.
    """
    # `parse_qsl` says the same of every form in four times the time: it decodes each name and each value by itself
    text = body.decode("ascii").replace("+", " ")
    if "%" not in text:
        return _pairs(text)
    if _ENCODED_SEPARATOR.search(text):
        return [(_decoded(name), _decoded(value)) for name, value in _pairs(text)]
    return _pairs(_decoded(text))


def _pairs(text: str) -> list[tuple[str, str]]:
    split = [field.partition("=") for field in text.split("&") if field]
    return [(name, value) for name, _, value in split]


def _decoded(text: str) -> str:
    return unquote_to_bytes(text).decode()


def _sign(key: Key, message: bytes) -> bytes:
    return b2a_base64(hmac.digest(key.secret.encode(), message, key.algorithm), newline=False)


def _port_variants(url: str) -> Iterable[str]:
    """Twilio signs some URLs with their default port and some without: both name the same place."""
    yield url
    parts = urlsplit(url)
    port = _DEFAULT_PORTS.get(parts.scheme)
    if parts.port is None and port is not None:
        yield urlunsplit(parts._replace(netloc=f"{parts.netloc}:{port}"))
    elif parts.port == port:
        yield urlunsplit(parts._replace(netloc=parts.netloc.removesuffix(f":{port}")))
