"""The walk of a text: open, file, think, persist, deliver, close.

One doorbell is one visit to one person. A visit takes the lease, raises the fence, and gives every waiting text its reply, in the order of
arrival, until the inbox is empty or the visit has lasted long enough. Each step is one call whose second execution is harmless; what a
dead worker left half done is found by the next visit, in the inbox and in the journal, and carried on from there.
"""

from __future__ import annotations

import secrets
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from cat import hearing, recall
from cat.chain import Cat
from cat.ports import Heard, Picture, Reply
from conversation import journal
from conversation.errors import Fenced, StoreAway, TooMuchContention
from conversation.journal import MAX_DELIVERY_TRIES, MAX_TRIES, Part, Turn, TurnState
from conversation.models import Conversation
from conversation.ports import Answer, Journal
from inbox.budget import BudgetVerdict, Grant
from inbox.errors import InboxAway
from inbox.payloads import Who
from inbox.ports import Inbox, Waiting
from sms import countries, keywords, messages
from sms.errors import CarrierAway
from sms.keywords import Keyword
from sms.messages import InboundSms, address_of
from sms.ports import MediaSource
from worker.budget import LAST_LINES, Asked, Budget, NotCounted
from worker.counting import LAST_LINE
from worker.delivery import LOOP, Delivery
from worker.limits import Limiter
from worker.visit import LeaseKeeper, Visit

#: A visit ends after so many turns or so long, so that one talkative person does not keep a thread for ever.
VISIT_TURNS: Final = 20
VISIT_SECONDS: Final = 60.0
#: How many entries are looked at together; no reply answers more texts than this.
READ_AHEAD: Final = 20
#: So often a visit that ends tells Redis that it does: for about as long as its lease would last anyway.
PARK_TRIES: Final = 15
PARK_PAUSE_SECONDS: Final = 1.0
#: So many pictures of one turn are shown to a model, and so long may it take to fetch them all, out of the reply's deadline.
PICTURES_SHOWN: Final = 3
LOOKING_SECONDS: Final = 6.0
#: What models that see take, as OpenAI and Bedrock document it alike.
SEEN: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
#: What a reply that was nothing but the answer to HELP is recorded as said by.
HELP_LINE: Final = "help line"
#: When the store or the carrier is away, the person is visited again after this.
AWAY_PAUSE: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitSettings:
    """The settings that shape a visit."""

    policy: str
    quiet_window_seconds: float
    quiet_limit_seconds: float
    max_age_seconds: float
    #: Our own numbers: whatever they send is not a person's.
    own_numbers: frozenset[str] = frozenset()
    #: How much of a conversation a model is shown.
    memory: recall.Terms = field(default_factory=recall.Terms)
    #: A line under the first reply that somebody ever gets, and one under every so-and-so-many-th; empty, and 0: none.
    first_contact: str = ""
    footer: str = ""
    footer_every: int = 0
    #: What HELP is answered with; empty: nothing, Twilio's own answer is enough.
    help_line: str = ""
    #: Senders of so few digits are people too, not services.
    short_codes: bool = False
    #: Countries whose people are answered, as ISO 3166 names them; empty: all.
    countries: frozenset[str] = frozenset()

    def line_below(self, conversation: Conversation) -> str:
        """The line that stands under the next reply to this person."""
        if conversation.unintroduced or (not conversation.replies and not conversation.messages):
            return self.first_contact
        due = self.footer_every and (conversation.replies + 1) % self.footer_every == 0
        return self.footer if due else ""

    def owes(self, conversation: Conversation, asked: Asked, grant: Grant) -> bool:
        """Whether a stranger goes without the line that strangers are greeted with: nothing stands below a last line, or words in danger."""
        greeting = self.first_contact and self.line_below(conversation) == self.first_contact
        return bool(greeting) and (bool(asked.urgent) or grant.leave is BudgetVerdict.LAST_LINE)

    @property
    def fixed_lines(self) -> tuple[str, ...]:
        """What stands below replies and was found by no engine: none is shown it."""
        return tuple(filter(None, (self.first_contact, self.footer, self.help_line)))


@dataclass(frozen=True, slots=True)
class Settle:
    """A verdict: this text gets no reply."""

    state: TurnState
    reason: str


