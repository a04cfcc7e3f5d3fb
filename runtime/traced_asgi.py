"""Write a span for each request to the webhook, around its application.

OpenTelemetry's own instrumentation follows the trace that a request names in its headers. Any stranger can write
those, so here a request begins a trace of its own. Only the query of a URL that was verified is believed: the answer
to the request says that it was.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final
from urllib.parse import parse_qs

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime import otel

#: The paths that begin a trace, and the one whose URL, which we wrote, names the trace that it belongs to.
TEXTS: Final = frozenset({"/sms", "/sms/fallback"})
REPORTS: Final = "/sms/status"
#: The answer to a report whose signature was verified.
_VERIFIED: Final = 204


class Traced:
    """The application, with a span for each POST of a text or a report.

    The application finds the trace context of a text's request in `scope["trace"]`. A report belongs to the trace in
    the `t` of its query, once it is answered with 204.
    """

    def __init__(self, application: ASGIApp) -> None:
        self._application = application
        self._tracer = trace.get_tracer("dadacat")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or a lifespan, at whose end the buffered spans are sent."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            await asyncio.to_thread(otel.flush)
        elif scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in TEXTS:
            await self._text(scope, receive, send)
        elif scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == REPORTS:
            await self._report(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    async def _text(self, scope: Scope, receive: Receive, send: Send) -> None:
        span, answer = self._begin(scope, time.time_ns(), Context()), _Answer(send)
        scope["trace"] = otel.carried(span)
        try:
            with trace.use_span(span, record_exception=False):
                await self._application(scope, receive, answer.send)
        finally:
            _end(span, answer)

    async def _report(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_at, answer = time.time_ns(), _Answer(send)
        try:
            await self._application(scope, receive, answer.send)
        finally:
            named = parse_qs(scope["query_string"].decode("latin-1")).get("t", [""])[0]
            parent = otel.followed(named if answer.status == _VERIFIED else "")
            within = trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())
            _end(self._begin(scope, started_at, within), answer)

    def _begin(self, scope: Scope, started_at: int, within: Context) -> trace.Span:
        path = scope["path"]
        return self._tracer.start_span(
            f"POST {path}",
            within,
            kind=SpanKind.SERVER,
            attributes={"http.request.method": "POST", "http.route": path},
            start_time=started_at,
        )


class _Answer:
    """Sends an answer, and keeps its status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def send(self, message: Message) -> None:
        self.status = message.get("status", self.status)
        await self._send(message)


def _end(span: trace.Span, answer: _Answer) -> None:
    span.set_attribute("http.response.status_code", answer.status)
    span.end()
