"""Everything that a process reaches outside itself, as calls that can be broken.

A visit, a drain of reports and a reconciliation reach the outside only by operations on tables, by Redis commands (a
script or a transaction is one) and by the carrier. Each such call passes a wire, which decides what becomes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol

import redis
from redis.client import Pipeline
from redis.commands.core import Script

import inbox
from conversation.errors import StoreAway
from conversation.table import Check, Update
from inbox.scripts import script

STORE: Final = "store"
REDIS: Final = "redis"
CARRIER: Final = "carrier"

#: The source of each script, such as `accept`.
SCRIPTS: Final = {
    path.stem: script(path.stem) for path in sorted((Path(inbox.__file__).parent / "scripts").glob("*.lua"))
}
#: Where the first key of a script stands in its command.
_FIRST_KEY: Final = 3
_NAMES: Final = {source: name for name, source in SCRIPTS.items()}


class Wire(Protocol):
    """What carries the calls of one process."""

    def carry(
        self, service: str, name: str, real: Callable[[], Any], lost: Callable[[], Any], *, about: str = ""
    ) -> Any:  # Any: answers
        """Carry out one call. `lost` returns or raises what the caller gets if there is no answer.

        `about`: what it is for: the SID of a text, or the hash of a person; empty: nothing of the kind.
        """


def raising(kind: type[Exception], what: str) -> Callable[[], Any]:
    """Return a function that raises a new error each time: a single one would keep every frame."""

    def lost() -> Any:  # Any: it never returns
        raise kind(what)

    return lost


STORE_IS_AWAY: Final = raising(StoreAway, "dynamodb")
REDIS_IS_AWAY: Final = raising(redis.ConnectionError, "the connection is lost")


class WatchedTables:
    """Tables behind a wire; each operation is a call, named after what it does to the journal."""

    def __init__(self, behind: Any, wire: Wire) -> None:  # Any: tables, in memory
        self._behind, self._wire = behind, wire

    def __getattr__(self, name: str) -> Any:
        self.__dict__[name] = call = self.carried(name)
        return call

    def carried(self, name: str) -> Callable[..., Any]:
        """Return an operation, as the wire carries it."""
        real, carry = getattr(self._behind, name), self._wire.carry
        return lambda *args, **options: carry(
            STORE, purpose(name, args), lambda: real(*args, **options), STORE_IS_AWAY, about=subject(args)
        )


#: What an update is for, by an attribute that it sets.
_PURPOSES: Final = {
    "proven_unsent": "prove",
    "status_at": "report",
    "log": "bind",
    "created_at": "open",
    "filed_at": "file",
    "tries": "retry",
    "is_active": "opt",
    "won_by": "try again",
}


def purpose(operation: str, args: Sequence[Any]) -> str:
    """Return what an operation is for, such as `claim`, `persist` or `bind`; its own name if it has none."""
    if operation == "transact":
        written = {name for write in args if isinstance(write, Update) for name in write.set}
        if "won_by" in written:
            return "try again"
        if not any(isinstance(write, Check) for write in args):
            return "persist"
        return "claim" if "claimed_at" in written else "settle" if "settled_at" in written else "remember"
    if operation == "update":
        return next((name for attribute, name in _PURPOSES.items() if attribute in args[0].set), operation)
    return operation


def subject(args: Sequence[Any]) -> str:
    """Return the SID of the text whose row an operation writes; empty: none, or it only reads."""
    keys = [write.key.get("message_key", "") for write in args if isinstance(write, Update)]
    return next((key.split("#")[1] for key in keys if key.startswith(("in#", "out#"))), "")


class WatchedSender:
    """The carrier behind a wire."""

    def __init__(self, behind: Any, wire: Wire, lost: Callable[[], Any]) -> None:  # Any: sender and list in one
        self._behind, self._wire, self._lost = behind, wire, lost

    def __getattr__(self, name: str) -> Any:
        real, carry = getattr(self._behind, name), self._wire.carry
        return lambda *args, **options: carry(CARRIER, name, lambda: real(*args, **options), self._lost)


class WatchedRedis(redis.Redis):
    """A client behind a wire; each command is a call, named after its script or by its own name.

    `edits` are other sources of some scripts.
    """

    def __init__(self, behind: redis.Redis, wire: Wire, edits: Mapping[str, str]) -> None:
        super().__init__(connection_pool=behind.connection_pool)
        self._behind, self._wire, self._edits = behind, wire, edits
        self._scripts: dict[str, str] = {}

    def register_script(self, script: Any) -> Script:
        """Load a script at once, so that no command is repeated because the server does not know it."""
        name = _NAMES[script]
        registered = Script(self, self._edits.get(name, script))
        self._scripts[registered.sha] = name
        _load(self._behind, registered.script)
        return registered

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Carry out one command."""
        name = self._scripts[args[1]] if args[0] == "EVALSHA" else args[0].lower()
        # on the connections of the same pool: a command of this client would pass the wire twice
        real: Any = self._behind.execute_command

        def arrive() -> Any:
            answer = real(*args, **options)
            self.arrived(name, args, answer)
            return answer

        about = str(args[_FIRST_KEY]).rpartition(":")[2] if args[0] == "EVALSHA" and len(args) > _FIRST_KEY else ""
        return self._wire.carry(REDIS, name, arrive, REDIS_IS_AWAY, about=about)

    def arrived(self, name: str, args: Sequence[Any], answer: Any) -> None:
        """Take note of a command that took effect, and of its answer."""

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:  # noqa: FBT001, FBT002
        """Return a transaction, which is one call."""
        return _WatchedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint, wire=self._wire)


@cache
def _load(server: redis.Redis, script: Any) -> None:
    server.script_load(script)


class _WatchedPipeline(Pipeline):
    def __init__(self, *args: Any, wire: Wire) -> None:
        super().__init__(*args)
        self._wire = wire

    def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - redis-py's
        """Carry out the whole transaction."""
        answers: list[Any] = self._wire.carry(
            REDIS, "transaction", lambda: super(_WatchedPipeline, self).execute(raise_on_error), REDIS_IS_AWAY
        )
        return answers