@dataclass(slots=True)
class _Gathered:
    """What one look at the inbox found: texts to answer together, and entries whose turn is over."""

    answer: list[Turn] = field(default_factory=list)
    texts: list[InboundSms] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)
    over: list[str] = field(default_factory=list)
    #: Redis's clock at which to look again, where a reply under way forbids to go on now.
    due_ms: int | None = None
    #: A word that is answered by itself, in its own way.
    alone: Keyword | None = None
    #: Where in `entries` the newest text to answer stands.
    last: int = 0


@dataclass(frozen=True, slots=True)
class _Thought:
    """What came of thinking: messages whose words are frozen, and what they cost of what was set aside for them."""

    parts: tuple[Part, ...] = ()
    #: None: nothing was set aside.
    grant: Grant | None = None
    model: int = 0
    sms: int = 0


@dataclass(frozen=True, slots=True)
class Noted:
    """Who is told what a visit did: the log and the counters."""

    turn: Callable[[Visit, Turn, TurnState, str], None] = lambda *_: None
    thought: Callable[[Visit, Reply, float], None] = lambda *_: None
    parked: Callable[[Visit, str], None] = lambda *_: None


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What a visit walks through."""

    inbox: Inbox
    journal: Journal
    cat: Cat
    budget: Budget
    delivery: Delivery
    limiter: Limiter
    #: Where pictures are to be had; None: nobody looks at any.
    album: MediaSource | None = None
    leases: LeaseKeeper
    #: Who serves, as the journal records it.
    worker: str
    #: The mark under which a text of somebody who is forgotten is known.
    mark: Callable[[str], str] = str


class Visits:
    """Serves people, one visit at a time for each."""

    def __init__(
        self,
        house: House,
        habits: VisitSettings,
        *,
        noted: Noted | None = None,
        stopping: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._inbox = house.inbox
        self._journal = house.journal
        self._cat = house.cat
        self._budget = house.budget
        self._delivery = house.delivery
        self._limiter = house.limiter
        self._album = house.album
        self._leases = house.leases
        self._worker = house.worker
        self._mark = house.mark
        self._habits = habits
        self._noted = noted or Noted()
        self._stopping = stopping
        self._sleep = sleep

    def serve(self, who: Who) -> None:
        """Answer whatever waits for this person; return at once where another worker does, or nobody is known by that name."""
        lease = self._inbox.leases.take(who)
        if lease is None:
            return
        begun = time.monotonic()
        with self._leases.kept(lease):
            visit = Visit(lease=lease, begun=begun)
            try:
                visit.opened = self._journal.open(lease.user_id, now=visit.now())
                self._remember_forgotten(visit)
                due_ms = self._drain(visit)
                if due_ms is None and visit.buried and not visit.filed:
                    self._unknow(visit)
            except Fenced:
                # another worker opened this conversation: the person is served. Should it die, the agenda still knows.
                self._park(visit, visit.now_ms() + _ms(AWAY_PAUSE), "fenced")
            except (StoreAway, CarrierAway, TooMuchContention, InboxAway, NotCounted) as exc:
                self._park(visit, visit.now_ms() + _ms(AWAY_PAUSE), type(exc).__name__)
            except Exception:
                # a bug must not keep the person waiting for the lease to expire; the try is already counted
                self._note_error(visit)
                self._park(visit, visit.now_ms() + _ms(AWAY_PAUSE), "error", failed=True)
                raise
            else:
                if due_ms is not None:
                    self._park(visit, due_ms, "due later")

    def _remember_forgotten(self, visit: Visit) -> None:
        """Whoever is opened for the first time may be somebody who was forgotten, whose old texts are not to be answered when they come late."""
        conversation = visit.conversation
        # as long as nothing was ever written: whoever looked before may have died before he wrote down what he saw
        if conversation.version and not conversation.reborn:
            return
        visit.buried = self._journal.buried(visit.lease.who, now=visit.now())
        if visit.buried and not conversation.reborn:
            if journal.STILL_STOPPED in visit.buried:
                self._obey(visit, Keyword.STOP)
            self._journal.set_reborn(visit.user_id, fence=visit.fence, now=visit.now())

    def _unknow(self, visit: Visit) -> None:
        """Where nothing but old texts came, nothing is left of the visit."""
        if self._journal.unmake(visit.user_id, fence=visit.fence):
            self._inbox.people.drop_identity(visit.lease.who)

    def _is_buried(self, visit: Visit, text: InboundSms) -> bool:
        return bool(visit.buried) and self._mark(text.sid) in visit.buried

    def _note_error(self, visit: Visit) -> None:
        """Keep the traceback with the turns in hand: should this be their last try, somebody will read it."""
        for turn in visit.in_hand:
            with suppress(StoreAway):
                self._journal.note_error(turn, traceback.format_exc())

    def _drain(self, visit: Visit) -> int | None:
        """Turn by turn until the inbox is empty (None) or the person is to be left until some time."""
        emptied = False
        while not self._enough(visit):
            # whoever removed all that he saw need not look to close: closing looks, and a text that came since keeps it open
            waiting = [] if emptied else self._look(visit)
            if not waiting:
                if self._inbox.leases.close(visit.lease) is False:
                    emptied = False
                    continue
                return None
            self._heed_stop(visit, waiting)
            gathered = self._gather(visit, waiting[:READ_AHEAD])
            self._remove(visit, gathered.over)
            if gathered.due_ms is not None:
                return gathered.due_ms
            if self._habits.policy == "latest" and len(waiting) > READ_AHEAD and gathered.last:
                self._supersede(visit, gathered)
            elif gathered.answer:
                visit.in_hand = tuple(gathered.answer)
                thought = self._answer(visit, gathered)
                try:
                    due_ms = self._delivery.deliver(visit, thought.parts)
                finally:
                    self._settle_accounts(visit, thought)
                if due_ms is not None:
                    return due_ms
                visit.over.add(gathered.answer[0].sid)
                self._remove(visit, gathered.entries)
                emptied = len(gathered.over) + len(gathered.entries) == len(waiting)
        self._park(visit, visit.now_ms(), "enough")
        self._inbox.agenda.wake(visit.lease.who)
        return None

    def _supersede(self, visit: Visit, gathered: _Gathered) -> None:
        """Settle all but the newest of these texts; that one waits and sees whether what stands behind it is a newer one to answer."""
        for turn in gathered.answer[:-1]:
            self._settle(visit, turn, Settle(TurnState.SILENT, "superseded"))
        self._remove(visit, gathered.entries[: gathered.last])

    def _enough(self, visit: Visit) -> bool:
        return self._stopping() or visit.turns >= VISIT_TURNS or visit.elapsed_seconds > VISIT_SECONDS

    def _park(self, visit: Visit, due_ms: int, why: str, *, failed: bool = False) -> None:
        """Leave the person until later; several times if need be, because whoever does not park counts as dead."""
        self._noted.parked(visit, why)
        for _ in range(PARK_TRIES - 1):
            try:
                self._inbox.leases.release_until(visit.lease, due_ms=due_ms, failed=failed)
            except InboxAway:
                self._sleep(PARK_PAUSE_SECONDS)
            else:
                return
        self._inbox.leases.release_until(visit.lease, due_ms=due_ms, failed=failed)

    def _remove(self, visit: Visit, entries: Sequence[str]) -> None:
        if not entries:
            return
        again = self._inbox.texts.remove(visit.lease, entries)
        if again is None:
            raise Fenced("the lease was lost")
        for sid, times in again.items():
            self._journal.note_duplicates(visit.user_id, sid, times, now=visit.now())

    # Look: wait until the person is quiet

    def _look(self, visit: Visit) -> Sequence[Waiting]:
        """The waiting entries, and one more to tell whether there are more.

        Unless every text gets its own reply, only once the person has been quiet for a moment.
        """
        waiting = self._inbox.texts.waiting(visit.lease, limit=READ_AHEAD + 1)
        if self._habits.policy == "each":
            return waiting
        while waiting and len(waiting) < READ_AHEAD:
            now, first, last = visit.now_ms(), waiting[0].arrived_ms, waiting[-1].arrived_ms
            left = min(
                last + self._habits.quiet_window_seconds * 1000 - now,
                first + self._habits.quiet_limit_seconds * 1000 - now,
            )
            if left <= 0 or self._stopping():
                break
            if not self._inbox.texts.wait_for_more(visit.lease, waiting[-1].entry_id, seconds=left / 1000):
                break
            waiting = self._inbox.texts.waiting(visit.lease, limit=READ_AHEAD + 1)
        return waiting

    def _heed_stop(self, visit: Visit, waiting: Sequence[Waiting]) -> None:
        """A STOP acts at once, whatever stands before it: nothing is sent any more to somebody who said so."""
        visit.stop_waits = keywords.opted_out_after(
            (entry.text for entry in waiting if entry.text is not None),
            opted_out=not visit.conversation.is_active,
            counts=lambda text: self._is_news(visit, text),
        )
        if visit.stop_waits and visit.conversation.is_active:
            self._obey(visit, Keyword.STOP)

    def _is_news(self, visit: Visit, text: InboundSms) -> bool:
        """Whether a text has not been settled before: an old STOP that is brought again means nothing."""
        if self._is_buried(visit, text):
            return False
        turn = self._journal.get_turn(visit.user_id, text.sid)
        return turn is None or turn.state is TurnState.FILED

    # File: what is known of each text decides what happens to it

    def _gather(self, visit: Visit, waiting: Sequence[Waiting]) -> _Gathered:
        """File entries in order, until a reply can be thought or must be waited for."""
        found = _Gathered()
        for entry in waiting:
            if entry.text is None:
                self._bury(visit, entry)
                found.over.append(entry.entry_id)
                continue
            if self._is_known(visit, found, entry, entry.text):
                continue
            if found.answer and (self._habits.policy == "each" or found.answer[0].tries > 1):
                # a text that a worker died of is answered alone, and its neighbours' tries are not counted with its own
                break
            turn = self._file(visit, entry, entry.text)
            if turn.state is TurnState.FILED and not self._admit(visit, found, entry, entry.text, turn):
                break
            if turn.state is TurnState.ANSWERED:
                if found.answer:
                    break
                found.due_ms = self._resume(visit, turn, put_back=entry.text.repaired)
                if found.due_ms is not None:
                    break
            if turn.state is not TurnState.FILED:
                found.over.append(entry.entry_id)
        return found

    def _is_known(self, visit: Visit, found: _Gathered, entry: Waiting, text: InboundSms) -> bool:
        """Whether nothing has to be filed: an old text of somebody who was forgotten, or one that is in hand already."""
        if self._is_buried(visit, text):
            found.over.append(entry.entry_id)
            return True
        if any(turn.sid == text.sid for turn in found.answer):
            found.entries.append(entry.entry_id)
            return True
        return False

    def _file(self, visit: Visit, entry: Waiting, text: InboundSms) -> Turn:
        """The text's row: made now, or found. A FILED one that was found was a dead holder's; its try is counted before the work."""
        known = visit.filed.get(text.sid)
        if known is not None and known.state is TurnState.FILED:
            self._note_return(visit, entry, known)
            return known
        filed = self._journal.file(
            _turn(visit.user_id, entry, text, worker=self._worker, opened_at=visit.now().isoformat()),
            now=visit.now(),
        )
        turn = filed.turn
        self._note_return(visit, entry, turn)
        if not filed.fresh and turn.state is TurnState.FILED:
            if visit.lease.after_death:
                turn = self._journal.retry(turn)
        elif self._may_have_failed(visit, turn):
            turn = self._journal.retry(turn)
        elif not filed.fresh and not text.repaired and journal.arrived(entry.entry_id) != turn.arrived:
            self._journal.note_duplicates(visit.user_id, turn.sid, 1, now=visit.now())
        visit.filed[text.sid] = turn
        return turn

    def _note_return(self, visit: Visit, entry: Waiting, turn: Turn) -> None:
        """Redis lost a text whose turn is not over, and it came back: it may be answered behind its successors, and its row says so first."""
        if journal.arrived(entry.entry_id) == turn.arrived or "restored_at" in turn.facts:
            return
        if turn.state is TurnState.FILED or self._is_unsent(turn):
            self._journal.note_restored(turn, now=visit.now())

    def _is_unsent(self, turn: Turn) -> bool:
        parts = self._journal.parts(turn.user_id, turn.turn or turn.sid) if turn.state is TurnState.ANSWERED else ()
        return any(part.state in journal.UNSETTLED_PARTS for part in parts)

    def _may_have_failed(self, visit: Visit, turn: Turn) -> bool:
        """Whether the last visit ended by a bug with this reply in hand: it had the oldest text in hand, and its error was noted."""
        oldest = not visit.filed
        return turn.state is TurnState.ANSWERED and visit.lease.after_death and oldest and "error" in turn.facts

    def _admit(self, visit: Visit, found: _Gathered, entry: Waiting, text: InboundSms, turn: Turn) -> bool:
        """Settle a text that gets no reply, or add it to those that are answered together; False where it must wait its turn."""
        keyword = keywords.read(text.body, text.opt_out_type, opted_out=not visit.conversation.is_active)
        verdict = self._judge(visit, entry, text, turn, keyword)
        if verdict is None and keyword is not Keyword.RESET:
            verdict = self._limit(visit, entry, text, turn, begins_turn=not found.answer)
            if verdict is None and not found.answer:
                wait_ms = self._limiter.wait_ms(visit.lease.who, text)
                if wait_ms:
                    found.due_ms = visit.now_ms() + wait_ms
                    return False
        if verdict is not None:
            if found.answer:
                return False
            self._obey(visit, keyword)
            self._settle(visit, turn, verdict)
            found.over.append(entry.entry_id)
            return True
        alone = keyword if keyword in (Keyword.RESET, Keyword.HELP) else None
        if found.answer and (alone or found.alone):
            return False
        if found.answer and found.texts[-1].to != text.to:
            return False  # another of our numbers was texted: its reply leaves from there
        found.answer.append(turn)
        found.texts.append(text)
        found.last = len(found.entries)
        found.entries.append(entry.entry_id)
        found.alone = alone
        return True

    def _judge(
        self, visit: Visit, entry: Waiting, text: InboundSms, turn: Turn, keyword: Keyword | None
    ) -> Settle | None:
        """Why this text gets no reply, or None: it gets one."""
        if turn.tries > MAX_TRIES:
            return Settle(TurnState.DEAD, f"not finished in {MAX_TRIES} tries")
        if text.sender in self._habits.own_numbers:
            return Settle(TurnState.SILENT, "from one of our own numbers")
        if not messages.is_dialable(text.sender, short_codes=self._habits.short_codes):
            return Settle(TurnState.SILENT, "the sender is not a telephone number")
        # an answer of Twilio's own, which it says that it gave, is enough
        told = keyword is Keyword.HELP and (not self._habits.help_line or text.opt_out_type is not None)
        if keyword in (Keyword.STOP, Keyword.START) or told:
            return Settle(TurnState.SILENT, f"keyword {keyword}")
        if not visit.conversation.is_active:
            return Settle(TurnState.SILENT, "opted out")
        if visit.now_ms() < visit.conversation.quiet_until:
            return Settle(TurnState.SILENT, LOOP)
        if self._habits.countries and countries.of(text.sender) not in self._habits.countries:
            return Settle(TurnState.SILENT, "of a country that is not answered")
        age_ms = visit.now_ms() - entry.arrived_ms + text.found_after_seconds * 1000
        if age_ms > self._habits.max_age_seconds * 1000:
            return Settle(TurnState.STALE, "too old to answer")
        return None

    def _limit(self, visit: Visit, entry: Waiting, text: InboundSms, turn: Turn, *, begins_turn: bool) -> Settle | None:
        """Why this text gets no reply although it might: there were too many, or a machine seems to write them."""
        reason = self._limiter.exceeded(visit.lease.who, text, begins_turn=begins_turn, arrived_ms=entry.arrived_ms)
        if reason:
            _, kind = hearing.listen(text.body, [], pictures=0)
            # somebody in danger is not turned away for having written too much
            spared = kind == hearing.CRISIS and self._limiter.is_exempt(
                visit.lease.who, text, arrived_ms=entry.arrived_ms
            )
            return None if spared else Settle(TurnState.SILENT, reason)
        if self._limiter.is_loop(visit.lease.who, text, visit.conversation.messages, turn.arrived_at):
            self._delivery.end_loop(visit, "too fast for a person, too often in a row")
            return Settle(TurnState.SILENT, LOOP)
        return None

    def _obey(self, visit: Visit, keyword: Keyword | None) -> None:
        """STOP puts the conversation to rest, START wakes it; Twilio itself answers both."""
        if keyword not in (Keyword.STOP, Keyword.START):
            return
        active = keyword is Keyword.START
        if active and visit.stop_waits:
            return  # he has thought better of it since: nothing is sent in between
        if active and journal.STILL_STOPPED in visit.buried:
            self._journal.lift_stop(visit.lease.who)
        self._journal.set_active(visit.user_id, active=active, fence=visit.fence, now=visit.now())
        visit.opened = replace(visit.conversation, is_active=active)

    def _settle(self, visit: Visit, turn: Turn, verdict: Settle) -> None:
        self._journal.settle(turn, verdict.state, reason=verdict.reason, now=visit.now())
        visit.filed[turn.sid] = replace(turn, state=verdict.state)
        self._noted.turn(visit, turn, verdict.state, verdict.reason)

    def _bury(self, visit: Visit, entry: Waiting) -> None:
        """An entry that cannot be read goes whole to the dead letters: it must neither block nor vanish."""
        turn = Turn(
            user_id=visit.user_id,
            sid=f"unreadable-{entry.entry_id}",
            state=TurnState.FILED,
            arrived=journal.arrived(entry.entry_id),
            content="",
            to="",
            facts={"payload": entry.payload.decode(errors="replace")},
        )
        self._settle(visit, self._journal.file(turn, now=visit.now()).turn, Settle(TurnState.DEAD, "unreadable entry"))

    def _resume(self, visit: Visit, turn: Turn, *, put_back: bool) -> int | None:
        """Carry on a reply whose words are frozen; nothing is left to do where all its parts are over.

        `put_back`: somebody put the text back into the inbox, because there is something to do, since this visit saw it last.
        """
        sid = turn.turn or turn.sid
        if sid in visit.over and not put_back:
            return None
        visit.in_hand = (turn,)
        parts = self._journal.parts(visit.user_id, sid)
        if visit.lease.after_death and turn.tries > MAX_DELIVERY_TRIES:
            parts = self._delivery.give_up(visit, parts, f"not sent in {MAX_DELIVERY_TRIES - MAX_TRIES} tries")
        due_ms = self._delivery.deliver(visit, parts)
        if due_ms is None:
            visit.over.add(sid)
        return due_ms

    # Think and persist

    def _answer(self, visit: Visit, gathered: _Gathered) -> _Thought:
        """Think of a reply and freeze its words. From the persist on, every attempt sends the same bytes."""
        visit.turns += 1
        answered, superseded, texts = gathered.answer, [], gathered.texts
        if self._habits.policy == "latest" and not gathered.alone:
            superseded, answered, texts = answered[:-1], answered[-1:], texts[-1:]
        heard = recall.hear(
            visit.conversation,
            [text.body for text in texts],
            self._habits.memory,
            now=visit.now(),
            seed=answered[0].sid,
            pictures=sum(len(text.media) for text in texts),
            unheard=self._habits.fixed_lines,
        )
        asked = self._asked(visit, gathered, heard)
        grant = self._budget.ask(asked, now=visit.now())
        if grant.leave is BudgetVerdict.SILENCE:
            if gathered.alone is Keyword.RESET:
                # who asks to be forgotten is, also where there is no money to say so
                through = journal.milliseconds(answered[-1].arrived)
                visit.opened = self._journal.forget(
                    visit.user_id, through_ms=through, fence=visit.fence, now=visit.now()
                )
            for turn in (*superseded, *answered):
                self._settle(visit, turn, Settle(TurnState.SILENT, "over the budget"))
            return _Thought()
        begun = time.monotonic()
        if gathered.alone is Keyword.HELP and grant.leave is BudgetVerdict.GO:
            reply = Reply(words=self._habits.help_line, engine=HELP_LINE)
        else:
            reply = self._think(visit, heard, asked, grant, texts)
        seconds = time.monotonic() - begun
        self._noted.thought(visit, reply, seconds)
        parts = reply.parts or (reply.words,)
        answer = Answer(
            conversation=visit.conversation,
            turns=answered,
            silent=superseded,
            parts=parts,
            expected=self._budget.expected(address_of(visit.user_id), parts),
            found=reply.words,
            unintroduced=self._habits.owes(visit.conversation, asked, grant),
            token=secrets.token_hex(12),
            forget=gathered.alone is Keyword.RESET,
            facts={
                **reply.facts,
                "engine": reply.engine,
                "thought_at": visit.now().isoformat(),
                "thought_ms": int(seconds * 1000),
            },
        )
        cost = int(reply.facts.get("model_cost", 0))
        try:
            visit.opened = self._journal.persist(answer, now=visit.now())
        except (Fenced, TooMuchContention):
            # the model is paid all the same; the reply is somebody else's to send
            with suppress(InboxAway):
                self._budget.settle(grant, model=cost, sms=0)
            raise
        for turn in answered:
            visit.filed[turn.sid] = replace(turn, state=TurnState.ANSWERED, turn=answered[0].sid)
            self._noted.turn(visit, turn, TurnState.ANSWERED, "")
        for turn in superseded:
            visit.filed[turn.sid] = replace(turn, state=TurnState.SILENT)
            self._noted.turn(visit, turn, TurnState.SILENT, "superseded")
        return _Thought(answer.new_parts(), grant, model=cost, sms=sum(expected for _, expected in answer.expected))

    def _settle_accounts(self, visit: Visit, thought: _Thought) -> None:
        """Note what was spent, and ask for what a memory should hold by now: both once the reply is on its way, which waits for neither."""
        # what cannot be corrected, or asked for, now: the sum stays as it was set aside, and the next reply asks again
        with suppress(InboxAway):
            if thought.grant is not None:
                self._budget.settle(thought.grant, model=thought.model, sms=thought.sms)
                if recall.is_due(visit.conversation, self._habits.memory, now=visit.now()):
                    self._inbox.agenda.request_memory(visit.lease.who)

    def _asked(self, visit: Visit, gathered: _Gathered, heard: Heard) -> Asked:
        """What has to be known before money is set aside for a reply."""
        words, kind = hearing.listen(heard.said, heard.theirs, pictures=heard.pictures)
        return Asked(
            who=visit.lease.who,
            # the oldest text in hand: whoever comes after a dead worker finds the same one, also where the newest alone is answered
            turn=gathered.answer[0].sid,
            to=address_of(visit.user_id),
            model=None if gathered.alone else self._cat.max_cost(heard),
            last_line=LAST_LINES[words.language],
            # somebody may be in danger, and the law wants HELP answered
            urgent="help" if gathered.alone is Keyword.HELP else "danger" if kind == hearing.CRISIS else "",
        )

    def _look_at(self, texts: Sequence[InboundSms]) -> list[Picture]:
        """The pictures that came with the texts, for a model that sees; what cannot be had in time is not looked at."""
        if self._album is None or not self._cat.sees:
            return []
        until, found = time.monotonic() + LOOKING_SECONDS, []
        media = [one for text in texts for one in text.media if one.content_type in SEEN]
        for one in media[:PICTURES_SHOWN]:
            left = until - time.monotonic()
            if left <= 0:
                break
            with suppress(CarrierAway):
                fetched = self._album.fetch(one, seconds=left)
                if fetched.content_type in SEEN:
                    found.append(Picture(content_type=fetched.content_type, data=fetched.data))
        return found

    def _think(self, visit: Visit, heard: Heard, asked: Asked, grant: Grant, texts: Sequence[InboundSms]) -> Reply:
        """The words, as far as there is money for them."""
        if grant.leave is BudgetVerdict.LAST_LINE:
            return Reply(words=asked.last_line, engine=LAST_LINE)
        below = "" if asked.urgent else self._habits.line_below(visit.conversation)
        if asked.model is None:
            return self._cat.by_heart(heard, below=below)
        if asked.model and not grant.model:
            reply = self._cat.by_heart(heard, below=below)
            why = "it is not yet counted what was spent" if grant.counting else "over the budget"
            return replace(reply, facts={**reply.facts, "silent_engines": [f"all of them: {why}"]})
        begun = time.monotonic()
        shown = self._look_at(texts)
        return self._cat.reply(replace(heard, shown=shown), below=below, used_seconds=time.monotonic() - begun)


def _turn(user_id: str, entry: Waiting, text: InboundSms, *, worker: str, opened_at: str) -> Turn:
    facts: dict[str, Any] = {"worker": worker, "opened_at": opened_at}  # Any: DynamoDB's values
    if text.media:
        facts["media"] = [{"url": media.url, "content_type": media.content_type} for media in text.media]
    # a service chooses the number that a reply leaves from; where each number has its own conversation, it is the one that was texted
    if text.messaging_service_sid and user_id == text.sender:
        facts["messaging_service_sid"] = text.messaging_service_sid
    if text.repaired:
        facts["repaired"] = True
    return Turn(
        user_id=user_id,
        sid=text.sid,
        state=TurnState.FILED,
        arrived=journal.arrived(entry.entry_id),
        content=text.body,
        to=text.to,
        facts=facts,
    )


def _ms(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)
