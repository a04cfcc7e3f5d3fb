"""Model engines against servers that misbehave: the person gets a reply from the cat in any case."""

from __future__ import annotations

import json
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cat import persona, prompt
from cat.engines import ENGINES, build, problems
from cat.engines.answer import Answer
from cat.engines.compatibility import CAT_BEGAN, Request
from cat.engines.errors import Rejected, Unreached
from cat.engines.guarded import BREAKER_FAILURES, GuardedEngine
from cat.engines.model import ModelEngine
from cat.errors import EngineFailed
from cat.ports import Heard, Picture, Reply
from cat.prices import FREE, Catalogue, Model
from runtime.settings import Settings
from tests.builders import a_cat
from tests.conftest import ROOT, SLOWER
from tests.dialects import ALL, ANTHROPIC, BEDROCK, GEMINI, KEY, KEYS, OPENAI, Dialect, Refused, Said, in_turn, serving
from tests.servers import a_server, asked_of, send, trickle

HEARD = Heard(history=[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "prrt"}],
              texts=["hello"], seed="SM1")  # fmt: skip
PRICED = Catalogue({"some-model": Model(price_in=1, price_out=1)})
EVERY = pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.kind)


@pytest.fixture(autouse=True)
def _account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)


@EVERY
def test_a_model_is_told_who_it_is_and_hears_the_person_as_the_user(dialect: Dialect) -> None:
    with serving(dialect, in_turn(Said(" purr. "))) as model:
        reply = model.engine.reply(HEARD, seconds=5)

    assert (reply.words, reply.engine) == ("purr.", dialect.name)
    assert (reply.facts["tokens_in"], reply.facts["tokens_out"]) == (7, 3)
    system, turns = model.asked[0]
    assert system.startswith("You are DadaCat")
    assert not any("hello" in words for words in (system, *(words for _, words in turns[:-1])))
    assert [role for role, _ in turns] == ["user", "assistant"] * (len(turns) // 2) + ["user"]
    assert turns[-3:-1] == [("user", "hi"), ("assistant", "prrt")]
    assert turns[-1][1].startswith("[notes.")
    assert turns[-1][1].endswith("]\n\nhello")


@EVERY
def test_what_is_the_same_in_every_call_comes_first(dialect: Dialect) -> None:
    with serving(dialect, in_turn(Said())) as model:
        for seed in ("SM1", "SM2"):
            heard = replace(HEARD, texts=[seed], seed=seed, told=["my name is ada"], numbers="112", history=[])
            model.engine.reply(heard, seconds=5)

    one, two = ((system, *turns) for system, turns in model.asked)
    assert one[:-1] == two[:-1]
    assert one[:-1] == (persona.shipped().system, *persona.shipped().turns)
    assert one[-1] != two[-1]


@EVERY
def test_a_conversation_that_begins_with_the_cat_is_made_fit(dialect: Dialect) -> None:
    heard = replace(HEARD, history=[{"role": "assistant", "content": "prrt"}, {"role": "assistant", "content": "hm"}])
    with serving(dialect, in_turn(Said())) as model:
        model.engine.reply(heard, seconds=5)
        model.engine.note("keep notes", "person: hi", seconds=5)

    _, turns = model.asked[0]
    assert turns[-3:-1] == [("user", CAT_BEGAN), ("assistant", "prrt\nhm")]
    assert [role for role, _ in turns] == ["user", "assistant"] * (len(turns) // 2) + ["user"]
    assert model.asked[1] == ("keep notes", [("user", "person: hi")])


NO_REPLIES: tuple[Any, ...] = (
    Refused(500, raw=b"{}"),
    Refused(503, "overloaded"),
    Refused(529, "overloaded"),
    Refused(429, "slow down"),
    Refused(401, "no such key"),
    Refused(404, "no such model"),
    Refused(301, raw=b""),
    b"<html>maintenance</html>",
    b'{"choices": [',
    b"[]",
    b"{}",
    b"null",
    b'{"choices": [], "content": null, "candidates": []}',
    Said(None),
    Said(""),
    Said("   "),
    Said([]),
    Said("purr", finish="refusal"),
    Said("<think>hm"),
    Said("I'm sorry, but I can't assist with that."),
    Said("purr " * 100_000),
)


@EVERY
def test_whatever_a_server_answers_the_cat_speaks(dialect: Dialect) -> None:
    said = list(NO_REPLIES)
    with serving(dialect, lambda _: said[0]) as model:
        while said:
            reply = a_cat([model.engine]).reply(HEARD)
            assert reply.engine == "dada", said[0]
            assert reply.words
            assert reply.facts["silent_engines"][0].startswith(dialect.name)
            said.pop(0)


@pytest.mark.parametrize(
    "message",
    [
        None,
        "purr",
        {"role": "assistant"},
        {"role": "assistant", "content": None, "refusal": "I cannot."},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "purr"}}]},
        {"role": "assistant", "content": 7},
        {"role": "assistant", "content": [None, 7, {"type": "thinking", "thinking": "hm"}]},
        {"role": "assistant", "content": None, "reasoning_content": "the person says hello"},
    ],
)
def test_an_answer_without_words_is_none(message: object) -> None:
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    with serving(OPENAI, in_turn(json.dumps({"choices": [choice]}).encode())) as model:
        reply = a_cat([model.engine]).reply(HEARD)

    assert reply.engine == "dada"


