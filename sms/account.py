"""TwilioAccount: an operator's requests about the account, its numbers, and messages to erase.

The reply path does not use it. Sources (read 2026-11):
https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource
https://www.twilio.com/docs/messaging/api/message-resource
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

import requests

from sms.errors import CarrierAway
from sms.login import Login
from sms.twilio import LIST_PAGE, new_session

#: An operator waits at a terminal for the answer.
TIMEOUT_SECONDS: Final = 4.0


class Refused(CarrierAway):
    """Twilio answered with an error; `status` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


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
        self._home = f"/2010-04-01/Accounts/{account_sid}"
        self._base = api_base_url.rstrip("/") + self._home
        self._login = login
        self._session = new_session()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def status(self) -> tuple[str, datetime | None]:
        """Return the account's status (`active`, `suspended`, `closed`) and the time of Twilio's clock."""
        answer = self._ask("GET", ".json")
        try:
            date = parsedate_to_datetime(answer.headers["date"])
        except (KeyError, ValueError):
            date = None
        return str(_object(answer).get("status", "")), date

    def number(self, number: str) -> Number | None:
        """Return one of the account's numbers, or None if the account does not have it."""
        listing = _object(self._ask("GET", "/IncomingPhoneNumbers.json", params={"PhoneNumber": number}))
        entries = listing.get("incoming_phone_numbers", ())
        entry = next((entry for entry in entries if entry.get("phone_number") == number), None)
        return _number(entry) if entry else None

    def post_texts_to(self, number: Number, *, url: str, fallback: str) -> Number:
        """Set the URLs to which Twilio posts a number's texts."""
        form = {"SmsUrl": url, "SmsMethod": "POST", "SmsFallbackUrl": fallback, "SmsFallbackMethod": "POST"}
        return _number(_object(self._ask("POST", f"/IncomingPhoneNumbers/{number.sid}.json", form=form)))

    def messages_with(self, person: str, *, number: str = "") -> list[str]:
        """Return the sids of all messages to and from a person.

        If `number` is given, only those with that number of ours.
        """
        sids: list[str] = []
        ours = {"From": number}, {"To": number}
        for query in ({"To": person, **(ours[0] if number else {})}, {"From": person, **(ours[1] if number else {})}):
            page = _object(self._ask("GET", "/Messages.json", params={**query, "PageSize": str(LIST_PAGE)}))
            while True:
                sids += [str(entry["sid"]) for entry in page.get("messages", ())]
                following = str(page.get("next_page_uri") or "")
                if not following:
                    break
                page = _object(self._ask("GET", following.removeprefix(self._home)))
        return sids

    def redact(self, sid: str) -> bool:
        """Delete the body of a message; the message itself stays.

        Return False if there is no such message, or if it is still in transit.
        """
        return self._done("POST", f"/Messages/{sid}.json", form={"Body": ""})

    def delete(self, sid: str) -> bool:
        """Delete a message and its pictures.

        Return False if there is no such message, or if it is still in transit.
        """
        return self._done("DELETE", f"/Messages/{sid}.json")

    def _done(self, verb: str, path: str, form: dict[str, str] | None = None) -> bool:
        try:
            self._ask(verb, path, form=form)
        except Refused as exc:
            if exc.status in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.BAD_REQUEST):
                return False
            raise
        return True

    def _ask(
        self, verb: str, path: str, *, form: dict[str, str] | None = None, params: dict[str, str] | None = None
    ) -> requests.Response:
        try:
            answer = self._login.ask(
                lambda pair: self._session.request(
                    verb, self._base + path, data=form, params=params, auth=pair, timeout=TIMEOUT_SECONDS,
                    allow_redirects=False,
                )
            )  # fmt: skip
        except requests.RequestException as exc:
            raise CarrierAway(f"Twilio cannot be reached: {type(exc).__name__}") from exc
        if not answer.ok:
            raise Refused(f"Twilio refused the request: HTTP {answer.status_code}", answer.status_code)
        return answer


def _number(entry: dict[str, Any]) -> Number:
    return Number(
        sid=str(entry["sid"]),
        number=str(entry["phone_number"]),
        url=str(entry.get("sms_url") or ""),
        fallback=str(entry.get("sms_fallback_url") or ""),
        method=str(entry.get("sms_method") or ""),
    )


def _object(answer: requests.Response) -> dict[str, Any]:  # Any: Twilio's JSON
    try:
        body = answer.json()
    except ValueError as exc:
        raise CarrierAway("Twilio's answer cannot be read") from exc
    if not isinstance(body, dict):
        raise CarrierAway("Twilio's answer cannot be read")
    return body
