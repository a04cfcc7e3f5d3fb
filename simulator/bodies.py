"""Read the bodies of the page's requests, and refuse those that cannot be carried out."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response


async def json_of(request: Request) -> dict[str, Any]:  # Any: JSON
    """Return the JSON object in the body; an empty one if there is none."""
    try:
        body = json.loads(await request.body())
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def refusal(sentence: str) -> Response:
    """Return the answer that shows a sentence on the page."""
    return JSONResponse({"error": sentence}, status_code=400)
