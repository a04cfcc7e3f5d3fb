"""The webhook's ASGI application: POST /sms, /sms/fallback, /sms/status; GET /livez, /readyz, /metrics.

Each POST is verified before anything else in it is used. 403: Twilio did not sign it. 400: signed, but unusable.
413: too large for a text. 408: the body did not arrive in time. 503: Redis did not confirm. 200 and 204: stored.
Nothing here uses the tables, a model or Twilio. Numbers and texts are never logged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final
from urllib.parse import parse_qs

from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest

from inbox.state import InboxState
from runtime import logs, metrics
from sms.errors import UnusableText
from sms.messages import DeliveryReport, InboundSms
from sms.recipient import Recipient
from sms.signature import Validator
from webhook.ingest import Ingest, NotStored

Scope = MutableMapping[str, Any]  # Any: ASGI's own
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

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
NOT_KEPT: Final = Answer(503, b"not stored: send it again\n", headers=((b"retry-after", b"1"),))


class WebhookApp:
    """The ASGI application.

    `stuck_after_seconds`: if a text is unanswered for longer, `/readyz` says `stuck`.
    `body_seconds`: a body that takes longer to arrive is refused.
    """

    def __init__(
        self,
        *,
        validator: Validator,
        recipient: Recipient,
        ingest: Ingest,
        stuck_after_seconds: float,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._validator = validator
        self._recipient = recipient
        self._ingest = ingest
        self._stuck_after_seconds = stuck_after_seconds
        self._body_seconds = body_seconds
        self._posts = {"/sms": self._text, "/sms/fallback": self._text, "/sms/status": self._report}
        self._gets = {"/livez": self._livez, "/readyz": self._readyz, "/metrics": self._metrics}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or one lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        if scope["type"] != "http":
            return
        path = scope["path"] if scope["path"] in self._posts or scope["path"] in self._gets else "other"
        started_at = time.perf_counter()
        try:
            headers = dict(scope["headers"])
            async with asyncio.timeout(self._body_seconds):
                body = await _body(headers, receive)
            started_at = time.perf_counter()
            answer = await self._answer(scope, headers, body)
        except TimeoutError:
            answer = TOO_SLOW
        except _TooLargeError:
            answer = TOO_LARGE
        except _IncompleteError:
            answer = INCOMPLETE
        except NotStored as exc:
            log.error("not stored", path=path, reason=str(exc))
            answer = NOT_KEPT
        except Exception:
            # the HTTP boundary: whatever is wrong with the webhook, Twilio must send the text again
            log.exception("request failed", path=path)
            answer = NOT_KEPT
        _counter(path, answer.status).inc()
        metrics.ACKNOWLEDGE_SECONDS.observe(time.perf_counter() - started_at)
        length = (b"content-length", str(len(answer.body)).encode())
        headers_out = [(b"content-type", answer.content_type), length, *answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers_out})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope, headers: Mapping[bytes, bytes], body: bytes) -> Answer:
        path, method = scope["path"], scope["method"]
        if path in self._gets:
            return await self._gets[path]() if method in ("GET", "HEAD") else GET_ONLY
        if path not in self._posts:
            return NOT_FOUND
        if method != "POST":
            return POST_ONLY
        form = self._verified(path, scope["query_string"], headers, body)
        if form is None:
            return FORBIDDEN
        try:
            self._recipient.check_account(form)
            return await self._posts[path](form, scope["query_string"])
        except UnusableText as exc:
            log.warning("request unusable", path=path, reason=str(exc))
            return Answer(400, f"{exc}\n".encode())

    def _verified(
        self, path: str, query: bytes, headers: Mapping[bytes, bytes], body: bytes
    ) -> Mapping[str, str] | None:
        """Return the form fields of a request that Twilio signed; None for any doubt."""
        try:
            signature = headers[b"x-twilio-signature"].decode("ascii")
            target = path + ("?" + query.decode("ascii") if query else "")
            if not headers.get(b"content-type", b"").startswith(b"application/json"):
                return self._validator.fields(target, body, signature)
            # Twilio signs JSON by its digest in the query; no text comes as JSON
            [digest] = parse_qs(query)[b"bodySHA256"]
        except (KeyError, ValueError):
            return None
        signed = compare_digest(digest, sha256(body).hexdigest().encode())
        return {} if signed and self._validator.accepts(target, (), signature) else None

    async def _text(self, form: Mapping[str, str], _query: bytes) -> Answer:
        text = InboundSms.parse(form)
        self._recipient.check(text)
        await self._ingest.accept(text)
        return STORED_TEXT

    async def _report(self, form: Mapping[str, str], query: bytes) -> Answer:
        attempt = parse_qs(query.decode("ascii")).get("i", [""])[0]
        await self._ingest.receive(DeliveryReport.parse(form, attempt))
        return STORED_REPORT

    async def _livez(self) -> Answer:
        return Answer(200, b"alive\n")

    async def _readyz(self) -> Answer:
        try:
            state = await self._state()
        except NotStored as exc:
            return Answer(503, f"redis does not answer: {exc}\n".encode())
        oldest = state.oldest_waiting_seconds
        # texts are stored in every state, so the webhook stays in service
        word = "stopped" if state.stopped else "stuck" if oldest > self._stuck_after_seconds else "ready"
        reason = f"nothing is sent: {state.stopped}\n" if state.stopped else ""
        return Answer(200, f"{word}\noldest unanswered text: {oldest:.1f} s\n{reason}".encode())

    async def _metrics(self) -> Answer:
        # without Redis there are metrics all the same; the age of the oldest text keeps its last value
        with suppress(NotStored):
            await self._state()
        return Answer(200, generate_latest(metrics.registry()), CONTENT_TYPE_LATEST.encode())

    async def _state(self) -> InboxState:
        state = await self._ingest.state()
        metrics.OLDEST_WAITING_SECONDS.set(state.oldest_waiting_seconds)
        metrics.SENDING_STOPPED.set(bool(state.stopped))
        return state

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "lifespan.shutdown":
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
        await self._ingest.close()
        await send({"type": "lifespan.shutdown.complete"})


class _TooLargeError(Exception):
    """The body is longer than `MAX_BODY_BYTES`."""


class _IncompleteError(Exception):
    """The client left, or its body was not HTTP, before the request was complete."""


async def _body(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    # float: an integer of more than 4,300 digits is an error in Python, leading zeros counted
    if float(headers.get(b"content-length", 0)) > MAX_DROPPED_BYTES:
        raise _TooLargeError
    chunks: list[bytes] = []
    size, more = 0, True
    while more and size <= MAX_DROPPED_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _IncompleteError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            chunks.append(chunk)
        more = message.get("more_body", False)
    if size > MAX_BODY_BYTES:
        raise _TooLargeError
    return b"".join(chunks)


@cache
def _counter(path: str, status: int) -> Counter:
    """Return the counter of one kind of answer: the look-up by labels costs more than the count."""
    return metrics.REQUESTS.labels(path=path, status=status)
