"""An attacker's reading of the console: each test is an attempt, and what it gets."""

from __future__ import annotations

import html
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.actions import Actions
from console.app import PAGE_POLICY
from console.audit import LONGEST_TARGET, Audit
from console.request import MAX_BODY_BYTES, local_path
from console.sessions import TRIES, TRIES_OF_ALL, Sessions
from conversation.models import Memory
from inbox import keys, worker_keys
from inbox.errors import InboxAway
from journal.states import TurnState
from operations import logins
from operations.doctor import Finding
from operations.errors import WrongArgument
from operations.logins import Role
from tests.builders import ANN, NOW, a_sid, a_turn
from tests.conftest import end, http_ok, wait_until
from tests.desks import HOST, PASSWORD, Console, a_desk, a_proxy, write_logins
from tests.room import WHO, Room

SCRIPT = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}\u202e\x1b]0;x\x07"
#: Pages that need a login and name no person.
OPEN_TO_ALL_ROLES = [
    "/",
    "/waiting",
    "/held",
    "/dead-letters",
    "/danger",
    "/people",
    "/costs",
    "/limits",
    "/health",
    "/audit",
]


@pytest.fixture
def logins_file(tmp_path: Path) -> Path:
    path = tmp_path / "logins"
    write_logins(path)
    return path


@pytest.fixture
def room() -> Room:
    room = Room()
    room.texts("hello cat")
    room.serve()
    return room


@pytest.fixture
def console(room: Room, logins_file: Path) -> Console:
    return Console(a_desk(room, logins_file))


@pytest.fixture(scope="module")
def open_console(tmp_path_factory: pytest.TempPathFactory) -> Console:
    """Return one console for the tests that only ask."""
    path = tmp_path_factory.mktemp("console") / "logins"
    write_logins(path)
    room = Room()
    room.texts("hello cat")
    room.serve()
    return Console(a_desk(room, path))


def actions(console: Console) -> list[tuple[str, str]]:
    """Return the address of each action, with its placeholders filled in, and its template."""
    app: Any = console.client.app
    routes = app._app.routes
    posts = [route.path for route in routes if "POST" in (route.methods or ()) and "path:path" not in route.path]
    filled = {"{who}": str(WHO), "{name}": "out%23SM1%230"}
    found = []
    for path in posts:
        address = path
        for name, value in filled.items():
            address = address.replace(name, value)
        found.append((address, path))
    return found


# --- login


@pytest.mark.parametrize("path", [*OPEN_TO_ALL_ROLES, f"/people/{WHO}", "/no/such/page", "/overview.json", "/events"])
def test_without_a_login_no_page_says_anything(open_console: Console, path: str) -> None:
    open_console.client.cookies.clear()
    answer = open_console.get(path)

    assert answer.status_code in (303, 401)
    assert "hello cat" not in answer.text
    if answer.status_code == 303:
        assert answer.headers["location"].startswith("/login?next=")


@pytest.mark.parametrize(
    ("name", "password"), [("actor", "wrong-wrong-wrong"), ("nemo", PASSWORD), ("", ""), ("actor", "")]
)
def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(console: Console, name: str, password: str) -> None:
    answer = console.log_in(name, password)

    assert answer.status_code == 403
    assert "Name or password is wrong." in answer.text
    assert console.client.cookies == {}


def test_a_typed_name_that_is_no_login_is_not_noted(console: Console) -> None:
    console.log_in("my-secret-password", "x")

    assert console.acts() == [("unknown", "login", "refused")]


def test_passwords_cannot_be_guessed(console: Console) -> None:
    answers = [console.log_in(password=f"guess-number-{number}").status_code for number in range(TRIES)]
    assert answers == [403] * TRIES

    assert console.log_in(password=PASSWORD).status_code == 429
    assert console.get("/enter", auth=("actor", PASSWORD)).status_code == 429


