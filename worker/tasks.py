"""Define the Celery tasks and the signals of a worker's life.

A task that fails loses nothing: the work it was enqueued for is still in the inbox.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
from celery import Task, shared_task
from celery.signals import (
    beat_init,
    before_task_publish,
    heartbeat_sent,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)

from inbox import payloads
from inbox.payloads import Who
from runtime import exposition, logs, observe
from runtime.errors import OUTSIDE, Away
from runtime.isolation import isolated
from runtime.secrets import reload_on_hangup
from runtime.settings import SettingsError
from worker import figures, process, telemetry
from worker.build import traced
from worker.build.leases import watch
from worker.celery_config import RECONCILE_TIME_LIMIT_SECONDS
from worker.heartbeat import WORKER_SECONDS, Heartbeat

if TYPE_CHECKING:
    from worker.build.worker import Worker

log = logs.get("worker")

#: Beat is in trouble when it has sent nothing for so many of its shortest intervals.
BEAT_MISSES: Final = 3


@contextmanager
def _worker() -> Iterator[Worker]:
    """Yield this process's worker. If something outside is away, log it: the work waits in the inbox."""
    try:
        yield process.worker()
    except OUTSIDE as exc:
        telemetry.OF_THIS_PROCESS.emit(telemetry.away(exc))


@shared_task(name=payloads.ANSWER_TASK)
def answer(who: str) -> None:
    """Answer this person's waiting texts. `who` is the hash of the user id."""
    with _worker() as worker, process.slow_start().place():
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
            reconcile.delay()
        with isolated("step", "figures", worker.reconciler.set_aside):
            worker.count_journal()
        worker.circuit.tidy()
        worker.inbox.people.forget_idle()
        worker.receipts.drain()


# it takes as long as there is work to repair. Beat enqueues it anyway, so it is not redelivered if its worker dies
@shared_task(name=payloads.RECONCILE_TASK, acks_late=False, time_limit=RECONCILE_TIME_LIMIT_SECONDS)
def reconcile() -> None:
    """Resume what the journal shows as unfinished, and find messages that only the carrier knows of."""
    with _worker() as worker:
        report = worker.reconciler.reconcile_alone(worker.leases)
        if report is not None:
            log.info("reconciled", **asdict(report))


def _or_end(receiver: Callable[[], None]) -> Callable[..., None]:
    """Let a signal's receiver end the process if it cannot work: Celery logs other exceptions and goes on."""

    @wraps(receiver)
    def ends(**_: object) -> None:
        try:
            receiver()
        except (Away, SettingsError) as exc:
            raise SystemExit(f"this {_role()} cannot work: {exc}") from exc
        except Exception as exc:
            # without what this receiver builds, it would take texts and answer none
            log.exception("not started")
            raise SystemExit(f"this {_role()} cannot work: {type(exc).__name__}") from exc

    return ends


def _role() -> str:
    return next((name for name in ("beat", "flower") if name in sys.argv), "worker")


@setup_logging.connect
@_or_end
def _log_in_our_form() -> None:
    _observed()


@cache
def _observed() -> None:
    """Start the logs, and what is asked for beside them, once in a process."""
    traced.start(_role(), process.settings())


@task_prerun.connect
def _bind(task_id: str, task: Task, **_: object) -> None:  # type: ignore[type-arg]  # Celery's stubs want arguments
    """Name the task in each line that it logs: Flower shows the same id."""
    structlog.contextvars.bind_contextvars(task=task.name, task_id=task_id)


@task_postrun.connect
def _unbind(**_: object) -> None:
    structlog.contextvars.unbind_contextvars("task", "task_id")


def _expose(role: str, heartbeat: Heartbeat) -> None:
    chosen = process.settings()
    if chosen.metrics.port:
        refresh = figures.refresher(chosen, role, heartbeat.trouble)
        exposition.serve(chosen.metrics.host, chosen.metrics.port, heartbeat.trouble, refresh)


@beat_init.connect
@_or_end
def _expose_beat() -> None:
    heartbeat = Heartbeat("task sent", BEAT_MISSES * process.settings().reconcile.sweep_interval_seconds)
    before_task_publish.connect(heartbeat.beat, weak=False)
    _expose("beat", heartbeat)


@worker_init.connect
@_or_end
def _build() -> None:
    """Check before the first task that this worker can do its work."""
    from worker import start  # noqa: PLC0415 - Celery's beat and Flower need no store

    # Celery asks for the logs after this signal, and what is built here is to be traced
    _observed()
    heartbeat = Heartbeat("heartbeat", WORKER_SECONDS)
    heartbeat_sent.connect(heartbeat.beat, weak=False)
    _expose("worker", heartbeat)
    start.check(process.settings())
    worker = process.worker()
    if process.settings().worker.pool == "prefork":
        # the parent checks, then forks. Its connections are closed by the parent, not by each of its children
        process.rebuild()
    else:
        # before the first task: a worker that dies while it loads has no text in hand
        worker.warm_up()


@worker_process_init.connect
def _build_anew(**_: object) -> None:
    """Give a child of a prefork pool its own connections."""
    process.rebuild()
    watch(lambda: process.worker().look(), telemetry.OF_THIS_PROCESS)


@worker_ready.connect
def _look_around(**_: object) -> None:
    """Look at once for work that the last worker left unfinished."""
    if process.settings().worker.pool != "prefork":
        watch(lambda: process.worker().look(), telemetry.OF_THIS_PROCESS)
    # Celery's own answer to this signal is a restart
    reload_on_hangup(process.keys())
    _note_ready()
    # last: if Redis goes away now, the next sweep and beat find the work
    reconcile.delay()
    count.delay()


@worker_shutting_down.connect
def _stop(**_: object) -> None:
    process.stopping.set()


@worker_process_shutdown.connect
@worker_shutdown.connect
def _leave_no_marks(**_: object) -> None:
    built = process.built()
    if built is not None:
        built.leave_no_marks()
    observe.end()


def _note_ready() -> None:
    """Tell the launcher, if there is one, that this worker listens."""
    ready_file = os.environ.get("DADACAT_READY_FILE")
    if ready_file:
        Path(ready_file).touch()
