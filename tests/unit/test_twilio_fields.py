"""The simulator's resources have the fields and types of Twilio's own description.

The list is tests/twilio_fields.toml; scripts/twilio_fields prints it from Twilio's description.
"""

from __future__ import annotations

import base64
import tomllib
from collections.abc import Mapping
from contextlib import closing
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from starlette.testclient import TestClient

from simulator.account import Account
from simulator.app import create_app
from simulator.faults import Faults
from simulator.network import Network
from simulator.store import Message, Number, Picture, Store
from tests.builders import ANN, OUR_NUMBER
from tests.conftest import ROOT

FIELDS = tomllib.loads((ROOT / "tests" / "twilio_fields.toml").read_text())
SID = "AC" + "5" * 32
TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str, "integer": int, "boolean": bool, "object": dict, "array": list,
}  # fmt: skip


def a_message(sid: str, **more: Any) -> Message:
    facts = {"direction": "outbound-api", "status": "delivered", "created": 1.0, "updated": 2.0, **more}
    return Message(sid=sid, sender=OUR_NUMBER, recipient=ANN, body="hi", **facts)


def resources() -> dict[str, list[dict[str, Any]]]:
    """Return every resource of a network, in every state."""
    with closing(Store("")) as store:
        store.numbers.save(Number(number=OUR_NUMBER, sid="PN1", created=1.0, sms_url="http://a/sms"))
        store.add_picture(Picture(sid="ME1", parent="MM1", content_type="image/png", created=1.0, data=b"x"))
        for message in (
            a_message("SM1", status="queued"),
            a_message("MM1", sent=2.0, price="-0.00750", media=("ME1",)),
            a_message("SM2", status="undelivered", error_code=30003, messaging_service_sid="MG1"),
            a_message("SM3", direction="inbound", status="received"),
            a_message("SM4", direction="outbound-reply", reply_to="SM3"),
        ):
            store.save(message)
        network = Network(store, Account(sid=SID, token="t"), faults=Faults(), base_url="http://network")
        api = f"/2010-04-01/Accounts/{SID}"
        client = TestClient(
            create_app(network), base_url="http://network", headers={"authorization": "Basic " + _login()}
        )
        page = client.get(f"{api}/Messages.json?PageSize=2").json()
        return {
            "message": client.get(f"{api}/Messages.json").json()["messages"],
            "page": [page, client.get(page["next_page_uri"]).json()],
            "media": client.get(f"{api}/Messages/MM1/Media.json").json()["media_list"],
            "account": [client.get(f"{api}.json").json()],
            "incoming_phone_number": client.get(f"{api}/IncomingPhoneNumbers.json").json()["incoming_phone_numbers"],
        }


def _login() -> str:
    return base64.b64encode(f"{SID}:t".encode()).decode()


RESOURCES = resources()


@pytest.mark.parametrize("name", FIELDS)
def test_a_resource_has_twilios_fields(name: str) -> None:
    assert RESOURCES[name]
    for resource in RESOURCES[name]:
        assert resource.keys() == FIELDS[name].keys()
        assert [field for field, kind in FIELDS[name].items() if not fits(resource[field], kind)] == []


def fits(value: object, kind: str) -> bool:
    """Return whether a value is of a kind of the list."""
    if value is None:
        return kind.endswith("?")
    name, _, form = kind.removesuffix("?").partition(" ")
    if name not in TYPES:
        return value in name.split("|")
    if form:
        return isinstance(value, str) and parsedate_to_datetime(value).utcoffset() is not None
    return isinstance(value, TYPES[name])
