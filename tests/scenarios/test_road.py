"""What a person and an operator see of the whole product."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from chaos.tree import free_base
from conversation.window import WINDOW_MESSAGES
from runtime.settings import without_settings
from tests import promtool
from tests.builders import OUR_NUMBER, a_sid
from tests.conftest import ROOT, wait_until
from tests.models import a_model
from tests.scenarios.conftest import ACCOUNT, TOKEN, Tree, flower

pytestmark = pytest.mark.road


def test_a_signed_text_is_answered_and_written_down(tree: Tree) -> None:
    person, sid = "+15557770001", a_sid()
    form = {"MessageSid": sid, "AccountSid": ACCOUNT, "From": person, "To": OUR_NUMBER, "Body": "hello cat"}

    assert tree.post(form).status_code == 200
    wait_until(lambda: tree.replies(person), seconds=10, what="the reply")

    (reply,) = tree.replies(person)
    wait_until(lambda: tree.replies(person)[0]["status"] == "delivered", what="delivery")
    item = tree.dynamodb.get_item(TableName="DadaCatConversations", Key={"user_id": {"S": person}})["Item"]
    assert [(m["role"], m["content"]) for m in json.loads(item["messages"]["S"])] == [
        ("user", "hello cat"),
        ("assistant", reply["body"]),
    ]
    rows = {row["message_key"]: row for row in tree.rows(person)}
    assert rows[f"in#{sid}"]["state"] == "ANSWERED"
    assert rows[f"in#{sid}"]["sid"] == sid
    part = rows[f"out#{sid}#0"]
    assert (part["state"], part["sid"], part["content"]) == ("SENT", reply["sid"], reply["body"])
    wait_until(
        lambda: {r["message_key"]: r for r in tree.rows(person)}[f"out#{sid}#0"].get("status") == "delivered",
        what="the status",
    )


def test_a_whatsapp_sender_is_answered_on_whatsapp(tree: Tree) -> None:
    person, ours, sid = "whatsapp:+15557770004", f"whatsapp:{OUR_NUMBER}", a_sid()
    form = {"MessageSid": sid, "AccountSid": ACCOUNT, "From": person, "To": ours, "Body": "hello cat"}

    assert tree.post(form).status_code == 200
    wait_until(lambda: tree.replies(person), seconds=10, what="the reply")

    (reply,) = tree.replies(person)
    assert (reply["from"], reply["to"]) == (ours, person)
    rows = {row["message_key"]: row for row in tree.rows(person)}
    assert rows[f"in#{sid}"]["state"] == "ANSWERED"


def test_what_another_program_said_is_kept_when_it_leaves_the_window(tree: Tree) -> None:
    person, at = "+15557770044", "2026-11-01T12:00:00+00:00"
    said = [{"role": "user", "content": f"line {number}", "timestamp": at} for number in range(WINDOW_MESSAGES)]
    item = {"user_id": person, "created_at": at, "updated_at": at, "messages": json.dumps(said)}
    tree.dynamodb.put_item(
        TableName="DadaCatConversations",
        Item={**{name: {"S": value} for name, value in item.items()}, "is_active": {"BOOL": True}},
    )

    tree.text("and who are you?", sender=person)
    wait_until(lambda: tree.replies(person), seconds=10, what="the reply")

    kept = [row["content"] for row in tree.rows(person) if row["message_key"].startswith("old#")]
    assert kept == ["line 0", "line 1"]


def test_flower_shows_workers_and_tasks_without_a_number_or_a_text(tree: Tree) -> None:
    person = "+15557770002"
    tree.text("a very private text", sender=person)
    wait_until(lambda: tree.replies(person), seconds=10, what="the reply")

    wait_until(lambda: len(flower(tree, "/api/workers")) >= 2, what="both workers in Flower")
    wait_until(lambda: "dadacat.answer" in json.dumps(flower(tree, "/api/tasks")), what="the task in Flower")
    shown = json.dumps(flower(tree, "/api/tasks")) + json.dumps(flower(tree, "/api/workers?refresh=true"))
    assert "5557770002" not in shown
    assert "private" not in shown
    assert httpx.get(f"http://127.0.0.1:{tree.port_base + 2}/api/tasks", timeout=10).status_code == 401


def test_logs_hold_no_number_and_no_text(tree: Tree) -> None:
    person = "+15557770003"
    tree.text("zanzibar umbrella", sender=person)
    wait_until(lambda: tree.replies(person), seconds=10, what="the reply")

    logs = "".join(path.read_text(errors="replace") for path in (tree.data / "logs").glob("*.log"))
    assert "5557770003" not in logs
    assert "zanzibar" not in logs


def test_two_hundred_people_text_at_once(tree: Tree) -> None:
    people = [f"+1555100{n:04d}" for n in range(200)]
    before = len(tree.messages(From=OUR_NUMBER))

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(lambda person: tree.text(f"i am {person[-4:]}", sender=person), people))
    wait_until(lambda: len(tree.messages(From=OUR_NUMBER)) - before >= 200, seconds=90, what="two hundred replies")
    tree.wait_settled()

    assert len(tree.messages(From=OUR_NUMBER)) - before == 200
    assert [len(tree.replies(person)) for person in people] == [1] * 200


def test_the_same_text_many_times_is_answered_once(tree: Tree) -> None:
    person = "+15557770004"
    form = {"MessageSid": a_sid(), "AccountSid": ACCOUNT, "From": person, "To": OUR_NUMBER, "Body": "again"}

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: tree.post(form).status_code, range(60)))
    wait_until(lambda: tree.replies(person), seconds=10, what="the reply")
    assert tree.post(form).status_code == 200
    tree.wait_settled()

    assert set(answers) == {200}
    assert len(tree.replies(person)) == 1


def test_what_is_not_twilios_is_refused_and_nothing_is_a_500(tree: Tree) -> None:
    form = {"MessageSid": a_sid(), "AccountSid": ACCOUNT, "From": "+15557770005", "To": OUR_NUMBER, "Body": "hello"}

    assert tree.post(form, token="another").status_code == 403
    assert httpx.post(tree.urls["webhook"] + "/sms", data=form, timeout=10).status_code == 403
    assert tree.post({**form, "To": "+15550009999"}).status_code == 400
    assert tree.post({**form, "MessageSid": ""}).status_code == 400
    assert tree.post({**form, "Body": "x" * 70_000}).status_code == 413
    assert tree.replies("+15557770005") == []


class At(TwilioHttpClient):  # type: ignore[misc]  # the official client has no types
    """The official client's HTTP client, redirected to another host."""

    def __init__(self, base: str) -> None:
        super().__init__(timeout=10)
        self.base = base

    def request(self, method: str, url: str, *args: object, **options: object) -> Any:
        return super().request(method, url.replace("https://api.twilio.com", self.base), *args, **options)