@pytest.mark.parametrize(
    ("first", "same", "another"),
    [
        ("2001:db8::1", "2001:db8::2:ffff", "2001:db8:0:1::1"),
        ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("fe80::1%eth0", "fe80::2%eth0", "fe80:0:0:1::1%eth0"),
        ("no address", "no address", "another"),
    ],
)
def test_the_attempts_of_one_network_are_counted_together(room: Room, first: str, same: str, another: str) -> None:
    sessions = Sessions(room.redis)
    for _ in range(TRIES):
        assert sessions.may_try(first)

    assert not sessions.may_try(same)
    assert sessions.may_try(another)


def test_refused_logins_push_no_act_off_the_audit_page(console: Console) -> None:
    console.log_in()
    console.act(f"/people/{WHO}/reveal")
    for _ in range(300):
        console.desk.audit.refuse(name="unknown", address="198.51.100.7")

    page = console.get("/audit").text

    acts, _, refused = page.partition("Refused logins")
    assert "reveal" in acts
    assert "198.51.100.7" not in acts
    assert refused.count("198.51.100.7") == 50


def test_one_address_locks_no_other_out(room: Room) -> None:
    sessions = Sessions(room.redis)
    for _ in range(2 * TRIES_OF_ALL):
        sessions.may_try("192.0.2.66")

    assert sessions.may_try("192.0.2.1")


def test_many_addresses_together_are_limited_too(room: Room) -> None:
    sessions = Sessions(room.redis)
    tried = [sessions.may_try(f"192.0.2.{number % 100}") for number in range(TRIES_OF_ALL + 20)]

    assert tried == [True] * TRIES_OF_ALL + [False] * 20


def test_a_login_that_succeeds_forgives_the_attempts_before_it(console: Console) -> None:
    for _ in range(3):
        for _ in range(TRIES - 2):
            console.log_in(password="guess-guess-guess")
        assert console.log_in().status_code == 303


def test_no_password_is_stored(console: Console, logins_file: Path, room: Room) -> None:
    console.log_in()

    stored = b"".join(room.redis.dump(key) or b"" for key in room.redis.scan_iter())
    assert PASSWORD not in logins_file.read_text()
    assert PASSWORD.encode() not in stored
    assert "$argon2id$" in logins_file.read_text()


@pytest.mark.parametrize("line", ["actor:act:plain", "actor:boss:$argon2id$x", "no role", ":act:$argon2id$x"])
def test_a_file_that_is_none_of_logins_lets_none_in(console: Console, logins_file: Path, line: str) -> None:
    logins_file.write_text(f"{line}\n")

    answer = console.log_in()
    assert answer.status_code == 503
    assert "no file of logins" in answer.text


@pytest.mark.parametrize(("name", "password"), [("a:b", PASSWORD), ("a\nroot", PASSWORD), ("actor", "short")])
def test_a_login_that_would_be_weak_or_forge_a_line_is_not_written(tmp_path: Path, name: str, password: str) -> None:
    with pytest.raises(WrongArgument):
        logins.put(tmp_path / "logins", name, Role.ACT, password)
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_logins_is_its_owners(tmp_path: Path) -> None:
    logins.put(tmp_path / "logins", "actor", Role.ACT, PASSWORD)

    assert (tmp_path / "logins").stat().st_mode & 0o777 == 0o600


# --- session


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(console: Console) -> None:
    cookie = console.log_in().headers["set-cookie"].lower()

    assert "httponly" in cookie
    assert "samesite=lax" in cookie


def test_over_https_the_cookie_travels_over_https_alone(room: Room, logins_file: Path) -> None:
    desk = a_desk(room, logins_file)
    console = Console(
        replace(desk, authentication=replace(desk.authentication, secure=True)), public_url="https://console.example"
    )
    answer = console.log_in()

    assert answer.headers["set-cookie"].startswith("__Host-")
    assert "secure" in answer.headers["set-cookie"].lower()
    assert "max-age" in answer.headers["strict-transport-security"]
    assert console.get("/").status_code == 200


