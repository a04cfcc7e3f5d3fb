"""POST /sms, /sms/fallback, /sms/status; GET /livez, /readyz, /metrics. A bare ASGI application.

A request is verified before anything else is believed of it: 403 for what Twilio did not sign, 400 for what it signed and we cannot use, 413
for what is too large to be a text, 503 where Redis did not confirm. 200 and 204 mean: durable. Nothing here touches the tables, a
model or Twilio. Numbers and texts are never logged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest

from runtime import logs, metrics
from sms.errors import UnusableText
from sms.messages import DeliveryReport, InboundSms, bare
from sms.signature import Validator
from webhook.door import Door, Road
from webhook.errors import DoorClosed

Scope = MutableMapping[str, Any]  # Any: ASGI's own
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: 1600 characters at nine bytes each as percent-encoded UTF-8, ten media with long addresses, and the rest of Twilio's fields.
MAX_BODY_BYTES: Final = 65_536
#: Where something is brought, where something is asked, and which headers are looked at.
POSTED: Final = frozenset({"/sms", "/sms/fallback", "/sms/status"})
ASKED: Final = frozenset({"/livez", "/readyz", "/metrics"})
HEADERS: Final = frozenset({b"x-twilio-signature", b"content-type", b"content-length"})
EMPTY_TWIML: Final = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'

log = logs.get("webhook")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, whole."""

    status: int
    body: bytes = b""
    content_type: bytes = b"text/plain; charset=utf-8"
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def all_headers(self) -> list[tuple[bytes, bytes]]:
        """Those that say what the body is, and its own."""
        length = str(len(self.body)).encode()
        return [(b"content-type", self.content_type), (b"content-length", length), *self.headers]


