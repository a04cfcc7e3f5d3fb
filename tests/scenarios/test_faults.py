"""The carrier misbehaves; the person still gets exactly one reply."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from inbox import keys
from tests.builders import OUR_NUMBER
from tests.conftest import wait_until
from tests.scenarios.conftest import ACCOUNT, TOKEN, House

pytestmark = pytest.mark.road


@pytest.fixture(scope="module")
def rough(start_house: Callable[..., House]) -> House:
    """Start a tree with short reconcile intervals."""
    return start_house(
        workers=1, RECONCILE_INTERVAL_SECONDS="2", UNSETTLED_AFTER_SECONDS="1", UNKNOWN_PATIENCE_SECONDS="2",
        SWEEP_INTERVAL_SECONDS="1", SWEEP_PERSON_SECONDS="2", LEASE_SECONDS="4", LEASE_RENEW_SECONDS="1", WHATSAPP="on",
    )  # fmt: skip


@pytest.fixture(autouse=True)
def behave_again(rough: House) -> Iterator[None]:
    yield
    misbehave(rough)


def misbehave(house: House, *rules: dict[str, Any]) -> None:
    answer = httpx.put(f"{house.urls['twilio']}/faults", json={"rules": list(rules), "seed": 1}, timeout=10)
    assert answer.status_code == 200, answer.text


def part(house: House, person: str, sid: str = "") -> dict[str, Any]:
    """Return the reply's row for the text `sid`, or for the only text that the person sent."""
    return next((row for row in house.rows(person) if row["message_key"].startswith(f"out#{sid}")), {})


@pytest.mark.parametrize("how", ["drop", "reset", "truncate"])
def test_an_answer_that_was_lost_is_settled_by_the_callback(rough: House, how: str) -> None:
    person = f"+1555666{['drop', 'reset', 'truncate'].index(how):04d}"
    misbehave(rough, {"at": "create", "do": how, "person": person})

    rough.text("hello", sender=person)
    wait_until(lambda: part(rough, person).get("state") == "SENT", seconds=20, what="the settlement")

    assert len(rough.replies(person)) == 1
    assert part(rough, person)["sid"] == rough.replies(person)[0]["sid"]


def test_without_any_callback_the_list_settles_it(rough: House) -> None:
    person = "+15556660010"
    misbehave(
        rough, {"at": "create", "do": "drop", "person": person}, {"at": "callback", "do": "never", "person": person}
    )

    rough.text("hello", sender=person)
    wait_until(lambda: part(rough, person).get("state") == "UNKNOWN", seconds=20, what="the doubt")
    wait_until(lambda: part(rough, person).get("state") == "SENT", seconds=30, what="the settlement")

    assert len(rough.replies(person)) == 1


def test_a_5xx_is_not_sent_again(rough: House) -> None:
    person = "+15556660011"
    misbehave(rough, {"at": "create", "do": "error", "status": 503, "person": person, "times": 1})

    one = rough.text("one", sender=person)
    wait_until(lambda: part(rough, person, one).get("state") == "UNKNOWN", seconds=20, what="the doubt")
    two = rough.text("two", sender=person)
    wait_until(lambda: part(rough, person, two).get("state") == "SENT", seconds=30, what="the reply to the next text")

    assert [reply["sid"] for reply in rough.replies(person)] == [part(rough, person, two)["sid"]]
    assert part(rough, person, one)["state"] == "UNKNOWN"


def test_a_429_is_sent_again_when_it_was_asked_to(rough: House) -> None:
    person = "+15556660012"
    misbehave(
        rough,
        {"at": "create", "do": "error", "status": 429, "code": 20429, "retry_after": 2, "person": person, "times": 1},
    )

    started_at = time.monotonic()
    rough.text("hello", sender=person)
    wait_until(lambda: rough.replies(person), seconds=30, what="the reply")

    assert time.monotonic() - started_at > 2
    assert len(rough.replies(person)) == 1


@pytest.mark.parametrize("how", ["double", "reverse", "before"])
def test_callbacks_in_any_order_leave_the_last_word(rough: House, how: str) -> None:
    person = f"+1555666{20 + ['double', 'reverse', 'before'].index(how):04d}"
    misbehave(rough, {"at": "callback", "do": how, "person": person})

    rough.text("hello", sender=person)
    wait_until(lambda: part(rough, person).get("status") == "delivered", seconds=20, what="the last word")
    log = httpx.get(f"{rough.urls['twilio']}/faults/log", timeout=10).json()

    assert next(strike["do"] for strike in log if strike["person"] == person) == how
    assert len(rough.replies(person)) == 1


@pytest.mark.parametrize("how", ["double", "concurrent"])
def test_a_text_that_comes_twice_is_answered_once(rough: House, how: str) -> None:
    person = f"+1555666{30 + ['double', 'concurrent'].index(how):04d}"
    misbehave(rough, {"at": "webhook", "do": how, "person": person})

    rough.text("hello", sender=person)
    wait_until(lambda: rough.replies(person), seconds=20, what="the reply")
    wait_until(rough.settled, what="an empty inbox")

    assert len(rough.replies(person)) == 1


