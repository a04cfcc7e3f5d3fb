"""Build the simulator from the settings; no other module of this package reads them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from runtime import logs
from runtime.private_files import kept
from runtime.settings import Settings, environment
from runtime.settings.sections import TWILIO_API
from simulator.account import Account
from simulator.faults import Faults
from simulator.network import Network
from simulator.store import Number, Store
from sms import webhook_urls

#: The telephone on the page as long as no other was added.
FIRST_PHONE: Final = ("+15551230001", "Tristan")
#: That of `dadacat simulator` without options.
DEFAULT_ADDRESS: Final = "http://127.0.0.1:8401"


def build_network(*, address: str = DEFAULT_ADDRESS, at_terminal: bool = False) -> Network:
    """Build the network from the environment. Raises `SettingsError`, `UnusableRule` or `OSError`.

    `address`: where the application fetches pictures, unless `TWILIO_API_BASE_URL` names the network.
    `at_terminal`: log lines for a person, unless `LOG_FORMAT` says otherwise.
    """
    given = environment()
    chosen = Settings.load(given)
    if chosen.twilio.simulator_token_file:
        kept(Path(chosen.twilio.simulator_token_file), secrets.token_hex(16))
    chosen.twilio.require()
    form = "console" if at_terminal and not given.get("LOG_FORMAT") else chosen.logs.format
    logs.configure("simulator", form=form, level=chosen.logs.level)
    faults = Faults.from_file(Path(chosen.simulator.faults)) if chosen.simulator.faults else Faults()
    store = Store(chosen.simulator.data)
    numbers = chosen.twilio.numbers or chosen.simulator.numbers
    _own(store, numbers, chosen.webhook.public_url)
    if not store.telephones.all():
        store.telephones.save(*FIRST_PHONE)
    return Network(
        store,
        Account(
            sid=chosen.twilio.account_sid,
            token=chosen.twilio.tokens[0],
            api_key=chosen.twilio.api_key,
            api_secret=chosen.twilio.api_secret,
            messaging_service_sid=chosen.twilio.messaging_service_sid,
        ),
        faults=faults,
        base_url=address if chosen.twilio.api_base_url == TWILIO_API else chosen.twilio.api_base_url,
    )


def _own(store: Store, numbers: Sequence[str], public_url: str) -> None:
    """Make these the account's only numbers, in this order, and let their texts be posted to the webhook."""
    known = {mine.number: mine for mine in store.numbers.all()}
    texts, fallback = webhook_urls.for_texts(public_url), webhook_urls.fallback(public_url)
    store.numbers.replace(
        replace(known.get(number) or _bought(number), sms_url=texts, sms_fallback_url=fallback) for number in numbers
    )


def _bought(number: str) -> Number:
    return Number(number=number, sid=f"PN{secrets.token_hex(16)}", created=time.time())
