"""The telephone network by itself, with applications that are not DadaCat."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator

from chaos.tree import free_port
from simulator.inspector import Inspector
from simulator.testing import NUMBER, PERSON, NoReply, Simulator
from tests.conftest import ROOT, SLOWER, wait_until
from tests.servers import a_server, asked_of, send

PNG = b"\x89PNG\r\n\x1a\n a cat"
OTHER = "+15551230002"

#: What an application answers at a path: the body and its type, or a status.
Pages = Mapping[str, "str | bytes | int | tuple[bytes, str]"]


class Application:
    """An application whose pages a test defines. It remembers what was posted, and with which signature."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.posted: list[tuple[str, str, dict[str, str], str]] = []
        self.lock = threading.Lock()
        #: While it is not set, no request is answered.
        self.held = threading.Event()
        self.held.set()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = urlsplit(handler.path).path
        body = asked_of(handler).decode() if handler.command == "POST" else urlsplit(handler.path).query
        form = {name: values[-1] for name, values in parse_qs(body, keep_blank_values=True).items()}
        with self.lock:
            self.posted.append((handler.command, handler.path, form, handler.headers.get("X-Twilio-Signature", "")))
        self.held.wait(20)
        # a network that waited long enough has closed the connection
        with suppress(BrokenPipeError, ConnectionResetError):
            self.show(handler, self.pages[path])

    @staticmethod
    def show(handler: BaseHTTPRequestHandler, page: str | bytes | int | tuple[bytes, str]) -> None:
        if isinstance(page, int):
            send(handler, b"no", status=page)
        elif isinstance(page, tuple):
            send(handler, page[0], kind=page[1])
        else:
            send(handler, page if isinstance(page, bytes) else page.encode(), kind="text/xml")


Start = Callable[..., tuple[Simulator, Application, str]]


@pytest.fixture(scope="module")
def closing() -> Iterator[ThreadPoolExecutor]:
    """Return threads in which networks stop, which takes a fifth of a second, while the next test runs."""
    with ThreadPoolExecutor() as threads:
        yield threads


@pytest.fixture
def start(closing: ThreadPoolExecutor) -> Iterator[Start]:
    """Return a function that starts an application, and a network that posts to its `/sms`."""
    with ExitStack() as servers:

        def begin(pages: Pages, *, fallback: str = "") -> tuple[Simulator, Application, str]:
            application = Application(pages)
            url = servers.enter_context(a_server(application.answer))
            network = Simulator(webhook=f"{url}/sms", fallback=f"{url}{fallback}" if fallback else "")
            network.__enter__()
            servers.callback(closing.submit, network.__exit__, None, None, None)
            return network, application, url

        yield begin


def api(network: Simulator, path: str) -> str:
    return f"{network.url}/2010-04-01/Accounts/{network.account_sid}/{path}"


def login(network: Simulator) -> tuple[str, str]:
    return network.account_sid, network.auth_token


def has_error(network: Simulator, sid: str, code: int | None) -> bool:
    """Return whether a text has this error code, or any if `code` is None."""
    given = network.client().messages(sid).fetch().error_code
    return given is not None and code in {given, None}


def reply(network: Simulator, **more: Any) -> Any:
    return network.wait_for_reply(seconds=5 * SLOWER, **more)


