"""A message sent while the list is read is no evidence for an older reply with the same words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from journal.states import PartState
from operations.held import HeldReplies
from sms.messages import InboundSms
from sms.ports import Listing, Unknown
from tests.builders import ANN
from tests.room import Room
from worker.reconcile import presence


class Doubt:
    """A person whose reply was not sent, which is not known, and a list that is read slowly."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = Room()
        self.room.reconciler.reconcile()
        self.room.sender.answers.append(Unknown(reason="no answer"))
        (self.text,) = self.room.texts("miaow")
        self.room.serve()
        self.later: list[InboundSms] = []
        self._sent_to = self.room.sender.sent_to
        monkeypatch.setattr(self.room.sender, "sent_to", self._slowly)

    def _slowly(self, person: str, *, for_the_last: timedelta) -> Listing:
        """Answer the same text again before the list is read."""
        if not self.later:
            self.later += self.room.texts("miaow")
            self.room.serve()
        return self._sent_to(person, for_the_last=for_the_last)

    def twice(self, person: str, *, for_the_last: timedelta) -> Listing:
        listing = self._sent_to(person, for_the_last=for_the_last)
        return replace(listing, messages=listing.messages * 2)

    def states(self) -> list[PartState]:
        return [self.room.part(text) for text in (self.text, *self.later)]

    def sids(self) -> list[str]:
        parts = self.room.store.outbox.newest_parts(ANN, limit=1000)
        return [part.sid for part in parts if part.sid]


def test_the_reconciler_gives_a_message_to_no_second_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    doubt = Doubt(monkeypatch)
    doubt.room.later(seconds=61)

    doubt.room.reconciler.reconcile()

    assert doubt.states() == [PartState.UNKNOWN, PartState.SENT]
    assert len(doubt.sids()) == 1


def test_an_operators_look_gives_a_message_to_no_second_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    doubt = Doubt(monkeypatch)
    room = doubt.room
    with monkeypatch.context() as at_once:
        at_once.setattr(room.sender, "sent_to", doubt._sent_to)
        room.later(seconds=3700)
        room.reconciler.reconcile()
    assert doubt.states() == [PartState.HELD]
    held = HeldReplies(journal=room.store, inbox=room.inbox, message_list=room.sender, validity=timedelta(hours=1))

    assert "is sent again" in held.resend(f"out#{doubt.text.sid}#0")

    room.serve()
    assert doubt.states() == [PartState.SENT, PartState.SENT]
    assert len(set(doubt.sids())) == 2


def test_a_message_that_is_listed_twice_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pages of a list that grows meanwhile may both have it."""
    doubt = Doubt(monkeypatch)
    room = doubt.room
    monkeypatch.setattr(room.sender, "sent_to", doubt.twice)
    room.sender.creates_anyway = False
    room.sender.answers.append(Unknown(reason="read timeout"))
    doubt.later += room.texts("miaow")
    room.later(seconds=61)
    room.serve()
    room.later(seconds=61)

    room.reconciler.reconcile()

    assert doubt.states() == [PartState.UNKNOWN, PartState.UNKNOWN]


def test_a_message_of_a_reply_far_back_is_no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """More has been said since than one search finds."""
    monkeypatch.setattr(presence, "RECENT_ROWS", 2)
    doubt = Doubt(monkeypatch)
    room = doubt.room
    room.later(seconds=61)
    room.sender.sent_to(ANN, for_the_last=timedelta(hours=1))
    for words in ("and this", "and that"):
        room.texts(words)
        room.serve()

    room.reconciler.reconcile()

    assert doubt.states() == [PartState.UNKNOWN, PartState.SENT]