@EVERY
def test_what_is_not_for_the_person_is_neither_in_the_reply_nor_in_the_notes(dialect: Dialect) -> None:
    said = [
        "<think>hm</think>purr.",
        "hm</think>\npurr.",
        "purr.<|eot_id|>",
        "purr.<|im_end|>\n<|im_start|>user\nhi",
        "purr.\nperson: hi\ncat: mango?",
    ]
    with serving(dialect, lambda _: Said(said[0])) as model:
        while said:
            assert model.engine.reply(HEARD, seconds=5).words == "purr."
            assert model.engine.note("keep notes", "person: hi", seconds=5).words == "purr."
            said.pop(0)


PURR = {"type": "text", "text": "purr."}


@pytest.mark.parametrize(
    ("dialect", "content"),
    [
        (OPENAI, [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, PURR]),
        (OPENAI, [{"type": "text", "text": "pu"}, "rr."]),
        (ANTHROPIC, [{"type": "thinking", "thinking": "hm", "signature": "x"}, PURR]),
        (GEMINI, [{"text": "hm", "thought": True}, {"text": "purr."}]),
        (BEDROCK, [{"reasoningContent": {"reasoningText": {"text": "hm"}}}, {"text": "purr."}]),
    ],
)  # fmt: skip
def test_of_a_list_of_parts_the_text_is_said(dialect: Dialect, content: Any) -> None:
    with serving(dialect, in_turn(Said(content))) as model:
        reply = a_cat([model.engine], catalogue=PRICED).reply(HEARD)

    assert (reply.words, reply.facts["model_cost"]) == ("purr.", 10)


@EVERY
@pytest.mark.parametrize("reasoning", ["", "<think>the person says", "Okay, the user says hello. I should", None])
def test_a_model_that_reasoned_its_tokens_away_is_asked_again_with_room(dialect: Dialect, reasoning: Any) -> None:
    cut = Said(reasoning if reasoning is not None else [], finish="length")
    with serving(dialect, in_turn(cut, Said())) as model:
        cat = a_cat([model.engine], catalogue=PRICED)
        reserved = cat.max_cost(HEARD)
        first, second = cat.reply(HEARD), cat.reply(HEARD)

    assert (first.words, second.words) == ("purr.", "purr.")
    # both calls of the first reply are on the bill, and the next reply asks once, and reserves more
    assert (first.facts["model_cost"], second.facts["model_cost"]) == (20, 10)
    tokens = [dialect.limit(request) for request in model.requests]
    assert tokens == [prompt.MAX_TOKENS, *[prompt.MAX_TOKENS + prompt.THINKING_TOKENS] * 2]
    assert cat.max_cost(HEARD) == reserved + prompt.THINKING_TOKENS


