"""An import takes what an export wrote, and changes no person who is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conversation.errors import StoreAway
from conversation.storage import InMemoryStorage
from journal.model import STILL_STOPPED, stop_mark
from journal.store import Journal
from operations import export, import_
from operations.errors import BadRequest
from sms.messages import MessageSid
from tests.builders import ANN, BEN
from tests.room import WHO, Dying, Room

ITEM = {"user_id": BEN, "created_at": "2026-11-29T12:00:00+00:00", "updated_at": "2026-11-29T12:00:00+00:00",
        "messages": "[]", "is_active": True}  # fmt: skip
ROW = {"user_id": BEN, "message_key": "in#SM1", "sid": "SM1", "state": "SILENT", "arrived": "1732312345678-000007",
       "content": "hello", "to": "+15005550006", "tries": 1}  # fmt: skip


def lines_of(room: Room) -> list[str]:
    return list(export.lines(room.store, None, print))


def looked_at(journal: Journal, lines: Sequence[str]) -> import_.Export:
    return import_.read(journal, lines, who=lambda _: WHO, now=datetime.now(UTC))


def imported(journal: Journal, lines: Sequence[str]) -> tuple[int, int]:
    return import_.write(journal, looked_at(journal, lines))


def test_an_export_comes_back_as_it_was() -> None:
    room = Room()
    room.texts("hello", "and again")
    room.serve()
    elsewhere = Journal.on(InMemoryStorage())

    assert imported(elsewhere, lines_of(room)) == (1, 4)
    assert list(export.lines(elsewhere, None, print)) == lines_of(room)


def test_rows_alone_do_not_change_a_person_who_is_known() -> None:
    room = Room()
    (text,) = room.texts("hello")
    room.serve()
    rows = [{**ROW, "user_id": ANN, "message_key": f"in#{text.sid}", "sid": text.sid, "content": "I agree to pay"}]

    with pytest.raises(BadRequest, match=r"line 1: \**01 is known here already"):
        imported(room.store, [json.dumps({"row": row}) for row in rows])

    turn = room.store.turns.get(ANN, text.sid)
    assert turn is not None
    assert turn.content == "hello"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("root:x:0:0:root:/root:/bin/bash", "no JSON object"),
        ("[" * 100_000, "no JSON object"),
        ('{"row": {"user_id": ' * 20_000, "no JSON object"),
        ('{"item": NaN}', "no JSON object"),
        ('{"item": 1, "row": 2}', "no item and no row"),
        ('{"item": {"user_id": "+1"}}', "lacks created_at, updated_at, messages"),
        ('{"item": {"user_id": "#reconciler"}}', "names no person"),
        ('{"row": []}', "names no person"),
        (json.dumps({"item": {**ITEM, "messages": "not json"}}), "is not JSON"),
        (json.dumps({"row": {**ROW, "state": ["SILENT"]}}), "no state like that"),
        (json.dumps({"row": {**ROW, "state": "PONDERING"}}), "no state like that"),
        (json.dumps({"row": {**ROW, "state": "SENT"}}), "no state like that"),
        (json.dumps({"row": {**ROW, "state": "FILED"}}), r"not settled \(FILED\)"),
        (json.dumps({"row": {**ROW, "message_key": "in"}}), "none of the journal's"),
        (json.dumps({"row": {**ROW, "message_key": 7}}), "none of the journal's"),
        (json.dumps({"row": {**ROW, "arrived": "yesterday"}}), "no time of arrival"),
        (json.dumps({"row": {**ROW, "settled_at": "yesterday"}}), "a time is no time"),
        (json.dumps({"row": {name: value for name, value in ROW.items() if name != "content"}}), "lacks content"),
        (json.dumps({"row": ROW}).replace('"tries": 1', f'"tries": {"9" * 4000}'), "what DynamoDB does not take"),
        (json.dumps({"row": ROW}).replace('"tries": 1', f'"tries": 0.{"9" * 4000}'), "what DynamoDB does not take"),
        (json.dumps({"row": ROW}).replace('"tries": 1', '"tries": 1e999'), "what DynamoDB does not take"),
        (json.dumps({"row": {**ROW, "content": "x" * 500_000}}), "what DynamoDB does not take"),
        (
            json.dumps({"row": ROW}).replace('"tries": 1', '"deep": ' + "[" * 40 + "]" * 40),
            "what DynamoDB does not take",
        ),
        (json.dumps({"row": {**ROW, "content": "half \ud800"}}), "what DynamoDB does not take"),
        (json.dumps({"row": {**ROW, "parts": [{"deep": "\udc00"}]}}), "what DynamoDB does not take"),
        (json.dumps({"row": {**ROW, "half \ud800": 1}}), "what DynamoDB does not take"),
        (json.dumps({"row": {**ROW, "user_id": "\U0001f408" * 600}}), "names no person"),
        (json.dumps({"row": {**ROW, "message_key": "in#" + "\U0001f408" * 300}}), "none of the journal's"),
    ],
)
def test_what_is_no_line_of_an_export_is_named_and_nothing_is_written(line: str, reason: str) -> None:
    journal = Journal.on(InMemoryStorage())

    with pytest.raises(BadRequest, match=f"line 2: .*{reason}"):
        imported(journal, [json.dumps({"item": ITEM}), line])

    assert list(journal.archive.items()) == []


@pytest.mark.parametrize(("nth", "after", "left"), [(1, False, (1, 4)), (1, True, (1, 0)), (2, False, (1, 0))])
def test_an_import_that_failed_midway_is_repeated(nth: int, left: tuple[int, int], *, after: bool) -> None:
    room = Room()
    room.texts("hello", "and again")
    room.serve()
    lines, elsewhere = lines_of(room), Journal.on(InMemoryStorage())
    failing: Any = Dying(elsewhere, "archive.keep", after=after, nth=nth, error=StoreAway("throttled"))
    with pytest.raises(StoreAway):
        imported(failing, lines)
    assert elsewhere.archive.item(ANN) is None, "a conversation without what was said"

    assert imported(elsewhere, lines) == left

    assert list(export.lines(elsewhere, None, print)) == lines
    with pytest.raises(BadRequest, match="all of it is known here already"):
        imported(elsewhere, lines)


def test_a_person_who_texted_since_is_not_written_over() -> None:
    room = Room()
    room.texts("hello")
    room.serve()
    lines = lines_of(room)
    room.texts("and again")
    room.serve()

    with pytest.raises(BadRequest, match="is known here already"):
        imported(room.store, lines)


def test_a_stop_while_the_import_is_confirmed_stands() -> None:
    old, room = Room(), Room()
    old.texts("hello")
    old.serve()
    export_read = looked_at(room.store, lines_of(old))
    room.texts("STOP")
    room.serve()

    with pytest.raises(BadRequest, match="01 texted while this import ran"):
        import_.write(room.store, export_read)
    room.texts("hello again")
    room.serve()

    assert room.received == []


def test_an_item_whose_answer_was_lost_counts_as_written() -> None:
    journal = Journal.on(InMemoryStorage())

    assert journal.archive.keep(ITEM, [])
    assert journal.archive.keep(ITEM, [])
    assert not journal.archive.keep({**ITEM, "is_active": False}, [])


@pytest.mark.parametrize("stopped", [True, False])
def test_who_was_forgotten_here_comes_back_with_what_holds_since(*, stopped: bool) -> None:
    room = Room()
    (old,) = room.texts("hello")
    room.serve()
    said, lines = (
        room.received,
        [line.replace('"is_active"', '"expires": 4000000000, "is_active"') for line in lines_of(room)],
    )
    room.store.archive.erase(ANN)
    until = room.now() + timedelta(days=3650)
    room.store.tombstones.add(WHO, ["mark of SM late"], until=until)
    if stopped:
        room.store.tombstones.add(stop_mark(WHO), [STILL_STOPPED], until=until)

    imported(room.store, lines)
    with pytest.raises(BadRequest, match="all of it is known here already"):
        imported(room.store, lines)
    room.inbox.texts.accept(replace(old, sid=MessageSid("SM late"), body="an old text"))
    room.texts("hello again")
    room.serve(mark=lambda sid: f"mark of {sid}")

    assert room.received == (said if stopped else [*said, "re: hello again"])
    item = room.store.archive.item(ANN)
    assert item is not None
    assert ("expires" in item) is not stopped
    room.texts("START", "are you back?")
    room.serve()
    assert room.received[-1] == "re: are you back?"


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(BadRequest, match="line 2: stands in the file before"):
        looked_at(Journal.on(InMemoryStorage()), [json.dumps({"row": ROW})] * 2)


@pytest.mark.parametrize(
    ("state", "key", "listed"),
    [
        ("SILENT", "in#SM1", None),
        ("DEAD", "in#SM1", "dead"),
        ("SENT", "out#SM1#0", None),
        ("HELD", "out#SM1#0", "held"),
    ],
)
def test_only_the_operators_lists_show_what_was_imported(state: str, key: str, listed: str | None) -> None:
    more: dict[str, Any] = {"message_key": key, "state": state, "unsettled": "03", "since": "2026-11-29T12:00:00+00:00"}
    part = {"turn": "SM1", "number": 0, "sender": "+15005550006"} if key.startswith("out") else {}
    journal = Journal.on(InMemoryStorage())

    imported(journal, [json.dumps({"row": {**ROW, **more, **part}})])

    (row,) = journal.archive.rows(BEN)
    assert row.get("unsettled") == listed
