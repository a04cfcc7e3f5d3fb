"""Build the Celery app."""

from __future__ import annotations

import os
import secrets
from datetime import timedelta
from pathlib import Path

from celery import Celery

from runtime.private_files import kept
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


def guard_flower(arguments: list[str], chosen: Settings) -> None:
    """Refuse to start Flower without a login: it shows who is served and can stop workers."""
    if "flower" not in arguments:
        return
    login, file = chosen.flower.basic_auth, chosen.flower.basic_auth_file
    if not login and file:
        login = kept(Path(file), f"cat:{secrets.token_urlsafe(12)}")
    if not login:
        raise SystemExit(
            "FLOWER_BASIC_AUTH is missing: Flower shows who is served and can stop workers, so it wants a login"
        )
    # Flower reads its own environment; the login may have come from .env
    os.environ["FLOWER_BASIC_AUTH"] = login
