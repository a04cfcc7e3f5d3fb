"""Read bodies of the page's requests and numbers of queries; refuse what cannot be carried out."""

from __future__ import annotations

import json
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sms.messages import COUNT

#: Larger than any list of fault rules; everything else is smaller.
MOST_JSON_BYTES: Final = 1024 * 1024


class Refused(Exception):
    """A request that cannot be carried out; the message is the sentence that the page shows."""


async def read(request: Request, *, most: int) -> bytes:
    """Return the body. Raises `Refused` once more than `most` bytes have come."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise Refused(f"the body has more than {most} bytes")
    return body


async def json_of(request: Request) -> dict[str, Any]:  # Any: JSON
    """Return the JSON object in the body; an empty one if there is no body. Raises `Refused`."""
    body = await read(request, most=MOST_JSON_BYTES)
    if not body.strip():
        return {}
    try:
        asked = json.loads(body, parse_constant=_refuse_constant)
        # a lone surrogate can be written in JSON, but neither stored nor sent
        json.dumps(asked, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Refused("the body is not JSON") from None
    if not isinstance(asked, dict):
        raise Refused("the body must be a JSON object")
    return asked


def text_in(asked: dict[str, Any], name: str) -> str:  # Any: JSON
    """Return a text field; empty if it is missing or null. Raises `Refused`."""
    value = asked.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refused(f"{name}: must be a text")
    return value


def texts_in(asked: dict[str, Any], name: str) -> list[str]:  # Any: JSON
    """Return a list of texts; empty if it is missing or null. Raises `Refused`."""
    value = asked.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Refused(f"{name}: must be a list of texts")
    return value


def whole_number(value: str) -> int | None:
    """Return a whole number without a sign; None if `value` is none, or longer than any that is meant."""
    return int(value) if COUNT.fullmatch(value) else None


async def refusal(request: Request, refused: Exception) -> Response:
    """Answer a refused request."""
    del request
    return JSONResponse({"error": str(refused)}, status_code=400)


def _refuse_constant(name: str) -> float:
    raise ValueError(name)
