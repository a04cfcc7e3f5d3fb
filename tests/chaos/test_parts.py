"""Kill a worker after the first of three parts of a reply: the next worker continues at the second."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.outside import Outside
from chaos.proxy import CUT, Exchange, Reaction, When
from chaos.steps import Step, step_of, took_effect
from chaos.tree import Member, Tree
from tests.conftest import wait_until
from tests.models import a_model

pytestmark = pytest.mark.road

POEM = "the box\nthe cat\nthe lid"


@pytest.fixture
def poet() -> Iterator[str]:
    """Run a model that always answers with the same poem of three lines."""

    with a_model() as model:
        model.says = lambda _: POEM
        yield model.url


def test_a_reply_in_parts_goes_on_at_the_part_that_is_missing(tmp_path: Path, poet: str) -> None:
    binds = 0

    def observe(member: Member, exchange: Exchange) -> Reaction:
        nonlocal binds
        if exchange.when is not When.AFTER or step_of(exchange.service, exchange.request) is not Step.BIND:
            return None
        binds += took_effect(exchange.service, exchange.answer)
        if binds != 1 or member.process is None:
            return None
        os.kill(member.process.pid, signal.SIGKILL)
        binds += 100
        return CUT

    tree = Tree(
        data=tmp_path, workers=2, skewed=False, observe=observe, died=lambda _: None,
        settings={
            "REPLY_MAX_PARTS": "3", "CAT_ENGINES": "openai:poet", "OPENAI_BASE_URL": poet, "OPENAI_API_KEY": "x",
        },
    )  # fmt: skip
    try:
        tree.start()
        outside = Outside(tree.urls)
        # A delivery report before the bind would make the bind needless, so the carrier sends none here.
        outside.misbehave([{"at": "callback", "do": "never"}])
        outside.post_texts_to(tree.webhook_url())
        person = "+15551110001"
        sid = outside.text(person, "a poem, please")
        wait_until(lambda: len(outside.replies(person)) >= 3, seconds=60, what="the whole poem")
        wait_until(lambda: not outside.waits(person), seconds=30, what="an empty inbox")

        assert binds > 100, "no worker was killed"
        assert [reply["body"] for reply in reversed(outside.replies(person))] == POEM.split("\n")
        parts = sorted((row.key, row.state) for row in outside.tables.rows() if row.key.startswith("out#"))
        assert parts == [(f"out#{sid}#{number}", "SENT") for number in range(3)]
        outside.close()
    finally:
        tree.stop()
