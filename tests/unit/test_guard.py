"""The network answers to its own names, takes changes from its own page, and lets no upload run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from simulator.account import Account
from simulator.app import create_app
from simulator.faults import Faults
from simulator.network import Network
from simulator.store import Number, Store

OUR_NUMBER, PHONE = "+15005550006", "+15551230001"
HOST = "127.0.0.1:8401"
TEXT = {"from": PHONE, "to": OUR_NUMBER, "body": "hello"}


@pytest.fixture
def network() -> Iterator[TestClient]:
    store = Store("")
    store.numbers.save(Number(number=OUR_NUMBER, sid=f"PN{'1' * 32}", created=0.0))
    account = Account(sid="AC1", token="t")
    network = Network(store, account, faults=Faults(), base_url="http://simulator:8401")
    with TestClient(create_app(network), base_url=f"http://{HOST}") as client:
        yield client


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (HOST, 200),
        ("localhost:8401", 200),
        ("[::1]:8401", 200),
        ("192.0.2.7", 200),
        ("simulator:8401", 200),
        ("evil.example:8401", 421),
        ("simulator.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost@evil.example", 421),
        ("[", 421),
        ("", 421),
    ],
)
def test_only_a_name_of_its_own_is_answered(network: TestClient, host: str, status: int) -> None:
    for path in ("/phone/state", "/faults", "/phone"):
        assert network.get(path, headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"Origin": f"http://{HOST}"}, 201),
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": "http://127.0.0.1:9000"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": f"http://{HOST}.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_only_its_own_page_and_programs_change_anything(
    network: TestClient, headers: dict[str, str], status: int
) -> None:
    assert network.post("/phone/texts", json=TEXT, headers=headers).status_code == status
    refused = status == 403
    assert (network.put("/faults", json={"rules": []}, headers=headers).status_code == 403) is refused
    assert (network.delete("/phone/phones/+1999", headers=headers).status_code == 403) is refused


def test_an_uploaded_picture_runs_nothing_and_is_what_it_says(network: TestClient) -> None:
    script = b'<svg xmlns="http://www.w3.org/2000/svg"><script>document.title="ran"</script></svg>'
    sid = network.post("/phone/pictures", content=script, headers={"Content-Type": "image/svg+xml"}).json()["sid"]

    headers = network.get(f"/phone/pictures/{sid}").headers

    assert headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_a_page_loads_only_its_own_and_is_framed_by_none(network: TestClient) -> None:
    policy = network.get("/phone").headers["content-security-policy"]

    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