@pytest.mark.parametrize("channel", ["", "whatsapp:"])
def test_a_text_whose_webhook_never_comes_is_fetched_back(rough: House, channel: str) -> None:
    person = f"{channel}+15556660040"
    misbehave(rough, {"at": "webhook", "do": "never", "person": person})

    sid = rough.text("hello?", sender=person, number=f"{channel}{OUR_NUMBER}")
    wait_until(lambda: rough.replies(person), seconds=60, what="the reply")

    row = next(row for row in rough.rows(person) if row["message_key"] == f"in#{sid}")
    assert row["repaired"]
    assert len(rough.replies(person)) == 1


def test_a_failed_delivery_is_written_down_with_its_code(rough: House) -> None:
    person = "+15556660041"
    misbehave(rough, {"at": "delivery", "do": "undelivered", "code": 30003, "person": person})

    rough.text("hello", sender=person)
    wait_until(lambda: part(rough, person).get("status") == "undelivered", seconds=20, what="the status")

    assert part(rough, person)["error_code"] == "30003"
    assert part(rough, person)["state"] == "SENT"


def test_redis_emptied_in_mid_burst_loses_no_text(rough: House) -> None:
    people = [f"+1555667{n:04d}" for n in range(20)]
    wait_until(lambda: rough.redis.exists(keys.EPOCH), what="the first sweep")
    for place, person in enumerate(people):
        rough.text("hello", sender=person)
        if place == 10:
            client = rough.redis
            client.flushall()
            client.close()

    wait_until(lambda: all(rough.replies(person) for person in people), seconds=90, what="every reply")
    wait_until(rough.settled, what="an empty inbox")

    assert [len(rough.replies(person)) for person in people] == [1] * 20


def test_a_rule_that_is_none_is_told_so(rough: House) -> None:
    answer = httpx.put(f"{rough.urls['twilio']}/faults", json={"rules": [{"at": "create", "do": "dance"}]}, timeout=10)

    assert answer.status_code == 400
    assert "do" in answer.json()["error"]


def test_what_failed_on_its_way_is_sent_once_more_and_both_are_in_the_story(rough: House) -> None:
    person = "+15556660050"
    misbehave(rough, {"at": "delivery", "do": "undelivered", "code": 30022, "person": person, "times": 1})

    sid = rough.text("hello", sender=person)
    wait_until(lambda: len(rough.replies(person)) == 2, seconds=90, what="the second try")
    wait_until(rough.settled, what="an empty inbox")

    assert rough.replies(person)[0]["status"] == "undelivered"
    assert len({reply["body"] for reply in rough.replies(person)}) == 1
    rows = {row["message_key"]: row for row in rough.rows(person)}
    assert set(rows) == {f"in#{sid}", f"out#{sid}#0", f"out#{sid}#0r"}
    page = httpx.get(f"{rough.urls['twilio']}/phone/explain/{sid}", timeout=10).text
    for words in ("reported undelivered", "error 30022", "second try", "part 0 again sent as"):
        assert words in page


def test_segments_and_price_stand_in_the_journal_and_in_the_story(rough: House) -> None:
    person = "+15556660051"

    sid = rough.text("how much?", sender=person)
    wait_until(lambda: part(rough, person).get("price"), seconds=30, what="the price")

    assert (part(rough, person)["segments"], part(rough, person)["price"]) == ("1", "-0.00750")
    reply = rough.replies(person)[0]["sid"]
    for asked in (sid, reply):
        page = httpx.get(f"{rough.urls['twilio']}/phone/explain/{asked}", timeout=10).text
        assert "1 segment, 0.00750 USD" in page
        assert "how much?" in page or asked == reply


def test_a_full_queue_is_waited_for(rough: House) -> None:
    person = "+15556660052"
    misbehave(rough, {"at": "create", "do": "full", "person": person})

    sid = rough.text("hello", sender=person)
    wait_until(lambda: part(rough, person).get("state") == "RETRY", seconds=20, what="the refusal")

    assert part(rough, person, sid)["error_code"] == "21611"
    # The next try is due in ten minutes by Redis's clock.
    assert int(part(rough, person, sid)["due"]) > time.time() * 1000 + 500_000


def test_a_message_that_the_journal_does_not_know_is_said_to_be_unknown(rough: House) -> None:
    answer = httpx.post(
        f"{rough.urls['twilio']}/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
        data={"To": "+15556660053", "From": OUR_NUMBER, "Body": "<b>by hand</b>"}, auth=(ACCOUNT, TOKEN), timeout=10,
    )  # fmt: skip
    page = httpx.get(f"{rough.urls['twilio']}/phone/explain/{answer.json()['sid']}", timeout=10)

    assert "knows nothing of this message" in page.text
    assert "&lt;b&gt;by hand" in page.text
    assert httpx.get(f"{rough.urls['twilio']}/phone/explain/SMnever", timeout=10).status_code == 404
