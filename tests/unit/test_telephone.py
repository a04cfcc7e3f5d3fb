"""What `dadacat text` says of a text, by what the simulator and the journal know of it."""

from __future__ import annotations

from typing import Any

import pytest

from operations.telephone import Outcome


@pytest.mark.parametrize(
    ("facts", "replies", "is_settled", "no_reply"),
    [
        ({}, [], False, ""),
        ({"state": "FILED"}, [], False, ""),
        ({"state": "SILENT", "reason": "keyword stop"}, [], True, "settled in silence: keyword stop"),
        ({"state": "STALE", "reason": "too old"}, [], True, "too old to answer: too old"),
        ({"state": "DEAD", "reason": "TypeError"}, [], True, "a dead letter: TypeError"),
        ({"state": "DEAD"}, [], True, "a dead letter"),
        ({"state": "ANSWERED", "part": "NEW"}, [], False, ""),
        # the first of several messages has come
        ({"state": "ANSWERED", "part": "SENDING"}, ["meow"], False, ""),
        ({"state": "ANSWERED", "part": "SENT"}, ["meow"], True, ""),
        # the carrier has the message, and the telephone not yet
        ({"state": "ANSWERED", "part": "SENT"}, [], False, ""),
        ({"state": "ANSWERED", "part": "UNKNOWN"}, [], False, ""),
        ({"state": "ANSWERED", "part": "FAILED", "part_reason": "21211"}, [], True, "the reply is FAILED: 21211"),
        ({"state": "ANSWERED", "part": "HELD"}, [], True, "the reply is HELD"),
    ],
)
def test_a_text_is_settled_when_nothing_more_will_come(
    facts: dict[str, Any],
    replies: list[str],
    is_settled: object,
    no_reply: str,
) -> None:
    outcome = Outcome(sid="SM1", facts=facts, replies=replies)

    assert (outcome.is_settled, outcome.no_reply if is_settled else "") == (is_settled, no_reply)
