"""`dadacat doctor` asks each engine for one reply, and says what is wrong and what it cost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from operations import doctor
from operations.doctor import Level
from runtime.settings import Settings
from tests.dialects import ALL, BEDROCK, GEMINI, KEY, KEYS, OPENAI, Answering, Dialect, Refused, Said, in_turn, serving
from tests.servers import a_server, send

EVERY = pytest.mark.parametrize("dialect", ALL, ids=lambda dialect: dialect.kind)


@pytest.fixture(autouse=True)
def _account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "us")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)


def examined(dialect: Dialect, says: Answering, model: str = "some-model", **more: str) -> list[tuple[Level, str, str]]:
    with serving(dialect, says) as running:
        chosen = Settings.load({
            **KEYS, "CAT_ENGINES": f"{dialect.kind}:{model}", dialect.setting: running.url + dialect.path, **more,
        })  # fmt: skip
        return list(doctor.CHECKS["engines"](chosen))


@EVERY
def test_one_real_call_is_made_and_its_cost_is_said(dialect: Dialect, tmp_path: Path) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text('[[models]]\nsource = "ours, 2026"\n[models.known]\n"some-model" = { in = 1000, out = 2000 }\n')

    _, (level, what, _) = examined(dialect, in_turn(Said()), PRICES_FILE=str(prices))

    assert level is Level.OK
    # seven tokens in and three out
    assert f"{dialect.name} answers in" in what
    assert "this call cost 0.013000 USD" in what


@EVERY
def test_a_key_that_is_not_accepted_is_named(dialect: Dialect) -> None:
    *_, (level, what, remedy) = examined(dialect, in_turn(Refused(401, "no such key")))

    assert level is Level.WRONG
    assert "is not accepted" in what
    assert "_KEY" in what + remedy
    assert KEY not in what + remedy


def test_a_key_that_google_calls_a_bad_request_is_named_too() -> None:
    said = "API key not valid. Please pass a valid API key."
    *_, (_, what, remedy) = examined(GEMINI, in_turn(Refused(400, said)))

    assert "GEMINI_API_KEY is not accepted" in what
    assert remedy == "set GEMINI_API_KEY to a valid key"


@EVERY
def test_what_the_server_says_is_shown(dialect: Dialect) -> None:
    *_, (level, what, _) = examined(dialect, in_turn(Refused(404, "there is no some-model here")))

    assert level is Level.WRONG
    assert "there is no some-model here" in what


@EVERY
def test_a_server_that_is_not_there_is_named(dialect: Dialect) -> None:
    chosen = Settings.load({
        **KEYS, "CAT_ENGINES": dialect.name, dialect.setting: "http://127.0.0.1:1",
    })  # fmt: skip

    *_, (level, what, remedy) = doctor.CHECKS["engines"](chosen)

    assert level is Level.WRONG
    assert f"the server of {dialect.name} does not answer" in what
    assert dialect.setting in remedy


def test_what_a_server_refuses_is_said() -> None:
    def says(asked: dict[str, Any]) -> Said | Refused:
        refused = [name for name in ("max_completion_tokens", "temperature") if name in asked]
        return Refused(422, f"{refused[0]}: extra inputs are not permitted") if refused else Said()

    *_, (level, what, _) = examined(OPENAI, says)

    assert level is Level.OK
    assert "it refuses max_completion_tokens, temperature;" in what


@pytest.mark.parametrize(
    ("model", "warned"),
    [
        ("gpt-5-mini", ""),
        (
            "openai/gpt-5-mini",
            "openai/gpt-5-mini is charged like gpt-5-mini at its maker; the gateway may ask for more",
        ),
        ("openrouter/openai/gpt-5-mini-2025-08-07", "is charged like gpt-5-mini at its maker"),
        ("meta-llama/llama-9", "no price of meta-llama/llama-9 is known; it is charged like the most expensive model"),
        ("local", "is a small model"),
    ],
)
def test_a_price_that_is_only_assumed_is_a_warning(model: str, warned: str) -> None:
    findings = examined(OPENAI, in_turn(Said()), model)

    warnings = [what for level, what, _ in findings if level is Level.WARNING]
    assert len(warnings) == bool(warned)
    assert all(warned in what for what in warnings)


@pytest.mark.parametrize("words", ["I'm sorry, but I can't assist with that.", "<think>hm"])
def test_an_engine_whose_words_cannot_be_sent_is_found(words: str) -> None:
    findings = examined(OPENAI, in_turn(Said(words)))

    assert any(level is not Level.OK for level, *_ in findings)


def test_an_engine_that_lacks_a_key_is_found_and_the_others_are_asked() -> None:
    with a_server(lambda handler: send(handler, b"{}", status=500)) as url:
        chosen = Settings.load({"CAT_ENGINES": "anthropic:m,openai:m,dada", "OPENAI_BASE_URL": url})
        findings = [what for _, what, _ in doctor.CHECKS["engines"](chosen)]

    assert findings[1] == "anthropic:m needs ANTHROPIC_API_KEY"
    assert any(what.startswith("openai:m: InternalServerError") for what in findings)


def test_the_command_asks_bedrock_with_an_operators_rights(tmp_path: Path) -> None:
    away = "http://127.0.0.1:1"
    with serving(BEDROCK, in_turn(Said())) as running:
        given = {
            "CAT_ENGINES": BEDROCK.name, BEDROCK.setting: running.url, "AWS_ENDPOINT_URL": away,
            "REDIS_URL": "redis://127.0.0.1:1/0", "TWILIO_API_BASE_URL": away, "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "TWILIO_AUTH_TOKEN": KEY, "TWILIO_PHONE_NUMBER": "+15005550006",
        }  # fmt: skip
        command = [str(Path(sys.executable).with_name("dadacat")), "doctor"]
        said = subprocess.run(
            command, env={**os.environ, **given}, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    assert f"{BEDROCK.name} answers in" in said.stdout
