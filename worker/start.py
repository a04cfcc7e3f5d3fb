"""Check, before a worker takes a task, that it can do its work.

A worker whose login or permissions are missing would fail text after text. It ends with a sentence instead, and what
started it starts it again. A store that does not answer is waited for, as Redis is.
"""

from __future__ import annotations

import time
from typing import Final

from conversation.errors import StoreAway, StoreRefuses
from conversation.permissions import check_permissions
from conversation.storage import DynamoDBStorage
from inbox.connection import check_login
from runtime.settings import Settings
from worker import telemetry
from worker.build.journal import build_journal

#: A worker that starts while the store cannot be reached asks again after this.
STORE_PAUSE_SECONDS: Final = 2.0


def check(chosen: Settings) -> None:
    """Raise `InboxRefuses` or `StoreRefuses` if this worker cannot work."""
    check_login(chosen.redis.url)
    await_store(build_journal(chosen).storage, telemetry.OF_THIS_PROCESS)


def await_store(storage: DynamoDBStorage, told: telemetry.Telemetry) -> None:
    """Return once the store answers, has both tables and allows every operation. Raises `StoreRefuses`."""
    while True:
        try:
            storage.ensure_tables()
            return check_permissions(storage)
        except StoreRefuses:
            raise
        except StoreAway as exc:
            told.emit(telemetry.away(exc))
            time.sleep(STORE_PAUSE_SECONDS)
