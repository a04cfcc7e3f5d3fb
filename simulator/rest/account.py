"""The account and its numbers in the REST API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from simulator import addresses
from simulator.rest.answers import TwilioError, date, form_of, not_found, page_of_all
from simulator.store import Number
from simulator.switchboard import Switchboard


class AccountAndNumbers:
    """The handlers of the account's and the numbers' routes."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._board = switchboard
        self._store = switchboard.store

    async def account(self, request: Request) -> Response:
        """Return the account, by which clients check a login: GET Accounts/AC….json."""
        del request
        uri = f"/2010-04-01/Accounts/{self._board.account.sid}"
        return JSONResponse(
            {
                "auth_token": "redacted",
                "date_created": date(0.0),
                "date_updated": date(0.0),
                "friendly_name": "A telephone network for one laptop",
                "owner_account_sid": self._board.account.sid,
                "sid": self._board.account.sid,
                "status": "active",
                "type": "Full",
                "subresource_uris": {
                    "messages": f"{uri}/Messages.json",
                    "incoming_phone_numbers": f"{uri}/IncomingPhoneNumbers.json",
                },
                "uri": f"{uri}.json",
            }
        )

    async def list_numbers(self, request: Request) -> Response:
        """List the numbers, filtered by `PhoneNumber` if given: GET IncomingPhoneNumbers.json."""
        wanted = request.query_params.get("PhoneNumber", "").strip("*")
        matches = [number for number in self._store.numbers.all() if wanted in number.number]
        items = [self._described(number) for number in matches]
        return JSONResponse(page_of_all(request, "incoming_phone_numbers", items))

    async def fetch_number(self, request: Request) -> Response:
        """Return a number: GET IncomingPhoneNumbers/PN….json."""
        return JSONResponse(self._described(self._wanted(request)))

    async def update_number(self, request: Request) -> Response:
        """Set where a number's texts are posted: POST IncomingPhoneNumbers/PN….json."""
        form = await form_of(request)
        # what another request changed while this one's body was awaited must not be written back
        number = self._wanted(request)
        url = form.get("SmsUrl", number.sms_url)
        fallback = form.get("SmsFallbackUrl", number.sms_fallback_url)
        if any(value and not addresses.is_web(value) for value in (url, fallback)):
            raise TwilioError(400, 21402, "SmsUrl and SmsFallbackUrl must be valid URLs")
        if fallback and not url:
            raise TwilioError(400, 21406, "Cannot set SmsFallbackUrl without setting SmsUrl")
        number = replace(
            number,
            sms_url=url,
            sms_fallback_url=fallback,
            friendly_name=form.get("FriendlyName", number.friendly_name),
        )
        self._store.numbers.save(number)
        return JSONResponse(self._described(number))

    def _wanted(self, request: Request) -> Number:
        matches = [number for number in self._store.numbers.all() if number.sid == request.path_params["sid"]]
        if not matches:
            raise not_found(request)
        return matches[0]

    def _described(self, number: Number) -> dict[str, Any]:  # Any: JSON
        return {
            "account_sid": self._board.account.sid,
            "address_requirements": "none",
            "address_sid": None,
            "api_version": "2010-04-01",
            "beta": False,
            "bundle_sid": None,
            "capabilities": {"voice": False, "sms": True, "mms": True, "fax": False},
            "date_created": date(number.created),
            "date_updated": date(number.created),
            "emergency_address_sid": None,
            "emergency_address_status": "unregistered",
            "emergency_status": "Inactive",
            "friendly_name": number.friendly_name or number.number,
            "identity_sid": None,
            "origin": "twilio",
            "phone_number": number.number,
            "sid": number.sid,
            "sms_application_sid": "",
            "sms_fallback_method": "POST",
            "sms_fallback_url": number.sms_fallback_url,
            "sms_method": "POST",
            "sms_url": number.sms_url,
            "status": "in-use",
            "status_callback": "",
            "status_callback_method": "POST",
            "trunk_sid": None,
            "type": "local",
            "uri": f"/2010-04-01/Accounts/{self._board.account.sid}/IncomingPhoneNumbers/{number.sid}.json",
            "voice_application_sid": "",
            "voice_caller_id_lookup": False,
            "voice_fallback_method": "POST",
            "voice_fallback_url": None,
            "voice_method": "POST",
            "voice_receive_mode": "voice",
            "voice_url": None,
        }
