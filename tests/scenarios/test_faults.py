"""The carrier misbehaves; the person still gets exactly one reply."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from inbox import worker_keys
from tests.builders import OUR_NUMBER, a_sid
from tests.conftest import wait_until
from tests.scenarios.conftest import ACCOUNT, TOKEN, Tree

pytestmark = pytest.mark.road


@pytest.fixture(scope="module")
def rough(start_tree: Callable[..., Tree]) -> Tree:
    """Start a tree with short reconcile intervals."""
    return start_tree(
        workers=1, RECONCILE_INTERVAL_SECONDS="2", UNSETTLED_AFTER_SECONDS="1", UNKNOWN_PATIENCE_SECONDS="2",
        SWEEP_INTERVAL_SECONDS="1", SWEEP_PERSON_SECONDS="2", LEASE_SECONDS="4", LEASE_RENEW_SECONDS="1", WHATSAPP="on",
        PROBE_SECONDS="1",
    )  # fmt: skip


@pytest.fixture(autouse=True)
def behave_again(rough: Tree) -> Iterator[None]:
    yield
    misbehave(rough)


def misbehave(tree: Tree, *rules: dict[str, Any]) -> None:
    answer = httpx.put(f"{tree.urls['twilio']}/faults", json={"rules": list(rules), "seed": 1}, timeout=10)
    assert answer.status_code == 200, answer.text


def part(tree: Tree, person: str, sid: str = "") -> dict[str, Any]:
    """Return the reply's row for the text `sid`, or for the only text that the person sent."""
    return next((row for row in tree.rows(person) if row["message_key"].startswith(f"out#{sid}")), {})


@pytest.mark.parametrize("how", ["drop", "reset", "truncate"])
def test_an_answer_that_was_lost_is_settled_by_the_callback(rough: Tree, how: str) -> None:
    person = f"+1555666{['drop', 'reset', 'truncate'].index(how):04d}"
    misbehave(rough, {"at": "create", "do": how, "person": person})

    rough.text("hello", sender=person)
    wait_until(lambda: part(rough, person).get("state") == "SENT", seconds=20, what="the settlement")

    assert len(rough.replies(person)) == 1
    assert part(rough, person)["sid"] == rough.replies(person)[0]["sid"]


def test_without_any_callback_the_list_settles_it(rough: Tree) -> None:
    person = "+15556660010"
    misbehave(
        rough, {"at": "create", "do": "drop", "person": person}, {"at": "callback", "do": "never", "person": person}
    )

    rough.text("hello", sender=person)
    wait_until(lambda: part(rough, person).get("state") == "UNKNOWN", seconds=20, what="the doubt")
    wait_until(lambda: part(rough, person).get("state") == "SENT", seconds=30, what="the settlement")

    assert len(rough.replies(person)) == 1


def test_a_5xx_is_not_sent_again(rough: Tree) -> None:
    person = "+15556660011"
    misbehave(rough, {"at": "create", "do": "error", "status": 503, "person": person, "times": 1})

    one = rough.text("one", sender=person)
    wait_until(lambda: part(rough, person, one).get("state") == "UNKNOWN", seconds=20, what="the doubt")
    two = rough.text("two", sender=person)
    wait_until(lambda: part(rough, person, two).get("state") == "SENT", seconds=30, what="the reply to the next text")

    assert [reply["sid"] for reply in rough.replies(person)] == [part(rough, person, two)["sid"]]
    assert part(rough, person, one)["state"] == "UNKNOWN"


def test_a_429_is_sent_again_when_it_was_asked_to(rough: Tree) -> None:
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
def test_callbacks_in_any_order_leave_the_last_word(rough: Tree, how: str) -> None:
    person = f"+1555666{20 + ['double', 'reverse', 'before'].index(how):04d}"
    misbehave(rough, {"at": "callback", "do": how, "person": person})

    rough.text("hello", sender=person)
    wait_until(lambda: part(rough, person).get("status") == "delivered", seconds=20, what="the last word")
    log = httpx.get(f"{rough.urls['twilio']}/faults/log", timeout=10).json()

    assert next(strike["do"] for strike in log if strike["person"] == person) == how
    assert len(rough.replies(person)) == 1


