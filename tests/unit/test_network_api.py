"""What the network's API and its page answer: lists, senders, pictures and fault rules."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from simulator.account import Account
from simulator.app import create_app
from simulator.faults import Faults
from simulator.network import Network
from simulator.store import Number, Store
from tests.builders import ANN, BEN, OUR_NUMBER
from tests.conftest import wait_until

SID, SERVICE = "AC" + "5" * 32, "MG" + "5" * 32
API = f"/2010-04-01/Accounts/{SID}"
LOGIN = "Basic " + base64.b64encode(f"{SID}:t".encode()).decode()
NUMBERS = [OUR_NUMBER, "+15005550011", "+15005550012"]
#: A callback that cannot be reached: the first port of all is taken by no server.
NOWHERE = "http://127.0.0.1:1/"


@pytest.fixture
def faults() -> Faults:
    return Faults(sending_seconds=0.01, delivery_seconds=0.01)


@pytest.fixture
def network(faults: Faults) -> Iterator[TestClient]:
    store = Store("")
    store.numbers.replace(Number(number=number, sid=f"PN{number[1:]}", created=1.0) for number in NUMBERS)
    account = Account(sid=SID, token="t", messaging_service_sid=SERVICE)
    app = create_app(Network(store, account, faults=faults, base_url="http://network"))
    with TestClient(app, base_url="http://network", headers={"authorization": LOGIN}) as client:
        yield client


def create(network: TestClient, **more: str) -> dict[str, Any]:
    form = {"To": ANN, "From": OUR_NUMBER, "Body": "hi", **more}
    created: dict[str, Any] = network.post(f"{API}/Messages.json", data=form).json()
    return created


def listed(network: TestClient, **query: Any) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = network.get(f"{API}/Messages.json", params=query).json()["messages"]
    return messages


def picture(network: TestClient) -> str:
    sent = network.post("/phone/pictures", content=b"GIF89a", headers={"content-type": "image/gif"})
    return str(sent.json()["sid"])


def text(network: TestClient, *pictures: str) -> Any:
    return network.post("/phone/texts", json={"from": ANN, "body": "look", "pictures": pictures})


def struck(network: TestClient) -> list[int]:
    return [rule["struck"] for rule in network.get("/faults").json()["rules"]]


def misbehave(network: TestClient, *rules: dict[str, Any]) -> None:
    assert network.put("/faults", json={"rules": rules}).status_code == 200


def wait_for(network: TestClient, sid: str, status: str) -> None:
    wait_until(lambda: network.get(f"{API}/Messages/{sid}.json").json()["status"] == status)


@pytest.mark.parametrize("login", [b"Basic \xe9", b"Basic !", b"Basic /w==", b"Bearer x", b"\xff"])
def test_a_login_that_cannot_be_read_is_refused(network: TestClient, login: bytes) -> None:
    answer = network.get(f"{API}.json", headers={b"authorization": login})

    assert (answer.status_code, answer.json()["code"]) == (401, 20003)


def test_numbers_and_media_are_listed_a_page_at_a_time(network: TestClient) -> None:
    sid = text(network, *(picture(network) for _ in range(3))).json()["sid"]

    for path, key in (("IncomingPhoneNumbers", "incoming_phone_numbers"), (f"Messages/{sid}/Media", "media_list")):
        url, sizes, sids = f"{API}/{path}.json?PageSize=2", [], set[str]()
        while url:
            page = network.get(url).json()
            sizes.append((page["page"], page["start"], page["end"], len(page[key])))
            sids |= {item["sid"] for item in page[key]}
            url = page["next_page_uri"]

        assert sizes == [(0, 0, 1, 2), (1, 2, 2, 1)]
        assert len(sids) == 3
        assert network.get(f"{API}/{path}.json?Page=7").json()[key] == []


def test_a_page_of_messages_is_found_by_its_number_and_by_its_token(network: TestClient) -> None:
    sids = [create(network)["sid"] for _ in range(5)][::-1]

    by_number = [[message["sid"] for message in listed(network, PageSize=2, Page=page)] for page in range(4)]
    by_token, url = [], f"{API}/Messages.json?PageSize=2"
    while url:
        page = network.get(url).json()
        by_token.append([message["sid"] for message in page["messages"]])
        url = page["next_page_uri"]

    assert by_token == [sids[:2], sids[2:4], sids[4:]]
    assert by_number == [*by_token, []]


def test_a_date_that_is_none_is_refused_also_without_a_message_to_compare(network: TestClient) -> None:
    answer = network.get(f"{API}/Messages.json?DateSent=x")

    assert (answer.status_code, answer.json()["code"]) == (400, 20001)


@pytest.mark.parametrize(
    ("to", "sender", "code"),
    [
        (OUR_NUMBER, OUR_NUMBER, 21266),
        (f"whatsapp:{OUR_NUMBER}", f"whatsapp:{OUR_NUMBER}", 21266),
        (f"whatsapp:{ANN}", OUR_NUMBER, 21910),
        (ANN, f"whatsapp:{OUR_NUMBER}", 21910),
        (f"whatsapp:{ANN}", f"whatsapp:{OUR_NUMBER}", None),
        (NUMBERS[1], OUR_NUMBER, None),
    ],
)
def test_sender_and_recipient_are_two_addresses_of_one_channel(
    network: TestClient, to: str, sender: str, code: int | None
) -> None:
    assert create(network, To=to, From=sender).get("code") == code


def test_a_messaging_service_chooses_its_sender_after_the_answer(network: TestClient) -> None:
    created = create(network, From="", To=f"whatsapp:{ANN}", Body="x" * 200, MessagingServiceSid=SERVICE)

    assert (created["status"], created["num_segments"]) == ("accepted", "0")
    wait_for(network, created["sid"], "delivered")
    message = network.get(f"{API}/Messages/{created['sid']}.json").json()
    assert (message["num_segments"], message["from"]) == ("2", f"whatsapp:{OUR_NUMBER}")


def test_a_picture_belongs_to_one_text(network: TestClient) -> None:
    sid = picture(network)
    first = text(network, sid).json()["sid"]

    for pictures in ((sid,), (picture(network), sid), (fresh := picture(network), fresh)):
        refused = text(network, *pictures)
        assert (refused.status_code, refused.json()["error"].partition(":")[0]) == (400, "pictures")

    media = network.get(f"{API}/Messages/{first}/Media/{sid}.json").json()
    assert media["parent_sid"] == first


def test_a_picture_that_is_deleted_is_gone_from_the_page_too(network: TestClient) -> None:
    kept, gone = picture(network), picture(network)
    sid = text(network, kept, gone).json()["sid"]

    assert network.delete(f"{API}/Messages/{sid}/Media/{gone}.json").status_code == 204

    assert [network.get(f"/phone/pictures/{one}").status_code for one in (kept, gone)] == [200, 404]
    assert [item["sid"] for item in network.get(f"{API}/Messages/{sid}/Media.json").json()["media_list"]] == [kept]


@pytest.mark.parametrize(
    ("rule", "query", "is_shown", "times"),
    [
        ({}, {}, False, 1),
        ({}, {"To": BEN}, False, 1),
        ({"person": ANN}, {"To": ANN}, False, 1),
        ({"person": ANN}, {"To": BEN}, True, 0),
        ({"person": ANN}, {}, True, 0),
        ({"rate": 0.0}, {}, True, 0),
        ({"times": 0}, {}, True, 0),
        ({"seconds": 0}, {}, True, 1),
    ],
)
def test_a_list_lags_as_its_rule_says_and_is_counted(
    network: TestClient, rule: dict[str, Any], query: dict[str, str], times: int, *, is_shown: bool
) -> None:
    for person in (ANN, BEN):
        create(network, To=person)
    misbehave(network, {"at": "list", "do": "lag", **rule})

    assert bool(listed(network, **query)) == is_shown
    assert struck(network) == [times]


def test_a_rule_of_callbacks_counts_only_where_a_callback_changes(network: TestClient) -> None:
    misbehave(
        network, {"at": "callback", "do": "before"}, {"at": "callback", "do": "reverse"},
        {"at": "delivery", "do": "failed"},
    )  # fmt: skip

    wait_for(network, create(network)["sid"], "failed")
    assert struck(network) == [0, 0, 1]
    for _ in range(2):
        wait_for(network, create(network, StatusCallback=NOWHERE)["sid"], "failed")
    assert struck(network) == [2, 2, 3]


def test_a_message_that_was_canceled_meets_no_fault_of_the_delivery(network: TestClient, faults: Faults) -> None:
    faults.sending_seconds = 1.0
    misbehave(network, {"at": "delivery", "do": "failed"})
    sid = create(network)["sid"]
    canceled = network.post(f"{API}/Messages/{sid}.json", data={"Status": "canceled"})
    wait_for(network, create(network)["sid"], "failed")

    assert canceled.json()["status"] == "canceled"
    assert struck(network) == [1]
