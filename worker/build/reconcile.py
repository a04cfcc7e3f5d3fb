"""Build the reconciler."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import redis

from inbox import payloads
from inbox.figures import RedisFigures
from inbox.ports import Inbox
from journal.ports import Journal
from runtime.settings import Settings
from sms.credentials import Login
from worker.build.delivery import failures
from worker.build.twilio import twilio_account, twilio_message_list
from worker.figures import count_journal
from worker.reconcile import absence
from worker.reconcile.reconciler import Reconciler, Terms
from worker.telemetry import OF_THIS_PROCESS


def build_reconciler(
    chosen: Settings, client: redis.Redis, inbox: Inbox, journal: Journal, login: Login | None = None
) -> Reconciler:
    """Return the reconciler; a process that outlives a key rotation passes its `login`."""
    delivery = chosen.delivery
    return Reconciler(
        inbox,
        journal,
        twilio_message_list(chosen, login),
        failures(chosen, client, inbox, journal),
        Terms(
            validity=timedelta(seconds=delivery.validity_seconds),
            numbers=chosen.twilio.addresses,
            per_number=chosen.people.per_number,
            kept=timedelta(days=chosen.dynamodb.retention_days) if chosen.dynamodb.retention_days else None,
            who=lambda person: payloads.who(person, chosen.who_key),
            resend=_resend(chosen),
            unsettled_after=timedelta(seconds=chosen.reconcile.unsettled_after_seconds),
            redact=twilio_account(chosen, login).redact if delivery.redact_after_delivery == "on" else None,
        ),
        telemetry=OF_THIS_PROCESS,
    )


def _resend(chosen: Settings) -> absence.Terms | None:
    """Return when absence from the carrier's list counts; None: never."""
    if chosen.delivery.unknown_policy == "hold":
        return None
    return absence.Terms(
        after=timedelta(seconds=chosen.delivery.unknown_resend_after_seconds),
        max_age=timedelta(seconds=chosen.visit.max_age_seconds),
    )


def journal_counter(client: redis.Redis, inbox: Inbox, journal: Journal) -> Callable[[], None]:
    """Return the function that counts what waits for an operator, for the metrics of all processes."""
    return partial(count_journal, journal, inbox.leases, RedisFigures(client))
