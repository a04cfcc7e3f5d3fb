"""Sessions at the console, on Redis, and the limit on attempts to log in.

The browser holds a random token in a cookie; Redis knows its digest alone, so that a copy of Redis opens no session.
A session ends at the logout, after `IDLE` without a request, after `LONGEST`, and when its login is changed or removed.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv6Address
from typing import Any, Final

import redis

from inbox import worker_keys
from inbox.connection import translated
from operations.logins import Login, Role

#: A session that is not used for so long ends. A page that is open and only shows is no use of it.
IDLE: Final = timedelta(minutes=60)
#: A session ends after a working day, however much it is used.
LONGEST: Final = timedelta(hours=12)
#: A person whom an operator revealed is shown for so long, then masked again.
SHOWN: Final = timedelta(minutes=10)
#: Attempts to log in within `TRIES_IN`, from one address and from all together. A person who mistypes needs three.
TRIES: Final = 8
TRIES_OF_ALL: Final = 80
TRIES_IN: Final = timedelta(minutes=5)
#: What the address of all attempts together is called.
_ALL: Final = "all"
#: The first bytes of an IPv6 address name its network (RFC 4291, section 2.5.4).
_NETWORK_BYTES: Final = 8
#: What precedes a person's hash in the fields of a session.
_SHOWN: Final = "shown:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One login at the console."""

    #: The digest of the token: the session's name in Redis.
    digest: str
    name: str
    role: Role
    #: What a form of this session carries, and no other site knows.
    csrf: str
    #: The digest of the login's line, as it was at the login.
    stamp: str
    #: Until when a person is shown, in seconds since 1970, by the person's hash.
    shown: Mapping[str, float] = field(default_factory=dict)
    #: What the last act said, to be shown once.
    said: str = ""

    def may_act(self) -> bool:
        """Return whether this login may change anything."""
        return self.role is Role.ACT


class Sessions:
    """The open sessions. Every method raises `InboxAway` if Redis cannot be reached."""

    def __init__(self, client: redis.Redis, *, clock: Callable[[], float] = time.time) -> None:
        self._redis = client
        self._clock = clock

    @translated()
    def open(self, login: Login) -> str:
        """Begin a session; return the token for its cookie."""
        token = secrets.token_urlsafe(32)
        fields = {
            "name": login.name, "role": str(login.role), "stamp": stamp(login), "csrf": secrets.token_urlsafe(32),
            "begun": str(self._clock()),
        }  # fmt: skip
        self._write(_digest(token), fields)
        return token

    @translated()
    def use(self, token: str) -> Session | None:
        """Return the session with this token, and keep it from ending for `IDLE`; None if there is none."""
        session = self.find(token)
        if session is not None:
            self._redis.expire(worker_keys.console_session(session.digest), IDLE)
        return session

    @translated()
    def find(self, token: str) -> Session | None:
        """Return the session with this token; None if there is none."""
        digest = _digest(token)
        stored: Any = self._redis.hgetall(worker_keys.console_session(digest))
        fields = {name.decode(): value.decode() for name, value in stored.items()}
        if "name" not in fields or self._clock() - float(fields["begun"]) > LONGEST.total_seconds():
            return None
        shown = {name.removeprefix(_SHOWN): float(value) for name, value in fields.items() if name.startswith(_SHOWN)}
        return Session(
            digest=digest, name=fields["name"], role=Role(fields["role"]), csrf=fields["csrf"], stamp=fields["stamp"],
            shown={who: until for who, until in shown.items() if until > self._clock()}, said=fields.get("said", ""),
        )  # fmt: skip

    @translated()
    def close(self, session: Session) -> None:
        """End a session. A second call changes nothing."""
        self._redis.delete(worker_keys.console_session(session.digest))

    @translated()
    def show(self, session: Session, who: str) -> None:
        """Show a person in this session for `SHOWN`."""
        self._write(session.digest, {f"{_SHOWN}{who}": str(self._clock() + SHOWN.total_seconds())})

    @translated()
    def say(self, session: Session, words: str) -> None:
        """Keep a sentence for the session's next page."""
        self._write(session.digest, {"said": words})

    @translated()
    def heard(self, session: Session) -> None:
        """Forget the sentence, because a page has shown it."""
        self._redis.hdel(worker_keys.console_session(session.digest), "said")

    @translated()
    def may_try(self, address: str) -> bool:
        """Count an attempt to log in, and return whether it may be made.

        One that its own address may not make is not counted for all: it would lock out every operator.
        """
        return self._count(address) <= TRIES and self._count(_ALL) <= TRIES_OF_ALL

    @translated()
    def forgive(self, address: str) -> None:
        """Count from zero again, because a login succeeded."""
        self._redis.delete(worker_keys.console_tries(_address(address)))

    def _count(self, address: str) -> int:
        key = worker_keys.console_tries(_address(address))
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.incr(key)
            pipe.expire(key, TRIES_IN, nx=True)
            return int(pipe.execute()[0])

    def _write(self, digest: str, fields: Mapping[str, str]) -> None:
        key = worker_keys.console_session(digest)
        with self._redis.pipeline(transaction=True) as pipe:
            for name, value in fields.items():
                pipe.hset(key, name, value)
            pipe.expire(key, IDLE)
            pipe.execute()


def stamp(login: Login) -> str:
    """Return what a session remembers of its login: another password or role ends the session."""
    return hashlib.sha256(f"{login.name}:{login.role}:{login.hash}".encode()).hexdigest()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _address(address: str) -> str:
    """Return what counts as one address: of IPv6 its network, because an owner has all addresses of one."""
    try:
        of_kind = IPv6Address(address)
    except ValueError:
        return address
    if of_kind.ipv4_mapped is not None:
        return str(of_kind.ipv4_mapped)
    return of_kind.packed[:_NETWORK_BYTES].hex()
