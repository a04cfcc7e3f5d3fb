"""Let a seed decide which faults are injected, and when."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from chaos import points
from chaos.injector import Injector
from chaos.plan import Plan
from chaos.proxy import When
from chaos.strikes import Strikes
from chaos.tree import Member, Tree

#: Rules of the simulated carrier, of which two apply at a time.
MISBEHAVIOURS: Final[Sequence[dict[str, Any]]] = (
    {"at": "create", "do": "error", "status": 503, "code": 20503, "rate": 0.3},
    {"at": "create", "do": "error", "status": 429, "code": 20429, "retry_after": 1, "rate": 0.5},
    {"at": "create", "do": "error", "status": 500, "accepted": True, "rate": 0.3},
    {"at": "create", "do": "truncate", "rate": 0.3},
    {"at": "create", "do": "error", "status": 401, "code": 20003, "rate": 0.2},
    {"at": "callback", "do": "double"},
    {"at": "callback", "do": "reverse"},
    {"at": "callback", "do": "never", "rate": 0.5},
    {"at": "callback", "do": "before"},
    {"at": "webhook", "do": "double"},
    {"at": "webhook", "do": "concurrent"},
    {"at": "webhook", "do": "never", "rate": 0.2},
    {"at": "delivery", "do": "failed", "code": 30022, "rate": 0.3},
    {"at": "list", "do": "lag", "seconds": 8},
)


class RandomFaults:
    """The faults of a run. The same seed draws the same faults."""

    def __init__(self, plan: Plan, tree: Tree, injector: Injector, strikes: Strikes) -> None:
        self._plan = plan
        self._tree = tree
        self._injector = injector
        self._strikes = strikes
        self._dice = random.Random(f"{plan.seed}|faults")  # noqa: S311 - a seed makes a day repeatable

    def inject_until(self, until: float, stopped: threading.Event) -> None:
        """Inject faults until a time of the monotonic clock, or until the run is stopped."""
        dice = self._dice
        faults, weights = zip(*(self._kills() if self._plan.kills_only else self._menu()), strict=True)
        while True:
            pause = dice.expovariate(1 / self._plan.fault_every)
            if time.monotonic() + pause >= until or stopped.wait(pause):
                return
            dice.choices(faults, weights)[0](dice)

    def _kills(self) -> Iterator[tuple[Callable[[random.Random], object], int]]:
        yield lambda dice: self._injector.kill(self._some(dice, "worker"), "kill worker"), 22
        yield lambda _: self._injector.kill_redis("kill redis"), 4
        yield self._kill_webhook, 5

    def _menu(self) -> Iterator[tuple[Callable[[random.Random], object], int]]:
        yield from self._kills()
        yield lambda dice: self._cut(dice, "worker", "dynamodb", most=8), 30
        yield lambda dice: self._cut(dice, "worker", "twilio", most=1), 30
        yield self._cut_redis, 20
        yield self._arm_a_point, 16
        yield self._stop_worker, 5
        yield self._terminate_worker, 5
        yield self._dynamodb_away, 4
        yield lambda _: self._injector.flush("redis emptied"), 3
        yield self._twilio_misbehaves, 8

    def _some(self, dice: random.Random, role: str) -> Member:
        return dice.choice(self._tree.of_role(role))

    def _kill_webhook(self, dice: random.Random) -> None:
        if dice.random() < 0.5:  # noqa: PLR2004 - a coin
            self._injector.kill(self._some(dice, "webhook"), "kill webhook")
        elif self._tree.kill_launched("dadacat webhook"):
            self._injector.note("kill the fallback's webhook", kind="kill")

    def _terminate_worker(self, dice: random.Random) -> None:
        self._some(dice, "worker").signal(signal.SIGTERM)
        self._injector.note("terminate worker")

    def _stop_worker(self, dice: random.Random) -> None:
        self._injector.put_to_sleep(self._some(dice, "worker"), "sleep through the lease")

    def _arm_a_point(self, dice: random.Random) -> None:
        """Arm a point of the crash table for the next text of a random person."""
        point = dice.choice([point for point in points.POINTS if not point.rules])
        person = f"+1555{dice.randrange(self._plan.people):07d}"
        self._strikes.arm(point, person)

    def _cut_redis(self, dice: random.Random) -> None:
        self._cut(dice, "worker" if dice.random() < 0.8 else "webhook", "redis", most=12)  # noqa: PLR2004 - dice

    def _cut(self, dice: random.Random, role: str, service: str, *, most: int) -> None:
        when = When.BEFORE if dice.random() < 0.45 else When.AFTER  # noqa: PLR2004 - dice
        self._injector.cut(self._some(dice, role), service, dice.randint(1, most), when)

    def _dynamodb_away(self, dice: random.Random) -> None:
        self._injector.take_store_away(dice.uniform(1, 6), "dynamodb away")

    def _twilio_misbehaves(self, dice: random.Random) -> None:
        """Let the simulated carrier misbehave at random for a few seconds."""
        self._injector.misbehave(*dice.sample(MISBEHAVIOURS, k=2), seed=dice.randint(0, 10**6))
        seconds = dice.uniform(2, 5)
        self._injector.note("twilio misbehaves", seconds=seconds)
        time.sleep(seconds)
        self._injector.misbehave()
