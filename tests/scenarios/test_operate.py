"""The operator's commands, on the whole product: explain, dead letters, reconcile."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import httpx
import pytest

from runtime.settings import without_settings
from tests.conftest import ROOT, wait_until
from tests.scenarios.conftest import Tree

pytestmark = pytest.mark.road


@pytest.fixture(scope="module")
def tree(start_tree: Callable[..., Tree]) -> Tree:
    return start_tree(workers=1, UNSETTLED_AFTER_SECONDS="1")


def run(tree: Tree, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return preloaded().run(
        arguments,
        env={
            **without_settings(os.environ), **tree.settings,
            "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
            "REDIS_URL": tree.urls["redis"], "AWS_ENDPOINT_URL": tree.urls["dynamodb"],
            "TWILIO_API_BASE_URL": tree.urls["twilio"], "PUBLIC_URL": tree.urls["webhook"], **settings,
        },
        cwd=tree.data,
    )  # fmt: skip


class Preloaded:
    """Runs commands of `dadacat` in a server process that has its imports done."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.scenarios.preloaded"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lock = threading.Lock()
        atexit.register(self._end)

    def _end(self) -> None:
        self._server.kill()
        with self._server:  # waits for the process, and closes its pipes
            pass

    def run(self, arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a command and return its exit code and output."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        with self._lock, tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder) / "out", Path(folder) / "err"
            request = {
                "arguments": arguments,
                "env": dict(env),
                "cwd": str(cwd),
                "stdout": str(out),
                "stderr": str(err),
            }
            self._server.stdin.write(json.dumps(request) + "\n")
            self._server.stdin.flush()
            code = int(self._server.stdout.readline())
            return subprocess.CompletedProcess(["dadacat", *arguments], code, out.read_text(), err.read_text())


@cache
def preloaded() -> Preloaded:
    """Return the server process that all tests share."""
    return Preloaded()


def dadacat(tree: Tree, *arguments: str, code: int = 0, **settings: str) -> str:
    answer = run(tree, *arguments, **settings)
    assert answer.returncode == code, answer.stderr
    assert "Traceback" not in answer.stderr
    return answer.stdout if code == 0 else answer.stderr


def test_a_text_is_explained_by_its_own_sid_and_by_its_replys(tree: Tree) -> None:
    person = "+15558880001"
    sid = tree.text("explain me", sender=person)
    wait_until(lambda: any(row.get("status") == "delivered" for row in tree.rows(person)), seconds=20, what="delivery")

    story = dadacat(tree, "explain", sid)
    for station in (
        "received",
        "opened",
        "thought",
        "persisted",
        "claimed",
        "attempt: SENT",
        "reported delivered",
        "engine=dada",
    ):
        assert station in story
    reply = tree.replies(person)[0]["sid"]
    assert f"sent as {reply}" in story
    assert max(map(len, story.splitlines())) <= 80
    assert "evidence=callback" in story
    # the carrier may report its price between the two commands
    assert dadacat(tree, "explain", reply) in {story, dadacat(tree, "explain", sid)}
    as_json = json.loads(dadacat(tree, "explain", sid, "--json"))
    assert as_json["sid"] == sid
    assert [event["at"] for event in as_json["events"]] == sorted(event["at"] for event in as_json["events"])


def test_a_sid_that_no_one_knows_is_told_so(tree: Tree) -> None:
    assert "nothing is known of SMnever" in dadacat(tree, "explain", "SMnever", code=3)


def test_a_reply_refused_for_good_is_a_dead_letter_that_can_be_replayed_once(tree: Tree) -> None:
    person = "+15558880002"
    rule = {"at": "create", "do": "error", "status": 400, "code": 21211, "person": person}
    httpx.put(f"{tree.urls['twilio']}/faults", json={"rules": [rule]}, timeout=10)
    sid = tree.text("hello", sender=person)
    wait_until(lambda: any(row["state"] == "FAILED" for row in tree.rows(person)), seconds=20, what="the refusal")
    httpx.put(f"{tree.urls['twilio']}/faults", json={"rules": []}, timeout=10)

    key = f"out#{sid}#0"
    (letter,) = json.loads(dadacat(tree, "dead-letters", "list", "--json"))
    assert (letter["key"], letter["code"]) == (key, 21211)
    assert json.loads(dadacat(tree, "dead-letters", "show", sid))["text"] == "hello"
    assert "is queued again" in dadacat(tree, "dead-letters", "replay", key)
    wait_until(lambda: tree.replies(person), seconds=20, what="the replayed reply")
    assert "not a dead letter" in dadacat(tree, "dead-letters", "replay", key, code=3)
    tree.wait_settled()
    assert len(tree.replies(person)) == 1
    assert "there are no dead letters" in dadacat(tree, "dead-letters", "list")


def test_texts_of_the_time_before_can_be_asked_for(tree: Tree) -> None:
    person = "+15558880003"
    wait_until(lambda: "missed" in dadacat(tree, "reconcile"), what="the watermark")
    httpx.put(f"{tree.urls['twilio']}/faults", json={"rules": [{"at": "webhook", "do": "never"}]}, timeout=10)
    tree.text("is anybody there", sender=person)
    httpx.put(f"{tree.urls['twilio']}/faults", json={"rules": []}, timeout=10)

    wait_until(
        lambda: json.loads(dadacat(tree, "reconcile", "--since", "1h", "--json"))["missed"],
        seconds=30,
        what="the find",
    )
    wait_until(lambda: tree.replies(person), seconds=20, what="the reply")

    assert len(tree.replies(person)) == 1
    assert "90m" in dadacat(tree, "reconcile", "--since", "yesterday", code=2)


def test_texts_that_were_brought_again_are_in_the_story(tree: Tree) -> None:
    person = "+15558880004"
    httpx.put(f"{tree.urls['twilio']}/faults", json={"rules": [{"at": "webhook", "do": "double"}]}, timeout=10)
    sid = tree.text("twice", sender=person)
    httpx.put(f"{tree.urls['twilio']}/faults", json={"rules": []}, timeout=10)
    wait_until(lambda: tree.replies(person), seconds=20, what="the reply")

    wait_until(lambda: "brought again" in dadacat(tree, "explain", sid), seconds=20, what="the duplicate's note")

    assert "times=1" in dadacat(tree, "explain", sid)


@pytest.mark.long
def test_a_held_reply_is_sent_again_by_the_operators_word_alone(tree: Tree) -> None:
    person = "+15558880005"
    rule = {"at": "create", "do": "error", "status": 503, "person": person, "times": 1}
    httpx.put(f"{tree.urls['twilio']}/faults", json={"rules": [rule]}, timeout=10)
    sid = tree.text("hello", sender=person)
    wait_until(lambda: any(row["state"] == "UNKNOWN" for row in tree.rows(person)), seconds=20, what="the doubt")
    key = f"out#{sid}#0"

    (reply,) = json.loads(dadacat(tree, "held", "list", "--json"))
    assert (reply["key"], reply["state"]) == (key, "UNKNOWN")
    assert person not in json.dumps(reply)
    assert "may still arrive" in dadacat(tree, "held", "resend", key, "--yes", code=1)
    tree.dynamodb.update_item(
        TableName="DadaCatMessages",
        Key={"user_id": {"S": person}, "message_key": {"S": key}},
        UpdateExpression="SET unknown_since = :long_ago",
        ExpressionAttributeValues={":long_ago": {"N": "1700000000000"}},
    )
    wait_until(lambda: "held" in dadacat(tree, "reconcile") and "HELD" in dadacat(tree, "held", "list"), what="HELD")

    assert "is sent again" in dadacat(tree, "held", "resend", key, "--yes")
    wait_until(lambda: tree.replies(person), seconds=30, what="the reply")
    assert "no reply in doubt" in dadacat(tree, "held", "resend", key, "--yes", code=3)
    assert "no reply is in doubt" in dadacat(tree, "held", "list")
    assert "word=resend" in dadacat(tree, "explain", sid, "--person", person)
    assert len(tree.replies(person)) == 1


def test_a_bad_row_is_listed_and_the_reconciler_goes_on(tree: Tree) -> None:
    bad = {"user_id": "+15558880006", "message_key": "in#SMbad", "state": "PONDERING", "unsettled": "00",
           "since": "2000-01-01T00:00:00+00:00"}  # fmt: skip
    item = {name: {"S": value} for name, value in bad.items()}
    tree.dynamodb.put_item(TableName="DadaCatMessages", Item=item)

    assert "missed" in dadacat(tree, "reconcile")

    (listed,) = json.loads(dadacat(tree, "set-aside", "list", "--json"))
    assert (listed["kind"], listed["name"]) == ("row", "in#SMbad")
    tree.dynamodb.delete_item(
        TableName="DadaCatMessages", Key={name: item[name] for name in ("user_id", "message_key")}
    )
    dadacat(tree, "reconcile")
    assert "nothing is set aside" in dadacat(tree, "set-aside", "list")
