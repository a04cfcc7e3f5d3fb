"""The specification's usage example on a real store, and its promises under load and with old data."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.stub import Stubber

from conversation import window
from conversation.dynamodb import DynamoDB
from conversation.errors import CorruptConversation, TableMissing
from conversation.manager import ConversationManager
from conversation.models import Message, Role
from conversation.storage import DynamoDBStorage
from tests.builders import NOW, asked_of
from tests.conftest import ROOT

EXAMPLE = """
from conversation.models import Message
from conversation.storage import DynamoDBStorage
from conversation.manager import ConversationManager

# Initialize storage and manager
storage = DynamoDBStorage(table_name='DadaCatConversations')
manager = ConversationManager(storage=storage)

# Add a user message
manager.add_user_message(user_id='+1234567890', content='Hello DadaCat!')

# Add an assistant response
manager.add_assistant_message(user_id='+1234567890', content='meow, human!')

# Get the conversation history
conversation = manager.get_or_create_conversation(user_id='+1234567890')
formatted_history = conversation.get_formatted_history()

# Reset the conversation
manager.reset_conversation(user_id='+1234567890')
"""

OLD = "+15559990000"


@pytest.fixture
def client(dynamodb_url: str) -> Any:  # Any: boto3's client
    return boto3.client("dynamodb", endpoint_url=dynamodb_url, region_name="us-east-1")


@pytest.fixture
def storage(dynamodb_url: str) -> DynamoDBStorage:
    return DynamoDBStorage(f"T{uuid4().hex[:12]}", endpoint_url=dynamodb_url)


def test_the_usage_example_runs_unchanged(dynamodb_url: str, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": dynamodb_url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "fakeAccessKeyId",
        "AWS_SECRET_ACCESS_KEY": "fakeSecretAccessKey",
    }.items():
        monkeypatch.setenv(name, value)
    namespace: dict[str, Any] = {}

    exec(EXAMPLE, namespace)  # noqa: S102 - the specification's own text

    assert namespace["formatted_history"] == [
        {"role": "user", "content": "Hello DadaCat!"},
        {"role": "assistant", "content": "meow, human!"},
    ]
    table = client.describe_table(TableName="DadaCatConversations")["Table"]
    assert table["KeySchema"] == [{"AttributeName": "user_id", "KeyType": "HASH"}]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    item = client.get_item(TableName="DadaCatConversations", Key={"user_id": {"S": "+1234567890"}})["Item"]
    types = {"user_id": "S", "created_at": "S", "updated_at": "S", "messages": "S", "is_active": "BOOL"}
    assert {name: next(iter(item[name])) for name in types} == types
    assert json.loads(item["messages"]["S"]) == []


WRITER = """
import sys, threading
from conversation.manager import ConversationManager
from conversation.storage import DynamoDBStorage
url, table, process = sys.argv[1:]
manager = ConversationManager(storage=DynamoDBStorage(table, endpoint_url=url))
def write(thread):
    for number in range(3):
        manager.add_user_message('+15551110000', f'{process}-{thread}-{number}')
