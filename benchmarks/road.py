"""Measure the time from a text's arrival at the webhook to the POST that sends the reply.

The stub model and the stub carrier (`benchmarks/stubs.py`) answer at once. What remains is our time and the stores':
the webhook, Redis with an append-only file that is forced to disk, Celery, and the calls to the embedded DynamoDB.
All processes share this machine's cores.

A burst measures the capacity first. Then texts arrive at random moments, at a tenth, half and nine tenths of it.
Meanwhile a probe measures how long the store takes for the same calls under that load.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import Final, Self

from benchmarks import load, turns
from benchmarks.lab import ROOT, Proc, listens
from benchmarks.report import Goal, Study
from chaos.tree import free_port
from conversation.dynamodb import DynamoDB
from conversation.entries import arrived
from conversation.storage import DynamoDBStorage
from journal.model import FrozenReply, Turn
from journal.states import TurnState
from journal.store import Journal

#: Milliseconds at half load: in total, and without the store's own time.
GOAL_MS: Final = 60.0
GOAL_WITHOUT_STORE_MS: Final = 30.0
SHARES: Final = (0.1, 0.5, 0.9)
#: More people than texts in any few seconds: no text waits for an earlier text of the same person.
PEOPLE: Final = 300
#: Capacity is the median of this many bursts: other work on the machine may slow one of them.
BURSTS: Final = 3
OURS: Final = "ours"


class Probe:
    """Times the store under load: twice a second, it makes the calls of a turn up to its POST.

    Only the exchange counts, from the first byte written to the last byte read: building and signing a request is
    the worker's own work.
    """

    def __init__(self, url: str) -> None:
        turns.local_credentials()
        tables = DynamoDB(endpoint_url=url, region_name="us-east-1")
        self._journal = Journal.on(DynamoDBStorage(tables=tables))
        self._waited, self._asked, self._sent_at = 0.0, 0, 0.0
        events = tables.client.meta.events
        events.register("before-send.dynamodb", self._note_sent)
        events.register("before-parse.dynamodb", self._note_received)
        self.took: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _note_sent(self, **_: object) -> None:
        self._sent_at = time.monotonic()

    def _note_received(self, **_: object) -> None:
        self._waited += time.monotonic() - self._sent_at

    def _run(self) -> None:
        while not self._over.wait(0.5):
            self._waited = 0.0
            self._turn()
            self.took.append(1000 * self._waited)

    def _turn(self) -> None:
        self._asked += 1
        now = datetime.now(UTC)
        turn = Turn(
            user_id="+15559999999", sid=f"SM{self._asked:032x}", state=TurnState.FILED,
            arrived=arrived(f"{int(now.timestamp() * 1000)}-0"), content="hello", to=load.NUMBER,
        )  # fmt: skip
        opened = self._journal.conversations.open(turn.user_id, now=now)
        turn = self._journal.turns.file(turn, now=now).turn
        answer = FrozenReply(conversation=opened, turns=(turn,), parts=("prrt. tuna.",), token=f"{self._asked}")
        fence = self._journal.turns.persist(answer, now=now).fence
        self._journal.outbox.claim(answer.new_parts()[0], fence=fence, attempt_id=f"{turn.sid}-0-a", now=now)


class Road:
    """A webhook, a worker and stubs, and a loader that sends texts."""

    def __init__(self, at: turns.House) -> None:
        self._at, self._port, self._number = at, free_port(), 0
        self._url = f"http://127.0.0.1:{self._port}"
        env = {**at.env, "PUBLIC_URL": self._url}
        self.webhook: Proc = at.lab.start(
            "webhook",
            [ROOT / ".venv/bin/dadacat", "webhook", "--port", str(self._port)],
            env=env,
            until=listens(self._port),
        )
        self.worker: Proc = turns.ours(at, concurrency=32)
        self._plan = load.Plan(host="127.0.0.1", port=self._port, connections=1, seconds=0, people=PEOPLE, built=0)
        self._loader = load.Loader(self._plan)

    def text(self) -> tuple[str, str, float]:
        """Send one text; return its sender, its number and its send time by the machine's monotonic clock."""
        self._number += 1
        whole = load.request(self._plan, self._number)
        sent_at = time.monotonic()
        self._loader.bring_one(whole)
        return load.form(self._number, PEOPLE)["From"], str(self._number), sent_at

    def close(self) -> None:
        """Close the loader's connections."""
        self._loader.close()

    def capacity(self, texts: int) -> float:
        """Return the turns a second of a burst of texts."""
        turns.forget(self._at)
        texts_sent = [self.text() for _ in range(texts)]
        sent = self._sent_after(texts)
        return texts / (max(at for _, _, at in sent) - texts_sent[0][2])

    def took(self, *, rate: float, texts: int) -> list[float]:
        """Send texts at random moments; return their latencies in milliseconds, sorted."""
        turns.forget(self._at)
        pauses, due = random.Random(texts), time.monotonic()  # noqa: S311 - the same moments each time
        sent_at: dict[tuple[str, str], float] = {}
        for _ in range(texts):
            due += pauses.expovariate(rate)
            time.sleep(max(0.0, due - time.monotonic()))
            to, number, at = self.text()
            sent_at[to, number] = at
        return sorted(1000 * (at - sent_at[to, number]) for to, number, at in self._sent_after(texts))

    def _sent_after(self, texts: int) -> list[tuple[str, str, float]]:
        """Wait until `texts` replies were sent, and return them."""
        turns.until_sent(self._at, texts)
        return turns.sent(self._at)


def study(*, quick: bool = False) -> Study:
    """Run the study."""
    results = Study(
        name="road", title="What the pipeline adds to a reply, in milliseconds", command="scripts/bench road"
    )
    for _ in range(1 if quick else 3):
        _one_round(results, seconds=3 if quick else 15)
    for goal, what, most in (
        ("p50 under 60 ms at half load, policy `each`", OURS, GOAL_MS),
        ("p50 under 30 ms at half load without the store's own time", "ours without the store", GOAL_WITHOUT_STORE_MS),
    ):
        samples = results.samples["p50 at 50 % of capacity"][what]
        figure = statistics.median(samples)
        results.goals.append(
            Goal(goal=goal, figure=f"{figure:.0f} ms ({min(samples):.0f} to {max(samples):.0f})", met=figure < most)
        )
    return results


def _one_round(results: Study, *, seconds: float) -> None:
    with turns.house(thinks=0) as at, closing(Road(at)) as road:
        road.capacity(PEOPLE)  # warm up: each person has texted once, and connections are open
        capacity = statistics.median(road.capacity(PEOPLE) for _ in range(BURSTS))
        results.add("turns/s of one webhook and one worker, with the stores on the same cores", OURS, capacity)
        for share in SHARES:
            rate = capacity * share
            with Probe(at.env["AWS_ENDPOINT_URL"]) as probe:
                latencies = road.took(rate=rate, texts=max(20, int(rate * seconds)))
            store = statistics.median(probe.took)
            for part, which in (("p50", len(latencies) // 2), ("p99", len(latencies) * 99 // 100)):
                results.add(f"{part} at {share:.0%} of capacity".replace("%", " %"), OURS, latencies[which])
            results.add(f"p50 at {share:.0%} of capacity".replace("%", " %"), "the store's own", store)
            results.add(
                f"p50 at {share:.0%} of capacity".replace("%", " %"),
                "ours without the store",
                max(0.1, latencies[len(latencies) // 2] - store),
            )
