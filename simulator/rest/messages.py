"""Messages of the REST API: create, fetch, redact, cancel, delete and list."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any, Final

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from simulator import addresses, magic, twiml
from simulator.bodies import whole_number
from simulator.cut import Cut
from simulator.faults import Rule
from simulator.network import Network
from simulator.rest.answers import (
    Form,
    TwilioError,
    date,
    form_of,
    not_found,
    page,
    page_number,
    page_size,
    pairs_of,
)
from simulator.store import NOT_CANCELABLE, Message, Store
from sms.addresses import is_dialable
from sms.messages import MAX_BODY_CHARACTERS, MAX_MEDIA, bare

#: Length of a hang without `seconds`: longer than any client waits.
HANG_SECONDS: Final = 60.0
VALIDITY_SECONDS: Final = range(1, 36_001)
_DATES: Final = ("DateSent", "DateSent<", "DateSent>")


class Messages:
    """The handlers of the messages' routes."""

    def __init__(self, network: Network) -> None:
        self._outbound = network.outbound
        self._board = network.switchboard
        self._store = network.switchboard.store

    async def create_message(self, request: Request) -> Response:
        """Create a message: POST Messages.json."""
        wanted = self._checked(await pairs_of(request))
        rule = self._board.strike("create", wanted["recipient"], "")
        if rule is not None and rule.do == "slow":
            await asyncio.sleep(rule.seconds or 0)
        if rule is not None and rule.do == "full":
            raise TwilioError(
                429, 21611, f"The sender {wanted['sender']} has too many messages waiting", rule.retry_after
            )
        if rule is not None and rule.do == "error" and not rule.accepted:
            raise _as_the_rule_says(rule)
        message = self._outbound.send(**wanted)
        if message.status_callback and self._board.strike(
            "callback", message.recipient, message.sid, only=frozenset({"before"})
        ):
            await self._outbound.report(replace(message, status="sent"))
        answer = JSONResponse(self._described(message), status_code=201)
        if rule is None or rule.do == "slow":
            return answer
        if rule.do == "error":
            raise _as_the_rule_says(rule)
        if rule.do == "hang":
            await asyncio.sleep(rule.seconds or HANG_SECONDS)
        return Cut(request, rule.do, answer)

    def _checked(self, pairs: list[tuple[str, str]]) -> dict[str, Any]:  # Any: `Outbound.send`'s arguments
        """Validate the form. Raises `TwilioError` if Twilio would refuse it."""
        form = dict(pairs)
        media_urls = tuple(value for name, value in pairs if name == "MediaUrl" and value)
        to, body, callback = form.get("To", ""), form.get("Body", ""), form.get("StatusCallback", "")
        sender = self._sender(form)
        validity = whole_number(form.get("ValidityPeriod", str(VALIDITY_SECONDS.stop - 1)))
        refusals = (
            (not to, 21604, "A 'To' phone number is required."),
            (not is_dialable(to), 21211, f"Invalid 'To' Phone Number: {to[:-4]}XXXX"),
            (not body and not media_urls, 21602, "Message body is required."),
            (len(body) > MAX_BODY_CHARACTERS, 21617, "The concatenated message body exceeds the 1600 character limit"),
            (len(media_urls) > MAX_MEDIA, 21623, "Number of media files exceeds allowed limit"),
            (not all(map(addresses.is_web, media_urls)), 21620, "Invalid media URL(s)"),
            (bool(callback) and not addresses.is_web(callback), 21609, "The 'StatusCallback' URL is not a valid URL."),
            (validity not in VALIDITY_SECONDS, 21624, "ValidityPeriod must be between 1 and 36000 seconds"),
        )
        for refused, code, sentence in refusals:
            if refused:
                raise TwilioError(400, code, sentence)
        refusal = self._outbound.refusal(sender=sender, recipient=to)
        if refusal is not None:
            raise TwilioError(400, refusal, twiml.TITLES[refusal])
        if magic.TO.get(to) is not None:
            raise TwilioError(*magic.TO[to])
        return {
            "sender": sender,
            "recipient": to,
            "body": body,
            "status_callback": callback,
            "messaging_service_sid": form.get("MessagingServiceSid") or None,
            "media_urls": media_urls,
        }

    def _sender(self, form: Form) -> str:
        service = form.get("MessagingServiceSid", "")
        sender = form.get("From", "")
        if service and service != self._board.account.messaging_service_sid:
            raise TwilioError(400, 21705, f"The Messaging Service Sid {service} is invalid.")
        if service and not sender:
            channel = form.get("To", "").removesuffix(bare(form.get("To", "")))
            return f"{channel}{self._store.numbers.all()[0].number}"
        if not sender:
            raise TwilioError(400, 21603, "A 'From' phone number is required.")
        if self._store.numbers.get(sender) is not None:
            return sender
        if sender in magic.FROM:
            raise TwilioError(*magic.FROM[sender])
        raise TwilioError(
            400, 21606,
            f"The From phone number {sender} is not a valid, SMS-capable inbound phone number or short code "
            "for your account.",
        )  # fmt: skip

    async def fetch_message(self, request: Request) -> Response:
        """Return a message: GET Messages/SM….json."""
        return JSONResponse(self._described(wanted_message(self._store, request)))

    async def update_message(self, request: Request) -> Response:
        """Redact (`Body=`) or cancel (`Status=canceled`) a message: POST Messages/SM….json."""
        form = await form_of(request)
        # what became of the message while the body was awaited must not be written back
        message = wanted_message(self._store, request)
        if ("Body" in form) == ("Status" in form) or form.get("Body") or form.get("Status", "canceled") != "canceled":
            raise TwilioError(400, 30400, "Parameters are not valid")
        if "Status" in form:
            if message.status in NOT_CANCELABLE:
                raise TwilioError(409, 30409, "This message cannot be canceled")
            message = replace(message.at("canceled", time.time()), status="canceled")
        else:
            message = replace(message, body="", updated=time.time())
        self._board.save(message)
        return JSONResponse(self._described(message))

    async def delete_message(self, request: Request) -> Response:
        """Delete a message that is no longer under way: DELETE Messages/SM….json."""
        message = wanted_message(self._store, request)
        if message.status not in NOT_CANCELABLE:
            raise TwilioError(409, 20009, "Cannot delete message because delivery has not been completed.")
        self._board.delete(message)
        return Response(status_code=204)

    async def list_messages(self, request: Request) -> Response:
        """List messages, newest first, one page at a time: GET Messages.json."""
        query = request.query_params
        size = page_size(request)
        below = None
        token = query.get("PageToken", "")
        if token:
            last = self._store.place(token.removeprefix("PA"))
            if last is None:
                raise TwilioError(400, 20006, "Page token is not valid")
            below = last
        to, sender, dates = query.get("To", ""), query.get("From", ""), _dates(query)
        start = 0 if token else page_number(request) * size
        rule = self._board.strike("list", to or sender, "")
        youngest = time.time() - (rule.lag if rule is not None else 0)
        matching = (
            message
            for _, message in self._store.messages(to=to, sender=sender, below=below)
            if message.created <= youngest and _within_dates(message, dates)
        )
        messages = list(islice(matching, start, start + size + 1))
        items = [self._described(message) for message in messages[:size]]
        has_more = len(messages) > size
        token = f"PA{items[-1]['sid']}" if has_more else ""
        return JSONResponse(page(request, "messages", items, has_more=has_more, next_token=token))

    def _described(self, message: Message) -> dict[str, Any]:  # Any: JSON
        uri = f"/2010-04-01/Accounts/{self._board.account.sid}/Messages/{message.sid}"
        error = f"Twilio error {message.error_code}" if message.error_code is not None else None
        return {
            "body": message.body,
            # the sender of a Messaging Service is not chosen yet
            "num_segments": "0" if message.status == "accepted" else str(message.segments),
            "direction": message.direction,
            "from": message.sender,
            "to": message.recipient,
            "date_updated": date(message.updated),
            "price": message.price,
            "error_message": error,
            "uri": f"{uri}.json",
            "account_sid": self._board.account.sid,
            "num_media": str(len(message.media)),
            "status": message.status,
            "messaging_service_sid": message.messaging_service_sid,
            "sid": message.sid,
            "date_sent": date(message.sent),
            "date_created": date(message.created),
            "error_code": message.error_code,
            "price_unit": "USD",
            "api_version": "2010-04-01",
            "subresource_uris": {"media": f"{uri}/Media.json", "feedback": f"{uri}/Feedback.json"},
        }


