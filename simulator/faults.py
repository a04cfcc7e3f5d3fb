"""The network's faults: rules that strike at stations of a message, drawn by a seed and logged.

    at        do                      what happens
    create    slow                    the answer takes `seconds`
              full                    the sender's queue is full: 429 and code 21611
              error                   `status` and `code` are answered; with `accepted`, the message is still created
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

A rule strikes with the probability `rate`, at most `times` times, for one telephone (`person`) or for all. `lag`
strikes lists, not messages: its `person` is the `To`, or else the `From`, by which a list is asked for. The draw
depends on the seed, the rule, the telephone and the number of its messages that passed the station before: the same
seed gives the same faults, whatever else happens meanwhile.
"""

from __future__ import annotations

import random
import time
import tomllib
from collections import Counter
from collections.abc import Mapping
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
#: The largest number in a rule: a million seconds are eleven days.
MOST: Final = 1_000_000
#: How many strikes `GET /faults/log` can show.
LOG_LENGTH: Final = 100_000


class UnusableRule(Exception):
    """A rule that no station can apply; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One fault, and when it strikes."""

    at: str
    do: str
    rate: float = 1.0
    times: int | None = None
    person: str = ""
    #: None, for `lag`: messages never appear on the list.
    seconds: float | None = None
    status: int = 503
    code: int | None = None
    retry_after: int | None = None
    accepted: bool = False

    @property
    def lag(self) -> float:
        """The age in seconds below which messages are missing from a list."""
        return float("inf") if self.seconds is None else self.seconds

    @classmethod
    def of(cls, given: object) -> Self:
        """Parse a rule. Raises `UnusableRule`."""
        if not isinstance(given, dict):
            raise UnusableRule("a rule must be an object")
        unknown = set(given) - {field.name for field in fields(cls)}
        if unknown:
            raise UnusableRule(f"unknown fields of a rule: {', '.join(sorted(unknown))}")
        at, do = str(given.get("at")), str(given.get("do"))
        if at not in ACTIONS:
            raise UnusableRule(f"at: must be one of {', '.join(ACTIONS)}")
        if do not in ACTIONS[at]:
            raise UnusableRule(f"do: at {at}, must be one of {', '.join(sorted(ACTIONS[at]))}")
        _check_types(given)
        return cls(**given)


def _check_types(given: Mapping[str, Any]) -> None:  # Any: JSON
    """Raise `UnusableRule` if a field of a rule is of a wrong type or out of range."""
    rate = given.get("rate", 1.0)
    if type(rate) not in {int, float} or not 0 <= rate <= 1:
        raise UnusableRule("rate: must be a number from 0 to 1")
    for name in ("times", "code", "retry_after", "status"):
        value = given.get(name)
        if value is not None and (type(value) is not int or not 0 <= value <= MOST):
            raise UnusableRule(f"{name}: must be a whole number from 0 to {MOST}")
    if given.get("status", 503) not in range(200, 600):
        raise UnusableRule("status: must be an HTTP status from 200 to 599")
    seconds = given.get("seconds")
    if seconds is not None and (type(seconds) not in {int, float} or not 0 <= seconds <= MOST):
        raise UnusableRule(f"seconds: must be a number from 0 to {MOST}")
    if not isinstance(given.get("person", ""), str) or not isinstance(given.get("accepted", False), bool):
        raise UnusableRule("person: must be a text; accepted: must be true or false")


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """A rule that struck."""

    when: float
    at: str
    do: str
    person: str
    sid: str


class Faults:
    """How long the stations of the network take, and the rules of its faults."""

    def __init__(self, *, seed: int = 0, sending_seconds: float = 0.05, delivery_seconds: float = 0.25) -> None:
        #: Time from creation to `sent`, and from `sent` to `delivered`.
        self.sending_seconds, self.delivery_seconds = sending_seconds, delivery_seconds
        self.log: list[Strike] = []
        self._seed = seed
        self._rules: tuple[Rule, ...] = ()
        self._passed: Counter[tuple[int, str]] = Counter()
        self._struck: Counter[int] = Counter()

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read a TOML file: `seed`, and a `[[rules]]` table for each rule. Raises `UnusableRule`, `OSError`."""
        faults = cls()
        try:
            given = tomllib.loads(path.read_text())
            faults.set(given.get("rules", []), seed=given.get("seed", 0))
        except (ValueError, UnusableRule) as exc:  # the first: not TOML, or not UTF-8
            raise UnusableRule(f"{path}: {exc}") from exc
        return faults

    def set(self, rules: object, *, seed: object = None) -> None:
        """Replace the rules and reset their counts; `seed` None keeps the seed.

        Raises `UnusableRule`, and changes nothing, if any rule is unusable.
        """
        if not isinstance(rules, list):
            raise UnusableRule("rules: must be a list")
        if seed is not None and type(seed) is not int:
            raise UnusableRule("seed: must be a whole number")
        self._rules = tuple(Rule.of(given) for given in rules)
        self._struck.clear()
        self._passed.clear()
        self._seed = self._seed if seed is None else seed

    def describe(self) -> dict[str, Any]:  # Any: JSON
        """Return the seed, the rules with how often each struck, and the possible actions."""
        rules = [{**asdict(rule), "struck": self._struck[place]} for place, rule in enumerate(self._rules)]
        return {"seed": self._seed, "rules": rules, "actions": {at: sorted(do) for at, do in ACTIONS.items()}}

    def draw(self, at: str, person: str, sid: str, *, only: frozenset[str] | None = None) -> Rule | None:
        """Return the rule that strikes a message at this station, if any, and log it.

        `only`: consider only rules with these actions.
        """
        for place, rule in enumerate(self._rules):
            if rule.at != at or (rule.person and rule.person != person) or (only is not None and rule.do not in only):
                continue
            passed = self._passed[place, person]
            self._passed[place, person] += 1
            if rule.times is not None and self._struck[place] >= rule.times:
                continue
            dice = random.Random(f"{self._seed}|{place}|{person}|{passed}")  # noqa: S311 - must be reproducible
            if dice.random() < rule.rate:
                self._struck[place] += 1
                self.log.append(Strike(when=time.time(), at=at, do=rule.do, person=person, sid=sid))
                del self.log[:-LOG_LENGTH]
                return rule
        return None
