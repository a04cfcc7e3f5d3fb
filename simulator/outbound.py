"""Messages from the account to telephones: queued, sent, delivered.

Each status but the first is posted to the status callback, signed as Twilio signs.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import replace
from typing import Final

from simulator.store import SETTLED, Message, Picture
from simulator.switchboard import Switchboard
from simulator.webhooks import MOST_MEDIA_BYTES, Answer, Call
from sms import segments
from sms.messages import channel_of

#: US dollars a segment, from the example message of Twilio's API description (twilio_api_v2010, read 2026-11).
PRICE_PER_SEGMENT: Final = 0.0075
#: A reversed status is posted this long after the status that follows it.
REVERSED_SECONDS: Final = 0.3
#: The faults that are drawn when a status is posted; only `sent` can be reversed.
_CALLBACK_FAULTS: Final = frozenset({"never", "double", "delay", "reverse"})

#: The kinds of media that Twilio sends, among them `text/vcard` and `application/pdf`
#: (https://www.twilio.com/docs/messaging/guides/accepted-mime-types, read 2026-11).
_MEDIA: Final = frozenset({"image", "audio", "video", "text", "application"})


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
        media_urls: tuple[str, ...] = (),
        reply_to: str = "",
    ) -> Message:
        """Accept a message from the account and start its delivery. The caller checked that it may be sent.

        `reply_to`: the text whose TwiML sends it.
        """
        now = time.time()
        message = Message(
            sid=f"{'MM' if media_urls else 'SM'}{secrets.token_hex(16)}",
            sender=sender,
            recipient=recipient,
            body=body,
            direction="outbound-reply" if reply_to else "outbound-api",
            status="accepted" if messaging_service_sid else "queued",
            created=now,
            updated=now,
            segments=segments.count(body),
            messaging_service_sid=messaging_service_sid,
            status_callback=status_callback,
            media_urls=media_urls,
            reply_to=reply_to,
            stations=(("queued", now),),
        )
        self._board.save(message)
        self._board.begin(self.progress(message.sid))
        return message

    def refusal(self, *, sender: str, recipient: str) -> int | None:
        """Return Twilio's code, as in `twiml.TITLES`, if this sender cannot send to this recipient."""
        if sender == recipient:
            return 21266
        if channel_of(sender) != channel_of(recipient):
            return 21910
        return 21610 if self._store.opt_outs.has(recipient, sender) else None

    async def progress(self, sid: str) -> None:
        """Take a message from its present status to its last one."""
        message = self._under_way(sid)
        if message is not None and message.status != "sent":
            await asyncio.sleep(self._board.faults.sending_seconds)
            unfetched = await self._fetch_media(sid)
            if unfetched is not None:
                self._set_status(sid, "failed", code=unfetched)
                return
            self._set_status(sid, "sent")
        await asyncio.sleep(self._board.faults.delivery_seconds)
        message = self._under_way(sid)
        if message is None:
            return
        fate = self._board.strike("delivery", message.recipient, sid)
        self._set_status(sid, fate.do if fate else "delivered", code=fate.code if fate else None)

    def _under_way(self, sid: str) -> Message | None:
        """Return a message; None if it was deleted, or nothing more happens to it."""
        message = self._store.message(sid)
        return message if message is not None and message.status not in SETTLED else None

    async def _fetch_media(self, sid: str) -> int | None:
        """Fetch the media of a message; return Twilio's error code if a file cannot be had."""
        message = self._under_way(sid)
        for url in message.media_urls if message else ():
            answer = await self._board.fetch(url, message=sid)
            message = self._under_way(sid)
            if message is None:
                return None
            code = _media_error(answer)
            if code is not None:
                self._board.inspector.blame(answer.exchange, code)
                return code
            picture = Picture(
                sid=f"ME{secrets.token_hex(16)}", parent=sid, content_type=answer.content_type,
                created=time.time(), data=answer.body,
            )  # fmt: skip
            self._store.add_picture(picture)
            self._board.save(replace(message, media=(*message.media, picture.sid), media_urls=message.media_urls[1:]))
        return None

    def _set_status(self, sid: str, status: str, *, code: int | None = None) -> None:
        message = self._under_way(sid)
        if message is None:
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
        usual = _CALLBACK_FAULTS if message.status == "sent" else _CALLBACK_FAULTS - {"reverse"}
        has_callback = bool(message.status_callback)
        rule = self._board.strike("callback", message.recipient, message.sid, only=usual) if has_callback else None
        fault = rule.do if rule is not None else ""
        if fault == "never":
            return
        if rule is not None and fault == "delay":
            await asyncio.sleep(rule.seconds or 0)
        if fault == "reverse":
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
        call = Call(url=message.status_callback, fields=fields, purpose="status", message=message.sid)
        answer = await self._board.ask(call)
        if not answer.is_taken:
            self._board.inspector.blame(answer.exchange, answer.error)


def _media_error(answer: Answer) -> int | None:
    """Return Twilio's code for media that cannot be sent, as in `twiml.TITLES`."""
    if not answer.is_taken or len(answer.body) > MOST_MEDIA_BYTES:
        return 11200
    # a type in other letters cannot be shown again: an HTTP header has none
    is_known = answer.content_type.isascii() and answer.content_type.partition("/")[0] in _MEDIA
    return None if is_known else 12300
