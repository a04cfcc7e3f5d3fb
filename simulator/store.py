"""What the network remembers: messages, pictures, telephones, opt-outs and numbers, in one SQLite file.

messages(seq, sid, sender, recipient, doc)    doc: a `Message` as JSON; seq: the order of creation
media(sid, parent, content_type, data)
phones(number, name)
opted_out(person, number)
numbers(number, doc)
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, sid TEXT UNIQUE NOT NULL,
    sender TEXT NOT NULL, recipient TEXT NOT NULL, doc TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_sender ON messages (sender, seq);
CREATE INDEX IF NOT EXISTS by_recipient ON messages (recipient, seq);
CREATE TABLE IF NOT EXISTS media (
    sid TEXT PRIMARY KEY, parent TEXT NOT NULL, content_type TEXT NOT NULL, created REAL NOT NULL, data BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS phones (number TEXT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS opted_out (person TEXT, number TEXT, PRIMARY KEY (person, number));
CREATE TABLE IF NOT EXISTS notices (phone TEXT NOT NULL, at REAL NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS numbers (number TEXT PRIMARY KEY, doc TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of the network, in either direction. Times are seconds since 1970."""

    sid: str
    sender: str
    recipient: str
    body: str
    #: `inbound`, `outbound-api` or `outbound-reply`, as Twilio says it.
    direction: str
    status: str
    created: float
    updated: float
    sent: float | None = None
    segments: int = 1
    price: str | None = None
    error_code: int | None = None
    messaging_service_sid: str | None = None
    status_callback: str = ""
    media: tuple[str, ...] = ()
    #: What happened to it and when, in order: the stations that this network knows.
    stations: tuple[tuple[str, float], ...] = ()

    def at(self, station: str, when: float) -> Message:
        """This message after it passed a station."""
        return replace(self, stations=(*self.stations, (station, when)), updated=when)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture that came with a message."""

    sid: str
    parent: str
    content_type: str
    created: float
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number of the account, and where its texts are posted."""

    number: str
    sid: str
    created: float
    sms_url: str = ""
    sms_fallback_url: str = ""
    friendly_name: str = ""
    extra: dict[str, str] = field(default_factory=dict)


class Store:
    """The file. `path` empty: in memory."""

    def __init__(self, path: str) -> None:
        if path:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        # a killed process loses nothing; only a power cut could take the last moment of a simulated network
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def save(self, message: Message) -> None:
        """Write a message, new or changed."""
        self._db.execute(
            "INSERT INTO messages (sid, sender, recipient, doc) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (sid) DO UPDATE SET doc = excluded.doc",
            (message.sid, message.sender, message.recipient, json.dumps(asdict(message))),
        )

    def message(self, sid: str) -> Message | None:
        """One message."""
        row = self._db.execute("SELECT doc FROM messages WHERE sid = ?", (sid,)).fetchone()
        return _message(row[0]) if row else None

    def place(self, sid: str) -> int | None:
        """Where a message stands in the order of creation."""
        row = self._db.execute("SELECT seq FROM messages WHERE sid = ?", (sid,)).fetchone()
        return int(row[0]) if row else None

    def delete(self, sid: str) -> None:
        """Remove a message and its pictures."""
        self._db.execute("DELETE FROM messages WHERE sid = ?", (sid,))
        self._db.execute("DELETE FROM media WHERE parent = ?", (sid,))

    def messages(self, *, to: str = "", sender: str = "", below: int | None = None) -> Iterator[tuple[int, Message]]:
        """Messages and their places, newest first, of one recipient or one sender, created before place `below`."""
        clauses, values = ["1"], list[Any]()
        if to:
            clauses, values = [*clauses, "recipient = ?"], [*values, to]
        if sender:
            clauses, values = [*clauses, "sender = ?"], [*values, sender]
        if below is not None:
            clauses, values = [*clauses, "seq < ?"], [*values, below]
        found = self._db.execute(
            f"SELECT seq, doc FROM messages WHERE {' AND '.join(clauses)} ORDER BY seq DESC",  # noqa: S608 - no value is in it
            values,
        )
        for seq, doc in found:
            yield seq, _message(doc)

    def add_picture(self, picture: Picture) -> None:
        """Keep a picture."""
        self._db.execute(
            "INSERT INTO media VALUES (?, ?, ?, ?, ?)",
            (picture.sid, picture.parent, picture.content_type, picture.created, picture.data),
        )

    def adopt(self, sid: str, parent: str) -> bool:
        """Give an uploaded picture to the message that it is sent with; False where there is no such picture."""
        return self._db.execute("UPDATE media SET parent = ? WHERE sid = ?", (parent, sid)).rowcount == 1

    def picture(self, sid: str) -> Picture | None:
        """One picture."""
        row = self._db.execute(
            "SELECT sid, parent, content_type, created, data FROM media WHERE sid = ?", (sid,)
        ).fetchone()
        return Picture(sid=row[0], parent=row[1], content_type=row[2], created=row[3], data=row[4]) if row else None

    def phones(self) -> Sequence[tuple[str, str]]:
        """Number and name of every telephone on the page."""
        return [
            (str(number), str(name))
            for number, name in self._db.execute("SELECT number, name FROM phones ORDER BY rowid")
        ]

    def save_phone(self, number: str, name: str) -> None:
        """Put a telephone on the page, or rename it."""
        self._db.execute(
            "INSERT INTO phones VALUES (?, ?) ON CONFLICT (number) DO UPDATE SET name = excluded.name", (number, name)
        )

    def remove_phone(self, number: str) -> None:
        """Take a telephone off the page; its messages stay."""
        self._db.execute("DELETE FROM phones WHERE number = ?", (number,))

    def notices(self, phone: str) -> Sequence[tuple[float, str]]:
        """What the network itself told a telephone, and when."""
        found = self._db.execute("SELECT at, body FROM notices WHERE phone = ? ORDER BY at", (phone,))
        return [(float(at), str(body)) for at, body in found]

    def add_notice(self, phone: str, at: float, body: str) -> None:
        """Keep what the network told a telephone."""
        self._db.execute("INSERT INTO notices VALUES (?, ?, ?)", (phone, at, body))

    def opted_out(self, person: str, number: str) -> bool:
        """Whether this person sent STOP to this number."""
        query = "SELECT 1 FROM opted_out WHERE person = ? AND number = ?"
        return self._db.execute(query, (person, number)).fetchone() is not None

    def opt_out(self, person: str, number: str) -> None:
        """Note a STOP."""
        self._db.execute("INSERT OR IGNORE INTO opted_out VALUES (?, ?)", (person, number))

    def opt_in(self, person: str, number: str) -> None:
        """Note a START."""
        self._db.execute("DELETE FROM opted_out WHERE person = ? AND number = ?", (person, number))

    def numbers(self) -> Sequence[Number]:
        """The account's numbers."""
        return [Number(**json.loads(doc)) for (doc,) in self._db.execute("SELECT doc FROM numbers ORDER BY rowid")]

    def save_number(self, number: Number) -> None:
        """Add or change a number of the account."""
        self._db.execute(
            "INSERT INTO numbers VALUES (?, ?) ON CONFLICT (number) DO UPDATE SET doc = excluded.doc",
            (number.number, json.dumps(asdict(number))),
        )


def _message(doc: str) -> Message:
    fields = json.loads(doc)
    fields["media"] = tuple(fields["media"])
    fields["stations"] = tuple((name, when) for name, when in fields["stations"])
    return Message(**fields)
