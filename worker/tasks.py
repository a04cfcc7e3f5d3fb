"""Define the Celery tasks and the signals of a worker's life.

A task that fails loses nothing: the work it was enqueued for is still in the inbox.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from celery import shared_task
from celery.signals import (
    beat_init,
    before_task_publish,
    heartbeat_sent,
    setup_logging,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)

from inbox import payloads
from inbox.payloads import Who
from runtime import exposition, logs
from runtime.errors import OUTSIDE, Away
from runtime.isolation import isolated
from runtime.secrets import reload_on_hangup
from runtime.settings import SettingsError
from worker import figures, process, telemetry
from worker.build.leases import watch
from worker.config import RECONCILE_TIME_LIMIT_SECONDS
from worker.pulse import WORKER_SECONDS, Pulse

if TYPE_CHECKING:
    from worker.build.worker import Worker

log = logs.get("worker")

#: Beat is in trouble when it has sent nothing for so many of its shortest intervals.
BEAT_MISSES: Final = 3


#: What the tasks of this process tell the operator.
_telemetry = telemetry.LogsAndMetrics()


@contextmanager
def _worker() -> Iterator[Worker]:
    """Yield this process's worker. If something outside is away, log it: the work waits in the inbox."""
    try:
        yield process.worker()
    except OUTSIDE as exc:
        _telemetry.emit(telemetry.away(exc))


@shared_task(name=payloads.ANSWER_TASK)
def answer(who: str) -> None:
    """Answer this person's waiting texts. `who` is the hash of the user id."""
    with _worker() as worker:
        worker.visits.serve(Who(who))


@shared_task(name=payloads.REMEMBER_TASK)
def remember(who: str) -> None:
    """Fold the messages that left this person's window into the memory."""
    with _worker() as worker:
        person = worker.inbox.people.user_id(Who(who))
        if person is not None:
            with isolated("memory", who, worker.reconciler.set_aside):
                worker.memories.refresh(Who(who), person)


@shared_task(name=payloads.RECEIPTS_TASK)
def receipts() -> None:
    """Write waiting delivery reports to the journal."""
    with _worker() as worker:
        worker.receipts.drain()


@shared_task(name=payloads.COUNT_TASK)
def count() -> None:
    """Continue the recount of the spending after Redis was emptied.

    If the task fails, the next visit that needs the totals enqueues another.
    """
    with _worker() as worker:
        worker.budget.count(now=worker.inbox.clock.now())


@shared_task(name=payloads.SWEEP_TASK)
def sweep() -> None:
    """Enqueue wake-up tasks for all people who are due; reconcile at once if Redis was emptied.

    It also wakes the people who wait for a circuit breaker that has expired.
    """
    with _worker() as worker:
        swept = worker.reconciler.sweep()
        if swept.emptied:
            with isolated("step", "reconcile", worker.reconciler.set_aside):
                _reconcile(worker)
        with isolated("step", "figures", worker.reconciler.set_aside):
            worker.count_journal()
        worker.circuit.tidy()
        worker.receipts.drain()


# it takes as long as there is work to repair. Beat enqueues it anyway, so it is not redelivered if its worker dies
@shared_task(name=payloads.RECONCILE_TASK, acks_late=False, time_limit=RECONCILE_TIME_LIMIT_SECONDS)
def reconcile() -> None:
    """Resume what the journal shows as unfinished, and find messages that only the carrier knows of."""
    with _worker() as worker:
        _reconcile(worker)


def _reconcile(worker: Worker) -> None:
    report = worker.reconciler.reconcile_alone(worker.leases)
    if report is not None:
        log.info("reconciled", **asdict(report))


@setup_logging.connect
def _log_in_our_form(**_: object) -> None:
    chosen = process.settings()
    role = next((name for name in ("beat", "flower") if name in sys.argv), "worker")
    logs.configure(role, form=chosen.logs.format, level=chosen.logs.level)


def _expose(role: str, pulse: Pulse) -> None:
    chosen = process.settings()
    if chosen.metrics.port:
        refresh = figures.refresher(chosen, role, pulse.trouble)
        exposition.serve(chosen.metrics.host, chosen.metrics.port, pulse.trouble, refresh)


@beat_init.connect
def _expose_beat(**_: object) -> None:
    pulse = Pulse("task sent", BEAT_MISSES * process.settings().reconcile.sweep_interval_seconds)
    before_task_publish.connect(pulse.beat, weak=False)
    _expose("beat", pulse)


@worker_init.connect
def _build(**_: object) -> None:
    """Check before the first task that this worker can do its work; end with a sentence if it cannot."""
    from worker import start  # noqa: PLC0415 - Celery's beat and Flower need no store

    pulse = Pulse("heartbeat", WORKER_SECONDS)
    heartbeat_sent.connect(pulse.beat, weak=False)
    _expose("worker", pulse)
    try:
        start.check(process.settings())
        process.worker()
    except (Away, SettingsError) as exc:
        # a signal's receiver can only end the process: Celery logs any other exception and goes on
        raise SystemExit(f"this worker cannot work: {exc}") from exc
    if process.settings().worker.pool == "prefork":
        # the parent checks, then forks. Its connections are closed by the parent, not by each of its children
        process.rebuild()


@worker_process_init.connect
def _build_anew(**_: object) -> None:
    """Give a child of a prefork pool its own connections."""
    process.rebuild()
    watch(lambda: process.worker().look(), _telemetry)


@worker_ready.connect
def _look_around(**_: object) -> None:
    """Look at once for work that the last worker left unfinished."""
    reconcile.delay()
    count.delay()
    if process.settings().worker.pool != "prefork":
        watch(lambda: process.worker().look(), _telemetry)
    # Celery's own answer to this signal is a restart
    reload_on_hangup(process.keys())
    _note_ready()


@worker_shutting_down.connect
def _stop(**_: object) -> None:
    process.stopping.set()


@worker_process_shutdown.connect
@worker_shutdown.connect
def _leave_no_marks(**_: object) -> None:
    process.worker().leave_no_marks()


def _note_ready() -> None:
    """Tell the launcher, if there is one, that this worker listens."""
    ready_file = os.environ.get("DADACAT_READY_FILE")
    if ready_file:
        Path(ready_file).touch()
