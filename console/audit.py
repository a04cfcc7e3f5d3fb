"""The audit log: what operators did and revealed in the console, in a bounded stream of Redis.

An entry is written before anything is done; if it cannot be written, nothing is done. What became of it is a second
entry with `of`. Refused attempts to log in have a stream of their own: a stranger can make any number of them, and must
not push out what operators did. Entries name people by their hash alone, and hold no number, no text and no password.
Each is a log line too, which outlives the stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

import redis

from inbox import worker_keys
from inbox.connection import translated
from inbox.durations import moment
from runtime import logs

#: Entries that are kept: a few megabytes.
KEPT: Final = 10_000
KEPT_REFUSALS: Final = 1_000
#: The longest name of a row or a file; an address that is typed may be longer, and would fill Redis.
LONGEST_TARGET: Final = 256

log = logs.get("console")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One act of an operator, and what became of it."""

    at: datetime
    #: The operator's login.
    name: str
    #: The address from which the request came.
    address: str
    #: Such as `reveal`, `forget`, `login`.
    what: str
    #: A person's hash, a row's key, or a sid.
    target: str
    #: Such as `done` or `refused`; empty: it was begun, and its process died.
    outcome: str = ""


class Audit:
    """The log. Every method raises `InboxAway` if Redis cannot be reached."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def begin(self, *, name: str, address: str, what: str, target: str = "") -> str:
        """Note what an operator is about to do; return the entry's id, for `end`."""
        target = target[:LONGEST_TARGET]
        entry_id = self._add(
            worker_keys.AUDIT, KEPT, {"name": name, "address": address, "what": what, "target": target}
        )
        log.warning("operator acts", what=what, target=target, operator=name, entry=entry_id)
        return entry_id

    def end(self, entry_id: str, outcome: str) -> None:
        """Note what became of it."""
        self._add(worker_keys.AUDIT, KEPT, {"of": entry_id, "outcome": outcome})
        log.warning("operator acted", entry=entry_id, outcome=outcome)

    def refuse(self, *, name: str, address: str) -> None:
        """Note an attempt to log in that failed."""
        fields = {"name": name, "address": address, "what": "login", "target": "", "outcome": "refused"}
        self._add(worker_keys.REFUSED_LOGINS, KEPT_REFUSALS, fields)
        log.warning("login refused", operator=name, address=address)

    @translated()
    def acts(self, limit: int) -> list[Entry]:
        """Return the latest acts of operators, newest first."""
        # an act has two entries
        acts: Any = self._redis.xrevrange(worker_keys.AUDIT, count=2 * limit)
        return list(islice(_entries(acts), limit))

    @translated()
    def refusals(self, limit: int) -> list[Entry]:
        """Return the latest logins that were refused, newest first."""
        refused: Any = self._redis.xrevrange(worker_keys.REFUSED_LOGINS, count=limit)
        return list(_entries(refused))

    @translated()
    def _add(self, stream: str, kept: int, fields: dict[str, str]) -> str:
        entry: dict[Any, Any] = dict(fields)  # Any: redis-py's own, of every kind
        entry_id: Any = self._redis.xadd(stream, entry, maxlen=kept, approximate=False)
        return str(entry_id.decode())


def _entries(found: list[tuple[bytes, dict[bytes, bytes]]]) -> Iterator[Entry]:
    outcomes: dict[bytes, str] = {}
    for entry_id, fields in found:
        if b"of" in fields:
            outcomes[fields[b"of"]] = fields[b"outcome"].decode()
            continue
        name, address, what, target = (fields[field].decode() for field in (b"name", b"address", b"what", b"target"))
        at = moment(int(entry_id.partition(b"-")[0]))
        outcome = fields.get(b"outcome", b"").decode() or outcomes.get(entry_id, "")
        yield Entry(at=at, name=name, address=address, what=what, target=target, outcome=outcome)
