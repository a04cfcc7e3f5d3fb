"""A person's texts are only in the places meant for them; after an erasure they are in none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from inbox import keys, payloads
from runtime.settings import Settings
from tests.builders import OUR_NUMBER
from tests.collectors import Collector, Seen, collector
from tests.conftest import wait_until
from tests.scenarios.conftest import ACCOUNT, Tree, flower
from tests.scenarios.test_operate import dadacat, run

pytestmark = pytest.mark.road

#: A number and a word that no other test uses.
NUMBER, WORD = "+15553377991", "xyzzyplughfrotz"
DIGITS = NUMBER[1:]


@pytest.fixture(scope="module")
def outside() -> Iterator[Collector]:
    """Receive the traces and the crash reports of the tree."""
    with collector() as kept:
        yield kept


@pytest.fixture(scope="module")
def tree(start_tree: Callable[..., Tree], outside: Collector) -> Tree:
    return start_tree(
        workers=1, whole=True, RECONCILE_INTERVAL_SECONDS="2", UNSETTLED_AFTER_SECONDS="1", REDACT_AFTER_DELIVERY="on",
        LIMITS="on", LIMIT_TEXTS_PER_MINUTE="8", LOG_LEVEL="debug", RETENTION_DAYS="30", DOUBLE_TEXT_POLICY="each",
        OTEL_EXPORTER_OTLP_ENDPOINT=outside.url, OTEL_BSP_SCHEDULE_DELAY="200", SENTRY_DSN=outside.dsn,
    )  # fmt: skip


def who(tree: Tree) -> str:
    """Return the name that stands for the number in Redis keys."""
    return payloads.who(NUMBER, Settings.load(tree.settings).who_key)


def in_redis(tree: Tree) -> dict[str, str]:
    """Return every Redis key and its whole value as readable text."""
    client, contents = tree.redis, {}
    for key in client.scan_iter():
        read: dict[bytes, Callable[[bytes], Any]] = {
            b"string": client.get,
            b"list": lambda key: client.lrange(key, 0, -1),
            b"hash": client.hgetall,
            b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
            b"set": client.smembers,
            b"stream": client.xrange,
            # The key expired or was deleted after it was listed.
            b"none": lambda _: None,
        }
        value = read[client.type(key)](key)  # type: ignore[index]  # typed for both kinds of client
        contents[key.decode()] = f"{key!r} {value!r}"
    client.close()
    return contents


def in_tables(tree: Tree) -> str:
    client = tree.dynamodb
    return json.dumps(
        [client.scan(TableName=table)["Items"] for table in ("DadaCatConversations", "DadaCatMessages")], default=str
    )


def elsewhere(tree: Tree) -> dict[str, str]:
    """Return the contents of logs, Flower, Celery's events and metrics."""
    contents = {path.name: path.read_text(errors="replace") for path in (tree.data / "logs").glob("*.log")}
    for page in ("/api/tasks?limit=10000", "/api/workers", "/metrics"):
        answer = httpx.get(f"http://127.0.0.1:{tree.port_base + 2}{page}", auth=("cat", "purr"), timeout=30)
        contents[f"flower {page}"] = answer.text
    contents["metrics"] = httpx.get(f"{tree.urls['webhook']}/metrics", timeout=10).text
    return contents