def test_each_message_of_the_twiml_is_sent_with_its_body_and_its_media(start: Start) -> None:
    twiml = (
        "<Response><Message>one</Message><Message><Body>two</Body><Media>/cat.png</Media></Message>"
        "<Message>three <Media>/cat.png</Media><Media>/cat.png</Media></Message>"
        f'<Message to="{OTHER}">four</Message></Response>'
    )
    network, _, _ = start({"/sms": twiml, "/cat.png": (PNG, "image/png")})

    sid = network.text("hello")

    replies = sorted((reply(network) for _ in range(3)), key=lambda message: str(message.body))
    assert [(message.body, len(message.media)) for message in replies] == [("one", 0), ("three", 2), ("two", 1)]
    assert [message.sid[:2] for message in replies] == ["SM", "MM", "MM"]
    picture = httpx.get(f"{network.url}/phone/pictures/{replies[2].media[0]}")
    assert (picture.content, picture.headers["content-type"]) == (PNG, "image/png")
    assert reply(network, phone=OTHER).body == "four"
    listed = network.client().messages.list(to=PERSON)
    assert {(message.direction, message.num_media) for message in listed} == {
        ("outbound-reply", "0"), ("outbound-reply", "1"), ("outbound-reply", "2"),
    }  # fmt: skip
    road = httpx.get(f"{network.url}/phone/road/{sid}").json()
    assert [station["name"] for station in road["stations"]] == road["all"]
    assert road["facts"]["answer"].startswith("200 in ")


def test_a_redirect_is_followed_with_the_same_fields_and_a_signature_of_its_own(start: Start) -> None:
    network, application, url = start(
        {
            "/sms": '<Response><Message>first</Message><Redirect method="GET">next?step=2</Redirect>'
            "<Message>unreachable</Message></Response>",
            "/next": "<Response><Message>second</Message></Response>",
        }
    )

    network.text("hello")

    assert {reply(network).body, reply(network).body} == {"first", "second"}
    (_, _, posted, _), (method, path, asked, signed) = application.posted
    assert (method, path.partition("&")[0]) == ("GET", "/next?step=2")
    assert asked == {**posted, "step": "2"}
    assert RequestValidator(network.auth_token).validate(f"{url}{path}", {}, signed)
    assert [asked["purpose"] for asked in network.requests()] == ["text", "redirect"]


def test_redirects_that_never_end_are_stopped_at_twilios_limit(start: Start) -> None:
    network, application, _ = start({"/sms": "<Response><Redirect>/sms</Redirect></Response>"})

    sid = network.text("hello")

    wait_until(lambda: network.requests(sid)[-1:] and network.requests(sid)[-1]["error"] == 14106)
    assert len(application.posted) == 50


def test_a_document_after_a_redirect_that_fails_is_the_one_that_the_fallback_is_told_of(start: Start) -> None:
    pages = {
        "/sms": "<Response><Say>hello</Say><Redirect>/broken</Redirect></Response>",
        "/broken": "<Response>",
        "/fallback": "<Response><Message>plan B</Message></Response>",
    }
    network, application, url = start(pages, fallback="/fallback")

    network.text("hello")

    assert reply(network).body == "plan B"
    posted = application.posted[-1][2]
    assert (posted["ErrorCode"], posted["ErrorUrl"]) == ("12100", f"{url}/broken")


def test_a_webhook_that_redirects_by_http_is_told_that_this_network_does_not_follow(start: Start) -> None:
    network, _, _ = start({"/sms": 307})

    sid = network.text("hello")

    wait_until(partial(has_error, network, sid, 11200))
    (asked,) = network.requests(sid)
    assert (asked["error"], asked["error_title"]) == (11200, "the webhook redirects; this network does not follow")
    road = httpx.get(f"{network.url}/phone/road/{sid}").json()
    assert road["facts"]["error"] == "11200 the webhook redirects; this network does not follow"


LAUGHS = "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12))
WRONG: Mapping[str, tuple[Any, int]] = {
    "unclosed": ("<Response><Message>hi</Response>", 12100),
    "not-xml": ("hello & goodbye", 12100),
    "another-root": ("<Reply><Message>hi</Message></Reply>", 12100),
    "unknown-encoding": ('<?xml version="1.0" encoding="no-such"?><Response/>', 12100),
    "a-billion-laughs": (
        f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{LAUGHS}]><Response><Message>&m;</Message></Response>', 12100,
    ),
    "large": (b"<Response>" + b" " * 65_536 + b"</Response>", 11750),
    "json": ((b'{"ok": true}', "application/json"), 12300),
    "away": (503, 11200),
    "missing": (404, 11200),
}  # fmt: skip


