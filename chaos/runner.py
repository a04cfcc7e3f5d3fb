"""Run a day of chaos.

First strike the points of the crash table one after the other. Then let people text while a seed decides which faults
are injected. At the end the auditor accounts for every text.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis

from chaos import points
from chaos.auditor import SentText, Verdict, audit, describe
from chaos.outside import Outside
from chaos.points import Deal, Point
from chaos.proxy import CUT, Deed, Exchange, When
from chaos.steps import Step, attempt_of, step_of, took_effect
from chaos.tree import ChaosFailed, Member, Tree, faketime
from chaos.witness import Witness
from inbox import keys

#: After the last fault the system must come to rest. It may make no progress for at most `REST_SECONDS`, which is the
#: validity period and a reserve. The whole wait ends after `LONGEST_REST_SECONDS`.
REST_SECONDS: Final = 150.0
LONGEST_REST_SECONDS: Final = 1800.0
#: How long a worker is stopped: longer than its lease.
SLEEP_SECONDS: Final = 6.0
#: An armed point is given up if no request has reached its step by then.
STRIKE_SECONDS: Final = 45.0
#: A text that is not in its inbox after this time is settled and will not reach the point any more.
OVER_SECONDS: Final = 5.0
#: At most this many texts are sent for each strike that a row needs.
MOST_TRIES: Final = 3
#: How long the store throttles or is away at a point.
STORE_TROUBLE_SECONDS: Final = 2.5
#: How long to wait until an inserted text is in the inbox.
TEXT_SECONDS: Final = 3.0
#: By policy: the reasons for which a text may stay without a reply.
SILENCES: Final = {"latest": frozenset({"superseded"})}
_THROTTLED: Final = json.dumps(
    {
        "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        "message": "throttled by chaos",
    }
).encode()
THROTTLED: Final = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: %d\r\n\r\n%s"
    % (len(_THROTTLED), _THROTTLED)
)


@dataclass(slots=True, kw_only=True)
class Plan:
    """The parameters of a day: duration, load, faults and seed."""

    seconds: float
    seed: int
    data: Path
    workers: int = 3
    people: int = 60
    #: Texts per second, all people together.
    rate: float = 6.0
    #: Mean number of seconds between two faults.
    fault_every: float = 1.5
    #: How often each row of the crash table is struck before the day begins.
    each_point: int = 0
    #: Rows to strike, such as `["K6"]`. If empty, all.
    rows: Sequence[str] = ()
    #: The value of `DOUBLE_TEXT_POLICY`, which says how several waiting texts are answered.
    policy: str = "each"


@dataclass(slots=True)
class _Armed:
    """A point that waits for a request to reach its step."""

    point: Point
    person: str
    struck: threading.Event = field(default_factory=threading.Event)


class Day:
    """One run of a plan."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self.plan = plan
        self._say = say
        self.witness = Witness()
        self.texts: list[SentText] = []
        #: How often each row of the crash table was struck.
        self.struck: Counter[str] = Counter()
        self._armed: list[_Armed] = []
        self._lock = threading.Lock()
        self._rules: list[dict[str, Any]] = []
        self._people = 0
        self.tree = Tree(
            data=plan.data,
            workers=plan.workers,
            skewed=faketime() is not None,
            settings={"DOUBLE_TEXT_POLICY": plan.policy},
            observe=self._observe,
            died=lambda member: self.witness.died(member.name),
        )

    def play(self) -> Verdict:
        """Run the plan and return the auditor's verdict. Raises `ChaosFailed`."""
        if not self.tree.skewed:
            self._say("libfaketime is not installed: all clocks agree, so K14 only changes the worker")
        with ExitStack() as last:
            try:
                self.tree.start()
                self.outside = Outside(self.tree.urls)
                last.callback(self.outside.close)
                self.outside.post_texts_to(self.tree.webhook_url())
                self._strike_points()
                fallback = f"{self.tree.urls['webhook']}/sms/fallback"
                self.outside.post_texts_to(self.tree.webhook_url(), fallback=fallback)
                self._live()
                self.tree.heal()
                self._set_rules()
                return self._come_to_rest()
            finally:
                # Observers of the proxies use `outside` until the tree has stopped, so it is closed after that.
                self.tree.stop()

    def _observe(self, member: Member, exchange: Exchange) -> Deed:
        now = time.time()
        if member.role == "worker":
            self.witness.saw(member.name, exchange, now)
            if exchange.service == "dynamodb" and exchange.when is When.BEFORE and self._throttled(member):
                return THROTTLED
        armed = self._matching(exchange)
        if armed is None:
            return None
        deed = self._do(armed, member, exchange, now)
        armed.struck.set()
        return deed

    def _throttled(self, member: Member) -> bool:
        return time.monotonic() < member.throttled_until

    def _matching(self, exchange: Exchange) -> _Armed | None:
        """Return and disarm the armed point whose step this exchange is."""
        if not self._armed:
            return None
        step = step_of(exchange.service, exchange.request)
        if step is None or (exchange.when is When.AFTER and not took_effect(exchange.service, exchange.answer)):
            return None
        with self._lock:
            for armed in self._armed:
                point = armed.point
                if (point.service, point.step, point.when) == (
                    exchange.service,
                    step,
                    exchange.when,
                ) and self._is_about(armed.person, step, exchange):
                    self._armed.remove(armed)
                    return armed
        return None

    def _is_about(self, person: str, step: Step, exchange: Exchange) -> bool:
        if step is Step.POP:
            return b"dadacat.answer" in exchange.answer
        if step in (Step.REMOVE, Step.CLOSE, Step.TAKE):
            return self.outside.who(person).encode() in exchange.request
        return person[1:].encode() in exchange.request

    def _do(self, armed: _Armed, member: Member, exchange: Exchange, now: float) -> Deed:
        """Inject the fault. Count the row only if something was struck."""
        strike, deed = self._deals(armed, member, exchange, now)[armed.point.deal]
        if not strike():
            return None
        self.struck[armed.point.row] += 1
        return deed

    def _deals(
        self, armed: _Armed, member: Member, exchange: Exchange, now: float
    ) -> dict[Deal, tuple[Callable[[], bool], Deed]]:
        """Map each deal to the function that injects it and to what then happens to the exchange."""
        label = armed.point.label
        attempt = attempt_of(exchange.request) if exchange.service == "twilio" else ""

        def noted(kind: str = "", **more: Any) -> bool:
            self.witness.struck(now, label, kind=kind, **more)
            return True

        return {
            Deal.KILL: (lambda: self._kill(member, label), CUT),
            Deal.KILL_AND_EMPTY_QUEUE: (lambda: self._kill(member, label) and self._empty_queue(), CUT),
            Deal.CUT: (lambda: noted("cut", attempt=attempt), CUT),
            Deal.SLEEP: (lambda: self._put_to_sleep(member, label), None),
            Deal.KILL_REDIS: (lambda: self._kill_redis_now(label), CUT),
            Deal.THROTTLE: (lambda: self._throttle(member, label), THROTTLED),
            Deal.AWAY: (lambda: self._take_store_away(STORE_TROUBLE_SECONDS, label), CUT),
            Deal.FLUSH: (lambda: self._flush(label), None),
            Deal.TEXT: (lambda: self._insert_text(armed.person) and noted(), None),
        }

    def _kill(self, member: Member, label: str) -> bool:
        process = member.process
        if process is None or process.poll() is not None:
            return False
        self.witness.struck(time.time(), label, member.name, kind="kill")
        os.kill(process.pid, signal.SIGKILL)
        return True

    def _empty_queue(self) -> bool:
        self.outside.redis.delete(keys.QUEUE)
        return True

    def _kill_redis_now(self, label: str) -> bool:
        killed = self.tree.kill_in_up("valkey-server", "redis-server")
        if killed:
            self.witness.struck(time.time(), label, kind="kill")
        return killed

    def _throttle(self, member: Member, label: str) -> bool:
        member.throttled_until = time.monotonic() + STORE_TROUBLE_SECONDS
        self.witness.struck(time.time(), label, member.name, seconds=STORE_TROUBLE_SECONDS)
        return True

    def _put_to_sleep(self, member: Member, label: str) -> bool:
        process = member.process
        if process is None or process.poll() is not None:
            return False
        process.send_signal(signal.SIGSTOP)
        self.witness.struck(time.time(), label, member.name, seconds=SLEEP_SECONDS)
        threading.Timer(SLEEP_SECONDS, lambda: member.signal(signal.SIGCONT)).start()
        return True

    def _take_store_away(self, seconds: float, label: str) -> bool:
        workers = self.tree.of_role("worker")
        self.witness.struck(time.time(), label, *(member.name for member in workers), seconds=seconds)
        for member in workers:
            member.proxies["dynamodb"].away(seconds)
        return True

    def _flush(self, label: str) -> bool:
        try:
            self.outside.redis.flushall()
        except redis.RedisError:
            return False  # Redis is being killed right now
        self.witness.struck(time.time(), label)
        return True

    def _insert_text(self, person: str) -> bool:
        """Send another text of the same person, and wait until it is accepted."""
        self._text(person, "and another thing")
        deadline = time.monotonic() + TEXT_SECONDS
        while time.monotonic() < deadline:
            if self.outside.waits(person):
                return True
            time.sleep(0.01)
        return False

    def _strike_points(self) -> None:
        rows = self.plan.rows or points.ROWS
        for row in rows if self.plan.each_point else ():
            variants = itertools.cycle(points.points_of(row))
            for point in itertools.islice(variants, self.plan.each_point * MOST_TRIES):
                if self.struck[row] >= self.plan.each_point:
                    break
                self._strike(point)
            self._say(f"{row}: struck {self.struck[row]} times")

    def _strike(self, point: Point) -> None:
        """Send one text to a point. Count the point only if a request reached it."""
        person = self._somebody()
        self._set_rules(*({**rule, "person": person} for rule in point.rules))
        armed = _Armed(point, person)
        if point.deal is not Deal.RULES:
            with self._lock:
                self._armed.append(armed)
        self._text(person, f"{point.row} {person[-5:]}")
        if point.rules:
            self.outside.wait_for_delivery(person, STRIKE_SECONDS)
        if point.deal is Deal.RULES:
            self.struck[point.row] += 1
            self.witness.struck(time.time(), point.label)
        else:
            self._wait_for_strike(armed)
        self._wait_for_hands()

    def _wait_for_strike(self, armed: _Armed) -> None:
        """Wait until an armed point strikes or its text is settled without reaching the point.

        A text can miss its point if a callback is faster than the answer that it overtakes.
        """
        started_at = time.monotonic()
        while not armed.struck.wait(0.2):
            elapsed = time.monotonic() - started_at
            over = elapsed > OVER_SECONDS and not self.outside.waits(armed.person)
            if over or elapsed > STRIKE_SECONDS:
                with self._lock:
                    if armed in self._armed:
                        self._armed.remove(armed)
                return

    def _wait_for_hands(self) -> None:
        """Wait until a worker and every webhook are ready; otherwise no request would reach the next point."""
        deadline = time.monotonic() + STRIKE_SECONDS
        while time.monotonic() < deadline:
            if any(self.tree.answers(member) for member in self.tree.of_role("worker")) and all(
                self.tree.answers(member) for member in self.tree.of_role("webhook")
            ):
                return
            time.sleep(0.05)

    def _somebody(self) -> str:
        self._people += 1
        return f"+1556{self._people:07d}"

    def _text(self, person: str, body: str) -> None:
        sid = self.outside.text(person, body)
        if sid:
            self.texts.append(SentText(sid=sid, person=person))

    def _live(self) -> None:
        """Send texts and inject faults until the time is over."""
        if self.plan.seconds <= 0:
            return
        until = time.monotonic() + self.plan.seconds
        breaker = threading.Thread(target=self._break_things, args=(until,), name="breaker")
        breaker.start()
        dice = random.Random(f"{self.plan.seed}|people")  # noqa: S311 - a seed makes a day repeatable
        counts = dict.fromkeys((f"+1555{number:07d}" for number in range(self.plan.people)), 0)
        while time.monotonic() < until:
            person = dice.choice(list(counts))
            for _ in range(dice.choice((1, 1, 1, 2, 4))):
                counts[person] += 1
                self._text(person, f"text {counts[person]} of {person[-4:]}")
            time.sleep(dice.expovariate(self.plan.rate / 1.8))
        breaker.join()
        with self._lock:
            self._armed.clear()

    def _break_things(self, until: float) -> None:
        dice = random.Random(f"{self.plan.seed}|faults")  # noqa: S311 - a seed makes a day repeatable
        faults, weights = zip(*self._menu(), strict=True)
        while True:
            pause = dice.expovariate(1 / self.plan.fault_every)
            if time.monotonic() + pause >= until:
                return
            time.sleep(pause)
            dice.choices(faults, weights)[0](dice)

    def _menu(self) -> Iterator[tuple[Callable[[random.Random], None], int]]:
        yield self._kill_worker, 22
        yield self._cut_dynamodb, 30
        yield self._cut_twilio, 30
        yield self._cut_redis, 20
        yield self._arm_a_point, 16
        yield self._stop_worker, 5
        yield self._terminate_worker, 5
        yield self._dynamodb_away, 4
        yield self._kill_redis, 4
        yield self._flushall, 3
        yield self._kill_webhook, 5
        yield self._twilio_misbehaves, 8

    def _some(self, dice: random.Random, role: str) -> Member:
        return dice.choice(self.tree.of_role(role))

    def _kill_worker(self, dice: random.Random) -> None:
        self._kill(self._some(dice, "worker"), "kill worker")

    def _kill_webhook(self, dice: random.Random) -> None:
        if dice.random() < 0.5:  # noqa: PLR2004 - a coin
            self._kill(self._some(dice, "webhook"), "kill webhook")
        elif self.tree.kill_in_up("dadacat webhook"):
            self.witness.struck(time.time(), "kill the fallback's webhook", kind="kill")

    def _terminate_worker(self, dice: random.Random) -> None:
        self._some(dice, "worker").signal(signal.SIGTERM)
        self.witness.struck(time.time(), "terminate worker")

    def _stop_worker(self, dice: random.Random) -> None:
        self._put_to_sleep(self._some(dice, "worker"), "sleep through the lease")

    def _arm_a_point(self, dice: random.Random) -> None:
        """Arm a point of the crash table for the next text of a random person."""
        point = dice.choice([point for point in points.POINTS if not point.rules])
        person = f"+1555{dice.randrange(self.plan.people):07d}"
        with self._lock:
            self._armed.append(_Armed(point, person))

    def _cut_dynamodb(self, dice: random.Random) -> None:
        self._cut(dice, self._some(dice, "worker"), "dynamodb", dice.randint(1, 8))

    def _cut_twilio(self, dice: random.Random) -> None:
        self._cut(dice, self._some(dice, "worker"), "twilio", 1)

    def _cut_redis(self, dice: random.Random) -> None:
        member = self._some(dice, "worker" if dice.random() < 0.8 else "webhook")  # noqa: PLR2004 - dice
        self._cut(dice, member, "redis", dice.randint(1, 12))

    def _cut(self, dice: random.Random, member: Member, service: str, nth: int) -> None:
        when = When.BEFORE if dice.random() < 0.45 else When.AFTER  # noqa: PLR2004 - dice

        def struck(exchange: Exchange) -> None:
            step = step_of(service, exchange.request)
            attempt = attempt_of(exchange.request) if step in (Step.CLAIM, Step.SEND, Step.BIND) else ""
            self.witness.struck(time.time(), f"cut {service} {when}", attempt=attempt, kind="cut")

        member.proxies[service].cut(nth, when, struck)

    def _dynamodb_away(self, dice: random.Random) -> None:
        self._take_store_away(dice.uniform(1, 6), "dynamodb away")

    def _kill_redis(self, dice: random.Random) -> None:
        del dice
        self._kill_redis_now("kill redis")

    def _flushall(self, dice: random.Random) -> None:
        del dice
        self._flush("redis emptied")

    def _twilio_misbehaves(self, dice: random.Random) -> None:
        """Let the simulated carrier misbehave at random for a few seconds."""
        wrongs: list[dict[str, Any]] = [
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
        ]
        self._set_rules(*dice.sample(wrongs, k=2), seed=dice.randint(0, 10**6))
        seconds = dice.uniform(2, 5)
        self.witness.struck(time.time(), "twilio misbehaves", seconds=seconds)
        time.sleep(seconds)
        self._set_rules()

    def _set_rules(self, *rules: dict[str, Any], seed: int | None = None) -> None:
        if not rules and not self._rules:
            return
        self._rules = list(rules)
        self.outside.misbehave(self._rules, seed)

    def _come_to_rest(self) -> Verdict:
        """Wait for all pending work as long as it makes progress, and return the last verdict."""
        longest = time.monotonic() + LONGEST_REST_SECONDS
        deadline, settled = time.monotonic() + REST_SECONDS, -1
        while True:
            over = time.monotonic() > min(deadline, longest)
            evidence = self.outside.evidence(
                self.texts, self.witness.excuses(), silences=SILENCES.get(self.plan.policy, frozenset()), at_rest=over
            )
            verdict = audit(evidence)
            under_way = any(row.state in ("UNKNOWN", "SENDING", "NEW", "RETRY", "FILED") for row in evidence.rows)
            if over or (verdict.good and not under_way):
                return verdict
            if (now_settled := verdict.answered + verdict.silent + len(verdict.held)) > settled:
                deadline, settled = time.monotonic() + REST_SECONDS, now_settled
            time.sleep(2)


def run(plan: Plan, say: Callable[[str], None]) -> tuple[bool, dict[str, Any]]:
    """Run a day. Return whether the promise was kept, and the account.

    The account, with the seed and the fault log, is also written to `chaos.json` in the data folder.
    Raises `ChaosFailed`.
    """
    unknown = set(plan.rows) - set(points.ROWS)
    if unknown:
        raise ChaosFailed(f"the crash table has no row {', '.join(sorted(unknown))}")
    day = Day(plan, say)
    say(f"seed {plan.seed}, {plan.seconds / 60:.1f} minutes, data in {plan.data}")
    verdict = day.play()
    faults = sorted(day.witness.faults, key=lambda fault: fault.at)
    rows = {row: day.struck[row] for row in points.ROWS if day.struck[row]}
    account = {"seed": plan.seed, "seconds": plan.seconds, **describe(verdict, faults), "rows": rows}
    log = [
        {"at": f.at, "what": f.what, "seconds": f.seconds, "kind": f.kind, "attempts": list(f.attempts)} for f in faults
    ]
    (plan.data / "chaos.json").write_text(json.dumps({**account, "log": log}, indent=1))
    return verdict.good, account
