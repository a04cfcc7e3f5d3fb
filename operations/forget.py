"""Forget a person: delete all that is stored, and leave texts that come late unanswered.

`dadacat conversations forget` works in this order, so that an interrupted run can simply be started again:

1. Write tombstones of the person's texts, under a keyed hash.
2. Delete Twilio's copies of the messages.
3. Delete the rows of the tables.
4. Delete what Redis holds.

The tombstones of the texts stay for 30 days, and the tombstone of a STOP stays for ten years.
Both hold hashes, which identify the person only with the key.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from conversation.entries import milliseconds
from conversation.models import in_milliseconds
from inbox.payloads import Who
from inbox.ports import Inbox, Lease, Waiting
from journal.model import STILL_STOPPED, RowName, stop_mark
from journal.store import Journal
from operations.errors import BadRequest, NotFound
from operations.progress import Progress, silent
from sms import keywords
from sms.account import TwilioAccount
from sms.addresses import address_of, number_of
from sms.messages import user_of
from worker.lease import LeaseKeeper

#: Twilio delivers a text again for hours at most; a look at Twilio's list reaches back for days.
MARKED: Final = timedelta(days=30)
#: Tombstones of one person, newest texts first: an item of DynamoDB holds no more.
MOST_MARKS: Final = 10_000
#: The hash of a STOP is kept for longer than any list of numbers is kept.
STOP_KEPT: Final = timedelta(days=3650)
#: A worker that serves the person when the command starts is done by then.
WAIT_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What one erasure deleted, without naming the person."""

    who: Who
    at: str
    #: Deleted rows of the journal.
    rows: int
    #: Messages whose copy Twilio deleted.
    twilio: int
    #: Messages that Twilio did not delete, because they are still under way.
    twilio_kept: int
    #: Deleted keys and entries of Redis.
    redis: int
    #: Texts that come late are recognised and left unanswered until this time.
    late_until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Eraser:
    """Forgets people. If `account` is None, Twilio keeps its copies."""

    journal: Journal
    inbox: Inbox
    account: TwilioAccount | None
    who: Callable[[str], Who]
    leases: LeaseKeeper
    #: Our addresses. With `per_number`, a person has a conversation with each.
    numbers: Sequence[str] = ()
    per_number: bool = False
    sleep: Callable[[float], None] = time.sleep

    def forget_all(self, person: str, *, progress: Progress = silent) -> list[Receipt]:
        """Forget a person in every conversation.

        Raises `NotFound` if nothing is stored, and what `forget` raises.
        """
        return [self.forget(user, progress=progress) for user in self.known(self.users(person))]

    def users(self, person: str) -> list[str]:
        """Return the `user_id`s of a person: also those of a former number, or of a time with `per_number`."""
        if number_of(person):
            return [person]
        known = self.journal.archive.users()
        former = {user for user in known if number_of(user) and address_of(user) == person}
        numbers = self.numbers if self.per_number else ()
        return [person, *sorted(former.union(user_of(person, number, per_number=True) for number in numbers))]

    def known(self, users: Iterable[str]) -> list[str]:
        """Return those of whom anything is stored.

        Raises `NotFound` if there is none, and what `forget` raises.
        """
        users = list(users)
        known = [user for user in users if self._is_known(user)]
        if not known:
            raise NotFound("nothing is stored about this person: nothing was deleted")
        return known

    def _is_known(self, person: str) -> bool:
        archive = self.journal.archive
        return (
            archive.item(person) is not None
            or next(archive.rows(person), None) is not None
            or self.inbox.people.user_id(self.who(person)) is not None
            or bool(self._listed(person))
        )

    def forget(self, person: str, *, progress: Progress = silent) -> Receipt:
        """Forget a person. A second call finds nothing more to delete.

        Raises `BadRequest`, `CarrierAway`, `StoreAway`, `InboxAway`.
        """
        who, now = self.who(person), self.inbox.clock.now()
        until = now + MARKED
        lease = self._alone(who)
        with self.leases.kept(lease) if lease else nullcontext():
            try:
                waiting = list(self.inbox.texts.waiting(lease, limit=MOST_MARKS)) if lease else []
                if self.journal.archive.item(person) is not None:
                    # a higher fence: a worker that held this person before can no longer write
                    self.journal.conversations.open(person, now=now)
                listed = self._listed(person)
                self._mark(
                    person, who, [*(entry.text.sid for entry in waiting if entry.text), *listed], now=now, until=until
                )
                self._keep_stop(person, who, waiting, now=now)
                deleted, kept = self._at_twilio(listed, progress)
                self._still_alone(lease)
                rows = self.journal.archive.erase(person)
                progress("the tables", rows)
                removed = self.inbox.people.forget(who, person, through=_last(waiting))
                progress("redis", removed)
            except BaseException:
                if lease is not None:
                    self.inbox.leases.release_until(lease, due_ms=self.inbox.clock.now_ms())
                raise
            if lease is not None:
                self.inbox.leases.leave_duty(lease)
        return Receipt(
            who=who, at=now.isoformat(timespec="seconds"), rows=rows, twilio=deleted, twilio_kept=kept, redis=removed,
            late_until=until.isoformat(timespec="seconds"),
        )  # fmt: skip

    def _alone(self, who: Who) -> Lease | None:
        """Return the person's lease once no worker holds it; None if Redis does not know the person."""
        deadline = time.monotonic() + WAIT_SECONDS
        while self.inbox.people.user_id(who) is not None:
            lease = self.inbox.leases.take(who)
            if lease is not None:
                return lease
            if time.monotonic() > deadline:
                raise BadRequest(
                    f"a worker has served this person for {WAIT_SECONDS:.0f} s and is not done: try again later"
                )
            self.sleep(POLL_SECONDS)
        return None

    def _still_alone(self, lease: Lease | None) -> None:
        if lease is not None and not self.inbox.leases.renew(lease):
            raise BadRequest("a worker serves this person again: run the command again")

    def _mark(self, person: str, who: Who, more: Sequence[str], *, now: datetime, until: datetime) -> None:
        """Write tombstones of the texts that the journal holds, that still wait, and that Twilio lists."""
        begin = in_milliseconds(now - MARKED)
        sids = sorted(
            (row["arrived"], row["sid"])
            for row in self.journal.archive.rows(person)
            if RowName(user_id=person, key=row["message_key"]).is_turn
            and milliseconds(row.get("arrived", "0-")) >= begin
        )
        newest = list(dict.fromkeys([*more, *(sid for _, sid in reversed(sids))]))
        self.journal.tombstones.add(who, [self.who(sid) for sid in newest[:MOST_MARKS]], until=until)

    def _keep_stop(self, person: str, who: Who, waiting: Sequence[Waiting], *, now: datetime) -> None:
        """Keep the person's STOP under its hash, also a STOP that waits and was not acted on yet."""
        conversation = self.journal.conversations.get(person)
        texts = (entry.text for entry in waiting if entry.text is not None)
        if keywords.opted_out_after(texts, opted_out=conversation is not None and not conversation.is_active):
            self.journal.tombstones.add(stop_mark(who), [STILL_STOPPED], until=now + STOP_KEPT)
        elif conversation is not None:
            self.journal.tombstones.lift_stop(who)

    def _listed(self, person: str) -> list[str]:
        if self.account is None:
            return []
        return self.account.messages_with(address_of(person), number=number_of(person))

    def _at_twilio(self, sids: Sequence[str], progress: Progress) -> tuple[int, int]:
        deleted = 0
        for sid in sids:
            assert self.account is not None
            deleted += self.account.delete(sid)
            progress("Twilio's copies", deleted)
        return deleted, len(sids) - deleted


def _last(waiting: Sequence[Waiting]) -> str | None:
    """Return the entry behind which a text counts as new, and is answered; None: forget every text."""
    if len(waiting) == MOST_MARKS:
        return None
    return waiting[-1].entry_id if waiting else "0"