def test_the_stock_client_sends_fetches_lists_redacts_and_deletes(tree: Tree) -> None:
    client = Client(ACCOUNT, TOKEN, http_client=At(tree.urls["twilio"]))
    person = "+15557770006"

    sent = [client.messages.create(to=person, from_=OUR_NUMBER, body=f"number {n}") for n in range(5)]
    assert (sent[0].status, sent[0].direction, sent[0].num_segments, sent[0].price) == (
        "queued",
        "outbound-api",
        "1",
        None,
    )
    wait_until(lambda: client.messages(sent[4].sid).fetch().status == "delivered", what="delivery")
    fetched = client.messages(sent[0].sid).fetch()
    assert (fetched.body, fetched.error_code) == ("number 0", None)
    assert fetched.date_sent is not None

    listed = client.messages.list(to=person, page_size=2)
    assert [message.body for message in listed] == [f"number {n}" for n in (4, 3, 2, 1, 0)]
    assert client.messages.list(to=person, date_sent_after=fetched.date_sent.replace(year=2099)) == []
    assert len(client.messages.list(to=person, date_sent_after=fetched.date_sent.replace(year=2020))) == 5

    assert client.messages(sent[0].sid).update(body="").body == ""
    assert client.messages(sent[1].sid).delete() is True
    wrongs: tuple[tuple[Callable[[], object], int], ...] = (
        (lambda: client.messages(sent[1].sid).fetch(), 20404),
        (lambda: client.messages.create(to="12", from_=OUR_NUMBER, body="x"), 21211),
        (lambda: client.messages.create(to=person, from_="+15550001111", body="x"), 21606),
        (lambda: client.messages.create(to=person, from_=OUR_NUMBER, body=""), 21602),
        (lambda: client.messages.create(to=person, from_=OUR_NUMBER, body="x" * 1601), 21617),
        (lambda: client.messages(sent[2].sid).update(status="canceled"), 30409),
        (lambda: Client(ACCOUNT, "wrong", http_client=At(tree.urls["twilio"])).messages(sent[0].sid).fetch(), 20003),
    )
    for wrong, code in wrongs:
        with pytest.raises(TwilioRestException) as caught:
            wrong()
        assert caught.value.code == code
    number = client.incoming_phone_numbers.list(phone_number=OUR_NUMBER)[0]
    assert (number.sms_url or "").startswith(tree.urls["webhook"] + "/sms")
    assert client.api.v2010.accounts(ACCOUNT).fetch().status == "active"