def test_a_login_begins_a_new_session_and_ends_the_one_before(console: Console) -> None:
    console.log_in()
    first = dict(console.client.cookies)
    console.log_in()

    assert dict(console.client.cookies) != first
    console.client.cookies.clear()
    console.client.cookies.update(first)
    assert console.get("/").status_code == 303


def test_a_session_that_the_attacker_chose_is_none(console: Console) -> None:
    chosen = {"Cookie": "dadacat-console=chosen-by-the-attacker"}
    assert console.get("/", headers=chosen).status_code == 303

    form = {"name": "actor", "password": PASSWORD}
    answer = console.client.post("/login", data=form, headers={**chosen, "Origin": f"http://{HOST}"})
    assert "chosen-by-the-attacker" not in answer.headers["set-cookie"]
    assert console.get("/", headers=chosen).status_code in (200, 303)
    console.client.cookies.clear()
    assert console.get("/", headers=chosen).status_code == 303


def test_a_copy_of_redis_opens_no_session(console: Console, room: Room) -> None:
    console.log_in()
    token = console.client.cookies["dadacat-console"]
    names = [key.decode() for key in room.redis.scan_iter(match=worker_keys.console_session("*"))]
    fields: Any = room.redis.hgetall(names[0])

    assert len(names) == 1
    assert token.encode() not in [names[0].encode(), *fields.values()]
    console.client.cookies.clear()
    for value in (names[0].rpartition(":")[2], fields[b"csrf"].decode(), fields[b"stamp"].decode()):
        assert console.get("/", headers={"Cookie": f"dadacat-console={value}"}).status_code == 303


def test_a_logout_ends_the_session_everywhere(console: Console) -> None:
    console.log_in()
    kept = dict(console.client.cookies)
    assert console.act("/logout").status_code == 303

    console.client.cookies.update(kept)
    assert console.get("/").status_code == 303


def test_a_session_ends_when_it_is_idle_or_old(room: Room, logins_file: Path) -> None:
    seconds = [0.0]
    desk = a_desk(room, logins_file)
    sessions = Sessions(room.redis, clock=lambda: seconds[0])
    console = Console(replace(desk, authentication=replace(desk.authentication, sessions=sessions)))
    console.log_in()
    room.later(seconds=3500)
    assert console.get("/").status_code == 200
    room.later(seconds=3500)
    assert console.get("/").status_code == 200
    room.later(seconds=3700)
    assert console.get("/").status_code == 303

    console.log_in()
    seconds[0] += 13 * 3600
    assert console.get("/").status_code == 303


def test_another_role_or_password_ends_the_session_at_once(console: Console, logins_file: Path) -> None:
    console.log_in("actor")
    write_logins(logins_file, {"actor": Role.LOOK})
    assert console.get("/").status_code == 303

    console.log_in("actor")
    write_logins(logins_file, {})
    assert console.get("/").status_code == 303


# --- forms of other sites


