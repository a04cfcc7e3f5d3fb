"""Inject single faults into a process tree, and record each with the witness."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from typing import Any, Final

import redis

from chaos.marks import Marks
from chaos.outside import Outside
from chaos.proxy import Exchange, When
from chaos.steps import Step, attempt_of, step_of
from chaos.tree import Member, Tree
from chaos.witness import Witness
from inbox import keys

#: How long a worker is stopped: longer than its lease.
SLEEP_SECONDS: Final = 6.0
#: How long the store throttles or is away at a point.
STORE_TROUBLE_SECONDS: Final = 2.5
_THROTTLED: Final = json.dumps(
    {
        "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        "message": "throttled by chaos",
    }
).encode()
THROTTLED: Final = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: %d\r\n\r\n%s"
    % (len(_THROTTLED), _THROTTLED)
)


class Injector:
    """The faults that can be injected. Each is recorded only if it struck something."""

    def __init__(self, tree: Tree, outside: Outside, witness: Witness) -> None:
        self._tree = tree
        self._outside = outside
        self._witness = witness
        self._rules: list[dict[str, Any]] = []

    def note(self, label: str, **more: Any) -> bool:  # Any: the options of `Witness.struck`
        """Record a fault that another part injected; return True."""
        self._witness.struck(time.time(), label, **more)
        return True

    def kill(self, member: Member, label: str) -> bool:
        """SIGKILL a member; return whether it ran."""
        process = member.process
        if process is None or process.poll() is not None:
            return False
        marks, struck_at = Marks(process.pid), time.time()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        # only what had begun may stay in doubt; everything else in flight is proven unsent
        self._witness.killed(struck_at, label, marks.at_death())
        return True

    def empty_queue(self) -> bool:
        """Delete the queue of wake-up tasks."""
        self._outside.redis.delete(keys.QUEUE)
        return True

    def kill_redis(self, label: str) -> bool:
        """SIGKILL Redis; the launcher starts it again."""
        killed = self._tree.kill_launched("valkey-server", "redis-server")
        if killed:
            self._witness.struck(time.time(), label, kind="kill")
        return killed

    def throttle(self, member: Member, label: str) -> bool:
        """Let the store throttle a worker for a while."""
        member.throttled_until = time.monotonic() + STORE_TROUBLE_SECONDS
        self._witness.struck(time.time(), label, member.name, seconds=STORE_TROUBLE_SECONDS)
        return True

    def put_to_sleep(self, member: Member, label: str) -> bool:
        """SIGSTOP a member for longer than its lease; return whether it ran."""
        process = member.process
        if process is None or process.poll() is not None:
            return False
        process.send_signal(signal.SIGSTOP)
        self._witness.struck(time.time(), label, member.name, seconds=SLEEP_SECONDS)
        threading.Timer(SLEEP_SECONDS, lambda: member.signal(signal.SIGCONT)).start()
        return True

    def take_store_away(self, seconds: float, label: str) -> bool:
        """Let all workers lose the store for a while."""
        workers = self._tree.of_role("worker")
        self._witness.struck(time.time(), label, *(member.name for member in workers), seconds=seconds)
        for member in workers:
            member.proxies["dynamodb"].away(seconds)
        return True

    def flush(self, label: str) -> bool:
        """FLUSHALL on Redis; return whether Redis answered."""
        try:
            self._outside.redis.flushall()
        except redis.RedisError:
            return False  # Redis is being killed right now
        self._witness.struck(time.time(), label)
        return True

    def cut(self, member: Member, service: str, nth: int, when: When) -> None:
        """Close a member's connection at the `nth` request to a service from now."""

        def struck(exchange: Exchange) -> None:
            step = step_of(service, exchange.request)
            attempt = attempt_of(exchange.request) if step in (Step.CLAIM, Step.SEND, Step.BIND) else ""
            self._witness.struck(time.time(), f"cut {service} {when}", attempt=attempt, kind="cut")

        member.proxies[service].cut(nth, when, struck)

    def misbehave(self, *rules: dict[str, Any], seed: int | None = None) -> None:
        """Replace the fault rules of the simulated carrier; without rules, it behaves."""
        if not rules and not self._rules:
            return
        self._rules = list(rules)
        self._outside.misbehave(self._rules, seed)
