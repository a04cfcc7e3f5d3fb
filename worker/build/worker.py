"""Build a whole worker."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from inbox import ports
from runtime.secrets import Keys
from runtime.settings import Settings
from worker.budget import Budget
from worker.build import budget, cat, delivery, inbox, leases, limits, reconcile, twilio, visits
from worker.build.journal import build_journal
from worker.lease import LeaseKeeper
from worker.memories import Memories
from worker.receipts import Receipts
from worker.reconcile.reconciler import Reconciler
from worker.telemetry import OF_THIS_PROCESS
from worker.visits import Visits


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Everything that the tasks call."""

    visits: Visits
    receipts: Receipts
    reconciler: Reconciler
    leases: LeaseKeeper
    #: Loads what the first visit needs. Not before a fork: the model that hears danger does not outlive one.
    warm_up: Callable[[], None]
    #: Settles what dead neighbours left in doubt.
    look: Callable[[], None]
    #: Deletes the file of marks, at the end of this process.
    leave_no_marks: Callable[[], None]
    memories: Memories
    budget: Budget
    inbox: ports.Inbox
    circuit: ports.Circuit
    #: Counts what waits for an operator, for the metrics of all processes.
    count_journal: Callable[[], None]


def worker(chosen: Settings, keys: Keys, stopping: Callable[[], bool]) -> Worker:
    """Return the worker, and create the tables that are missing.

    `stopping` ends visits after the turn in hand. Raises `SettingsError`.
    """
    chosen.twilio.require()
    client = inbox.redis_client(chosen, "worker")
    inbox_ = inbox.redis_inbox(chosen, client)
    journal = build_journal(chosen)
    journal.storage.ensure_tables()
    login = twilio.rotating_login(keys)
    sender = twilio.twilio_sender(chosen, login)
    cat_ = cat.build_cat(chosen)
    budget_ = budget.budget(chosen, client, inbox_, journal)
    marks_ = leases.marks(chosen)
    keeper = leases.lease_keeper(chosen, inbox_, marks_)
    return Worker(
        visits=visits.compose_visits(
            inbox=inbox_,
            journal=journal,
            cat=cat_,
            budget=budget_,
            delivery=delivery.delivery(chosen, client, journal, sender),
            limiter=limits.limiter(chosen, client),
            leases=keeper,
            settings=visits.visit_settings(chosen),
            worker=f"{socket.gethostname()}:{os.getpid()}",
            mark=visits.tombstones(chosen),
            media=twilio.twilio_media(chosen, login),
            telemetry=OF_THIS_PROCESS,
            stopping=stopping,
        ),
        receipts=delivery.receipts(chosen, client, inbox_, journal),
        reconciler=reconcile.build_reconciler(chosen, client, inbox_, journal, login),
        leases=keeper,
        warm_up=cat_.warm_up,
        look=leases.look(inbox_, journal, marks_),
        leave_no_marks=marks_.close,
        memories=Memories(
            inbox_.clock.now, journal, budget_, cat_.summarizer, cat.memory_terms(chosen), telemetry=OF_THIS_PROCESS
        ),
        budget=budget_,
        inbox=inbox_,
        circuit=inbox.circuit(chosen, client),
        count_journal=reconcile.journal_counter(client, inbox_, journal),
    )