def test_an_answer_that_cannot_be_carried_out_has_twilios_code_and_the_fallback_is_asked(start: Start) -> None:
    pages = {f"/{name}": page for name, (page, _) in WRONG.items()}
    network, application, url = start({**pages, "/fallback": "<Response><Message>plan B</Message></Response>"})

    for name, (_, code) in WRONG.items():
        network.set_webhook(f"{url}/{name}", fallback=f"{url}/fallback")
        sid = network.text(name)

        assert reply(network).body == "plan B"
        wrong, fallen = network.requests(sid)
        assert (name, wrong["error"], fallen["error"], fallen["purpose"]) == (name, code, None, "fallback")
        posted = application.posted[-1][2]
        assert (posted["ErrorCode"], posted["ErrorUrl"]) == (str(code), f"{url}/{name}")
        wait_until(partial(has_error, network, sid, code))


def test_without_a_fallback_the_text_shows_what_was_wrong(start: Start) -> None:
    network, _, _ = start({"/sms": "<Response><Message>hi</Response>"})

    sid = network.text("hello")

    with pytest.raises(NoReply, match=r"POST http://127.0.0.1:\d+/sms: 200, error 12100 Document parse failure"):
        network.wait_for_reply(seconds=0.3)
    road = httpx.get(f"{network.url}/phone/road/{sid}").json()
    assert road["facts"]["error"] == "12100 Document parse failure"


def test_a_webhook_that_does_not_answer_in_time_is_blamed_and_one_that_is_away_too(start: Start) -> None:
    network, application, url = start({"/slow": "<Response/>"})
    application.held.clear()
    outcomes = {}

    for address in (f"{url}/slow#rc=0&tt=100", f"{url}/slow#rc=0&rt=100", f"http://127.0.0.1:{free_port()}/#rc=0"):
        network.set_webhook(address)
        sid = network.text("hello")
        wait_until(partial(has_error, network, sid, None), what="the error")
        (asked,) = network.requests(sid)
        outcomes[asked["failure"]] = asked["error"]
    application.held.set()

    assert outcomes == {"tt": 11200, "rt": 11200, "ct": 11205}


def test_what_cannot_be_sent_is_left_out_with_its_code_and_the_rest_is_sent(start: Start) -> None:
    verbs = {
        14110: "<Say>hello</Say>",
        14103: "<Message/>",
        14101: '<Message to="the cat">x</Message>',
        14104: '<Redirect method="PUT">/sms</Redirect>',
        21620: "<Message><Media>ftp://cat</Media></Message>",
        21606: '<Message from="+19998887777">x</Message>',
        21609: '<Message statusCallback="http://exa&lt;mple/cb">x</Message>',
        21266: f'<Message to="{NUMBER}">x</Message>',
        21910: f'<Message to="whatsapp:{PERSON}">x</Message>',
    }
    pages = {f"/{code}": f"<Response><Message>kept</Message>{verb}</Response>" for code, verb in verbs.items()}
    network, _, url = start(pages)
    for code in verbs:
        network.set_webhook(f"{url}/{code}")

        sid = network.text("hello")

        assert reply(network).body == "kept"
        assert network.requests(sid)[0]["error"] == code


def test_more_than_ten_replies_to_one_text_are_cut_off(start: Start) -> None:
    network, _, _ = start({"/sms": f"<Response>{'<Message>x</Message>' * 12}</Response>"})

    network.text("hello")

    for _ in range(10):
        reply(network)
    assert network.requests()[0]["error"] == 14109
    assert len(network.client().messages.list(to=PERSON)) == 10


def test_plain_text_is_a_message_and_no_answer_at_all_is_none(start: Start) -> None:
    network, _, _ = start({"/sms": (b"just words", "text/plain; charset=utf-8")})
    silent, application, _ = start({"/sms": (b"", "application/json")})

    network.text("hello")
    sid = silent.text("hello")

    assert reply(network).body == "just words"
    wait_until(lambda: silent.requests(sid))
    assert silent.requests(sid)[0]["error"] is None
    assert len(application.posted) == 1


