"""The page of the network by itself, with an application that echoes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Browser, Dialog, FilePayload, Page, ViewportSize, expect

from simulator.testing import NUMBER, PERSON, Simulator
from tests.browser.conftest import Open
from tests.servers import a_server, asked_of, send

pytestmark = pytest.mark.browser

WIDE: ViewportSize = {"width": 1280, "height": 800}
OTHER_NUMBER = "+15005550016"


def echo(handler: BaseHTTPRequestHandler) -> None:
    """Answer a text with itself, `bad` with broken TwiML, and a GET with a file that is no picture."""
    if handler.command == "GET":
        send(handler, b"a contact", kind="text/vcard")
        return
    body = parse_qs(asked_of(handler).decode()).get("Body", [""])[0]
    answer = "<Response>" if body == "bad" else f"<Response><Message>echo {body}</Message></Response>"
    send(handler, answer.encode(), kind="text/xml")


@pytest.fixture
def network() -> Iterator[Simulator]:
    with a_server(echo) as url, Simulator(webhook=f"{url}/sms", numbers=(NUMBER, OTHER_NUMBER)) as network:
        network.text("the first")
        network.wait_for_reply(seconds=20)
        yield network


def page_of(network: Simulator) -> str:
    return f"{network.url}/phone"


def write(page: Page, body: str) -> None:
    area = page.get_by_label("text the cat").first
    area.fill(body)
    area.press("Enter")


def test_ten_tabs_send_and_receive(network: Simulator, open_page: Open) -> None:
    first = open_page(page_of(network))
    tabs = [first, *(open_page(page_of(network), beside=first) for _ in range(9))]

    for place, tab in enumerate(tabs):
        write(tab, f"from tab {place}")

    for tab in tabs:
        expect(tab.locator(".bubble.mine", has_text="from tab")).to_have_count(10)
        expect(tab.locator(".bubble:not(.mine)", has_text="echo from tab")).to_have_count(10)


@pytest.mark.long
def test_when_the_tab_that_reads_the_stream_closes_another_reads_on(network: Simulator, open_page: Open) -> None:
    first = open_page(page_of(network))
    second, third = (open_page(page_of(network), beside=first) for _ in range(2))

    first.close()
    write(second, "still here")

    for tab in (second, third):
        expect(tab.locator(".bubble", has_text="echo still here")).to_have_count(1)


@pytest.mark.long
def test_a_tab_without_locks_lets_its_stream_go_while_it_is_hidden(network: Simulator, open_page: Open) -> None:
    page = open_page(page_of(network))
    page.add_init_script("delete Navigator.prototype.locks")
    page.reload()
    expect(page.locator("#connection")).to_have_text("connected")

    hide(page, hidden=True)
    network.text("while hidden")
    network.wait_for_reply(seconds=20)
    expect(page.locator(".bubble", has_text="while hidden")).to_have_count(0)
    hide(page, hidden=False)

    expect(page.locator(".bubble", has_text="while hidden")).to_have_count(2)


def hide(page: Page, *, hidden: bool) -> None:
    page.evaluate(
        "(hidden) => { Object.defineProperty(document, 'hidden', { configurable: true, value: hidden });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )


def test_the_messages_are_one_tab_stop_and_keep_their_focus(network: Simulator, open_page: Open) -> None:
    for number in range(20):
        network.text(f"text {number}")
    page = open_page(page_of(network))
    bubbles = page.locator(".bubble[data-sid]")
    expect(bubbles).to_have_count(42)

    page.get_by_label("remove the phone").focus()
    page.keyboard.press("Tab")
    expect(bubbles.last).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    chosen = bubbles.nth(1)
    expect(chosen).to_be_focused()
    page.keyboard.press("Enter")

    expect(bubbles.first).to_have_attribute("aria-current", "true")
    network.text("one more")
    expect(bubbles).to_have_count(44)
    expect(chosen).to_be_focused()
    for name in ("number to text", "attach a picture", "text the cat"):
        page.keyboard.press("Tab")
        expect(page.get_by_label(name)).to_be_focused()


@pytest.mark.long
def test_only_what_is_new_is_added_to_what_is_read_aloud(network: Simulator, open_page: Open) -> None:
    page = open_page(page_of(network))
    expect(page.locator(".bubble[data-sid]")).to_have_count(2)
    page.evaluate(
        "() => { window.added = []; new MutationObserver((changes) => { for (const change of changes)"
        " for (const node of change.addedNodes) window.added.push(node.textContent); })"
        ".observe(document.querySelector('[role=log]'), { childList: true }); }"
    )

    write(page, "hello")
    expect(page.locator(".bubble", has_text="echo hello")).to_have_count(1)

    added = page.evaluate("window.added")
    assert [re.match(r"echo hello|hello", text) is not None for text in added] == [True, True]


@pytest.mark.parametrize(
    ("width", "height"),
    [
        (390, 844),
        pytest.param(320, 640, marks=pytest.mark.long),
        pytest.param(844, 390, marks=pytest.mark.long),
    ],
)
def test_on_a_small_screen_the_road_is_in_reach_of_the_text(
    network: Simulator, open_page: Open, width: int, height: int
) -> None:
    page = open_page(page_of(network), viewport={"width": width, "height": height})

    write(page, "hello")

    strip = page.get_by_role("button", name=re.compile("the road: delivered"))
    expect(strip).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    number = page.get_by_label("its number")
    assert number.evaluate("(field) => field.clientWidth") >= 125  # a whole number
    strip.click()
    expect(page.locator(".station.passed")).to_have_count(5)
    expect(page.locator(".station.passed").last).to_be_in_viewport()
    page.get_by_role("tab", name="telephones").click()
    expect(page.get_by_label("text the cat")).to_be_in_viewport()


@pytest.mark.long
def test_the_faults_of_all_tabs_follow_each_other_and_count(network: Simulator, open_page: Open) -> None:
    first = open_page(page_of(network), viewport=WIDE)
    second = open_page(page_of(network), beside=first)
    for page in (first, second):
        page.get_by_role("tab", name="misbehave").click()
        expect(page.locator("#fault-struck")).to_have_text("no rules are in force")

    first.get_by_label("add a rule").select_option("webhook double")
    expect(first.locator("#fault-said")).to_have_text("not in force yet: press “set”")
    first.get_by_role("button", name="set", exact=True).click()
    expect(second.locator("#fault-struck")).to_have_text("webhook double: struck 0")
    expect(second.get_by_label("rules", exact=True)).to_have_value(re.compile("double"))
    network.text("twice")
    for page in (first, second):
        expect(page.locator("#fault-struck")).to_have_text("webhook double: struck 1")

    second.get_by_label("rules", exact=True).fill("[{")
    second.get_by_role("button", name="set", exact=True).click()
    expect(second.locator("#fault-said")).to_have_text("the rules are not valid JSON")
    expect(second.locator("#fault-said")).to_have_class("error")
    first.get_by_role("button", name="behave").click()
    expect(second.locator("#fault-struck")).to_have_text("no rules are in force")
    expect(second.get_by_label("rules", exact=True)).to_have_value("[{")


@pytest.mark.long
def test_the_inspector_shows_what_was_asked_and_what_was_wrong(network: Simulator, open_page: Open) -> None:
    page = open_page(page_of(network), viewport=WIDE)
    page.get_by_role("tab", name="requests").click()
    requests = page.locator("#requests li:visible")
    expect(requests).to_have_count(1)

    write(page, "bad")

    expect(requests).to_have_count(2)
    expect(requests.first).to_contain_text("12100 Document parse failure")
    expect(page.locator(".bubble.mine").last.locator(".ticks")).to_have_text("! error 12100")
    requests.first.locator("summary").click()
    expect(requests.first.locator("pre")).to_have_text("<Response>")
    expect(requests.first.locator("dt", has_text="X-Twilio-Signature")).to_be_visible()
    page.get_by_label("only of the selected text").check()
    expect(requests).to_have_count(1)
    page.get_by_role("button", name="clear").click()
    expect(requests).to_have_count(0)
    expect(page.locator("#no-request")).to_be_visible()


@pytest.mark.long
def test_a_telephone_that_texts_from_elsewhere_appears_with_its_number_once(
    network: Simulator, open_page: Open
) -> None:
    page = open_page(page_of(network), viewport=WIDE)

    network.text("hello", sender="+15551230077")

    phone = page.locator(".phone", has_text="+15551230077")
    expect(phone.locator(".bubble", has_text="echo hello")).to_have_count(1)
    expect(page.locator("main .phone").get_by_text("+15551230077", exact=True)).to_have_count(1)


@pytest.mark.long
def test_a_telephone_leaves_the_page_after_a_question_and_an_empty_page_says_what_to_do(
    network: Simulator, open_page: Open
) -> None:
    page = open_page(page_of(network), viewport=WIDE)
    asked: list[str] = []

    def refuse(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.once("dialog", refuse)
    page.get_by_label("remove the phone").click()
    expect(page.locator(".phone")).to_have_count(1)

    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_label("remove the phone").click()

    expect(page.locator(".phone")).to_have_count(0)
    expect(page.get_by_text("No telephone is on the page.")).to_be_visible()
    assert asked == [f"Take {PERSON} off the page? Its messages stay, its name does not."]


@pytest.mark.long
def test_three_telephones_fit_and_the_fourth_is_reached_by_its_name(network: Simulator, open_page: Open) -> None:
    page = open_page(page_of(network), viewport=WIDE)
    for number in (2, 3):
        network.text("hello", sender=f"+1555123000{number}")
    phones = page.locator(".phone")
    expect(phones).to_have_count(3)
    for place in range(3):
        expect(phones.nth(place)).to_be_in_viewport(ratio=0.99)
    expect(page.locator("#chips")).to_be_hidden()

    network.text("hello", sender="+15551230004")
    page.locator("#chips").get_by_role("button", name="+15551230004").click()

    expect(phones.nth(3)).to_be_in_viewport(ratio=0.99)
    expect(phones.nth(3).get_by_label("text the cat")).to_be_focused()


@pytest.mark.long
def test_of_two_numbers_the_one_to_text_is_chosen_in_full_view(network: Simulator, open_page: Open) -> None:
    page = open_page(page_of(network), viewport={"width": 320, "height": 640})
    menu = page.get_by_label("number to text")

    menu.select_option(OTHER_NUMBER)
    write(page, "to the second")

    expect(page.locator(".bubble", has_text="echo to the second")).to_have_count(1)
    assert network.requests()[-1]["fields"]["To"] == OTHER_NUMBER
    assert menu.evaluate("(menu) => menu.clientWidth") >= 160  # a whole number and the arrow


@pytest.mark.long
def test_without_the_network_every_button_says_so_and_no_script_fails(network: Simulator, browser: Browser) -> None:
    page = browser.new_context(viewport=WIDE).new_page()
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(page_of(network))
    expect(page.locator(".bubble")).to_have_count(3)

    network.__exit__(None, None, None)
    expect(page.locator("#connection")).to_have_text("the network does not answer; trying again")
    write(page, "half a text")
    page.get_by_label("its number").fill("+15551230008")
    for name in ("add a phone", "remove the phone", "behave", "set", "clear"):
        for tab in ("misbehave", "requests"):
            page.get_by_role("tab", name=tab).click()
            button = page.get_by_role("button", name=name)
            if button.first.is_visible():
                button.first.click()

    expect(page.locator("#add-error")).to_have_text("the network does not answer")
    expect(page.locator(".count")).to_have_text("the network does not answer")
    expect(page.get_by_label("text the cat")).to_have_value("half a text")
    assert failures == []
    page.context.close()


@pytest.mark.long
def test_a_picture_is_an_mms_and_hidden_characters_are_shown(network: Simulator, open_page: Open) -> None:
    page = open_page(page_of(network), viewport=WIDE)
    pixel = b"GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x00;"

    network.text("abc\u202edef\x1b[31m", pictures=[network.picture(pixel, "image/gif")])

    card = network.requests()[0]["url"]
    network.client().messages.create(to=PERSON, from_=NUMBER, media_url=[card])

    expect(page.get_by_role("link", name="a file")).to_be_visible()
    mine = page.locator(".bubble.mine").last
    expect(mine.locator(".words")).to_have_text("abc\\u202edef\\u001b[31m")
    expect(mine.locator(".size")).to_have_text(re.compile("^MMS · "))


@pytest.mark.long
def test_what_is_redacted_or_deleted_leaves_the_page(network: Simulator, open_page: Open) -> None:
    pixel = b"GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x00;"
    pictures = [network.picture(pixel, "image/gif") for _ in range(2)]
    redacted, pictured, gone = network.text("a secret"), network.text("a cat", pictures=pictures), network.text("gone")
    for _ in range(3):
        network.wait_for_reply(seconds=20)
    page = open_page(page_of(network), viewport=WIDE)
    expect(page.locator(".bubble.mine")).to_have_count(4)
    expect(page.locator(f"[data-sid={pictured}] .media > *")).to_have_count(2)

    client = network.client()
    client.messages(redacted).update(body="")
    client.messages(pictured).media(pictures[0]).delete()
    client.messages(gone).delete()

    expect(page.locator(f"[data-sid={redacted}] .words")).to_have_text("")
    expect(page.locator(f"[data-sid={pictured}] .media > *")).to_have_count(1)
    expect(page.locator(f"[data-sid={gone}]")).to_have_count(0)


@pytest.mark.long
def test_an_address_that_a_browser_does_not_read_is_shown_among_the_requests(open_page: Open) -> None:
    with Simulator(webhook="http://256.1.1.1/sms#rc=0") as network:
        network.text("hello")
        page = open_page(page_of(network), viewport=WIDE)
        page.get_by_role("tab", name="requests").click()

        expect(page.locator("#requests li:visible")).to_have_count(1, timeout=20_000)
        expect(page.locator("#requests li:visible")).to_contain_text("POST http://256.1.1.1/sms")


@pytest.mark.long
def test_a_picture_that_is_refused_can_be_chosen_again_beside_those_that_the_text_has(
    network: Simulator, open_page: Open
) -> None:
    page = open_page(page_of(network), viewport=WIDE)
    files, size = page.locator("input[type=file]").first, page.locator(".compose .count").first
    cat: FilePayload = {"name": "cat.png", "mimeType": "image/png", "buffer": b"a cat"}
    empty: FilePayload = {"name": "cat.png", "mimeType": "image/png", "buffer": b""}

    files.set_input_files([cat, empty])

    expect(size).to_contain_text("the picture is empty")
    expect(size).to_contain_text("MMS, 1 of 10 pictures")
    assert files.evaluate("input => input.value") == ""
    page.get_by_label("remove the pictures").click()
    expect(size).to_be_hidden()


@pytest.mark.long
def test_forced_colours_keep_the_outlines(network: Simulator, open_page: Open) -> None:
    page = open_page(page_of(network), viewport=WIDE, forced_colors="active")

    expect(page.locator(".bubble[data-sid]")).to_have_count(2)
    borders = page.evaluate(
        "[...document.querySelectorAll('.bubble[data-sid], .send')].map((one) => getComputedStyle(one).borderTopColor)"
    )
    assert set(borders) == {page.evaluate("getComputedStyle(document.body).color")}
