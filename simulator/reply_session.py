"""Hand one text to the application, and carry out the TwiML with which it answers.

A webhook that fails, or whose TwiML cannot be read, is followed by the fallback URL, with `ErrorCode` and `ErrorUrl`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from runtime import logs
from simulator import addresses, twiml
from simulator.outbound import Outbound
from simulator.store import Message, Number
from simulator.switchboard import Switchboard
from simulator.twiml import Redirect, Send, UnusableTwiml, Warned
from simulator.webhooks import Answer, Call

log = logs.get("simulator")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a text at the application. `failure` is empty if the application took it."""

    failure: str
    #: Twilio's code for the first thing that went wrong.
    error: int | None
    #: When the last answer came, in seconds since 1970.
    at: float

    @property
    def is_taken(self) -> bool:
        """Whether the application answered with success."""
        return not self.failure


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a document could not be had or read, with Twilio's code, and where it is."""

    why: str
    code: int
    url: str


class ReplySession:
    """One handing over of one text."""

    def __init__(self, switchboard: Switchboard, outbound: Outbound, text: Message, fields: Mapping[str, str]) -> None:
        self._board = switchboard
        self._outbound = outbound
        self._text = text
        self._fields = fields
        self._documents = 0
        self._replies = 0
        self._error: int | None = None
        self._answered_at = text.created

    async def run(self, number: Number) -> Outcome:
        """Post the text to its number's webhook and, if that fails, to its fallback."""
        failure = await self._follow(Redirect(url=number.sms_url, method="POST"), "text", self._fields)
        if failure is not None and number.sms_fallback_url:
            fallen = {"ErrorCode": str(failure.code), "ErrorUrl": failure.url}
            failure = await self._follow(
                Redirect(url=number.sms_fallback_url, method="POST"), "fallback", {**self._fields, **fallen}
            )
        return Outcome(failure.why if failure is not None else "", self._error, self._answered_at)

    async def _follow(self, place: Redirect | None, purpose: str, fields: Mapping[str, str]) -> _Failure | None:
        """Ask for a document and for those to which it redirects; return why one failed, or None."""
        while place is not None:
            call = Call(url=place.url, method=place.method, fields=fields, purpose=purpose, message=self._text.sid)
            answer = await self._board.ask(call)
            self._answered_at = time.time()
            self._documents += 1
            if not answer.is_taken:
                self._blame(answer, answer.error)
                return _Failure(answer.failure, answer.error, addresses.without_fragment(place.url))
            try:
                verbs = twiml.read(answer.body, answer.content_type, url=call.target)
            except UnusableTwiml as exc:
                self._blame(answer, exc.code)
                return _Failure("unusable TwiML", exc.code, addresses.without_fragment(place.url))
            place, purpose = self._carry_out(verbs, answer), "redirect"
        return None

    def _carry_out(self, verbs: list[Send | Redirect | Warned], answer: Answer) -> Redirect | None:
        """Send the messages of a document; return where the next one is."""
        for verb in verbs:
            match verb:
                case Warned(code):
                    self._blame(answer, code)
                case Redirect() if self._documents >= twiml.MOST_DOCUMENTS:
                    self._blame(answer, 14106)
                case Redirect():
                    return verb
                case Send() if self._replies >= twiml.MOST_REPLIES:
                    self._blame(answer, 14109)
                case Send():
                    self._replies += 1
                    self._send(verb, answer)
        return None

    def _send(self, send: Send, answer: Answer) -> None:
        """Send one message, if its sender is ours and may send to its recipient."""
        sender, recipient = send.sender or self._text.recipient, send.to or self._text.sender
        is_ours = self._board.store.numbers.get(sender) is not None
        refused = self._outbound.refusal(sender=sender, recipient=recipient) if is_ours else 21606
        if refused is not None:
            self._blame(answer, refused)
            return
        self._outbound.send(
            sender=sender,
            recipient=recipient,
            body=send.body,
            media_urls=send.media_urls,
            status_callback=send.status_callback,
            reply_to=self._text.sid,
        )

    def _blame(self, answer: Answer, code: int) -> None:
        """Note Twilio's code of a fault, on its request and on the text."""
        self._board.inspector.blame(answer.exchange, code)
        log.warning("text not answered in full", text=self._text.sid, error=code, title=twiml.TITLES[code])
        self._error = self._error or code
