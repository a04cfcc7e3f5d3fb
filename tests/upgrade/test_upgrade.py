"""Two releases on one queue and one set of tables: every text is answered once, in order."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import SLOWER
from tests.installation import CURRENT, HERE, Installation, Release, installation

pytestmark = [pytest.mark.road, pytest.mark.long, pytest.mark.timeout(360 * SLOWER)]

RELEASES = ("previous", "current")
TEXTS_PER_SECOND = 20


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("upgrade")) as running:
        running.post_texts_to(HERE)
        yield running


@pytest.fixture(autouse=True)
def no_processes_of_another_test(running: Installation) -> Iterator[None]:
    yield
    running.stop_all()


@pytest.mark.parametrize(("webhook", "worker"), list(itertools.product(RELEASES, RELEASES)))
def test_each_webhook_works_with_each_worker(
    running: Installation, previous: Release, webhook: str, worker: str
) -> None:
    releases = {"previous": previous, "current": CURRENT}
    processes = [
        running.start("worker", releases[worker]),
        running.start("webhook", releases[webhook]),
        running.start("beat", releases[webhook]),
    ]

    with running.texting(TEXTS_PER_SECOND):
        time.sleep(5)  # the load, not a wait
    verdict = running.come_to_rest()

    assert verdict.good
    for process in processes:
        running.stop(process)


def test_what_one_release_took_is_answered_by_the_other(running: Installation, previous: Release) -> None:
    for first, second in ((previous, CURRENT), (CURRENT, previous)):
        webhook = running.start("webhook", first)
        with running.texting(TEXTS_PER_SECOND):
            time.sleep(2)  # the load, not a wait
        running.stop(webhook)

        processes = [running.start(role, second) for role in ("worker", "webhook", "beat")]

        assert running.come_to_rest().good
        for process in processes:
            running.stop(process)


def test_a_rolling_upgrade_and_a_rolling_restart_lose_nothing(
    running: Installation, previous: Release, record_property: Callable[[str, object], None]
) -> None:
    processes = [running.start(role, previous) for role in ("worker", "worker", "webhook", "beat")]
    before = len(running.people.texts)

    with running.texting(TEXTS_PER_SECOND):
        begun = time.monotonic()
        for _ in ("from the previous release to this one", "and once more"):
            for number, old in enumerate(processes):
                processes[number] = running.start(old.role, CURRENT)
                running.stop(old)
        seconds = time.monotonic() - begun
    texts = len(running.people.texts) - before
    record_property("texts a second", texts / seconds)

    assert running.come_to_rest().good
    assert texts >= 0.5 * TEXTS_PER_SECOND * seconds
    for process in processes:
        running.stop(process)