def test_no_action_is_done_without_the_token_of_the_session(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    acted: list[str] = []
    console.log_in()

    def noted(_: Audit, *, what: str, **__: str) -> str:
        acted.append(what)
        return "1-0"

    monkeypatch.setattr(Audit, "begin", noted)
    for address, path in actions(console):
        if path == "/login":
            continue
        for form in ({}, {"csrf": ""}, {"csrf": "x" * 43}, {"CSRF": console.token()}):
            assert console.post_form(address, **form).status_code == (403 if form else 400), path
    assert acted == []


def test_another_sessions_token_is_none(room: Room, logins_file: Path) -> None:
    mine, theirs = (Console(a_desk(room, logins_file)) for _ in range(2))
    mine.log_in("actor")
    theirs.log_in("looker")

    assert mine.post_form(f"/people/{WHO}/reveal", csrf=theirs.token()).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        # the same host to the browser's cookies: another port
        {"Origin": "http://127.0.0.1:8401"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_sites_form_is_refused_even_with_the_token(console: Console, headers: dict[str, str]) -> None:
    console.log_in()
    form = {"csrf": console.token()}

    for address, path in actions(console):
        assert console.client.post(address, data=form, headers=headers).status_code == 403, path


def test_another_site_cannot_log_an_operator_in(console: Console) -> None:
    answer = console.get("/enter", auth=("actor", PASSWORD), headers={"Sec-Fetch-Site": "cross-site"})

    assert "set-cookie" not in answer.headers
    form = {"name": "actor", "password": PASSWORD}
    assert console.client.post("/login", data=form, headers={"Origin": "http://evil.example"}).status_code == 403


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", "application/json", ""])
def test_only_an_ordinary_form_is_read(console: Console, kind: str) -> None:
    console.log_in()
    body = f"csrf={console.token()}"

    answer = console.client.post(f"/people/{WHO}/reveal", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 400


@pytest.mark.parametrize("body", ["a=" + "x" * MAX_BODY_BYTES, "&".join(f"a{n}=1" for n in range(30)), "a=%ff", "\xff"])
def test_a_form_that_is_too_long_or_broken_is_refused(console: Console, body: str) -> None:
    console.log_in()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}

    answer = console.client.post("/people/search", content=body.encode("latin-1"), headers=kind)
    assert answer.status_code == 400


# --- roles


def test_a_login_that_may_look_changes_nothing(console: Console) -> None:
    console.log_in("looker")
    token = console.token()
    allowed = {"/logout", "/login", "/people/search", "/people/{who}/reveal", "/health/examine"}

    for address, path in actions(console):
        if path in allowed:
            continue
        assert console.post_form(address, csrf=token, was="sent").status_code == 403, path
        assert console.get(address).status_code == 403, path
    assert {what for _, what, _ in console.acts()} == {"login"}
    assert console.desk.journal.storage.get(ANN) is not None


def test_a_proxys_header_counts_only_with_the_proxys_secret(room: Room, logins_file: Path) -> None:
    desk = a_desk(room, logins_file)
    console = Console(replace(desk, authentication=replace(desk.authentication, proxy=a_proxy())))
    name, secret = {"X-Forwarded-User": "actor"}, {"X-Console-Proxy-Secret": "s" * 32}

    assert console.get("/", headers=name).status_code == 303
    assert console.get("/", headers={**name, "X-Console-Proxy-Secret": "guess"}).status_code == 303
    assert console.get("/", headers={**name, "X-Console-Proxy-Secret": ""}).status_code == 303
    assert console.get("/", headers=secret).status_code == 303
    assert console.get("/", headers={**name, **secret}).status_code == 200


def test_an_address_is_believed_from_the_proxy_alone(room: Room, logins_file: Path) -> None:
    desk = a_desk(room, logins_file)
    console = Console(replace(desk, authentication=replace(desk.authentication, proxy=a_proxy())))
    for number in range(TRIES):
        console.client.headers["X-Forwarded-For"] = f"192.0.2.{number}"
        console.log_in(password="guess-guess-guess")
    assert console.log_in().status_code == 429

    console.client.headers.update({"X-Forwarded-For": "192.0.2.99", "X-Console-Proxy-Secret": "s" * 32})
    assert console.log_in().status_code == 303
    assert console.desk.audit.acts(1)[0].address == "192.0.2.99"


def test_a_name_that_only_the_proxy_knows_may_look(room: Room, logins_file: Path) -> None:
    desk = a_desk(room, logins_file)
    console = Console(replace(desk, authentication=replace(desk.authentication, proxy=a_proxy())))
    console.client.headers.update({"X-Forwarded-User": "guest", "X-Console-Proxy-Secret": "s" * 32})

    assert "may look" in console.get("/").text
    assert console.act(f"/people/{WHO}/forget").status_code == 403
    # another name behind the same browser gets a session of its own
    console.client.headers["X-Forwarded-User"] = "actor"
    assert "may act" in console.get("/").text


def test_an_operator_whom_the_proxy_gives_a_long_name_keeps_a_session(room: Room, logins_file: Path) -> None:
    desk = a_desk(room, logins_file)
    console = Console(replace(desk, authentication=replace(desk.authentication, proxy=a_proxy())))
    console.client.headers.update({"X-Forwarded-User": f"{'o' * 80}@cat.example", "X-Console-Proxy-Secret": "s" * 32})

    assert "set-cookie" in console.get("/").headers
    assert "set-cookie" not in console.get("/").headers
    assert console.act(f"/people/{WHO}/reveal").status_code == 303


def test_a_proxy_that_logs_none_in_passes_on_no_name(room: Room, logins_file: Path) -> None:
    """As Caddy in `deploy/compose`: it proves itself for its address, and passes on what clients send."""
    desk = a_desk(room, logins_file)
    console = Console(replace(desk, authentication=replace(desk.authentication, proxy=replace(a_proxy(), header=""))))
    console.client.headers.update({"X-Console-Proxy-Secret": "s" * 32, "X-Forwarded-For": "192.0.2.7"})

    for header in ("X-Forwarded-User", "Remote-User", "X-Console-Proxy-Secret"):
        assert console.get("/", headers={header: "actor"}).status_code == 303
    assert console.log_in().status_code == 303
    assert console.desk.audit.acts(1)[0].address == "192.0.2.7"


def test_without_a_proxy_its_headers_mean_nothing(console: Console) -> None:
    headers = {"X-Forwarded-User": "actor", "X-Console-Proxy-Secret": ""}

    assert console.get("/", headers=headers).status_code == 303


# --- what people wrote


def test_what_people_wrote_is_words_on_every_page(logins_file: Path) -> None:
    room = Room()
    fence = room.store.conversations.open(ANN, now=NOW)
    room.texts(SCRIPT)
    room.parrot.words = SCRIPT
    room.serve()
    conversation = room.store.storage.get(ANN)
    assert conversation is not None
    dead = room.store.turns.file(a_turn(SCRIPT, sid=a_sid()), now=NOW).turn
    room.store.turns.note_error(dead, SCRIPT)
    room.store.turns.settle(dead, TurnState.DEAD, reason=SCRIPT, fence=fence.fence + 1, now=NOW)
    room.rewrite_item(metadata=json.dumps({"memory": Memory(summary=SCRIPT, told=(SCRIPT,)).to_json()}))
    console = Console(a_desk(room, logins_file))
    console.log_in()
    console.act(f"/people/{WHO}/reveal", next="/")
    texts = [
        row["sid"] for row in room.store.archive.rows(ANN) if "sid" in row and row["message_key"].startswith("in#")
    ]

    pages = [*OPEN_TO_ALL_ROLES, f"/people/{WHO}", *(f"/people/{WHO}/texts/{sid}" for sid in texts)]
    pages += [f"/dead-letters/{dead.sid}", f"/people/{WHO}/forget", "/dead-letters/out%23%3Cscript%3E"]
    shown = 0
    for path in pages:
        answer = console.get(path)
        assert answer.status_code in (200, 404), path
        words = answer.text
        shown += words.count(html.escape("<script>alert(1)"))
        assert "<script>alert" not in words, path
        assert (
            "onerror=alert(2)>" not in words.replace("&gt;", ">").replace("onerror=alert(2)&gt;", "")
            or "<img src=x" not in words
        )
        assert "49" not in words.replace(str(WHO), "") or "{{7*7}}" in words, path
        assert "\x1b" not in words, path
        assert "\u202e" not in words, path
    assert shown > 5


def test_every_answer_forbids_scripts_frames_and_guessing(console: Console) -> None:
    for path in ("/login", "/", "/page/console.js", "/livez", "/nothing", "/enter"):
        headers = console.get(path).headers
        assert headers["x-frame-options"] == "DENY", path
        assert headers["x-content-type-options"] == "nosniff", path
        assert (
            "frame-ancestors 'none'" in headers["content-security-policy"]
            or "sandbox" in headers["content-security-policy"]
        )
        assert headers["cross-origin-resource-policy"] == "same-origin"
    assert console.get("/login").headers["content-security-policy"] == PAGE_POLICY
    assert "unsafe" not in PAGE_POLICY
    console.log_in()
    assert console.get("/").headers["cache-control"] == "no-store"


def test_no_page_has_a_script_or_a_style_of_its_own(console: Console) -> None:
    console.log_in()
    for path in (*OPEN_TO_ALL_ROLES, f"/people/{WHO}", f"/people/{WHO}/forget"):
        page = console.get(path).text
        assert "<style" not in page
        assert " style=" not in page
        assert " on" not in {f" {word[:2]}" for word in page.split() if word.startswith("on") and "=" in word}
        assert page.count("<script") == page.count('<script type="module" src="/page/')


def test_an_export_is_a_file_and_never_a_page(console: Console) -> None:
    console.log_in()
    for kind in ("lines", "page"):
        answer = console.act(f"/people/{WHO}/export", **{"as": kind})
        assert answer.status_code == 200
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert "hello cat" in answer.text


# --- numbers


def test_no_number_and_no_word_is_shown_before_it_is_revealed(console: Console, room: Room) -> None:
    room.texts("a second text waits")
    console.log_in()
    pages = [*OPEN_TO_ALL_ROLES, f"/people/{WHO}", f"/people/{WHO}/forget", "/overview.json", "/costs?by=person"]
    for path in pages:
        page = console.get(path)
        assert page.status_code == 200, path
        assert ANN not in page.text, path
        assert "hello cat" not in page.text, path

    answer = console.act(f"/people/{WHO}/reveal", next=f"/people/{WHO}")
    assert answer.headers["location"] == f"/people/{WHO}"
    assert ANN in console.get(f"/people/{WHO}").text
    assert "hello cat" in console.get(f"/people/{WHO}").text
    assert console.acts()[0] == ("actor", "reveal", "done")


def test_no_number_stands_in_an_address_in_redis_or_in_the_log(console: Console, room: Room) -> None:
    console.log_in()
    answer = console.act("/people/search", what="+1 (555) 123-0001")
    assert answer.headers["location"] == f"/people/{WHO}"
    console.act(f"/people/{WHO}/reveal", next="/")
    console.act("/people/search", what="+15559990000")

    stored = [room.redis.dump(key) or b"" for key in room.redis.scan_iter() if key.decode() != keys.PEOPLE]
    assert not any(b"5551230001" in value or b"5559990000" in value for value in stored)
    assert all("555" not in entry.target for entry in console.desk.audit.acts(50))


def test_a_reveal_ends_by_itself_and_belongs_to_one_session(room: Room, logins_file: Path) -> None:
    seconds = [0.0]
    desk = a_desk(room, logins_file)
    sessions = Sessions(room.redis, clock=lambda: seconds[0])
    desk = replace(desk, authentication=replace(desk.authentication, sessions=sessions))
    mine, theirs = Console(desk), Console(desk)
    mine.log_in("looker")
    theirs.log_in("looker")
    mine.act(f"/people/{WHO}/reveal", next="/")

    assert ANN in mine.get(f"/people/{WHO}").text
    assert ANN not in theirs.get(f"/people/{WHO}").text
    seconds[0] += 601
    assert ANN not in mine.get(f"/people/{WHO}").text


# --- the audit log


def test_no_action_is_done_if_the_log_cannot_take_it(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    console.log_in()
    token = console.token()
    before = list(console.desk.journal.archive.rows(ANN))

    def away(*_: object, **__: object) -> str:
        raise InboxAway("OOM")

    monkeypatch.setattr(Audit, "begin", away)
    for address, path in actions(console):
        if path not in ("/login", "/logout"):
            assert console.post_form(address, csrf=token, was="sent").status_code == 503, path
    assert list(console.desk.journal.archive.rows(ANN)) == before
    assert ANN not in console.get(f"/people/{WHO}").text
    assert console.log_in().status_code == 503


def test_the_log_has_the_act_before_it_is_done_and_then_its_outcome(room: Room, logins_file: Path) -> None:
    seen: list[list[tuple[str, str, str]]] = []
    desk = a_desk(room, logins_file)

    def forget(person: str) -> list[Any]:
        assert person == ANN
        seen.append([(entry.name, entry.what, entry.outcome) for entry in desk.audit.acts(1)])
        raise InboxAway("READONLY")

    console = Console(replace(desk, forget=forget))
    console.log_in()
    assert console.act(f"/people/{WHO}/forget").status_code == 503

    assert seen == [[("actor", "forget", "")]]
    assert console.acts()[0] == ("actor", "forget", "failed: InboxAway")


def test_the_log_names_who_did_what_to_whom_from_where(console: Console) -> None:
    console.log_in()
    console.act(f"/people/{WHO}/reset")

    [entry, *_] = console.desk.audit.acts(5)
    assert (entry.name, entry.what, entry.target, entry.outcome) == ("actor", "reset", WHO, "done")
    assert entry.address == "testclient"
    page = console.get("/audit").text
    assert "reset" in page
    assert str(WHO) in page


def test_the_log_is_bounded_and_keeps_the_newest(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.audit.KEPT", 20)
    audit = Audit(room.redis)
    for number in range(30):
        audit.begin(name="actor", address="x", what=str(number))

    assert room.redis.xlen(worker_keys.AUDIT) == 20
    assert [entry.what for entry in audit.acts(3)] == ["29", "28", "27"]


def test_an_act_upon_a_long_name_does_not_fill_redis(console: Console) -> None:
    console.log_in("looker")
    for _ in range(3):
        assert console.act(f"/people/{'0' * 15_000}/reveal").status_code == 404

    assert [len(entry.target) for entry in console.desk.audit.acts(3)] == [LONGEST_TARGET] * 3


def test_a_page_that_is_loaded_again_and_again_takes_no_more_threads(
    room: Room, logins_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operations.one_at_a_time.TURN_SECONDS", 0.01)
    begun, may_end = threading.Event(), threading.Event()

    def examine() -> list[Finding]:
        begun.set()
        assert may_end.wait(30)
        return []

    console = Console(a_desk(room, logins_file, examine=examine))
    console.log_in("looker")
    form = {"csrf": console.token()}
    with ThreadPoolExecutor() as pool:
        first = pool.submit(console.post_form, "/health/examine", **form)
        assert begun.wait(30)
        second = console.post_form("/health/examine", **form)
        may_end.set()

    assert (second.status_code, first.result().status_code) == (409, 303)
    assert "examined for another page" in second.text
    assert console.acts()[:2].count(("looker", "examine", "refused")) == 1


@pytest.mark.parametrize("path", ["/costs", "/danger", "/held?search=all", f"/people/{'0' * 24}"])
def test_pages_that_read_everything_wait_for_each_other(
    room: Room, logins_file: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("operations.one_at_a_time.TURN_SECONDS", 0.01)
    console = Console(a_desk(room, logins_file))
    console.log_in("looker")

    with console.desk.reading.turn():
        held_up = console.get(path)

    assert held_up.status_code == 409
    assert "the journal is read for another page" in held_up.text
    assert console.get(path).status_code != 409


def test_a_stranger_cannot_push_out_what_operators_did(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.audit.KEPT", 10)
    monkeypatch.setattr("console.audit.KEPT_REFUSALS", 10)
    console.log_in()
    console.act(f"/people/{WHO}/reset")
    for number in range(25):
        console.desk.audit.refuse(name="unknown", address=f"192.0.2.{number}")

    assert ("actor", "reset", "done") in console.acts()
    assert console.acts().count(("unknown", "login", "refused")) == 10


def test_there_is_no_way_to_an_action_but_through_the_log(console: Console) -> None:
    """Every route that takes a POST ends in `Actions.answer`, except those of the login."""
    asked: list[str] = []
    original = Actions.answer

    def counted(self: Actions, action: Any, given: Any, address: str) -> Any:
        asked.append(action.path)
        return original(self, action, given, address)

    console.log_in()
    token = console.token()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Actions, "answer", counted)
        for address, path in actions(console):
            if path not in ("/login", "/logout"):
                console.post_form(address, csrf=token)
                assert asked[-1] == path


# --- addresses


@pytest.mark.parametrize(
    "given",
    [
        "http://evil.example/", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example",
        "/%2fevil.example", "/%5cevil.example", "https:evil.example", "javascript:alert(1)", "/\t/evil.example",
        "/\n/evil.example", "evil.example", "", " //evil.example", "/%09/evil.example", "/ok\r\nSet-Cookie: a=b",
        "/a:b@evil.example", "/\u2215evil",
    ],
)  # fmt: skip
def test_a_login_leads_nowhere_else(open_console: Console, given: str) -> None:
    open_console.client.cookies.clear()
    answer = open_console.log_in(next=given)

    assert answer.headers["location"] == "/"
    assert local_path(given) == "/"


@pytest.mark.parametrize("given", ["/", "/held", "/people/abc?x=1", "/held/out%23SM1%230", "/costs?by=day&since=7d"])
def test_a_login_leads_back_to_where_it_was_needed(open_console: Console, given: str) -> None:
    open_console.client.cookies.clear()
    answer = open_console.get(given)
    page = open_console.get(answer.headers["location"]).text

    assert f'name="next" value="{html.escape(given)}"' in page
    assert open_console.log_in(next=given).headers["location"] == given


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (HOST, 200),
        ("localhost:8405", 200),
        ("[::1]:8405", 200),
        ("evil.example:8405", 421),
        ("", 421),
        ("127.0.0.1.evil", 421),
    ],
)  # fmt: skip
def test_an_attackers_name_that_leads_here_is_not_answered(open_console: Console, host: str, status: int) -> None:
    open_console.client.cookies.clear()
    assert open_console.get("/login", headers={"Host": host}).status_code == status


def test_probes_say_nothing_else(open_console: Console) -> None:
    open_console.client.cookies.clear()
    assert open_console.get("/livez").text == "alive\n"
    assert open_console.get("/readyz").text == "ready\n"
    assert open_console.get("/metrics").status_code == 303


@pytest.mark.parametrize(
    "name", ["../app.py", "..%2f..%2fpyproject.toml", "base.css/..", "console.css%00", "overview.html"]
)
def test_only_the_pages_own_files_are_served(open_console: Console, name: str) -> None:
    open_console.client.cookies.clear()
    assert open_console.get(f"/page/{name}").status_code in (303, 404)


# --- connections

#: The console's server before an application that answers at once, or for three seconds in pieces.
SERVER = """
import asyncio, socket, sys
from console import server

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(30 if scope["path"] == "/slow" else 0):
        await send({"type": "http.response.body", "body": b".", "more_body": True})
        await asyncio.sleep(0.1)
    await send({"type": "http.response.body", "body": b"done"})

server.HEAD_SECONDS = server.KEEP_ALIVE_SECONDS = 1
server.MOST_CONNECTIONS = 20
server.serve(app, socket.socket(fileno=int(sys.argv[1])))
"""


@pytest.fixture
def server() -> Iterator[str]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        command = [sys.executable, "-c", SERVER, str(listening.fileno())]
        process = subprocess.Popen(command, pass_fds=[listening.fileno()], stderr=subprocess.DEVNULL)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            end(process)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: ",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na",
    ],
    ids=["nothing", "half a head", "half of the second head", "half a body"],
)
def test_connections_that_say_nothing_keep_no_operator_out(server: str, said: bytes) -> None:
    address = ("127.0.0.1", int(server.rpartition(":")[2]))
    idle = [socket.create_connection(address) for _ in range(30)]
    try:
        for connection in idle:
            connection.sendall(said)
        wait_until(lambda: http_ok(server), what="an answer to an operator")
    finally:
        for connection in idle:
            connection.close()


def test_an_answer_that_takes_long_is_not_cut_off(server: str) -> None:
    wait_until(lambda: http_ok(server), what="the server")

    assert httpx.get(f"{server}/slow", timeout=10).text == "." * 30 + "done"
