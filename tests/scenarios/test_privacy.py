"""A person's texts are only in the places meant for them; after an erasure they are in none."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from inbox import keys, payloads
from runtime.settings import Settings
from tests.builders import OUR_NUMBER
from tests.conftest import wait_until
from tests.scenarios.conftest import ACCOUNT, House, flower
from tests.scenarios.test_operate import dadacat, run

pytestmark = pytest.mark.road

#: A number and a word that no other test uses.
NUMBER, WORD = "+15553377991", "xyzzyplughfrotz"
DIGITS = NUMBER[1:]


@pytest.fixture(scope="module")
def house(start_house: Callable[..., House]) -> House:
    return start_house(
        workers=1, RECONCILE_INTERVAL_SECONDS="2", UNSETTLED_AFTER_SECONDS="1", REDACT_AFTER_DELIVERY="on", LIMITS="on",
        LIMIT_TEXTS_PER_MINUTE="8", LOG_LEVEL="debug", RETENTION_DAYS="30", DOUBLE_TEXT_POLICY="each",
    )  # fmt: skip


def who(house: House) -> str:
    """Return the name that stands for the number in Redis keys."""
    return payloads.who(NUMBER, Settings.load(house.settings).who_key_bytes)


def in_redis(house: House) -> dict[str, str]:
    """Return every Redis key and its whole value as readable text."""
    client, contents = house.redis, {}
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


def in_tables(house: House) -> str:
    client = house.dynamodb
    return json.dumps(
        [client.scan(TableName=table)["Items"] for table in ("DadaCatConversations", "DadaCatMessages")], default=str
    )


def elsewhere(house: House) -> dict[str, str]:
    """Return the contents of logs, Flower, Celery's events and metrics."""
    contents = {path.name: path.read_text(errors="replace") for path in (house.data / "logs").glob("*.log")}
    for page in ("/api/tasks?limit=10000", "/api/workers", "/metrics"):
        answer = httpx.get(f"http://127.0.0.1:{house.port_base + 2}{page}", auth=("cat", "purr"), timeout=30)
        contents[f"flower {page}"] = answer.text
    contents["metrics"] = httpx.get(f"{house.urls['webhook']}/metrics", timeout=10).text
    return contents


def a_day(house: House) -> list[str]:
    """Send all sorts of traffic; return the sids of the texts."""
    sids = [house.text(f"{WORD} {number}", sender=NUMBER) for number in range(10)]
    # The same webhook again, a wrong signature, another account, a body that is too large, and a report that matches no
    # attempt.
    form = {"MessageSid": sids[0], "AccountSid": ACCOUNT, "From": NUMBER, "To": OUR_NUMBER, "Body": f"{WORD} 0"}
    house.post(form)
    house.post(form, token="not-the-token")
    house.post({**form, "AccountSid": "AC" + "0" * 32})
    house.post({**form, "Body": WORD * 10_000})
    house.post(
        {"MessageSid": sids[1], "AccountSid": ACCOUNT, "To": NUMBER, "MessageStatus": "delivered"},
        "/sms/status?i=nonsense",
    )
    wait_until(lambda: len(house.replies(NUMBER)) >= 3, seconds=60, what="replies")
    # An entry that no worker can read becomes a dead letter.
    with_redis = house.redis
    with_redis.xadd(keys.texts(who(house)), {"text": f"garbage of {NUMBER}: {WORD}"})
    with_redis.close()
    house.text(f"{WORD} last", sender=NUMBER)
    letters = lambda: json.loads(dadacat(house, "dead-letters", "list", "--json"))  # noqa: E731 - awaited
    wait_until(letters, seconds=60, what="a dead letter")
    wait_until(house.settled, seconds=90, what="an end of the day")
    for command in (
        ["stats"],
        ["audit"],
        ["doctor"],
        ["costs", "--by", "person"],
        ["conversations", "list"],
        ["reconcile"],
    ):
        answer = run(house, *command)
        assert DIGITS not in answer.stdout + answer.stderr, command
        assert WORD not in answer.stdout + answer.stderr, command
    return sids


