"""The types of settings: what each accepts, and what it says of a wrong value without showing it."""

from __future__ import annotations

import json
import re
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

#: The engine that needs no model; every other is `<kind>:<model>`, and `cat.engines` knows the kinds.
POET: Final = "dada"
#: Segments per second: at a slower pace no reply leaves within its age.
SLOWEST_PACE: Final = 0.001

_NUMBER: Final = re.compile(r"\+[1-9][0-9]{1,14}|[0-9]{3,8}")


def _parts(value: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in value.split(","))))


def _model_keys(value: str) -> tuple[tuple[str, str], ...]:
    try:
        keys = json.loads(value or "{}")
    except ValueError:
        keys = None
    if not isinstance(keys, dict) or not all(isinstance(key, str) for key in keys.values()):
        # the library's message would show the value
        raise ValueError("must be a JSON object of keys by the names of their settings")
    return tuple(keys.items())


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # read now: a password with a slash in it ends up where a port belongs
    except ValueError:
        # the library's message would show the value
        raise ValueError("must be an address; in a password, write / as %2F and # as %23") from None
    return parts


def _redis_url(value: str) -> str:
    parts = _split(value)
    # Celery's broker does not accept `unix://`.
    if parts.scheme not in {"redis", "rediss"}:
        raise ValueError("must begin with redis:// or rediss://")
    # the digits of a password before a slash would pass for a port
    if not parts.hostname or "@" in f"{parts.path}{parts.query}{parts.fragment}":
        raise ValueError("must name a host; in a password, write / as %2F, # as %23, ? as %3F and @ as %40")
    return value


def _link(value: str) -> str:
    address = _split(value)
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise ValueError("must be an http:// or https:// address")
    return value


def _http_url(value: str) -> str:
    # what follows ? or # would stand between the address and the path that is put behind it
    if {"?", "#"} & set(_link(value)):
        raise ValueError("must be an address without ? and #")
    return value.rstrip("/")


def _origin(value: str) -> str:
    if _split(value).path.strip("/"):
        raise ValueError("must be an address without a path: the console answers at its root")
    return value


def _trace_url(value: str) -> str:
    if "{trace}" not in value:
        raise ValueError("must hold {trace}, where the id of the trace belongs")
    return value


def _numbers(value: tuple[str, ...]) -> tuple[str, ...]:
    if not all(map(_NUMBER.fullmatch, value)):
        raise ValueError("each number is + and up to 15 digits, or a short code")
    return value


def _countries(value: tuple[str, ...]) -> frozenset[str]:
    codes = frozenset(code.upper() for code in value)
    if codes:
        # Imported here because the library's tables are needed only if COUNTRIES is set.
        from phonenumbers import SUPPORTED_REGIONS  # noqa: PLC0415

        if codes - SUPPORTED_REGIONS:
            raise ValueError("each country is two letters of ISO 3166, such as US or DE")
    return codes


def _engines(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        kind, _, model = name.partition(":")
        if name != POET and not (kind and model):
            raise ValueError(f"each engine is {POET} or <kind>:<model>, such as openai:gpt-5-mini")
    return value


def _login(value: str) -> str:
    if value and (":" not in value or value.startswith(":") or value.endswith(":")):
        raise ValueError("must be user:password")
    return value


def _pace(value: float) -> float:
    if 0 < value < SLOWEST_PACE:
        raise ValueError(f"must be 0 or at least {SLOWEST_PACE}")
    return value


def _between(least: float, most: float) -> AfterValidator:
    """Return limits that hold beside those of one setting.

    Pydantic lets `ge` and `le` of a type replace those of a field.
    """

    def check(value: float) -> float:
        if not least <= value <= most:
            raise ValueError(f"must be {least} to {most}")
        return value

    return AfterValidator(check)


def _off_is_none(value: object) -> object:
    return None if value == "off" else value


#: From the millisecond, which is Redis's shortest time, to a year: a longer one is no time that a process waits.
Seconds = Annotated[float, Field(allow_inf_nan=False), _between(0.001, 31_536_000)]
#: How long something is remembered: up to a hundred years, which a date can still go back.
Hours = Annotated[float, Field(allow_inf_nan=False), _between(0.001, 876_000)]
#: US dollars; None: no limit.
Dollars = Annotated[float | None, Field(ge=0, le=1_000_000), BeforeValidator(_off_is_none)]
#: One line, short enough to leave room for the reply.
Line = Annotated[str, Field(max_length=120, pattern=r"^[^\r\n]*$")]
#: Pairs of the name of a setting and a key.
ModelKeys = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_model_keys)]
#: A whole reply, or `off`.
HelpLine = Annotated[str, Field(max_length=300)]
#: How often something may happen; 0: no limit.
Times = Annotated[int, Field(ge=0, le=10_000_000)]
#: Segments per second; 0: no pacing.
Pace = Annotated[float, Field(ge=0, le=1000), AfterValidator(_pace)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
#: An address to which paths are added.
HttpUrl = Annotated[str, AfterValidator(_http_url)]
#: The same, at the root of a host.
OriginUrl = Annotated[HttpUrl, AfterValidator(_origin)]
#: A link with a place for the id of a trace; it may have a query and a fragment.
TraceUrl = Annotated[str, AfterValidator(_link), AfterValidator(_trace_url)]
#: Values that commas separate.
Listed = Annotated[tuple[str, ...], BeforeValidator(_parts)]
Numbers = Annotated[Listed, AfterValidator(_numbers)]
EngineNames = Annotated[Listed, AfterValidator(_engines)]
Countries = Annotated[frozenset[str], BeforeValidator(lambda value: _countries(_parts(value)))]
#: `user:password`
Login = Annotated[str, AfterValidator(_login)]
