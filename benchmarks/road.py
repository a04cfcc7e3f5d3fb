"""What the road adds to a reply: from the moment at which a text is brought to the webhook until Twilio is asked to send the answer.

The model answers at once and so does the carrier (`benchmarks/stubs.py`), so all that is left is ours and the stores': webhook, Redis with a file
that is forced to disk, Celery, and the calls to the embedded DynamoDB. Everything shares this machine's cores. Capacity is found first, by a burst;
then texts come at random moments, at a tenth, half and nine tenths of it. How long the store itself takes under that load, for the same
calls, is measured meanwhile.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Final, Self

from benchmarks import load, turns
from benchmarks.lab import ROOT, Proc, listens
from benchmarks.report import Goal, Study
from conversation import journal
from conversation.journal import Turn, TurnState
from conversation.ports import Answer
from conversation.storage import DynamoDBStorage
from dadacat.chaos.tree import free_port

#: At half load, in milliseconds: all of it, and without the store's own time.
GOAL_MS: Final = 60.0
GOAL_WITHOUT_STORE_MS: Final = 30.0
SHARES: Final = (0.1, 0.5, 0.9)
#: More people than texts in any few seconds: nobody's text waits for his own last one.
PEOPLE: Final = 300
#: Capacity is the middle of so many bursts: one alone may meet somebody else's work on this machine.
BURSTS: Final = 3
OURS: Final = "ours"


class Probe:
    """Asks the store, while it is under load, for what a turn asks of it before its POST, twice a second, and counts how long its answers take.

    Only the exchange counts, from the first byte written to the last one read: making and signing the requests is a worker's own work.
    """

    def __init__(self, url: str) -> None:
        turns.local_credentials()
        self._storage = DynamoDBStorage(endpoint_url=url, region_name="us-east-1")
        wire = self._storage._db.connect()._wire  # noqa: SLF001 - to see when it answers
        self._post, self._waited, self._asked = wire.post, 0.0, 0
        wire.post = self._timed  # type: ignore[method-assign]
        self.took: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _timed(self, body: bytes, headers: Sequence[str]) -> tuple[int, Mapping[str, str], bytes]:
        begun = time.monotonic()
        try:
            return self._post(body, headers)
        finally:
            self._waited += time.monotonic() - begun

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
            arrived=journal.arrived(f"{int(now.timestamp() * 1000)}-0"), content="hello", to=load.NUMBER,
        )  # fmt: skip
        opened = self._storage.open(turn.user_id, now=now)
        turn = self._storage.file(turn, now=now).turn
        answer = Answer(conversation=opened, turns=(turn,), parts=("prrt. tuna.",), token=f"{self._asked}")
        fence = self._storage.persist(answer, now=now).fence
        self._storage.claim(answer.new_parts()[0], fence=fence, attempt_id=f"{turn.sid}-0-a", now=now)


class Road:
    """Webhook, worker and stubs, and who brings texts."""

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
        """Bring one; to whom it is answered, its number, and when it left, by the machine's monotonic clock."""
        self._number += 1
        whole = load.request(self._plan, self._number)
        begun = time.monotonic()
        self._loader.bring_one(whole)
        return load.form(self._number, PEOPLE)["From"], str(self._number), begun

    def close(self) -> None:
        """Nobody brings any more."""
        self._loader.close()

    def capacity(self, texts: int) -> float:
        """Turns a second, of a burst."""
        turns.forget(self._at)
        brought = [self.text() for _ in range(texts)]
        sent = self._sent_after(texts)
        return texts / (max(at for _, _, at in sent) - brought[0][2])

    def took(self, *, rate: float, texts: int) -> list[float]:
        """Milliseconds on the road of texts that come at random moments."""
        turns.forget(self._at)
        pauses, due = random.Random(texts), time.monotonic()  # noqa: S311 - the same moments each time
        left: dict[tuple[str, str], float] = {}
        for _ in range(texts):
            due += pauses.expovariate(rate)
            time.sleep(max(0.0, due - time.monotonic()))
            to, number, at = self.text()
            left[to, number] = at
        return sorted(1000 * (at - left[to, number]) for to, number, at in self._sent_after(texts))

    def _sent_after(self, texts: int) -> list[tuple[str, str, float]]:
        """All that was sent, once it is so many."""
        turns.until_sent(self._at, texts)
        return turns.sent(self._at)


def study(*, quick: bool = False) -> Study:
    """The whole measurement."""
    found = Study(name="road", title="What the road adds to a reply, in milliseconds", command="scripts/bench road")
    for _ in range(1 if quick else 3):
        _one_round(found, seconds=3 if quick else 15)
    for goal, what, most in (
        ("p50 under 60 ms at half load, policy `each`", OURS, GOAL_MS),
        ("p50 under 30 ms at half load without the store's own time", "ours without the store", GOAL_WITHOUT_STORE_MS),
    ):
        samples = found.samples["p50 at 50 % of capacity"][what]
        figure = statistics.median(samples)
        found.goals.append(
            Goal(goal=goal, figure=f"{figure:.0f} ms ({min(samples):.0f} to {max(samples):.0f})", met=figure < most)
        )
    return found


def _one_round(found: Study, *, seconds: float) -> None:
    with turns.house(thinks=0) as at, closing(Road(at)) as road:
        road.capacity(PEOPLE)  # everybody has texted once, and connections are made
        capacity = statistics.median(road.capacity(PEOPLE) for _ in range(BURSTS))
        found.add("turns/s of one webhook and one worker, with the stores on the same cores", OURS, capacity)
        for share in SHARES:
            rate = capacity * share
            with Probe(at.env["AWS_ENDPOINT_URL"]) as probe:
                took = road.took(rate=rate, texts=max(20, int(rate * seconds)))
            store = statistics.median(probe.took)
            for part, which in (("p50", len(took) // 2), ("p99", len(took) * 99 // 100)):
                found.add(f"{part} at {share:.0%} of capacity".replace("%", " %"), OURS, took[which])
            found.add(f"p50 at {share:.0%} of capacity".replace("%", " %"), "the store's own", store)
            found.add(
                f"p50 at {share:.0%} of capacity".replace("%", " %"),
                "ours without the store",
                max(0.1, took[len(took) // 2] - store),
            )
