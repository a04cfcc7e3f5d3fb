"""Build delivery, and what follows from its failures and reports."""

from __future__ import annotations

import random
from datetime import timedelta

import redis

from inbox import payloads
from inbox.ports import Inbox
from journal.ports import Journal
from runtime.host import REAL
from runtime.settings import Settings
from sms.ports import Sender
from worker.build.budget import quota
from worker.build.inbox import circuit
from worker.build.limits import pace
from worker.delivery import Delivery, Terms
from worker.delivery_failures import DeliveryFailures
from worker.delivery_failures import Terms as FailureTerms
from worker.receipts import Receipts
from worker.telemetry import OF_THIS_PROCESS


def delivery(chosen: Settings, client: redis.Redis, journal: Journal, sender: Sender) -> Delivery:
    """Return the delivery of replies."""
    return Delivery(
        journal,
        sender,
        circuit(chosen, client),
        Terms(
            public_url=chosen.webhook.public_url,
            validity_seconds=chosen.delivery.validity_seconds,
            patience_seconds=chosen.delivery.unknown_patience_seconds,
            max_age_seconds=chosen.visit.max_age_seconds,
            service_sid=chosen.twilio.messaging_service_sid,
        ),
        rng=random.Random(),  # noqa: S311 - jitter, not cryptography
        host=REAL,
        telemetry=OF_THIS_PROCESS,
        pace=pace(chosen, client),
    )


def failures(chosen: Settings, client: redis.Redis, inbox: Inbox, journal: Journal) -> DeliveryFailures:
    """Return the reaction to messages that were not delivered."""
    return DeliveryFailures(
        inbox,
        journal,
        circuit(chosen, client),
        FailureTerms(
            max_age=timedelta(seconds=chosen.visit.max_age_seconds),
            who=lambda person: payloads.who(person, chosen.who_key),
            service_sid=chosen.twilio.messaging_service_sid,
        ),
        quota=quota(chosen, client),
        rng=random.Random(),  # noqa: S311 - jitter, not cryptography
        telemetry=OF_THIS_PROCESS,
    )


def receipts(chosen: Settings, client: redis.Redis, inbox: Inbox, journal: Journal) -> Receipts:
    """Return the writer of delivery reports."""
    return Receipts(
        inbox,
        journal,
        failures(chosen, client, inbox, journal),
        who_key=chosen.who_key,
        per_number=chosen.people.per_number,
        telemetry=OF_THIS_PROCESS,
    )
