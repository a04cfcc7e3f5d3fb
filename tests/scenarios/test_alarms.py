"""Each alarm fires and ends on a real tree that a real Prometheus reads.

Every time of the alarms is divided by `FASTER`. `tests/unit/test_alarms.py` evaluates their rules at their real times.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from chaos.tree import free_port
from conversation.entries import arrived
from inbox import keys, payloads, wakeup
from journal.model import BUCKETS
from local import data_folder, prometheus
from operations.alarms import ALARMS
from scripts import dashboards
from tests.builders import OUR_NUMBER, a_sid
from tests.conftest import end, http_ok, wait_until
from tests.scenarios.conftest import ACCOUNT, Tree, trees
from tests.scenarios.test_faults import misbehave, part
from tests.scenarios.test_law import traffic
from tests.scenarios.test_operate import dadacat, run

pytestmark = [
    pytest.mark.road,
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="there is no prometheus: apt-get install prometheus"),
]

FASTER = 20.0
#: A row that is unsettled for so long belongs to no visit.
LONG_AGO = timedelta(minutes=1)
#: What fires in this module, collected by the tests.
FIRED = set[str]()
#: Short intervals, so that repairs and probes come within seconds.
SHORT = {
    "RECONCILE_INTERVAL_SECONDS": "2", "UNSETTLED_AFTER_SECONDS": "1", "UNKNOWN_PATIENCE_SECONDS": "2",
    "SWEEP_INTERVAL_SECONDS": "1", "SWEEP_PERSON_SECONDS": "2", "LEASE_SECONDS": "4", "LEASE_RENEW_SECONDS": "1",
    "PROBE_SECONDS": "1", "SMS_VALIDITY_SECONDS": "2", "DOUBLE_TEXT_POLICY": "each",
}  # fmt: skip


@dataclass
class Watched:
    """A tree, and the Prometheus that reads it."""

    tree: Tree
    url: str

    def ask(self, path: str, **query: str) -> Any:  # Any: JSON
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=query, timeout=10)
        answer.raise_for_status()
        return answer.json()["data"]

    def firing(self) -> set[str]:
        return {alert["labels"]["alertname"] for alert in self.ask("alerts")["alerts"] if alert["state"] == "firing"}

    def fires(self, *names: str, seconds: float = 60, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Wait until each has fired: one that ends by itself need not last until another begins.

        `meanwhile` is called again and again.
        """
        missing = set(names)

        def none_is_missing() -> bool:
            meanwhile()
            missing.difference_update(self.firing())
            return not missing

        wait_until(none_is_missing, seconds=seconds, what=f"the alarm {', '.join(names)}")
        FIRED.update(names)

    def ends(self, *names: str, seconds: float = 60) -> None:
        wait_until(lambda: not set(names) & self.firing(), seconds=seconds, what=f"the end of {', '.join(names)}")

    @contextmanager
    def halted(self, *programs: str) -> Iterator[None]:
        """Halt processes of the tree, with their children, for the length of the block."""
        status = data_folder.status(self.tree.data)
        assert status is not None
        groups = [status["processes"][program] for program in programs]
        for group in groups:
            os.killpg(group, signal.SIGSTOP)
        try:
            yield
        finally:
            for group in groups:
                os.killpg(group, signal.SIGCONT)

    def texts(self, count: int, *, prefix: str, body: str = "hello") -> list[str]:
        """Send texts of so many people; return their numbers."""
        people = [f"{prefix}{number:03d}" for number in range(count)]
        for person in people:
            self.tree.text(body, sender=person)
        return people


@contextmanager
def watched(tree: Tree, folder: Path) -> Iterator[Watched]:
    port, base = free_port(), tree.port_base
    workers = [base + 10 + number for number in range(tree.workers)]
    targets = {"webhook": [base], "worker": workers, "beat": [base + 9], "console": [base + 8]}
    program = prometheus.program(port, folder, targets, os.environ, faster=FASTER)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(program.command, env=dict(program.environment), stdout=log, stderr=log)
    try:
        wait_until(lambda: http_ok(f"http://127.0.0.1:{port}/-/ready"), what="Prometheus")
        world = Watched(tree, f"http://127.0.0.1:{port}")
        # every series begins before the first trouble; Prometheus reads its targets some seconds after its start
        processes = tree.workers + 3
        wait_until(lambda: len(world.ask("query", query="dadacat_process_ready == 1")["result"]) == processes)
        # what was not read yet counts as not ready, and 120 s without a worker are 6 here
        wait_until(lambda: not world.firing(), what="the end of what fired before the first reading")
        yield world
    finally:
        end(process)