def a_day(tree: Tree) -> list[str]:
    """Send all sorts of traffic; return the sids of the texts."""
    sids = [tree.text(f"{WORD} {number}", sender=NUMBER) for number in range(10)]
    # The same webhook again, a wrong signature, another account, a body that is too large, and a report that matches no
    # attempt.
    form = {"MessageSid": sids[0], "AccountSid": ACCOUNT, "From": NUMBER, "To": OUR_NUMBER, "Body": f"{WORD} 0"}
    tree.post(form)
    tree.post(form, token="not-the-token")
    tree.post({**form, "AccountSid": "AC" + "0" * 32})
    tree.post({**form, "Body": WORD * 10_000})
    tree.post(
        {"MessageSid": sids[1], "AccountSid": ACCOUNT, "To": NUMBER, "MessageStatus": "delivered"},
        "/sms/status?i=nonsense",
    )
    wait_until(lambda: len(tree.replies(NUMBER)) >= 3, seconds=60, what="replies")
    # An entry that no worker can read becomes a dead letter.
    with_redis = tree.redis
    with_redis.xadd(keys.texts(who(tree)), {"text": f"garbage of {NUMBER}: {WORD}"})
    with_redis.close()
    tree.text(f"{WORD} last", sender=NUMBER)
    letters = lambda: json.loads(dadacat(tree, "dead-letters", "list", "--json"))  # noqa: E731 - awaited
    wait_until(letters, seconds=60, what="a dead letter")
    tree.wait_settled(seconds=90)
    for command in (
        ["stats"],
        ["audit"],
        ["doctor"],
        ["costs", "--by", "person"],
        ["conversations", "list"],
        ["reconcile"],
    ):
        answer = run(tree, *command)
        assert DIGITS not in answer.stdout + answer.stderr, command
        assert WORD not in answer.stdout + answer.stderr, command
    return sids


def road_of(sid: str, outside: Collector) -> list[Seen]:
    """Return the spans of the trace to which a text's turn belongs."""
    spans = outside.spans()
    traces = {span.trace for span in spans if span.name == "turn" and span.facts.get("dadacat.sid") == sid}
    return [span for span in spans if span.trace in traces]


#: The stations of one text's road: the process, and how its span is called.
ROAD = {
    ("dadacat-webhook", "POST /sms"), ("dadacat-webhook", "POST /sms/status"), ("dadacat-worker", "take in"),
    ("dadacat-worker", "turn"), ("dadacat-worker", "think"), ("dadacat-worker", "send"), ("dadacat-worker", "report"),
    ("dadacat-worker", "DynamoDB.TransactWriteItems"), ("dadacat-worker", "inbox.remove"),
}  # fmt: skip


def test_one_trace_follows_a_text_from_its_webhook_to_its_report(tree: Tree, outside: Collector) -> None:
    sid = tree.text("hello", sender="+15553377993")

    wait_until(
        lambda: {(span.process, span.name) for span in road_of(sid, outside)} >= ROAD, seconds=30, what="the road"
    )
    spans = road_of(sid, outside)
    assert len({span.trace for span in spans}) == 1
    [begin] = [span for span in spans if not span.parent]
    assert begin.name == "POST /sms"
    # the wake-up task, too, belongs to the text that pushed it
    assert "run/dadacat.answer" in {span.name for span in spans}
    by_id = {span.id: span for span in spans}
    [sent] = [span for span in spans if span.name == "send"]
    assert {by_id[span.parent].name for span in spans if span.name == "POST /sms/status"} == {sent.name}
    # a script that this Redis does not have yet is refused, and loaded
    assert [span.name for span in spans if span.failed and not span.name.startswith("inbox.")] == []


