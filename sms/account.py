"""TwilioAccount: what an operator asks Twilio for, and tells it: the account, its numbers, and messages that are to be forgotten.

None of it is on the road. Facts: https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource and
https://www.twilio.com/docs/messaging/api/message-resource (read 2026-11).
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

#: An operator waits at a terminal: what has not answered by then does not.
TIMEOUT_SECONDS: Final = 4.0


class Refused(CarrierAway):
    """Twilio answered, and said no; `status` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number of the account, and where its texts are posted."""

    sid: str
    number: str
    url: str
    fallback: str
    method: str


class TwilioAccount:
    """One account, by the login of its SID and token, or of an API key. Every verb raises `CarrierAway`, and `Refused` for a no."""

    def __init__(self, *, account_sid: str, login: Login, api_base_url: str) -> None:
        self._home = f"/2010-04-01/Accounts/{account_sid}"
        self._base = api_base_url.rstrip("/") + self._home
        self._login = login
        self._session = new_session()

    def close(self) -> None:
        """Let go of connections."""
        self._session.close()

    def status(self) -> tuple[str, datetime | None]:
        """What Twilio says of the account (`active`, `suspended`, `closed`), and what time it is there."""
        answer = self._ask("GET", ".json")
        try:
            date = parsedate_to_datetime(answer.headers["date"])
        except (KeyError, ValueError):
            date = None
        return str(_object(answer).get("status", "")), date

    def number(self, number: str) -> Number | None:
        """One of the account's numbers; None where it has no such number."""
        found = _object(self._ask("GET", "/IncomingPhoneNumbers.json", params={"PhoneNumber": number}))
        entries = found.get("incoming_phone_numbers", ())
        entry = next((entry for entry in entries if entry.get("phone_number") == number), None)
        return _number(entry) if entry else None

    def post_texts_to(self, number: Number, *, url: str, fallback: str) -> Number:
        """Have a number's texts posted to other places."""
        form = {"SmsUrl": url, "SmsMethod": "POST", "SmsFallbackUrl": fallback, "SmsFallbackMethod": "POST"}
        return _number(_object(self._ask("POST", f"/IncomingPhoneNumbers/{number.sid}.json", form=form)))

    def messages_with(self, person: str, *, number: str = "") -> list[str]:
        """The sids of all messages to a person and from him; only those with one of our numbers, if that is named."""
        found: list[str] = []
        ours = {"From": number}, {"To": number}
        for query in ({"To": person, **(ours[0] if number else {})}, {"From": person, **(ours[1] if number else {})}):
            page = _object(self._ask("GET", "/Messages.json", params={**query, "PageSize": str(LIST_PAGE)}))
            while True:
                found += [str(entry["sid"]) for entry in page.get("messages", ())]
                following = str(page.get("next_page_uri") or "")
                if not following:
                    break
                page = _object(self._ask("GET", following.removeprefix(self._home)))
        return found

    def redact(self, sid: str) -> bool:
        """Have the words of a message forgotten; the message stays. False where there is none, or it is still under way."""
        return self._done("POST", f"/Messages/{sid}.json", form={"Body": ""})

    def delete(self, sid: str) -> bool:
        """Have a message forgotten, with its pictures. False where there is none, or it is still under way."""
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
            raise Refused(f"Twilio says no: HTTP {answer.status_code}", answer.status_code)
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
        found = answer.json()
    except ValueError as exc:
        raise CarrierAway("Twilio's answer cannot be read") from exc
    if not isinstance(found, dict):
        raise CarrierAway("Twilio's answer cannot be read")
    return found
