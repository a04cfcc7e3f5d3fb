"""Check everything that an installation depends on: `dadacat doctor`.

Each finding says in a sentence what is wrong and what to do about it. Every check has a few seconds.
All checks run at the same time, so that together they take no longer than the slowest.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Final

from operations.doctor import alarms, dynamodb, engines, redis, settings, twilio, webhook, workers
from operations.doctor.findings import Check, Finding, Level, wrong
from operations.doctor.threads import Threads
from runtime.settings import Settings

__all__ = ["CHECKS", "COSTLY", "Finding", "Level", "examine"]

CHECKS: Final[Mapping[str, Check]] = {
    "settings": settings.check,
    "compose": settings.check_compose,
    "redis": redis.check,
    "dynamodb": dynamodb.check,
    "twilio": twilio.check,
    "webhook": webhook.check,
    "workers": workers.check,
    "engines": engines.check,
    "alarms": alarms.check,
}
#: Checks that cost money.
COSTLY: Final = frozenset({"engines"})
#: Time limit of one check.
CHECK_SECONDS: Final = 6.0
#: Checks with more time.
SLOWER_CHECKS: Final = {"engines": engines.ENGINE_SECONDS + 3.0}


def examine(
    chosen: Settings, *, leaving_out: frozenset[str] = frozenset(), check_seconds: float = CHECK_SECONDS
) -> list[Finding]:
    """Run the checks and return their findings; each engine is asked once, at its price."""
    started_at, threads = time.monotonic(), Threads()
    # the thread itself reads the generator to its end
    futures = {
        where: threads.submit(lambda check: list(check(chosen)), check)
        for where, check in CHECKS.items()
        if where not in leaving_out
    }
    findings: list[Finding] = []
    for where, future in futures.items():
        limit = SLOWER_CHECKS.get(where, check_seconds)
        try:
            results = future.result(timeout=max(0.0, started_at + limit - time.monotonic()))
        except FutureTimeoutError:
            remedy = "check whether a firewall or router on the way drops packets"
            results = [wrong(f"no answer in {limit:.0f} s", remedy)]
        findings += [Finding(where=where, level=level, what=what, remedy=do) for level, what, do in results]
    return findings
