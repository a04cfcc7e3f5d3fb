"""Run chaos.

First strike the points of the crash table one after the other. Then let people text while a seed decides which faults
are injected. At the end the auditor accounts for every text.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any, Final

from chaos import points
from chaos.account import Account
from chaos.auditor import OFFENCES, UNDER_WAY, Verdict, audit
from chaos.growth import Growth, grown
from chaos.injector import THROTTLED, Injector
from chaos.outside import Outside
from chaos.people import People
from chaos.plan import Plan
from chaos.proxy import Exchange, Reaction, When
from chaos.random_faults import RandomFaults
from chaos.strikes import Strikes
from chaos.tree import SHORT, ChaosFailed, Member, Tree, faketime, wait_until
from chaos.witness import Fault, Witness
from sms import webhook_urls
from worker.retry_policy import LEASES_AFTER_DEATH

#: After the last fault the system must come to rest. It may make no progress for at most `REST_SECONDS`, which is the
#: longest pause after a death and a reserve that is longer than the validity period. The whole wait ends after
#: `LONGEST_REST_SECONDS`.
REST_SECONDS: Final = float(SHORT["LEASE_SECONDS"]) * max(LEASES_AFTER_DEATH.values()) + 90.0
LONGEST_REST_SECONDS: Final = 1800.0
#: Between two rounds: longer than a reconciliation takes that read a list before its messages were deleted.
FORGET_SECONDS: Final = 10.0
#: By policy: the reasons for which a text may stay without a reply.
SILENCES: Final = {"latest": frozenset({"superseded"})}


class Run:
    """One run of a plan."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self.witness = Witness()
        self.account = Account()
        #: The faults of the last round.
        self.faults: list[Fault] = []
        self._plan = plan
        self._say = say
        #: None until the tree has started.
        self._strikes: Strikes | None = None
        self._tree = Tree(
            data=plan.data,
            workers=plan.workers,
            dynamodb_local=plan.dynamodb_local,
            skewed=faketime() is not None,
            settings={"DOUBLE_TEXT_POLICY": plan.policy},
            observe=self._observe,
            died=lambda member: self.witness.died(member.name),
        )

    def play(self) -> None:
        """Run the plan: strike the points, then rounds of texts and faults. Raises `ChaosFailed`.

        A round that broke a promise is the last, so that everything of it is kept.
        """
        tree, plan = self._tree, self._plan
        if not tree.skewed:
            self._say("libfaketime is not installed: all clocks agree, so K14 only changes the worker")
        with ExitStack() as last:
            try:
                tree.start()
                outside = Outside(tree.urls)
                last.callback(outside.close)
                people, injector = People(outside), Injector(tree, outside, self.witness)
                growth = Growth(tree, outside)
                strikes = self._strikes = Strikes(
                    tree, outside, people, injector, self._say, kills_only=plan.kills_only
                )
                outside.post_texts_to(tree.webhook_url())
                growth.start()
                last.callback(growth.stop)
                rows = _rows_to_strike(plan)
                strikes.strike_rows(rows, plan.each_point)
                self.account.unproven += [f"{row}: never struck" for row in rows if not strikes.struck[row]]
                outside.post_texts_to(tree.webhook_url(), fallback=webhook_urls.fallback(tree.urls["webhook"]))
                faults = RandomFaults(plan, tree, injector, strikes)
                for seconds in plan.rounds():
                    if self.account.rounds:
                        self._forget(outside, people)
                    self._text(people, faults, seconds)
                    strikes.disarm_all()
                    tree.heal()
                    injector.misbehave()
                    self._audit(outside, people)
                    if any(getattr(self.account, offence) for offence in OFFENCES):
                        break
                self.account.rows = {row: strikes.struck[row] for row in points.ROWS if strikes.struck[row]}
                self.account.over_time = growth.samples
                self.account.unproven += [*grown(growth.samples), *([] if self.account.texts else ["no text was sent"])]
            finally:
                # Observers of the proxies use `outside` until the tree has stopped, so it is closed after that.
                tree.stop()

    def _observe(self, member: Member, exchange: Exchange) -> Reaction:
        if member.role == "worker":
            self.witness.saw(member.name, exchange, time.time())
            throttled = time.monotonic() < member.throttled_until
            if exchange.service == "dynamodb" and exchange.when is When.BEFORE and throttled:
                return THROTTLED
        return self._strikes.react(member, exchange) if self._strikes is not None else None

    def _audit(self, outside: Outside, people: People) -> None:
        verdict = self._come_to_rest(outside, people)
        self.faults = self.witness.take_faults()
        self.account.add(verdict, self.faults)
        if self._plan.seconds > self._plan.round_seconds:
            self._say(f"round {self.account.rounds}: {verdict.texts} texts, {len(verdict.held)} held")

    def _forget(self, outside: Outside, people: People) -> None:
        """Forget a round that was audited: its texts, messages and rows, and the store's record of them."""
        people.forget_texts()
        # the messages first: a text on the list without a row in the journal would be answered again
        outside.forget_messages()
        time.sleep(FORGET_SECONDS)
        outside.tables.forget_journal()
        # the embedded store makes its file small when it starts
        self._tree.kill_launched("dynamodb.py")
        wait_until(outside.tables.answers, REST_SECONDS, "the store")

    def _text(self, people: People, faults: RandomFaults, seconds: float) -> None:
        """Send texts and inject faults until the time is over."""
        if seconds <= 0:
            return
        until = time.monotonic() + seconds
        stopped = threading.Event()
        breaker = threading.Thread(target=faults.inject_until, args=(until, stopped), name="faults")
        breaker.start()
        try:
            self._send(people, until)
            breaker.join()
        finally:
            # also if the run is interrupted: the tree must not be stopped while faults start processes
            stopped.set()
            breaker.join()

    def _send(self, people: People, until: float) -> None:
        # a seed makes a run repeatable
        dice = random.Random(f"{self._plan.seed}|people|{self.account.rounds}")  # noqa: S311
        counts = dict.fromkeys((f"+1555{number:07d}" for number in range(self._plan.people)), 0)
        while time.monotonic() < until:
            person = dice.choice(list(counts))
            for _ in range(dice.choice((1, 1, 1, 2, 4))):
                counts[person] += 1
                people.send(person, f"text {counts[person]} of {person[-4:]}")
            time.sleep(dice.expovariate(self._plan.rate / 1.8))

    def _come_to_rest(self, outside: Outside, people: People) -> Verdict:
        """Wait for all pending work as long as it makes progress, and return the last verdict."""
        longest = time.monotonic() + LONGEST_REST_SECONDS
        deadline, settled = time.monotonic() + REST_SECONDS, -1
        while True:
            over = time.monotonic() > min(deadline, longest)
            evidence = outside.evidence(
                people.texts,
                self.witness.excuses(),
                silences=SILENCES.get(self._plan.policy, frozenset()),
                at_rest=over,
            )
            verdict = audit(evidence)
            under_way = any(row.state in UNDER_WAY for row in evidence.rows)
            if over or (verdict.good and not under_way):
                return verdict
            if (now_settled := verdict.answered + verdict.silent + len(verdict.held)) > settled:
                deadline, settled = time.monotonic() + REST_SECONDS, now_settled
            time.sleep(2)


