"""Whatever is sent to the network's endpoints, it is taken or refused with a sentence: never a crash."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from simulator.account import Account
from simulator.app import create_app
from simulator.faults import Faults
from simulator.network import Network
from simulator.store import Number, Store
from simulator.twiml import UnusableTwiml, read
from tests.builders import ANN, OUR_NUMBER

SID = "AC" + "5" * 32
API = f"/2010-04-01/Accounts/{SID}"
LOGIN = {"authorization": "Basic " + base64.b64encode(f"{SID}:t".encode()).decode()}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    store = Store("")
    store.numbers.save(Number(number=OUR_NUMBER, sid="PN1", created=1.0))
    network = Network(store, Account(sid=SID, token="t"), faults=Faults(), base_url="http://network")
    with TestClient(create_app(network), base_url="http://network", follow_redirects=False) as client:
        for sender in (ANN, ANN, ANN):
            client.post("/phone/texts", json={"from": sender, "body": "hello"})
            client.post(f"{API}/Messages.json", headers=LOGIN, data={"To": ANN, "From": OUR_NUMBER, "Body": "hi"})
        yield client


def text(**more: Any) -> bytes:
    return json.dumps({"from": ANN, "to": OUR_NUMBER, "body": "hello", **more}).encode()


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("POST", "/phone/texts", text(pictures=True)),
        ("POST", "/phone/texts", text(pictures=[1])),
        ("POST", "/phone/texts", text(pictures=["ME-never-uploaded"])),
        ("POST", "/phone/texts", text(body=["hello"])),
        ("POST", "/phone/texts", text(**{"from": {"a": 1}})),
        ("POST", "/phone/texts", text(body="\ud800")),
        ("POST", "/phone/texts", b"[" * 100_000),
        ("POST", "/phone/texts", b'{"from": ' * 5_000),
        ("POST", "/phone/texts", b"not json"),
        ("POST", "/phone/texts", b"[]"),
        ("POST", "/phone/texts", b"\xff"),
        ("POST", "/phone/texts", b" " * (1024 * 1024 + 1)),
        ("POST", "/phone/phones", b'{"number": 5}'),
        ("POST", "/phone/phones", b'{"number": "+15551230009", "name": []}'),
        ("PUT", "/account/token", b'{"token": 5}'),
        ("PUT", "/faults", b'{"rules": true}'),
        ("PUT", "/faults", b'{"rules": [], "seed": true}'),
        ("PUT", "/faults", b'{"rules": [{"at": "create", "do": "slow", "seconds": NaN}]}'),
        ("PUT", "/faults", b'{"rules": [{"at": "create", "do": "slow", "seconds": 1e999}]}'),
        ("PUT", "/faults", b'{"rules": [{"at": "create", "do": "error", "status": 99}]}'),
        ("PUT", "/faults", b'{"rules": [{"at": "create", "do": "error", "status": null}]}'),
        ("PUT", "/faults", b'{"rules": [{"at": "create", "do": "full", "retry_after": 0.5}]}'),
        ("PUT", "/faults", b'{"rules": [{"at": "create", "do": "full", "person": 5}]}'),
        ("PUT", "/faults", b'{"rules": [{"at": "create", "do": "full", "accepted": "no"}]}'),
        ("GET", "/requests?after=x", b""),
        ("GET", "/requests?after=%C2%B2", b""),
    ],
)
def test_what_the_page_cannot_carry_out_is_refused_with_a_sentence(
    client: TestClient, verb: str, path: str, body: bytes
) -> None:
    answer = client.request(verb, path, content=body)

    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("verb", "path", "form", "code"),
    [
        ("GET", "/Messages.json?Page=x", {}, 20001),
        ("GET", "/Messages.json?Page=-1", {}, 20001),
        ("GET", f"/Messages.json?Page={'9' * 5000}", {}, 20001),
        ("GET", "/Messages.json?Page=%C2%B2", {}, 20001),
        ("GET", "/Messages.json?PageSize=x", {}, 20007),
        ("GET", "/Messages.json?PageSize=%C2%B2", {}, 20007),
        ("GET", "/Messages.json?PageToken=PAnever", {}, 20006),
        ("GET", "/Messages.json?DateSent=yesterday", {}, 20001),
        ("GET", "/Messages.json?DateSent%3C=0001-01-01T00:00:00%2B14:00", {}, 20001),
        ("GET", "/IncomingPhoneNumbers.json?Page=x", {}, 20001),
        ("GET", "/Nothing.json", {}, 20404),
        ("GET", "/Messages/SMnever.json", {}, 20404),
        ("PUT", "/Messages.json", {}, 20004),
        ("DELETE", "/IncomingPhoneNumbers.json", {}, 20004),
        ("POST", "/Messages.json", {}, 21603),
        ("POST", "/Messages.json", {"From": OUR_NUMBER}, 21604),
        ("POST", "/Messages.json", {"From": OUR_NUMBER, "To": ANN}, 21602),
        ("POST", "/Messages.json", {"ValidityPeriod": "\u00b2"}, 21624),
        ("POST", "/Messages.json", {"StatusCallback": "http://["}, 21609),
        ("POST", "/Messages.json", {"StatusCallback": "a cat"}, 21609),
        ("POST", "/Messages.json", {"MediaUrl": "cat.png"}, 21620),
        ("POST", "/Messages.json", {"MediaUrl": ["http://a/b"] * 11}, 21623),
        ("POST", "/IncomingPhoneNumbers/PN1.json", {"SmsUrl": "http://["}, 21402),
        ("POST", "/IncomingPhoneNumbers/PN1.json", {"SmsUrl": "", "SmsFallbackUrl": "http://a/b"}, 21406),
    ],
)
def test_what_the_api_cannot_carry_out_is_refused_in_twilios_form(
    client: TestClient, verb: str, path: str, form: dict[str, Any], code: int
) -> None:
    if len(form) == 1 and verb == "POST" and path == "/Messages.json" and "From" not in form:
        form = {"From": OUR_NUMBER, "To": ANN, "Body": "hi", **form}

    answer = client.request(verb, API + path, headers=LOGIN, data=form)

    refused = answer.json()
    assert refused["code"] == code
    assert refused["status"] == answer.status_code
    assert refused["more_info"].endswith(str(code))
    assert 400 <= answer.status_code < 500


def test_a_list_up_to_the_last_day_there_is_has_everything(client: TestClient) -> None:
    listed = client.get(f"{API}/Messages.json?DateSent%3C=9999-12-31&PageSize=1000", headers=LOGIN).json()["messages"]

    assert len(listed) >= 3


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
BOUNDED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize(
    ("verb", "path", "names"),
    [
        ("POST", "/phone/texts", ["from", "to", "body", "pictures"]),
        ("POST", "/phone/phones", ["number", "name"]),
        ("PUT", "/faults", ["rules", "seed"]),
        ("PUT", "/account/token", ["tokens"]),
    ],
)
@BOUNDED
@given(data=st.data())
def test_no_json_crashes_the_page(client: TestClient, verb: str, path: str, names: list[str], data: Any) -> None:
    asked = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(names, VALUES)))

    answer = client.request(verb, path, content=json.dumps(asked).encode())

    assert answer.status_code < 500


@BOUNDED
@given(
    rule=st.fixed_dictionaries(
        {"at": st.sampled_from(["create", "list", "callback"]), "do": st.sampled_from(["slow", "lag", "never"])},
        optional=dict.fromkeys(["rate", "times", "person", "seconds", "status", "code", "retry_after"], VALUES),
    )
)
def test_a_rule_that_is_taken_can_be_shown(client: TestClient, rule: dict[str, Any]) -> None:
    answer = client.put("/faults", content=json.dumps({"rules": [rule]}).encode())

    assert answer.status_code in {200, 400}
    assert client.get("/faults").status_code == 200
    client.put("/faults", json={"rules": []})


@BOUNDED
@given(
    query=st.dictionaries(
        st.sampled_from(["Page", "PageSize", "PageToken", "To", "From", "DateSent", "DateSent<", "DateSent>"]),
        st.text(st.characters(codec="utf-8"), max_size=20) | st.datetimes().map(str),
    )
)
def test_no_query_crashes_the_list(client: TestClient, query: dict[str, str]) -> None:
    assert client.get(f"{API}/Messages.json", params=query, headers=LOGIN).status_code < 500


@BOUNDED
@given(document=st.binary(max_size=200) | st.text(max_size=200).map(lambda inner: f"<Response>{inner}".encode()))
def test_no_document_crashes_the_reader_of_twiml(document: bytes) -> None:
    codes = set()
    try:
        read(document, "text/xml", url="http://a/sms")
    except UnusableTwiml as exc:
        codes.add(exc.code)

    assert codes <= {12100, 11750}
