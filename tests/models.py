"""A server that speaks OpenAI's protocol, for tests that need a model which says what they want."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: What each answer says that it took.
TOKENS_IN, TOKENS_OUT = 1000, 20


@dataclass
class Model:
    """A running server; `says` is given the request and returns the words, or an HTTP status that says no."""

    url: str
    says: Callable[[dict[str, Any]], str | int] = lambda request: f"prrt. {request['messages'][-1]['content'][-40:]}"
    #: The messages of every request, in the order in which they came.
    asked: list[list[dict[str, Any]]] = field(default_factory=list)


@contextmanager
def a_model() -> Iterator[Model]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            model.asked.append(request["messages"])
            said = model.says(request)
            if isinstance(said, int):
                self.send_error(said)
                return
            message = {"role": "assistant", "content": said}
            answer = {
                "id": "1", "object": "chat.completion", "created": 1, "model": request["model"],
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                "usage": {
                    "prompt_tokens": TOKENS_IN, "completion_tokens": TOKENS_OUT, "total_tokens": TOKENS_IN + TOKENS_OUT,
                },
            }  # fmt: skip
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    model = Model(url=f"http://127.0.0.1:{server.server_port}/v1")
    yield model
    server.shutdown()
    server.server_close()