@EVERY
def test_a_reply_that_was_cut_ends_with_a_sentence(dialect: Dialect) -> None:
    cut, number = Said("purr. a box. and then the", finish="length"), Said("i hear you. call 988 or", finish="length")
    with serving(dialect, in_turn(cut, number)) as model:
        assert model.engine.reply(HEARD, seconds=5).words == "purr. a box."
        # a number that helps is not cut
        assert model.engine.reply(HEARD, seconds=5).words == "i hear you. call 988 or"
    assert len(model.requests) == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
    | st.sampled_from(["text", "assistant", "<think>", "stop", "length", "MAX_TOKENS", "end_turn", "tool_use"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["choices", "message", "content", "text", "type", "finish_reason", "stop_reason", "usage",
                         "output", "candidates", "parts", "finishReason", "usageMetadata", "model", "role"]),
        inner, max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


def _mutated(answer: dict[str, Any], path: Sequence[int], value: Any) -> Any:
    """Return `answer` with `value` in place of the item at `path`; each step chooses one of the items."""
    if not path or not isinstance(answer, dict | list) or not answer:
        return value
    keys = list(answer) if isinstance(answer, dict) else list(range(len(answer)))
    key = keys[path[0] % len(keys)]
    changed = dict(answer) if isinstance(answer, dict) else list(answer)
    changed[key] = _mutated(answer[key], path[1:], value)
    return changed


def _answers_of_any_form(dialect: Dialect, examples: int) -> None:
    body = [b""]
    with serving(dialect, lambda _: body[0]) as model:

        @settings(max_examples=examples, deadline=None)
        @given(st.lists(st.integers(0, 9), max_size=5), JSON)
        def answer(path: list[int], value: Any) -> None:
            body[0] = json.dumps(_mutated(dialect.answer(Said()), path, value)).encode()
            reply = a_cat([model.engine]).reply(HEARD)
            assert reply.words
            assert "think>" not in reply.words

        answer()


@EVERY
def test_an_answer_of_any_form_ends_in_a_reply(dialect: Dialect) -> None:
    _answers_of_any_form(dialect, 25)


@pytest.mark.long
@EVERY
def test_many_answers_of_any_form_end_in_a_reply(dialect: Dialect) -> None:
    _answers_of_any_form(dialect, 2000)


def test_words_that_no_one_can_encode_are_made_fit() -> None:
    with serving(OPENAI, in_turn(Said("purr \ud83d"))) as model:
        assert model.engine.reply(HEARD, seconds=5).words == "purr ?"


@EVERY
def test_a_text_that_no_one_can_see_is_not_shown_to_the_model_either(dialect: Dialect) -> None:
    hidden = Heard(history=[], texts=["hello\U000e0049\U000e0047\u202e\x00 cat"], seed="SM1")
    with serving(dialect, in_turn(Said())) as model:
        model.engine.reply(hidden, seconds=5)

    assert model.asked[0][1][-1][1].endswith("\n\nhello cat")


# what servers refuse


def _openai_error(message: str, param: str | None = None) -> bytes:
    return json.dumps({"error": {"message": message, "type": "invalid_request_error", "param": param}}).encode()


REFUSALS: list[tuple[Dialect, str, Callable[[dict[str, Any]], bool], int, bytes]] = [
    (OPENAI, "the newer limit", lambda asked: "max_completion_tokens" in asked, 422,
     b'{"detail": [{"type": "extra_forbidden", "loc": ["body", "max_completion_tokens"], "msg": "no", "input": 140}]}'),
    (OPENAI, "both limits", lambda asked: "max_completion_tokens" in asked or "max_tokens" in asked, 400,
     _openai_error("Unrecognized request argument supplied: max_completion_tokens, max_tokens")),
    (OPENAI, "temperature", lambda asked: "temperature" in asked, 400,
     _openai_error("Unsupported value: 'temperature' does not support 0.9 with this model.", "temperature")),
    (OPENAI, "stop", lambda asked: "stop" in asked, 400,
     _openai_error("Unsupported parameter: 'stop' is not supported with this model.", "stop")),
    (OPENAI, "penalty", lambda asked: "presence_penalty" in asked, 400, b'{"detail": "presence_penalty is unknown"}'),
    (OPENAI, "system role", lambda asked: asked["messages"][0]["role"] == "system", 400,
     b'{"object": "error", "message": "System role not supported", "code": 400}'),
    (OPENAI, "system role, by a template", lambda asked: asked["messages"][0]["role"] == "system", 500,
     b'{"error": {"code": 500, "message": "Jinja Exception: System role not supported"}}'),
    (OPENAI, "anything unusual, unnamed", lambda asked: not set(asked) <= {"model", "messages", "max_tokens"}, 400,
     b"bad request"),
    (OPENAI, "long input", lambda asked: len(asked["messages"]) > 10, 400,
     _openai_error("This model's maximum context length is 1024 tokens. However, your max_tokens are 140.")),
    (ANTHROPIC, "thinking", lambda asked: "thinking" in asked, 400,
     b'{"type": "error", "error": {"type": "invalid_request_error", "message": "thinking: this model always thinks"}}'),
    (ANTHROPIC, "stop", lambda asked: "stop_sequences" in asked, 400,
     b'{"type": "error", "error": {"type": "invalid_request_error", "message": "stop_sequences: not permitted"}}'),
    (GEMINI, "thinking", lambda asked: "thinkingConfig" in asked["generationConfig"], 400,
     b'{"error": {"code": 400, "message": "Budget 0 is invalid. It only works in thinking mode.", "status": "X"}}'),
    (GEMINI, "penalty", lambda asked: "presencePenalty" in asked["generationConfig"], 400,
     b'{"error": {"code": 400, "message": "Penalty is not enabled for this model", "status": "INVALID_ARGUMENT"}}'),
    (BEDROCK, "system", lambda asked: "system" in asked, 400,
     b'{"message": "This model doesn\'t support system messages. Try again without system messages."}'),
    (BEDROCK, "stop", lambda asked: "stopSequences" in asked["inferenceConfig"], 400,
     b'{"message": "The model returned: extraneous key [stopSequences] is not permitted"}'),
]  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "refuses", "status", "body"),
    [(dialect, refuses, status, body) for dialect, _, refuses, status, body in REFUSALS],
    ids=[f"{dialect.kind}, {name}" for dialect, name, *_ in REFUSALS],
)
def test_what_a_server_refuses_is_left_out_and_remembered(
    dialect: Dialect, refuses: Callable[[dict[str, Any]], bool], status: int, body: bytes
) -> None:
    def says(asked: dict[str, Any]) -> Said | Refused:
        return Refused(status, raw=body) if refuses(asked) else Said()

    with serving(dialect, says) as model:
        first = model.engine.reply(HEARD, seconds=5)
        tries = len(model.requests)
        second = model.engine.reply(HEARD, seconds=5)

    assert (first.words, second.words) == ("purr.", "purr.")
    assert 1 < tries <= 3
    # learnt for the life of the process: the second reply takes one request
    assert len(model.requests) == tries + 1
    # the person's words are there in any case
    assert all(turns[-1][1].endswith("hello") for _, turns in model.asked)
    assert "You are DadaCat" in "".join(words for _, words in model.asked[-1][1]) + model.asked[-1][0]


