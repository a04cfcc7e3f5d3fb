"""Find a person by the hash that logs and the console's addresses show instead of a number."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from inbox.payloads import Who
from inbox.ports import Inbox
from journal.store import Journal
from operations.errors import NotFound
from operations.one_at_a_time import OneAtATime

#: So many people are remembered by this process, those who were shown last.
REMEMBERED: Final = 10_000


class PeopleByHash:
    """The people of one installation by their hashes.

    Redis is asked first, which knows people who texted. Then it is one whose hash this process showed, if anything is
    still stored about that person. For others every conversation is read, once at a time.
    """

    def __init__(self, journal: Journal, inbox: Inbox, who: Callable[[str], Who], reading: OneAtATime) -> None:
        self._journal = journal
        self._inbox = inbox
        self._who = who
        self._reading = reading
        self._lock = threading.Lock()
        self._known: OrderedDict[str, str] = OrderedDict()

    def hash_of(self, user_id: str) -> Who:
        """Return the hash of any `user_id`, without remembering it."""
        return self._who(user_id)

    def who(self, user_id: str) -> Who:
        """Return a person's hash, and remember whose it is."""
        who = self._who(user_id)
        with self._lock:
            self._known[who] = user_id
            self._known.move_to_end(who)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return who

    def user_id(self, who: str) -> str:
        """Return the person with this hash. Raises `NotFound`, `InboxAway`, `StoreAway`, `BadRequest`."""
        found = self._inbox.people.user_id(Who(who)) or self._remembered(who) or self._searched(who)
        if found is None:
            raise NotFound(f"nothing is stored about a person with the hash {who}")
        self.who(found)
        return found

    def forget(self, who: str) -> None:
        """Forget whose hash this is, because the person was erased. A second call changes nothing."""
        with self._lock:
            self._known.pop(who, None)

    def _remembered(self, who: str) -> str | None:
        """Return the person as this process remembers, unless another process has erased that person."""
        with self._lock:
            known = self._known.get(who)
        archive = self._journal.archive
        if known is None or archive.item(known) is not None or next(archive.rows(known), None) is not None:
            return known
        self.forget(who)
        return None

    def _searched(self, who: str) -> str | None:
        with self._reading.turn():
            return next((person for person in self._journal.archive.users() if self._who(person) == who), None)
