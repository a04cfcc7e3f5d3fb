"""The product with one guard taken out: within how many days does a simulated day go wrong?

python -m tests.simulation.mutants            runs them all
python -m tests.simulation.mutants WORD       runs those whose name contains the word

Each one that was run gets a new row in the table of docs/explanation/simulation.md. A guard that has another one
behind it is taken out together with that one: then a day counts that goes wrong in a way in which it does not if only
the other one is missing.
"""

from __future__ import annotations

import fcntl
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final
from unittest import mock

from chaos.days import machine
from chaos.days.day import Outcome, simulate
from chaos.days.draw import draw
from chaos.days.parallel import in_parallel
from chaos.days.plan import Plan, What
from chaos.days.wire import SCRIPTS
from conversation import contention
from inbox import payloads
from journal import outbox
from journal.model import Binding
from journal.outbox import Outbox
from journal.states import PartState
from journal.turns import Turns
from sms.messages import InboundSms
from tests.conftest import ROOT
from tests.model.guards import Unguarded, script_guards
from worker import dangers, delivery, receipts
from worker.circuits import Circuits
from worker.delivery import Delivery
from worker.intake import Intake
from worker.lease import LeaseKeeper
from worker.reconcile import absence, evidence
from worker.reconcile.doubts import Doubts
from worker.reconcile.missed_texts import MissedTexts
from worker.reconcile.reconciler import Reconciler
from worker.reconcile.resend import Resends
from worker.reconcile.sent_messages import SentMessages
from worker.send_marks.marks import Mark, Marks
from worker.visits import Visits

