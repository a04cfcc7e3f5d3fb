"""A file of another program is imported or refused, whatever it holds."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime

from hypothesis import example, given
from hypothesis import strategies as st

from conversation.storage import InMemoryStorage
from inbox.payloads import Who
from journal.store import Journal
from operations import import_
from operations.errors import BadRequest
from tests.fuzz.test_properties import JSON, TEXT, json_with

#: A row as an export has it; each example changes some of it.
SOUND = {
    "user_id": "+15551230001", "message_key": f"in#SM{'1' * 32}", "state": "ANSWERED",
    "arrived": "1764446233000-000000",
    "sid": f"SM{'1' * 32}", "role": "user", "content": "hello", "to": "+15005550006", "tries": 1,
}  # fmt: skip
ROWS = json_with("user_id", "message_key", "state") | st.builds(
    lambda key, changes: {**SOUND, "message_key": key, **changes},
    st.sampled_from([SOUND["message_key"], "out#SM1#0", "msg#1", "memo#1", "nonsense", ""]) | TEXT,
    st.dictionaries(
        st.sampled_from(["user_id", "state", "unsettled", "since", "arrived", "parts", "sid", "engine", "price", "at"])
        | TEXT,
        JSON | st.sampled_from(["DEAD", "FAILED", "SENT", "2026-11-29T00:00:00+00:00"]),
        max_size=4,
    ),
)
LINES = st.lists(
    (st.sampled_from(["row", "item"]) | TEXT).flatmap(lambda kind: ROWS.map(lambda row: json.dumps({kind: row})))
    | st.text(max_size=30),
    max_size=4,
)


@given(LINES)
@example(['{"row": ' + "[" * 100_000])
@example(['{"row": {"user_id": "+1", "message_key": "in#SM1", "state": ["DEAD"]}}'])
@example(['{"row": {"user_id": "+1", "message_key": "in#SM1", "n": NaN}}'])
@example(['{"row": {"user_id": "+1", "message_key": "in#SM1", "n": ' + "1" * 5_000 + "}}"])
def test_an_import_is_written_or_refused(lines: list[str]) -> None:
    journal = Journal.on(InMemoryStorage())
    with suppress(BadRequest):
        import_.write(journal, import_.read(journal, lines, who=Who, now=datetime.now(UTC)))
