"""Requirements of the law, the carriers and the operator, on the whole product."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.builders import OUR_NUMBER
from tests.conftest import wait_until
from tests.scenarios.conftest import ACCOUNT, TOKEN, Tree
from tests.scenarios.test_operate import dadacat, run

#: Either reason ends the talk: which comes first depends on how often the cats repeat themselves.
FALLS_SILENT = {"two machines seem to talk to each other", "over the limit: identical texts an hour"}
#: For so long no cat says anything more: longer than a reply takes.
SILENCE_SECONDS = 5

pytestmark = pytest.mark.road


@pytest.fixture(scope="module")
def tree(start_tree: Callable[..., Tree]) -> Tree:
    return start_tree(workers=1, LIMITS="on", HELP_LINE="a cat. STOP ends it.")


def answered(tree: Tree, person: str, replies: int) -> None:
    wait_until(lambda: len(tree.replies(person)) >= replies, seconds=30, what=f"{replies} replies to {person}")


def settled(tree: Tree, person: str, texts: int) -> None:
    def are_settled() -> bool:
        rows = [row for row in tree.rows(person) if row["message_key"].startswith("in#")]
        return len(rows) >= texts and all(row["state"] != "FILED" for row in rows)

    wait_until(are_settled, seconds=60, what=f"an end of {texts} texts")


def test_after_stop_nothing_is_sent_and_the_audit_proves_it(tree: Tree) -> None:
    person = "+15556660001"
    tree.text("hello", sender=person)
    answered(tree, person, 1)
    tree.text("STOP", sender=person)
    settled(tree, person, 2)

    # Post texts to the webhook directly, because the simulated carrier itself blocks replies after STOP.
    for number in range(50):
        form = {
            "MessageSid": f"SM{number:032x}", "AccountSid": ACCOUNT, "From": person, "To": OUR_NUMBER,
            "Body": f"and? {number}",
        }  # fmt: skip
        assert tree.post(form).status_code == 200
    settled(tree, person, 52)
    assert len(tree.replies(person)) == 1
    assert "0 offences" in dadacat(tree, "audit")

    tree.text("START", sender=person)
    settled(tree, person, 53)
    tree.text("are you there again?", sender=person)
    answered(tree, person, 2)
    assert "0 offences" in dadacat(tree, "audit")

    # Forge a message sent after STOP: a row that no worker would have written.
    stop = next(row for row in tree.rows(person) if row.get("reason") == "keyword stop")
    claim = {"state": {"S": "SENDING"}, "at": {"S": stop["settled_at"]}, "attempt": {"S": "x"}}
    forged = {
        "user_id": {"S": person}, "message_key": {"S": "out#SMforged#0"}, "sid": {"S": "SMforged"},
        "state": {"S": "SENT"},
        "log": {"L": [{"M": claim}]},
    }  # fmt: skip
    tree.dynamodb.put_item(TableName="DadaCatMessages", Item=forged)
    answer = run(tree, "audit", "--numbers")
    output = answer.stdout
    assert answer.returncode == 1
    assert "1 offence\n" in output
    assert person in output
    assert "sent after STOP" in output
    assert "SMforged" in output


def test_help_is_answered_with_the_operators_line(tree: Tree) -> None:
    person = "+15556660002"
    tree.text("help", sender=person)
    answered(tree, person, 1)

    assert tree.replies(person)[0]["body"] == "a cat. STOP ends it."


def test_over_a_limit_there_is_silence_and_it_is_shown(own_tree: Callable[..., Tree]) -> None:
    tree = own_tree(workers=2, LIMITS="on", LIMIT_TEXTS_PER_MINUTE="5", DOUBLE_TEXT_POLICY="each")
    person = "+15556660003"
    for number in range(12):
        tree.text(f"number {number}", sender=person)
    settled(tree, person, 12)

    assert len(tree.replies(person)) == 5
    assert "over the limit: texts a minute" in dadacat(tree, "stats")


@contextmanager
def traffic(tree: Tree, *, per_second: int) -> Iterator[list[str]]:
    """Send texts of ever new people by the carrier until the block ends; yield the list of people."""
    over, people = threading.Event(), list[str]()

    def text() -> None:
        while not over.wait(1 / per_second):
            person = f"+1556{len(people):07d}"
            tree.text("hello", sender=person)
            people.append(person)

    thread = threading.Thread(target=text)
    thread.start()
    try:
        yield people
    finally:
        over.set()
        thread.join()


def test_a_token_is_rotated_under_traffic_without_a_restart(own_tree: Callable[..., Tree], tmp_path: Path) -> None:
    secret = tmp_path / "tokens"
    secret.write_text(f"{TOKEN}\n")
    tree = own_tree(workers=1, TWILIO_AUTH_TOKEN="", TWILIO_AUTH_TOKEN_FILE=str(secret))
    before = {role: tree.processes(role) for role in ("webhook", "worker")}

    with traffic(tree, per_second=20) as people:
        wait_until(lambda: len(people) > 40, what="traffic")
        # First both tokens are in the file, then the next one is promoted at Twilio, then it is alone in the file.
        secret.write_text(f"{TOKEN}\nthe-next-token\n")
        read_anew(tree)
        promoted = httpx.put(f"{tree.urls['twilio']}/account/token", json={"token": "the-next-token"}, timeout=10)
        assert promoted.status_code == 204
        count = len(people)
        wait_until(lambda: len(people) > count + 40, what="traffic under the next token")
        secret.write_text("the-next-token\n")
        read_anew(tree)
        count = len(people)
        wait_until(lambda: len(people) > count + 40, what="traffic under the next token alone")

    tree.token = "the-next-token"
    wait_until(lambda: all(tree.replies(person) for person in people[-3:]), seconds=60, what="the last replies")
    tree.wait_settled(seconds=60)
    assert [person for person in people if len(tree.replies(person)) != 1] == []
    metrics = httpx.get(f"{tree.urls['webhook']}/metrics", timeout=10).text
    assert not re.search(r'status="403"} [1-9]', metrics)
    assert {role: tree.processes(role) for role in before} == before


def read_anew(tree: Tree) -> None:
    """Wait until the webhook has read its token file again."""
    log = tree.data / "logs" / "webhook.log"
    seen = log.read_text().count("tokens read anew")
    wait_until(lambda: log.read_text().count("tokens read anew") > seen, what="the webhook's look at its file")


@pytest.mark.long
def test_two_cats_that_face_each_other_fall_silent(own_tree: Callable[..., Tree]) -> None:
    """Forward each message of either cat to the other at once."""
    one, other = (own_tree(workers=1, LIMITS="on") for _ in range(2))
    cat_a, cat_b = "+15557770001", "+15557770002"
    carried = {"a": 0, "b": 0}

    def carry(source: Tree, to: str, target: Tree, name: str) -> None:
        for message in source.replies(to)[carried[name] :]:
            target.text(message["body"], sender=cat_a if name == "a" else cat_b)
            carried[name] += 1

    def reasons() -> set[str]:
        return {str(row.get("reason")) for tree, person in ((one, cat_b), (other, cat_a)) for row in tree.rows(person)}

    one.text("hello there, is this a cat that i am talking to?", sender=cat_b)
    quiet_since = time.monotonic()
    while (quiet := time.monotonic() - quiet_since) < SILENCE_SECONDS or not FALLS_SILENT & reasons():
        assert quiet < 10 * SILENCE_SECONDS, f"the cats are silent for another reason: {reasons()}"
        before = dict(carried)
        carry(one, cat_b, other, "a")
        carry(other, cat_a, one, "b")
        if carried != before:
            quiet_since = time.monotonic()
        assert sum(carried.values()) < 60, "the cats do not fall silent"
        threading.Event().wait(0.05)


def test_each_number_has_its_own_conversation_where_that_is_wanted(own_tree: Callable[..., Tree]) -> None:
    other, person = "+15005550007", "+15556660020"
    tree = own_tree(workers=1, TWILIO_PHONE_NUMBER=f"{OUR_NUMBER},{other}", CONVERSATIONS="number")
    for number in (OUR_NUMBER, other):
        tree.text(f"hello, {number}", sender=person, number=number)
    answered(tree, person, 2)

    assert {message["from"] for message in tree.replies(person)} == {OUR_NUMBER, other}
    for number in (OUR_NUMBER, other):
        user = f"{person}/{number}"
        wait_until(
            lambda user=user: any(row.get("status") == "delivered" for row in tree.rows(user)),  # type: ignore[misc]
            what="delivery",
        )
        assert f"hello, {number}" in dadacat(tree, "history", user)
    dadacat(tree, "conversations", "forget", person, "--yes")
    assert tree.replies(person) == []
    assert tree.rows(f"{person}/{other}") == []


def test_an_erased_person_stays_opted_out_until_start(tree: Tree) -> None:
    person = "+15556660031"
    tree.text("STOP", sender=person)
    settled(tree, person, 1)
    dadacat(tree, "conversations", "forget", person, "--yes")

    # Posted to the webhook directly, because the simulated carrier itself blocks replies after STOP.
    form = {"MessageSid": "SM" + "e" * 32, "AccountSid": ACCOUNT, "From": person, "To": OUR_NUMBER, "Body": "hello?"}
    assert tree.post(form).status_code == 200
    settled(tree, person, 1)
    assert tree.replies(person) == []

    tree.text("START", sender=person)
    settled(tree, person, 2)
    tree.text("hello again", sender=person)
    answered(tree, person, 1)


Broken = Mapping[str, str]


@pytest.mark.parametrize(
    ("broken", "where", "what", "remedy"),
    [
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, "redis", "nothing answers at 127.0.0.1:1", "REDIS_URL"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "dynamodb", "does not answer", "AWS_ENDPOINT_URL"),
        ({"DYNAMODB_TABLE_NAME": "DadaCatMessages"}, "dynamodb", "table of another application", "DYNAMODB_TABLE_NAME"),
        ({"TWILIO_AUTH_TOKEN": "wrong"}, "twilio", "TWILIO_AUTH_TOKEN is not this account's", "console"),
        ({"TWILIO_AUTH_TOKEN": "wrong"}, "webhook", "refuses requests signed with our token", "TWILIO_AUTH_TOKEN"),
        ({"TWILIO_API_BASE_URL": "http://127.0.0.1:1"}, "twilio", "cannot be reached", "TWILIO_API_BASE_URL"),
        ({"TWILIO_PHONE_NUMBER": "+15005550099"}, "twilio", "is not a number of this account", "TWILIO_PHONE_NUMBER"),
        ({"PUBLIC_URL": "http://127.0.0.1:1"}, "webhook", "does not answer", "PUBLIC_URL"),
        ({"PUBLIC_URL": "{twilio}"}, "webhook", "not our webhook", "PUBLIC_URL"),
        ({"PUBLIC_URL": "{webhook}/"}, "webhook", "accepts Twilio's signature", ""),
        (
            {"CAT_ENGINES": "openai:x", "OPENAI_BASE_URL": "http://127.0.0.1:1"},
            "engines", "does not answer", "OPENAI_BASE_URL",
        ),
    ],
)  # fmt: skip
def test_the_doctor_names_what_is_wrong_and_the_remedy(
    tree: Tree, broken: Broken, where: str, what: str, remedy: str
) -> None:
    findings = examined(tree, {name: value.format(**tree.urls) for name, value in broken.items()})

    assert any(f["where"] == where and what in f["what"] and remedy in f["remedy"] for f in findings), findings


def examined(tree: Tree, settings: Broken | None = None) -> list[dict[str, Any]]:
    answer = run(tree, "doctor", "--json", **(settings or {}))
    assert "Traceback" not in answer.stderr
    findings: list[dict[str, Any]] = json.loads(answer.stdout)
    assert answer.returncode == int(any(finding["level"] == "wrong" for finding in findings))
    return findings


@pytest.mark.parametrize(
    ("name", "value", "good"), [("appendonly", "no", "yes"), ("maxmemory-policy", "allkeys-lru", "noeviction")]
)
def test_the_doctor_looks_at_what_redis_keeps(tree: Tree, name: str, value: str, good: str) -> None:
    tree.redis.config_set(name, value)
    try:
        findings = examined(tree)
    finally:
        tree.redis.config_set(name, good)

    assert any(f"{name} is {value}" in f["what"] and f"config set {name} {good}" in f["remedy"] for f in findings), (
        findings
    )


def test_the_doctor_sees_where_twilio_posts_and_connect_mends_it(tree: Tree) -> None:
    base = f"{tree.urls['twilio']}/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers"
    (number,) = httpx.get(f"{base}.json", auth=(ACCOUNT, TOKEN)).json()["incoming_phone_numbers"]
    httpx.post(f"{base}/{number['sid']}.json", data={"SmsUrl": "https://old.example/sms"}, auth=(ACCOUNT, TOKEN))

    assert any("https://old.example/sms" in f["what"] and f["remedy"] == "dadacat connect" for f in examined(tree))
    asked = run(tree, "connect", "--json")
    assert asked.returncode == 1
    assert [(change["is_needed"], change["changed"]) for change in json.loads(asked.stdout)] == [(True, False)]
    difference = run(tree, "connect", "--dry-run").stdout
    assert "- texts https://old.example/sms" in difference
    assert f"+ texts {tree.urls['webhook']}/sms#rc=3" in difference
    dadacat(tree, "connect", "--yes")

    assert all(finding["level"] == "ok" for finding in examined(tree)), examined(tree)
    # the doctor leaves no trace in the webhook's log
    assert "not ours" not in (tree.data / "logs" / "webhook.log").read_text()
    tree.text("connected again", sender="+15556660009")
    answered(tree, "+15556660009", 1)


def test_the_doctor_sees_that_no_one_works(own_tree: Callable[..., Tree]) -> None:
    tree = own_tree(workers=0)
    tree.text("anybody?", sender="+15556660010")
    wait_until(
        lambda: any(
            f["where"] == "workers" and "no worker answers, and a text has waited" in f["what"] for f in examined(tree)
        ),
        what="a finding about the text",
    )


def test_the_doctor_tells_wrong_settings_by_name(tree: Tree) -> None:
    complaint = dadacat(tree, "doctor", code=1, DOUBLE_TEXT_POLICY="never", LIMIT_TEXTS_PER_DAY="many")

    assert "DOUBLE_TEXT_POLICY" in complaint
    assert "LIMIT_TEXTS_PER_DAY" in complaint
    assert "many" not in complaint