@pytest.fixture(scope="module")
def world(start_tree: Callable[..., Tree], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    nowhere = "http://127.0.0.1:9/v1"
    tree = start_tree(
        workers=1, whole=True, **SHORT, CAT_ENGINES="openai:nothing", OPENAI_API_KEY="k", OPENAI_BASE_URL=nowhere
    )
    with watched(tree, tmp_path_factory.mktemp("prometheus")) as world:
        yield world


@pytest.fixture(autouse=True)
def well_again(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "world" in request.fixturenames:
        misbehave(request.getfixturevalue("world").tree)


def test_a_tree_that_is_well_fires_nothing(world: Watched) -> None:
    """For longer than any alarm waits before it fires."""
    fired, begun = set[str](), now(world)
    longest = max(alarm.for_seconds for alarm in ALARMS) / FASTER + 1

    def is_over() -> bool:
        fired.update(world.firing())
        return now(world) > begun + longest

    wait_until(is_over, seconds=2 * longest, what="a time without an alarm")
    assert fired == set()


def now(world: Watched) -> float:
    """Return the time by Prometheus's clock."""
    return float(world.ask("query", query="time()")["result"][1])


def test_no_worker_and_a_queue_that_grows(world: Watched) -> None:
    with world.halted("worker-1"), world.tree.redis as client:
        world.tree.text("hello", sender="+15556700001")
        for _ in range(600):
            client.lpush(keys.QUEUE, wakeup.message(payloads.ANSWER_TASK, "0" * 24))
        world.fires("NoWorker", "OldestTextTooOld", "WakeUpsPile")
        doctor_says(world, "no worker answers")

    world.ends("NoWorker", "OldestTextTooOld", "WakeUpsPile")


def doctor_says(world: Watched, *words: str) -> None:
    """Wait until doctor says one of these; on a busy machine a check may get no answer in its time."""

    def is_said() -> bool:
        said = run(world.tree, "doctor").stdout
        return any(each in said for each in words)

    wait_until(is_said, seconds=60, what=f"doctor's {' or '.join(words)}")


def a_form(sender: str) -> dict[str, str]:
    """Return the form in which Twilio posts a text."""
    return {"MessageSid": a_sid(), "AccountSid": ACCOUNT, "From": sender, "To": OUR_NUMBER, "Body": "hi"}


@pytest.mark.parametrize(("program", "alarm"), [("beat", "NoBeat"), ("webhook", "NoWebhook")])
def test_a_process_that_hangs(world: Watched, program: str, alarm: str) -> None:
    with world.halted(program):
        world.fires(alarm)

    world.ends(alarm)


def test_a_redis_that_refuses_us(world: Watched) -> None:
    with world.tree.redis as client:
        client.acl_setuser(
            "operator", enabled=True, passwords=["+secret"], keys=["*"], channels=["*"], categories=["+@all"]
        )
    operator = redis.Redis.from_url(world.tree.urls["redis"], username="operator", password="secret")
    # Celery can still push and take tasks
    denied = ["-zrange", "-zadd"]
    operator.acl_setuser("default", enabled=True, nopass=True, keys=["*"], channels=["*"], commands=denied)
    try:
        assert world.tree.post(a_form("+15556700002")).status_code == 503
        world.fires("RedisAway", "TextsNotStored", "StoreDenied")
        doctor_says(world, "NOPERM", "cannot be asked")
    finally:
        operator.acl_setuser("default", enabled=True, nopass=True, keys=["*"], channels=["*"], categories=["+@all"])
        operator.close()

    world.ends("RedisAway", "TextsNotStored", "StoreDenied")


def test_a_redis_that_does_not_answer(world: Watched) -> None:
    with world.halted("redis"):
        # a scrape fails, too, while Redis hangs, and so misses what was counted before it
        world.fires(
            "RedisAway", "TextsNotStored", seconds=90, meanwhile=lambda: world.tree.post(a_form("+15556700011"))
        )
        assert world.tree.post(a_form("+15556700011")).status_code == 503
        doctor_says(world, "wrong    redis")

    person = "+15556700012"
    world.tree.text("hello", sender=person)
    wait_until(lambda: world.tree.replies(person), what="the reply")
    world.ends("RedisAway", "TextsNotStored", seconds=90)


def test_a_redis_that_is_not_durable_or_full(world: Watched) -> None:
    with world.tree.redis as client:
        used: Any = client.info("memory")
        client.config_set("appendonly", "no")
        client.config_set("maxmemory", int(used["used_memory"] * 1.1))
        world.fires("RedisNotDurable", "RedisNearlyFull")
        doctor_says(world, "appendonly is no")

        client.config_set("maxmemory", int(used["used_memory"] * 0.5))
        assert world.tree.post(a_form("+15556700003")).status_code == 503
        client.config_set("maxmemory", 0)
        client.config_set("appendonly", "yes")
        world.ends("RedisNotDurable", "RedisNearlyFull")


@pytest.mark.parametrize(
    ("status", "code", "alarm"),
    [
        (401, 20003, "SendingStopped"),
        (403, 20005, "SendingStopped"),
        (400, 21606, "SendingStopped"),
        (400, 21608, "PeopleStopped"),
    ],
)
def test_twilio_refuses_the_account_a_sender_or_a_person(world: Watched, status: int, code: int, alarm: str) -> None:
    person = f"+155568{code}"
    misbehave(world.tree, {"at": "create", "do": "error", "status": status, "code": code})
    world.tree.text("hello", sender=person)
    world.fires(alarm)
    doctor_says(world, "nothing is sent")

    misbehave(world.tree)
    wait_until(lambda: world.tree.replies(person), what="the reply")
    world.ends(alarm)


def test_twilio_is_down_and_replies_are_held(world: Watched) -> None:
    misbehave(world.tree, {"at": "create", "do": "error", "status": 503})
    people = world.texts(8, prefix="+15556710")
    world.fires("TwilioAway")
    world.fires("RepliesHeld", seconds=90)

    misbehave(world.tree)
    for person in people:
        key = part(world.tree, person)["message_key"]
        wait_until(partial(is_held, world.tree, person), what="HELD")
        dadacat(world.tree, "held", "settle", key, "--not-sent", "--yes")
    world.ends("TwilioAway", "RepliesHeld")


def is_held(tree: Tree, person: str) -> bool:
    return bool(part(tree, person)["state"] == "HELD")


def test_a_reply_that_is_refused_for_good(world: Watched) -> None:
    person = "+15556700004"
    misbehave(world.tree, {"at": "create", "do": "error", "status": 400, "code": 21211, "person": person})
    sid = world.tree.text("hello", sender=person)
    world.fires("DeadLetters")

    assert sid in dadacat(world.tree, "dead-letters", "list")
    dadacat(world.tree, "dead-letters", "discard", part(world.tree, person)["message_key"], "--yes")
    world.ends("DeadLetters")


def test_an_answer_that_no_table_knows(world: Watched) -> None:
    person = "+15556700005"
    misbehave(world.tree, {"at": "create", "do": "error", "status": 400, "code": 999_999, "person": person, "times": 1})
    world.tree.text("hello", sender=person)
    world.fires("CarrierObjects")

    wait_until(lambda: world.tree.replies(person), what="the reply")
    world.ends("CarrierObjects")


def test_a_row_that_cannot_be_read_and_a_message_after_stop(world: Watched) -> None:
    person = "+15556700006"
    bad = {"user_id": person, "message_key": "in#SMbad", "state": "PONDERING", "unsettled": "00",
           "since": "2000-01-01T00:00:00+00:00"}  # fmt: skip
    put(world.tree, {name: {"S": value} for name, value in bad.items()})
    stopper = "+15556700007"
    world.tree.text("STOP", sender=stopper)
    wait_until(lambda: any(row.get("reason") == "keyword stop" for row in world.tree.rows(stopper)), what="the STOP")
    stop = next(row for row in world.tree.rows(stopper) if row.get("reason") == "keyword stop")
    claim = {"state": {"S": "SENDING"}, "at": {"S": stop["settled_at"]}, "attempt": {"S": "x"}}
    forged = {"user_id": {"S": stopper}, "message_key": {"S": "out#SMforged#0"}, "sid": {"S": "SMforged"},
              "state": {"S": "SENT"}, "log": {"L": [{"M": claim}]}}  # fmt: skip
    put(world.tree, forged)

    dadacat(world.tree, "audit", code=1)
    world.fires("SentAfterStop", "ItemsSetAside", seconds=90)
    assert "in#SMbad" in dadacat(world.tree, "set-aside", "list")

    for user, key in ((person, "in#SMbad"), (stopper, "out#SMforged#0")):
        world.tree.dynamodb.delete_item(
            TableName="DadaCatMessages", Key={"user_id": {"S": user}, "message_key": {"S": key}}
        )
    dadacat(world.tree, "audit")
    dadacat(world.tree, "reconcile")
    world.ends("SentAfterStop", "ItemsSetAside", seconds=90)


def put(tree: Tree, item: Mapping[str, Any]) -> None:
    tree.dynamodb.put_item(TableName="DadaCatMessages", Item=item)


def test_a_message_that_a_mark_had_proven_unsent(world: Watched) -> None:
    """A proof is written onto a reply that was sent; then Twilio reports the message."""
    person = "+15556700010"
    world.tree.text("hello", sender=person)
    wait_until(lambda: part(world.tree, person).get("status") == "delivered", what="the delivered reply")
    sent = part(world.tree, person)
    world.tree.dynamodb.update_item(
        TableName="DadaCatMessages",
        Key={name: {"S": sent[name]} for name in ("user_id", "message_key")},
        UpdateExpression="SET proven_unsent = :attempt",
        ExpressionAttributeValues={":attempt": {"S": sent["attempt_id"]}},
    )
    report = {"MessageSid": sent["sid"], "AccountSid": ACCOUNT, "To": person, "MessageStatus": "delivered"}
    assert world.tree.post(report, f"/sms/status?i={sent['attempt_id']}").status_code == 204
    world.fires("ProofContradicted")
    assert "not believed since" in dadacat(world.tree, "marks")

    assert "are believed" in dadacat(world.tree, "marks", "--trust")
    world.ends("ProofContradicted")


def test_work_that_workers_which_died_left(world: Watched) -> None:
    """Each row is what a worker leaves that dies after it filed a text which Redis then lost."""
    begun = datetime.now(UTC)
    people = [f"+1555675{number:04d}" for number in range(25)]
    for number, person in enumerate(people):
        sid = a_sid()
        left = {"user_id": person, "message_key": f"in#{sid}", "sid": sid, "state": "FILED", "role": "user",
                "arrived": arrived(f"{int(begun.timestamp() * 1000)}-{number}"), "to": OUR_NUMBER, "content": "hello",
                "unsettled": f"{number % BUCKETS:02d}", "since": (begun - LONG_AGO).isoformat()}  # fmt: skip
        put(world.tree, {**{name: {"S": value} for name, value in left.items()}, "tries": {"N": "1"}})
    world.fires("RepairsRising")

    wait_until(lambda: all(world.tree.replies(person) for person in people), what="the replies")
    assert "repaired" in dadacat(world.tree, "logs", "--data", str(world.tree.data), "--lines", "10000", "worker-1")
    world.ends("RepairsRising")


def test_webhooks_that_never_come(world: Watched) -> None:
    misbehave(world.tree, {"at": "webhook", "do": "never"})
    people = world.texts(6, prefix="+15556720")
    world.fires("WebhooksLost")

    misbehave(world.tree)
    wait_until(lambda: all(world.tree.replies(person) for person in people), what="the replies")
    world.ends("WebhooksLost")


def test_signatures_of_a_stranger(world: Watched) -> None:
    for _ in range(20):
        answer = world.tree.post(a_form("+15556700008"), token="a token that leaked and was replaced")
        assert answer.status_code == 403
    world.fires("SignatureFailures")

    world.ends("SignatureFailures")


def test_danger_and_an_engine_that_is_silent(world: Watched) -> None:
    world.tree.text("i want to kill myself", sender="+15556700009")
    world.texts(10, prefix="+15556730")
    world.fires("DangerHeard", "EngineSilent")
    doctor_says(world, "openai:nothing")

    world.ends("DangerHeard", "EngineSilent")


def test_a_store_that_does_not_answer(world: Watched) -> None:
    with world.halted("dynamodb"):
        people = world.texts(12, prefix="+15556740")
        world.fires("StoreAway", seconds=90)

    wait_until(lambda: all(world.tree.replies(person) for person in people), what="the replies")
    world.ends("StoreAway")


def test_replies_that_are_slow_and_messages_that_are_not_delivered(world: Watched) -> None:
    misbehave(
        world.tree,
        {"at": "create", "do": "slow", "seconds": 3},
        {"at": "delivery", "do": "undelivered", "code": 30003},
    )
    with traffic(world.tree, per_second=2):
        world.fires("RepliesSlow", "MessagesUndelivered", seconds=100)
    assert "30003" in dadacat(world.tree, "stats")

    misbehave(world.tree)
    world.ends("RepliesSlow", "MessagesUndelivered", seconds=300)


def test_a_number_that_is_suspended(world: Watched) -> None:
    misbehave(world.tree, {"at": "delivery", "do": "undelivered", "code": 30034})
    world.texts(4, prefix="+15556780")
    world.fires("SendingStopped")
    doctor_says(world, "30034")

    misbehave(world.tree)
    person = "+15556781000"
    world.tree.text("hello", sender=person)
    wait_until(lambda: world.tree.replies(person), what="the reply that is let through")
    world.ends("SendingStopped")


@pytest.fixture
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Watched]]:
    """Yield a function that starts a tree with settings of its own, and a Prometheus that reads it."""
    with trees(tmp_path_factory) as start:
        opened: list[Any] = []

        def begin(**settings: str) -> Watched:
            tree = start(workers=1, whole=True, **SHORT, **settings)
            context = watched(tree, tmp_path_factory.mktemp("prometheus"))
            opened.append(context)
            return context.__enter__()

        yield begin
        for context in opened:
            context.__exit__(None, None, None)