def wanted_message(store: Store, request: Request) -> Message:
    """Return the message that the path names. Raises `TwilioError`."""
    message = store.message(request.path_params["sid"])
    if message is None:
        raise not_found(request)
    return message


def _as_the_rule_says(rule: Rule) -> TwilioError:
    code = rule.code if rule.code is not None else 20000 + rule.status
    return TwilioError(rule.status, code, "a fault rule of the simulator", rule.retry_after)


def _dates(query: QueryParams) -> Mapping[str, datetime]:
    """Return the dates of a query, by their names. Raises `TwilioError`."""
    return {name: _moment(query[name]) for name in _DATES if query.get(name)}


def _within_dates(message: Message, dates: Mapping[str, datetime]) -> bool:
    """Return whether a message was sent on, before or after these dates, as Twilio compares."""
    if not dates:
        return True
    if message.sent is None:
        return False
    sent = datetime.fromtimestamp(message.sent, UTC)
    exact, before, after = (dates.get(name) for name in _DATES)
    return (
        (exact is None or exact.date() == sent.date())
        and (before is None or sent <= before or (_is_a_day(before) and sent.date() == before.date()))
        and (after is None or sent >= after)
    )


def _is_a_day(moment: datetime) -> bool:
    return (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)


def _moment(value: str) -> datetime:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(value)
        except (ValueError, OverflowError):
            continue
        try:
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except OverflowError:
            break
    raise TwilioError(400, 20001, "DateSent is not a date")
