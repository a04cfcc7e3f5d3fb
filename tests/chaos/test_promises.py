"""The promises at full size: real processes, and an auditor that sees only the outside.

The largest test takes minutes and is not part of `scripts/test`; run it with `scripts/test -m long`.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest

from chaos.auditor import SentText, Verdict, audit
from chaos.outside import Outside
from chaos.proxy import Exchange, Reaction
from chaos.tree import ACCOUNT, NUMBER, TOKEN, Member, Tree
from chaos.witness import Witness
from inbox import keys
from sms import signature
from tests.builders import a_sid
from tests.conftest import SLOWER, wait_until

pytestmark = [pytest.mark.road, pytest.mark.timeout(2400)]

WORKERS, WEBHOOKS = 3, 3
_people = itertools.count(1)


class City:
    """A process tree, the telephones of its people, and the witness."""

    def __init__(self, tree: Tree, witness: Witness) -> None:
        self.tree = tree
        self.witness = witness
        self.outside = Outside(tree.urls)
        self.behave()

    def behave(self) -> None:
        self.outside.misbehave([])
        self.outside.post_texts_to(self.tree.webhook_url())

    def people(self, number: int) -> list[str]:
        return [f"+1559{next(_people):07d}" for _ in range(number)]

    def texts(self, people: Sequence[str], body: str = "hello") -> list[SentText]:
        """Send one text from each person, all at the same time."""
        with ThreadPoolExecutor(30) as pool:
            sids = list(pool.map(lambda person: self.outside.text(person, f"{body} from {person[-4:]}"), people))
        return [SentText(sid=sid, person=person) for sid, person in zip(sids, people, strict=True)]

    def verdict(self, texts: Sequence[SentText], *, seconds: float) -> Verdict:
        """Return the verdict on these people's texts once it is good or the time is over."""
        people = {text.person for text in texts}
        deadline = time.monotonic() + SLOWER * seconds
        while True:
            evidence = self.outside.evidence(texts, self.witness.excuses())
            evidence = replace(
                evidence,
                listed=[message for message in evidence.listed if message.person in people],
                rows=[row for row in evidence.rows if row.person in people],
            )
            verdict = audit(evidence)
            settled = all(excuse.startswith("HELD") for excuse in verdict.held.values())
            if (verdict.good and settled) or time.monotonic() > deadline:
                return verdict
            time.sleep(1)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    witness = Witness()

    def observe(member: Member, exchange: Exchange) -> Reaction:
        if member.role == "worker":
            witness.saw(member.name, exchange, time.time())
        return None

    tree = Tree(
        data=tmp_path_factory.mktemp("city"), workers=WORKERS, webhooks=WEBHOOKS, skewed=False, observe=observe,
        died=lambda member: witness.died(member.name), settings={"SMS_VALIDITY_SECONDS": "15"},
    )  # fmt: skip
    try:
        tree.start()
        city = City(tree, witness)
        # The first reading of the carrier's list only records the watermark.
        wait_until(city.outside.tables.was_looked_at, seconds=30, what="the watermark")
        yield city
        city.outside.close()
    finally:
        tree.stop()


def test_the_same_text_a_thousand_times_at_three_webhooks_and_again_later(city: City) -> None:
    (person,) = city.people(1)
    form = {"MessageSid": a_sid(), "AccountSid": ACCOUNT, "From": person, "To": NUMBER, "Body": "a thousand times"}
    webhooks = [f"http://127.0.0.1:{member.port}/sms" for member in city.tree.of_role("webhook")]
    signed = {webhook: {"X-Twilio-Signature": signature.sign(TOKEN, webhook, form)} for webhook in webhooks}

    with httpx.Client(timeout=60, limits=httpx.Limits(max_connections=60)) as client, ThreadPoolExecutor(60) as pool:

        def post(number: int) -> int:
            webhook = webhooks[number % len(webhooks)]
            return client.post(webhook, data=form, headers=signed[webhook]).status_code

        answers = list(pool.map(post, range(1000)))
        wait_until(lambda: city.outside.replies(person), seconds=60, what="the reply")
        later = [post(number) for number in range(9)]
    wait_until(lambda: not city.outside.waits(person), seconds=30, what="an empty inbox")

    assert {*answers, *later} == {200}
    assert len(city.outside.replies(person)) == 1
    (row,) = [row for row in city.outside.tables.rows() if row.person == person and row.key.startswith("in#")]
    assert (row.state, row.sid) == ("ANSWERED", form["MessageSid"])