def test_a_planted_number_and_text_are_where_they_belong_and_then_nowhere(tree: Tree, outside: Collector) -> None:
    sids = a_day(tree)

    # the dead letter is an error
    wait_until(lambda: "turn settled" in {report.get("message") for report in outside.reports()}, seconds=30, what="it")
    assert road_of(sids[0], outside)
    for where, text in {**elsewhere(tree), "traces and crash reports": outside.everything()}.items():
        assert DIGITS not in text, where
        assert WORD not in text, where
    for key, value in in_redis(tree).items():
        assert DIGITS not in value or key in (keys.PEOPLE, keys.REPORTS) or key.startswith(keys.texts("")), key
        assert WORD not in value or key.startswith(keys.texts("")), key
    assert DIGITS in in_tables(tree)

    # After delivery and billing, the words are redacted at the carrier.
    def redacted() -> bool:
        messages = [*tree.messages(To=NUMBER), *tree.messages(From=NUMBER)]
        answered = [message for message in messages if message["direction"] != "inbound" or message["sid"] in sids[:3]]
        return bool(answered) and not any(message["body"] for message in answered)

    wait_until(redacted, seconds=60, what="the redaction at Twilio")

    (receipt,) = json.loads(dadacat(tree, "conversations", "forget", NUMBER, "--yes", "--json"))
    assert receipt["rows"] > 10
    assert receipt["twilio"] >= 10
    nowhere(tree)

    # A late webhook is acknowledged; it sends no reply and restores no data.
    sent = len(tree.messages())
    form = {"MessageSid": sids[0], "AccountSid": ACCOUNT, "From": NUMBER, "To": OUR_NUMBER, "Body": f"{WORD} 0"}
    assert tree.post(form).status_code == 200
    tree.wait_settled(seconds=30)
    wait_until(lambda: DIGITS not in "".join(in_redis(tree).values()), seconds=30, what="an end of the visit")
    assert len(tree.messages()) == sent
    nowhere(tree)
    # A second erasure finds nothing.
    assert "nothing is stored" in dadacat(tree, "conversations", "forget", NUMBER, "--yes", code=3)


def nowhere(tree: Tree) -> None:
    """Assert that the number and the word are not in tables, Redis, Twilio, logs, metrics or Flower."""
    places = {**elsewhere(tree), **in_redis(tree), "tables": in_tables(tree), "twilio": json.dumps(tree.messages())}
    for where, text in places.items():
        assert DIGITS not in text, where
        assert WORD not in text, where


def test_flower_shows_the_work_all_the_same(tree: Tree) -> None:
    assert flower(tree, "/api/tasks?limit=5")
    for path in ("/metrics", "/tasks"):
        assert httpx.get(f"http://127.0.0.1:{tree.port_base + 2}{path}", timeout=30).status_code == 401


def test_who_is_not_known_is_told_so(tree: Tree) -> None:
    unknown = "there is no conversation with this person"
    assert unknown in dadacat(tree, "history", "+15550009999", code=3)
    assert unknown in dadacat(tree, "conversations", "show", "+15550009999", code=3)


def test_what_is_exported_comes_back_whole(tree: Tree) -> None:
    person = "+15553377992"
    tree.text("keep this", sender=person)
    wait_until(lambda: any(row.get("status") == "delivered" for row in tree.rows(person)), seconds=30, what="delivery")
    lines = dadacat(tree, "conversations", "export", person)
    before = dadacat(tree, "history", person, "--json")
    assert json.loads(before)[0]["content"] == "keep this"
    lines_of_it = dadacat(tree, "history", "(555) 337-7992", "--json-lines").splitlines()
    assert list(map(json.loads, lines_of_it)) == json.loads(before)
    page = dadacat(tree, "conversations", "export", person, "--html")
    assert "keep this" in page
    assert page.startswith("<!doctype html>")

    file = tree.data / "export.jsonl"
    file.write_text(lines)
    assert "known here already" in dadacat(tree, "conversations", "import", str(file), "--yes", code=1)
    dadacat(tree, "conversations", "forget", person, "--yes")
    assert tree.rows(person) == []
    assert dadacat(tree, "conversations", "import", str(file), "--yes") == "1 conversation, 2 rows\n"

    assert dadacat(tree, "history", person, "--json") == before
    # The import queues no text.
    assert tree.settled()
    dadacat(tree, "conversations", "reset", person, "--yes")
    assert json.loads(dadacat(tree, "conversations", "show", person))["window"] == 0


def test_only_their_owner_may_read_the_files_of_a_tree(tree: Tree) -> None:
    folders = [tree.data / name for name in ("run", "logs", "redis", "dynamodb", "simulator")]
    written = [*folders, *(path for folder in folders for path in folder.rglob("*"))]

    assert [path for path in written if path.lstat().st_mode & 0o077] == []
    assert {"network.sqlite", "journal.jsonl", "worker-1.log", "tree.json"} <= {path.name for path in written}
