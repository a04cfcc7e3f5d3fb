"""A model that thinks for a while and a carrier that takes everything, at one address: what turns are measured against.

    uvicorn --lifespan off benchmarks.stubs:app        MODEL_SECONDS: how long the model thinks

`/v1/chat/completions` is OpenAI's chat, anything below `/2010-04-01/` is Twilio. `GET /seen` says how many conversations thought at once at most, and
how many messages were sent. `GET /sent` has them all: to whom, which text was answered, and when the POST began, by the machine's monotonic clock.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qsl

THINKS = float(os.environ.get("MODEL_SECONDS", "0"))


@dataclass(slots=True)
class Seen:
    """What came by."""

    thinking: int = 0
    most: int = 0
    sent: int = 0


seen = Seen()
sent: list[tuple[str, str, float]] = []
numbers = itertools.count(1)


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:  # Any: ASGI's own
    """Answer as whoever was asked would."""
    begun, asked = time.monotonic(), b""
    while True:
        part = await receive()
        asked += part.get("body", b"")
        if not part.get("more_body"):
            break
    path, status = scope["path"], 200
    answer: object
    if path == "/seen":
        answer = asdict(seen)
    elif path == "/forget":
        seen.most = seen.sent = 0
        sent.clear()
        answer = {}
    elif path == "/sent":
        answer = sent
    elif path.endswith("/chat/completions"):
        answer = await _think(json.loads(asked)["messages"][-1]["content"])
    else:
        status, answer = (
            (201, _take(asked, begun))
            if scope["method"] == "POST"
            else (200, {"messages": [], "sid": "AC", "status": "active"})
        )
    body = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _think(text: str) -> dict[str, object]:
    seen.thinking += 1
    seen.most = max(seen.most, seen.thinking)
    await asyncio.sleep(THINKS)
    seen.thinking -= 1
    number = text.rpartition(" ")[2]
    return {
        "id": f"chatcmpl-{next(numbers)}", "object": "chat.completion", "created": int(time.time()), "model": "stub",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {
            "role": "assistant", "content": f"i am tram {number}. the umbrella disagrees."}}],
        "usage": {"prompt_tokens": 200, "completion_tokens": 15, "total_tokens": 215},
    }  # fmt: skip


def _take(asked: bytes, begun: float) -> dict[str, object]:
    form = dict(parse_qsl(asked.decode()))
    seen.sent += 1
    sent.append((form["To"], form["Body"].partition("tram ")[2].partition(".")[0], begun))
    return {
        "sid": f"SM{next(numbers):032x}",
        "status": "queued",
        "num_segments": "1",
        "body": "",
        "to": "",
        "from": "",
        "error_code": None,
    }
