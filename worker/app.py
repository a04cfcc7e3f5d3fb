"""Create the Celery app: `celery -A worker.app worker`, `... beat`, `... flower`."""

from __future__ import annotations

import sys

from worker import wiring

wiring.guard_flower(sys.argv)
app = wiring.celery_app()
