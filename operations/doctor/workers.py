"""Check the workers, and what Twilio refuses to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, Final

from inbox import keys
from inbox.state import STUCK_AFTER_SECONDS
from inbox.stopped import Stopped, described
from operations.doctor import redis
from operations.doctor.findings import Result, ok, warning, wrong
from runtime.settings import Settings
from worker.build.inbox import circuit

#: A worker that does not answer in this time is fully busy, or absent.
PING_SECONDS: Final = 1.5


def check(chosen: Settings) -> Iterator[Result]:
    """Check that workers answer, that no text waits for too long, and that replies are sent."""
    from celery import Celery  # noqa: PLC0415 - slow to import; the other checks need not wait

    try:
        with closing(redis.client_of(chosen)) as client:
            waiting: Any = client.zrange(keys.WAITING, 0, 0, withscores=True)
            seconds, _ = client.time()
            stopped = circuit(chosen, client).stopped()
        with Celery(broker=chosen.redis.url, set_as_current=False) as app:
            workers = app.control.ping(timeout=PING_SECONDS)
    except Exception as exc:  # noqa: BLE001 - any error of kombu's transport; the redis check reports it
        yield warning(f"cannot be asked without Redis ({type(exc).__name__})", "see the finding on redis")
        return
    age = max(0.0, int(seconds) - waiting[0][1] / 1000) if waiting else 0.0
    yield from _stopped(stopped, probe_seconds=chosen.delivery.probe_seconds)
    if not workers:
        waits = f", and a text has waited for {age:.0f} s" if age else ""
        yield wrong(f"no worker answers{waits}", "start dadacat worker")
    elif age > STUCK_AFTER_SECONDS:
        what = f"{len(workers)} answer, and a text has waited for {age:.0f} s"
        yield wrong(what, "see dadacat dead-letters list, and the workers' logs")
    else:
        yield ok(f"{len(workers)} answer; the oldest text has waited for {age:.0f} s")


def _stopped(stopped: Sequence[Stopped], *, probe_seconds: float) -> Iterator[Result]:
    """Report what Twilio refuses: for all, for a sender, for a channel, or for single people."""
    wide = [stop for stop in stopped if stop.scope != "destination"]
    alone = [stop for stop in stopped if stop.scope == "destination"]
    for sentence in described(wide):
        remedy = f"repair it at Twilio: one reply tries it every {probe_seconds:.0f} s, or later if only time mends it"
        yield wrong(sentence, remedy)
    for sentence in described(alone):
        yield warning(sentence, "no other person waits for it; dadacat explain shows the story of a reply")
