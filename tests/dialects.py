"""Model servers on 127.0.0.1 in each protocol, whose answers a test defines.

Each dialect says how its engine is built for a URL, and how its server writes an answer, an error, and what it was
asked.
"""

from __future__ import annotations

import atexit
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from cat.engines import ENGINES
from cat.engines.model import ModelEngine, Server
from cat.prices import FREE, Model
from runtime.settings import Settings
from tests.servers import a_server, asked_of, send

#: The token counts in each answer.
TOKENS_IN, TOKENS_OUT = 7, 3
KEY = "the-key-of-the-account"
#: A key for each kind of engine that has one.
KEYS = {name: KEY for name, _ in (kind.settings for kind in ENGINES.values()) if name.endswith("_API_KEY")}


@dataclass(frozen=True)
class Said:
    """What a server answers. `finish` is one of `stop`, `length`, `refusal`."""

    words: Any = "purr."
    finish: str = "stop"


@dataclass(frozen=True)
class Refused:
    """An error. `raw` is sent as it is."""

    status: int
    message: str = ""
    raw: bytes | None = None


Answering = Callable[[dict[str, Any]], Said | Refused | bytes]


@dataclass(frozen=True)
class Dialect:
    kind: str
    setting: str
    #: Writes an answer, and an error's body.
    answer: Callable[[Said], dict[str, Any]]
    error: Callable[[Refused], dict[str, Any]]
    #: Returns system prompt and turns of a request.
    asked: Callable[[dict[str, Any]], tuple[str, list[tuple[str, str]]]]
    limit: Callable[[dict[str, Any]], int]
    path: str = ""
    #: The host of the maker; empty: it depends on the region.
    home: str = ""

    @property
    def name(self) -> str:
        return f"{self.kind}:some-model"

    def server(self, url: str, model: str = "some-model") -> Server:
        options = Settings.load({**KEYS, self.setting: url + self.path}).engines
        return ENGINES[self.kind].connect(model, options, "us-east-1")

    def engine(self, url: str) -> ModelEngine:
        return ModelEngine(self.name, self.server(url))


def _openai_answer(said: Said) -> dict[str, Any]:
    finish = {"stop": "stop", "length": "length", "refusal": "content_filter"}[said.finish]
    message = {"role": "assistant", "content": said.words}
    return {
        "id": "1", "object": "chat.completion", "created": 1, "model": "small-1",
        "choices": [{"index": 0, "finish_reason": finish, "message": message}],
        "usage": {"prompt_tokens": TOKENS_IN, "completion_tokens": TOKENS_OUT, "total_tokens": 10},
    }  # fmt: skip


