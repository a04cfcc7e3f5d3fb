"""Decode, call, acknowledge. A task that fails has lost nothing: what it was rung for is still in the inbox."""

from __future__ import annotations

import sys
from dataclasses import asdict

from celery import shared_task
from celery.signals import setup_logging, worker_init, worker_process_init, worker_ready, worker_shutting_down

from dadacat import logs
from dadacat.keys import reload_on_hangup
from inbox import contract
from inbox.contract import Who
from inbox.ports import moment
from sms.errors import CarrierAway
from worker import wiring
from worker.config import RECONCILE_TIME_LIMIT_SECONDS

log = logs.get("worker")


@shared_task(name=contract.ANSWER_TASK)
def answer(who: str) -> None:
    """Give this person's waiting texts their replies."""
    wiring.worker().visits.serve(Who(who))


@shared_task(name=contract.REMEMBER_TASK)
def remember(who: str) -> None:
    """Fold what this person's window does not hold any more into the memory."""
    wiring.worker().memories.refresh(Who(who))


@shared_task(name=contract.RECEIPTS_TASK)
def receipts() -> None:
    """Write waiting delivery reports to the journal."""
    wiring.worker().receipts.drain()


@shared_task(name=contract.COUNT_TASK)
def count() -> None:
    """Go on counting what was spent, where Redis was emptied; a task that fails is asked for again by whoever needs the sums."""
    worker = wiring.worker()
    worker.budget.count(now=moment(worker.inbox.now_ms()))


@shared_task(name=contract.SWEEP_TASK)
def sweep() -> None:
    """Ring for everybody who is due; look at the journal at once where Redis was emptied."""
    worker = wiring.worker()
    swept = worker.reconciler.sweep()
    if swept.emptied:
        _reconcile(worker)
    wiring.note_oldest(worker.inbox)
    worker.receipts.drain()


# it takes as long as there is to repair; beat rings for it anyway, so it need not be heard again when its worker dies
@shared_task(name=contract.RECONCILE_TASK, acks_late=False, time_limit=RECONCILE_TIME_LIMIT_SECONDS)
def reconcile() -> None:
    """Put back on the road what the journal knows to be unfinished and what the carrier knows and we do not."""
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
    """Be ready before the first doorbell: connections, tables, and a clear sentence where something is missing."""
    wiring.worker()
    if wiring.settings().worker_pool == "prefork":
        # it looks and forks; connections are let go of by whoever made them, not by each of its children
        wiring.rebuild()


@worker_process_init.connect
def _build_anew(**_: object) -> None:
    """A child of a prefork pool makes connections of its own."""
    wiring.rebuild()
    wiring.worker()


@worker_ready.connect
def _look_around(**_: object) -> None:
    """Whatever was left unfinished when the last worker stopped is looked for at once."""
    reconcile.delay()
    count.delay()
    # Celery's own answer to this signal is to start anew
    reload_on_hangup(wiring.keys())
    wiring.note_ready()


@worker_shutting_down.connect
def _stop(**_: object) -> None:
    wiring.stopping.set()
