"""A sender whose requests, and the reports about them, belong to the trace of a text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from runtime import tracing
from sms.ports import NotCreated, OutboundSms, Outcome, Sender, Sent


class TracedSender:
    """`sms.ports.Sender` on another one. Neither the person nor the words are in a span."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def warm(self) -> None:
        """Open a connection, as the sender does."""
        self._sender.warm()

    def send(self, message: OutboundSms, *, may_begin: Callable[[], bool]) -> Outcome:
        """Send a message, with `&t=00-<trace>-<span>-01` in the URL to which Twilio reports."""
        with tracing.span("send", kind="client") as span:
            reported_to = f"{message.status_callback}&t={tracing.current()}"
            outcome = self._sender.send(replace(message, status_callback=reported_to), may_begin=may_begin)
            span.note(outcome=type(outcome).__name__)
            if isinstance(outcome, Sent):
                span.note(sid=outcome.sid, segments=outcome.segments)
            elif isinstance(outcome, NotCreated) and outcome.verdict.code is not None:
                span.note(code=outcome.verdict.code)
            return outcome