def _openai_asked(request: dict[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    turns = [(message["role"], message["content"]) for message in request["messages"]]
    return (turns[0][1], turns[1:]) if turns[0][0] == "system" else ("", turns)


def _anthropic_answer(said: Said) -> dict[str, Any]:
    finish = {"stop": "end_turn", "length": "max_tokens", "refusal": "refusal"}[said.finish]
    content = [{"type": "text", "text": said.words}] if isinstance(said.words, str) else said.words
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "small-1", "content": content,
        "stop_reason": finish, "usage": {"input_tokens": TOKENS_IN, "output_tokens": TOKENS_OUT},
    }  # fmt: skip


def _anthropic_asked(request: dict[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    turns = [(turn["role"], "".join(b.get("text", "") for b in turn["content"])) for turn in request["messages"]]
    return "".join(block["text"] for block in request.get("system", [])), turns


def _gemini_answer(said: Said) -> dict[str, Any]:
    finish = {"stop": "STOP", "length": "MAX_TOKENS", "refusal": "SAFETY"}[said.finish]
    parts = [{"text": said.words}] if isinstance(said.words, str) else said.words
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": finish, "index": 0}],
        "usageMetadata": {"promptTokenCount": TOKENS_IN, "candidatesTokenCount": TOKENS_OUT, "totalTokenCount": 10},
        "modelVersion": "small-1",
    }  # fmt: skip


def _gemini_asked(request: dict[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    roles = {"user": "user", "model": "assistant"}
    turns = [(roles[turn["role"]], "".join(p.get("text", "") for p in turn["parts"])) for turn in request["contents"]]
    return "".join(part["text"] for part in request.get("systemInstruction", {}).get("parts", [])), turns


def _bedrock_answer(said: Said) -> dict[str, Any]:
    finish = {"stop": "end_turn", "length": "max_tokens", "refusal": "guardrail_intervened"}[said.finish]
    content = [{"text": said.words}] if isinstance(said.words, str) else said.words
    return {
        "output": {"message": {"role": "assistant", "content": content}}, "stopReason": finish,
        "usage": {"inputTokens": TOKENS_IN, "outputTokens": TOKENS_OUT, "totalTokens": 10},
        "metrics": {"latencyMs": 1},
    }  # fmt: skip


def _bedrock_asked(request: dict[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    turns = [(turn["role"], "".join(b.get("text", "") for b in turn["content"])) for turn in request["messages"]]
    return "".join(block["text"] for block in request.get("system", [])), turns


OPENAI = Dialect(
    "openai", "OPENAI_BASE_URL", _openai_answer,
    lambda refused: {"error": {"message": refused.message, "type": "invalid_request_error", "param": None}},
    _openai_asked, lambda request: request.get("max_completion_tokens") or request["max_tokens"], path="/v1",
    home="api.openai.com",
)  # fmt: skip
ANTHROPIC = Dialect(
    "anthropic", "ANTHROPIC_BASE_URL", _anthropic_answer,
    lambda refused: {"type": "error", "error": {"type": "invalid_request_error", "message": refused.message}},
    _anthropic_asked, lambda request: request["max_tokens"], home="api.anthropic.com",
)  # fmt: skip
GEMINI = Dialect(
    "gemini", "GEMINI_BASE_URL", _gemini_answer,
    lambda refused: {"error": {"code": refused.status, "message": refused.message, "status": "INVALID_ARGUMENT"}},
    _gemini_asked, lambda request: request["generationConfig"]["maxOutputTokens"], home="googleapis.com",
)  # fmt: skip
BEDROCK = Dialect(
    "bedrock", "BEDROCK_ENDPOINT_URL", _bedrock_answer,
    lambda refused: {"message": refused.message},
    _bedrock_asked, lambda request: request["inferenceConfig"]["maxTokens"],
)  # fmt: skip
ALL: Sequence[Dialect] = (OPENAI, ANTHROPIC, GEMINI, BEDROCK)


@dataclass
class Running:
    """A running server and its engine."""

    url: str
    engine: ModelEngine
    dialect: Dialect
    #: The requests, in order of arrival.
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def asked(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """System prompt and turns of each request."""
        return [self.dialect.asked(request) for request in self.requests]


@dataclass
class _Place:
    """A server that stays for all tests, with its adapter, whose official client is slow to build."""

    url: str
    server: Server
    running: Running | None = None
    says: Answering = lambda _: b""


_places: dict[tuple[str, str], _Place] = {}
_open = ExitStack()
atexit.register(_open.close)


def _place(dialect: Dialect, model: str) -> _Place:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        request = json.loads(asked_of(handler))
        running, said = place.running, place.says(request)
        assert running is not None
        running.requests.append(request)
        running.headers.append({name.lower(): value for name, value in handler.headers.items()})
        if isinstance(said, bytes):
            send(handler, said)
        elif isinstance(said, Refused):
            body = json.dumps(dialect.error(said)).encode() if said.raw is None else said.raw
            send(handler, body, status=said.status)
        else:
            send(handler, json.dumps(dialect.answer(said)).encode())

    url = _open.enter_context(a_server(answer))
    place = _Place(url, dialect.server(url, model))
    return place


@contextmanager
def serving(
    dialect: Dialect, says: Answering, *, known: Model = FREE, model: str = "some-model", fresh: bool = False
) -> Iterator[Running]:
    """Run a server of this dialect and yield a new engine for it; `fresh`: with a new client, too."""
    if fresh or (dialect.kind, model) not in _places:
        _places[dialect.kind, model] = _place(dialect, model)
    place = _places[dialect.kind, model]
    place.says = says
    place.running = Running(place.url, ModelEngine(f"{dialect.kind}:{model}", place.server, known=known), dialect)
    yield place.running


def in_turn(*answers: Said | Refused | bytes) -> Answering:
    """Return these answers one after another; the last one stays."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]
