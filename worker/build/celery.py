"""Build the Celery app."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from celery import Celery

from runtime.settings import Settings
from worker import broker
from worker.build.limits import PACE_WAIT_MS
from worker.celery_config import celery_settings
from worker.retry_policy import RELEASE_SECONDS
from worker.visits import VISIT_SECONDS

#: Longer than one request to Twilio can take; a test compares it with the limits of `sms.http`, which loads the client.
SEND_SECONDS: Final = 15.0
#: A child of a prefork pool that is busy for so much longer than its work can take hangs.
SPARE_SECONDS: Final = 30.0


def app(chosen: Settings) -> Celery:
    """Return the app, configured; it connects to nothing yet."""
    broker.install()
    app = Celery("dadacat", include=["worker.tasks"])
    app.steps["consumer"].add(broker.EventsInBatches)
    app.conf.update(
        celery_settings(
            redis_url=chosen.redis.url,
            pool=chosen.worker.pool,
            concurrency=chosen.worker.concurrency,
            task_time_limit=_longest_visit(chosen) + timedelta(seconds=SPARE_SECONDS),
            sweep_interval=timedelta(seconds=chosen.reconcile.sweep_interval_seconds),
            reconcile_interval=timedelta(seconds=chosen.reconcile.interval_seconds),
        )
    )
    return app


def _longest_visit(chosen: Settings) -> timedelta:
    """Return how long a visit takes whose last turn begins at its end.

    That turn waits for the person's pause first, and after it Redis cannot be reached.
    """
    part = PACE_WAIT_MS / 1000 + SEND_SECONDS
    reply = chosen.replies.deadline_seconds + chosen.replies.max_parts * part
    return timedelta(seconds=VISIT_SECONDS + chosen.visit.quiet_limit_seconds + reply + RELEASE_SECONDS)
