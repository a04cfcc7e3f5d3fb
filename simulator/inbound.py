"""Texts from telephones to the account's numbers, posted to the webhook with all of Twilio's fields.

Twilio's own handling of STOP, START and HELP comes before the webhook.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import replace
from typing import Final

from simulator.outbound import Outbound
from simulator.reply_session import ReplySession
from simulator.store import Message, Picture
from simulator.switchboard import Switchboard
from sms import keywords, segments
from sms.keywords import Keyword

STOPPED: Final = "You are unsubscribed and will get no more texts from this number. Reply START to resubscribe."
STARTED: Final = "You are subscribed to this number again. Reply STOP to unsubscribe."
HELPED: Final = "Reply STOP to unsubscribe. Message and data rates may apply."

#: Telephones that the page shows by themselves, because they texted.
MOST_TELEPHONES: Final = 12


class Inbound:
    """Accepts the telephones' texts and brings each to the webhook of its number."""

    def __init__(self, switchboard: Switchboard, outbound: Outbound) -> None:
        self._board = switchboard
        self._store = switchboard.store
        self._outbound = outbound

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
            self._store.adopt(picture, message.sid)
        if self._store.telephones.show(sender, most=MOST_TELEPHONES):
            self._board.publish({"kind": "phones"})
        self._board.save(message)
        self._apply_keyword(message)
        self._board.begin(self.bring(message))
        return message

    async def bring(self, message: Message) -> None:
        """Bring a text to the webhook of its number."""
        number = self._store.numbers.get(message.recipient)
        if number is None or not number.sms_url:
            self._passed(message.sid, "no webhook", time.time())
            return
        rule = self._board.strike("webhook", message.sender, message.sid)
        fault = rule.do if rule is not None else ""
        if fault == "never":
            self._passed(message.sid, "lost: never posted", time.time())
            return
        if rule is not None and fault == "delay":
            await asyncio.sleep(rule.seconds or 0)
        fields = self._fields(message)
        copies = 2 if fault == "concurrent" else 1
        sessions = [ReplySession(self._board, self._outbound, message, fields) for _ in range(copies)]
        outcome, *_ = await asyncio.gather(*(session.run(number) for session in sessions))
        if fault == "double":
            await ReplySession(self._board, self._outbound, message, fields).run(number)
        station = "acknowledged" if outcome.is_taken else f"lost: {outcome.failure}"
        self._passed(message.sid, station, outcome.at, error=outcome.error)

    def _passed(self, sid: str, station: str, when: float, *, error: int | None = None) -> None:
        """Note what became of a text, unless it was deleted meanwhile."""
        message = self._store.message(sid)
        if message is not None:
            self._board.save(replace(message.at(station, when), error_code=error))

    def _fields(self, message: Message) -> dict[str, str]:
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
            "AccountSid": self._board.account.sid,
            "From": message.sender,
            "ApiVersion": "2010-04-01",
        }
        if self._board.account.messaging_service_sid:
            fields["MessagingServiceSid"] = self._board.account.messaging_service_sid
        for place, sid in enumerate(message.media):
            picture = self._store.picture(sid)
            if picture is not None:
                fields[f"MediaUrl{place}"] = (
                    f"{self._board.base_url}{media_path(self._board.account.sid, message.sid, sid)}"
                )
                fields[f"MediaContentType{place}"] = picture.content_type
        return fields

    def _apply_keyword(self, message: Message) -> None:
        """Handle STOP, START and HELP as Twilio does, before the webhook and independently of it."""
        opted_out = self._store.opt_outs.has(message.sender, message.recipient)
        keyword = keywords.at_twilio(message.body, opted_out=opted_out)
        if keyword is Keyword.STOP:
            self._store.opt_outs.add(message.sender, message.recipient)
            self._notice(message, STOPPED)
        elif keyword is Keyword.START:
            self._store.opt_outs.remove(message.sender, message.recipient)
            self._notice(message, STARTED)
        elif keyword is Keyword.HELP:
            self._notice(message, HELPED)

    def _notice(self, message: Message, words: str) -> None:
        """Show a notice of the network itself on a telephone: no message of the account."""
        now = time.time()
        self._store.telephones.add_notice(message.sender, now, words)
        self._board.publish({"kind": "notice", "phone": message.sender, "at": now, "body": words})

    def upload(self, content_type: str, data: bytes) -> Picture:
        """Store a picture until it is sent."""
        picture = Picture(
            sid=f"ME{secrets.token_hex(16)}", parent="", content_type=content_type, created=time.time(), data=data
        )
        self._store.add_picture(picture)
        return picture


def media_path(account_sid: str, message_sid: str, sid: str) -> str:
    """Return the path of a picture below the API's address."""
    return f"/2010-04-01/Accounts/{account_sid}/Messages/{message_sid}/Media/{sid}"
