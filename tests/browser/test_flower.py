"""Flower in a real browser: its pages show what the how-to says, and are its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, HttpCredentials, Page, expect

from tests.conftest import ROOT, wait_until
from tests.scenarios.conftest import LOGIN, Tree, flower, trees

pytestmark = [pytest.mark.browser, pytest.mark.long]

ARTEFACTS = ROOT / "artifacts"
NUMBER = "+15553377995"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    with trees(tmp_path_factory) as start:
        started = start(workers=2, whole=True)
        for number in range(6):
            started.text(f"hello {number}", sender=NUMBER if number < 2 else f"{NUMBER[:-1]}{number}")
        started.wait_settled(seconds=60)
        wait_until(
            lambda: any(is_answer(task) for task in flower(started, "/api/tasks").values()), seconds=30, what="it"
        )
        yield started


def is_answer(task: dict[str, str]) -> bool:
    return task["name"] == "dadacat.answer" and task["state"] == "SUCCESS"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    user, _, word = LOGIN.partition(":")
    login = HttpCredentials(username=user, password=word)
    context = browser.new_context(http_credentials=login, viewport={"width": 1400, "height": 680})
    yield context.new_page()
    context.close()


def kept(page: Page, name: str) -> None:
    """Keep a picture of the page, on which no number stands."""
    assert NUMBER[1:-1] not in page.content()
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=Path(ARTEFACTS / f"flower-{name}.png"))


def test_the_pages_show_workers_tasks_and_people_by_their_hash(tree: Tree, page: Page) -> None:
    at = f"http://127.0.0.1:{tree.port_base + 2}"

    page.goto(f"{at}/workers")
    expect(page.locator("#workers-table tbody tr")).to_have_count(2)
    expect(page.locator("#workers-table")).to_contain_text("w1@")
    kept(page, "workers")

    page.goto(f"{at}/tasks")
    answers = page.locator("#tasks-table tbody tr", has_text="dadacat.answer")
    expect(answers.first).to_contain_text("person ")
    expect(answers.first).to_contain_text("SUCCESS")
    kept(page, "tasks")

    # the first link is the name, which shows all tasks of that name
    answers.first.get_by_role("link", name="-").click()
    expect(page.locator("#task-page")).to_contain_text("person ")
    kept(page, "task")
    uuid = page.url.rpartition("/")[2]
    logs = "".join(path.read_text() for path in (tree.data / "logs").glob("worker-*.log"))
    [settled] = [line for line in logs.splitlines() if uuid in line and '"turn settled"' in line][:1]
    assert '"sid": "SM' in settled
