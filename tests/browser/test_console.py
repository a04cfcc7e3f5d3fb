"""The console in a real browser: its pages as pictures, what axe finds, the keyboard, and live."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect

from console.app import create_app
from inbox import payloads
from inbox.processes import Process
from operations.prometheus import Alarm, Alarms, Prometheus
from tests.browser.conftest import is_problem
from tests.builders import ANN, BEN, a_text
from tests.conftest import ROOT
from tests.desks import DAN, KEY, PASSWORD, a_busy_room, a_desk, write_logins
from tests.room import Room

pytestmark = pytest.mark.browser

IMAGES = ROOT / "docs" / "images"
WIDE: ViewportSize = {"width": 1180, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
#: How each picture is taken: its suffix, and the browser's options.
LOOKS: dict[str, dict[str, Any]] = {
    "": {"viewport": WIDE},
    "-dark": {"viewport": WIDE, "color_scheme": "dark"},
    "-phone": {"viewport": PHONE, "device_scale_factor": 1.5},
}


class Alarming(Prometheus):
    """A Prometheus with one alarm."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9")

    def alarms(self) -> Alarms:
        summary = "Twilio refuses us: nothing is sent in the scope sender"
        since = datetime.now(UTC).isoformat()
        alarm = Alarm(name="SendingStopped", state="firing", severity="page", summary=summary, since=since)
        return Alarms(alarms=[alarm])


