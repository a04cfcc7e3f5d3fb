"""`dadacat conversations forget`: a person is removed everywhere, and a text of his that comes late is not answered as if he were new.

In this order, so that whoever is interrupted can simply begin again: marks of his texts, under a keyed hash, are written first; then Twilio's copies
are deleted, then the tables' rows, then what Redis has. What stays for 30 days are the marks, and for ten years the mark of a STOP: hashes, of which
nobody without the key can tell whose.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from conversation.archive import Archive
from conversation.journal import STILL_STOPPED, milliseconds, stop_mark
from conversation.models import in_milliseconds
from conversation.storage import DynamoDBStorage
from dadacat.operate import BadRequest
from inbox.contract import Who
from inbox.ports import Lease, Waiting, moment
from inbox.redis import RedisInbox
from sms import keywords
from sms.account import TwilioAccount
from sms.messages import address_of, number_of
from worker.visit import LeaseKeeper

#: Twilio brings a text again for hours at most; whoever asks its list looks back for days.
MARKED: Final = timedelta(days=30)
#: More texts than this of one person in that time are marked no longer: an item of DynamoDB holds no more.
MOST_MARKS: Final = 10_000
#: A STOP is remembered for longer than any list of numbers is kept, under its hash.
STOP_KEPT: Final = timedelta(days=3650)
#: A worker that serves the person just now is done by then.
WAIT_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What was forgotten, without saying of whom."""

    who: Who
    at: str
    #: Rows of the journal.
    rows: int
    #: Messages of which Twilio kept a copy, and those that it would not delete: still under way.
    twilio: int
    twilio_kept: int
    #: Keys and entries in Redis.
    redis: int
    #: Until when texts that come late are recognised and left unanswered.
    late_until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Eraser:
    """Forgets people. `account` None: Twilio keeps its copies."""

    storage: DynamoDBStorage
    archive: Archive
    inbox: RedisInbox
    account: TwilioAccount | None
    who: Callable[[str], Who]
    leases: LeaseKeeper
    sleep: Callable[[float], None] = time.sleep

    def forget(self, person: str, *, progress: Callable[[str, int], None] = lambda *_: None) -> Receipt:
        """Forget a person; a second call finds nothing more. Raises `BadRequest`, `CarrierAway`, `StoreAway`, `InboxAway`."""
        who, now = self.who(person), moment(self.inbox.now_ms())
        until = now + MARKED
        lease = self._alone(who, person)
        with self.leases.kept(lease) if lease else nullcontext():
            try:
                waiting = list(self.inbox.waiting(lease, limit=MOST_MARKS)) if lease else []
                if self.archive.item(person) is not None:
                    # a worker that held this person before may write no more
                    self.storage.open(person, now=now)
                listed = self._listed(person)
                self._mark(
                    person, who, [*(entry.text.sid for entry in waiting if entry.text), *listed], now=now, until=until
                )
                self._keep_stop(person, who, waiting, now=now)
                deleted, kept = self._at_twilio(listed, progress)
                self._still_alone(lease, person)
                rows = self.archive.erase(person)
                progress("the tables", rows)
                removed = self.inbox.forget(who, person)
                progress("redis", removed)
            except BaseException:
                if lease is not None:
                    self.inbox.park(lease, due_ms=self.inbox.now_ms())
                raise
            if lease is not None:
                self.inbox.leave_duty(lease)
        return Receipt(
            who=who, at=now.isoformat(timespec="seconds"), rows=rows, twilio=deleted, twilio_kept=kept, redis=removed,
            late_until=until.isoformat(timespec="seconds"),
        )  # fmt: skip

    def _alone(self, who: Who, person: str) -> Lease | None:
        """The person's lease, once nobody serves it; None for somebody whom Redis does not know."""
        until = time.monotonic() + WAIT_SECONDS
        while self.inbox.person(who) is not None:
            lease = self.inbox.take(who)
            if lease is not None:
                return lease
            if time.monotonic() > until:
                raise BadRequest(
                    f"a worker has served {person} for {WAIT_SECONDS:.0f} s without an end: try again later"
                )
            self.sleep(POLL_SECONDS)
        return None

    def _still_alone(self, lease: Lease | None, person: str) -> None:
        if lease is not None and not self.inbox.renew(lease):
            raise BadRequest(f"a worker serves {person} again: begin anew")

    def _mark(self, person: str, who: Who, more: Sequence[str], *, now: datetime, until: datetime) -> None:
        """Mark the texts that the journal has, those that still wait, and those of which Twilio knows."""
        begin = in_milliseconds(now - MARKED)
        sids = sorted(
            (row["arrived"], row["sid"])
            for row in self.archive.rows(person)
            if row["message_key"].startswith("in#") and milliseconds(row.get("arrived", "0-")) >= begin
        )
        newest = list(dict.fromkeys([*more, *(sid for _, sid in reversed(sids))]))
        self.storage.bury(who, [self.who(sid) for sid in newest[:MOST_MARKS]], until=until)

    def _keep_stop(self, person: str, who: Who, waiting: Sequence[Waiting], *, now: datetime) -> None:
        """Who said STOP has said so, also when nobody knows any more who it was; also where it was not heeded yet."""
        conversation = self.storage.get(person)
        texts = (entry.text for entry in waiting if entry.text is not None)
        if keywords.opted_out_after(texts, opted_out=conversation is not None and not conversation.is_active):
            self.storage.bury(stop_mark(who), [STILL_STOPPED], until=now + STOP_KEPT)
        elif conversation is not None:
            self.storage.lift_stop(who)

    def _listed(self, person: str) -> list[str]:
        if self.account is None:
            return []
        return self.account.messages_with(address_of(person), number=number_of(person))

    def _at_twilio(self, sids: Sequence[str], progress: Callable[[str, int], None]) -> tuple[int, int]:
        deleted = 0
        for sid in sids:
            assert self.account is not None
            deleted += self.account.delete(sid)
            progress("Twilio's copies", deleted)
        return deleted, len(sids) - deleted