def test_a_server_that_names_one_option_after_another_gets_its_reply() -> None:
    def says(asked: dict[str, Any]) -> Said | Refused:
        for name in ("max_completion_tokens", "temperature", "presence_penalty", "stop"):
            if name in asked:
                return Refused(422, f"{name}: extra fields not permitted")
        return Said()

    with serving(OPENAI, says) as model:
        assert model.engine.reply(HEARD, seconds=5).words == "purr."
    assert len(model.requests) == 5


def test_what_was_refused_is_remembered_though_the_next_request_fails() -> None:
    refused = Refused(400, "temperature is not supported")
    with serving(OPENAI, in_turn(refused, Refused(429, "slow down"), Said())) as model:
        with pytest.raises(EngineFailed):
            model.engine.reply(HEARD, seconds=5)
        model.engine.reply(HEARD, seconds=5)

    assert ["temperature" in request for request in model.requests] == [True, False, False]


def test_a_word_of_the_person_in_an_error_is_no_refusal_of_an_option() -> None:
    error = {"detail": [{"loc": ["body", "messages"], "msg": "too rude", "input": "my temperature and max_tokens"}]}
    with serving(OPENAI, in_turn(Said(), Refused(422, raw=json.dumps(error).encode()), Said())) as model:
        model.engine.reply(HEARD, seconds=5)
        with pytest.raises(EngineFailed) as failed:
            model.engine.reply(HEARD, seconds=5)
        model.engine.reply(HEARD, seconds=5)

    assert failed.value.refused
    assert "temperature" in model.requests[2]


