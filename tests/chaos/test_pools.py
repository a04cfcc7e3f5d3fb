"""A worker of every supported pool recovers by itself from each kind of Redis outage.

Redis restarts, drops its connections, falls silent, or is away: for a minute in the long run.

The tree has one worker of each pool. To prove that a worker works, the others are stopped with SIGSTOP while it gets a
text. No worker is restarted: the process that answers at the end is the one from the beginning.
"""

from __future__ import annotations

import itertools
import signal
import subprocess
from collections.abc import Iterator

import pytest

from chaos.outside import Outside
from chaos.tree import Member, Tree
from tests.conftest import wait_until

pytestmark = [
    pytest.mark.road,
    pytest.mark.timeout(1800),
]

POOLS = ("threads", "prefork")
#: Celery's pauses between two connection attempts grow to half a minute, and a busy machine notices late that Redis is
#: back.
COMES_BACK_SECONDS = 150
_people = itertools.count(1)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    tree = Tree(
        data=tmp_path_factory.mktemp("pools"), workers=len(POOLS), pools=POOLS, skewed=False,
        observe=lambda *_: None, died=lambda _: None, settings={"WORKER_CONCURRENCY": "3"},
    )  # fmt: skip
    try:
        tree.start()
        yield tree
    finally:
        tree.stop()


@pytest.fixture(scope="module")
def outside(tree: Tree) -> Iterator[Outside]:
    outside = Outside(tree.urls)
    outside.post_texts_to(tree.webhook_url())
    yield outside
    outside.close()


@pytest.fixture(scope="module")
def pids(tree: Tree) -> dict[str, int]:
    return {member.pool: member.process.pid for member in tree.of_role("worker") if member.process}


@pytest.fixture
def the_same_processes(tree: Tree, pids: dict[str, int]) -> Iterator[None]:
    yield
    for member in tree.of_role("worker"):
        assert member.process is not None
        assert member.process.pid == pids[member.pool], f"the {member.pool} worker died and was started again"


def all_workers_answer(tree: Tree, outside: Outside) -> None:
    for member in tree.of_role("worker"):
        answers(tree, outside, member)


def answers(tree: Tree, outside: Outside, alone: Member) -> None:
    """Assert that this worker answers a text while all others are stopped."""
    person = f"+1557{next(_people):07d}"
    others = [member for member in tree.of_role("worker") if member is not alone]
    for member in others:
        stop(member, signal.SIGSTOP)
    try:
        outside.text(person, f"hello, {alone.pool}")
        outside.wait_for_delivery(person, COMES_BACK_SECONDS)
    finally:
        for member in others:
            stop(member, signal.SIGCONT)


def stop(member: Member, number: signal.Signals) -> None:
    """Signal a worker and, in a prefork pool, its children, which do the work."""
    assert member.process is not None
    pid = str(member.process.pid)
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", pid], capture_output=True, text=True, check=False)
    subprocess.run(["kill", f"-{number.value}", pid, *children.stdout.split()], check=False, capture_output=True)


@pytest.mark.usefixtures("the_same_processes")
def test_each_pool_answers(tree: Tree, outside: Outside) -> None:
    all_workers_answer(tree, outside)


@pytest.mark.usefixtures("the_same_processes")
def test_after_redis_dropped_every_connection(tree: Tree, outside: Outside) -> None:
    outside.redis.client_kill_filter(_type="normal")
    outside.redis.client_kill_filter(_type="pubsub")

    all_workers_answer(tree, outside)


@pytest.mark.usefixtures("the_same_processes")
def test_after_redis_was_killed_and_started_again(tree: Tree, outside: Outside) -> None:
    assert tree.kill_launched("valkey-server", "redis-server")

    all_workers_answer(tree, outside)


@pytest.mark.usefixtures("the_same_processes")
def test_after_connections_fell_silent_without_being_closed(tree: Tree, outside: Outside) -> None:
    for member in tree.of_role("worker"):
        member.proxies["redis"].fall_silent()

    all_workers_answer(tree, outside)


@pytest.mark.usefixtures("the_same_processes")
@pytest.mark.parametrize("seconds", [15, pytest.param(60, marks=pytest.mark.long)])
def test_after_redis_was_away_what_came_meanwhile_is_answered(tree: Tree, outside: Outside, seconds: int) -> None:
    for member in tree.of_role("worker"):
        member.proxies["redis"].away(seconds)
    person = f"+1557999{seconds:04d}"
    # The webhook reaches Redis by another proxy: it accepts texts while no worker can work.
    outside.text(person, "is anybody there?")

    outside.wait_for_delivery(person, seconds + COMES_BACK_SECONDS)
    all_workers_answer(tree, outside)


def test_sigterm_ends_each_pool_without_losing_what_waits(tree: Tree, outside: Outside) -> None:
    """Run last, because it ends the workers."""
    people = [f"+1558{n:07d}" for n in range(20)]
    for person in people:
        outside.text(person, "before the end")
    for member in tree.of_role("worker"):
        member.signal(signal.SIGTERM)

    wait_until(lambda: all(outside.replies(person) for person in people), seconds=90, what="every reply")

    assert [len(outside.replies(person)) for person in people] == [1] * 20
