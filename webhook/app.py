"""The webhook's ASGI application: verify a request, hand it over, answer.

Each POST is verified before anything else in it is used. 403: Twilio did not sign it. 400: signed, but unusable.
413: too large for a text. 408: the body did not arrive in time. 503: Redis did not confirm. 200 and 204: stored.
Nothing here uses the tables, a model or Twilio. Numbers and texts are never logged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qs

from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest

from inbox.state import note, readiness
from runtime import logs, metrics
from sms.messages import DeliveryReport, InboundSms, UnusableText
from sms.recipient import Recipient
from sms.signature import Validator
from webhook.ingest import Ingest, NotStored

Scope = MutableMapping[str, Any]  # Any: ASGI's own
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

POSTS: Final = frozenset({"/sms", "/sms/fallback", "/sms/status"})
GETS: Final = frozenset({"/livez", "/readyz", "/metrics"})
PATHS: Final = POSTS | GETS
#: 1,600 characters of nine bytes each as percent-encoded UTF-8, ten media with long addresses, and the other fields.
MAX_BODY_BYTES: Final = 65_536
#: So much of a larger body is read and dropped: a client that is still sending would miss the answer.
MAX_DROPPED_BYTES: Final = 2_000_000
#: Twilio sends a body at once.
BODY_SECONDS: Final = 15.0

log = logs.get("webhook")


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    body: bytes = b""
    content_type: bytes = b"text/plain; charset=utf-8"
    headers: tuple[tuple[bytes, bytes], ...] = ()


STORED_TEXT: Final = Answer(200, b'<?xml version="1.0" encoding="UTF-8"?><Response/>', b"text/xml; charset=utf-8")
STORED_REPORT: Final = Answer(204)
INCOMPLETE: Final = Answer(400, b"the body is incomplete\n")
FORBIDDEN: Final = Answer(403, b"the signature is not Twilio's\n")
NOT_FOUND: Final = Answer(404, b"no such path\n")
POST_ONLY: Final = Answer(405, b"POST only\n", headers=((b"allow", b"POST"),))
GET_ONLY: Final = Answer(405, b"GET only\n", headers=((b"allow", b"GET"),))
TOO_SLOW: Final = Answer(408, b"the body did not arrive in time\n", headers=((b"connection", b"close"),))
TOO_LARGE: Final = Answer(413, b"too large for a text\n", headers=((b"connection", b"close"),))
NOT_STORED: Final = Answer(503, b"not stored: send it again\n", headers=((b"retry-after", b"1"),))


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookApp:
    """The ASGI application."""

    validator: Validator
    recipient: Recipient
    ingest: Ingest
    #: If a text is unanswered for longer, `/readyz` says `stuck`.
    stuck_after_seconds: float
    #: A body that takes longer to arrive is refused.
    body_seconds: float = BODY_SECONDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or one lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        if scope["type"] != "http":
            return
        path = scope["path"] if scope["path"] in PATHS else "other"
        started_at = time.perf_counter()
        try:
            headers = dict(scope["headers"])
            async with asyncio.timeout(self.body_seconds):
                body = await _body(headers, receive)
            started_at = time.perf_counter()
            answer = body if isinstance(body, Answer) else await self._answer(scope, headers, body)
        except TimeoutError:
            answer = TOO_SLOW
        except NotStored as exc:
            log.error("not stored", path=path, reason=str(exc))  # noqa: TRY400 - the reason says it all
            answer = NOT_STORED
        except Exception:
            # the HTTP boundary: whatever is wrong with the webhook, Twilio must send the text again
            log.exception("request failed", path=path)
            answer = NOT_STORED
        _counter(path, answer.status).inc()
        metrics.ACKNOWLEDGE_SECONDS.observe(time.perf_counter() - started_at)
        head = [(b"content-type", answer.content_type), (b"content-length", b"%d" % len(answer.body)), *answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": head})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope, headers: Mapping[bytes, bytes], body: bytes) -> Answer:
        path, method = scope["path"], scope["method"]
        signature = headers.get(b"x-twilio-signature", b"").decode("latin-1")
        if path in GETS:
            if method not in ("GET", "HEAD"):
                return GET_ONLY
            # `dadacat doctor` asks whether this webhook accepts what it signs
            if signature and self.validator.fields(path, b"", signature) is None:
                return FORBIDDEN
            return await self._get(path)
        if path not in POSTS:
            return NOT_FOUND
        if method != "POST":
            return POST_ONLY
        query = scope["query_string"].decode("latin-1")
        form = self.validator.fields(f"{path}?{query}" if query else path, body, signature)
        if form is None:
            return FORBIDDEN
        try:
            self.recipient.check_account(form)
            if path == "/sms/status":
                ours = parse_qs(query)
                report = DeliveryReport.parse(form, *(ours.get(name, [""])[0] for name in ("i", "w", "t")))
                await self.ingest.receive(report)
                log.debug("report stored", sid=report.sid, status=report.status)
                return STORED_REPORT
            text = InboundSms.parse(form, scope.get("trace", ""))
            self.recipient.check(text)
            await self.ingest.accept(text)
            log.debug("text stored", sid=text.sid)
        except UnusableText as exc:
            log.warning("request unusable", path=path, reason=str(exc))
            return Answer(400, f"{exc}\n".encode())
        return STORED_TEXT

    async def _get(self, path: str) -> Answer:
        if path == "/livez":
            return Answer(200, b"alive\n")
        metrics.READY.labels(process="webhook").set(1)
        try:
            state = await self.ingest.state()
        except NotStored as exc:
            # without Redis there are metrics all the same; the age of the oldest text keeps its last value
            metrics.REDIS_UP.set(0)
            return Answer(503, f"redis does not answer: {exc}\n".encode()) if path == "/readyz" else _metrics()
        note(state)
        if path == "/metrics":
            return _metrics()
        return Answer(200, readiness(state, stuck_after_seconds=self.stuck_after_seconds).encode())

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "lifespan.shutdown":
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
        await self.ingest.close()
        await send({"type": "lifespan.shutdown.complete"})


async def _body(headers: Mapping[bytes, bytes], receive: Receive) -> bytes | Answer:
    # float: an integer of more than 4,300 digits is an error in Python, leading zeros counted
    if float(headers.get(b"content-length", 0)) > MAX_DROPPED_BYTES:
        return TOO_LARGE
    chunks: list[bytes] = []
    size, more = 0, True
    while more and size <= MAX_DROPPED_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            return INCOMPLETE
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks) if size <= MAX_BODY_BYTES else TOO_LARGE


def _metrics() -> Answer:
    return Answer(200, generate_latest(metrics.registry()), CONTENT_TYPE_LATEST.encode())


@cache
def _counter(path: str, status: int) -> Counter:
    """Return the counter of one kind of answer: the look-up by labels costs more than the count."""
    return metrics.REQUESTS.labels(path=path, status=status)
