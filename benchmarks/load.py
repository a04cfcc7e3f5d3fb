"""Load generator: sends texts to a webhook in Twilio's form, faster than any webhook takes them.

    .venv/bin/python -m benchmarks.load PLAN        PLAN: `Plan` as JSON; prints `Result` as JSON

Every request is built and signed before the clock starts. After that a request costs two system calls and a search
for the answer's length.

Closed loop: each connection sends its next text when the last one was answered.
Open loop (`rate`): texts are due at random moments (exponential pauses, seeded), whether or not earlier texts were
answered. The latency counts from the moment a text was due, so it includes the time that a text queued behind a stall.
"""

from __future__ import annotations

import array
import itertools
import json
import random
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final
from urllib.parse import urlencode

from sms import signature

ACCOUNT_SID: Final = "AC" + "be" * 16
AUTH_TOKEN: Final = "be" * 16
NUMBER: Final = "+15005550006"
WORDS: Final = (
    "the umbrella has opinions", "who painted the moon?", "seven spoons and a tram", "good morning, cat",
    "my accordion is late again", "is tuesday a fish", "grandmother married the lighthouse today", "ok",
)  # fmt: skip

#: Path of delivery reports, with the attempt id that they belong to.
REPORTS: Final = "/sms/status?i=SM00000000000000000000000000000001-0-a"

#: Most cached answers, each with its status. The cache is small: the date in an answer changes each second.
MOST_KNOWN: Final = 64

