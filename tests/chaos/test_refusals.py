"""Redis becomes a replica, DynamoDB refuses: texts wait, and the same processes answer.

The tree has one worker of each pool, whose requests to DynamoDB pass a proxy that can answer in its place.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.outside import Outside
from chaos.proxy import Exchange, Reaction, When
from chaos.tree import Member, Tree
from tests.conftest import wait_until

pytestmark = [pytest.mark.road, pytest.mark.long, pytest.mark.timeout(1800)]

POOLS = ("threads", "prefork")
DEMOTED_SECONDS = 25
DENIED_SECONDS = 15
COMES_BACK_SECONDS = 150
#: The operations that a visit, a reconciliation or a memory needs.
OPERATIONS = (
    "GetItem", "UpdateItem", "TransactWriteItems", "Query", "DeleteItem", "BatchGetItem", "BatchWriteItem", "Scan",
)  # fmt: skip
_people = itertools.count(1)


class Refusing:
    """An observer that answers requests of one operation as DynamoDB answers without the permission."""

    def __init__(self) -> None:
        self.operation = ""
        self.code = "AccessDeniedException"
        self.refused = 0

    def observe(self, _: Member, exchange: Exchange) -> Reaction:
        if exchange.service != "dynamodb" or exchange.when is not When.BEFORE or not self.operation:
            return None
        if f"DynamoDB_20120810.{self.operation}\r\n".encode() not in exchange.request:
            return None
        self.refused += 1
        words = f"not authorized to perform: dynamodb:{self.operation} on resource: table/DadaCatMessages"
        body = json.dumps({"__type": f"com.amazonaws.dynamodb#{self.code}", "message": words}).encode()
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {len(body)}"
        return f"{head}\r\n\r\n".encode() + body


@pytest.fixture(scope="module")
def refusing() -> Refusing:
    return Refusing()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, refusing: Refusing) -> Iterator[Tree]:
    tree = Tree(
        data=tmp_path_factory.mktemp("refusals"), workers=len(POOLS), pools=POOLS, skewed=False,
        observe=refusing.observe, died=lambda _: None, settings={"WORKER_CONCURRENCY": "3"},
    )  # fmt: skip
    try:
        tree.start()
        yield tree
    finally:
        refusing.operation = ""
        tree.stop()


@pytest.fixture(scope="module")
def outside(tree: Tree) -> Iterator[Outside]:
    outside = Outside(tree.urls)
    outside.post_texts_to(tree.webhook_url())
    yield outside
    outside.close()


@pytest.fixture
def the_same_processes(tree: Tree) -> Iterator[None]:
    def processes() -> set[int]:
        members = {member.process.pid for member in tree.members if member.process}
        return members | {pid for pid, _ in tree._children()}

    before = processes()
    yield
    assert processes() == before, "a process died and was started again"


def texts(outside: Outside, count: int) -> list[str]:
    people = [f"+1556{next(_people):07d}" for _ in range(count)]
    for person in people:
        outside.text(person, "are you there?")
    return people


def dead(outside: Outside) -> list[str]:
    return [row.key for row in outside.tables.rows() if row.state in ("DEAD", "FAILED")]


def all_are_answered_once(outside: Outside, people: list[str]) -> None:
    wait_until(
        lambda: all(outside.replies(person) for person in people), seconds=COMES_BACK_SECONDS / 5, what="every reply"
    )
    assert [len(outside.replies(person)) for person in people] == [1] * len(people)
    assert dead(outside) == []


def logged(tree: Tree, words: str) -> bool:
    logs = (tree.data / "logs").glob("chaos-c*.log")
    return any(words in Path(log).read_text(errors="replace") for log in logs)


@pytest.mark.usefixtures("the_same_processes")
def test_redis_is_a_replica_for_a_while_and_then_the_primary_again(tree: Tree, outside: Outside) -> None:
    people = texts(outside, 3)
    outside.redis.replicaof("127.0.0.1", "1")
    until = time.monotonic() + DEMOTED_SECONDS
    while time.monotonic() < until:
        people += texts(outside, 1)
        time.sleep(3)
    outside.redis.replicaof("NO", "ONE")

    people += texts(outside, 10)
    all_are_answered_once(outside, people)
    assert logged(tree, "read only replica")


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.usefixtures("the_same_processes")
def test_a_permission_is_denied_for_a_while(tree: Tree, outside: Outside, refusing: Refusing, operation: str) -> None:
    refusing.refused = 0
    refusing.operation = operation
    people: list[str] = []
    until = time.monotonic() + DENIED_SECONDS
    while time.monotonic() < until:
        people += texts(outside, 1)
        time.sleep(2)
    refusing.operation = ""

    people += texts(outside, 3)
    all_are_answered_once(outside, people)
    if refusing.refused:
        wait_until(lambda: logged(tree, f"dynamodb:{operation} on resource: table/DadaCatMessages"), what="the alarm")


@pytest.mark.parametrize("code", [
    "ExpiredTokenException", "KMSAccessDeniedException", "ResourceNotFoundException",
    "ThrottlingException", "ProvisionedThroughputExceededException",
])  # fmt: skip
@pytest.mark.usefixtures("the_same_processes")
def test_the_store_refuses_in_another_way_for_a_while(outside: Outside, refusing: Refusing, code: str) -> None:
    refusing.operation, refusing.code = "UpdateItem", code
    people = texts(outside, 3)
    time.sleep(DENIED_SECONDS)
    refusing.operation, refusing.code = "", "AccessDeniedException"

    all_are_answered_once(outside, people)