@pytest.mark.parametrize("how", ["double", "concurrent"])
def test_a_text_that_comes_twice_is_answered_once(rough: Tree, how: str) -> None:
    person = f"+1555666{30 + ['double', 'concurrent'].index(how):04d}"
    misbehave(rough, {"at": "webhook", "do": how, "person": person})

    rough.text("hello", sender=person)
    wait_until(lambda: rough.replies(person), seconds=20, what="the reply")
    rough.wait_settled()

    assert len(rough.replies(person)) == 1


@pytest.mark.parametrize("channel", ["", "whatsapp:"])
def test_a_text_whose_webhook_never_comes_is_fetched_back(rough: Tree, channel: str) -> None:
    person = f"{channel}+15556660040"
    misbehave(rough, {"at": "webhook", "do": "never", "person": person})

    sid = rough.text("hello?", sender=person, number=f"{channel}{OUR_NUMBER}")
    wait_until(lambda: rough.replies(person), seconds=60, what="the reply")

    row = next(row for row in rough.rows(person) if row["message_key"] == f"in#{sid}")
    assert row["repaired"]
    assert len(rough.replies(person)) == 1


def test_a_failed_delivery_is_written_down_with_its_code(rough: Tree) -> None:
    person = "+15556660041"
    misbehave(rough, {"at": "delivery", "do": "undelivered", "code": 30003, "person": person})

    rough.text("hello", sender=person)
    wait_until(lambda: part(rough, person).get("status") == "undelivered", seconds=20, what="the status")

    assert part(rough, person)["error_code"] == "30003"
    assert part(rough, person)["state"] == "SENT"


def test_redis_emptied_in_mid_burst_loses_no_text(rough: Tree) -> None:
    people = [f"+1555667{n:04d}" for n in range(20)]
    wait_until(lambda: rough.redis.exists(worker_keys.EPOCH), what="the first sweep")
    for place, person in enumerate(people):
        rough.text("hello", sender=person)
        if place == 10:
            client = rough.redis
            client.flushall()
            client.close()

    wait_until(lambda: all(rough.replies(person) for person in people), seconds=90, what="every reply")
    rough.wait_settled()

    assert [len(rough.replies(person)) for person in people] == [1] * 20


def test_a_rule_that_is_none_is_told_so(rough: Tree) -> None:
    answer = httpx.put(f"{rough.urls['twilio']}/faults", json={"rules": [{"at": "create", "do": "dance"}]}, timeout=10)

    assert answer.status_code == 400
    assert "do" in answer.json()["error"]


def test_what_failed_on_its_way_is_sent_once_more_and_both_are_in_the_story(rough: Tree) -> None:
    person = "+15556660050"
    misbehave(rough, {"at": "delivery", "do": "undelivered", "code": 30022, "person": person, "times": 1})

    sid = rough.text("hello", sender=person)
    wait_until(lambda: len(rough.replies(person)) == 2, seconds=90, what="the second try")
    rough.wait_settled()

    assert rough.replies(person)[0]["status"] == "undelivered"
    assert len({reply["body"] for reply in rough.replies(person)}) == 1
    rows = {row["message_key"]: row for row in rough.rows(person)}
    assert set(rows) == {f"in#{sid}", f"out#{sid}#0", f"out#{sid}#0r"}
    page = httpx.get(f"{rough.urls['twilio']}/phone/explain/{sid}", timeout=10).text
    for words in ("reported undelivered", "error 30022", "second try", "part 0 again sent as"):
        assert words in page


