"""The Celery app: `celery -A worker.app worker`, `... beat`, `... flower`."""

from __future__ import annotations

from worker import wiring

app = wiring.celery_app()
