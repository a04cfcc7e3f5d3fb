"""A keyword is heard however it is written, and no sentence is taken for one."""

from __future__ import annotations

import pytest

from cat.engines.dada import Dada
from cat.ports import Heard
from sms import keywords
from sms.keywords import Keyword
from tests.room import Room


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        *((text, Keyword.STOP) for text in ("stop", "STOP.", "Stop!", " stop ", "STOP ALL", "stop-all", "opt out", "Opt-Out", "OPTOUT.", "STOP STOP", "end.", "\u201cSTOP\u201d", "Darse de baja.", "ARRÊT!", "Unsubscribe!!", "\uff33\uff34\uff2f\uff30", "\U0001d412\U0001d413\U0001d40e\U0001d40f")),
        *((text, Keyword.START) for text in ("START!", "un-stop")),
        *((text, Keyword.HELP) for text in ("HELP", "help?", "Info.", "Hilfe.")),
        *((text, Keyword.RESET) for text in ("reset!", "Reset.", "clear?", "RESTART", "vergiss alles", "Vergiss alles!", "oublie tout.", "olvida todo")),
        *((text, None) for text in ("stop it, silly", "stop that", "don't stop", "please stop the rain", "the end", "i quit smoking", "cancel the party", "opt out of what", "clear sky", "start here", "help me", "help!", "HILFE!!", "", "?!", "stops", "reset the clock", "no stop", "help" + "!" * 4000 + "x")),
    ],
)  # fmt: skip
def test_a_keyword_is_a_whole_text_in_any_dress(text: str, keyword: Keyword | None) -> None:
    assert keywords.read(text) is keyword


@pytest.mark.parametrize("text", ["reset!", "Reset.", "clear?", "vergiss alles", "oublie tout.", "olvida todo"])
def test_the_poet_knows_the_same_words(text: str) -> None:
    assert Dada().reply(Heard(history=[], texts=[text], seed="SM1"), seconds=1).facts["kind"] == "reset"


def test_yes_is_consent_only_after_a_stop() -> None:
    assert keywords.read("Yes!", opted_out=True) is Keyword.START
    assert keywords.read("Yes!") is None


@pytest.mark.parametrize("text", ["STOP.", "opt out", "Stop!"])
def test_a_stop_in_any_dress_opts_out(text: str) -> None:
    room = Room()
    room.texts("hello", text, "hello?")
    room.serve()

    # a STOP that waits is heeded before anything else
    assert room.received == []


@pytest.mark.parametrize("text", ["reset!", "vergiss alles."])
def test_a_reset_in_any_dress_forgets(text: str) -> None:
    room = Room()
    room.texts("my name is ada", text, "hello")
    room.serve()

    assert room.parrot.heard[-1].history == [
        {"role": "user", "content": text},
        {"role": "assistant", "content": room.received[1]},
    ]


@pytest.mark.parametrize("text", ["help!", "hilfe", "ayuda"])
def test_a_cry_for_help_is_not_met_with_silence(text: str) -> None:
    room = Room()
    room.parrot.words = "prrt."
    room.texts(text)
    room.serve()

    assert "911" in room.received[0]
