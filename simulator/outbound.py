"""Messages from the account to telephones: queued, sent, delivered.

Each status but the first is posted to the status callback, signed as Twilio signs.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import replace
from typing import Final

from simulator.store import Message
from simulator.switchboard import Switchboard
from sms import segments

#: US dollars a segment, from the example message of Twilio's API description (twilio_api_v2010, read 2026-11).
PRICE_PER_SEGMENT: Final = 0.0075
#: A reversed status is posted this long after the status that follows it.
REVERSED_SECONDS: Final = 0.3

FINAL: Final = frozenset({"delivered", "undelivered", "failed", "canceled", "received", "read"})


class Outbound:
    """Accepts the account's messages and takes each to its last status."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._board = switchboard
        self._store = switchboard.store

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
        self._board.save(message)
        self._board.begin(self.progress(message.sid))
        return message

    async def progress(self, sid: str) -> None:
        """Take a message from its creation to its last status."""
        await asyncio.sleep(self._board.faults.sending_seconds)
        await self._set_status(sid, "sent")
        await asyncio.sleep(self._board.faults.delivery_seconds)
        message = self._store.message(sid)
        fate = self._board.faults.draw("delivery", message.recipient, sid) if message else None
        await self._set_status(sid, fate.do if fate else "delivered", code=fate.code if fate else None)

    async def _set_status(self, sid: str, status: str, *, code: int | None = None) -> None:
        message = self._store.message(sid)
        if message is None or message.status in FINAL:
            return
        now = time.time()
        message = replace(message.at(status, now), status=status, error_code=code)
        if status == "sent":
            price = f"-{message.segments * PRICE_PER_SEGMENT:.5f}"
            message = replace(message, sent=now, price=price)
        self._board.save(message)
        self._board.begin(self._report_by_rule(message))

    async def _report_by_rule(self, message: Message) -> None:
        """Post a status to its callback, with the faults that the rules draw."""
        usual = frozenset({"never", "double", "delay", "reverse"})
        has_callback = bool(message.status_callback)
        rule = self._board.faults.draw("callback", message.recipient, message.sid, only=usual) if has_callback else None
        fault = rule.do if rule is not None else ""
        if fault == "never":
            return
        if rule is not None and fault == "delay":
            await asyncio.sleep(rule.seconds or 0)
        if fault == "reverse" and message.status == "sent":
            await asyncio.sleep(self._board.faults.delivery_seconds + REVERSED_SECONDS)
        await self.report(message)
        if fault == "double":
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
            "AccountSid": self._board.account.sid,
            "From": message.sender,
            "ApiVersion": "2010-04-01",
        }
        if message.messaging_service_sid:
            fields["MessagingServiceSid"] = message.messaging_service_sid
        if message.error_code is not None:
            fields["ErrorCode"] = str(message.error_code)
        if message.status == "delivered":
            fields["RawDlrDoneDate"] = time.strftime("%y%m%d%H%M", time.gmtime(message.updated))
        await self._board.post(message.status_callback, fields)
