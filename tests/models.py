"""A server with OpenAI's protocol whose replies a test defines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.servers import a_server, asked_of, send

#: The token counts in each answer.
TOKENS_IN, TOKENS_OUT = 2000, 20


@dataclass
class Model:
    """A running server. `says` gets the request and returns the reply's words or an HTTP error status."""

    url: str
    says: Callable[[dict[str, Any]], str | int] = lambda request: f"prrt. {said(request)[-40:]}"
    #: The messages of every request, in order of arrival.
    asked: list[list[dict[str, Any]]] = field(default_factory=list)


def said(request: dict[str, Any]) -> str:
    """Return the person's last text, without the notes above it."""
    words: str = request["messages"][-1]["content"]
    return words.rpartition("]\n\n")[2]


@contextmanager
def a_model() -> Iterator[Model]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        request = json.loads(asked_of(handler))
        model.asked.append(request["messages"])
        words = model.says(request)
        if isinstance(words, int):
            handler.send_error(words)
            return
        message = {"role": "assistant", "content": words}
        body = {
            "id": "1", "object": "chat.completion", "created": 1, "model": request["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {
                "prompt_tokens": TOKENS_IN, "completion_tokens": TOKENS_OUT, "total_tokens": TOKENS_IN + TOKENS_OUT,
            },
        }  # fmt: skip
        send(handler, json.dumps(body).encode())

    with a_server(answer) as url:
        model = Model(url=f"{url}/v1")
        yield model
