"""A refusal reaches what it concerns, and no one else waits.

The short tests of this subject stand in `test_faults`, on a tree that runs anyway.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from statistics import quantiles

import pytest

from tests.builders import OUR_NUMBER, a_sid
from tests.conftest import wait_until
from tests.scenarios.conftest import ACCOUNT, Tree
from tests.scenarios.test_faults import misbehave, part, ready
from tests.scenarios.test_operate import run

pytestmark = [pytest.mark.road, pytest.mark.long]

OTHER_NUMBER = "+15005550007"
#: A refusal lasts this long before the account is mended.
MENDED_AFTER_SECONDS = 4
PROBE_SECONDS = 2


@pytest.fixture(scope="module")
def tree(start_tree: Callable[..., Tree]) -> Tree:
    return start_tree(
        TWILIO_PHONE_NUMBER=f"{OUR_NUMBER},{OTHER_NUMBER}", PROBE_SECONDS=str(PROBE_SECONDS), WHATSAPP="on",
        SWEEP_INTERVAL_SECONDS="1", SWEEP_PERSON_SECONDS="2",
    )  # fmt: skip


@pytest.fixture(autouse=True)
def behave_again(tree: Tree) -> Iterator[None]:
    yield
    misbehave(tree)


def answered(tree: Tree, person: str, count: int = 1) -> None:
    wait_until(lambda: len(tree.replies(person)) >= count, seconds=30, what=f"the reply to {person}")


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (21606, f"nothing is sent from sender {OUR_NUMBER}"),
        (21659, f"nothing is sent from sender {OUR_NUMBER}"),
        (21660, f"nothing is sent from sender {OUR_NUMBER}"),
        (21661, f"nothing is sent from sender {OUR_NUMBER}"),
        (63007, f"nothing is sent from channel sms:{OUR_NUMBER}"),
        (20003, "nothing is sent: authentication failed"),
        (63038, "nothing is sent: the account exceeded its daily limit"),
        (572002, "nothing is sent to one destination"),
        (21608, "nothing is sent to one destination"),
        (999999, "nothing is sent to one destination: Twilio error 999999"),
    ],
)
def test_a_refused_reply_is_kept_and_sent_once_it_is_mended(tree: Tree, code: int, line: str) -> None:
    person = f"+1555771{code % 10000:04d}"
    misbehave(tree, {"at": "create", "do": "error", "status": 400, "code": code})

    tree.text("hello", sender=person)
    wait_until(lambda: line in ready(tree), what="the stop")
    assert part(tree, person)["state"] == "RETRY"
    stops = json.loads(run(tree, "stats", "--json").stdout)["stopped"]
    assert [stop["people"] for stop in stops] == [1]
    assert line in run(tree, "doctor").stdout
    time.sleep(MENDED_AFTER_SECONDS)  # the fault lasts for this time
    misbehave(tree)

    answered(tree, person)
    wait_until(lambda: ready(tree).startswith("ready") and line not in ready(tree), what="the end of the stop")
    assert len(tree.replies(person)) == 1
    assert "error_code" not in part(tree, person)


def test_when_the_account_is_mended_everyone_is_answered_at_once(tree: Tree) -> None:
    people = [f"+1555772{number:04d}" for number in range(40)]
    misbehave(tree, {"at": "create", "do": "error", "status": 401, "code": 20003})
    for person in people:
        tree.text("hello", sender=person)
    wait_until(lambda: "40 people wait" in ready(tree), what="that all wait")

    misbehave(tree)
    for person in people:
        answered(tree, person)

    sent = sorted(claimed(tree, person) for person in people)
    sys.stdout.write(f"40 people were answered within {sent[-1] - sent[0]:.2f} s of the first\n")
    assert sent[-1] - sent[0] < 10


@pytest.mark.parametrize("code", [30003, 30018, 30024, 30034, 21610])
def test_one_person_whose_replies_come_back_delays_no_other(tree: Tree, code: int) -> None:
    person = f"+1555773{code % 10000:04d}"
    misbehave(tree, {"at": "delivery", "do": "undelivered", "code": code, "person": person})
    others = [f"+1555774{code % 100:02d}{number:02d}" for number in range(13)]
    tree.text("hello", sender=person)
    wait_until(lambda: part(tree, person).get("error_code") == str(code), what="the report")
    tree.text("and now?", sender=person)

    for place, other in enumerate(others):
        tree.text("hello", sender=other, number=(OUR_NUMBER, OTHER_NUMBER)[place % 2])
        answered(tree, other)
        assert not ready(tree).startswith("stopped")

    assert max(waited(tree, other)[0] for other in others) < 5


def test_a_delivery_after_all_takes_the_error_back(tree: Tree) -> None:
    person = "+15557760001"
    misbehave(tree, {"at": "callback", "do": "never", "person": person})
    sid = tree.text("hello", sender=person)
    answered(tree, person)
    row = part(tree, person)

    def report(status: str, **more: str) -> None:
        form = {"MessageSid": row["sid"], "AccountSid": ACCOUNT, "To": person, "MessageStatus": status, **more}
        assert tree.post(form, f"/sms/status?i={row['attempt_id']}").status_code == 204
        wait_until(lambda: part(tree, person)["status"] == status, what=f"the status {status}")

    report("undelivered", ErrorCode="30022")
    wait_until(lambda: len(tree.rows(person)) == 3, what="the second try")
    report("delivered")
    wait_until(lambda: tree.rows(person)[-1]["state"] == "SUPPRESSED", what="the end of the second try")

    story = run(tree, "explain", sid, "--person", person).stdout
    assert f"part 0 sent as {row['sid']}, last reported delivered;" in story
    assert "error_code" not in part(tree, person)
    assert "30022" not in json.loads(run(tree, "stats", "--json").stdout)["error_codes"]
    assert len(tree.replies(person)) == 1


@pytest.mark.parametrize("status", ["partially_delivered", "word_of_tomorrow"])
def test_any_word_is_taken_for_a_status(tree: Tree, status: str) -> None:
    form = {"MessageSid": a_sid(), "AccountSid": ACCOUNT, "To": "+15557760002", "MessageStatus": status}

    assert tree.post(form, "/sms/status?i=SM1-0-a").status_code == 204


def test_a_whatsapp_user_without_a_number_is_answered_at_that_address(tree: Tree) -> None:
    person = "whatsapp:FI.1502576394655843"

    tree.text("hello", sender=person, number=f"whatsapp:{OUR_NUMBER}")

    answered(tree, person)
    wait_until(lambda: part(tree, person).get("status") == "delivered", what="the report")
    assert tree.replies(person)[0]["from"] == f"whatsapp:{OUR_NUMBER}"


def test_a_long_whatsapp_text_is_taken(tree: Tree) -> None:
    person = "whatsapp:+15557770001"
    form = {"MessageSid": a_sid(), "AccountSid": ACCOUNT, "From": person, "To": f"whatsapp:{OUR_NUMBER}"}

    assert tree.post({**form, "Body": "hello " * 600}).status_code == 200
    assert tree.post({**form, "From": "+15557770001", "To": OUR_NUMBER, "Body": "x" * 1601}).status_code == 400
    answered(tree, person)


#: Two minutes of texts by so many people, each with so long between two texts.
MINUTES, PEOPLE, EACH_SECONDS = 2, 50, 6
#: People whose replies come back, by the code that says why.
UNREACHABLE = {code: f"+1555779{code % 10000:04d}" for code in (30018, 30024, 30034, 21610, 30003)}


def test_no_person_waits_longer_because_of_one_who_cannot_be_reached(tree: Tree) -> None:
    usual = waits(tree, [f"+1555780{number:04d}" for number in range(PEOPLE)], unreachable={})
    misbehave(
        tree,
        *({"at": "delivery", "do": "undelivered", "code": code, "person": at} for code, at in UNREACHABLE.items()),
    )
    beside = waits(tree, [f"+1555781{number:04d}" for number in range(PEOPLE)], unreachable=UNREACHABLE)

    for name, seconds in (("without", usual), ("beside", beside)):
        median, p99 = quantiles(seconds, n=100)[49], quantiles(seconds, n=100)[98]
        figures = f"{len(seconds)} texts, median {median:.3f} s, p99 {p99:.3f} s, longest {max(seconds):.3f} s"
        sys.stdout.write(f"{name}: {figures}\n")
    assert quantiles(beside, n=100)[98] < quantiles(usual, n=100)[98] + 2


def waits(tree: Tree, people: Sequence[str], *, unreachable: dict[int, str]) -> list[float]:
    """Let people text for some minutes, and return how long each of their texts waited for its reply."""
    rounds = MINUTES * 60 // EACH_SECONDS
    with ThreadPoolExecutor(10) as pool:
        for number in range(rounds):
            started_at = time.monotonic()
            # a text of each unreachable person comes back every other round
            texting = [*(unreachable.values() if number % 2 == 0 else ()), *people]
            list(pool.map(lambda person: tree.text("hello", sender=person), texting))
            time.sleep(max(0.0, EACH_SECONDS - (time.monotonic() - started_at)))
    for person in people:
        wait_until(partial(_is_answered, tree, person, rounds), seconds=60, what="every reply")
    return [seconds for person in people for seconds in waited(tree, person)]


def _is_answered(tree: Tree, person: str, times: int) -> bool:
    return len(waited(tree, person)) == times


def waited(tree: Tree, person: str) -> list[float]:
    """Return how long each text of a person waited until the request for its reply was made."""
    rows = {row["message_key"]: row for row in tree.rows(person)}
    pairs = [(row, rows.get(f"out#{key.split('#')[1]}#0", {})) for key, row in rows.items() if key.startswith("in#")]
    return [
        datetime.fromisoformat(reply["claimed_at"]).timestamp() - int(text["arrived"].partition("-")[0]) / 1000
        for text, reply in pairs
        if "claimed_at" in reply
    ]


def claimed(tree: Tree, person: str) -> float:
    return datetime.fromisoformat(part(tree, person)["claimed_at"]).timestamp()