@dataclass
class Running:
    """A console that a browser reaches, and the room behind it."""

    url: str
    room: Room

    def page(self, name: str) -> str:
        return f"{self.url}{self.pages[name]}"

    def _key(self, person: str, kind: str) -> str:
        keys = [str(row["message_key"]) for row in self.room.store.archive.rows(person)]
        return next(key for key in keys if key.startswith(kind))

    @property
    def pages(self) -> dict[str, str]:
        ann = payloads.who(ANN, KEY)
        rows = [row["message_key"] for row in self.room.store.archive.rows(ANN)]
        sid = next(key for key in rows if key.startswith("in#")).partition("#")[2]
        held = next(
            row["message_key"] for row in self.room.store.archive.rows(DAN) if row["message_key"].startswith("out#")
        )
        dead = next(row["sid"] for row in self.room.store.archive.rows(BEN))
        held_address = f"/held/{held.replace('#', '%23')}"
        return {
            "overview": "/", "waiting": "/waiting", "held": "/held", "held-reply": held_address,
            "resend": f"{held_address}/resend", "dead-letters": "/dead-letters", "dead-letter": f"/dead-letters/{dead}",
            "danger": "/danger", "people": "/people", "person": f"/people/{ann}", "text": f"/people/{ann}/texts/{sid}",
            "forget": f"/people/{ann}/forget", "costs": "/costs", "limits": "/limits", "health": "/health",
            "audit": "/audit",
        }  # fmt: skip


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    logins_file, room = tmp_path_factory.mktemp("console") / "logins", a_busy_room(hours=20)
    write_logins(logins_file)
    seen = [
        Process(role=role, version="0.1.0", pid=str(4711 + at), address="127.0.0.1", connections=2, seconds=700)
        for at, role in enumerate(("webhook", "worker", "worker", "console"))
    ]
    desk = a_desk(room, logins_file, prometheus=Alarming(), processes=lambda: seen)
    desk.overviews.look(wait=True)
    for name, what in (("looker", "reveal"), ("actor", "settle"), ("actor", "export")):
        desk.audit.end(
            desk.audit.begin(name=name, address="192.0.2.7", what=what, target=payloads.who(ANN, KEY)), "done"
        )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(create_app(desk, public_url=url), log_config=None, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield Running(url, room)
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def state(browser: Browser, console: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Log in once, by keyboard alone, and keep the cookie for the other tests."""
    context = browser.new_context(viewport=WIDE)
    page = context.new_page()
    page.goto(f"{console.url}/held")
    expect(page.get_by_label("Name")).to_be_focused()
    assert_accessible(page)
    page.keyboard.type("actor")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Held")).to_be_visible()
    path = tmp_path_factory.mktemp("state") / "state.json"
    context.storage_state(path=path)
    context.close()
    return path


@pytest.fixture
def problems() -> Iterator[list[str]]:
    found: list[str] = []
    yield found
    assert found == []


def opened(context: BrowserContext, url: str, problems: list[str]) -> Page:
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if is_problem(said) else None)
    page.goto(url)
    return page


def assert_accessible(page: Page) -> None:
    found = Axe().run(page).response
    assert len(found["passes"]) > 10
    assert [(rule["id"], [node["html"] for node in rule["nodes"]][:3]) for rule in found["violations"]] == []


@pytest.mark.parametrize("look", ["", *(pytest.param(look, marks=pytest.mark.long) for look in LOOKS if look)])
def test_axe_finds_nothing_and_every_page_fits_its_screen(
    browser: Browser, console: Running, state: Path, look: str, problems: list[str]
) -> None:
    context = browser.new_context(storage_state=state, **LOOKS[look])
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if is_problem(said) else None)
    for name in console.pages:
        page.goto(console.page(name))
        expect(page.locator("h1")).to_be_visible()
        assert_accessible(page)
        width = LOOKS[look]["viewport"]["width"]
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    context.close()


@pytest.mark.long
@pytest.mark.parametrize("look", LOOKS)
def test_pictures_of_every_page_for_the_documents(
    browser: Browser, console: Running, state: Path, look: str, problems: list[str]
) -> None:
    context = browser.new_context(storage_state=state, **LOOKS[look])
    for name in console.pages:
        page = opened(context, console.page(name), problems)
        if name == "overview":
            expect(page.locator("#connection")).to_have_text("live")
        page.screenshot(path=IMAGES / f"console-{name}{look}.png", full_page=name == "overview" and look != "-phone")
        page.close()
    context.close()


def test_the_overview_is_live(browser: Browser, console: Running, state: Path, problems: list[str]) -> None:
    context = browser.new_context(storage_state=state, viewport=WIDE)
    page = opened(context, f"{console.url}/", problems)
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.locator("#verdict")).to_contain_text("1 person waits")

    link = page.get_by_role("link", name="more about held")
    link.focus()
    console.room.inbox.texts.accept(a_text("one more waits", sender="+15551230008"))
    expect(page.locator("#verdict")).to_contain_text("2 people wait")

    expect(page.get_by_role("link", name="more about held")).to_be_focused()
    context.close()


def test_without_scripts_every_page_is_complete(browser: Browser, console: Running, state: Path) -> None:
    context = browser.new_context(storage_state=state, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{console.url}/")

    expect(page.locator("#verdict")).to_contain_text("wait")
    page.goto(console.page("text"))
    expect(page.locator(".station.passed")).to_have_count(6)
    context.close()


def test_a_person_is_found_revealed_and_reset_by_keyboard_alone(
    browser: Browser, console: Running, state: Path, problems: list[str]
) -> None:
    context = browser.new_context(storage_state=state, viewport=WIDE)
    page = opened(context, f"{console.url}/", problems)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="to the content")).to_be_focused()
    press_to(page, "Conversations")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Conversations")).to_be_visible()

    press_to(page, "A whole number, or a MessageSid")
    page.keyboard.type("555 123 0001")
    page.keyboard.press("Enter")
    expect(page.locator(".masked").first).to_be_visible()
    expect(page.get_by_text("hello cat", exact=True)).to_have_count(0)
    press_to(page, "Reveal number and words")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=ANN)).to_be_visible()
    expect(page.locator(".bubble.user").first).to_contain_text("hello cat")

    press_to(page, "Reset")
    page.keyboard.press("Enter")
    expect(page.locator(".what").first).to_contain_text(f"will remember nothing of {ANN}")
    press_to(page, "Reset")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_have_text("The cat remembers nothing of this person.")

    press_to(page, "Audit")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr").first).to_contain_text("reset")
    press_to(page, "log out", backwards=True)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name")).to_be_focused()
    context.close()


@pytest.mark.long
def test_tab_leads_to_every_control_of_every_page_and_shows_where_it_is(
    browser: Browser, console: Running, state: Path
) -> None:
    context = browser.new_context(storage_state=state, viewport=WIDE)
    page = context.new_page()
    # the stream would put new elements into the place of those that are numbered here
    page.route("**/events", lambda route: route.abort())
    for name in console.pages:
        page.goto(console.page(name))
        controls = page.locator("a[href], button, input:not([type=hidden]), select, summary, [tabindex='0']")
        count = controls.evaluate_all("all => all.map((each, at) => each.dataset.at = at).length")
        reached: dict[str, str] = {}
        for _ in range(count):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                "[document.activeElement.dataset.at, getComputedStyle(document.activeElement).outlineStyle]"
            )
            reached[focused[0]] = focused[1]
        assert sorted(map(int, reached)) == list(range(count)), name
        assert "none" not in reached.values(), name
    context.close()


def press_to(page: Page, name: str, *, backwards: bool = False) -> None:
    """Press Tab until the element with this name has the focus."""
    for _ in range(60):
        page.keyboard.press("Shift+Tab" if backwards else "Tab")
        focused = page.evaluate("(document.activeElement.labels?.[0] ?? document.activeElement).textContent.trim()")
        if focused == name:
            return
    raise AssertionError(f"Tab does not lead to {name}")


@pytest.mark.parametrize("name", ["overview", "person"])
def test_no_other_site_frames_the_console(
    browser: Browser, console: Running, state: Path, name: str, tmp_path: Path
) -> None:
    (tmp_path / "attack.html").write_text(f"<iframe src='{console.page(name)}' width=600 height=400></iframe>")
    context = browser.new_context(storage_state=state)
    page = context.new_page()
    page.goto((tmp_path / "attack.html").as_uri())

    assert all("Overview" not in frame.content() and "hello" not in frame.content() for frame in page.frames[1:])
    context.close()
