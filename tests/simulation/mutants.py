"""The product with one guard taken out: within how many days does a simulated day go wrong?

python -m tests.simulation.mutants            runs them all, and writes the table into docs/explanation/simulation.md
python -m tests.simulation.mutants WORD       runs those whose name contains the word
"""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final
from unittest import mock

from chaos.days import machine
from chaos.days.day import Outcome, simulate
from chaos.days.many import in_parallel
from chaos.days.plan import draw
from conversation import contention
from conversation.memory_table import MemoryTables
from journal import outbox
from journal.model import Binding
from journal.outbox import Outbox
from journal.states import PartState
from journal.turns import Turns
from sms.messages import InboundSms
from tests.conftest import ROOT
from tests.model.guards import Unguarded, script_guards
from worker import delivery, evidence
from worker.delivery import Delivery
from worker.intake import Intake
from worker.lease import LeaseKeeper
from worker.marks import Mark, Marks
from worker.missed import MissedTexts
from worker.receipts import Receipts
from worker.reconcile import Reconciler
from worker.visits import Visits

#: After so many days without an offence a guard counts as not missed.
MOST_DAYS: Final = 400
PAGE: Final = ROOT / "docs" / "explanation" / "simulation.md"
_BEGIN, _END = "<!-- mutants -->", "<!-- end of the mutants -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """The product without one guard."""

    #: What is missing, in words.
    name: str
    #: A condition of a write, or a guard of a script, as `tests.model.guards` names it.
    condition: str = ""
    script: str = ""
    #: What replaces a piece of code.
    patch: Callable[[], AbstractContextManager[Any]] = nullcontext
    #: Why no day goes wrong without it, if so.
    spare: str = ""

    def simulate(self, seed: int) -> Outcome:
        """Run one day without the guard."""
        tables: Callable[[], MemoryTables] | None = (lambda: Unguarded(self.condition)) if self.condition else None
        edits: Mapping[str, str] = script_guards()[self.script] if self.script else {}
        with self.patch():
            return simulate(draw(seed), tables=tables, edits=edits)


def _replaced(owner: object, name: str, instead: object) -> Callable[[], AbstractContextManager[Any]]:
    return lambda: mock.patch.object(owner, name, instead)


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


def _again(visit: Any, reason: str) -> Binding:
    return Binding(state=PartState.RETRY, due=visit.now_ms(), reason=reason)


MUTANTS: Final = (
    # the inbox
    Mutant(name="the webhook answers 200 before Redis confirmed", patch=_acknowledged_first,
           spare="Twilio's list shows the text"),
    Mutant(name="a text is removed from the inbox before its reply is sent", patch=_removed_before_reply),
    Mutant(name="`accept` does not compare with the texts that wait", script="accept: if entry[2][2] == sid",
           spare="the journal knows the text"),
    Mutant(name="`take` does not ask whether the lease is free", script="take: SET NX"),
    Mutant(name="`close` does not compare the lease's token", script="close: if redis.call('GET', KEYS[1]) ~= ARGV[1]",
           spare="the fence decides"),
    Mutant(name="`close` does not look for waiting texts", script="close: if redis.call('XLEN', KEYS[2]) > 0",
           spare="Twilio's list shows the text"),
    Mutant(name="`remove` does not compare the lease's token",
           script="remove: if redis.call('GET', KEYS[1]) ~= ARGV[1]",
           spare="the text is over, or the fence refuses its reply"),
    Mutant(name="`give_back` does not compare the lease's token",
           script="give_back: if redis.call('GET', KEYS[1]) ~= ARGV[1]", spare="the fence decides"),
    Mutant(name="`due` does not notice that Redis was emptied", script="due: SET NX",
           spare="the reconciler runs every few minutes anyway"),
    Mutant(name="leases are not renewed", patch=_replaced(LeaseKeeper, "_run", _nothing), spare="the fence decides"),
    # filing and persisting
    Mutant(name="a text is filed over its row", condition="Turns.file in#: user_id"),
    Mutant(name="persist: no condition at all", condition="Turns.persist: everything"),
    Mutant(name="persist: the token is not read back", patch=_replaced(Turns, "_took_effect", lambda *_: False)),
    Mutant(name="persist: the fence is not compared", condition="Turns.persist item: fence",
           spare="another condition of the transaction refuses it"),
    Mutant(name="settle: the fence is not compared", condition="Turns.settle item: fence"),
    # claim, send, bind
    Mutant(name="claim: the fence is not compared", condition="Outbox.claim item: fence"),
    Mutant(name="claim: the state is not compared", condition="Outbox.claim out#: state",
           spare="the fence refuses it"),
    Mutant(name="claim: an attempt may take effect twice", condition="Outbox.claim out#: attempts"),
    Mutant(name="claim: no condition at all", condition="Outbox.claim: everything"),
    Mutant(name="claim: the attempt is not read back", patch=_replaced(Outbox, "_row", _nothing)),
    Mutant(name="an old claim is acted upon", patch=_replaced(delivery, "CLAIM_GOOD_FOR_SECONDS", float("inf"))),
    Mutant(name="a part in SENDING is sent again", patch=_replaced(delivery, "_unknown", _again)),
    Mutant(name="the next reply does not wait for one in doubt",
           patch=_replaced(delivery, "_held_back_until", _nothing)),
    Mutant(name="bind: no condition at all", condition="Outbox.bind out#: all",
           spare="what comes late is true, or the list settles it again"),
    Mutant(name="bind: the attempt is not compared", condition="Outbox.bind out#: attempt_id",
           spare="a second attempt begins only when the first is bound"),
    Mutant(name="a part is sent to a person who opted out", patch=_replaced(Delivery, "_unwanted", lambda *_: "")),
    # marks
    Mutant(name="the mark is written after the claim", patch=_marked_late),
    Mutant(name="BEGUN is not stored", patch=_replaced(Mark, "begin", _begin_unmarked)),
    Mutant(name="the mark is freed before the outcome is stored", patch=_settled_before_bind),
    Mutant(name="the proof does not raise the fence", patch=_fence_not_raised),
    Mutant(name="the proof does not compare the attempt", condition="Outbox.prove_unsent out#: attempt_id"),
    Mutant(name="the proof does not compare the state", condition="Outbox.prove_unsent out#: state"),
    Mutant(name="a living process counts as dead", patch=_replaced(fcntl, "flock", _nothing)),
    Mutant(name="an attempt that was left is forgotten", patch=_replaced(Marks, "abandon", _nothing)),
    # reports, evidence, repairs
    Mutant(name="reports are not written", patch=_replaced(Receipts, "_write", lambda *_: "dropped"),
           spare="Twilio's list shows the same"),
    Mutant(name="report: the rank is not compared", condition="Outbox.report out#: rank/state"),
    Mutant(name="evidence: the words are not compared",
           patch=_replaced(evidence, "_is_like", lambda entry, _: not entry.inbound)),
    Mutant(name="evidence is never looked for", patch=_replaced(Reconciler, "_settle_unknown", lambda *_: 0)),
    Mutant(name="unfinished work is not put back", patch=_replaced(Reconciler, "_restore", lambda *_: 0)),
    Mutant(name="missed texts are not looked for", patch=_replaced(MissedTexts, "read", lambda *_: (0, 0))),
    Mutant(name="STOP is heard only in its turn", patch=_replaced(Intake, "heed_stop", _nothing)),
    Mutant(name="a second try is made more than once", condition="Outbox.send_again out#: user_id"),
)  # fmt: skip


def days_until_found(mutant: Mutant, first: int = 1) -> tuple[int, str]:
    """Return after how many days something went wrong, and what; 0: nothing did."""
    for day in range(MOST_DAYS):
        outcome = mutant.simulate(first + day)
        if outcome.offences:
            return day + 1, outcome.offences[0]
    return 0, ""


def main(words: list[str]) -> None:
    """Run the mutants and print the table; without words, write it into the page."""
    chosen = [number for number, mutant in enumerate(MUTANTS) if all(word in mutant.name for word in words)]
    lines = ["| without this guard | days | what went wrong first |", "|---|---|---|"]
    for number, (days, offence) in in_parallel(_found, chosen):
        mutant = MUTANTS[number]
        what = _told(offence) if days else f"nothing in {MOST_DAYS} days: {mutant.spare or 'UNEXPLAINED'}"
        lines.append(f"| {mutant.name} | {days or '-'} | {what} |")
        print(lines[-1], flush=True)  # noqa: T201 - a command
    if not words:
        page = PAGE.read_text()
        before, after = page.partition(_BEGIN)[0], page.partition(_END)[2]
        PAGE.write_text(f"{before}{_BEGIN}\n" + "\n".join(lines) + f"\n{_END}{after}")


def _found(number: int) -> tuple[int, tuple[int, str]]:
    return number, days_until_found(MUTANTS[number])


def _told(offence: str) -> str:
    """Return an offence without the ids of its day."""
    return " ".join("…" if len(word) > 30 else word for word in offence.split())[:110].replace("|", "/")


if __name__ == "__main__":
    main(sys.argv[1:])
