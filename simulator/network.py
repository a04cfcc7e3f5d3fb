"""The network itself: what happens to a message after it was sent.

Outbound: queued, sent, delivered. Each status but the first is posted to the status callback, signed as Twilio signs.
Inbound: posted to the number's webhook with every field that Twilio sends. Twilio's retry rules, fallback URL and
idempotency header are implemented.
https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides (read 2026-11).
"""

from __future__ import annotations

import asyncio
import secrets
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit, urlunsplit
from uuid import uuid4

import httpx

from runtime import logs
from simulator.faults import Faults
from simulator.store import Message, Number, Picture, Store
from sms import keywords, segments, signature
from sms.keywords import Keyword
from sms.messages import bare

#: US dollars a segment, from the example message of Twilio's API description (twilio_api_v2010, read 2026-11).
PRICE_PER_SEGMENT: Final = 0.0075
#: Concurrent connections to webhooks: tests have hundreds of people who text at once.
CONNECTIONS: Final = 200

#: A reversed status is posted this long after the status that follows it.
REVERSED_SECONDS: Final = 0.3

STOPPED: Final = "You are unsubscribed and will get no more texts from this number. Reply START to resubscribe."
STARTED: Final = "You are subscribed to this number again. Reply STOP to unsubscribe."
HELPED: Final = "Reply STOP to unsubscribe. Message and data rates may apply."

_FINAL: Final = frozenset({"delivered", "undelivered", "failed", "canceled", "received", "read"})

log = logs.get("simulator")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The only account of this network."""

    sid: str
    token: str
    api_key: str = ""
    api_secret: str = ""
    messaging_service_sid: str = ""

    def admits(self, username: str, password: str) -> bool:
        """Whether this login is the account's, by auth token or by API key."""
        pairs = [(self.sid, self.token)] + ([(self.api_key, self.api_secret)] if self.api_key else [])
        return any(
            secrets.compare_digest(username.encode(), name.encode())
            and secrets.compare_digest(password.encode(), word.encode())
            for name, word in pairs
        )


@dataclass(frozen=True, slots=True)
class RetryRules:
    """Twilio's connection overrides, from the fragment of a webhook URL. Times are in seconds."""

    connect: float = 5.0
    read: float = 15.0
    total: float = 15.0
    retries: int = 1
    on: frozenset[str] = frozenset({"ct"})

    @classmethod
    def of(cls, url: str) -> RetryRules:
        """Parse the fragment of `url`, such as `#rc=3&rp=all`; missing or malformed rules get defaults."""
        given = dict(parse_qsl(urlsplit(url).fragment))
        on = frozenset(given.get("rp", "ct").split(","))
        return cls(
            connect=_within(given.get("ct"), 100, 10_000, 5_000) / 1000,
            read=_within(given.get("rt"), 100, 15_000, 15_000) / 1000,
            total=_within(given.get("tt"), 100, 15_000, 15_000) / 1000,
            retries=_within(given.get("rc"), 0, 5, 1),
            on=frozenset({"4xx", "5xx", "ct", "rt"}) if "all" in on else on,
        )


@dataclass(frozen=True, slots=True)
class Posted:
    """How a webhook answered a request."""

    status: int | None
    body: str = ""
    content_type: str = ""
    #: The failure in the terms of a retry rule, such as `ct`, `rt` or `5xx`; empty: success.
    failure: str = ""


