"""The conversation package in a program of its own: its names, its types, its errors."""

from __future__ import annotations

import tomllib
from inspect import signature

import pytest

import conversation
from conversation import ConversationError, ConversationManager, DynamoDBStorage, InMemoryStorage, NotStorable
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


def test_the_reference_names_everything_that_can_be_called_and_raised() -> None:
    page = (ROOT / "docs/reference/conversation.md").read_text()
    arguments = [name for name in signature(DynamoDBStorage).parameters if name not in ("tables", "table_name")]
    methods = [name for name in vars(ConversationManager) if not name.startswith("_")]

    assert [name for name in (*conversation.__all__, *arguments, *methods) if f"`{name}" not in page] == []
