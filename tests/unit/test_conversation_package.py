"""The conversation package in a program of its own: its names, its types, its errors."""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
import subprocess
import sys
import tomllib
from inspect import signature
from pathlib import Path

import pytest

import conversation
from conversation import (
    Conversation,
    ConversationError,
    ConversationManager,
    DynamoDBStorage,
    InMemoryStorage,
    Message,
    NotStorable,
    Role,
    dynamodb_limits,
    errors,
    storage,
    window,
)
from conversation.entries import Entry
from tests.builders import ANN
from tests.conftest import ROOT


@pytest.fixture
def manager() -> ConversationManager:
    return ConversationManager(InMemoryStorage())


def test_what_the_package_names_it_has() -> None:
    for name in conversation.__all__:
        assert getattr(conversation, name).__module__.startswith("conversation.")


def test_every_package_says_that_it_is_typed() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]

    assert [package for package in packages if not (ROOT / package / "py.typed").exists()] == []


@pytest.mark.parametrize("content", [None, 7, b"hello", "", "x" * 400_000, "\ud800"])
def test_a_content_that_cannot_be_stored_is_refused_and_nothing_is_stored(
    manager: ConversationManager, content: str
) -> None:
    with pytest.raises(NotStorable, match="content"):
        manager.add_user_message(ANN, content)

    assert list(manager.history(ANN)) == []


@pytest.mark.parametrize("user_id", ["", None, "x" * 3000])
def test_an_id_that_no_person_can_have_is_refused_by_every_method(manager: ConversationManager, user_id: str) -> None:
    for call in (
        lambda: manager.add_user_message(user_id, "hello"),
        lambda: manager.add_assistant_message(user_id, "hello"),
        lambda: manager.get_or_create_conversation(user_id),
        lambda: manager.reset_conversation(user_id),
        lambda: list(manager.history(user_id)),
    ):
        with pytest.raises(NotStorable, match="user_id"):
            call()


@pytest.mark.parametrize("name", ["", "ab", "a table", "x" * 256])
def test_a_name_that_no_table_can_have_is_refused(name: str) -> None:
    with pytest.raises(NotStorable, match="name of a table"):
        DynamoDBStorage(name)
    with pytest.raises(NotStorable, match="name of a table"):
        DynamoDBStorage("Good", messages_table_name=name or "-")


def test_the_largest_message_is_stored_and_read_back(manager: ConversationManager) -> None:
    content = "ü" * 150_000

    manager.add_user_message(ANN, content)
    manager.add_assistant_message(ANN, "meow")

    assert [entry.content for entry in manager.history(ANN)] == [content, "meow"]


def test_without_credentials_a_sentence_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    with pytest.raises(ConversationError, match="AWS_ACCESS_KEY_ID"):
        ConversationManager(DynamoDBStorage()).add_user_message(ANN, "hello")


PAGE = (ROOT / "docs/reference/conversation.md").read_text()
(PROGRAM,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def _rows(head: str) -> list[list[str]]:
    """Return the cells of the table whose first header cell is `head`."""
    lines = PAGE.partition(f"| {head} |")[2].splitlines()[2:]
    return [line.strip("| ").split(" | ") for line in itertools.takewhile(lambda line: line.startswith("|"), lines)]


def _named(cell: str) -> list[str]:
    return re.findall(r"`(\w+)", cell)


def test_the_program_of_the_reference_is_the_one_that_the_type_checks_read() -> None:
    assert (ROOT / "tests/typing/conversation_program.py").read_text() == PROGRAM


@pytest.mark.long
def test_the_program_of_the_reference_passes_strict_type_checks(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM + "\nreveal_type(remember)\n")

    # the installed package is silent about itself, as any library is
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", f"--cache-dir={tmp_path}", "program.py"],
        cwd=tmp_path, env={**os.environ, "MYPYPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert checked.returncode == 0, checked.stdout
    assert "conversation.models.Message" in checked.stdout  # not Any


def test_the_program_of_the_reference_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    program = PROGRAM.replace("DynamoDBStorage()", "InMemoryStorage()").replace("DynamoDBStorage", "InMemoryStorage")
    exec(compile(program, "program.py", "exec"), {"__name__": "__main__"})  # noqa: S102 - the page's own program

    (said,) = re.findall(r"It prints `(.*?)`", PAGE)
    assert capsys.readouterr().out.splitlines() == [said]


def test_the_reference_has_every_call_with_its_arguments() -> None:
    calls = {
        f"{name}({', '.join(list(signature(method).parameters)[1:])})"
        for name, method in vars(ConversationManager).items()
        if not name.startswith("_")
    }

    assert {row[0].strip("`") for row in _rows("call")[: len(calls)]} == calls


def test_the_reference_has_every_argument_of_the_storage() -> None:
    described = {name for row in _rows("argument") for name in _named(row[0])}

    assert described | {"table_name"} == set(signature(DynamoDBStorage).parameters)


def test_the_reference_has_every_field_of_the_types() -> None:
    described = {row[0].strip("`"): _named(row[1]) for row in _rows("type")}

    fields = {kind: {field.name for field in dataclasses.fields(kind)} for kind in (Conversation, Message, Entry)}
    assert set(described["Message"]) == fields[Message]
    assert set(described["Entry"]) == fields[Entry]
    # the others are those of DadaCat's workers
    assert set(described["Conversation"]) - {"get_formatted_history"} <= fields[Conversation]
    assert described["Role"] == list(Role)


def test_the_reference_has_the_errors_and_what_each_is_a_kind_of() -> None:
    described = {row[0].split("`")[1]: _named(row[0])[1:] for row in _rows("error")}
    raised = {
        name: [base.__name__ for base in kind.__bases__ if base.__name__ in described]
        for name, kind in vars(errors).items()
        if name in described
    }

    assert raised == described
    assert all(issubclass(getattr(errors, name), ConversationError) for name in described)


def test_the_reference_has_the_numbers() -> None:
    numbers = (dynamodb_limits.MAX_USER_ID_BYTES, dynamodb_limits.MAX_CONTENT_BYTES, window.WINDOW_MESSAGES)
    defaults = signature(DynamoDBStorage).parameters

    assert all(f"{number:,}" in PAGE for number in numbers)
    assert f"at most {window.WINDOW_BYTES // 1024} KB" in PAGE
    for name in ("connections", "contention_seconds"):
        assert f"| `{name}` |" in PAGE
        assert re.search(rf"`{name}` .*by default {defaults[name].default:g} ", PAGE)


def test_the_package_imports_what_it_needs_and_no_more() -> None:
    program = (
        "import sys; before = set(sys.modules)\n"
        "from conversation import ConversationManager, DynamoDBStorage, InMemoryStorage, Message\n"
        "ConversationManager(DynamoDBStorage()); ConversationManager(InMemoryStorage()).add_user_message('a', 'b')\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    ours = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"])

    assert {name for name in loaded if name.partition(".")[0] in ours - {"conversation"}} <= {
        "runtime",
        "runtime.errors",
        "runtime.host",
        "runtime.loopback",
    }
    foreign = {"celery", "kombu", "redis", "twilio", "pydantic", "starlette", "openai", "httpx", "click", "structlog"}
    assert {name.partition(".")[0] for name in loaded} & foreign == set()


def test_the_storage_names_every_attribute_of_an_item() -> None:
    fields = [field for field in dataclasses.fields(Conversation) if field.compare]

    assert {field.metadata.get("stored", field.name) for field in fields} <= set(str(storage.__doc__).split())