@EVERY
def test_texts_that_a_model_refuses_do_not_take_it_from_all_people(dialect: Dialect) -> None:
    with serving(dialect, in_turn(Refused(400, "no"))) as model:
        cat = a_cat([model.engine])
        replies = [cat.reply(HEARD) for _ in range(BREAKER_FAILURES + 2)]

    assert {reply.engine for reply in replies} == {"dada"}
    assert not any("circuit breaker" in reply.facts["silent_engines"][0] for reply in replies)
    # the plainest form of the request is tried once
    assert len(model.requests) == len(replies) + 1


# deadlines


@pytest.fixture
def trickling() -> Iterator[tuple[str, threading.Event]]:
    """A server that answers one byte at a time and never finishes, until the event is set."""
    over = threading.Event()

    with a_server(lambda handler: trickle(handler, over)) as url:
        yield url, over
        over.set()


def test_a_server_that_trickles_does_not_outlast_the_deadline(trickling: tuple[str, threading.Event]) -> None:
    engines = [dialect.engine(trickling[0]) for dialect in ALL]

    def ask(engine: ModelEngine) -> tuple[float, EngineFailed]:
        started_at = time.monotonic()
        # without the guard around it: the call ends by itself
        with pytest.raises(EngineFailed, match="no answer in") as late:
            engine.reply(HEARD, seconds=0.6)
        return time.monotonic() - started_at, late.value

    with ThreadPoolExecutor(len(engines)) as people:
        for seconds, late in people.map(ask, engines):
            assert seconds < 3 * SLOWER
            assert late.paid


def test_calls_to_a_server_that_trickles_give_their_threads_back() -> None:
    over = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked_of(handler)
        trickle_head(handler, over)

    with a_server(answer) as url, serving(OPENAI, in_turn(Said()), model="well") as well:
        slow = [dialect.engine(url) for dialect in ALL]
        # five places for the calls to both engines of a cat: five people fill them with calls that trickle
        cats = [a_cat([engine, well.engine], deadline_seconds=6.0, calls=5) for engine in slow]
        with ThreadPoolExecutor(5 * len(cats)) as people:
            replies = list(people.map(lambda cat: cat.reply(HEARD), cats * 5))
        over.set()

    assert {reply.engine for reply in replies} == {"openai:well"}
    silent = {reply.facts["silent_engines"][0].rpartition(" in ")[0] for reply in replies}
    assert silent == {f"{dialect.name}: no answer" for dialect in ALL}


