"""Create the Celery app: `celery -A worker.app worker`, `... beat`, `... flower`."""

from __future__ import annotations

import sys

from worker import process
from worker.build import celery

celery.guard_flower(sys.argv, process.settings())
app = celery.app(process.settings())
