"""The console shows what there is, and does what the command line does."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from console.desk import Links
from conversation.errors import StoreAway
from inbox import payloads, processes
from journal.states import PartState, TurnState
from journal.store import Journal
from operations import logins
from operations.errors import NotFound, WrongArgument
from operations.logins import Role
from operations.one_at_a_time import OneAtATime
from operations.overview import Overviews
from operations.people import PeopleByHash
from operations.prometheus import Prometheus
from tests.builders import ANN, BEN, OUR_NUMBER, a_text
from tests.desks import CLEO, DAN, FAY, GUS, KEY, Console, a_busy_room, a_desk, write_logins
from tests.room import Room
from tests.servers import a_server, send


def who(person: str) -> str:
    return payloads.who(person, KEY)


def masked(person: str) -> str:
    return f"**{person[-2:]} {who(person)[:8]}"


@pytest.fixture
def room() -> Room:
    return a_busy_room()


def a_console(room: Room, folder: Path) -> Console:
    write_logins(folder / "logins")
    desk = a_desk(room, folder / "logins")
    desk.overviews.look(wait=True)
    console = Console(desk)
    console.log_in()
    return console


def test_a_person_who_waits_for_the_first_answer_is_named_nowhere(tmp_path: Path) -> None:
    room = Room()
    room.texts("hello cat")
    console = a_console(room, tmp_path)
    page = f"/people/{who(ANN)}"

    assert page in console.get("/waiting").text
    for answer in (console.get(page), console.act(f"{page}/reset")):
        assert "no conversation with this person" in answer.text
        assert ANN not in answer.text


@pytest.fixture
def console(room: Room, tmp_path: Path) -> Console:
    return a_console(room, tmp_path)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Console:
    """Return one console for the tests that only look."""
    return a_console(a_busy_room(), tmp_path_factory.mktemp("console"))


def rows(journal: Journal, person: str) -> list[Any]:
    return list(journal.archive.rows(person))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (
            "/",
            [
                "1 person waits, the longest for 45 s; 1 could not be answered; 1 may not have been",
                "nothing is sent from sender",
                "1 reply may have been sent",
            ],
        ),
        ("/", ["texts ANSWERED", "answered in all", "this month", "PROMETHEUS_URL"]),
        ("/waiting", [masked(GUS), "nothing is sent (sender", "21606"]),
        ("/held", [masked(DAN), "HELD", "no evidence in time"]),
        ("/dead-letters", ["ZeroDivisionError", "out#SM0#0", "an unknown state"]),
        ("/danger", [masked(CLEO), "certain", "SENT", "the cat is quiet"]),
        ("/people", [masked(ANN), "MessageSid"]),
        ("/costs?by=number", [OUR_NUMBER, "total"]),
        ("/costs?by=person", [masked(ANN)]),
        ("/limits", ["sender", "21606", masked(FAY), "over the limit: texts a minute", "10.00 USD"]),
        ("/health", ["DadaCat 0.1.0", "REDIS_URL", "Flower", "DadaCatMessages", "They are believed."]),
        ("/audit", ["login", "actor", "done"]),
        (f"/people/{who(ANN)}", ["9 characters", "replies", "its road"]),
    ],
)
def test_a_page_shows_what_there_is(seen: Console, path: str, words: list[str]) -> None:
    page = seen.get(path)

    assert page.status_code == 200
    for word in words:
        assert html.escape(word, quote=False) in page.text.replace("&#39;", "'"), word


def test_the_road_of_a_text_is_a_page_and_json(console: Console, room: Room) -> None:
    sid = next(row["sid"] for row in rows(room.store, ANN) if row["message_key"].startswith("in#"))
    address = f"/people/{who(ANN)}/texts/{sid}"

    page = console.get(address)
    assert "persisted" in page.text
    assert "part 0 sent as" in page.text
    road = console.get(f"{address}/road").json()
    assert [station["name"] for station in road["stations"]] == [
        "received", "opened", "thought", "persisted", "claimed", "sent",
    ]  # fmt: skip
    assert console.act("/people/search", what=sid).headers["location"] == address


def test_a_held_reply_is_settled_by_the_operators_word(console: Console, room: Room) -> None:
    key = next(row["message_key"] for row in rows(room.store, DAN) if row["message_key"].startswith("out#"))
    address = f"/held/{key.replace('#', '%23')}"
    assert "It was not sent" in console.get(f"{address}/settle").text

    assert console.act(f"{address}/settle").status_code == 409
    answer = console.act(f"{address}/settle", was="not sent")

    assert answer.headers["location"] == "/held"
    assert f"{key} is settled: not sent." in console.get("/held").text
    assert f"{key} is settled" not in console.get("/held").text
    assert "No reply is in doubt" in console.get("/held").text


def test_a_held_reply_is_sent_again_once(console: Console, room: Room) -> None:
    key = next(row["message_key"] for row in rows(room.store, DAN) if row["message_key"].startswith("out#"))
    address = f"/held/{key.replace('#', '%23')}/resend"
    assert "may get it twice" in console.get(address).text

    assert console.act(address).status_code == 303
    assert console.act(address).status_code in (404, 409)

    part = room.store.outbox.parts(DAN, key.split("#")[1])[0]
    assert part.state is PartState.RETRY


def test_a_dead_letter_is_queued_again_or_discarded(console: Console, room: Room) -> None:
    row = next(row for row in rows(room.store, BEN) if row["message_key"].startswith("in#"))
    address = f"/dead-letters/{row['sid']}"
    assert "Traceback" not in console.get(address).text
    console.act(f"/people/{who(BEN)}/reveal", next=address)
    assert "ZeroDivisionError: division by zero" in console.get(address).text

    assert console.act(f"{address}/replay").headers["location"] == "/dead-letters"
    turn = room.store.turns.get(BEN, row["sid"])
    assert turn is not None
    assert turn.state is TurnState.FILED
    assert console.act(f"{address}/discard").status_code == 404


def test_pages_show_who_waits_while_the_journal_does_not_answer(room: Room, tmp_path: Path) -> None:
    write_logins(tmp_path / "logins")
    desk = a_desk(room, tmp_path / "logins")

    def refuse(*_: object, **__: object) -> Any:
        raise StoreAway("dynamodb cannot be reached")

    unsettled: Any = SimpleNamespace(rows=refuse, watermark=refuse)
    away = replace(room.store, unsettled=unsettled)
    console = Console(replace(desk, journal=away, overviews=Overviews(away, room.redis, room.circuit, caps={})))
    console.log_in()

    for path, words in (("/", "1 person waits"), ("/waiting", masked(GUS)), ("/limits", "21606"), ("/health", "Redis")):
        page = console.get(path)
        assert page.status_code == 200, path
        assert words in page.text, path
    assert "DynamoDB cannot be used" in console.get("/").text
    assert console.get("/waiting").text.count("The journal does not answer.") == 1


def test_a_traced_text_is_linked_to_its_trace(tmp_path: Path) -> None:
    room = Room()
    text = a_text(trace=f"00-{'a' * 32}-{'b' * 16}-01")
    room.inbox.texts.accept(text)
    room.serve()
    write_logins(tmp_path / "logins")
    desk = a_desk(room, tmp_path / "logins")
    for links, shown in (
        (Links(), f"<code>{'a' * 32}</code>"),
        (Links(trace="https://traces.example/t/{trace}"), f'href="https://traces.example/t/{"a" * 32}"'),
    ):
        console = Console(replace(desk, links=links))
        console.log_in()
        assert shown in console.get(f"/people/{who(ANN)}/texts/{text.sid}").text


def test_what_was_set_aside_is_discarded(console: Console) -> None:
    assert console.act("/set-aside/out%23SM0%230/discard").status_code == 303

    assert "Nothing is set aside" in console.get("/dead-letters").text


def test_an_export_is_what_the_command_writes(console: Console) -> None:
    lines = console.act(f"/people/{who(ANN)}/export", **{"as": "lines"}).text.splitlines()

    assert lines[0].startswith('{"item"')
    assert len([line for line in lines if line.startswith('{"row"')]) == 6


def test_a_reset_clears_what_the_cat_remembers(console: Console, room: Room) -> None:
    assert "will remember nothing" in console.get(f"/people/{who(ANN)}/reset").text
    console.act(f"/people/{who(ANN)}/reset")

    conversation = room.store.storage.get(ANN)
    assert conversation is not None
    assert conversation.messages == ()


def test_a_person_is_forgotten(console: Console, room: Room) -> None:
    assert "cannot be restored" in console.get(f"/people/{who(ANN)}/forget").text
    answer = console.act(f"/people/{who(ANN)}/forget")

    assert answer.headers["location"] == "/people"
    assert "is forgotten: 6 rows" in console.get("/people").text
    assert rows(room.store, ANN) == []
    assert console.get(f"/people/{who(ANN)}").status_code == 404


def test_no_console_remembers_a_person_who_was_forgotten(console: Console, room: Room, tmp_path: Path) -> None:
    other = a_console(room, tmp_path)
    assert other.get(f"/people/{who(ANN)}").status_code == 200

    console.act(f"/people/{who(ANN)}/forget")

    for each in (console, other):
        assert each.act(f"/people/{who(ANN)}/reveal").status_code == 404


def test_marks_are_believed_again(console: Console, room: Room) -> None:
    room.store.unsettled.set_watermark("marks distrusted", room.now())
    assert "not believed since" in console.get("/health").text

    console.act("/health/trust")
    assert "They are believed." in console.get("/health").text


def test_an_examination_stays_on_the_page(console: Console) -> None:
    console.act("/health/examine")

    page = console.get("/health").text
    assert "1 of 1 findings need you." in page
    assert "start it" in page


def test_the_overview_is_json_for_programs(seen: Console) -> None:
    overview = seen.get("/overview.json").json()

    assert (overview["level"], overview["held"], overview["dead"]) == ("wrong", 1, 1)
    assert overview["recent"]["texts"]["ANSWERED"] == 5


def test_what_is_asked_for_and_is_not_there_is_said(seen: Console) -> None:
    for path in ("/held/out%23SM9%230", "/dead-letters/SM9", f"/people/{'0' * 24}", "/nothing"):
        assert seen.get(path).status_code == 404, path
    assert seen.act("/people/search", what="+15559990000").status_code == 404
    assert seen.get("/costs?by=cat").status_code == 409


def test_a_search_finds_the_number_as_people_write_it(seen: Console) -> None:
    for typed in ("+15551230001", "+1 (555) 123-0001", "555 123 0001"):
        assert seen.act("/people/search", what=typed).headers["location"] == f"/people/{who(ANN)}"


def test_a_person_is_found_by_hash_after_a_restart() -> None:
    room = a_busy_room()
    people = PeopleByHash(room.store, room.inbox, lambda person: payloads.who(person, KEY), OneAtATime("read"))

    assert people.user_id(who(ANN)) == ANN
    with pytest.raises(NotFound):
        people.user_id("0" * 24)


def test_a_login_is_written_replaced_and_verified(tmp_path: Path) -> None:
    path = tmp_path / "logins"
    logins.put(path, "ann", Role.LOOK, "first-password")
    logins.put(path, "ben", Role.ACT, "other-password")
    logins.put(path, "ann", Role.ACT, "second-password")

    read = logins.read(path)
    assert {name: str(login.role) for name, login in read.items()} == {"ann": "act", "ben": "act"}
    assert logins.verified(read, "ann", "second-password") == read["ann"]
    assert logins.verified(read, "ann", "first-password") is None


def test_a_login_of_a_setting_has_one_hash_and_must_be_sound() -> None:
    first, again = (logins.given("operator:a-long-password") for _ in range(2))

    assert first == again
    assert logins.verified(first, "operator", "a-long-password") == first["operator"]
    assert first["operator"].role is Role.ACT
    assert logins.given("") == {}
    for wrong in ("operator:short", "a b:a-long-password", "no-password"):
        with pytest.raises(WrongArgument):
            logins.given(wrong)


def prometheus(answer: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda request: send(request, answer, kind="application/json")


def test_alarms_come_from_prometheus_the_firing_first(console: Console) -> None:
    answer = b"""{"status": "success", "data": {"alerts": [
      {"labels": {"alertname": "Held", "severity": "warning"}, "state": "pending", "activeAt": "2026"},
      {"labels": {"alertname": "OldestUnanswered"}, "annotations": {"summary": "a text waits"}, "state": "firing",
       "activeAt": "2026-11-30T02:00:00Z"}]}}"""
    with a_server(prometheus(answer)) as url:
        alarms = Prometheus(url).alarms()
        shown = Console(replace(console.desk, prometheus=Prometheus(url)))
        shown.log_in()
        page = shown.get("/").text

    assert [alarm.name for alarm in alarms.alarms] == ["OldestUnanswered", "Held"]
    assert "OldestUnanswered: a text waits" in page


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b'{"data": {"alerts": [1]}}'])
def test_a_prometheus_that_is_none_is_said(answer: bytes) -> None:
    with a_server(prometheus(answer)) as url:
        assert "is no Prometheus" in Prometheus(url).alarms().problem
    assert "does not answer" in Prometheus("http://127.0.0.1:9").alarms().problem


def test_the_processes_are_read_from_redis_s_connections() -> None:
    listed = [
        {"name": "", "lib-name": "redis-py(dadacat-worker_v0.1.0+47)", "addr": "10.0.0.2:5000", "age": "9"},
        {"name": "", "lib-name": "redis-py(dadacat-worker_v0.1.0+47)", "addr": "10.0.0.2:5001", "age": "12"},
        {"name": "", "lib-name": "redis-py(dadacat-worker_v0.2.0+48)", "addr": "10.0.0.2:5002", "age": "3"},
        {"name": "dadacat-worker", "lib-name": "redis-py", "addr": "10.0.0.2:5003", "age": "3"},
        {"name": "dadacat-beat-0.1.0", "lib-name": "redis-py", "addr": "[::1]:5004", "age": "3"},
        {"name": "another", "lib-name": "jedis", "addr": "10.0.0.3:1", "age": "1"},
    ]

    found = [(p.role, p.version, p.pid, p.address, p.connections, p.seconds) for p in processes.read(listed)]

    assert found == [
        ("beat", "0.1.0", "", "[::1]", 1, 3),
        ("worker", "0.1.0", "47", "10.0.0.2", 2, 12),
        ("worker", "0.2.0", "48", "10.0.0.2", 1, 3),
    ]


def test_a_real_redis_lists_a_connection_of_ours(redis_url: str) -> None:
    from inbox.connection import connect  # noqa: PLC0415 - one use

    with connect(redis_url, "console") as client:
        found = processes.connected(client)

    assert {(process.role, process.version) for process in found} >= {("console", version("dadacat"))}
