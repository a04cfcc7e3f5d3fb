"""What a restart does to messages under way and to numbers, and a deletion to a text."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from starlette.testclient import TestClient

from simulator import wiring
from simulator.account import Account
from simulator.app import create_app
from simulator.faults import Faults
from simulator.network import Network
from simulator.store import Number, Store
from tests.builders import ANN, OUR_NUMBER
from tests.conftest import wait_until
from tests.servers import a_server, asked_of, send

SID = "AC" + "5" * 32
API = f"/2010-04-01/Accounts/{SID}"
LOGIN = {"authorization": "Basic " + base64.b64encode(f"{SID}:t".encode()).decode()}
#: Longer than any test.
LATER = 600.0


class Application:
    """An application that takes every text and every status. It answers while `held` is set."""

    def __init__(self) -> None:
        self.posted: list[dict[str, str]] = []
        self.held = threading.Event()
        self.held.set()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        form = parse_qs(asked_of(handler).decode())
        self.posted.append({name: values[-1] for name, values in form.items()})
        self.held.wait(20)
        send(handler, b"", status=200)

    def statuses(self) -> list[str]:
        return [form["MessageStatus"] for form in self.posted if "MessageStatus" in form]


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def url(application: Application) -> Iterator[str]:
    with a_server(application.answer) as url:
        yield url
        application.held.set()


@contextmanager
def a_network(path: str, webhook: str, *rules: dict[str, Any], delivery_seconds: float = 0.01) -> Iterator[TestClient]:
    """Run a network, with its file at `path`, that posts texts to `webhook`."""
    store = Store(path)
    store.numbers.replace([Number(number=OUR_NUMBER, sid="PN1", created=1.0, sms_url=webhook)])
    faults = Faults(sending_seconds=0.01, delivery_seconds=delivery_seconds)
    faults.set(list(rules))
    network = Network(store, Account(sid=SID, token="t"), faults=faults, base_url="http://network")
    with TestClient(create_app(network), base_url="http://network", headers=LOGIN) as client:
        yield client


def text(client: TestClient, body: str) -> str:
    return str(client.post("/phone/texts", json={"from": ANN, "body": body}).json()["sid"])


def create(client: TestClient, **more: str) -> Any:
    return client.post(f"{API}/Messages.json", data={"To": ANN, "From": OUR_NUMBER, "Body": "hi", **more})


def messages_of(client: TestClient) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = client.get("/phone/state").json()["phones"][0]["messages"]
    return messages


def test_a_restart_posts_what_was_pending_in_its_order_and_applies_no_keyword_again(tmp_path: Path, url: str) -> None:
    path, bodies = str(tmp_path / "network"), ["STOP", "START", "a", "b", "c"]
    with a_network(path, url, {"at": "webhook", "do": "delay", "seconds": LATER}) as network:
        for body in bodies:
            text(network, body)

    with a_network(path, url) as network:
        wait_until(lambda: len(network.get("/requests").json()) == len(bodies))
        asked = sorted(network.get("/requests").json(), key=lambda one: one["at"])
        (phone,) = network.get("/phone/state").json()["phones"]
        refused = create(network).json().get("code")

    assert [one["fields"]["Body"] for one in asked] == bodies
    assert [notice["body"].split()[2].strip(".") for notice in phone["notices"]] == ["unsubscribed", "subscribed"]
    assert refused is None


def test_a_restart_takes_a_message_on_from_the_status_that_it_has(
    tmp_path: Path, url: str, application: Application
) -> None:
    path = str(tmp_path / "network")
    with a_network(path, "", delivery_seconds=LATER) as network:
        sid = create(network, StatusCallback=url).json()["sid"]
        wait_until(lambda: application.statuses() == ["sent"])

    with a_network(path, ""):
        wait_until(lambda: "delivered" in application.statuses())

    store = Store(path)
    message = store.message(sid)
    store.close()
    assert message is not None
    assert [station for station, _ in message.stations] == ["queued", "sent", "delivered"]
    assert application.statuses() == ["sent", "delivered"]


def test_nothing_that_is_settled_is_taken_up_again(tmp_path: Path, url: str, application: Application) -> None:
    path = str(tmp_path / "network")
    with a_network(path, url) as network:
        text(network, "hello")
        create(network, StatusCallback=url)
        wait_until(lambda: set(application.statuses()) == {"sent", "delivered"})
        wait_until(lambda: messages_of(network)[0]["stations"][-1][0] == "acknowledged")

    store = Store(path)
    assert store.under_way() == []
    store.close()


def test_a_text_that_is_deleted_while_its_webhook_is_asked_stays_deleted(url: str, application: Application) -> None:
    application.held.clear()
    with a_network("", url) as network:
        sid = text(network, "a secret")
        wait_until(lambda: application.posted)

        assert network.delete(f"{API}/Messages/{sid}.json").status_code == 204
        application.held.set()
        wait_until(lambda: network.get("/requests").json())

        assert network.get(f"{API}/Messages/{sid}.json").status_code == 404


def test_the_account_has_the_numbers_of_the_settings_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "TWILIO_ACCOUNT_SID": SID, "TWILIO_API_BASE_URL": "http://127.0.0.1:8401", "TWILIO_PHONE_NUMBER": "",
        "SIMULATOR_TOKEN_FILE": str(tmp_path / "token"), "SIMULATOR_DATA": str(tmp_path / "network"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    owned = []

    for numbers in ("+15005550006,+15005550011", "+15005550055,+15005550006"):
        monkeypatch.setenv("SIMULATOR_NUMBERS", numbers)
        store = wiring.build_network().switchboard.store
        owned.append({number.number: number.sid for number in store.numbers.all()})
        store.close()

    assert [list(numbers) for numbers in owned] == [["+15005550006", "+15005550011"], ["+15005550055", "+15005550006"]]
    assert owned[0]["+15005550006"] == owned[1]["+15005550006"]
