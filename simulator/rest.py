"""Twilio's REST API for messages, as the official client calls it: forms in, JSON and errors out.

Shapes: Twilio's OpenAPI description `twilio_api_v2010` (npm @twilio/cli-core 9.0.0, Apache-2.0, read 2026-11).
Error messages: Twilio's error dictionary; in our own words if its exact words are not documented.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator.cut import Cut
from simulator.faults import Rule
from simulator.network import Account, Network, media_path
from simulator.store import Message, Number, Picture
from sms import signature
from sms.messages import MAX_BODY_CHARACTERS, is_dialable

API: Final = "/2010-04-01/Accounts/{account}"
PAGE_SIZE: Final = 50
MAX_PAGE_SIZE: Final = 1000
#: Length of a hang without `seconds`: longer than any client waits.
HANG_SECONDS: Final = 60.0
VALIDITY_SECONDS: Final = range(1, 36_001)

_FINAL: Final = frozenset({"delivered", "undelivered", "failed", "canceled", "received", "read", "sent"})

Form = dict[str, str]
Handler = Callable[["Rest", Request], Awaitable[Response]]


@dataclass(frozen=True)
class TwilioError(Exception):
    """An error answer of Twilio's API."""

    status: int
    code: int
    message: str
    retry_after: int | None = None


def routes(network: Network) -> list[Route]:
    """Return the routes of one network's REST API."""
    rest = Rest(network)
    table: list[tuple[str, dict[str, Callable[[Request], Awaitable[Response]]]]] = [
        (f"{API}.json", {"GET": rest.account}),
        (f"{API}/Messages.json", {"GET": rest.list_messages, "POST": rest.create_message}),
        (
            f"{API}/Messages/{{sid}}.json",
            {"GET": rest.fetch_message, "POST": rest.update_message, "DELETE": rest.delete_message},
        ),
        (f"{API}/Messages/{{sid}}/Media.json", {"GET": rest.list_media}),
        (f"{API}/Messages/{{sid}}/Media/{{media}}.json", {"GET": rest.fetch_media, "DELETE": rest.delete_media}),
        (f"{API}/Messages/{{sid}}/Media/{{media}}", {"GET": rest.media_content}),
        (f"{API}/IncomingPhoneNumbers.json", {"GET": rest.list_numbers}),
        (f"{API}/IncomingPhoneNumbers/{{sid}}.json", {"GET": rest.fetch_number, "POST": rest.update_number}),
    ]
    return [Route(path, rest.guarded(verbs), methods=list(verbs)) for path, verbs in table]


