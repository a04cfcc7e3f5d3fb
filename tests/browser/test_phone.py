"""The phone page in a real browser: type, send, read the reply, see the ticks and the road view."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.conftest import ROOT
from tests.scenarios.conftest import Tree, start_tree  # noqa: F401 - a fixture

pytestmark = pytest.mark.browser

ARTEFACTS = ROOT / "artifacts"


@pytest.fixture(scope="module")
def tree(start_tree: Callable[..., Tree]) -> Tree:  # noqa: F811 - the fixture that this one uses
    return start_tree(whole=True)


@pytest.fixture
def page(open_page: Open, tree: Tree) -> Page:
    return open_page(tree.urls["phone"], viewport={"width": 1180, "height": 780}, device_scale_factor=1.5)


def test_a_person_texts_the_cat_and_reads_its_reply(page: Page) -> None:
    phone = page.locator(".phone").first
    phone.get_by_label("text the cat").fill("hello cat, i found a blue umbrella")
    expect(phone.locator(".count")).to_have_text("1 segment · GSM-7")
    phone.get_by_label("text the cat").press("Enter")

    mine = phone.locator(".bubble.mine").last
    expect(mine).to_contain_text("blue umbrella")
    expect(mine.locator(".ticks")).to_have_text("✓✓")
    reply = phone.locator(".bubble:not(.mine):not(.typing)").last
    expect(reply).to_be_visible()
    expect(reply.locator(".ticks")).to_have_text("✓✓")
    expect(page.locator(".station.passed")).to_have_count(8)


def test_two_telephones_talk_side_by_side_and_the_cat_is_seen_typing(page: Page) -> None:
    page.get_by_label("name of a new telephone").fill("Emmy")
    page.get_by_label("its number").fill("+15551230002")
    page.get_by_role("button", name="add a phone").click()
    expect(page.locator(".phone")).to_have_count(2)
    emmy = page.locator(".phone", has_text="Emmy")

    emmy.get_by_label("text the cat").fill("why do you purr?")
    emmy.get_by_role("button", name="send").click()

    expect(emmy.locator(".typing")).to_be_visible()
    expect(emmy.locator(".bubble:not(.mine):not(.typing)")).to_have_count(1)
    expect(emmy.locator(".typing")).to_be_hidden()
    tristan = page.locator(".phone", has_text="Tristan")
    before = tristan.locator(".bubble:not(.mine):not(.typing)").count()
    tristan.get_by_label("text the cat").fill("it rains on the piano")
    tristan.get_by_label("text the cat").press("Enter")
    replies = tristan.locator(".bubble:not(.mine):not(.typing)")
    expect(replies).to_have_count(before + 1)
    expect(replies.last.locator(".ticks")).to_have_text("✓✓")
    expect(page.locator(".station.passed")).to_have_count(8)
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / "phone.png")


def test_a_wrong_number_is_told_so(page: Page) -> None:
    page.get_by_label("its number").fill("cat")
    page.get_by_role("button", name="add a phone").click()

    expect(page.locator("#add-error")).to_contain_text("begins with +")


def test_it_fits_a_phone_sized_screen_in_the_dark(open_page: Open, tree: Tree) -> None:
    page = open_page(tree.urls["phone"], viewport={"width": 390, "height": 844}, color_scheme="dark")
    expect(page.locator(".phone").first).to_be_visible()

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 21, 20)"
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / "phone-dark.png")


def test_everything_is_still_there_after_a_reload(page: Page) -> None:
    expect(page.locator(".bubble").first).to_be_visible()
    before = page.locator(".bubble").all_inner_texts()
    page.reload()

    expect(page.locator(".bubble")).to_have_count(len(before))
    assert page.locator(".bubble").all_inner_texts() == before


def test_the_whole_story_of_a_text_is_a_page_beside_the_road(page: Page) -> None:
    phone = page.locator(".phone").first
    phone.get_by_label("text the cat").fill("<i>what became of this?</i>")
    phone.get_by_label("text the cat").press("Enter")
    expect(page.locator(".station", has_text="delivered")).to_have_class("station passed")

    with page.expect_popup() as opened:
        page.get_by_role("link", name="the whole story").click()
    story = opened.value
    expect(story.locator(".said")).to_have_text("<i>what became of this?</i>")
    expect(story.locator(".verdict")).to_contain_text("part 0 sent as SM")
    events = story.locator("tbody tr td:nth-child(2)")
    expect(events.first).to_have_text("received")
    for station in ("opened", "thought", "persisted", "claimed", "attempt: SENT", "reported delivered"):
        expect(events.filter(has_text=station)).to_be_visible()
    story.screenshot(path=ARTEFACTS / "story.png")
    story.get_by_role("link", name="back to the telephones").click()
    expect(story.locator(".phone").first).to_be_visible()
    story.close()
