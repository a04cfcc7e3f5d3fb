"""A page of another site, in the same browser as the network's page, reads and texts nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Playwright

from chaos.tree import free_port
from runtime.settings import without_settings
from tests.browser.conftest import CHROMIUM, QUIET
from tests.conftest import end, http_ok, wait_until
from tests.servers import a_server, send

pytestmark = pytest.mark.browser

OUR_NUMBER, PHONE = "+15005550006", "+15551230001"
SCRIPT = b'<svg xmlns="http://www.w3.org/2000/svg"><script>document.documentElement.id="ran"</script></svg>'
#: What an attacker's page tries; each answers with what it could read, or with the error.
TRIES = """async ([network, text]) => Promise.all([
  fetch(network + "/phone/texts", {method: "POST", mode: "no-cors", body: text}),
  fetch(network + "/phone/texts", {method: "POST", body: text, headers: {"content-type": "application/json"}}),
  fetch(network + "/faults", {method: "PUT", body: '{"rules": [{"at": "create", "do": "drop"}]}'}),
  fetch(network + "/phone/state").then((answer) => answer.text()),
].map((attempt) => attempt.then((answer) => String(answer.type ?? answer), (error) => "refused")))"""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, folder = free_port(), tmp_path_factory.mktemp("network")
    env = {
        "PATH": "/bin", "TWILIO_ACCOUNT_SID": "AC" + "1" * 32, "TWILIO_AUTH_TOKEN": "t",
        "TWILIO_API_BASE_URL": f"http://127.0.0.1:{port}", "PYTHONPATH": ":".join(filter(None, sys.path)),
    }  # fmt: skip
    command = [str(Path(sys.prefix) / "bin" / "dadacat"), "simulator", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=without_settings(env) | env, stdout=log, stderr=log)
    try:
        wait_until(lambda: http_ok(f"http://127.0.0.1:{port}/phone"), what="the simulator")
        yield f"http://127.0.0.1:{port}"
    finally:
        end(process)


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    # a stranger's name that leads to this machine, as in DNS rebinding
    rebinding = "--host-resolver-rules=MAP evil.example 127.0.0.1"
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, rebinding])
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def strangers_page() -> Iterator[str]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        send(request, b"<!doctype html><title>a stranger</title>", kind="text/html")

    with a_server(answer) as url:
        yield url


def state(network: str) -> list[object]:
    answer = httpx.get(f"{network}/phone/state").json()
    return [message for phone in answer["phones"] for message in phone["messages"]]


def test_a_strangers_page_reads_and_changes_nothing(browser: Browser, network: str, strangers_page: str) -> None:
    page = browser.new_page()
    page.goto(strangers_page)
    text = json.dumps({"from": PHONE, "to": OUR_NUMBER, "body": "from a stranger"})

    answers = page.evaluate(TRIES, [network, text])

    # the first goes out and is refused; that the browser hides the refusal too is the answer's resource policy
    assert answers == ["refused", "refused", "refused", "refused"]
    assert state(network) == []
    assert httpx.get(f"{network}/faults").json()["rules"] == []
    page.close()


def test_a_strangers_name_for_this_machine_leads_nowhere(browser: Browser, network: str) -> None:
    page = browser.new_page()
    answer = page.goto(network.replace("127.0.0.1", "evil.example") + "/phone/state")

    assert answer is not None
    assert answer.status == 421
    page.close()


def test_a_picture_with_a_script_runs_nothing(browser: Browser, network: str) -> None:
    uploaded = httpx.post(f"{network}/phone/pictures", content=SCRIPT, headers={"Content-Type": "image/svg+xml"})
    page = browser.new_page()
    page.goto(f"{network}/phone/pictures/{uploaded.json()['sid']}")

    assert page.locator("svg").count() == 1
    assert page.locator("#ran").count() == 0
    page.close()


def test_the_networks_own_page_texts_and_shows_what_was_said_without_obeying(browser: Browser, network: str) -> None:
    page = browser.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(f"{network}/phone")
    phone = page.locator(".phone").first
    phone.get_by_label("text the cat").fill("a\u202eb\u200bc \U0001f468\u200d\U0001f469\u200d\U0001f467")
    phone.get_by_label("text the cat").press("Enter")
    bubble = phone.locator(".bubble.mine .words").last
    bubble.wait_for()

    assert bubble.text_content() == "a\\u202eb\\u200bc \U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert problems == []
    page.close()
