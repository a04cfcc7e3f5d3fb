"""The console on the pipeline of `tests.room`: real scripts, real logins, no server."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from argon2 import PasswordHasher
from starlette.testclient import TestClient

from console.app import create_app
from console.audit import Audit
from console.authentication import Authentication, LoginsFile, Proxy
from console.desk import Desk, Links
from console.sessions import Sessions
from inbox import keys, payloads
from inbox.budget import Caps
from inbox.ports import Inbox, Place, Stop
from journal.states import TurnState
from journal.store import Journal
from operations import tables
from operations.dead_letters import DeadLetters
from operations.doctor import Finding, Level
from operations.forget import Eraser
from operations.held import HeldReplies
from operations.logins import Login, Role
from operations.masked_names import person_namer
from operations.one_at_a_time import OneAtATime
from operations.overview import Overviews
from operations.people import PeopleByHash
from runtime.isolation import BadItem
from sms import typed
from sms.messages import MessageSid
from sms.ports import Listing, Scope, Unknown
from tests.builders import ANN, BEN, OUR_NUMBER, a_sid, a_text, a_turn
from tests.room import Room
from worker.lease import LeaseKeeper

CLEO, DAN, EVE, FAY, GUS = (f"+1555123000{number}" for number in (3, 4, 5, 6, 7))
HOST = "127.0.0.1:8405"
KEY = b"memory"
PASSWORD = "purr-purr-purr"
#: The logins of the tests: their names say what they may do.
ROLES = {"looker": Role.LOOK, "actor": Role.ACT}
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


#: Verifies in a millisecond what the real parameters verify in fifty.
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@cache
def _hashed(password: str) -> str:
    return CHEAP.hash(password)


def write_logins(path: Path, roles: Mapping[str, Role] = ROLES, password: str = PASSWORD) -> None:
    lines = [f"{name}:{role}:{_hashed(password)}\n" for name, role in roles.items()]
    path.write_text("".join(lines))


class NoList:
    """A carrier whose list knows no sid."""

    def one(self, sid: MessageSid) -> Listing:
        del sid
        return Listing(messages=(), read_at=datetime.now(UTC))


def a_desk(room: Room, logins_file: Path, **more: Any) -> Desk:
    journal: Journal = room.store
    inbox: Inbox = room.inbox
    reading = OneAtATime("the journal is read")

    def who(person: str) -> payloads.Who:
        return payloads.who(person, KEY)

    given: dict[str, Any] = {
        "journal": journal,
        "inbox": inbox,
        "redis": room.redis,
        "overviews": Overviews(journal, room.redis, room.circuit, caps={"model": Caps(day=10**7), "sms": Caps()}),
        "held": HeldReplies(journal=journal, inbox=inbox, message_list=room.sender, validity=timedelta(hours=1)),
        "dead_letters": DeadLetters(journal, inbox),
        "message_list": NoList(),
        "forget": Eraser(
            journal=journal, inbox=inbox, account=None, who=who, leases=LeaseKeeper(inbox.leases, every_seconds=5)
        ).forget_all,
        "examine": lambda: [Finding(where="redis", level=Level.WRONG, what="no answer", remedy="start it")],
        "processes": list,
        "tables": lambda: tables.figures(journal.storage),
        "people": PeopleByHash(journal, inbox, who, reading),
        "reading": reading,
        "masked": person_namer(KEY, numbers=False),
        "typed": lambda number: typed.user_id(number, near=OUR_NUMBER),
        "authentication": Authentication(sessions=Sessions(room.redis), logins=LoginsFile(logins_file), secure=False),
        "audit": Audit(room.redis),
        "links": Links(flower="http://127.0.0.1:8402"),
        "settings": [("REDIS_URL", True), ("WHO_KEY", False)],
        "version": "0.1.0",
    }
    return Desk(**{**given, **more})


def a_busy_room(*, hours: int = 0) -> Room:
    """Return a room in which there is something to see on every page.

    `hours`: with so many ordinary ones before.
    """
    room = Room(ms=int(time.time() * 1000) - hours * 3_600_000, models=Caps(day=1_000_000))
    for hour in range(hours):
        _ordinary_hour(room, hour)
    if hours:
        _texts(room, EVE, "STOP")
        room.redis.delete(keys.QUEUE)
    room.reconciler.reconcile()
    room.sender.answers.append(Unknown(reason="read timeout"))
    _texts(room, DAN, "is my umbrella still yours?")
    room.later(seconds=3700)
    room.reconciler.reconcile()
    room.worker().serve(payloads.who(DAN, KEY))
    for words in ("hello cat", "why do you purr?", "it rains on the piano"):
        _texts(room, ANN, words)
        room.later(seconds=400)
    _texts(room, CLEO, "i want to kill myself")
    now = room.now()
    for person, state, reason in (
        (BEN, TurnState.DEAD, "ZeroDivisionError"),
        (FAY, TurnState.SILENT, "over the limit: texts a minute"),
    ):
        room.store.conversations.open(person, now=now)
        arrived = f"{room.ms:013d}-000000"
        turn = replace(a_turn("a text of the tests", user_id=person, sid=a_sid()), arrived=arrived)
        turn = room.store.turns.file(turn, now=now).turn
        room.store.turns.note_error(turn, "Traceback (most recent call last):\nZeroDivisionError: division by zero")
        room.store.turns.settle(turn, state, reason=reason, fence=1, now=now)
    room.store.set_aside.add(BadItem(kind="row", name="out#SM0#0", error="ValueError: an unknown state"), now=now)
    who = payloads.who(GUS, KEY)
    room.inbox.texts.accept(a_text("are you there?", sender=GUS))
    place = Place(Scope.SENDER, OUR_NUMBER)
    room.circuit.open(Stop(place=place, who=who, reason="21606: the number is not ours"))
    room.circuit.wait(place, who)
    room.later(seconds=45)
    return room


def _ordinary_hour(room: Room, hour: int) -> None:
    """Let people text, a few by night and more by day."""
    texts = 1 + (5 * hour) % 9
    for number in range(texts):
        _texts(room, f"+1555123{100 + number}0", "and the moon?")
    room.later(seconds=3600 - 2 * texts)


def _texts(room: Room, person: str, words: str) -> None:
    room.inbox.texts.accept(a_text(words, sender=person))
    room.later(seconds=0.3)
    room.worker().serve(payloads.who(person, KEY))
    room.later(seconds=1.7)


@dataclass
class Console:
    """The console and its browser, without one: cookies, forms and redirects."""

    desk: Desk
    public_url: str = f"http://{HOST}"
    client: TestClient = field(init=False)

    def __post_init__(self) -> None:
        app = create_app(self.desk, public_url=self.public_url)
        scheme = urlsplit(self.public_url).scheme
        self.client = TestClient(
            app, base_url=f"{scheme}://{HOST}", follow_redirects=False, raise_server_exceptions=False
        )

    def log_in(self, name: str = "actor", password: str = PASSWORD, **more: str) -> Any:
        return self.post_form("/login", name=name, password=password, **more)

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(path, **options)

    def post_form(self, path: str, **form: str) -> Any:
        """Post a form as it stands, without a token that the test does not give."""
        return self.client.post(path, data=form, headers={"Origin": str(self.client.base_url)})

    def act(self, path: str, **form: str) -> Any:
        """Post a form of this session's own pages."""
        return self.post_form(path, csrf=self.token(), **form)

    def token(self) -> str:
        match = _CSRF.search(self.get("/people").text)
        assert match is not None
        return match.group(1)

    def acts(self) -> Sequence[tuple[str, str, str]]:
        """Return what the audit log holds, newest first: operator, act and outcome."""
        entries = [*self.desk.audit.acts(100), *self.desk.audit.refusals(100)]
        entries.sort(key=lambda entry: entry.at, reverse=True)
        return [(entry.name, entry.what, entry.outcome) for entry in entries]


def a_login(name: str, role: Role) -> Login:
    return Login(name=name, role=role, hash=_hashed(PASSWORD))


def a_proxy() -> Proxy:
    return Proxy(header="x-forwarded-user", secret="s" * 32)
