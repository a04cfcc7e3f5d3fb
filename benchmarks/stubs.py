"""Stub server: a model with a fixed delay, and a carrier that accepts every message.

    uvicorn --lifespan off benchmarks.stubs:app        MODEL_SECONDS: how long the model thinks

`/v1/chat/completions` is OpenAI's chat API, and any path below `/2010-04-01/` is Twilio's.
`GET /seen` returns the most conversations that the model had at once, and the number of messages sent.
`GET /sent` returns every message: the recipient, the number of the answered text, and when the POST began by the
machine's monotonic clock. `GET /forget` resets both.
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
    """Counts of model calls in progress, their maximum, and messages sent."""

    thinking: int = 0
    most: int = 0
    sent: int = 0


seen = Seen()
sent: list[tuple[str, str, float]] = []
numbers = itertools.count(1)


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:  # Any: ASGI's own
    """Answer as the model, as the carrier, or with the counts."""
    started_at, request_body = time.monotonic(), b""
    while True:
        event = await receive()
        request_body += event.get("body", b"")
        if not event.get("more_body"):
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
        answer = await _think(json.loads(request_body)["messages"][-1]["content"])
    else:
        status, answer = (
            (201, _take(request_body, started_at))
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


def _take(request_body: bytes, started_at: float) -> dict[str, object]:
    form = dict(parse_qsl(request_body.decode()))
    seen.sent += 1
    sent.append((form["To"], form["Body"].partition("tram ")[2].partition(".")[0], started_at))
    return {
        "sid": f"SM{next(numbers):032x}",
        "status": "queued",
        "num_segments": "1",
        "body": "",
        "to": "",
        "from": "",
        "error_code": None,
    }
