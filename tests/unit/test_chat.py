"""`dadacat chat`: the cat in the terminal."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from conversation.manager import ConversationManager
from conversation.storage import InMemoryStorage
from dadacat.cli import main
from operations.chat import Chat
from tests.builders import ANN, WINDOW, a_cat


def test_the_cat_answers_line_by_line_and_says_what_it_would_cost(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))

    answer = CliRunner().invoke(main, ["chat", "--engine", "dada"], input="hello\nmy umbrella flew away\n\n")

    assert answer.exit_code == 0, answer.output
    assert "you>" not in answer.output  # the texts come from a pipe
    assert answer.output.count("dada, ") == 2
    assert answer.output.count("1 segment GSM-7") == 2


def test_a_program_reads_each_reply_as_a_line(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(tmp_path))

    answer = CliRunner().invoke(
        main, ["chat", "--engine", "dada", "--json-lines"], input="hello\nmy umbrella flew away\n"
    )

    replies = [json.loads(line) for line in answer.output.splitlines()]
    assert [reply["engine"] for reply in replies] == ["dada", "dada"]
    assert all(reply["reply"] for reply in replies)


def test_an_engine_that_no_one_knows_is_told_so(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(tmp_path))

    answer = CliRunner().invoke(main, ["chat", "--engine", "parrot"], input="hello\n")

    assert answer.exit_code == 1
    assert "CAT_ENGINES" in answer.output
    assert "Traceback" not in answer.output


def test_what_was_said_is_there_the_next_time_and_gone_after_a_reset() -> None:
    storage = InMemoryStorage()

    def a_chat() -> Chat:
        return Chat(a_cat([]), ConversationManager(storage), ANN, WINDOW)

    first = a_chat().say("my umbrella flew away")
    assert list(a_chat().before()) == [("user", "my umbrella flew away"), ("assistant", first.words)]

    last = a_chat().say("reset")
    assert list(a_chat().before()) == [("user", "reset"), ("assistant", last.words)]
