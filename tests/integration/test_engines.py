"""A model behind the real protocol, that answers whatever a gateway may answer: the person hears the cat all the same."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cat.errors import EngineSilent
from cat.llm import ChatModel
from cat.ports import Heard
from cat.reply import Cat

HEARD = Heard(history=[{"role": "assistant", "content": "prrt"}], texts=["hello"], seed="SM1")


@contextmanager
def a_model(
    status: int, body: bytes, content_type: str = "application/json"
) -> Iterator[tuple[ChatModel, list[bytes]]]:
    asked: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    model = ChatModel("small", api_key="x", base_url=f"http://127.0.0.1:{server.server_port}/v1")
    yield model, asked
    model.close()
    server.shutdown()
    server.server_close()


def saying(message: object) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "small-1", "choices": [choice]}
    return json.dumps({**answer, "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}).encode()


def test_a_model_is_told_who_it_is_and_hears_the_person_as_the_user() -> None:
    with a_model(200, saying({"role": "assistant", "content": " purr. "})) as (model, asked):
        reply = model.reply(HEARD, seconds=5)

    assert reply.words == "purr."
    assert reply.facts["model"] == "small-1"
    assert (reply.facts["tokens_in"], reply.facts["tokens_out"]) == (7, 3)
    told = json.loads(asked[0])["messages"]
    assert [message["role"] for message in told] == ["system", "assistant", "user"]
    assert "DadaCat" in told[0]["content"]
    assert "hello" not in told[0]["content"]
    assert told[2]["content"] == "hello"


@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [
        (500, b"{}", "application/json"),
        (429, b"{}", "application/json"),
        (401, b"{}", "application/json"),
        (200, b"<html>maintenance</html>", "text/html"),
        (200, b'{"choices": [', "application/json"),
        (200, b"[]", "application/json"),
        (200, b'{"choices": []}', "application/json"),
        (200, saying(None), "application/json"),
        (200, saying({"role": "assistant", "content": None}), "application/json"),
        (200, saying({"role": "assistant", "content": "   "}), "application/json"),
    ],
)
def test_whatever_a_server_answers_the_cat_speaks(status: int, body: bytes, content_type: str) -> None:
    with a_model(status, body, content_type) as (model, _):
        with pytest.raises(EngineSilent):
            model.reply(HEARD, seconds=5)
        reply = Cat([model], deadline_seconds=20).reply(HEARD)

    assert reply.engine == "dada"
    assert reply.words
    assert reply.facts["silent_engines"][0].startswith("openai:small")


def test_words_that_nobody_can_encode_are_made_fit() -> None:
    with a_model(200, saying({"role": "assistant", "content": "purr \ud83d"})) as (model, _):
        reply = model.reply(HEARD, seconds=5)

    assert reply.words == "purr ?"
