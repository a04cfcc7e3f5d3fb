"""Read forms and write pages and errors as Twilio's REST API does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from simulator.bodies import Refused, read, whole_number
from sms import signature

PAGE_SIZE: Final = 50
MAX_PAGE_SIZE: Final = 1000

#: No client asks for a later page.
MOST_PAGES: Final = 1_000_000
#: Larger than any form of the API.
MOST_FORM_BYTES: Final = 256 * 1024

Form = dict[str, str]


@dataclass(frozen=True)
class TwilioError(Exception):
    """An error answer of Twilio's API."""

    status: int
    code: int
    message: str
    retry_after: int | None = None


async def form_of(request: Request) -> Form:
    """Return the form in the body, the last value of each name. Raises `TwilioError`."""
    return dict(await pairs_of(request))


async def pairs_of(request: Request) -> list[tuple[str, str]]:
    """Return the names and values of the form in the body, in order. Raises `TwilioError`."""
    try:
        return signature.form_pairs(await read(request, most=MOST_FORM_BYTES))
    except (ValueError, Refused) as exc:
        raise TwilioError(400, 20001, "The body is not a form in UTF-8") from exc


def error_answer(error: TwilioError) -> Response:
    """Return an error as Twilio answers it."""
    body = {
        "code": error.code,
        "message": error.message,
        "more_info": f"https://www.twilio.com/docs/errors/{error.code}",
        "status": error.status,
    }
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else None
    return JSONResponse(body, status_code=error.status, headers=headers)


def not_found(request: Request) -> TwilioError:
    """Return the error of a resource that does not exist."""
    return TwilioError(404, 20404, f"The requested resource {request.url.path} was not found")


def date(moment: float | None) -> str | None:
    """Return a time in the form of Twilio's JSON, such as `Mon, 16 Aug 2010 03:45:01 +0000`."""
    return format_datetime(datetime.fromtimestamp(moment, UTC)) if moment is not None else None


def page_size(request: Request) -> int:
    """Return how many items a page of the list has. Raises `TwilioError`."""
    size = whole_number(request.query_params.get("PageSize", str(PAGE_SIZE)))
    if size is None or not 1 <= size <= MAX_PAGE_SIZE:
        raise TwilioError(400, 20007, f"Page size must be between 1 and {MAX_PAGE_SIZE}")
    return size


def page_number(request: Request) -> int:
    """Return which page of the list is asked for, from 0. Raises `TwilioError`."""
    number = whole_number(request.query_params.get("Page") or "0")
    if number is None or number > MOST_PAGES:
        raise TwilioError(400, 20001, f"Page must be between 0 and {MOST_PAGES}")
    return number


def page_of_all(request: Request, key: str, items: Sequence[Any]) -> dict[str, Any]:  # Any: JSON
    """Return the page of a whole list that is asked for. Raises `TwilioError`."""
    size = page_size(request)
    start = page_number(request) * size
    return page(request, key, items[start : start + size], has_more=len(items) > start + size)


def page(
    request: Request, key: str, items: Sequence[Any], *, has_more: bool, next_token: str = ""
) -> dict[str, Any]:  # Any: JSON
    """Return one page of a list, with the addresses of the first page and the next. Raises `TwilioError`."""
    number, size = page_number(request), page_size(request)
    kept = [
        (name, value)
        for name, value in request.query_params.multi_items()
        if name not in {"Page", "PageToken", "PageSize"}
    ]

    def uri(place: int, token: str = "") -> str:
        query = [*kept, ("PageSize", str(size)), ("Page", str(place)), *([("PageToken", token)] if token else [])]
        return f"{request.url.path}?{urlencode(query)}"

    start = number * size
    return {
        "end": start + max(0, len(items) - 1),
        "first_page_uri": uri(0),
        "next_page_uri": uri(number + 1, next_token) if has_more else None,
        "page": number,
        "page_size": size,
        "previous_page_uri": None,
        key: list(items),
        "start": start,
        "uri": uri(number, request.query_params.get("PageToken", "")),
    }
