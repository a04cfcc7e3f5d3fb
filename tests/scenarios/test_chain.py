"""Models that hang and models that fail, on the whole product.

The person gets a reply in time, and the operator can read why.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.conftest import wait_until
from tests.models import a_model
from tests.scenarios.conftest import Tree
from tests.scenarios.test_operate import dadacat

pytestmark = pytest.mark.road

DEADLINE = 6.0


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """Yield an event that releases the hanging model."""
    event = threading.Event()
    yield event
    event.set()


def test_the_first_hangs_the_second_breaks_and_a_cat_answers_in_time(
    own_tree: Callable[..., Tree], over: threading.Event
) -> None:
    person = "+15551119001"
    with a_model() as model:
        model.says = lambda request: 500 if request["model"] == "broken" else str(over.wait(60))
        tree = own_tree(
            workers=1, CAT_ENGINES="openai:hanging,openai:broken", OPENAI_BASE_URL=model.url,
            REPLY_DEADLINE_SECONDS=str(DEADLINE), QUIET_WINDOW_SECONDS="0.05",
        )  # fmt: skip
        started_at = time.monotonic()
        sid = tree.text("is anybody in there?", sender=person)
        wait_until(lambda: tree.replies(person), seconds=4 * DEADLINE, what="the reply")
        took = time.monotonic() - started_at
        story = dadacat(tree, "explain", sid)
        over.set()
        assert tree.stop() == 0

    assert "engine=dada" in story
    assert "openai:hanging: no answer in" in story
    assert "openai:broken: InternalServerError" in story
    # The first engine got its share of the time, and thinking ended within the deadline.
    assert int(story.partition("thought_ms=")[2].split()[0]) <= DEADLINE * 1000
    assert took >= DEADLINE / 2


@pytest.mark.long
def test_a_small_real_model_answers_on_the_whole_road(own_tree: Callable[..., Tree]) -> None:
    """Run `up --model local`: a real model answers by the real protocol, though with nonsense."""
    tree = own_tree(workers=1, options=["--model", "local"], REPLY_DEADLINE_SECONDS="120")
    person = "+15551119002"

    sid = tree.text("hello cat, what do you see?", sender=person)
    wait_until(lambda: tree.replies(person), seconds=130, what="the reply")

    story = dadacat(tree, "explain", sid)
    # A model as small as this may say nothing, or nothing fit to send. Then the poet answers, and the story says why.
    answered = "engine=openai:local|openai:local: (unusable output|an empty reply|an endless reply)"
    assert re.search(answered, story), story
    health = httpx.get(tree.urls["model"].removesuffix("/v1") + "/health", timeout=10)
    assert health.json() == {"status": "ok"}
    assert tree.stop() == 0