def test_media_that_are_no_pictures_never_become_a_page_of_the_network(start: Start) -> None:
    network, _, url = start({"/evil": (b"<script>alert(1)</script>", "text/html")})

    network.client().messages.create(to=PERSON, from_=NUMBER, media_url=[f"{url}/evil"])

    (media,) = reply(network).media
    shown = httpx.get(f"{network.url}/phone/pictures/{media}")
    assert (shown.status_code, shown.headers["content-type"]) == (200, "application/octet-stream")


def test_media_whose_type_is_no_type_fail_the_message(start: Start) -> None:
    network, _, url = start({"/odd": (PNG, "image/\u4e2d".encode().decode("latin-1"))})

    sid = network.client().messages.create(to=PERSON, from_=NUMBER, media_url=[f"{url}/odd"]).sid

    wait_until(partial(has_error, network, sid, 12300))
    assert network.client().messages(sid).fetch().status == "failed"


def test_media_that_cannot_be_had_fail_the_message(start: Start) -> None:
    network, application, url = start({"/gone.png": 404, "/status": (b"", "text/plain")})

    sid = network.client().messages.create(
        to=PERSON, from_=NUMBER, media_url=[f"{url}/gone.png"], status_callback=f"{url}/status"
    ).sid  # fmt: skip

    wait_until(lambda: network.client().messages(sid).fetch().status == "failed")
    assert network.client().messages(sid).fetch().error_code == 11200
    wait_until(lambda: any(form.get("MessageStatus") == "failed" for _, _, form, _ in application.posted))


def test_the_inspector_shows_each_request_its_answer_and_its_signature_but_no_password(start: Start) -> None:
    network, application, url = start({"/sms": "<Response/>", "/status": 500})
    network.set_webhook(f"{url.replace('http://', 'http://ann:s3cret@')}/sms#rc=0")

    sid = network.text("hello there")
    wait_until(lambda: network.requests(sid))
    sent = network.client().messages.create(to=PERSON, from_=NUMBER, body="hi", status_callback=f"{url}/status")

    (asked,) = network.requests(sid)
    assert (asked["method"], asked["purpose"], asked["status"]) == ("POST", "text", 200)
    assert asked["url"] == f"{url.replace('http://', 'http://ann:***@')}/sms"
    assert asked["fields"]["Body"] == "hello there"
    assert asked["answer"] == "<Response/>"
    assert asked["seconds"] > 0
    assert asked["headers"]["X-Twilio-Signature"] == application.posted[0][3]
    wait_until(lambda: len(network.requests(sent.sid)) == 2)
    assert [(asked["purpose"], asked["status"], asked["error"]) for asked in network.requests(sent.sid)] == [
        ("status", 500, 11200)
    ] * 2
    assert network.auth_token not in httpx.get(f"{network.url}/requests").text
    assert httpx.delete(f"{network.url}/requests").status_code == 204
    assert network.requests() == []


def test_no_password_is_shown_of_the_address_that_failed(start: Start) -> None:
    pages = {"/sms": 500, "/fallback": '<Response><Redirect method="GET">/next</Redirect></Response>'}
    network, application, url = start({**pages, "/next": "<Response><Message>hi</Message></Response>"})
    secret = url.replace("http://", "http://ann:s3cret@")
    network.set_webhook(f"{secret}/sms", fallback=f"{url}/fallback")

    network.text("hello")

    assert reply(network).body == "hi"
    assert [form["ErrorUrl"] for _, _, form, _ in application.posted[1:]] == [f"{secret}/sms"] * 2
    shown = httpx.get(f"{network.url}/requests").text
    assert shown.count("ann:***@") == 2
    assert "s3cret" not in shown


