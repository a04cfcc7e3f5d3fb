"""Account for every text from the outside: texts sent, the carrier's message list, and both tables.

A text has one of these outcomes:

- It is answered once, in order.
- It is settled without a reply, for a reason that the policy allows.
- Its reply is in doubt. Only a fault log entry that names the attempt in the part's row excuses this.
- It is lost, doubled, out of order or sent to another person, and the auditor names it.

The auditor trusts no state that it can check:

- A part in state SENT must be on the carrier's list, to its person and in its words.
- A message on the list must belong to exactly one part.
- A reply must answer a text that was sent.
- A reply must have as many parts as its turn's row says.
- A part that failed in delivery must have a second try, and no other part may have one.
- The conversation must contain the last text and its reply.

Order means the order of the inbox, which is the order in which texts reached the webhook.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from sms import addresses, codes
from sms.ports import ErrorClass

IN_DOUBT: Final = frozenset({"UNKNOWN", "HELD", "SENDING"})
#: States of rows that must still change.
UNDER_WAY: Final = frozenset({"FILED", "NEW", "SENDING", "RETRY", "UNKNOWN"})
FAILED: Final = frozenset({"failed", "undelivered"})
#: The offences of a verdict.
OFFENCES: Final = ("lost", "doubled", "swapped", "misdirected", "unexcused")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentText:
    """A text that a person sent."""

    sid: str
    person: str
    #: It empties the conversation, as RESET does.
    forgets: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedMessage:
    """A message from the application on the carrier's list."""

    sid: str
    person: str
    body: str
    status: str = "delivered"
    error_code: int | None = None
    #: It was reported as failed, and is delivered all the same.
    has_failed: bool = False

    @property
    def wants_second_try(self) -> bool:
        """Return whether it failed in delivery with an error code after which it is sent once more, soon."""
        code = self.error_code
        if self.status not in FAILED or code is None:
            return False
        return codes.of_report(code).error_class is ErrorClass.FAILED_LATER


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the journal."""

    person: str
    key: str
    state: str
    sid: str = ""
    arrived: str = ""
    #: When a turn was persisted.
    answered: str = ""
    turn: str = ""
    content: str = ""
    number: int = 0
    #: For a turn: how many parts its reply has.
    parts: int = 0
    #: Whether it is the second try at a part that failed in delivery.
    again: bool = False
    #: The id of the attempt in the row, such as `SM0123-0-0123456789abcdef`.
    attempt: str = ""
    #: What the carrier last reported of the message, such as `delivered`.
    status: str = ""
    #: Whether the reconciler fetched it or put it back; if so, it is exempt from the order check.
    repaired: bool = False
    #: How many seconds after it was sent the reconciler found the text.
    found_after: int = 0
    reason: str = ""

    @property
    def is_part(self) -> bool:
        """Return whether it is a message of a reply."""
        return self.key.startswith("out#")

    @property
    def text_sid(self) -> str:
        """Return the sid in its key: of the text, or of the first text that the part answers."""
        return self.key.split("#")[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationRow:
    """A person's row in the conversations table: the keys of the messages in its window, oldest first."""

    person: str
    window: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that the auditor judges by."""

    texts: Sequence[SentText]
    #: Oldest first, by creation.
    listed: Sequence[ListedMessage]
    rows: Sequence[Row]
    conversations: Sequence[ConversationRow]
    #: Attempt id to the fault that may have hidden its outcome.
    excuses: Mapping[str, str]
    #: Reasons for which a text may get no reply, or its reply be suppressed. If empty, every text must get one.
    silences: frozenset[str] = frozenset()
    #: Whether the wait for pending work is over. If so, a state that should still change is an offence.
    at_rest: bool = False


@dataclass(slots=True, kw_only=True)
class Verdict:
    """The outcome of all texts."""

    texts: int = 0
    answered: int = 0
    #: Settled without a reply for an expected reason.
    silent: int = 0
    #: In doubt, and excused by a fault: text to its excuse.
    held: dict[str, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    swapped: list[str] = field(default_factory=list)
    #: Sent to another person, or in other words than the journal has.
    misdirected: list[str] = field(default_factory=list)
    #: In doubt without an excuse, or in doubt although the carrier's list proves the outcome.
    unexcused: list[str] = field(default_factory=list)
    #: How many texts the order check skipped because the reconciler fetched them or put them back.
    excused_from_order: int = 0

    @property
    def good(self) -> bool:
        """Return whether there is no offence."""
        return not any(getattr(self, offence) for offence in OFFENCES)


def audit(evidence: Evidence) -> Verdict:
    """Account for every text."""
    return _Audit(evidence).verdict()


class _Audit:
    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._verdict = Verdict(texts=len(evidence.texts))
        self._rows = {(row.person, row.key): row for row in evidence.rows}
        self._parts: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in evidence.rows:
            if row.is_part:
                self._parts[row.person, row.text_sid].append(row)
        self._listed = {message.sid: message for message in evidence.listed}

    def verdict(self) -> Verdict:
        for text in self._evidence.texts:
            turn = self._rows.get((text.person, f"in#{text.sid}"))
            if turn is None or turn.state == "FILED":
                self._verdict.lost.append(f"{text.sid}: {'never filed' if turn is None else 'never answered'}")
            elif turn.state == "SILENT" and self._parts.get((text.person, text.sid)):
                self._verdict.lost.append(f"{text.sid}: settled without a reply, though it has one")
            elif turn.state == "SILENT" and turn.reason in self._evidence.silences:
                self._verdict.silent += 1
            elif turn.state != "ANSWERED":
                self._verdict.lost.append(f"{text.sid}: {turn.state} ({turn.reason})")
            else:
                self._answered(text, turn)
        self._replies_to_nothing()
        self._messages_without_a_part()
        self._order()
        self._check_windows()
        return self._verdict

    def _answered(self, text: SentText, turn: Row) -> None:
        parts = self._parts.get((text.person, turn.turn or text.sid), [])
        if not parts:
            self._verdict.lost.append(f"{text.sid}: answered without a reply")
            return
        offences = len(self._verdict.lost) + len(self._verdict.unexcused)
        self._counted(text, turn, sum(not part.again for part in parts))
        suppressed = 0
        for part in parts:
            if part.again:
                self._second_try(text, part)
            if part.state == "SENT":
                self._sent(text, part)
            elif part.state in IN_DOUBT:
                self._doubt(text, part)
            elif part.state == "SUPPRESSED" and (part.again or part.reason in self._evidence.silences):
                suppressed += not part.again
            else:
                self._verdict.lost.append(f"{text.sid}: its reply is {part.state} ({part.reason})")
        if len(self._verdict.lost) + len(self._verdict.unexcused) > offences or text.sid in self._verdict.held:
            return
        self._verdict.answered += not suppressed
        self._verdict.silent += bool(suppressed)

    def _counted(self, text: SentText, turn: Row, parts: int) -> None:
        if parts != turn.parts:
            offences = self._verdict.doubled if parts > turn.parts else self._verdict.lost
            offences.append(f"{text.sid}: its reply has {parts} parts, and should have {turn.parts}")

    def _sent(self, text: SentText, part: Row) -> None:
        listed = self._listed.get(part.sid)
        if listed is None:
            self._verdict.lost.append(f"{text.sid}: its reply {part.sid} is not on the list")
            return
        if listed.person != addresses.address_of(part.person):
            self._verdict.misdirected.append(f"{text.sid}: its reply {part.sid} went to another person")
        if listed.body and listed.body != part.content:  # a message whose words were deleted has none
            self._verdict.misdirected.append(f"{text.sid}: its reply {part.sid} has other words than its row")
        if not part.again and listed.wants_second_try:
            self._has_second_try(text, part)

    def _has_second_try(self, text: SentText, part: Row) -> None:
        if (part.person, f"{part.key}r") not in self._rows:
            self._verdict.lost.append(f"{text.sid}: its reply failed in delivery, and was not tried again")

    def _second_try(self, text: SentText, part: Row) -> None:
        first = self._rows.get((part.person, part.key.removesuffix("r")))
        listed = self._listed.get(first.sid) if first is not None else None
        if listed is None or not (listed.has_failed or listed.status in FAILED):
            self._verdict.doubled.append(f"{text.sid}: tried again, though the first try did not fail")

    def _doubt(self, text: SentText, part: Row) -> None:
        excuse = self._evidence.excuses.get(part.attempt)
        if excuse and self._evidence.at_rest and part.state != "HELD":
            self._verdict.unexcused.append(f"{text.sid}: {part.state}, and never came to rest")
        elif excuse:
            self._verdict.held[text.sid] = f"{part.state}: {excuse}"
        else:
            self._verdict.unexcused.append(f"{text.sid}: {part.state}, and no fault touched attempt {part.attempt}")

    def _replies_to_nothing(self) -> None:
        sent = {(text.person, text.sid) for text in self._evidence.texts}
        for person, sid in self._parts:
            if (person, sid) not in sent:
                self._verdict.doubled.append(f"{sid}: it has a reply, and no person sent it")

    def _messages_without_a_part(self) -> None:
        """Name each message that belongs to no part.

        Such a message is a second SMS, unless a part in doubt has the same person and words: the message may be that
        part's own.
        """
        owners = Counter(row.sid for row in self._rows.values() if row.is_part and row.sid)
        doubtful = Counter(
            (row.person, row.content) for row in self._rows.values() if row.is_part and row.state in IN_DOUBT
        )
        unowned: Counter[tuple[str, str]] = Counter()
        for message in self._evidence.listed:
            if owners[message.sid] > 1:
                self._verdict.doubled.append(f"{message.sid}: {owners[message.sid]} parts claim it")
            elif owners[message.sid] == 0:
                unowned[message.person, message.body] += 1
                if unowned[message.person, message.body] > doubtful[message.person, message.body]:
                    self._verdict.doubled.append(f"{message.sid}: belongs to no part")
        for words, number in unowned.items():
            # With fewer messages than parts in doubt with these words, the list cannot tell which part each belongs to.
            if number == doubtful[words]:
                self._verdict.unexcused.append(f"a reply to {words[0]} is in doubt, though it is on the list")

    def _order(self) -> None:
        """Check that replies were created in the order in which their texts reached the webhook.

        Only texts that the reconciler fetched or put back are exempt.
        """
        created = {message.sid: place for place, message in enumerate(self._evidence.listed)}
        people: dict[str, list[tuple[str, int, int, str]]] = defaultdict(list)
        for text in self._evidence.texts:
            turn = self._rows.get((text.person, f"in#{text.sid}"))
            if turn is None or turn.turn not in ("", text.sid):
                continue
            if turn.repaired:
                self._verdict.excused_from_order += 1
                continue
            for part in self._parts.get((text.person, text.sid), ()):
                if part.sid in created and not part.again:
                    people[text.person].append((turn.arrived, part.number, created[part.sid], text.sid))
        for replies in people.values():
            for (_, _, earlier, _), (_, _, later, sid) in pairwise(sorted(replies)):
                if later < earlier:
                    self._verdict.swapped.append(f"{sid}: answered before the text before it")

    def _forgetting(self) -> list[Row]:
        """Return the texts that emptied a conversation and got no reply."""
        rows = [self._rows.get((text.person, f"in#{text.sid}")) for text in self._evidence.texts if text.forgets]
        return [row for row in rows if row is not None and row.state != "ANSWERED"]

    def _check_windows(self) -> None:
        """Check that the conversation has each person's last answered text and its reply exactly once."""
        conversations = {conversation.person: conversation for conversation in self._evidence.conversations}
        last: dict[str, Row] = {}
        for text in self._evidence.texts:
            turn = self._rows.get((text.person, f"in#{text.sid}"))
            if turn is not None and turn.state == "ANSWERED":
                # A restored text is answered late: the window ends with the turn that was persisted last.
                last[text.person] = max(last.get(text.person, turn), turn, key=lambda row: (row.answered, row.arrived))
        forgetting = self._forgetting()
        for person, turn in last.items():
            if any(turn.arrived < row.arrived for row in forgetting if row.person == person):
                continue
            window = conversations[person].window if person in conversations else ()
            for key in (turn.key, f"out#{turn.turn or turn.sid}#0"):
                if window.count(key) != 1:
                    self._verdict.lost.append(f"{turn.sid}: {key} is {window.count(key)} times in the conversation")