def trickle_head(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Send the head of an answer a byte at a time."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
    while not over.wait(0.1):
        try:
            handler.wfile.write(b"x")
            handler.wfile.flush()
        except OSError:
            return


def test_a_scribe_that_trickles_is_not_waited_for(trickling: tuple[str, threading.Event]) -> None:
    engine = OPENAI.engine(trickling[0])
    summarizer = a_cat([engine]).summarizer
    assert summarizer is not None
    started_at = time.monotonic()

    with pytest.raises(EngineFailed, match="no answer in"):
        summarizer.note("keep notes", "person: hi", seconds=1)

    assert time.monotonic() - started_at < 5 * SLOWER
    engine.close()


@EVERY
def test_a_server_that_is_not_there_was_not_paid(dialect: Dialect) -> None:
    engine = dialect.engine("http://127.0.0.1:9")

    with pytest.raises(EngineFailed) as failed:
        engine.reply(HEARD, seconds=2)

    assert failed.value.transient
    assert not failed.value.paid
    engine.close()


# where a request goes


@EVERY
def test_a_redirect_takes_the_key_nowhere(dialect: Dialect) -> None:
    elsewhere: list[str] = []

    def thief(handler: BaseHTTPRequestHandler) -> None:
        elsewhere.append(str(handler.headers))
        send(handler, b"{}")

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked_of(handler)
        handler.send_response(307)
        handler.send_header("location", f"{stranger}/v1/x")
        handler.send_header("content-length", "0")
        handler.end_headers()

    with a_server(thief) as stranger, a_server(answer) as url:
        engine = dialect.engine(url)
        reply = a_cat([engine]).reply(HEARD)
        engine.close()

    assert reply.engine == "dada"
    assert elsewhere == []


ELSEWHERE = (
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "OPENAI_BASE_URL",
    "ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
)  # fmt: skip


@EVERY
def test_neither_a_proxy_nor_an_address_is_taken_from_the_environment(
    dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = "http://127.0.0.1:1"
    for name in ELSEWHERE:
        monkeypatch.setenv(name, nowhere)
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_API_KEY", "another")

    with serving(dialect, in_turn(Said()), fresh=True) as model:
        reply = model.engine.reply(HEARD, seconds=5)

    assert reply.words == "purr."
    assert any(KEY in value for value in model.headers[0].values()) or dialect is BEDROCK


@pytest.mark.parametrize("dialect", [dialect for dialect in ALL if dialect.home], ids=lambda dialect: dialect.kind)
def test_without_another_address_the_maker_is_asked(dialect: Dialect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dialect.setting, "http://127.0.0.1:1")
    options = Settings.load(KEYS).engines

    server: Any = ENGINES[dialect.kind].connect("some-model", options, "us-east-1")

    client = server._client
    address = client._api_client._http_options.base_url if dialect is GEMINI else client.base_url
    assert dialect.home in str(address)
    server.close()


# danger


# pictures


PICTURE = Picture(content_type="image/png", data=b"roof")
SEEING = Model(price_in=1, price_out=1, sees=True)


@EVERY
def test_a_picture_is_shown_only_to_a_model_that_sees(dialect: Dialect) -> None:
    looking = replace(HEARD, texts=["look"], pictures=1, shown=[PICTURE])
    for known, is_shown in ((SEEING, True), (replace(SEEING, sees=False), False)):
        with serving(dialect, in_turn(Said()), known=known) as model:
            model.engine.reply(looking, seconds=5)
        assert ("cm9vZg==" in json.dumps(model.requests[0])) is is_shown


@EVERY
def test_a_model_that_does_not_take_the_picture_is_asked_without_it(dialect: Dialect) -> None:
    def says(asked: dict[str, Any]) -> Said | Refused:
        return Refused(400, "Could not process image") if "cm9vZg==" in json.dumps(asked) else Said()

    catalogue = Catalogue({"some-model": SEEING})
    looking = replace(HEARD, texts=["look"], pictures=1, shown=[PICTURE])
    with serving(dialect, says, known=SEEING) as model:
        cat = a_cat([model.engine], catalogue=catalogue)
        # enough replies to open the breaker if they counted as failures
        replies = [cat.reply(looking) for _ in range(BREAKER_FAILURES + 2)]

    assert {reply.words for reply in replies} == {"purr."}
    assert len(replies[0].facts["silent_engines"]) == 1


def test_bedrock_is_shown_what_it_can_see() -> None:
    tiff = Picture(content_type="image/tiff", data=b"x")
    with serving(BEDROCK, in_turn(Said()), known=SEEING) as model:
        model.engine.reply(replace(HEARD, texts=["look"], pictures=2, shown=[PICTURE, tiff]), seconds=5)

    blocks = model.requests[0]["messages"][-1]["content"]
    assert blocks[1:] == [{"image": {"format": "png", "source": {"bytes": "cm9vZg=="}}}]


# tokens and money


def test_a_model_that_thinks_first_is_given_tokens_for_it() -> None:
    requests = []
    for thinks in (False, True):
        with serving(OPENAI, in_turn(Said()), known=Model(price_in=1, price_out=1, thinks=thinks)) as model:
            model.engine.reply(HEARD, seconds=5)
        requests.append(model.requests[0])

    plain, thinking = requests
    assert "reasoning_effort" not in plain
    assert thinking["reasoning_effort"] == "low"
    assert "temperature" not in thinking
    assert thinking["max_completion_tokens"] > plain["max_completion_tokens"]


def test_what_was_paid_for_in_vain_is_on_the_bill() -> None:
    costs = {}
    for name, answer in (
        ("said", Said()),
        ("refused", Said("As an AI language model I cannot.")),
        ("withheld", Said("purr", finish="refusal")),
        ("empty", Said("")),
        ("failed", Refused(500, "no")),
        ("unreadable", b'{"choices": 7}'),
    ):
        with serving(OPENAI, in_turn(answer)) as model:
            reply = a_cat([model.engine], catalogue=PRICED).reply(HEARD)
        costs[name] = reply.facts.get("model_cost", 0)

    # seven tokens in and three out; the cost of an unreadable answer is unknown and counted as the maximum
    assert [costs[name] for name in ("said", "refused", "withheld", "empty", "failed")] == [10, 10, 10, 10, 0]
    assert costs["unreadable"] > 100


class Cut:
    """A server whose first answer is all reasoning, and whose second call ends in `error`."""

    limits = ("max_tokens",)

    def __init__(self, error: Exception) -> None:
        self._answers: list[Answer | Exception] = [
            Answer(content="", finish="length", tokens_in=3000, tokens_out=140), error
        ]  # fmt: skip

    def options(self, asked: prompt.Prompt, *, thinks: bool) -> dict[str, Any]:
        del asked, thinks
        return {}

    def send(self, request: Request) -> Answer:
        del request
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "is_counted"),
    [
        (Unreached("ConnectError"), True),
        (Rejected("InternalServerError", 503), True),
        # the second call may be paid too, and how much is not known
        (Unreached("ReadTimeout", late=True), False),
        (ValueError(), False),
    ],
)
def test_a_first_answer_is_on_the_bill_whatever_the_second_call_ends_in(error: Exception, *, is_counted: bool) -> None:
    known = Model(price_in=10, price_out=100)
    with ThreadPoolExecutor() as pool:
        engine = GuardedEngine(ModelEngine("openai:some-model", Cut(error), known=known), known, pool)
        with pytest.raises(EngineFailed) as failed:
            engine.reply(HEARD, seconds=5)
        most = engine.max_cost(HEARD)

    assert failed.value.cost == (known.cost(3000, 140) if is_counted else most)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        "many",
        {},
        {"prompt_tokens": None, "completion_tokens": None},
        {"prompt_tokens": -1, "completion_tokens": 3},
        {"prompt_tokens": "7", "completion_tokens": 3.5},
        {"prompt_tokens": 10**30, "completion_tokens": 3},
    ],
)
def test_a_server_that_cannot_count_is_taken_to_have_used_all_that_it_might(usage: object) -> None:
    answer = {**OPENAI.answer(Said()), "usage": usage, "model": 1.5}
    with serving(OPENAI, in_turn(json.dumps(answer).encode())) as model:
        reply = a_cat([model.engine], catalogue=PRICED).reply(HEARD)

    assert reply.engine in {"openai:some-model", "dada"}
    assert reply.facts["model_cost"] == prompt.max_cost(PRICED.of("some-model"), HEARD)
    assert all(isinstance(fact, str | int | list) for fact in reply.facts.values())