class Network:
    """Carry messages and report every change to the watchers, such as the page."""

    def __init__(self, store: Store, account: Account, *, faults: Faults, base_url: str) -> None:
        self.store = store
        self.account = account
        self.base_url = base_url.rstrip("/")
        self.faults = faults
        self._watchers: set[Callable[[Mapping[str, Any]], None]] = set()
        self._under_way: set[asyncio.Task[None]] = set()
        self._http = httpx.AsyncClient(
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=20), trust_env=False
        )

    async def start(self) -> None:
        """Resume the messages that were under way when the network stopped."""
        for _, message in list(self.store.messages()):
            if message.direction == "inbound":
                if message.stations[-1][0] == "received":
                    self._later(self._bring(message))
            elif message.status not in _FINAL:
                self._later(self._live(message.sid))

    async def stop(self) -> None:
        """Stop; messages under way resume at the next start."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._http.aclose()
        self.store.close()

    def watch(self, watcher: Callable[[Mapping[str, Any]], None]) -> Callable[[], None]:
        """Call `watcher` with every change; call the returned function to stop."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    def promote(self, token: str) -> None:
        """Replace the account's auth token."""
        self.account = replace(self.account, token=token)

    def tell(self, event: Mapping[str, Any]) -> None:
        """Pass an event to all watchers."""
        for watcher in tuple(self._watchers):
            watcher(event)

    def number(self, address: str) -> Number | None:
        """Return the account's number with this address, on any channel; None if there is none."""
        return next((mine for mine in self.store.numbers() if mine.number == bare(address)), None)

    def send(
        self,
        *,
        sender: str,
        recipient: str,
        body: str,
        status_callback: str = "",
        messaging_service_sid: str | None = None,
        direction: str = "outbound-api",
    ) -> Message:
        """Accept a message from the account and start its delivery. The caller checked that it may be sent."""
        now = time.time()
        message = Message(
            sid=f"SM{secrets.token_hex(16)}",
            sender=sender,
            recipient=recipient,
            body=body,
            direction=direction,
            status="accepted" if messaging_service_sid else "queued",
            created=now,
            updated=now,
            segments=segments.count(body),
            messaging_service_sid=messaging_service_sid,
            status_callback=status_callback,
            stations=(("queued", now),),
        )
        self._keep(message)
        self._later(self._live(message.sid))
        return message

    async def _live(self, sid: str) -> None:
        await asyncio.sleep(self.faults.sending_seconds)
        await self._become(sid, "sent")
        await asyncio.sleep(self.faults.delivery_seconds)
        message = self.store.message(sid)
        fate = self.faults.draw("delivery", message.recipient, sid) if message else None
        await self._become(sid, fate.do if fate else "delivered", code=fate.code if fate else None)

    async def _become(self, sid: str, status: str, *, code: int | None = None) -> None:
        message = self.store.message(sid)
        if message is None or message.status in _FINAL:
            return
        now = time.time()
        message = replace(message.at(status, now), status=status, error_code=code)
        if status == "sent":
            price = f"-{message.segments * PRICE_PER_SEGMENT:.5f}"
            message = replace(message, sent=now, price=price)
        self._keep(message)
        self._later(self._report_by_rule(message))

    async def _report_by_rule(self, message: Message) -> None:
        """Post a status to its callback, with the faults that the rules draw."""
        usual = frozenset({"never", "double", "delay", "reverse"})
        rule = (
            self.faults.draw("callback", message.recipient, message.sid, only=usual)
            if message.status_callback
            else None
        )
        if rule is not None and rule.do == "never":
            return
        if rule is not None and rule.do == "delay":
            await asyncio.sleep(rule.seconds or 0)
        if rule is not None and rule.do == "reverse" and message.status == "sent":
            await asyncio.sleep(self.faults.delivery_seconds + REVERSED_SECONDS)
        await self.report(message)
        if rule is not None and rule.do == "double":
            await self.report(message)

    async def report(self, message: Message) -> None:
        """Post a message's status to its callback, if it has one."""
        if not message.status_callback:
            return
        fields = {
            "SmsSid": message.sid,
            "SmsStatus": message.status,
            "MessageStatus": message.status,
            "To": message.recipient,
            "MessageSid": message.sid,
            "AccountSid": self.account.sid,
            "From": message.sender,
            "ApiVersion": "2010-04-01",
        }
        if message.messaging_service_sid:
            fields["MessagingServiceSid"] = message.messaging_service_sid
        if message.error_code is not None:
            fields["ErrorCode"] = str(message.error_code)
        if message.status == "delivered":
            fields["RawDlrDoneDate"] = time.strftime("%y%m%d%H%M", time.gmtime(message.updated))
        await self._post(message.status_callback, fields)

    def text(self, *, sender: str, to: str, body: str, pictures: tuple[str, ...] = ()) -> Message:
        """Send a text from a telephone; it is posted to the number's webhook."""
        now = time.time()
        message = Message(
            sid=("MM" if pictures else "SM") + secrets.token_hex(16),
            sender=sender,
            recipient=to,
            body=body,
            direction="inbound",
            status="received",
            created=now,
            updated=now,
            sent=now,
            segments=segments.count(body),
            media=pictures,
            stations=(("received", now),),
        )
        for picture in pictures:
            self.store.adopt(picture, message.sid)
        self._keep(message)
        self._later(self._bring(message))
        return message

    async def _bring(self, message: Message) -> None:
        self._obey(message)
        number = self.number(message.recipient)
        if number is None or not number.sms_url:
            self._keep(message.at("no webhook", time.time()))
            return
        rule = self.faults.draw("webhook", message.sender, message.sid)
        if rule is not None and rule.do == "never":
            self._keep(message.at("lost: never posted", time.time()))
            return
        if rule is not None and rule.do == "delay":
            await asyncio.sleep(rule.seconds or 0)
        if rule is not None and rule.do == "concurrent":
            posted, _ = await asyncio.gather(self._hand_over(message, number), self._hand_over(message, number))
        else:
            posted = await self._hand_over(message, number)
        if rule is not None and rule.do == "double":
            await self._hand_over(message, number)
        now = time.time()
        fresh = self.store.message(message.sid) or message
        self._keep(fresh.at("acknowledged" if _taken(posted) else f"lost: {posted.failure or posted.status}", now))
        if _taken(posted):
            self._answer_in_twiml(fresh, posted)

    async def _hand_over(self, message: Message, number: Number) -> Posted:
        """Post a text to its number's webhook and, if that fails, to its fallback."""
        fields = self.inbound_fields(message)
        posted = await self._post(number.sms_url, fields)
        if not _taken(posted) and number.sms_fallback_url:
            fallen = {**fields, "ErrorCode": "11200", "ErrorUrl": _without_fragment(number.sms_url)}
            posted = await self._post(number.sms_fallback_url, fallen)
        return posted

    def inbound_fields(self, message: Message) -> dict[str, str]:
        """Return every field that Twilio posts for an inbound text; unknown places are blank, as at Twilio."""
        country = "US" if message.sender.startswith("+1") else ""
        fields = {
            "ToCountry": "US",
            "ToState": "",
            "SmsMessageSid": message.sid,
            "NumMedia": str(len(message.media)),
            "ToCity": "",
            "FromZip": "",
            "SmsSid": message.sid,
            "FromState": "",
            "SmsStatus": "received",
            "FromCity": "",
            "Body": message.body,
            "FromCountry": country,
            "To": message.recipient,
            "ToZip": "",
            "NumSegments": str(message.segments),
            "MessageSid": message.sid,
            "AccountSid": self.account.sid,
            "From": message.sender,
            "ApiVersion": "2010-04-01",
        }
        if self.account.messaging_service_sid:
            fields["MessagingServiceSid"] = self.account.messaging_service_sid
        for place, sid in enumerate(message.media):
            picture = self.store.picture(sid)
            if picture is not None:
                fields[f"MediaUrl{place}"] = f"{self.base_url}{media_path(self.account.sid, message.sid, sid)}"
                fields[f"MediaContentType{place}"] = picture.content_type
        return fields

    def _obey(self, message: Message) -> None:
        """Handle STOP, START and HELP as Twilio does, before the webhook and independently of it."""
        stopped = self.store.opted_out(message.sender, message.recipient)
        keyword = keywords.read(message.body, opted_out=stopped, words=keywords.TWILIOS)
        if keyword is Keyword.STOP:
            self.store.opt_out(message.sender, message.recipient)
            self._notice(message, STOPPED)
        elif keyword is Keyword.START:
            self.store.opt_in(message.sender, message.recipient)
            self._notice(message, STARTED)
        elif keyword is Keyword.HELP:
            self._notice(message, HELPED)

    def _notice(self, message: Message, words: str) -> None:
        """Show a notice of the network itself on a telephone: no message of the account."""
        now = time.time()
        self.store.add_notice(message.sender, now, words)
        self.tell({"kind": "notice", "phone": message.sender, "at": now, "body": words})

    def _answer_in_twiml(self, message: Message, posted: Posted) -> None:
        """Send the messages of a webhook's TwiML. DadaCat returns none; other applications do."""
        if "xml" not in posted.content_type or "<Message" not in posted.body:
            return
        try:
            root = ET.fromstring(posted.body)  # noqa: S314 - from the webhook that the operator configured
        except ET.ParseError:
            self._keep(message.at("invalid TwiML", time.time()))
            return
        for element in root.iter("Message"):
            words = "".join(element.itertext()).strip()
            if words:
                self.send(sender=message.recipient, recipient=message.sender, body=words, direction="outbound-reply")

    def upload(self, content_type: str, data: bytes) -> Picture:
        """Store a picture until it is sent."""
        picture = Picture(
            sid=f"ME{secrets.token_hex(16)}", parent="", content_type=content_type, created=time.time(), data=data
        )
        self.store.add_picture(picture)
        return picture

    async def _post(self, url: str, fields: Mapping[str, str]) -> Posted:
        """Post a signed form by the retry rules in the URL's fragment."""
        rules = RetryRules.of(url)
        target = _without_fragment(url)
        headers = {
            "User-Agent": "TwilioProxy/1.1",
            "Accept": "*/*",
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
            "I-Twilio-Idempotency-Token": str(uuid4()),
            "X-Home-Region": "us1",
            "X-Twilio-Signature": signature.sign(self.account.token, target, fields),
        }
        posted = Posted(None, failure="tt")
        try:
            async with asyncio.timeout(rules.total):
                for _ in range(rules.retries + 1):
                    posted = await self._post_once(target, fields, headers, rules)
                    if posted.failure not in rules.on:
                        break
        except TimeoutError:
            posted = Posted(None, failure="tt")
        if posted.failure:
            log.warning("webhook failed", url=urlsplit(target).path, failure=posted.failure, status=posted.status)
        return posted

    async def _post_once(
        self, url: str, fields: Mapping[str, str], headers: Mapping[str, str], rules: RetryRules
    ) -> Posted:
        timeout = httpx.Timeout(rules.read, connect=rules.connect, pool=rules.total)
        try:
            answer = await self._http.post(url, data=dict(fields), headers=dict(headers), timeout=timeout)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return Posted(None, failure="ct")
        except httpx.HTTPError:
            return Posted(None, failure="rt")
        failure = "" if answer.is_success else f"{answer.status_code // 100}xx"
        return Posted(answer.status_code, answer.text, answer.headers.get("content-type", ""), failure)

    def _keep(self, message: Message) -> None:
        self.store.save(message)
        self.tell({"kind": "message", "message": describe(message)})

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)


def describe(message: Message) -> dict[str, Any]:  # Any: JSON
    """Return a message in the form that the page shows."""
    inbound = message.direction == "inbound"
    return {
        "sid": message.sid,
        "phone": message.sender if inbound else message.recipient,
        "number": message.recipient if inbound else message.sender,
        "mine": inbound,
        "body": message.body,
        "status": message.status,
        "created": message.created,
        "segments": message.segments,
        "price": message.price,
        "error_code": message.error_code,
        "media": list(message.media),
        "stations": [list(station) for station in message.stations],
    }


def media_path(account_sid: str, message_sid: str, sid: str) -> str:
    """Return the path of a picture below the API's address."""
    return f"/2010-04-01/Accounts/{account_sid}/Messages/{message_sid}/Media/{sid}"


def _taken(posted: Posted) -> bool:
    return posted.status is not None and not posted.failure


def _without_fragment(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(fragment=""))


def _within(value: str | None, low: int, high: int, default: int) -> int:
    if value is None or not value.isdigit() or not low <= int(value) <= high:
        return default
    return int(value)