def test_limits_and_loops(small: Callable[..., Watched]) -> None:
    world = small(LIMITS="on", LIMIT_TEXTS_PER_MINUTE="5", LIMIT_IDENTICAL_PER_HOUR="0", LOOP_REPLIES="3")
    person, machine = "+15556760001", "+15556760002"
    send = partial(world.tree.text, "i am a machine and i say this again and again", sender=machine)
    for number in range(4):
        send()
        wait_until(partial(is_settled, world.tree, machine, number + 1), what="an end of the text")
    world.fires("LoopHeard")
    for number in range(70):
        world.tree.text(f"number {number}", sender=person)
    world.fires("LimitStorm")
    assert "over the limit: texts a minute" in dadacat(world.tree, "stats")

    world.ends("LimitStorm", "LoopHeard")


def is_settled(tree: Tree, person: str, texts: int) -> bool:
    rows = [row for row in tree.rows(person) if row["message_key"].startswith("in#")]
    return len([row for row in rows if row["state"] != "FILED"]) >= texts


def test_a_budget_that_is_near_and_reached_and_lifted(small: Callable[..., Watched]) -> None:
    world = small(SMS_BUDGET_DAY="0.2", REPLY_MAX_SEGMENTS="1")
    with traffic(world.tree, per_second=2):
        world.fires("BudgetNear", "BudgetReached", seconds=100)
    assert "over the budget" in dadacat(world.tree, "stats")
    assert "total" in dadacat(world.tree, "costs", "--since", "24h", "--by", "person")

    world.tree.stop()
    world.tree.settings = {**world.tree.settings, "SMS_BUDGET_DAY": "100"}
    world.tree.start()
    world.ends("BudgetNear", "BudgetReached")


def test_every_query_of_the_dashboards_returns_data(small: Callable[..., Watched]) -> None:
    world = small(SMS_BUDGET_DAY="10", CAT_ENGINES="dada")
    for person in world.texts(3, prefix="+15556790"):
        wait_until(partial(world.tree.replies, person), what="the reply")

    def empty() -> list[str]:
        queries = [query.replace(dashboards.RATE, "[30s]") for query in dashboards.queries()]
        return [query for query in queries if not world.ask("query", query=query)["result"]]

    wait_until(lambda: not empty(), what="data for every query", seconds=10)
    assert empty() == []


def test_every_alarm_was_fired() -> None:
    assert {alarm.name for alarm in ALARMS} - FIRED == set()
