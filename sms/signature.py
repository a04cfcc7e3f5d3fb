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
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit, urlunsplit

_DEFAULT_PORTS = {"https": 443, "http": 80}
#: An encoded `&` or `=`: where a form has one, it must be taken apart before it is decoded.
_ENCODED_SEPARATOR = re.compile("%(?:26|3[Dd])")
#: A name that looks the same encoded and decoded, as all of Twilio's do.
_PLAIN_NAME = re.compile(r"[\w-]+", re.ASCII)
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
        #: By the number of `&` in it: how the last form looked that Twilio signed. Nobody else's is remembered.
        self._shapes: dict[int, _Shape] = {}

    def accepts(self, path_and_query: str, pairs: Collection[tuple[str, str]], signature: str) -> bool:
        """Whether `signature` is Twilio's for this request.

        `path_and_query` is as it came on the wire, below the public URL; `pairs` are the decoded form fields.
        """
        return self._signed(path_and_query, signed_fields(pairs), signature)

    def fields(self, path_and_query: str, body: bytes, signature: str) -> dict[str, str] | None:
        """The fields of a form that Twilio signed, the last of each name; None for any doubt.

        It says what `form_pairs` and `accepts` say, in half of the time: forms look like those before them.
        """
        try:
            text, whole = _read(body)
            shape = self._shapes.get(text.count("&"))
            if shape is not None and (found := shape.pattern.fullmatch(text)):
                values = found.groups() if whole else tuple(map(_decoded, found.groups()))
                signed = self._signed(path_and_query, shape.template % shape.ordered(values), signature)
                return dict(zip(shape.names, values, strict=True)) if signed else None
            pairs = _pairs(text, whole=whole)
        except ValueError:
            return None
        if not self._signed(path_and_query, signed_fields(pairs), signature):
            return None
        self._remember(text, tuple(name for name, _ in pairs))
        return dict(pairs)

    def _signed(self, path_and_query: str, fields: str, signature: str) -> bool:
        try:
            given = signature.encode("ascii")
            rest = path_and_query.encode("ascii") + fields.encode()
        except UnicodeError:
            return False
        for key in self._keys():
            for base in self._bases:
                if key.secret and hmac.compare_digest(_sign(key, base + rest), given):
                    return True
        return False

    def _remember(self, text: str, names: tuple[str, ...]) -> None:
        """How the next form will look; where a field or a name is out of the ordinary, nothing is said about the next."""
        between = text.count("&")
        if len(names) == between + 1 <= MOST_NAMES_KEPT and all(map(_PLAIN_NAME.fullmatch, names)):
            shape = _shape(names)
            if shape is not None:
                self._shapes[between] = shape


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


class _Shape(NamedTuple):
    """How forms of the same names in the same order are read and run together."""

    names: tuple[str, ...]
    #: A group for each value.
    pattern: re.Pattern[str]
    template: str
    ordered: Callable[[tuple[str, ...]], object]


@lru_cache(maxsize=ORDERS_KEPT)
def _shape(names: tuple[str, ...]) -> _Shape | None:
    """None where a name comes twice."""
    order = _order(names)
    if order is None:
        return None
    return _Shape(names, re.compile("&".join(f"{re.escape(name)}=([^&]*)" for name in names)), *order)


def form_pairs(body: bytes) -> list[tuple[str, str]]:
    """Decode a form body.

    Raises `ValueError` (`UnicodeDecodeError` is one) for what is not a form in UTF-8.
    """
    text, whole = _read(body)
    return _pairs(text, whole=whole)


def _read(body: bytes) -> tuple[str, bool]:
    """The form decoded as a whole, and that it is; or as it came, where it must be taken apart first."""
    # `parse_qsl` says the same of every form in four times the time: it decodes each name and each value by itself
    text = body.decode("ascii").replace("+", " ")
    if "%" not in text:
        return text, True
    if _ENCODED_SEPARATOR.search(text):
        return text, False
    return _decoded(text), True


def _pairs(text: str, *, whole: bool) -> list[tuple[str, str]]:
    split = [field.partition("=") for field in text.split("&") if field]
    if whole:
        return [(name, value) for name, _, value in split]
    return [(_decoded(name), _decoded(value)) for name, _, value in split]


def _decoded(text: str) -> str:
    return unquote_to_bytes(text).decode() if "%" in text else text


def _sign(key: Key, message: bytes) -> bytes:
    signed = _begun(key).copy()
    signed.update(message)
    return b2a_base64(signed.digest(), newline=False)


@lru_cache(maxsize=8)
def _begun(key: Key) -> hmac.HMAC:
    """With the key in it: most of the time that `hmac.digest` takes goes into beginning anew."""
    return hmac.new(key.secret.encode(), digestmod=key.algorithm)


def _port_variants(url: str) -> Iterable[str]:
    """Twilio signs some URLs with their default port and some without: both name the same place."""
    yield url
    parts = urlsplit(url)
    port = _DEFAULT_PORTS.get(parts.scheme)
    if parts.port is None and port is not None:
        yield urlunsplit(parts._replace(netloc=f"{parts.netloc}:{port}"))
    elif parts.port == port:
        yield urlunsplit(parts._replace(netloc=parts.netloc.removesuffix(f":{port}")))