def test_segments_and_price_stand_in_the_journal_and_in_the_story(rough: Tree) -> None:
    person = "+15556660051"

    sid = rough.text("how much?", sender=person)
    wait_until(lambda: part(rough, person).get("price"), seconds=30, what="the price")

    assert (part(rough, person)["segments"], part(rough, person)["price"]) == ("1", "-0.00750")
    reply = rough.replies(person)[0]["sid"]
    for asked in (sid, reply):
        page = httpx.get(f"{rough.urls['twilio']}/phone/explain/{asked}", timeout=10).text
        assert "1 segment, 0.00750 USD" in page
        assert "how much?" in page or asked == reply


def test_a_full_queue_is_waited_for(rough: Tree) -> None:
    person = "+15556660052"
    misbehave(rough, {"at": "create", "do": "full", "person": person})

    sid = rough.text("hello", sender=person)
    wait_until(lambda: part(rough, person).get("state") == "RETRY", seconds=20, what="the refusal")

    assert part(rough, person, sid)["error_code"] == "21611"
    # The next try is due in ten minutes by Redis's clock.
    assert int(part(rough, person, sid)["due"]) > time.time() * 1000 + 500_000


def ready(tree: Tree) -> str:
    return str(tree.http.get(f"{tree.urls['webhook']}/readyz").text)


def test_a_refused_sender_is_named_and_all_who_wait_are_answered_once_it_is_mended(rough: Tree) -> None:
    people = ["+15556660054", "+15556660055"]
    misbehave(rough, {"at": "create", "do": "error", "status": 400, "code": 21659})
    for person in people:
        rough.text("hello", sender=person)
    wait_until(lambda: "2 people wait" in ready(rough), seconds=20, what="that both wait")
    assert ready(rough).startswith("stopped\n")
    assert f"nothing is sent from sender {OUR_NUMBER}: the sender is no number of Twilio" in ready(rough)

    misbehave(rough)

    wait_until(lambda: all(rough.replies(person) for person in people), seconds=20, what="both replies")
    wait_until(lambda: ready(rough).startswith("ready"), what="the end of the stop")
    assert [len(rough.replies(person)) for person in people] == [1, 1]


def test_one_person_whose_reply_comes_back_delays_no_other(rough: Tree) -> None:
    person, other = "+15556660056", "+15556660057"
    misbehave(rough, {"at": "delivery", "do": "undelivered", "code": 30034, "person": person})
    rough.text("hello", sender=person)
    wait_until(lambda: part(rough, person).get("error_code") == "30034", seconds=20, what="the report")

    rough.text("hello", sender=other)

    wait_until(lambda: rough.replies(other), seconds=20, what="the other's reply")
    assert ready(rough).startswith("ready\n")
    assert "nothing is sent to one destination" in ready(rough)


def test_a_strange_messaging_service_concerns_that_reply_alone(rough: Tree) -> None:
    person = "+15556660058"
    form = {
        "MessageSid": a_sid(), "AccountSid": ACCOUNT, "From": person, "To": OUR_NUMBER, "Body": "hello",
        "MessagingServiceSid": "MG" + "d" * 32,
    }  # fmt: skip

    assert rough.post(form).status_code == 200

    wait_until(lambda: rough.replies(person), seconds=20, what="the reply")
    assert rough.replies(person)[0]["from"] == OUR_NUMBER
    assert "nothing is sent from" not in ready(rough)


def test_a_message_that_the_journal_does_not_know_is_said_to_be_unknown(rough: Tree) -> None:
    answer = httpx.post(
        f"{rough.urls['twilio']}/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
        data={"To": "+15556660053", "From": OUR_NUMBER, "Body": "<b>by hand</b>"}, auth=(ACCOUNT, TOKEN), timeout=10,
    )  # fmt: skip
    page = httpx.get(f"{rough.urls['twilio']}/phone/explain/{answer.json()['sid']}", timeout=10)

    assert "knows nothing of this message" in page.text
    assert "&lt;b&gt;by hand" in page.text
    assert httpx.get(f"{rough.urls['twilio']}/phone/explain/SMnever", timeout=10).status_code == 404