#: A webhook that takes longer to answer is broken.
ANSWER_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send, to which webhook, and how fast."""

    host: str
    port: int
    connections: int
    seconds: float
    #: Most texts; 0 means as many as fit into `seconds`.
    texts: int = 0
    #: Texts a second in the open loop; 0 means the closed loop.
    rate: float = 0.0
    people: int = 5_000
    path: str = "/sms"
    #: Send plain GET requests for `path`, to measure the server alone.
    bare: bool = False
    #: Number of the first text: two runs with different numbers send different texts.
    first: int = 0
    #: Most requests built before the clock starts. Further ones are built while it runs: as slow as sending them.
    built: int = 60_000
    warm_up: int = 200
    public_url: str = ""


@dataclass(slots=True, kw_only=True)
class Result:
    """Latencies and statuses of one run."""

    texts: int
    seconds: float
    #: Milliseconds from the moment a text was due to the last byte of its answer.
    p50: float
    p99: float
    worst: float
    #: Number of answers by status, such as `{"200": 5000}`.
    statuses: dict[str, int] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """The answered texts a second."""
        return self.texts / self.seconds


def form(number: int, people: int) -> dict[str, str]:
    """Return the fields of one text, as Twilio sends them."""
    person = f"+1555{1_000_000 + number % people}"
    sid = f"SM{number:032x}"
    return {
        "ToCountry": "US", "ToState": "", "SmsMessageSid": sid, "NumMedia": "0", "ToCity": "", "FromZip": "10002",
        "SmsSid": sid, "FromState": "NY", "SmsStatus": "received", "FromCity": "NEW YORK",
        "Body": f"{WORDS[number % len(WORDS)]} {number}", "FromCountry": "US", "To": NUMBER, "ToZip": "",
        "NumSegments": "1", "MessageSid": sid, "AccountSid": ACCOUNT_SID, "From": person, "ApiVersion": "2010-04-01",
    }  # fmt: skip


def report(number: int, people: int) -> dict[str, str]:
    """Return the fields of one status callback, as Twilio sends them."""
    sid = f"SM{number:032x}"
    return {
        "SmsSid": sid, "SmsStatus": "delivered", "MessageStatus": "delivered",
        "To": f"+1555{1_000_000 + number % people}",
        "MessageSid": sid, "AccountSid": ACCOUNT_SID, "From": NUMBER, "ApiVersion": "2010-04-01",
    }  # fmt: skip


def request(plan: Plan, number: int) -> bytes:
    """Build one request, head and body."""
    host = f"{plan.host}:{plan.port}"
    if plan.bare:
        return (
            f"GET {plan.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: TwilioProxy/1.1\r\nAccept: */*\r\n\r\n".encode()
        )
    fields = report(number, plan.people) if plan.path == REPORTS else form(number, plan.people)
    body = urlencode(fields).encode()
    url = (plan.public_url or f"http://{host}") + plan.path
    signed = signature.sign(AUTH_TOKEN, url, fields)
    head = (
        f"POST {plan.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: TwilioProxy/1.1\r\nAccept: */*\r\n"
        f"X-Twilio-Signature: {signed}\r\nI-Twilio-Idempotency-Token: {number:032x}\r\n"
        f"Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Loader:
    """All connections of one run, served by one thread."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._begun: dict[int, float] = {}
        self._buffers: dict[int, bytes] = {}
        self._free: deque[int] = deque()
        self._took = array.array("d")
        self._statuses: dict[str, int] = {}
        self._known: dict[bytes, str] = {}
        for _ in range(plan.connections):
            one = socket.create_connection((plan.host, plan.port), timeout=ANSWER_SECONDS)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.setblocking(False)
            self._sockets[one.fileno()] = one
            self._poll.register(one.fileno(), select.EPOLLIN)
            self._free.append(one.fileno())

    def run(self) -> Result:
        """Send texts until the time is over or none is left."""
        plan = self._plan
        most = plan.texts or sys.maxsize
        needed = plan.warm_up + round(2 * plan.rate * plan.seconds) if plan.rate else most
        ahead = [request(plan, plan.first + number) for number in range(min(most, needed, plan.built))]
        numbers = itertools.chain(ahead, (request(plan, plan.first + number) for number in itertools.count(len(ahead))))
        self._closed(itertools.islice(numbers, plan.warm_up), ANSWER_SECONDS)
        self._took, self._statuses = array.array("d"), {}
        started_at = time.perf_counter()
        if plan.rate:
            self._open(numbers, started_at, most)
        else:
            self._closed(itertools.islice(numbers, most - plan.warm_up) if plan.texts else numbers, plan.seconds)
        seconds = time.perf_counter() - started_at
        self.close()
        latencies = sorted(self._took)
        return Result(
            texts=len(latencies),
            seconds=seconds,
            p50=1000 * latencies[len(latencies) // 2],
            p99=1000 * latencies[len(latencies) * 99 // 100],
            worst=1000 * latencies[-1],
            statuses=self._statuses,
        )

    def bring_one(self, whole: bytes) -> None:
        """Send one request and wait for its 200. Raises `RuntimeError` for another status."""
        self._statuses.clear()
        self._closed(iter([whole]), ANSWER_SECONDS)
        if set(self._statuses) != {"200"}:
            raise RuntimeError(f"not acknowledged: {self._statuses}")

    def close(self) -> None:
        """Close all connections."""
        for one in self._sockets.values():
            one.close()
        self._poll.close()

    def _send(self, handle: int, wanted: bytes, since: float) -> None:
        self._begun[handle] = since
        sent = self._sockets[handle].send(wanted)
        assert sent == len(wanted), "a request of two kilobytes fits into an empty socket"

    def _closed(self, wanted: Iterator[bytes], seconds: float) -> None:
        until = time.perf_counter() + seconds
        while self._free:
            one = next(wanted, None)
            if one is None:
                break
            self._send(self._free.popleft(), one, time.perf_counter())
        while self._begun:
            answered = self._answers(ANSWER_SECONDS)
            now = time.perf_counter()
            for handle in answered:
                following = next(wanted, None) if now < until else None
                if following is None:
                    self._free.append(handle)
                else:
                    self._send(handle, following, now)

    def _open(self, wanted: Iterator[bytes], started_at: float, most: int) -> None:
        pauses = random.Random(self._plan.first)  # noqa: S311 - the same moments each time
        until, due = started_at + self._plan.seconds, started_at
        queue: deque[float] = deque()
        left = most
        while due < until or self._begun or queue:
            now = time.perf_counter()
            while due <= now and due < until and left:
                queue.append(due)
                due += pauses.expovariate(self._plan.rate)
                left -= 1
            while queue and self._free:
                self._send(self._free.popleft(), next(wanted), queue.popleft())
            if not left and not self._begun and not queue:
                return
            wait = max(0.0, min(due, until) - time.perf_counter()) if due < until else ANSWER_SECONDS
            self._free.extend(self._answers(wait if not queue else ANSWER_SECONDS, patient=due >= until))

    def _answers(self, seconds: float, *, patient: bool = True) -> Sequence[int]:
        """Return the connections whose answers are complete."""
        events = self._poll.poll(seconds)
        if not events and self._begun and patient and seconds >= ANSWER_SECONDS:
            raise TimeoutError(f"no answer within {seconds} s")
        now, whole = time.perf_counter(), []
        sockets, known = self._sockets, self._known
        for handle, _ in events:
            data = sockets[handle].recv(65_536)
            if not data:
                raise ConnectionError("the server closed a connection")
            if self._buffers:
                data = self._buffers.pop(handle, b"") + data
            status = known.get(data) or self._status(data)
            if not status:
                self._buffers[handle] = data
                continue
            self._took.append(now - self._begun.pop(handle))
            self._statuses[status] = self._statuses.get(status, 0) + 1
            whole.append(handle)
        return whole

    def _status(self, data: bytes) -> str:
        """Return the status of an answer, or an empty string if the answer is incomplete."""
        head = data.find(b"\r\n\r\n")
        if head < 0 or len(data) < head + 4 + _length(data[:head]):
            return ""
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[data] = data[9:12].decode()
        return self._known[data]


def _length(head: bytes) -> int:
    at = head.find(b"ontent-")
    while at >= 0:
        if head[at + 7 : at + 14].lower() == b"length:":
            end = head.find(b"\r\n", at)
            return int(head[at + 14 : end if end >= 0 else None])
        at = head.find(b"ontent-", at + 7)
    return 0


def main() -> None:
    """Run one plan and print its result."""
    print(json.dumps(asdict(Loader(Plan(**json.loads(sys.argv[1]))).run())))


if __name__ == "__main__":
    main()
