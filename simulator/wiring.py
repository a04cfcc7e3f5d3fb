"""Build the simulator from the settings; no other module of this package reads them."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from pathlib import Path

from starlette.types import ASGIApp

from conversation.storage import DynamoDBStorage
from journal.store import Journal
from runtime import logs
from runtime.settings import Settings, environment
from simulator.app import create_app
from simulator.faults import Faults
from simulator.network import Account, Network
from simulator.store import Number, Store

#: The retry rules of the README's example webhook: retry for as long as Twilio allows.
RETRY_RULES = "#rc=3&rp=all&ct=2000&rt=4000"
#: The telephone on the page as long as no other was added.
FIRST_PHONE = ("+15551230001", "Tristan")


def app() -> ASGIApp:
    """Build the simulator from the environment. Raises `SettingsError`."""
    chosen = Settings.load(environment())
    chosen.twilio.require()
    logs.configure("simulator", form=chosen.logs.format, level=chosen.logs.level)
    store = Store(chosen.simulator.data)
    numbers = chosen.twilio.numbers or chosen.simulator.numbers
    for number in numbers:
        _own(store, number, chosen.webhook.public_url)
    if not store.phones():
        store.save_phone(*FIRST_PHONE)
    faults = Faults.from_file(Path(chosen.simulator.faults)) if chosen.simulator.faults else Faults()
    network = Network(
        store,
        Account(
            sid=chosen.twilio.account_sid,
            token=chosen.twilio.tokens[0],
            api_key=chosen.twilio.api_key,
            api_secret=chosen.twilio.api_secret,
            messaging_service_sid=chosen.twilio.messaging_service_sid,
        ),
        faults=faults,
        base_url=chosen.twilio.api_base_url,
    )
    storage = DynamoDBStorage(
        chosen.dynamodb.conversations_table,
        messages_table_name=chosen.dynamodb.messages_table,
        endpoint_url=chosen.dynamodb.endpoint_url,
        region_name=chosen.dynamodb.region,
    )
    return create_app(network, journal=Journal.on(storage), faults=faults)


def _own(store: Store, number: str, public_url: str) -> None:
    """Give the account this number and let its texts be posted to the webhook."""
    sms_url, fallback = f"{public_url}/sms{RETRY_RULES}", f"{public_url}/sms/fallback"
    known = next((mine for mine in store.numbers() if mine.number == number), None)
    fresh = known or Number(number=number, sid=f"PN{secrets.token_hex(16)}", created=time.time())
    store.save_number(replace(fresh, sms_url=sms_url, sms_fallback_url=fallback))
