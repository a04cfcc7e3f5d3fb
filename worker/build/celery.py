"""Build the Celery app."""

from __future__ import annotations

from datetime import timedelta

from celery import Celery

from runtime.settings import Settings
from worker import broker
from worker.config import celery_settings


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
            sweep_interval=timedelta(seconds=chosen.reconcile.sweep_interval_seconds),
            reconcile_interval=timedelta(seconds=chosen.reconcile.interval_seconds),
        )
    )
    return app