def test_claudes_cached_tokens_are_on_the_bill() -> None:
    answer = ANTHROPIC.answer(Said())
    answer["usage"] |= {"cache_creation_input_tokens": 100, "cache_read_input_tokens": 1000}
    with serving(ANTHROPIC, in_turn(json.dumps(answer).encode())) as model:
        reply = model.engine.reply(HEARD, seconds=5)

    assert reply.facts["tokens_in"] == 1107
    marked = [turn for turn in model.requests[0]["messages"] if "cache_control" in turn["content"][-1]]
    assert marked == [model.requests[0]["messages"][len(persona.shipped().turns) - 1]]


def test_a_scribe_that_is_down_is_left_alone_and_what_it_took_is_on_the_bill() -> None:
    with serving(OPENAI, in_turn(b'{"choices": 7}')) as model:
        summarizer = a_cat([model.engine], catalogue=PRICED).summarizer
        assert summarizer is not None
        costs = []
        for _ in range(BREAKER_FAILURES + 1):
            with pytest.raises(EngineFailed) as silent:
                summarizer.note("keep notes", "person: hi", seconds=5)
            costs.append(silent.value.cost)

    assert len(model.requests) == BREAKER_FAILURES
    most = prompt.most_cost_of_notes(PRICED.of("some-model"), "keep notes", "person: hi")
    assert costs == [most] * BREAKER_FAILURES + [0]