def test_a_planted_number_and_text_are_where_they_belong_and_then_nowhere(house: House) -> None:
    sids = a_day(house)

    for where, text in elsewhere(house).items():
        assert DIGITS not in text, where
        assert WORD not in text, where
    for key, value in in_redis(house).items():
        assert DIGITS not in value or key in (keys.PEOPLE, keys.REPORTS) or key.startswith(keys.texts("")), key
        assert WORD not in value or key.startswith(keys.texts("")), key
    assert DIGITS in in_tables(house)

    # After delivery and billing, the words are redacted at the carrier.
    def redacted() -> bool:
        messages = [*house.messages(To=NUMBER), *house.messages(From=NUMBER)]
        answered = [message for message in messages if message["direction"] != "inbound" or message["sid"] in sids[:3]]
        return bool(answered) and not any(message["body"] for message in answered)

    wait_until(redacted, seconds=60, what="the redaction at Twilio")

    receipt = json.loads(dadacat(house, "conversations", "forget", NUMBER, "--yes", "--json"))
    assert receipt["rows"] > 10
    assert receipt["twilio"] >= 10
    nowhere(house)

    # A late webhook is acknowledged; it sends no reply and restores no data.
    sent = len(house.messages())
    form = {"MessageSid": sids[0], "AccountSid": ACCOUNT, "From": NUMBER, "To": OUR_NUMBER, "Body": f"{WORD} 0"}
    assert house.post(form).status_code == 200
    wait_until(house.settled, seconds=30, what="an end")
    wait_until(lambda: DIGITS not in "".join(in_redis(house).values()), seconds=30, what="an end of the visit")
    assert len(house.messages()) == sent
    nowhere(house)
    # A second erasure finds nothing.
    again = json.loads(dadacat(house, "conversations", "forget", NUMBER, "--yes", "--json"))
    assert (again["rows"], again["twilio"]) == (0, 0)


def nowhere(house: House) -> None:
    """Assert that the number and the word are not in tables, Redis, Twilio, logs, metrics or Flower."""
    places = {**elsewhere(house), **in_redis(house), "tables": in_tables(house), "twilio": json.dumps(house.messages())}
    for where, text in places.items():
        assert DIGITS not in text, where
        assert WORD not in text, where


def test_flower_shows_the_work_all_the_same(house: House) -> None:
    assert flower(house, "/api/tasks?limit=5")


def test_who_is_not_known_is_told_so(house: House) -> None:
    assert "there is no conversation with +15550009999" in dadacat(house, "history", "+15550009999", code=1)
    assert "there is no conversation with +15550009999" in dadacat(
        house, "conversations", "show", "+15550009999", code=1
    )


def test_what_is_exported_comes_back_whole(house: House) -> None:
    person = "+15553377992"
    house.text("keep this", sender=person)
    wait_until(lambda: any(row.get("status") == "delivered" for row in house.rows(person)), seconds=30, what="delivery")
    lines = dadacat(house, "conversations", "export", person)
    before = dadacat(house, "history", person, "--json")
    assert json.loads(before.splitlines()[0])["content"] == "keep this"
    page = dadacat(house, "conversations", "export", person, "--html")
    assert "keep this" in page
    assert page.startswith("<!doctype html>")

    file = house.data / "export.jsonl"
    file.write_text(lines)
    assert "known here already" in dadacat(house, "conversations", "import", str(file), "--yes", code=1)
    dadacat(house, "conversations", "forget", person, "--yes")
    assert house.rows(person) == []
    assert dadacat(house, "conversations", "import", str(file), "--yes") == "1 conversations, 2 rows\n"

    assert dadacat(house, "history", person, "--json") == before
    # The import queues no text.
    assert house.settled()
    dadacat(house, "conversations", "reset", person, "--yes")
    assert json.loads(dadacat(house, "conversations", "show", person))["window"] == 0
