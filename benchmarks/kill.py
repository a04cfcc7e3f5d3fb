"""Measure from the SIGKILL of a worker to the request that sends a reply.

Two workers serve a crowd that texts at once. The first of them that is about to persist a reply is killed: it has
opened the conversations of other people, too, and claimed nothing. Everyone in its hands is a sample.
All intervals are the product's own. The contestant is the commit before there were marks.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from benchmarks.report import ROOT, Goal, Study
from chaos.outside import Outside
from chaos.proxy import CUT, Exchange, Reaction, When
from chaos.steps import Step, step_of
from chaos.tree import SHORT, Member, Tree, wait_until

#: The last commit without marks.
BEFORE_MARKS: Final = "c4ca406"
SAMPLES: Final = 100
PEOPLE: Final = 24
#: A reply that takes longer is counted as this long: the lease, two sweeps and a reserve.
LONGEST_SECONDS: Final = 120.0
WHAT: Final = "seconds from the kill to the reply"
#: The goal: a look of a neighbour each second, and a visit.
GOAL_SECONDS: Final = 5.0


class Crowd:
    """Watches what each worker has in hand, kills one of them, and notes who is written to."""

    def __init__(self) -> None:
        self.killed_at = 0.0
        #: When each person's reply left.
        self.sent: dict[str, float] = {}
        #: Who was in the hands of the killed worker.
        self.lost: set[str] = set()
        self.people: set[str] = set()
        self.armed = False
        self._in_hand: dict[str, set[str]] = defaultdict(set)
        self._lock = threading.Lock()

    def observe(self, member: Member, exchange: Exchange) -> Reaction:
        """Look at one exchange of a process."""
        step = step_of(exchange.service, exchange.request) if member.role == "worker" else None
        if step is None or exchange.when is not When.BEFORE:
            return None
        people = {person for person in self.people if person[1:].encode() in exchange.request}
        if step is Step.OPEN:
            self._in_hand[member.name] |= people
        elif step is Step.SEND:
            self.sent |= {person: time.monotonic() for person in people - self.sent.keys()}
        elif step is Step.PERSIST and people and self._disarm():
            self._kill(member)
            return CUT
        return None

    def _disarm(self) -> bool:
        with self._lock:
            armed, self.armed = self.armed, False
            return armed

    def _kill(self, member: Member) -> None:
        assert member.process is not None
        self.killed_at = time.monotonic()
        member.process.kill()
        self.lost = (self._in_hand.pop(member.name) & self.people) - self.sent.keys()

    def waits(self) -> list[float]:
        """Return how long each person in the hands of the killed worker has waited or waited in all."""
        now = time.monotonic()
        return [self.sent.get(person, now) - self.killed_at for person in self.lost]


def study(*, quick: bool = False) -> Study:
    """Run the study."""
    results = Study(
        name="kill", title="From the kill of a worker to the reply, in seconds", command="scripts/bench kill"
    )
    most = 8 if quick else SAMPLES
    _measure(results, "now", ROOT, most)
    with _checkout(BEFORE_MARKS) as base:
        _measure(results, f"before marks ({BEFORE_MARKS})", base, most)
    now = results.samples[WHAT]["now"]
    for name, waits in results.samples[WHAT].items():
        never = sum(wait >= LONGEST_SECONDS for wait in waits)
        results.notes.append(
            f"{name}: {len(waits)} people, median {statistics.median(waits):.1f} s, worst {max(waits):.1f} s, "
            f"without a reply after {LONGEST_SECONDS:.0f} s: {never}"
        )
    results.goals.append(
        Goal(
            goal=f"half of the people whose worker is killed have their reply within {GOAL_SECONDS:.0f} s",
            figure=f"median {statistics.median(now):.1f} s, worst {max(now):.1f} s",
            met=statistics.median(now) <= GOAL_SECONDS,
        )
    )
    return results


def _measure(results: Study, name: str, root: Path, most: int) -> None:
    crowd, samples = Crowd(), 0
    with ExitStack() as last:
        data = Path(last.enter_context(tempfile.TemporaryDirectory(prefix="dadacat-bench-"))) / "data"
        own = {**dict.fromkeys(SHORT, ""), "DOUBLE_TEXT_POLICY": "each", "LIMITS": "off", "PYTHONPATH": str(root)}
        tree = Tree(
            data=data, workers=2, skewed=False, settings=own, observe=crowd.observe, died=lambda _: None
        )  # fmt: skip
        last.callback(tree.stop)
        tree.start()
        outside = Outside(tree.urls)
        last.callback(outside.close)
        outside.post_texts_to(tree.webhook_url())
        first = 0
        while samples < most:
            for wait in _round(crowd, tree, outside, range(first, first + PEOPLE))[: most - samples]:
                results.add(WHAT, name, wait)
                samples += 1
            first += PEOPLE


def _round(crowd: Crowd, tree: Tree, outside: Outside, people: range) -> list[float]:
    """Let a crowd text, kill a worker, and return how long each person in its hands waited."""
    wait_until(lambda: all(tree.answers(member) for member in tree.members), LONGEST_SECONDS, "the workers")
    crowd.people = {f"+1557{number:07d}" for number in people}
    crowd.sent, crowd.lost, crowd.armed = {}, set(), True
    for person in crowd.people:
        outside.text(person, "hello")
    wait_until(lambda: bool(crowd.lost), LONGEST_SECONDS, "a kill")
    until = crowd.killed_at + LONGEST_SECONDS
    while time.monotonic() < until and not crowd.lost <= crowd.sent.keys():
        time.sleep(0.1)
    return sorted(crowd.waits())


@contextmanager
def _checkout(commit: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dadacat-base-") as folder:
        base = Path(folder) / commit
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(base), commit], check=True)  # noqa: S603
        try:
            yield base
        finally:
            subprocess.run([*git, "remove", "--force", str(base)], check=True)  # noqa: S603
