"""A real browser, and pages on which no script may fail."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, expect, sync_playwright

from tests.conftest import SLOWER

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip

#: A busy machine needs longer than a person would wait.
expect.set_options(timeout=10_000 * SLOWER)

#: Opens a page; the second argument and the others are those of a browser context.
Open = Callable[..., Page]


def is_problem(said: ConsoleMessage) -> bool:
    """Return whether the console shows an error; a refused request, which it notes too, is none."""
    return said.type == "error" and "status of 400" not in said.text


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Drive browsers, for one file of tests: while it runs, no other event loop can run in this thread."""
    assert Path(CHROMIUM).exists(), f"no Chromium at {CHROMIUM}: apt-get install chromium, or set CHROMIUM"
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
    yield browser
    browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Return a function that opens a page in a browser window of its own, or as a tab beside another page.

    The test fails at its end if a script failed or the console of any page shows an error.
    """
    problems: list[str] = []
    pages: list[Page] = []

    def begin(url: str, *, beside: Page | None = None, **options: Any) -> Page:
        page = beside.context.new_page() if beside else browser.new_context(**options).new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if is_problem(said) else None)
        page.goto(url)
        expect(page.locator("#connection")).to_have_text("connected")
        pages.append(page)
        return page

    yield begin
    for context in {page.context for page in pages}:
        context.close()
    assert problems == []
