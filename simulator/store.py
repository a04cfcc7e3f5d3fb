"""Messages, pictures, telephones, opt-outs, notices and numbers of the network, in one SQLite file.

messages(seq, sid, sender, recipient, doc)    doc: a `Message` as JSON; seq: the order of creation
media(sid, parent, content_type, created, data)
phones(number, name)
opted_out(person, number)
notices(phone, at, body)                      texts of the network itself, such as the answer to STOP
numbers(number, doc)                          doc: a `Number` as JSON
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from sms.messages import bare

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
#: Texts that were not posted yet, and the account's messages that have another status than the last.
_UNDER_WAY = """
SELECT doc FROM messages WHERE CASE json_extract(doc, '$.direction')
    WHEN 'inbound' THEN json_extract(doc, '$.stations[#-1][0]') = 'received'
    ELSE json_extract(doc, '$.status') NOT IN (SELECT value FROM json_each(?))
END ORDER BY seq
"""
#: More than the replies to one text that come close behind it.
MOST_LATER: Final = 100
#: The statuses after which nothing more happens to a message.
SETTLED: Final = frozenset({"delivered", "undelivered", "failed", "canceled", "received", "read"})
#: The statuses in which Twilio neither cancels a message nor hinders its deletion.
NOT_CANCELABLE: Final = SETTLED | {"sent"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of the network, in either direction. Times are seconds since 1970."""

    sid: str
    sender: str
    recipient: str
    body: str
    #: `inbound`, `outbound-api` or `outbound-reply`, as at Twilio.
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
    #: Media of the account's message that the network has yet to fetch.
    media_urls: tuple[str, ...] = ()
    #: The text whose TwiML sent this message; empty for a message of the API.
    reply_to: str = ""
    #: The stations that the message passed in this network and when, in order, such as `("queued", 1764446233.2)`.
    stations: tuple[tuple[str, float], ...] = ()

    def at(self, station: str, when: float) -> Message:
        """Return this message after it passed a station."""
        return replace(self, stations=(*self.stations, (station, when)), updated=when)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture of a message; `parent` is the sid of the message, or empty until it is sent."""

    sid: str
    parent: str
    content_type: str
    created: float
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number of the account, and the URLs to which its texts are posted."""

    number: str
    sid: str
    created: float
    sms_url: str = ""
    sms_fallback_url: str = ""
    friendly_name: str = ""


class Store:
    """The SQLite file with messages and pictures, and its other tables; `path` empty: in memory."""

    def __init__(self, path: str) -> None:
        if path:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        # a killed process loses nothing; a power cut may lose the last moments, which is acceptable in a simulator
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self.telephones = Telephones(self._db)
        self.opt_outs = OptOuts(self._db)
        self.numbers = Numbers(self._db)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def save(self, message: Message) -> None:
        """Insert or update a message."""
        self._db.execute(
            "INSERT INTO messages (sid, sender, recipient, doc) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (sid) DO UPDATE SET doc = excluded.doc",
            (message.sid, message.sender, message.recipient, json.dumps(asdict(message))),
        )

    def message(self, sid: str) -> Message | None:
        """Return a message, or None."""
        row = self._db.execute("SELECT doc FROM messages WHERE sid = ?", (sid,)).fetchone()
        return _message(row[0]) if row else None

    def place(self, sid: str) -> int | None:
        """Return a message's place in the order of creation, or None."""
        row = self._db.execute("SELECT seq FROM messages WHERE sid = ?", (sid,)).fetchone()
        return int(row[0]) if row else None

    def delete(self, sid: str) -> None:
        """Remove a message and its pictures."""
        self._db.execute("DELETE FROM messages WHERE sid = ?", (sid,))
        self._db.execute("DELETE FROM media WHERE parent = ?", (sid,))

    def messages(self, *, to: str = "", sender: str = "", below: int | None = None) -> Iterator[tuple[int, Message]]:
        """Yield places and messages, newest first.

        `to`, `sender`: only of this recipient or sender. `below`: only messages created before this place.
        """
        clauses, values = ["1"], list[Any]()
        if to:
            clauses, values = [*clauses, "recipient = ?"], [*values, to]
        if sender:
            clauses, values = [*clauses, "sender = ?"], [*values, sender]
        if below is not None:
            clauses, values = [*clauses, "seq < ?"], [*values, below]
        rows = self._db.execute(
            f"SELECT seq, doc FROM messages WHERE {' AND '.join(clauses)} ORDER BY seq DESC",  # noqa: S608 - no values
            values,
        )
        for seq, doc in rows:
            yield seq, _message(doc)

    def under_way(self) -> Sequence[Message]:
        """Return the texts that were not posted yet and the messages that are not `SETTLED`, oldest first."""
        return [_message(doc) for (doc,) in self._db.execute(_UNDER_WAY, (json.dumps(sorted(SETTLED)),))]

    def later(self, place: int, *, to: str, sender: str) -> Sequence[Message]:
        """Return the messages after a place, of this sender and recipient, oldest first; at most `MOST_LATER`."""
        rows = self._db.execute(
            "SELECT doc FROM messages WHERE recipient = ? AND sender = ? AND seq > ? ORDER BY seq LIMIT ?",
            (to, sender, place, MOST_LATER),
        )
        return [_message(doc) for (doc,) in rows]

    def add_picture(self, picture: Picture) -> None:
        """Store a picture."""
        self._db.execute(
            "INSERT INTO media VALUES (?, ?, ?, ?, ?)",
            (picture.sid, picture.parent, picture.content_type, picture.created, picture.data),
        )

    def adopt(self, sid: str, parent: str) -> None:
        """Attach an uploaded picture to the message `parent`."""
        self._db.execute("UPDATE media SET parent = ? WHERE sid = ?", (parent, sid))

    def delete_picture(self, sid: str) -> None:
        """Remove a picture."""
        self._db.execute("DELETE FROM media WHERE sid = ?", (sid,))

    def picture(self, sid: str) -> Picture | None:
        """Return a picture, or None."""
        row = self._db.execute(
            "SELECT sid, parent, content_type, created, data FROM media WHERE sid = ?", (sid,)
        ).fetchone()
        return Picture(sid=row[0], parent=row[1], content_type=row[2], created=row[3], data=row[4]) if row else None


