"""TwilioAccount: an operator's requests about the account, its numbers, and messages to erase.

The reply path does not use it. Sources (read 2026-11):
https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource
https://www.twilio.com/docs/messaging/api/message-resource
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

from sms.credentials import Login
from sms.errors import Refused
from sms.http import LIST_PAGE, OneAttemptClient, account_at, readable

#: An operator waits at a terminal for the answer.
TIMEOUT_SECONDS: Final = 4.0
#: There is no such message, or it is still in transit.
_NOT_ERASED: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.BAD_REQUEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number of the account, and the URLs to which Twilio posts its texts."""

    sid: str
    number: str
    url: str
    fallback: str
    method: str


class TwilioAccount:
    """One account. `login` is its SID and token, or an API key and its secret.

    Every method raises `CarrierAway` if Twilio cannot be reached, and `Refused` if Twilio answers with an error.
    """

    def __init__(self, *, account_sid: str, login: Login, api_base_url: str) -> None:
        self._http = OneAttemptClient(
            login=login, api_base_url=api_base_url, connect_seconds=TIMEOUT_SECONDS, read_seconds=TIMEOUT_SECONDS
        )
        self._account = account_at(self._http, account_sid)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def status(self) -> tuple[str, datetime | None]:
        """Return the account's status (`active`, `suspended`, `closed`) and the time of Twilio's clock."""
        with readable():
            answer = self._account.fetch_with_http_info()
        try:
            date = parsedate_to_datetime(answer.headers["date"])
        except (KeyError, ValueError):
            date = None
        return str(answer.data.status or ""), date

    def is_trial(self) -> bool:
        """Return whether this is a trial account, which may send little and only to verified people."""
        with readable():
            return str(self._account.fetch().type or "") == "Trial"

    def number(self, number: str) -> Number | None:
        """Return one of the account's numbers, or None if the account does not have it."""
        with readable():
            entries = self._account.incoming_phone_numbers.list(phone_number=number)
        return next((_number(entry) for entry in entries if entry.phone_number == number), None)

    def post_texts_to(self, number: Number, *, url: str, fallback: str) -> Number:
        """Set the URLs to which Twilio posts a number's texts."""
        with readable():
            entry = self._account.incoming_phone_numbers(number.sid).update(
                sms_url=url, sms_method="POST", sms_fallback_url=fallback, sms_fallback_method="POST"
            )
        return _number(entry)

    def messages_with(self, person: str, *, number: str = "") -> list[str]:
        """Return the sids of all messages to and from a person.

        If `number` is given, only those with that number of ours.
        """
        to_person = {"to": person, **({"from_": number} if number else {})}
        from_person = {"from_": person, **({"to": number} if number else {})}
        with readable():
            return [
                str(message.sid)
                for query in (to_person, from_person)
                for message in self._account.messages.stream(page_size=LIST_PAGE, **query)
            ]

    def redact(self, sid: str) -> bool:
        """Delete the body of a message; the message itself stays.

        Return False if there is no such message, or if it is still in transit.
        """
        return _is_erased(lambda: self._account.messages(sid).update(body=""))

    def delete(self, sid: str) -> bool:
        """Delete a message and its pictures.

        Return False if there is no such message, or if it is still in transit.
        """
        return _is_erased(lambda: self._account.messages(sid).delete())


def _is_erased(erase: Callable[[], object]) -> bool:
    try:
        with readable():
            erase()
    except Refused as exc:
        if exc.status not in _NOT_ERASED:
            raise
        return False
    return True


def _number(entry: Any) -> Number:  # Any: the official client has no types
    return Number(
        sid=str(entry.sid),
        number=str(entry.phone_number),
        url=str(entry.sms_url or ""),
        fallback=str(entry.sms_fallback_url or ""),
        method=str(entry.sms_method or ""),
    )
