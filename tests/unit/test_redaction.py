"""`REDACT_AFTER_DELIVERY`: the carrier is asked to delete the words of a message whose fate is known."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from sms.messages import MessageSid
from sms.ports import Listed, Listing
from tests.builders import ANN, OUR_NUMBER
from tests.room import Room
from worker.reconcile.findings import Report
from worker.reconcile.sent_messages import PRICE_PATIENCE, SentMessages

VALIDITY = timedelta(hours=1)


class Carrier:
    """A carrier's list of one message, whose words can be deleted."""

    def __init__(self, room: Room, status: str, price: str | None) -> None:
        self._room = room
        (text,) = room.texts("my secret")
        room.serve()
        (part,) = room.store.outbox.parts(ANN, text.sid)
        self.sids = [text.sid, part.sid]
        self.redacted: list[str] = []
        self.looks = 0
        self._entry = Listed(
            sid=MessageSid(part.sid or ""), to=ANN, sender=OUR_NUMBER, body=part.content, status=status,
            inbound=False, created=room.now(), price=price,
        )  # fmt: skip
        message_list: Any = self
        self._sent_messages = SentMessages(
            room.store, message_list, room.aftermath, numbers=[OUR_NUMBER], per_number=False, validity=VALIDITY,
            redact=self.redact, set_aside=print,
        )  # fmt: skip

    def received_by(self, number: str, *, since: datetime | None) -> Listing:
        del number, since
        return Listing(messages=(), read_at=self._room.now())

    def sent_from(self, number: str, *, since: datetime) -> Listing:
        del number
        shown = self._entry.created >= since
        self.looks += shown
        return Listing(messages=(self._entry,) if shown else (), read_at=self._room.now())

    def redact(self, sid: str) -> bool:
        self.redacted.append(sid)
        return True

    def look_for(self, time: timedelta) -> None:
        """Read the list every five minutes for so long."""
        end = self._room.now() + time
        while self._room.now() < end:
            self._sent_messages.read(Report(), self._room.now(), lambda _: None)
            self._room.later(seconds=300)


@pytest.fixture
def room() -> Room:
    room = Room()
    room.reconciler.reconcile()
    return room


@pytest.mark.parametrize("status", ["delivered", "undelivered", "failed"])
def test_the_words_of_a_message_whose_price_never_comes_are_deleted(room: Room, status: str) -> None:
    carrier = Carrier(room, status, None)

    carrier.look_for(timedelta(minutes=10))

    assert carrier.redacted[:2] == carrier.sids


def test_the_words_of_a_message_that_is_never_reported_as_delivered_are_deleted_in_the_end(room: Room) -> None:
    carrier = Carrier(room, "sent", "-0.0075")

    carrier.look_for(VALIDITY)
    assert carrier.redacted == []
    carrier.look_for(timedelta(minutes=10))

    assert carrier.redacted[:2] == carrier.sids
    # then the list is not read back to it for ever
    carrier.look_for(timedelta(minutes=30))
    looks = carrier.looks
    carrier.look_for(PRICE_PATIENCE / 8)
    assert carrier.looks == looks
