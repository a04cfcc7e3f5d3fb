"""Define the Celery tasks and the signals of a worker's life.

A task that fails loses nothing: the work it was enqueued for is still in the inbox.
"""

from __future__ import annotations

import sys
from dataclasses import asdict

from celery import shared_task
from celery.signals import setup_logging, worker_init, worker_process_init, worker_ready, worker_shutting_down

from inbox import payloads
from inbox.payloads import Who
from runtime import logs
from runtime.secrets import reload_on_hangup
from sms.errors import CarrierAway
from worker import wiring
from worker.config import RECONCILE_TIME_LIMIT_SECONDS

log = logs.get("worker")


@shared_task(name=payloads.ANSWER_TASK)
def answer(who: str) -> None:
    """Answer this person's waiting texts. `who` is the hash of the user id."""
    wiring.worker().visits.serve(Who(who))


@shared_task(name=payloads.REMEMBER_TASK)
def remember(who: str) -> None:
    """Fold the messages that left this person's window into the memory."""
    worker = wiring.worker()
    person = worker.inbox.people.user_id(Who(who))
    if person is not None:
        worker.memories.refresh(Who(who), person)


@shared_task(name=payloads.RECEIPTS_TASK)
def receipts() -> None:
    """Write waiting delivery reports to the journal."""
    wiring.worker().receipts.drain()


@shared_task(name=payloads.COUNT_TASK)
def count() -> None:
    """Continue the recount of the spending after Redis was emptied.

    If the task fails, the next visit that needs the totals enqueues another.
    """
    worker = wiring.worker()
    worker.budget.count(now=worker.inbox.clock.now())


@shared_task(name=payloads.SWEEP_TASK)
def sweep() -> None:
    """Enqueue wake-up tasks for all people who are due; reconcile at once if Redis was emptied."""
    worker = wiring.worker()
    swept = worker.reconciler.sweep()
    if swept.emptied:
        _reconcile(worker)
    wiring.note_oldest(worker.inbox)
    worker.receipts.drain()


# it takes as long as there is work to repair. Beat enqueues it anyway, so it is not redelivered if its worker dies
@shared_task(name=payloads.RECONCILE_TASK, acks_late=False, time_limit=RECONCILE_TIME_LIMIT_SECONDS)
def reconcile() -> None:
    """Resume what the journal shows as unfinished, and find messages that only the carrier knows of."""
    _reconcile(wiring.worker())


def _reconcile(worker: wiring.Worker) -> None:
    try:
        report = worker.reconciler.reconcile_alone(worker.leases)
    except CarrierAway as exc:
        log.warning("list not read", reason=str(exc))
        return
    if report is not None:
        log.info("reconciled", **asdict(report))


@setup_logging.connect
def _log_as_everybody(**_: object) -> None:
    chosen = wiring.settings()
    role = next((name for name in ("beat", "flower") if name in sys.argv), "worker")
    logs.configure(role, form=chosen.log_format, level=chosen.log_level)


@worker_init.connect
def _build(**_: object) -> None:
    """Connect and create the tables before the first task, or fail with a clear message."""
    wiring.worker()
    if wiring.settings().worker_pool == "prefork":
        # the parent checks, then forks. Its connections are closed by the parent, not by each of its children
        wiring.rebuild()


@worker_process_init.connect
def _build_anew(**_: object) -> None:
    """Give a child of a prefork pool its own connections."""
    wiring.rebuild()
    wiring.worker()


@worker_ready.connect
def _look_around(**_: object) -> None:
    """Look at once for work that the last worker left unfinished."""
    reconcile.delay()
    count.delay()
    # Celery's own answer to this signal is a restart
    reload_on_hangup(wiring.keys())
    wiring.note_ready()


@worker_shutting_down.connect
def _stop(**_: object) -> None:
    wiring.stopping.set()