def _rows_to_strike(plan: Plan) -> list[str]:
    """Return the rows that a run is to strike at: those of the plan that have a point to strike."""
    rows = plan.rows or points.ROWS
    return [row for row in rows if plan.each_point and points.points_of(row, kills_only=plan.kills_only)]


def run(plan: Plan, say: Callable[[str], None]) -> tuple[bool, dict[str, Any]]:
    """Run a plan. Return whether the promise was kept, and the account.

    The account, with the seed and the last round's fault log, is also written to `chaos.json` in the data folder.
    Raises `ChaosFailed`.
    """
    unknown = set(plan.rows) - set(points.ROWS)
    if unknown:
        raise ChaosFailed(f"the crash table has no row {', '.join(sorted(unknown))}")
    never = [row for row in plan.rows if row not in _rows_to_strike(plan)]
    if never and plan.each_point:
        raise ChaosFailed(f"no point of {', '.join(never)} only kills")
    run_ = Run(plan, say)
    say(f"seed {plan.seed}, {plan.seconds / 60:.1f} minutes, data in {plan.data}")
    run_.play()
    account = {"seed": plan.seed, "seconds": plan.seconds, **run_.account.as_json()}
    log = [asdict(fault) for fault in run_.faults]
    (plan.data / "chaos.json").write_text(json.dumps({**account, "log": log}, indent=1))
    return run_.account.good, account