def test_stop_blocks_as_twilios_does_and_start_opens_again(tree: Tree) -> None:
    person = "+15557770007"
    client = Client(ACCOUNT, TOKEN, http_client=At(tree.urls["twilio"]))

    tree.text("STOP", sender=person)
    wait_until(lambda: any(row["state"] == "SILENT" for row in tree.rows(person)), what="the STOP's settlement")
    with pytest.raises(TwilioRestException) as caught:
        client.messages.create(to=person, from_=OUR_NUMBER, body="psst")
    assert caught.value.code == 21610
    tree.text("are you there", sender=person)
    wait_until(lambda: sum(row["state"] == "SILENT" for row in tree.rows(person)) == 2, what="silence")
    assert tree.replies(person) == []

    tree.text("START", sender=person)
    wait_until(lambda: sum(row["state"] == "SILENT" for row in tree.rows(person)) == 3, what="the START's settlement")
    tree.text("and now", sender=person)
    wait_until(lambda: tree.replies(person), seconds=10, what="a reply after START")


def test_the_road_of_a_text_shows_every_station(tree: Tree) -> None:
    sid = tree.text("show me the road", sender="+15557770008")

    def stations() -> list[str]:
        road = httpx.get(f"{tree.urls['twilio']}/phone/road/{sid}", timeout=10).json()
        return [station["name"] for station in road["stations"]]

    every = ["received", "acknowledged", "opened", "thought", "persisted", "claimed", "sent", "delivered"]
    wait_until(lambda: stations() == every, seconds=15, what="the whole road")


def test_a_picture_goes_along(tree: Tree) -> None:
    person = "+15557770009"
    png = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000")
    uploaded = httpx.post(
        f"{tree.urls['twilio']}/phone/pictures", content=png, headers={"content-type": "image/png"}, timeout=10
    ).json()["sid"]
    sent = httpx.post(
        f"{tree.urls['twilio']}/phone/texts",
        json={"from": person, "to": OUR_NUMBER, "body": "", "pictures": [uploaded]}, timeout=10,
    ).json()["sid"]  # fmt: skip
    wait_until(lambda: tree.replies(person), seconds=10, what="the reply")

    assert sent.startswith("MM")
    client = Client(ACCOUNT, TOKEN, http_client=At(tree.urls["twilio"]))
    (media,) = client.messages(sent).media.list()
    assert (media.content_type, media.parent_sid) == ("image/png", sent)
    content = httpx.get(tree.urls["twilio"] + media.uri.removesuffix(".json"), auth=(ACCOUNT, TOKEN), timeout=10)
    assert content.content == png


@pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool: apt-get install prometheus")
def test_a_whole_tree_that_is_well_raises_no_alarm(tree: Tree, tmp_path: Path) -> None:
    """Of every process that `up --observe` reads: one false page makes operators deaf for the true ones."""
    base = tree.port_base
    ports = {"webhook": base, "console": base + 8, "beat": base + 9}
    ports |= {f"worker-{number}": base + 10 + number for number in range(tree.workers)}
    wait_until(lambda: all(tree.http.get(f"http://127.0.0.1:{port}/readyz").is_success for port in ports.values()))

    pages = {name: tree.http.get(f"http://127.0.0.1:{port}/metrics").text for name, port in ports.items()}

    assert [name for name, page in pages.items() if "dadacat_redis_up 1.0" not in page] == []
    assert promtool.firing(pages, tmp_path) == set()


def test_a_worker_killed_in_mid_thought_leaves_one_reply_to_another(own_tree: Callable[..., Tree]) -> None:
    """Kill the worker whose request the model never answers."""
    over = threading.Event()
    with a_model() as model:
        model.says = lambda _: str(over.wait(60))
        tree = own_tree(
            workers=2, CAT_ENGINES="openai:slow", OPENAI_BASE_URL=model.url, OPENAI_API_KEY="x", LEASE_SECONDS="4",
            LEASE_RENEW_SECONDS="1", SWEEP_INTERVAL_SECONDS="1",
        )  # fmt: skip
        person = "+15557770010"
        tree.text("think hard", sender=person)
        wait_until(lambda: len(model.asked) == 1, seconds=10, what="a thought")
        thinking = tree.rows(person)[0]["worker"]
        model.says = lambda _: "a thought"

        os.kill(int(thinking.rpartition(":")[2]), signal.SIGKILL)
        wait_until(lambda: tree.replies(person), what="the reply of another worker")
        tree.wait_settled()

        assert [reply["body"] for reply in tree.replies(person)] == ["a thought"]
        wait_until(lambda: len(tree.processes("worker")) == 2, what="the dead worker's successor")
        assert int(thinking.rpartition(":")[2]) not in tree.processes("worker")
        assert tree.stop() == 0
        over.set()


def test_after_stop_and_start_everything_is_as_it_was(own_tree: Callable[..., Tree]) -> None:
    tree = own_tree(workers=1)
    person = "+15551230001"
    tree.text("remember the tangerine", sender=person)
    wait_until(lambda: tree.replies(person), seconds=10, what="the reply")
    wait_until(lambda: tree.replies(person)[0]["status"] == "delivered", what="delivery")
    tree.wait_settled()
    page = httpx.get(f"{tree.urls['twilio']}/phone/state", timeout=10).json()
    item = tree.dynamodb.get_item(TableName="DadaCatConversations", Key={"user_id": {"S": person}})["Item"]

    assert tree.stop() == 0
    assert not any(str(tree.data) in line for line in running())
    tree.start()

    assert httpx.get(f"{tree.urls['twilio']}/phone/state", timeout=10).json() == page
    assert tree.dynamodb.get_item(TableName="DadaCatConversations", Key={"user_id": {"S": person}})["Item"] == item
    tree.text("and now", sender=person)
    wait_until(lambda: len(tree.replies(person)) == 2, seconds=10, what="the next reply")
    assert tree.stop() == 0


def running() -> list[str]:
    return subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize(
    ("settings", "arguments", "sentence"),
    [
        ({}, ["--port-base", "{webhook}"], "is taken"),
        ({"REDIS_URL": "nonsense"}, [], "REDIS_URL"),
        ({"DOUBLE_TEXT_POLICY": "never"}, [], "DOUBLE_TEXT_POLICY"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, [], "REDIS_URL names a service that does not answer"),
    ],
)
def test_what_is_in_the_way_is_said_in_a_sentence(
    tree: Tree, tmp_path: Any, settings: dict[str, str], arguments: list[str], sentence: str
) -> None:
    filled = [argument.format(webhook=tree.port_base) for argument in arguments] or ["--port-base", str(free_base())]
    answer = subprocess.run(
        [str(ROOT / ".venv/bin/dadacat"), "up", "--headless", "--data", str(tmp_path), *filled],
        env={**without_settings(os.environ), "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN, **settings},
        capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path,
    )  # fmt: skip

    assert answer.returncode == 1
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr
    assert "ready" not in answer.stdout
    assert not any(str(tmp_path) in line for line in running())