threads = [threading.Thread(target=write, args=(n,)) for n in range(16)]
[t.start() for t in threads]; [t.join() for t in threads]
"""


def test_two_processes_with_sixteen_threads_lose_no_message(storage: DynamoDBStorage, dynamodb_url: str) -> None:
    storage.ensure_tables()
    command = [sys.executable, "-c", WRITER, dynamodb_url, storage.names.conversations]
    processes = [subprocess.Popen([*command, name], cwd=ROOT) for name in ("a", "b")]

    assert [process.wait(150) for process in processes] == [0, 0]

    expected = {f"{process}-{thread}-{number}" for process in "ab" for thread in range(16) for number in range(3)}
    history = [entry.content for entry in ConversationManager(storage=storage).history("+15551110000")]
    assert sorted(history) == sorted(expected)
    conversation = storage.get("+15551110000")
    assert conversation is not None
    assert len(conversation.messages) == window.WINDOW_MESSAGES
    assert {message.content for message in conversation.messages} <= expected


def an_old_item(storage: DynamoDBStorage, client: Any, entries: list[Any], **attributes: Any) -> None:
    storage.ensure_tables()
    item = {"user_id": {"S": OLD}, "messages": {"S": json.dumps(entries)}, **attributes}
    client.put_item(TableName=storage.names.conversations, Item=item)


def test_an_old_programs_item_is_read_as_it_is(storage: DynamoDBStorage, client: Any) -> None:
    an_old_item(
        storage, client,
        [{"sender": "user", "content": "hi"},
         {"sender": "dadacat", "content": "meow", "mood": "blue"},
         {"content": "?"}],
    )  # fmt: skip

    conversation = storage.get(OLD)

    assert conversation is not None
    assert [(str(m.role), m.content) for m in conversation.messages] == [
        ("user", "hi"),
        ("assistant", "meow"),
        ("user", "?"),
    ]
    assert (conversation.is_active, conversation.version) == (True, 0)


def test_an_old_programs_item_is_rewritten_without_loss(storage: DynamoDBStorage, client: Any) -> None:
    old = [{"sender": "user" if n % 2 == 0 else "bot", "content": f"old {n}", "n": n} for n in range(100)]
    an_old_item(storage, client, old, favourite_colour={"S": "blue"}, is_active={"BOOL": False})

    ConversationManager(storage=storage).add_user_message(OLD, "new")

    item = client.get_item(TableName=storage.names.conversations, Key={"user_id": {"S": OLD}})["Item"]
    assert item["favourite_colour"] == {"S": "blue"}
    assert item["is_active"] == {"BOOL": False}
    kept = json.loads(item["messages"]["S"])
    assert len(kept) == window.WINDOW_MESSAGES
    assert [message["n"] for message in kept[:-1]] == list(range(61, 100))
    assert kept[0]["sender"] == "bot"
    entries = [entry.content for entry in ConversationManager(storage=storage).history(OLD)]
    assert entries == [f"old {n}" for n in range(61)] + ["new"]


def test_an_old_program_that_goes_on_writing_loses_nothing(storage: DynamoDBStorage, client: Any) -> None:
    """An old program puts the whole item while we write: our `version` is gone and must not be assumed."""
    manager = ConversationManager(storage=storage)
    an_old_item(storage, client, [{"sender": "user", "content": "one"}], updated_at={"S": "2025-01-01T00:00:00"})
    manager.add_user_message(OLD, "two")
    ours = json.loads(
        client.get_item(TableName=storage.names.conversations, Key={"user_id": {"S": OLD}})["Item"]["messages"]["S"]
    )
    an_old_item(
        storage, client, [*ours, {"sender": "bot", "content": "three"}], updated_at={"S": "2026-01-01T00:00:00"}
    )

    conversation = manager.add_user_message(OLD, "four")

    assert [m.content for m in conversation.messages] == ["one", "two", "three", "four"]


@pytest.mark.parametrize(
    "odd",
    [
        {"version": {"N": "0"}},
        {"updated_at": {"NULL": True}},
        {"metadata": {"S": "not json"}},
        {"messages": {"L": [{"M": {"sender": {"S": "user"}, "content": {"S": "hi"}, "n": {"N": "1.5"}}}]}},
    ],
    ids=["version 0", "no updated_at", "metadata", "native list"],
)
def test_an_odd_item_is_written_to_like_any(storage: DynamoDBStorage, client: Any, odd: dict[str, Any]) -> None:
    an_old_item(storage, client, [{"sender": "user", "content": "hi"}], **odd)

    conversation = ConversationManager(storage=storage).add_user_message(OLD, "new")

    assert [m.content for m in conversation.messages] == ["hi", "new"]
    item = client.get_item(TableName=storage.names.conversations, Key={"user_id": {"S": OLD}})["Item"]
    assert item.get("metadata") == odd.get("metadata")


def test_what_we_would_write_otherwise_is_kept_as_it_stood(storage: DynamoDBStorage, client: Any) -> None:
    old: list[dict[str, Any]] = [
        {"role": "function", "content": "42", "timestamp": 1700000000},
        {"role": "user", "content": ["a", "list"]},
        {"sender": "user", "content": None},
    ]
    an_old_item(storage, client, old)

    ConversationManager(storage=storage).add_user_message(OLD, "new")

    item = client.get_item(TableName=storage.names.conversations, Key={"user_id": {"S": OLD}})["Item"]
    kept = json.loads(item["messages"]["S"])[:3]
    for before, after in zip(old, kept, strict=True):
        assert {name: after[name] for name in before} == before


def test_what_cannot_be_read_is_left_as_it_is(storage: DynamoDBStorage, client: Any) -> None:
    storage.ensure_tables()
    client.put_item(TableName=storage.names.conversations, Item={"user_id": {"S": OLD}, "messages": {"S": "[{"}})

    with pytest.raises(CorruptConversation, match="messages"):
        ConversationManager(storage=storage).add_user_message(OLD, "new")

    item = client.get_item(TableName=storage.names.conversations, Key={"user_id": {"S": OLD}})["Item"]
    assert item["messages"] == {"S": "[{"}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("messages", [2_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_the_item_of_a_conversation_of_thousands_of_messages_is_no_larger(
    storage: DynamoDBStorage, client: Any, messages: int
) -> None:
    """Write all but ten messages straight to the journal in batches, and add the last ten one by one."""
    written = messages - 10
    storage.ensure_tables()
    manager = ConversationManager(storage=storage)
    for number in range(10):
        manager.add_user_message("+15550000010", f"text {number:05d}")
    rows = [
        {"user_id": {"S": "+15550000011"},
         "message_key": {"S": f"msg#{n:013d}#x"}, "arrived": {"S": f"{n:013d}-000000"},
         "role": {"S": "user"}, "content": {"S": f"text {n:05d}"}, "state": {"S": "SETTLED"}}
        for n in range(written)
    ]  # fmt: skip
    for at in range(0, len(rows), 25):
        client.batch_write_item(
            RequestItems={storage.names.messages: [{"PutRequest": {"Item": r}} for r in rows[at : at + 25]]}
        )
    window_messages = [
        {"role": "user", "content": f"text {n:05d}", "key": f"msg#{n:013d}#x"} for n in range(written - 40, written)
    ]
    client.put_item(
        TableName=storage.names.conversations,
        Item={
            "user_id": {"S": "+15550000011"},
            "messages": {"S": json.dumps(window_messages)},
            "version": {"N": str(written)},
        },
    )

    consumed = []
    for user_id in ("+15550000010", "+15550000011"):
        calls = count_calls(storage)
        for number in range(written, messages):
            manager.add_user_message(user_id, f"text {number:05d}")
        consumed.append(calls())

    assert consumed[0] == consumed[1]
    assert sum(1 for _ in manager.history("+15550000011")) == messages
    item = client.get_item(TableName=storage.names.conversations, Key={"user_id": {"S": "+15550000011"}})["Item"]
    assert len(item["messages"]["S"].encode()) < window.WINDOW_BYTES


def count_calls(storage: DynamoDBStorage) -> Any:
    seen = asked_of(storage)
    return lambda: sorted(seen)


ACTIVE = {"Table": {"TableStatus": "ACTIVE"}}
MISSING = "ResourceNotFoundException"
DENIED = "AccessDeniedException"


@contextmanager
def dynamodb_that_answers(*answers: tuple[str, dict[str, Any] | str]) -> Iterator[DynamoDBStorage]:
    """A storage whose client gives these answers to these calls, in order, and refuses every other call.

    A string is the code of an error.
    """
    storage = DynamoDBStorage(endpoint_url="http://127.0.0.1:9")
    assert isinstance(storage.tables, DynamoDB)
    with Stubber(storage.tables.client) as stubber:
        for call, answer in answers:
            if isinstance(answer, str):
                stubber.add_client_error(call, answer)
            else:
                stubber.add_response(call, answer)
        yield storage
        stubber.assert_no_pending_responses()


def test_tables_that_are_found_are_never_created() -> None:
    with dynamodb_that_answers(("describe_table", ACTIVE), ("describe_table", ACTIVE)) as storage:
        storage.ensure_tables()


def test_tables_that_are_missing_are_created() -> None:
    with dynamodb_that_answers(
        ("describe_table", MISSING), ("create_table", {}), ("describe_table", ACTIVE), ("describe_table", ACTIVE)
    ) as storage:
        storage.ensure_tables()


def test_a_table_that_another_process_just_made_is_awaited() -> None:
    with dynamodb_that_answers(
        ("describe_table", MISSING), ("create_table", "ResourceInUseException"), ("describe_table", ACTIVE),
        ("describe_table", ACTIVE),
    ) as storage:  # fmt: skip
        storage.ensure_tables()


def test_missing_and_denied_is_a_clear_error() -> None:
    with (
        dynamodb_that_answers(("describe_table", MISSING), ("create_table", DENIED)) as storage,
        pytest.raises(TableMissing, match=r"DadaCatConversations.*dynamodb:CreateTable"),
    ):
        storage.ensure_tables()


def test_who_may_not_look_may_still_write() -> None:
    with dynamodb_that_answers(("describe_table", DENIED), ("describe_table", DENIED)) as storage:
        storage.ensure_tables()


def test_one_storage_serves_many_threads_from_its_first_call(storage: DynamoDBStorage) -> None:
    threads = [
        threading.Thread(
            target=lambda n=n: storage.append(
                f"+1555000{n:04d}", Message(role=Role.USER, content="hi", timestamp=NOW, key="msg#1"), now=NOW
            )
        )
        for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(storage.get(f"+1555000{n:04d}") for n in range(16))


def test_the_two_doors_of_the_specification_are_there() -> None:
    assert (ROOT / "scripts" / "run_dynamodb_local.sh").stat().st_mode & 0o111
    answer = subprocess.run(
        [sys.executable, str(ROOT / "app_persistent.py"), "--help"], capture_output=True, text=True, check=True
    )
    assert "--headless" in answer.stdout
    assert Path(ROOT / "docker-compose.yml").exists()