#: After so many days without an offence a guard counts as not missed.
MOST_DAYS: Final = 1000
PAGE: Final = ROOT / "docs" / "explanation" / "simulation.md"
#: The sources here do not evaluate their annotations.
_ANNOTATIONS: Final = annotations.compiler_flag
_BEGIN, _END = "<!-- mutants -->", "<!-- end of the mutants -->"
_HEAD: Final = ("| without this guard | days | what went wrong first |", "|---|---|---|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """The product without one guard."""

    #: What is missing, in words.
    name: str
    #: Conditions of writes, or a guard of a script, as `tests.model.guards` names them.
    conditions: tuple[str, ...] = ()
    script: str = ""
    #: A script, what stands in it, and what stands there instead.
    edit: tuple[str, str, str] | None = None
    #: What replaces a piece of code.
    patch: Callable[[], AbstractContextManager[Any]] = nullcontext
    #: What makes its absence harmless: it is taken out, too.
    behind: Mutant | None = None
    #: Whether its code runs in a day at all; such as never where no reply in doubt is sent again. Other days count as
    #: days without an offence, and are not run.
    runs_in: Callable[[Plan], bool] = lambda _: True

    def simulate(self, seed: int) -> Outcome:
        """Run one day without the guard, and without the one behind it."""
        missing = [self] if self.behind is None else [self, self.behind]
        conditions = [condition for mutant in missing for condition in mutant.conditions]
        edits = {name: script for mutant in missing for name, script in mutant.edits().items()}
        with ExitStack() as stack:
            for mutant in missing:
                stack.enter_context(mutant.patch())
            return simulate(draw(seed), tables=(lambda: Unguarded(*conditions)) if conditions else None, edits=edits)

    def edits(self) -> Mapping[str, str]:
        """Return the scripts without the guard."""
        if self.edit is not None:
            name, old, new = self.edit
            assert old in SCRIPTS[name]
            return {name: SCRIPTS[name].replace(old, new)}
        return _guards()[self.script] if self.script else {}

    def goes_wrong(self, seed: int) -> str:
        """Return what goes wrong in a day because the guard is missing; empty: nothing."""
        offences = self.simulate(seed).offences
        if offences and self.behind is not None:
            expected = set(map(_kind, self.behind.simulate(seed).offences))
            offences = [offence for offence in offences if _kind(offence) not in expected]
        return offences[0] if offences else ""


@cache
def _guards() -> dict[str, dict[str, str]]:
    return script_guards()


def _replaced(owner: object, name: str, instead: object) -> Callable[[], AbstractContextManager[Any]]:
    return lambda: mock.patch.object(owner, name, instead)


def _edited(owner: Any, name: str, old: str, new: str) -> Callable[[], AbstractContextManager[Any]]:
    """Replace a function, or a method, by one whose source says something else."""

    def patch() -> AbstractContextManager[Any]:
        function = getattr(owner, name)
        source = textwrap.dedent(inspect.getsource(function))
        assert old in source, f"{name} does not say {old}"
        names = dict(function.__globals__)
        exec(compile(source.replace(old, new), name, "exec", flags=_ANNOTATIONS), names)  # noqa: S102
        return mock.patch.object(owner, name, names[name])

    return patch


def _nothing(*_: object, **__: object) -> None:
    return None


def _begin_unmarked(self: Mark) -> bool:
    del self
    return True


@contextmanager
def _marked_late() -> Iterator[None]:
    """Write the mark of an attempt only when its claim has been answered."""
    real_claiming, real_begin = Mark.claiming, Mark.begin

    def claiming(self: Mark, key: str, attempt_id: str, *, fence: int) -> None:
        _late[id(self)] = (key, attempt_id, fence)

    def begin(self: Mark) -> bool:
        key, attempt_id, fence = _late.pop(id(self))
        real_claiming(self, key, attempt_id, fence=fence)
        return real_begin(self)

    _late: dict[int, tuple[str, str, int]] = {}
    with mock.patch.object(Mark, "claiming", claiming), mock.patch.object(Mark, "begin", begin):
        yield


@contextmanager
def _settled_before_bind() -> Iterator[None]:
    """Free the mark before the outcome is in the journal."""
    real = Delivery._bind

    def bind(self: Delivery, visit: Any, part: Any, binding: Any) -> Any:
        visit.mark.settled()
        return real(self, visit, part, binding)

    with mock.patch.object(Delivery, "_bind", bind):
        yield


@contextmanager
def _removed_before_reply() -> Iterator[None]:
    """Remove a text from the inbox before its reply is sent."""
    real = Visits._answer

    def answer(self: Visits, visit: Any, batch: Any) -> Any:
        self._remove(visit, batch.entries)
        return real(self, visit, batch)

    with mock.patch.object(Visits, "_answer", answer):
        yield


@contextmanager
def _acknowledged_first() -> Iterator[None]:
    """Answer 200 before Redis confirmed the text."""
    real = machine.Webhook._accept

    def accept(self: machine.Webhook, text: InboundSms, accepted: Callable[[], None]) -> None:
        accepted()
        real(self, text, accepted)

    with mock.patch.object(machine.Webhook, "_accept", accept):
        yield


@contextmanager
def _fence_not_raised() -> Iterator[None]:
    """Prove an attempt unsent without raising the fence first."""
    real = contention.holds

    def holds(tables: Any, update: Any) -> bool:
        return True if list(update.set) == ["fence"] else real(tables, update)

    with mock.patch.object(outbox, "holds", holds):
        yield


@contextmanager
def _reconciled_seldom() -> Iterator[None]:
    """Let beat start no reconciliation."""
    real = machine.Beat.every

    def every(self: machine.Beat, seconds: float, task: str) -> None:
        if task != payloads.RECONCILE_TASK:
            real(self, seconds, task)

    with mock.patch.object(machine.Beat, "every", every):
        yield


def _resends(plan: Plan) -> bool:
    return plan.terms.resend


def _is_emptied(plan: Plan) -> bool:
    return any(fault.what is What.REDIS_EMPTIED for fault in plan.faults)


def _spends_when_emptied(plan: Plan) -> bool:
    return plan.terms.cap is not None and _is_emptied(plan)


def _kind(offence: str) -> str:
    return offence.partition(":")[0]


def _again(visit: Any, reason: str) -> Binding:
    return Binding(state=PartState.RETRY, due=visit.now_ms(), reason=reason)


_NOT_OPTED_OUT: Final = Mutant(
    name="a part is sent to a person who opted out", patch=_edited(Delivery, "_unwanted", 'return "opted out"', "pass")
)
_FILED_OVER: Final = Mutant(name="a text is filed over its row", conditions=("Turns.file in#: user_id",))
_NO_CONDITION: Final = Mutant(name="persist: no condition at all", conditions=("Turns.persist: everything",))
_CLAIM_STATE: Final = Mutant(name="claim: the state is not compared", conditions=("Outbox.claim out#: state",))
_CLAIM_FENCE: Final = Mutant(name="claim: the fence is not compared", conditions=("Outbox.claim item: fence",))
_FORGOTTEN: Final = Mutant(name="an attempt that was left is forgotten", patch=_replaced(Marks, "abandon", _nothing))
_NO_STATEMENT: Final = Mutant(
    name="a status that no callback reported is not looked for", patch=_replaced(SentMessages, "read", lambda *_: None)
)
_SELDOM: Final = Mutant(name="the reconciler runs only at start and when Redis was emptied", patch=_reconciled_seldom)
_AGE: Final = Mutant(
    name="resend: the age of the doubt does not matter",
    patch=_edited(absence, "is_enough", "now - moment(part.unknown_since) >= terms.after", "True"),
)

MUTANTS: Final = (
    # the inbox
    Mutant(name="the webhook answers 200 before Redis confirmed", patch=_acknowledged_first),
    Mutant(name="a text is removed from the inbox before its reply is sent", patch=_removed_before_reply),
    Mutant(name="`accept` does not compare with the texts that wait", script="accept: if entry[2][2] == sid",
           behind=_FILED_OVER),
    Mutant(name="`take` does not ask whether the lease is free", script="take: SET NX"),
    Mutant(name="`close` does not compare the lease's token", script="close: if redis.call('GET', KEYS[1]) ~= ARGV[1]"),
    Mutant(name="`close` does not look for waiting texts", script="close: if redis.call('XLEN', KEYS[2]) > 0"),
    Mutant(name="`remove` does not compare the lease's token",
           script="remove: if redis.call('GET', KEYS[1]) ~= ARGV[1]", behind=_NO_CONDITION),
    Mutant(name="`give_back` does not compare the lease's token",
           script="give_back: if redis.call('GET', KEYS[1]) ~= ARGV[1]"),
    Mutant(name="`due` does not notice that Redis was emptied", script="due: SET NX", behind=_SELDOM,
           runs_in=_is_emptied),
    Mutant(name="leases are not renewed", patch=_replaced(LeaseKeeper, "_run", _nothing)),
    # filing and persisting
    _FILED_OVER,
    _NO_CONDITION,
    Mutant(name="persist: the token is not read back", patch=_replaced(Turns, "_took_effect", lambda *_: False),
           behind=_FILED_OVER),
    Mutant(name="persist: the fence is not compared", conditions=("Turns.persist item: fence",),
           behind=Mutant(name="persist: nothing but the fence is compared",
                         conditions=("Turns.persist item: version", "Turns.persist item: updated_at",
                                     "Turns.persist in#: state", "Turns.persist out#: user_id"))),
    Mutant(name="settle: the fence is not compared", conditions=("Turns.settle item: fence",),
           behind=Mutant(name="settle: the state is not compared", conditions=("Turns.settle in#: state",))),
    # claim, send, bind
    replace(_CLAIM_FENCE, behind=_CLAIM_STATE),
    replace(_CLAIM_STATE, behind=_CLAIM_FENCE),
    Mutant(name="claim: an attempt may take effect twice", conditions=("Outbox.claim out#: attempts",)),
    Mutant(name="claim: no condition at all", conditions=("Outbox.claim: everything",)),
    Mutant(name="claim: the attempt is not read back", patch=_replaced(Outbox, "_row", _nothing), behind=_FORGOTTEN),
    Mutant(name="an old claim is acted upon", patch=_replaced(delivery, "CLAIM_GOOD_FOR_SECONDS", float("inf"))),
    Mutant(name="a part in SENDING is sent again", patch=_replaced(delivery, "_unknown", _again)),
    Mutant(name="the next reply does not wait for one in doubt",
           patch=_replaced(delivery, "_held_back_until", _nothing)),
    Mutant(name="bind: no condition at all", conditions=("Outbox._updated out#: all",)),
    Mutant(name="bind: the attempt is not compared", conditions=("Outbox._updated out#: attempt_id",)),
    _NOT_OPTED_OUT,
    # marks
    Mutant(name="the mark is written after the claim", patch=_marked_late),
    Mutant(name="BEGUN is not stored", patch=_replaced(Mark, "begin", _begin_unmarked)),
    Mutant(name="the mark is freed before the outcome is stored", patch=_settled_before_bind),
    Mutant(name="the proof does not raise the fence", patch=_fence_not_raised),
    Mutant(name="the proof does not compare the attempt", conditions=("Outbox.prove_unsent out#: attempt_id",)),
    Mutant(name="the proof does not compare the state", conditions=("Outbox.prove_unsent out#: state",)),
    Mutant(name="a living process counts as dead", patch=_replaced(fcntl, "flock", _nothing)),
    _FORGOTTEN,
    # reports, evidence, repairs
    Mutant(name="reports are not written", patch=_replaced(receipts.Receipts, "_write", lambda *_: "dropped"),
           behind=_NO_STATEMENT),
    _NO_STATEMENT,
    Mutant(name="report: the rank is not compared", conditions=("Outbox.report out#: rank/state",),
           behind=_NO_STATEMENT),
    Mutant(name="evidence: the words are not compared",
           patch=_replaced(evidence, "is_like", lambda entry, _: not entry.inbound)),
    Mutant(name="evidence is never looked for",
           patch=_replaced(Doubts, "_settle", lambda *_: None)),
    Mutant(name="unfinished work is not put back", patch=_replaced(Reconciler, "_restore", lambda *_: 0)),
    Mutant(name="missed texts are not looked for", patch=_replaced(MissedTexts, "read", lambda *_: None)),
    _SELDOM,
    Mutant(name="STOP is heard only in its turn", patch=_replaced(Intake, "heed_stop", _nothing)),
    Mutant(name="a second try is made more than once", conditions=("Outbox.send_again out#: user_id",)),
    # replies in doubt that are sent again
    Mutant(name="resend: once is not enough", runs_in=_resends,
           patch=_edited(absence, "may_be_sent_again", "part.resent is None and ", "")),
    Mutant(name="resend: a message that may be this one is forgotten", runs_in=_resends,
           patch=_edited(absence, "may_be_sent_again", "part.perhaps_listed_at is None and ", "")),
    Mutant(name="resend: messages that are known need not be listed", runs_in=_resends,
           patch=_edited(absence, "look", "or not known <= shown", "")),
    Mutant(name="resend: the list may be behind", runs_in=_resends,
           patch=_edited(absence, "look", "if is_current else", "if True else")),
    Mutant(name="resend: one reading is enough", patch=_replaced(absence, "LOOKS", 1), behind=_AGE,
           runs_in=_resends),
    Mutant(name="resend: after STOP", patch=_replaced(Resends, "_may_be_written_to", lambda *_: True),
           behind=_NOT_OPTED_OUT, runs_in=_resends),
    Mutant(name="resend: at any age", runs_in=_resends,
           patch=_edited(absence, "may_be_sent_again", "now - moment(part.born_ms) <= terms.max_age", "True"),
           behind=Mutant(name="a reply is sent at any age",
                         patch=_edited(Delivery, "_unwanted", "> self._terms.max_age_seconds", "> 1e9"))),
    # refusals, limits, the budget, danger
    Mutant(name="a refusal opens no circuit", patch=_replaced(Circuits, "stop", _nothing)),
    Mutant(name="an accepted message closes no circuit", patch=_replaced(Circuits, "accepted", _nothing)),
    Mutant(name="an open circuit lets every message through", script="pass: if at > 0"),
    Mutant(name="a limit refuses nothing", script="limit: if tokens < 1 and empty == 0"),
    Mutant(name="the cap of messages is not compared",
           edit=("reserve", "none = none and not which[i]", "none = true")),
    Mutant(name="what was spent is not recounted after Redis was emptied", runs_in=_spends_when_emptied,
           edit=("reserve", "local counting = epoch and 0 or 1", "epoch = epoch or 'none' local counting = 0")),
    Mutant(name="a last line may exceed the cap for each person",
           script="reserve: if which[2] and redis.call('HEXISTS', day, 'beyond') == 1"),
    Mutant(name="a certain danger is no exception to a limit",
           patch=_replaced(Intake, "is_exception", lambda *_: False)),
    Mutant(name="a certain danger is no exception to the budget",
           patch=_replaced(dangers, "urgency", lambda *_, **__: "")),
    Mutant(name="an exception is not noted",
           patch=_edited(dangers, "kept", "excepted_ms=visit.now_ms()", "excepted_ms=0")),
)  # fmt: skip


def days_until_found(mutant: Mutant, first: int = 1) -> tuple[int, str]:
    """Return after how many days something went wrong, and what; 0: nothing did."""
    for day in range(MOST_DAYS):
        offence = mutant.goes_wrong(first + day) if mutant.runs_in(draw(first + day)) else ""
        if offence:
            return day + 1, offence
    return 0, ""


def main(words: list[str]) -> None:
    """Run the mutants, and write a row for each into the page."""
    chosen = [number for number, mutant in enumerate(MUTANTS) if all(word in mutant.name for word in words)]
    for number, (days, offence) in in_parallel(_found, chosen):
        mutant = MUTANTS[number]
        name = mutant.name if mutant.behind is None else f"{mutant.name} (and: {mutant.behind.name})"
        row = f"| {name} | {days or '-'} | {_told(offence) if days else f'nothing in {MOST_DAYS} days'} |"
        print(row, flush=True)  # noqa: T201 - a command
        _write(mutant.name, row)


def found() -> frozenset[str]:
    """Return the names of the guards of which the table says within how many days they are missed."""
    _, rows, _ = _parted()
    return frozenset(name for name, row in rows.items() if " | - | " not in row)


def _parted() -> tuple[str, dict[str, str], str]:
    """Return the page before its table, the table's rows by name, and the page after it."""
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    table, _, after = rest.partition(_END)
    return before, {_name_of(line): line for line in table.strip().splitlines()[len(_HEAD) :]}, after


def _write(name: str, row: str) -> None:
    """Put the row of a mutant into the table, in the place of its old one."""
    before, rows, after = _parted()
    rows[name] = row
    lines = [*_HEAD, *(rows[mutant.name] for mutant in MUTANTS if mutant.name in rows)]
    PAGE.write_text(f"{before}{_BEGIN}\n" + "\n".join(lines) + f"\n{_END}{after}")


def _name_of(row: str) -> str:
    return row.partition(" | ")[0].removeprefix("| ").partition(" (and: ")[0]


def _found(number: int) -> tuple[int, tuple[int, str]]:
    return number, days_until_found(MUTANTS[number])


def _told(offence: str) -> str:
    """Return an offence without the ids of its day."""
    return " ".join("…" if len(word) > 24 else word for word in offence.split())[:110].replace("|", "/")


if __name__ == "__main__":
    main(sys.argv[1:])
