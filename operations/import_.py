"""Import conversations from an export, exactly: states, sids and times stay, so nothing is sent again.

A file is looked at as a whole before anything is written. It is refused, with every reason, if a line is not one of an
export, if a text or a reply in it is not settled, or if one of its people is known here by more than the file holds.
What an import that failed midway has written is not written again, so the same file can be imported once more.

Being forgotten is no consent: who said STOP before being forgotten here comes back opted out, and the texts that were
forgotten get no answer if they come late.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NoReturn

from conversation.dynamodb_limits import MAX_USER_ID_BYTES
from conversation.errors import ConversationError
from conversation.models import Conversation, parse_time
from conversation.schema import EXPIRES
from conversation.table import Row
from conversation.transcript import SETTLED
from inbox.payloads import Who
from journal import codec, listing, states
from journal.archive import INTERNAL_PREFIX
from journal.model import STILL_STOPPED, ReplyPart, RowName, Turn
from journal.spending import cost_of
from journal.states import PartState, TurnState
from journal.store import Journal
from operations.errors import BadRequest
from sms.addresses import masked

#: So many reasons are shown; a file that is no export at all has one for each line.
MOST_REASONS: Final = 20
#: DynamoDB's limits (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html).
MOST_DIGITS: Final = 38
MOST_NESTED: Final = 32
MOST_BYTES: Final = 400_000
#: Of a `message_key`, DynamoDB's sort key.
MOST_KEY_BYTES: Final = 1024
#: States of unfinished rows: if one were imported, a worker would continue it.
_OPEN: Final = frozenset(map(str, (TurnState.FILED, *states.UNSETTLED_PARTS)))
_STATES: Final[Mapping[str, frozenset[str]]] = {
    "in": frozenset(TurnState),
    "out": frozenset(PartState),
    **dict.fromkeys(("msg", "old", "memo"), frozenset({SETTLED})),
}
#: The partition of the sparse index for states that an operator's list shows.
_LISTED: Final = {"DEAD": states.DEAD_LETTERS, "FAILED": states.DEAD_LETTERS, "HELD": states.HELD_PARTS}
#: Half of a character outside the basic plane: JSON can hold one alone, and UTF-8 cannot.
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_ARRIVED: Final = re.compile(r"[0-9]{13,15}-[0-9]{6,}")
_ITEM: Final = ("created_at", "updated_at", "messages")
#: A person, and the key of a row; empty for the item.
_Key = tuple[str, str]


@dataclass(slots=True)
class Export:
    """The content of a file that may be imported."""

    items: list[Row] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    #: The line on which each person is first named.
    people: dict[str, int] = field(default_factory=dict)


def read(journal: Journal, lines: Iterable[str], *, who: Callable[[str], Who], now: datetime) -> Export:
    """Return what is to be written: all that is not here yet.

    `who`: the keyed hash of a person, under which the tombstones stand.

    Raises `BadRequest` with the reasons if the file is refused.
    """
    export, reasons = Export(), list[str]()
    rows: dict[_Key, Row] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            kind, row = _parsed(line)
        except BadRequest as exc:
            reasons.append(f"line {number}: {exc}")
        else:
            row = _heeding_erasure(journal, row, who=who, now=now) if kind == "item" else row
            key = _key(row)
            reasons += [f"line {number}: stands in the file before"] if key in rows else []
            rows[key] = row
            export.people.setdefault(row["user_id"], number)
            (export.items if kind == "item" else export.rows).append(row)
        if len(reasons) >= MOST_REASONS:
            reasons.append("and perhaps more")
            break
    _require_none(reasons)
    return _missing(journal, export, rows)


def write(journal: Journal, export: Export) -> tuple[int, int]:
    """Write what was read; return the number of conversations and of rows.

    The rows go first: a conversation that is here is complete. Raises `BadRequest` at the end if people texted since
    the file was read: their conversations stay as they are.
    """
    journal.archive.keep(None, export.rows)
    late = [masked(item["user_id"]) for item in export.items if not journal.archive.keep(item, [])]
    if late:
        raise BadRequest(
            f"{', '.join(late)} texted while this import ran, and what was said before is in the history only; "
            "all else is imported"
        )
    return len(export.items), len(export.rows)


def _heeding_erasure(journal: Journal, item: Row, *, who: Callable[[str], Who], now: datetime) -> Row:
    """Return the item of a person as it is to be after an erasure here: a STOP holds."""
    tombstones = journal.tombstones.of(who(item["user_id"]), now=now)
    if not tombstones:
        return item
    if STILL_STOPPED not in tombstones:
        return {**item, "reborn": True}
    # a STOP is kept for good
    return {**{name: value for name, value in item.items() if name != EXPIRES}, "reborn": True, "is_active": False}


def _missing(journal: Journal, export: Export, rows: Mapping[_Key, Row]) -> Export:
    """Return what of a file is not here.

    Raises `BadRequest` if nothing is missing, or if a person is known by more than the file holds.
    """
    reasons, here = list[str](), set[_Key]()
    for person, number in export.people.items():
        item = journal.archive.item(person)
        known = [*([] if item is None else [item]), *journal.archive.rows(person)]
        here.update(map(_key, known))
        if any(row != rows.get(_key(row)) for row in known):
            who = masked(person)
            reasons.append(f"line {number}: {who} is known here already: forget that person first, or leave it out")
    if not reasons and here and not rows.keys() - here:
        reasons.append("all of it is known here already")
    _require_none(reasons)
    return Export(
        items=[item for item in export.items if _key(item) not in here],
        rows=[row for row in export.rows if _key(row) not in here],
        people=export.people,
    )


def _require_none(reasons: Sequence[str]) -> None:
    if reasons:
        raise BadRequest("\n".join(["nothing is imported:", *reasons]))


def _key(row: Row) -> _Key:
    return row["user_id"], row.get("message_key", "")


def _parsed(line: str) -> tuple[str, Row]:
    """Return the kind of a line and its row, fit to be written. Raises `BadRequest` with the reason."""
    try:
        parsed = json.loads(line, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BadRequest("is not a line of an export: no JSON object") from None
    if not isinstance(parsed, dict) or len(parsed) != 1 or next(iter(parsed)) not in ("item", "row"):
        raise BadRequest("is not a line of an export: it holds no item and no row")
    ((kind, row),) = parsed.items()
    if not isinstance(row, dict) or not _is_name(row.get("user_id")):
        raise BadRequest(f"is not a line of an export: the {kind} names no person")
    if len(line.encode("utf-8", "replace")) > MOST_BYTES or not _fits(row, MOST_NESTED):
        raise BadRequest(
            "holds what DynamoDB does not take: a long number, deep lists, half a character, or too many bytes"
        )
    try:
        return kind, _item(row) if kind == "item" else _row(row)
    except (ConversationError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as exc:
        reason = str(exc) if isinstance(exc, ConversationError) else f"an attribute has another form ({exc!r:.80})"
        raise BadRequest(f"is not a line of an export: {reason}") from None


def _item(item: dict[str, Any]) -> Row:
    missing = [name for name in _ITEM if not isinstance(item.get(name), str)]
    if missing:
        raise BadRequest(f"is not a line of an export: the item lacks {', '.join(missing)}")
    Conversation.from_item(item, datetime.now(UTC))
    return item


def _row(row: dict[str, Any]) -> Row:
    name = RowName(user_id=row["user_id"], key=str(row.get("message_key")))
    prefix, _, rest = name.key.partition("#")
    if prefix not in _STATES or not rest or not _fits_in(name.key, MOST_KEY_BYTES):
        raise BadRequest("is not a line of an export: the key of the row is none of the journal's")
    state = row.get("state")
    if not isinstance(state, str) or state not in _STATES[prefix]:
        raise BadRequest(f"is not a line of an export: a row {prefix}# has no state like that")
    if state in _OPEN:
        raise BadRequest(f"is not settled ({state}): a worker here would continue it")
    if prefix != "memo" and not _ARRIVED.fullmatch(str(row.get("arrived"))):
        raise BadRequest("is not a line of an export: the row has no time of arrival")
    if any(name.endswith("_at") and parse_time(value) is None for name, value in row.items()):
        raise BadRequest("is not a line of an export: a time is no time")
    if name.is_turn:
        codec.decode(Turn, row)
    if name.is_part:
        codec.decode(ReplyPart, row)
    if row.get("engine") is not None:
        cost_of(row)
    return _relisted(row, state)


def _relisted(row: dict[str, Any], state: str) -> Row:
    """Return the row with its place in the sparse index: only the operator's lists show an imported row."""
    kept = {name: value for name, value in row.items() if name not in listing.ATTRIBUTES}
    if state not in _LISTED or "unsettled" not in row or parse_time(row.get("since")) is None:
        return kept
    return {**kept, "unsettled": _LISTED[state], "since": row["since"]}


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _fits_in(value, MAX_USER_ID_BYTES) and not value.startswith(INTERNAL_PREFIX)


def _fits_in(value: str, most_bytes: int) -> bool:
    return 0 < len(value.encode("utf-8", "replace")) <= most_bytes


def _fits(value: object, depth: int) -> bool:
    """Return whether DynamoDB can hold a value."""
    match value:
        case dict():
            return depth > 0 and all(_fits(name, depth) and _fits(held, depth - 1) for name, held in value.items())
        case list():
            return depth > 0 and all(_fits(held, depth - 1) for held in value)
        case str():
            return not _SURROGATE.search(value)
        case bool():
            return True
        case int():
            return bool(abs(value) < 10**MOST_DIGITS)
        case Decimal():
            digits, exponent = value.as_tuple().digits, value.adjusted()
            return len(digits) <= MOST_DIGITS and -130 <= exponent <= 125  # noqa: PLR2004 - DynamoDB's own limits
    return True


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
