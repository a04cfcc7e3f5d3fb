"""Check the account at Twilio and its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from operations import connect
from operations.connect import Change
from operations.doctor.findings import Result, clock, ok, warning, wrong
from runtime.settings import Settings
from sms.errors import CarrierAway, Refused
from worker.build.twilio import twilio_account

#: https://www.twilio.com/docs/usage/trials (read 2026-11-29)
_TRIAL: Final = (
    "it is a trial account: Twilio delivers replies only to verified people, from the number assigned to each, "
    "in few segments, with a line of its own before them, and not many a day"
)


def check(chosen: Settings) -> Iterator[Result]:
    """Check the login, the account, its clock and where texts to our numbers are posted."""
    try:
        with closing(twilio_account(chosen)) as twilio:
            status, date = twilio.status()
            if status != "active":
                yield wrong(f"the account is {status or 'in an unknown state'}", "see Twilio's console")
                return
            yield ok("the login is valid and the account is active")
            if twilio.is_trial():
                yield warning(_TRIAL, "verify your number in its console and set REPLY_MAX_SEGMENTS=1, or upgrade")
            if date:
                yield from clock((date - datetime.now(UTC)).total_seconds())
            yield from map(_number, connect.changes(chosen, twilio))
    except Refused as exc:
        key = "TWILIO_API_KEY and TWILIO_API_SECRET are" if chosen.twilio.api_key else "TWILIO_AUTH_TOKEN is"
        what = f"{key} not this account's" if exc.status == HTTPStatus.UNAUTHORIZED else str(exc)
        yield wrong(what, "Twilio's console shows the right values under Account info")
    except CarrierAway as exc:
        remedy = "check whether this machine can reach it, and check TWILIO_API_BASE_URL"
        yield wrong(f"{chosen.twilio.api_base_url}: {exc}", remedy)


def _number(change: Change) -> Result:
    if change.stands is None:
        remedy = "set TWILIO_PHONE_NUMBER to a number of this account, in E.164 form"
        return wrong(f"{change.number} is not a number of this account", remedy)
    if change.is_needed:
        return wrong(f"texts to {change.number} are posted to {change.stands.url or 'nowhere'}", "dadacat connect")
    return ok(f"texts to {change.number} are posted to us")