ACCEPTED: Final = Answer(200, EMPTY_TWIML, b"text/xml; charset=utf-8")
RECEIVED: Final = Answer(204)
FORBIDDEN: Final = Answer(403, b"the signature is not Twilio's\n")
TOO_LARGE: Final = Answer(413, b"too large for a text\n")
NOT_FOUND: Final = Answer(404, b"nothing is here\n")
NOT_KEPT: Final = Answer(503, b"not kept: bring it again\n", headers=((b"retry-after", b"1"),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """Which texts are for us."""

    account_sid: str
    #: Empty: every number of the account.
    numbers: frozenset[str] = field(default_factory=frozenset)
    messaging_service_sid: str = ""

    def check_account(self, form: Mapping[str, str]) -> None:
        """Raise `UnusableText` for a request about another account."""
        if form.get("AccountSid") != self.account_sid:
            raise UnusableText("AccountSid is not ours")

    def check(self, text: InboundSms) -> None:
        """Raise `UnusableText` for a text to somebody else."""
        if not self.numbers or bare(text.to) in self.numbers:
            return
        if not self.messaging_service_sid or text.messaging_service_sid != self.messaging_service_sid:
            raise UnusableText("To is not one of our numbers")


class Request(NamedTuple):
    """An HTTP request, whole."""

    method: str
    path: str
    query: bytes
    #: Those of `HEADERS` that it has, by their names in small letters.
    headers: Mapping[bytes, bytes]
    body: bytes


class Keeping(NamedTuple):
    """A text or report that is being made durable, and what is answered when it is."""

    kept: asyncio.Future[None]
    path: str
    begun: float
    answer: Answer


class _TooLargeError(Exception):
    """The body is longer than `MAX_BODY_BYTES`."""


class _GoneError(Exception):
    """The client left before its request was whole."""


def create_app(*, validator: Validator, ours: Ours, door: Door, stuck_after_seconds: float) -> WebhookApp:
    """The webhook.

    `stuck_after_seconds`: with a text unanswered for longer, `/readyz` says that the road is stuck.
    """
    return WebhookApp(validator, ours, door, stuck_after_seconds)


class WebhookApp:
    """The ASGI application."""

    def __init__(self, validator: Validator, ours: Ours, door: Door, stuck_after_seconds: float) -> None:
        self._validator = validator
        self._ours = ours
        self._door = door
        self._stuck_after_seconds = stuck_after_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or one lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        wanted = {name: value for name, value in scope["headers"] if name in HEADERS}
        try:
            body = await _body(wanted.get(b"content-length"), receive)
        except _TooLargeError:
            answer = self.too_large(scope["path"])
        except _GoneError:
            return
        else:
            request = Request(scope["method"], scope["path"], scope["query_string"], wanted, body)
            begun = self.begin(request)
            if isinstance(begun, Keeping):
                await asyncio.wait([begun.kept])
                answer = self.end(begun)
            else:
                answer = begun if isinstance(begun, Answer) else await begun
        await _send(send, answer)

    def begin(self, request: Request) -> Answer | Keeping | Coroutine[Any, Any, Answer]:
        """Judge a request: answered at once; or when what it brings is kept, by `end`; or by looking first. Raises nothing."""
        begun = time.perf_counter()
        path, method = request.path, request.method
        try:
            if path in POSTED:
                if method == "POST":
                    found = self._posted(request, begun)
                    return found if isinstance(found, Keeping) else _counted(path, begun, found)
                return _counted(path, begun, Answer(405, b"POST only\n", headers=((b"allow", b"POST"),)))
            if path in ASKED:
                if method in ("GET", "HEAD"):
                    return self._asked(path, begun)
                return _counted(path, begun, Answer(405, b"GET only\n", headers=((b"allow", b"GET"),)))
        except Exception:
            # the HTTP boundary: whatever is wrong with us, Twilio must bring the text again
            log.exception("request failed", path=path)
            return _counted(path, begun, NOT_KEPT)
        return _counted("other", begun, NOT_FOUND)

    def end(self, keeping: Keeping) -> Answer:
        """The answer to a request whose text or report is kept by now, or is not."""
        failed = keeping.kept.exception() if not keeping.kept.cancelled() else DoorClosed("cancelled")
        if failed is not None:
            log.error("not kept", path=keeping.path, reason=str(failed))
        return _counted(keeping.path, keeping.begun, keeping.answer if failed is None else NOT_KEPT)

    def too_large(self, path: str) -> Answer:
        """The answer to a request of more than `MAX_BODY_BYTES`."""
        return _counted(path if path in POSTED | ASKED else "other", time.perf_counter(), TOO_LARGE)

    def _posted(self, request: Request, begun: float) -> Answer | Keeping:
        path = request.path
        form = self._verified(path, request.query, request.headers, request.body)
        if form is None:
            return FORBIDDEN
        try:
            self._ours.check_account(form)
            if path == "/sms/status":
                attempt = parse_qs(request.query.decode("ascii")).get("i", [""])[0]
                return Keeping(self._door.receive(DeliveryReport.parse(form, attempt)), path, begun, RECEIVED)
            text = InboundSms.parse(form)
            self._ours.check(text)
            return Keeping(self._door.accept(text), path, begun, ACCEPTED)
        except UnusableText as exc:
            log.warning("request unusable", path=path, reason=str(exc))
            return Answer(400, f"{exc}\n".encode())

    def _verified(self, path: str, query: bytes, headers: Mapping[bytes, bytes], body: bytes) -> dict[str, str] | None:
        """The form fields of a request that Twilio signed; None for any doubt."""
        given = headers.get(b"x-twilio-signature")
        if given is None:
            return None
        try:
            target = path if not query else f"{path}?{query.decode('ascii')}"
            if not headers.get(b"content-type", b"").startswith(b"application/json"):
                return self._validator.fields(target, body, given.decode("ascii"))
            # JSON is signed by its digest in the query; signed or not, there is no text in it
            digest = parse_qs(query.decode("ascii")).get("bodySHA256", [""])[0]
            signed = compare_digest(digest, sha256(body).hexdigest())
            return {} if signed and self._validator.accepts(target, [], given.decode("ascii")) else None
        except ValueError:
            return None

    async def _asked(self, path: str, begun: float) -> Answer:
        try:
            answer = await self._seen(path)
        except Exception:
            log.exception("request failed", path=path)
            answer = NOT_KEPT
        return _counted(path, begun, answer)

    async def _seen(self, path: str) -> Answer:
        if path == "/livez":
            return Answer(200, b"alive\n")
        if path == "/metrics":
            # a webhook without Redis has figures all the same; the age of the oldest text stays what it last was
            with suppress(DoorClosed):
                await self._look()
            return Answer(200, generate_latest(metrics.registry()), CONTENT_TYPE_LATEST.encode())
        try:
            road = await self._look()
        except DoorClosed as exc:
            return Answer(503, f"redis does not answer: {exc}\n".encode())
        oldest = road.oldest_waiting_seconds
        # a stuck road is said, but texts are still kept: the webhook stays in service
        state = "stuck" if oldest > self._stuck_after_seconds else "ready"
        state = "stopped" if road.stopped else state
        said = f"{state}\noldest unanswered text: {oldest:.1f} s\n"
        return Answer(200, (said + (f"nothing is sent: {road.stopped}\n" if road.stopped else "")).encode())

    async def _look(self) -> Road:
        """How the road behind the door is; the metrics say it too."""
        road = await self._door.look()
        metrics.OLDEST_WAITING_SECONDS.set(road.oldest_waiting_seconds)
        metrics.SENDING_STOPPED.set(bool(road.stopped))
        return road

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._door.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _counted(path: str, begun: float, answer: Answer) -> Answer:
    _counter(path, answer.status).inc()
    metrics.ACKNOWLEDGE_SECONDS.observe(time.perf_counter() - begun)
    return answer


@cache
def _counter(path: str, status: int) -> Counter:
    """The counter of one kind of answer; finding it among its labels costs more than counting."""
    return metrics.REQUESTS.labels(path=path, status=status)


async def _body(length: bytes | None, receive: Receive) -> bytes:
    """The request's body. Raises `_TooLargeError` as soon as that is known."""
    if length is not None and length.isdigit() and int(length) > MAX_BODY_BYTES:
        raise _TooLargeError
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _GoneError
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise _TooLargeError
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _send(send: Send, answer: Answer) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.all_headers})
    await send({"type": "http.response.body", "body": answer.body})