def test_one_text_at_a_time_tests_an_engine_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cat.engines.guarded.BREAKER_SECONDS", 1e-9)
    begun, may_end = threading.Event(), threading.Event()

    class Away:
        name = "openai:small"
        calls = 0

        def reply(self, heard: Heard, *, seconds: float) -> Reply:
            del heard, seconds
            self.calls += 1
            if self.calls > BREAKER_FAILURES:
                begun.set()
                assert may_end.wait(30)
            raise EngineFailed("openai:small: away")

    away = Away()
    with ThreadPoolExecutor() as pool, ThreadPoolExecutor() as people:
        engine = GuardedEngine(away, FREE, pool)
        for _ in range(BREAKER_FAILURES):
            with pytest.raises(EngineFailed):
                engine.reply(HEARD, seconds=30)
        first = people.submit(engine.reply, HEARD, seconds=30)
        assert begun.wait(30)

        with pytest.raises(EngineFailed, match="circuit breaker open"):
            engine.reply(HEARD, seconds=30)
        may_end.set()
        assert first.exception() is not None

    assert away.calls == BREAKER_FAILURES + 1


@pytest.mark.parametrize(
    ("dialect", "status", "said"),
    [
        (GEMINI, 400, "API key not valid. Please pass a valid API key."),
        (GEMINI, 400, "User location is not supported for the API use."),
        (ANTHROPIC, 400, "Your credit balance is too low to access the Anthropic API."),
        *((dialect, status, "no") for dialect in ALL for status in (401, 403)),
    ],
)
def test_an_engine_whose_key_or_account_is_refused_is_left_alone(dialect: Dialect, status: int, said: str) -> None:
    with serving(dialect, in_turn(Refused(status, said))) as model, ThreadPoolExecutor() as pool:
        engine = GuardedEngine(model.engine, FREE, pool)
        said_of = []
        for _ in range(BREAKER_FAILURES + 1):
            with pytest.raises(EngineFailed) as failed:
                engine.reply(HEARD, seconds=5)
            said_of.append(str(failed.value))

    assert len(model.requests) == BREAKER_FAILURES
    # the runbook names the status
    assert said_of[0].endswith(f" {status}")
    assert "circuit breaker open" in said_of[-1]


def test_an_engine_that_breaks_its_promise_is_only_silent() -> None:
    class Broken:
        name = "openai:small"

        def reply(self, heard: Heard, *, seconds: float) -> Reply:
            del heard, seconds
            raise ZeroDivisionError

    reply = a_cat([Broken()]).reply(HEARD)

    assert reply.engine == "dada"
    assert reply.facts["silent_engines"] == ["openai:small: ZeroDivisionError"]


# the registry


def test_each_kind_in_the_registry_builds_its_engine() -> None:
    options = Settings.load(KEYS).engines
    assert list(problems([f"{kind}:m" for kind in ENGINES], options)) == []
    for kind in ENGINES:
        who = persona.shipped()
        engine = build(f"{kind}:m", Model(price_in=1, price_out=1), options, aws_region="us-east-1", who=who)
        assert engine.name == f"{kind}:m"
        engine.close()


def test_what_an_engine_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    options = Settings.load({}).engines
    of_makers = {kind: name for kind in ENGINES if kind != "openai" and (name := ENGINES[kind].settings[0]) in KEYS}
    assert list(problems([f"{kind}:m" for kind in of_makers], options)) == [
        f"{kind}:m needs {name}" for kind, name in of_makers.items()
    ]
    [lack] = problems(["openai:m"], options)
    assert "OPENAI_API_KEY, or OPENAI_BASE_URL" in lack

    monkeypatch.setattr("cat.engines.find_spec", lambda _: None)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert list(problems([f"{kind}:m" for kind in ENGINES], options)) == [
        f"{kind}:m needs another library: pip install 'dadacat[{kind}]'" for kind in ENGINES
    ]
    assert set(ENGINES) <= set(extras)