class Telephones:
    """The telephones on the page, and the network's notices to them."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def all(self) -> Sequence[tuple[str, str]]:
        """Return number and name of every telephone."""
        rows = self._db.execute("SELECT number, name FROM phones ORDER BY rowid")
        return [(str(number), str(name)) for number, name in rows]

    def save(self, number: str, name: str) -> None:
        """Put a telephone on the page, or rename it."""
        self._db.execute(
            "INSERT INTO phones VALUES (?, ?) ON CONFLICT (number) DO UPDATE SET name = excluded.name", (number, name)
        )

    def show(self, number: str, *, most: int) -> bool:
        """Put a telephone that texted on the page; return whether it is new there.

        Of more than `most` telephones, the oldest without a name leaves the page. Without such a one, nothing changes.
        """
        known = self.all()
        if number in dict(known):
            return False
        if len(known) >= most:
            unnamed = next((phone for phone, name in known if phone == name), None)
            if unnamed is None:
                return False
            self.remove(unnamed)
        self.save(number, number)
        return True

    def remove(self, number: str) -> None:
        """Take a telephone off the page; keep its messages."""
        self._db.execute("DELETE FROM phones WHERE number = ?", (number,))

    def notices(self, number: str) -> Sequence[tuple[float, str]]:
        """Return the notices of the network to a telephone, each with its time."""
        rows = self._db.execute("SELECT at, body FROM notices WHERE phone = ? ORDER BY at", (number,))
        return [(float(at), str(body)) for at, body in rows]

    def add_notice(self, number: str, at: float, body: str) -> None:
        """Store a notice of the network to a telephone."""
        self._db.execute("INSERT INTO notices VALUES (?, ?, ?)", (number, at, body))


class OptOuts:
    """The people who sent STOP, each with the number to which they sent it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def has(self, person: str, number: str) -> bool:
        """Whether this person sent STOP to this number."""
        query = "SELECT 1 FROM opted_out WHERE person = ? AND number = ?"
        return self._db.execute(query, (person, number)).fetchone() is not None

    def add(self, person: str, number: str) -> None:
        """Record a STOP."""
        self._db.execute("INSERT OR IGNORE INTO opted_out VALUES (?, ?)", (person, number))

    def remove(self, person: str, number: str) -> None:
        """Record a START."""
        self._db.execute("DELETE FROM opted_out WHERE person = ? AND number = ?", (person, number))


class Numbers:
    """The numbers of the account."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def all(self) -> Sequence[Number]:
        """Return every number."""
        return [_number(doc) for (doc,) in self._db.execute("SELECT doc FROM numbers ORDER BY rowid")]

    def get(self, address: str) -> Number | None:
        """Return the number with this address, on any channel; None if the account has none."""
        return next((number for number in self.all() if number.number == bare(address)), None)

    def save(self, number: Number) -> None:
        """Add or change a number."""
        self._db.execute(
            "INSERT INTO numbers VALUES (?, ?) ON CONFLICT (number) DO UPDATE SET doc = excluded.doc",
            (number.number, json.dumps(asdict(number))),
        )

    def replace(self, numbers: Iterable[Number]) -> None:
        """Make these the only numbers, in this order."""
        with self._db:
            self._db.execute("BEGIN")
            self._db.execute("DELETE FROM numbers")
            for number in numbers:
                self.save(number)


def _message(doc: str) -> Message:
    given = json.loads(doc)
    fields = {name: value for name, value in given.items() if name in Message.__dataclass_fields__}
    fields["media"] = tuple(fields["media"])
    fields["media_urls"] = tuple(fields.get("media_urls", ()))
    fields["stations"] = tuple((name, when) for name, when in fields["stations"])
    return Message(**fields)


def _number(doc: str) -> Number:
    given = json.loads(doc)
    return Number(**{name: value for name, value in given.items() if name in Number.__dataclass_fields__})