class Rest:
    """The handlers of the REST API."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._store = network.store

    @property
    def _account(self) -> Account:
        """The current account; its token may be replaced at any time."""
        return self._network.account

    def guarded(
        self, verbs: dict[str, Callable[[Request], Awaitable[Response]]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint that checks the login first and answers errors as Twilio does."""

        async def endpoint(request: Request) -> Response:
            try:
                self._authenticate(request)
                verb = "GET" if request.method == "HEAD" else request.method
                return await verbs[verb](request)
            except TwilioError as error:
                return _error(error)

        return endpoint

    def _authenticate(self, request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            username, _, password = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            username, password = "", ""
        if scheme.lower() != "basic" or not self._account.admits(username, password):
            raise TwilioError(401, 20003, "Authenticate")
        if request.path_params["account"] != self._account.sid:
            raise _not_found(request)

    async def create_message(self, request: Request) -> Response:
        """Create a message: POST Messages.json."""
        asked = self._asked(await _form(request))
        rule = self._network.faults.draw("create", asked["recipient"], "")
        if rule is not None and rule.do == "slow":
            await asyncio.sleep(rule.seconds or 0)
        if rule is not None and rule.do == "full":
            raise TwilioError(
                429, 21611, f"The sender {asked['sender']} has too many messages waiting", rule.retry_after
            )
        if rule is not None and rule.do == "error" and not rule.accepted:
            raise _as_ruled(rule)
        message = self._network.send(**asked)
        if self._network.faults.draw("callback", message.recipient, message.sid, only=frozenset({"before"})):
            await self._network.report(replace(message, status="sent"))
        answer = JSONResponse(self._message(message), status_code=201)
        if rule is None or rule.do == "slow":
            return answer
        if rule.do == "error":
            raise _as_ruled(rule)
        if rule.do == "hang":
            await asyncio.sleep(rule.seconds or HANG_SECONDS)
        return Cut(request, rule.do, answer)

    def _asked(self, form: Form) -> dict[str, Any]:  # Any: `Network.send`'s arguments
        """Validate the form. Raises `TwilioError` if Twilio would refuse it."""
        to, body = form.get("To", ""), form.get("Body", "")
        sender = self._sender(form)
        validity = form.get("ValidityPeriod")
        refusals = (
            (not to, 21604, "A 'To' phone number is required."),
            (not is_dialable(to), 21211, f"Invalid 'To' Phone Number: {to[:-4]}XXXX"),
            (not body, 21602, "Message body is required."),
            (len(body) > MAX_BODY_CHARACTERS, 21617, "The concatenated message body exceeds the 1600 character limit"),
            (
                validity is not None and (not validity.isdigit() or int(validity) not in VALIDITY_SECONDS),
                21624,
                "ValidityPeriod must be between 1 and 36000 seconds",
            ),
            (self._store.opted_out(to, sender), 21610, "Attempt to send to unsubscribed recipient"),
        )
        for refused, code, sentence in refusals:
            if refused:
                raise TwilioError(400, code, sentence)
        return {
            "sender": sender,
            "recipient": to,
            "body": body,
            "status_callback": form.get("StatusCallback", ""),
            "messaging_service_sid": form.get("MessagingServiceSid") or None,
        }

    def _sender(self, form: Form) -> str:
        service = form.get("MessagingServiceSid", "")
        sender = form.get("From", "")
        if service and service != self._account.messaging_service_sid:
            raise TwilioError(400, 21705, f"The Messaging Service Sid {service} is invalid.")
        if service and not sender:
            return self._store.numbers()[0].number
        if not sender:
            raise TwilioError(400, 21603, "A 'From' phone number is required.")
        if self._network.number(sender) is None:
            raise TwilioError(
                400, 21606,
                f"The From phone number {sender} is not a valid, SMS-capable inbound phone number or short code "
                "for your account.",
            )  # fmt: skip
        return sender

    async def fetch_message(self, request: Request) -> Response:
        """Return a message: GET Messages/SM….json."""
        return JSONResponse(self._message(self._wanted(request)))

    async def update_message(self, request: Request) -> Response:
        """Redact (`Body=`) or cancel (`Status=canceled`) a message: POST Messages/SM….json."""
        message = self._wanted(request)
        form = await _form(request)
        if ("Body" in form) == ("Status" in form) or form.get("Body") or form.get("Status", "canceled") != "canceled":
            raise TwilioError(400, 30400, "Parameters are not valid")
        if "Status" in form:
            if message.status in _FINAL:
                raise TwilioError(409, 30409, "This message cannot be canceled")
            message = replace(message.at("canceled", time.time()), status="canceled")
        else:
            message = replace(message, body="", updated=time.time())
        self._store.save(message)
        return JSONResponse(self._message(message))

    async def delete_message(self, request: Request) -> Response:
        """Delete a message that is no longer under way: DELETE Messages/SM….json."""
        message = self._wanted(request)
        if message.status not in _FINAL:
            raise TwilioError(409, 20009, "Cannot delete message because delivery has not been completed.")
        self._store.delete(message.sid)
        return Response(status_code=204)

    async def list_messages(self, request: Request) -> Response:
        """List messages, newest first, one page at a time: GET Messages.json."""
        query = request.query_params
        size = _page_size(request)
        below = None
        token = query.get("PageToken", "")
        if token:
            last = self._store.place(token.removeprefix("PA"))
            if last is None:
                raise TwilioError(400, 20006, "Page token is not valid")
            below = last
        messages: list[Message] = []
        more = False
        youngest = time.time() - self._network.faults.lag()
        for _, message in self._store.messages(to=query.get("To", ""), sender=query.get("From", ""), below=below):
            if message.created <= youngest and _within_dates(message, query):
                if len(messages) == size:
                    more = True
                    break
                messages.append(message)
        items = [self._message(message) for message in messages]
        token = f"PA{messages[-1].sid}" if more else ""
        return JSONResponse(_page(request, "messages", items, size=size, next_token=token))

    def _wanted(self, request: Request) -> Message:
        message = self._store.message(request.path_params["sid"])
        if message is None:
            raise _not_found(request)
        return message

    def _message(self, message: Message) -> dict[str, Any]:  # Any: JSON
        uri = f"/2010-04-01/Accounts/{self._account.sid}/Messages/{message.sid}"
        error = f"Twilio error {message.error_code}" if message.error_code is not None else None
        return {
            "body": message.body,
            "num_segments": str(message.segments),
            "direction": message.direction,
            "from": message.sender,
            "to": message.recipient,
            "date_updated": _date(message.updated),
            "price": message.price,
            "error_message": error,
            "uri": f"{uri}.json",
            "account_sid": self._account.sid,
            "num_media": str(len(message.media)),
            "status": message.status,
            "messaging_service_sid": message.messaging_service_sid,
            "sid": message.sid,
            "date_sent": _date(message.sent),
            "date_created": _date(message.created),
            "error_code": message.error_code,
            "price_unit": "USD",
            "api_version": "2010-04-01",
            "subresource_uris": {"media": f"{uri}/Media.json", "feedback": f"{uri}/Feedback.json"},
        }

    async def list_media(self, request: Request) -> Response:
        """List the pictures of a message: GET Messages/MM…/Media.json."""
        message = self._wanted(request)
        pictures = [picture for sid in message.media if (picture := self._store.picture(sid))]
        return JSONResponse(_page(request, "media_list", [self._media(p) for p in pictures], size=_page_size(request)))

    async def fetch_media(self, request: Request) -> Response:
        """Describe a picture: GET Messages/MM…/Media/ME….json."""
        return JSONResponse(self._media(self._picture(request)))

    async def delete_media(self, request: Request) -> Response:
        """Remove a picture from its message: DELETE Messages/MM…/Media/ME….json."""
        picture = self._picture(request)
        message = self._wanted(request)
        self._store.save(replace(message, media=tuple(sid for sid in message.media if sid != picture.sid)))
        return Response(status_code=204)

    async def media_content(self, request: Request) -> Response:
        """Return the bytes of a picture: GET Messages/MM…/Media/ME…."""
        picture = self._picture(request)
        return Response(picture.data, media_type=picture.content_type)

    def _picture(self, request: Request) -> Picture:
        message = self._wanted(request)
        picture = self._store.picture(request.path_params["media"])
        if picture is None or picture.sid not in message.media:
            raise _not_found(request)
        return picture

    def _media(self, picture: Picture) -> dict[str, Any]:  # Any: JSON
        return {
            "account_sid": self._account.sid,
            "content_type": picture.content_type,
            "date_created": _date(picture.created),
            "date_updated": _date(picture.created),
            "parent_sid": picture.parent,
            "sid": picture.sid,
            "uri": f"{media_path(self._account.sid, picture.parent, picture.sid)}.json",
        }

    async def account(self, request: Request) -> Response:
        """Return the account, by which clients check a login: GET Accounts/AC….json."""
        del request
        uri = f"/2010-04-01/Accounts/{self._account.sid}"
        return JSONResponse(
            {
                "auth_token": "redacted",
                "date_created": _date(0.0),
                "date_updated": _date(0.0),
                "friendly_name": "A telephone network for one laptop",
                "owner_account_sid": self._account.sid,
                "sid": self._account.sid,
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
        matches = [number for number in self._store.numbers() if wanted in number.number]
        items = [self._number(number) for number in matches]
        return JSONResponse(_page(request, "incoming_phone_numbers", items, size=_page_size(request)))

    async def fetch_number(self, request: Request) -> Response:
        """Return a number: GET IncomingPhoneNumbers/PN….json."""
        return JSONResponse(self._number(self._wanted_number(request)))

    async def update_number(self, request: Request) -> Response:
        """Set where a number's texts are posted: POST IncomingPhoneNumbers/PN….json."""
        number = self._wanted_number(request)
        form = await _form(request)
        url = form.get("SmsUrl", number.sms_url)
        fallback = form.get("SmsFallbackUrl", number.sms_fallback_url)
        if fallback and not url:
            raise TwilioError(400, 21406, "Cannot set SmsFallbackUrl without setting SmsUrl")
        number = replace(
            number,
            sms_url=url,
            sms_fallback_url=fallback,
            friendly_name=form.get("FriendlyName", number.friendly_name),
        )
        self._store.save_number(number)
        return JSONResponse(self._number(number))

    def _wanted_number(self, request: Request) -> Number:
        matches = [number for number in self._store.numbers() if number.sid == request.path_params["sid"]]
        if not matches:
            raise _not_found(request)
        return matches[0]

    def _number(self, number: Number) -> dict[str, Any]:  # Any: JSON
        return {
            "account_sid": self._account.sid,
            "address_requirements": "none",
            "address_sid": None,
            "api_version": "2010-04-01",
            "beta": False,
            "bundle_sid": None,
            "capabilities": {"voice": False, "sms": True, "mms": True, "fax": False},
            "date_created": _date(number.created),
            "date_updated": _date(number.created),
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
            "uri": f"/2010-04-01/Accounts/{self._account.sid}/IncomingPhoneNumbers/{number.sid}.json",
            "voice_application_sid": "",
            "voice_caller_id_lookup": False,
            "voice_fallback_method": "POST",
            "voice_fallback_url": None,
            "voice_method": "POST",
            "voice_receive_mode": "voice",
            "voice_url": None,
        }


async def _form(request: Request) -> Form:
    try:
        return dict(signature.form_pairs(await request.body()))
    except ValueError as exc:
        raise TwilioError(400, 20001, "The body is not a form in UTF-8") from exc


def _error(error: TwilioError) -> Response:
    body = {
        "code": error.code,
        "message": error.message,
        "more_info": f"https://www.twilio.com/docs/errors/{error.code}",
        "status": error.status,
    }
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else None
    return JSONResponse(body, status_code=error.status, headers=headers)


def _as_ruled(rule: Rule) -> TwilioError:
    code = rule.code if rule.code is not None else 20000 + rule.status
    return TwilioError(rule.status, code, "a fault rule of the simulator", rule.retry_after)


def _not_found(request: Request) -> TwilioError:
    return TwilioError(404, 20404, f"The requested resource {request.url.path} was not found")


def _date(moment: float | None) -> str | None:
    return format_datetime(datetime.fromtimestamp(moment, UTC)) if moment is not None else None


def _page_size(request: Request) -> int:
    given = request.query_params.get("PageSize", str(PAGE_SIZE))
    if not given.isdigit() or not 1 <= int(given) <= MAX_PAGE_SIZE:
        raise TwilioError(400, 20007, f"Page size must be between 1 and {MAX_PAGE_SIZE}")
    return int(given)


def _page(
    request: Request, key: str, items: Sequence[Any], *, size: int, next_token: str = ""
) -> dict[str, Any]:  # Any: JSON
    number = int(request.query_params.get("Page", "0") or 0)
    kept = [
        (name, value)
        for name, value in request.query_params.multi_items()
        if name not in {"Page", "PageToken", "PageSize"}
    ]

    def uri(page: int, token: str = "") -> str:
        query = [*kept, ("PageSize", str(size)), ("Page", str(page)), *([("PageToken", token)] if token else [])]
        return f"{request.url.path}?{urlencode(query)}"

    start = number * size
    return {
        "end": start + max(0, len(items) - 1),
        "first_page_uri": uri(0),
        "next_page_uri": uri(number + 1, next_token) if next_token else None,
        "page": number,
        "page_size": size,
        "previous_page_uri": None,
        key: list(items),
        "start": start,
        "uri": uri(number, request.query_params.get("PageToken", "")),
    }


def _within_dates(message: Message, query: Any) -> bool:  # Any: starlette's query parameters
    bounds = {name: query[name] for name in ("DateSent", "DateSent<", "DateSent>") if query.get(name)}
    if not bounds:
        return True
    if message.sent is None:
        return False
    sent = datetime.fromtimestamp(message.sent, UTC)
    exact = _moment(bounds["DateSent"]) if "DateSent" in bounds else None
    before = _moment(bounds["DateSent<"]) if "DateSent<" in bounds else None
    after = _moment(bounds["DateSent>"]) if "DateSent>" in bounds else None
    return (
        (exact is None or exact.date() == sent.date())
        and (
            before is None
            or sent <= (before if before.time().isoformat() != "00:00:00" else before + timedelta(days=1))
        )
        and (after is None or sent >= after)
    )


def _moment(value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError as exc:
            raise TwilioError(400, 20001, "DateSent is not a date") from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
