"""Whatever is read from outside is read, or refused with the error that its reader expects."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from string import ascii_letters, digits
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cat import persona, sanitize
from cat.engines.model import ModelEngine
from cat.errors import EngineFailed
from cat.ports import Heard
from inbox import decoding, payloads
from inbox.decoding import UnreadableEntry
from sms import keywords, segments
from sms.keywords import Keyword
from sms.messages import DeliveryReport, InboundSms, Media, MessageSid
from tests.dialects import OPENAI
from tests.servers import a_server, asked_of, send

TEXT = st.text(st.characters(codec="utf-8"), max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def json_with(*names: str) -> st.SearchStrategy[Any]:
    """JSON objects that have some of these names, with values of any kind, or no objects at all."""
    return st.fixed_dictionaries({}, optional={name: JSON | st.just(1) for name in names}) | JSON


# --- payloads ------------------------------------------------------------------------------------------------------

TEXTS = st.builds(
    InboundSms, sid=TEXT.map(MessageSid), sender=TEXT, to=TEXT, body=TEXT,
    media=st.lists(st.builds(Media, url=TEXT, content_type=TEXT), max_size=3).map(tuple),
    messaging_service_sid=TEXT.filter(bool) | st.none(), opt_out_type=TEXT.filter(bool) | st.none(),
    repaired=st.booleans(), found_after_seconds=st.integers(0, 10**6),
)  # fmt: skip
REPORTS = st.builds(
    DeliveryReport, sid=TEXT.map(MessageSid), to=TEXT, status=TEXT, attempt_id=TEXT,
    error_code=st.integers(0, 10**6) | st.none(), sender=TEXT,
)  # fmt: skip


@given(TEXTS)
def test_a_text_comes_out_of_the_inbox_as_it_went_in(text: InboundSms) -> None:
    assert decoding.decode_text(payloads.encode_text(text)) == text


@given(REPORTS)
def test_a_report_comes_out_of_the_inbox_as_it_went_in(report: DeliveryReport) -> None:
    assert decoding.decode_report(payloads.encode_report(report)) == report


def is_storable(value: object) -> bool:
    return isinstance(value, str) and value == value.encode().decode()


@given(
    st.binary(max_size=60)
    | json_with(
        "v", "sid", "from", "to", "body", "media", "service", "opt_out", "late", "status", "attempt", "error"
    ).map(lambda value: json.dumps(value).encode())
)
@example(b"[" * 100_000)
@example(b'{"v":1,"sid":1,"from":2,"to":3,"body":4}')
@example(b'{"v":1,"sid":"s","from":"f","to":"t","body":"\\ud800"}')
@example(b'{"v":1,"sid":"s","from":"f","to":"t","body":"b","late":Infinity}')
def test_an_entry_is_read_or_unreadable(payload: bytes) -> None:
    try:
        text = decoding.decode_text(payload)
    except UnreadableEntry:
        pass
    else:
        assert all(map(is_storable, (text.sid, text.sender, text.to, text.body)))
    try:
        report = decoding.decode_report(payload)
    except UnreadableEntry:
        return
    assert all(map(is_storable, (report.sid, report.to, report.status, report.attempt_id, report.sender)))


# --- segments ------------------------------------------------------------------------------------------------------

LETTERS = st.text(
    st.sampled_from("aé \n.^€{\u2019\u00e7\u0394\U0001f408\U0001f1e9\U0001f1ea\u200d\u0301") | st.characters(),
    max_size=400,
)


def counted(text: str) -> int:
    """Segments by the letter of 3GPP TS 23.038, without any of the product's tables."""
    basic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà" + ascii_letters + digits
    if all(letter in basic or letter in "\f^{}\\[~]|€" for letter in text):
        sizes, alone, joined = [1 if letter in basic else 2 for letter in text], 160, 153
    else:
        sizes, alone, joined = [len(letter.encode("utf-16-be", "surrogatepass")) // 2 for letter in text], 70, 67
    if sum(sizes) <= alone:
        return 1
    number, used = 1, 0
    for size in sizes:
        if used + size > joined:
            number, used = number + 1, 0
        used += size
    return number


@given(LETTERS)
def test_segments_are_those_of_the_standard(text: str) -> None:
    assert segments.count(text) == counted(text)
    assert segments.count(segments.fold(text)) <= segments.count(text)


@given(LETTERS, st.integers(1, 4), st.text(max_size=30))
def test_a_trimmed_text_with_its_ending_fits_and_splits_no_letter(text: str, limit: int, ending: str) -> None:
    short = segments.trim(text, limit, ending=ending)

    assert text.startswith(short)
    assert segments.count(short + ending) <= limit or not short
    after = text[len(short) : len(short) + 1]
    assert not after or not unicodedata.combining(after) or short == ""


# --- keywords ------------------------------------------------------------------------------------------------------


@given(body=st.text(max_size=40), verdict=st.text(max_size=10) | st.none(), opted_out=st.booleans())
def test_any_text_is_a_keyword_or_none(*, body: str, verdict: str | None, opted_out: bool) -> None:
    keyword = keywords.read(body, verdict, opted_out=opted_out)

    assert keyword is None or isinstance(keyword, Keyword)


@given(
    st.sampled_from(sorted(keywords.WORDS)),
    st.sampled_from([str.upper, str.title, str.lower]),
    st.text(" \n\t", max_size=5),
)
def test_a_keyword_is_one_in_any_case_and_space(word: str, case: Any, space: str) -> None:
    assert keywords.read(f"{space}{case(word)}{space}") is keywords.WORDS[word]


# --- what models answer --------------------------------------------------------------------------------------------

PIECES = [
    "**", "```", "[a](b)", "Sure! ", "As an AI", "cat: ", "\u202e", "\x1b[2J", "<think>", "</think>", "\U0001f1e9",
    "- ",
]  # fmt: skip
MARKUP = (
    st.text(st.sampled_from("ab .!?*_~`#>-[]()\"'\n\t:") | st.characters(), max_size=300)
    | st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
)  # fmt: skip


@given(words=MARKUP, limit=st.integers(1, 3), emoji=st.booleans())
def test_what_is_made_of_a_models_words_is_fit_to_send(*, words: str, limit: int, emoji: bool) -> None:
    reply = sanitize.for_a_phone(words, max_segments=limit, leaks=persona.shipped().leaks, emoji=emoji)

    assert reply == "" or segments.count(reply) <= limit
    assert not any(unicodedata.category(letter) in ("Cc", "Cs") and letter != "\n" for letter in reply)
    assert not persona.shipped().leaks(reply)


@pytest.fixture(scope="module")
def model() -> Iterator[tuple[ModelEngine, list[bytes]]]:
    """A model at a server whose next answer is in the list."""
    answers: list[bytes] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked_of(request)
        send(request, answers[-1])

    with a_server(answer) as url:
        model = OPENAI.engine(url)
        yield model, answers
        model.close()


ANSWERS = json_with("choices", "usage", "model") | st.builds(
    lambda content, usage, name: {"choices": [{"message": {"content": content}}], "usage": usage, "model": name},
    JSON, json_with("prompt_tokens", "completion_tokens"), JSON,
)  # fmt: skip


@given(ANSWERS.map(lambda answer: json.dumps(answer).encode()) | st.binary(max_size=40))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(b'{"choices": [{"message": {"content": "\\ud800 hello"}}]}')
@example(b'{"choices": [{"message": {"content": "hi"}}], "usage": {"prompt_tokens": -1, "completion_tokens": 1e400}}')
@example(b"[" * 5_000)
def test_any_answer_of_a_models_server_is_a_reply_or_a_failure(
    model: tuple[ModelEngine, list[bytes]], answer: bytes
) -> None:
    engine, answers = model
    answers.append(answer)
    try:
        reply = engine.reply(Heard(texts=("hello",), history=(), seed="SM1"), seconds=10)
    except EngineFailed:
        return
    assert is_storable(reply.words)
    assert reply.words
    assert all(
        type(reply.facts.get(name, 0)) is int and reply.facts.get(name, 0) >= 0 for name in ("tokens_in", "tokens_out")
    )
