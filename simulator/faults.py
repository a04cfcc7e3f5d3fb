"""The network's misbehaviour: rules, each asked at a station of a message's life, drawn by a seed, and noted when they strike.

    at        do                      what happens
    create    slow                    the answer takes `seconds`
              full                    the sender's queue is full: 429 and code 21611
              error                   `status` and `code` are answered; with `accepted`, the message was created all the same
              hang                    created; the answer does not come for `seconds`
              drop, reset             created; the connection is closed, or reset, without an answer
              truncate                created; half an answer, then the connection is closed
    list      lag                     messages younger than `seconds` are not shown (none: never)
    callback  never, double, delay    not posted, posted twice, posted after `seconds`
              reverse                 `sent` is posted after `delivered`
              before                  `sent` is posted before the create call is answered
    webhook   never, double, delay    not posted, posted twice one after the other, posted after `seconds`
              concurrent              posted twice at once, with two idempotency tokens
    delivery  undelivered, failed     with `code`

A rule strikes with its `rate`, at most `times` often, for one telephone (`person`) or for all. What is drawn depends on the seed, the rule, the
telephone and how many of its messages passed that station before: the same seed gives the same day, whatever else happens meanwhile.
"""

from __future__ import annotations

import random
import time
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

ACTIONS: Final[Mapping[str, frozenset[str]]] = {
    "create": frozenset({"slow", "full", "error", "hang", "drop", "reset", "truncate"}),
    "list": frozenset({"lag"}),
    "callback": frozenset({"never", "double", "delay", "reverse", "before"}),
    "webhook": frozenset({"never", "double", "delay", "concurrent"}),
    "delivery": frozenset({"undelivered", "failed"}),
}
#: How many strikes are remembered for whoever asks what happened.
LOG_LENGTH: Final = 100_000


class UnusableRule(Exception):
    """A rule that no station understands; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One way to misbehave."""

    at: str
    do: str
    rate: float = 1.0
    times: int | None = None
    person: str = ""
    #: Not given, for `lag`: for ever.
    seconds: float | None = None
    status: int = 503
    code: int | None = None
    retry_after: int | None = None
    accepted: bool = False

    @classmethod
    def of(cls, given: object) -> Self:
        """Read a rule. Raises `UnusableRule`."""
        if not isinstance(given, dict):
            raise UnusableRule("a rule is an object")
        unknown = set(given) - {field.name for field in fields(cls)}
        if unknown:
            raise UnusableRule(f"a rule has no {', '.join(sorted(unknown))}")
        at, do = str(given.get("at")), str(given.get("do"))
        if at not in ACTIONS:
            raise UnusableRule(f"at: one of {', '.join(ACTIONS)}")
        if do not in ACTIONS[at]:
            raise UnusableRule(f"do: at {at} one of {', '.join(sorted(ACTIONS[at]))}")
        rate = given.get("rate", 1.0)
        if not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise UnusableRule("rate: from 0 to 1")
        for name in ("times", "seconds", "status", "code", "retry_after"):
            value = given.get(name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
                raise UnusableRule(f"{name}: a number")
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """A rule that struck."""

    when: float
    at: str
    do: str
    person: str
    sid: str


class Faults:
    """How the network behaves: how long its stations take, and the rules by which it goes wrong."""

    def __init__(self, *, seed: int = 0, sending_seconds: float = 0.05, delivery_seconds: float = 0.25) -> None:
        #: From creation to `sent`, and from `sent` to `delivered`.
        self.sending_seconds, self.delivery_seconds = sending_seconds, delivery_seconds
        self.log: list[Strike] = []
        self._seed = seed
        self._rules: tuple[Rule, ...] = ()
        self._passed: Counter[tuple[int, str]] = Counter()
        self._struck: Counter[int] = Counter()

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read a scenario: `seed`, and a `[[rules]]` table for each rule. Raises `UnusableRule`, `OSError`."""
        try:
            given = tomllib.loads(path.read_text())
        except tomllib.TOMLDecodeError as exc:
            raise UnusableRule(f"{path}: {exc}") from exc
        faults = cls()
        faults.set(given.get("rules", []), seed=given.get("seed", 0))
        return faults

    def set(self, rules: Sequence[object], *, seed: int | None = None) -> None:
        """Replace the rules; a new seed begins a new day. Raises `UnusableRule`, and nothing changes."""
        self._rules = tuple(Rule.of(given) for given in rules)
        self._struck.clear()
        self._passed.clear()
        if seed is not None:
            self._seed = seed

    def describe(self) -> dict[str, Any]:  # Any: JSON
        """Seed, rules and how often each struck."""
        rules = [{**asdict(rule), "struck": self._struck[place]} for place, rule in enumerate(self._rules)]
        return {"seed": self._seed, "rules": rules, "actions": {at: sorted(do) for at, do in ACTIONS.items()}}

    def draw(self, at: str, person: str, sid: str, *, only: frozenset[str] | None = None) -> Rule | None:
        """Which rule strikes a message at this station, if any; it is noted. `only`: among these actions."""
        for place, rule in enumerate(self._rules):
            if rule.at != at or (rule.person and rule.person != person) or (only is not None and rule.do not in only):
                continue
            passed = self._passed[place, person]
            self._passed[place, person] += 1
            if rule.times is not None and self._struck[place] >= rule.times:
                continue
            dice = random.Random(f"{self._seed}|{place}|{person}|{passed}")  # noqa: S311 - thrown again the same
            if dice.random() < rule.rate:
                self._struck[place] += 1
                self.log.append(Strike(when=time.time(), at=at, do=rule.do, person=person, sid=sid))
                del self.log[:-LOG_LENGTH]
                return rule
        return None

    def lag(self) -> float:
        """Messages younger than this, in seconds, are not on the list."""
        lags = [rule for rule in self._rules if rule.at == "list"]
        return max((float("inf") if rule.seconds is None else rule.seconds for rule in lags), default=0.0)