def test_the_inspector_keeps_so_many_requests_and_so_much_of_each() -> None:
    inspector = Inspector(lambda _: None)
    facts: dict[str, Any] = {
        "at": 1.0, "seconds": 0.1, "purpose": "text", "message": "SM1", "method": "POST", "url": "http://a/sms",
        "headers": {}, "fields": {}, "status": 200, "failure": "", "content_type": "text/xml",
    }  # fmt: skip

    for _ in range(520):
        inspector.add(**facts, answer="x" * 40_000)

    kept = inspector.describe()
    assert [len(kept), kept[0]["id"], kept[-1]["id"]] == [500, 21, 520]
    assert {(len(asked["answer"]), asked["is_cut"]) for asked in kept} == {(16_384, True)}


def test_magic_numbers_are_refused_as_with_twilios_test_credentials(start: Start) -> None:
    network, _, _ = start({})
    client = network.client()
    outcomes = {}

    for to, sender in [
        *((f"+1500555000{n}", NUMBER) for n in (1, 2, 3, 4, 9)),
        *((PERSON, f"+1500555000{n}") for n in (1, 7, 8)),
        (PERSON, "+19998887777"),
    ]:
        with pytest.raises(TwilioRestException) as refused:
            client.messages.create(to=to, from_=sender, body="hi")
        outcomes[to, sender] = (refused.value.status, refused.value.code)

    assert [code for _, code in outcomes.values()] == [
        21211, 21612, 21408, 21610, 21614, 21212, 21606, 21611, 21606,
    ]  # fmt: skip
    assert outcomes.pop((PERSON, "+15005550008"))[0] == 429
    assert {status for status, _ in outcomes.values()} == {400}


def test_a_telephone_that_texts_is_on_the_page_and_a_crowd_does_not_fill_it(start: Start) -> None:
    network, _, _ = start({"/sms": "<Response/>"})
    network._http.post("/phone/phones", json={"number": OTHER, "name": "Emmy"})

    for number in range(30):
        network.text("hello", sender=f"+1555666{number:04d}")

    phones = [(phone["number"], phone["name"]) for phone in network.state()["phones"]]
    assert phones[0] == (OTHER, "Emmy")
    assert len(phones) == 12
    assert phones[-1] == ("+15556660029", "+15556660029")


def test_faults_strike_and_are_told(start: Start) -> None:
    network, application, _ = start({"/sms": "<Response><Message>hi</Message></Response>"})
    network.misbehave({"at": "webhook", "do": "double", "times": 1})

    network.text("hello")

    assert (reply(network).body, reply(network).body) == ("hi", "hi")
    assert application.posted[0][2]["MessageSid"] == application.posted[1][2]["MessageSid"]
    with pytest.raises(ValueError, match="at: must be one of"):
        network.misbehave({"at": "moon", "do": "drop"})


def test_without_a_reply_the_error_comes_at_once_also_while_another_telephone_gets_one() -> None:
    class Busy(Simulator):
        """A network that delivers a message while a test asks it for the latest requests."""

        def requests(self, message: str = "") -> list[dict[str, Any]]:
            form = {"To": OTHER, "From": NUMBER, "Body": "hi"}
            sid = httpx.post(api(self, "Messages.json"), auth=login(self), data=form).json()["sid"]
            address = api(self, f"Messages/{sid}.json")
            wait_until(lambda: httpx.get(address, auth=login(self)).json()["status"] == "delivered")
            return super().requests(message)

    with Busy() as busy, pytest.raises(NoReply, match="the application was not asked"):
        busy.wait_for_reply(seconds=0.01)


def test_a_network_that_was_never_started_holds_nothing_open(recwarn: pytest.WarningsRecorder) -> None:
    network = Simulator()

    del network
    gc.collect()

    assert [str(warning.message) for warning in recwarn] == []


BLOCKED = ("stop", " STOP\n", "Cancel", "unsubscribe")
NOT_BLOCKED = ("STOP STOP", "stop-all", "cancel, cancel; cancel", "Stop!", "stopp", "yes", "start")