def test_two_hundred_answers_of_twilio_are_lost_and_two_hundred_sms_are_sent(city: City) -> None:
    people = city.people(200)
    city.outside.misbehave([{"at": "create", "do": "drop", "person": person} for person in people])

    texts = city.texts(people)
    verdict = city.verdict(texts, seconds=120)
    city.behave()

    assert verdict.good, verdict
    assert (verdict.answered, verdict.held) == (200, {})
    assert [len(city.outside.replies(person)) for person in people] == [1] * 200


def test_a_hundred_texts_come_while_the_webhook_is_down(city: City) -> None:
    webhook = city.tree.of_role("webhook")[0]
    webhook.held_down = True
    webhook.signal(signal.SIGKILL)
    wait_until(lambda: not webhook.alive, what="the webhook's end")
    people = city.people(100)

    texts = city.texts(people)
    wait_until(
        lambda: all(city.outside.was_given_up(text.sid) for text in texts), seconds=60, what="the network's last try"
    )
    assert [reply for person in people for reply in city.outside.replies(person)] == []
    webhook.held_down = False
    verdict = city.verdict(texts, seconds=150)

    assert verdict.good, verdict
    assert verdict.answered == 100
    assert [len(city.outside.replies(person)) for person in people] == [1] * 100


def test_redis_is_emptied_in_the_middle_of_a_burst(city: City) -> None:
    people = city.people(100)

    with ThreadPoolExecutor(1) as pool:
        burst = pool.submit(city.texts, people)
        wait_until(lambda: city.outside.redis.zcard(keys.WAITING) > 5, what="texts that wait")
        city.outside.redis.flushall()
        texts = burst.result()
    verdict = city.verdict(texts, seconds=150)

    assert verdict.good, verdict
    assert (verdict.answered, verdict.held) == (100, {})


@pytest.mark.parametrize(
    ("number", "kill_every"), [(8, 3.0), pytest.param(300, 5.0, marks=pytest.mark.long)], ids=["8", "300"]
)
def test_ten_texts_each_in_bursts_while_workers_are_killed_every_few_seconds(
    city: City, number: int, kill_every: float, record_property: Callable[[str, object], None]
) -> None:
    people = city.people(number)
    over = threading.Event()
    before = len(city.witness.faults)

    victims = itertools.cycle(city.tree.of_role("worker"))
    ready: dict[str, float] = {}

    def kill() -> bool:
        """Kill the next worker, if it has worked for a while: on a slow machine kills come more slowly too."""
        victim = next(victims)
        if not city.tree.answers(victim):
            return False
        alive = time.monotonic() - ready.setdefault(victim.name, time.monotonic()) >= kill_every
        if victim.process is not None and alive:
            del ready[victim.name]
            city.witness.struck(time.time(), "kill worker", victim.name, kind="kill")
            os.kill(victim.process.pid, signal.SIGKILL)
        return alive

    def kill_by_the_clock() -> None:
        while not over.wait(kill_every):
            kill()

    killer = threading.Thread(target=kill_by_the_clock)
    killer.start()
    texts: list[SentText] = []
    with ThreadPoolExecutor(1) as pool:
        for turn in range(10):
            burst = pool.submit(city.texts, people, f"text {turn}")
            if turn in (2, 5, 8):
                # A kill by the clock may hit when every text is answered; these kills hit while texts wait.
                wait_until(lambda: city.outside.redis.zcard(keys.WAITING) > 0, what="texts that wait")
                wait_until(kill, what="a living worker to kill")
            texts += burst.result()
    verdict = city.verdict(texts, seconds=60 + number * 1.5)
    over.set()
    killer.join()
    verdict = city.verdict(texts, seconds=90)

    kills = len([fault for fault in city.witness.faults[before:] if fault.kind == "kill"])
    assert verdict.good, verdict
    assert verdict.texts == number * 10
    assert verdict.answered + len(verdict.held) == verdict.texts
    assert verdict.excused_from_order == 0
    assert kills >= 3
    for name in ("texts", "answered", "excused_from_order"):
        record_property(name, getattr(verdict, name))
    record_property("held", len(verdict.held))
    record_property("kills", kills)
