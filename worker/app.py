"""Create the Celery app: `celery -A worker.app worker`, `... beat`, `... flower`."""

from __future__ import annotations

import sys

from runtime.process import prepare
from worker import process
from worker.build import celery, flower

prepare()
flower.prepare(sys.argv, process.settings())
app = celery.app(process.settings())