def test_the_network_blocks_on_a_single_word_only_as_twilio_does(start: Start) -> None:
    network, _, _ = start({"/sms": "<Response/>"})
    codes = {}

    for place, body in enumerate((*BLOCKED, *NOT_BLOCKED)):
        person = f"+1555777{place:04d}"
        network.text(body, sender=person)
        form = {"To": person, "From": NUMBER, "Body": "hi"}
        codes[body] = httpx.post(api(network, "Messages.json"), auth=login(network), data=form).json().get("code")

    assert codes == {**dict.fromkeys(BLOCKED, 21610), **dict.fromkeys(NOT_BLOCKED)}


def test_yes_ends_a_block_and_is_an_ordinary_text_from_any_other_person(start: Start) -> None:
    network, _, _ = start({"/sms": "<Response/>"})

    for body in ("yes", "stop", "Yes"):
        network.text(body)

    (phone,) = network.state()["phones"]
    assert ["unsubscribed" in notice["body"] for notice in phone["notices"]] == [True, False]
    assert network.client().messages.create(to=PERSON, from_=NUMBER, body="hi").sid


def test_a_redaction_whose_body_comes_late_changes_the_words_and_nothing_else(start: Start) -> None:
    network, application, url = start({"/cat.png": (PNG, "image/png")})
    application.held.clear()
    created = network.client().messages.create(to=PERSON, from_=NUMBER, body="a secret", media_url=[f"{url}/cat.png"])
    sid = created.sid

    def late() -> Iterator[bytes]:
        yield b"Bo"
        application.held.set()
        reply(network)
        yield b"dy="

    headers = {"content-type": "application/x-www-form-urlencoded"}
    redacted = httpx.post(api(network, f"Messages/{sid}.json"), content=late(), headers=headers, auth=login(network))

    assert redacted.status_code == 200
    message = network.client().messages(sid).fetch()
    assert (message.body, message.status, message.price) == ("", "delivered", "-0.00750")
    assert message.date_sent is not None


def test_a_change_of_a_number_whose_body_comes_late_keeps_what_was_changed_meanwhile(start: Start) -> None:
    network, _, url = start({})
    (number,) = network.client().incoming_phone_numbers.list()

    def late() -> Iterator[bytes]:
        yield b"FriendlyName="
        network.set_webhook(f"{url}/new")
        yield b"Emmy"

    headers = {"content-type": "application/x-www-form-urlencoded"}
    address = api(network, f"IncomingPhoneNumbers/{number.sid}.json")
    httpx.post(address, content=late(), headers=headers, auth=login(network))

    (number,) = network.client().incoming_phone_numbers.list()
    assert (number.friendly_name, number.sms_url) == ("Emmy", f"{url}/new")


def test_a_network_that_is_watched_ends_at_once_and_ends_the_stream() -> None:
    with httpx.Client(timeout=20) as watcher:
        with Simulator() as network:
            stream = watcher.send(watcher.build_request("GET", f"{network.url}/phone/events"), stream=True)
            network.text("hello")
        lines = list(stream.iter_lines())

    assert any('"kind": "message"' in line for line in lines)


def test_the_example_of_the_documentation_runs(start: Start) -> None:
    guide = (ROOT / "docs" / "how-to" / "simulator.md").read_text()
    (example,) = (block for block in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "with Simulator" in block)
    _, application, url = start({"/incoming": "<Response><Message>hello yourself</Message></Response>"})

    exec(example.replace("http://127.0.0.1:5000", url), {})  # noqa: S102 - our own documentation

    assert application.posted[0][2]["Body"] == "hello"


@pytest.mark.long
def test_a_project_uses_it_as_a_fixture(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["simulator.pytest_plugin"]\n')
    (tmp_path / "test_app.py").write_text(
        "def test_it(telephone_network):\n"
        "    sent = telephone_network.client().messages.create(\n"
        "        to='+15551230001', from_=telephone_network.number, body='hi')\n"
        "    assert telephone_network.wait_for_reply().sid == sent.sid\n"
    )

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stdout
    assert "1 passed" in ran.stdout
