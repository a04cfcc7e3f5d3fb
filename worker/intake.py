"""What becomes of each waiting text: filed once, then answered, settled or left until later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from cat.danger.watch import Watch
from conversation.errors import UnreadableRow
from inbox.ports import Waiting
from journal import model, states
from journal.ports import Journal
from sms import addresses, countries, keywords
from sms.messages import InboundSms
from worker import limits, telemetry
from worker.delivery import LOOP, Delivery
from worker.filing import Filing
from worker.keyword_rules import ORDINARY, RULES, Rule
from worker.visit import Visit
from worker.visit_settings import VisitSettings

#: How many entries are read at once; no reply answers more texts than this.
READ_AHEAD: Final = 20

#: How a text without a reply is settled, and why.
Ending = tuple[states.TurnState, str]

#: A STOP or START that does nothing: it was found after a later one had counted.
OVERTAKEN: Final[Ending] = (states.TurnState.SILENT, "a later keyword counts")


@dataclass(slots=True)
class Batch:
    """What one look at the inbox brought: texts to answer together, and entries that are finished."""

    turns: list[model.Turn] = field(default_factory=list)
    texts: list[InboundSms] = field(default_factory=list)
    #: The entries of `turns`, in order, and repetitions of them.
    entries: list[str] = field(default_factory=list)
    #: Entries that need nothing more.
    finished: list[str] = field(default_factory=list)
    #: When to look again, in milliseconds of Redis's clock, if a reply in progress forbids going on now.
    due_ms: int | None = None
    #: How the texts are handled; the rule of a keyword that is answered alone, or that of any other text.
    rule: Rule = ORDINARY
    #: The first text is answered beyond a limit, because it shows certain danger.
    beyond: bool = False
    #: Those of `entries` that stand before the newest text to answer.
    older: tuple[str, ...] = ()


class Intake:
    """Files waiting texts and decides what becomes of each.

    `mark`: the keyed hash of a sid, by which the text of an erased person is recognized.
    """

    def __init__(  # noqa: PLR0913 - the parts of the decision
        self,
        journal: Journal,
        filing: Filing,
        delivery: Delivery,
        limiter: limits.Limiter,
        settings: VisitSettings,
        watch: Watch,
        *,
        mark: Callable[[str], str],
        telemetry: telemetry.Telemetry,
    ) -> None:
        self._journal = journal
        self._delivery = delivery
        self._limiter = limiter
        self._settings = settings
        self._watch = watch
        self._filing = filing
        self._mark = mark
        self._telemetry = telemetry

    def heed_stop(self, visit: Visit, waiting: Sequence[Waiting]) -> None:
        """Opt the person out at once if a STOP waits, whatever stands before it."""
        opted_out, stopped_ms = not visit.conversation.is_active, 0
        for entry in sorted(waiting, key=_sent_ms):
            if entry.text is None:
                continue
            keyword = keywords.read(entry.text.body, entry.text.opt_out_type, opted_out=opted_out)
            activates = RULES[keyword].activates
            if activates is not None and self._is_news(visit, entry, entry.text, activates=activates):
                opted_out, stopped_ms = not activates, _sent_ms(entry)
        visit.stop_waits = opted_out
        if opted_out and visit.conversation.is_active:
            self.set_active(visit, active=False, sent_ms=stopped_ms)

    def hears_danger(self, visit: Visit, texts: Sequence[InboundSms]) -> bool:
        """Return whether one of these texts shows danger by itself: none of them is settled unheard then."""
        return any(self._watch.look([text.body], visit.danger, now_ms=visit.now_ms()).heard.tier for text in texts)

    def gather(self, visit: Visit, waiting: Sequence[Waiting]) -> Batch:
        """File entries in order, until a reply can be composed or must be waited for."""
        batch = Batch()
        again_ms = 0
        for entry in waiting:
            if entry.text is None:
                self.settle(
                    visit, self._filing.file_unreadable(visit, entry), states.TurnState.DEAD, "unreadable entry"
                )
                batch.finished.append(entry.entry_id)
            elif self._is_erased(visit, entry.text):
                self._journal.tombstones.drop_late(visit.user_id, entry.text.sid)
                batch.finished.append(entry.entry_id)
            elif any(turn.sid == entry.text.sid for turn in batch.turns):
                batch.entries.append(entry.entry_id)
            else:
                try:
                    with telemetry.span("take in", after=[entry.text.trace], sid=entry.text.sid):
                        taken = self._take_in(visit, batch, entry, entry.text)
                    if not taken:
                        break
                except UnreadableRow as exc:
                    # it keeps waiting, and the person's other texts go on
                    again_ms = self._filing.set_aside(visit, entry.text, exc)
        if again_ms and not batch.turns and not batch.finished and batch.due_ms is None:
            batch.due_ms = again_ms
        return batch

    def _take_in(self, visit: Visit, batch: Batch, entry: Waiting, text: InboundSms) -> bool:
        """File a text and add it to the batch, or finish it; False if it must wait its turn."""
        if batch.turns and (self._settings.policy == "each" or batch.turns[0].tries > 1):
            # a text during which a worker died is answered alone: its tries are not its neighbours'
            return False
        turn = self._filing.file(visit, entry, text)
        if turn.state is states.TurnState.FILED:
            return self._admit(visit, batch, entry, text, turn)
        if turn.state is states.TurnState.ANSWERED:
            if batch.turns:
                return False
            batch.due_ms = self._resume(visit, turn, put_back=text.repaired)
            if batch.due_ms is not None:
                return False
        batch.finished.append(entry.entry_id)
        return True

    def settle(self, visit: Visit, turn: model.Turn, state: states.TurnState, reason: str) -> None:
        """End a turn without a reply. Raises `Fenced`."""
        self._journal.turns.settle(turn, state, reason=reason, fence=visit.fence, now=visit.now())
        visit.filed[turn.sid] = replace(turn, state=state)
        self._telemetry.emit(telemetry.turn_settled(visit.lease.who, turn, state, reason, visit.fence))

    def set_active(self, visit: Visit, *, active: bool, sent_ms: int) -> None:
        """Opt the person in or out, by a keyword that was sent at `sent_ms`.

        A START before a waiting STOP does nothing: no reply is sent in between.
        """
        if active and visit.stop_waits:
            return
        if active and model.STILL_STOPPED in visit.tombstones:
            self._journal.tombstones.lift_stop(visit.lease.who)
        if active == visit.conversation.is_active:
            sent_ms = max(sent_ms, visit.conversation.keyword_at)
        self._journal.conversations.set_active(
            visit.user_id, active=active, fence=visit.fence, now=visit.now(), sent_ms=sent_ms
        )
        visit.opened = replace(visit.conversation, is_active=active, keyword_at=sent_ms)

    def _is_erased(self, visit: Visit, text: InboundSms) -> bool:
        """Return whether the person was erased after sending this text."""
        return bool(visit.tombstones) and self._mark(text.sid) in visit.tombstones

    def _is_news(self, visit: Visit, entry: Waiting, text: InboundSms, *, activates: bool) -> bool:
        """Return whether a STOP or START counts: one that is brought again, or found too late, means nothing."""
        if self._is_erased(visit, text):
            return False
        try:
            turn = self._journal.turns.get(visit.user_id, text.sid)
        except UnreadableRow:
            return True  # a STOP that may be new is obeyed
        if turn is not None and turn.state is not states.TurnState.FILED:
            return False
        sent_ms = _sent_ms(entry) if turn is None else turn.sent_ms
        return not (text.repaired and _is_overtaken(visit, sent_ms, activates=activates))

    def _resume(self, visit: Visit, turn: model.Turn, *, put_back: bool) -> int | None:
        """Carry on a frozen reply; return when to look again, or None if all its parts are settled.

        `put_back`: the reconciler put the text back into the inbox since this visit saw it last.
        """
        sid = turn.reply_sid
        if sid in visit.settled and not put_back:
            return None
        visit.in_hand = (turn,)
        parts = self._journal.outbox.parts(visit.user_id, sid)
        if visit.lease.after_death and turn.tries > states.MAX_DELIVERY_TRIES:
            parts = self._delivery.give_up(
                visit, parts, f"not sent in {states.MAX_DELIVERY_TRIES - states.MAX_TRIES} tries"
            )
        due_ms = self._delivery.deliver(visit, parts)
        if due_ms is None:
            visit.settled.add(sid)
        return due_ms

    def _admit(self, visit: Visit, batch: Batch, entry: Waiting, text: InboundSms, turn: model.Turn) -> bool:
        """Settle a text that gets no reply, or add it to the batch; False if it must wait its turn."""
        if turn.due > visit.now_ms():
            batch.due_ms = None if batch.turns else turn.due
            return False
        keyword = self._keyword(visit, text)
        rule = RULES[keyword]
        ending = self._judge(visit, text, turn, keyword)
        withheld = ending or self._hold_back(
            visit, entry, text, turn, begins_turn=not batch.turns, limited=not rule.forgets
        )
        beyond = ending is None and withheld is not None and self.is_exception(visit, text, keyword)
        if withheld is not None and not beyond:
            return self._end(visit, batch, entry, turn, rule, withheld)
        if not (batch.turns or rule.forgets or beyond):
            wait_ms = self._limiter.wait_ms(visit.lease.who, text)
            if wait_ms:
                batch.due_ms = visit.now_ms() + wait_ms
                return False
        if batch.turns and (beyond or rule.alone or batch.rule.alone or batch.texts[-1].to != text.to):
            return False  # answered by itself, or the reply leaves from another of our numbers
        batch.beyond = beyond
        batch.turns.append(turn)
        batch.texts.append(text)
        batch.older = tuple(batch.entries)
        batch.entries.append(entry.entry_id)
        batch.rule = rule
        return True

    def _end(self, visit: Visit, batch: Batch, entry: Waiting, turn: model.Turn, rule: Rule, ending: Ending) -> bool:
        """Settle a text that gets no reply; False if it must wait for the reply to those before it."""
        if batch.turns:
            return False
        if rule.activates is not None and ending != OVERTAKEN:
            self.set_active(visit, active=rule.activates, sent_ms=turn.sent_ms)
        self.settle(visit, turn, *ending)
        batch.finished.append(entry.entry_id)
        return True

    def _keyword(self, visit: Visit, text: InboundSms) -> keywords.Keyword | None:
        """Return the keyword that a text is; a cry for help is none if it would get no right answer."""
        keyword = keywords.read(text.body, text.opt_out_type, opted_out=not visit.conversation.is_active)
        if keyword is not keywords.Keyword.HELP or text.opt_out_type is not None:
            return keyword
        unanswered = not self._settings.help_line and keywords.at_twilio(text.body) is None
        return None if unanswered or visit.danger.lasts(visit.now_ms()) else keyword

    def is_exception(self, visit: Visit, text: InboundSms, keyword: keywords.Keyword | None) -> bool:
        """Return whether a text is answered beyond a limit: it shows certain danger, the first in ten minutes."""
        return (
            keyword is None
            and visit.danger.may_except(visit.now_ms())
            and self._watch.is_certain(text.body, visit.danger, now_ms=visit.now_ms())
        )

    def _judge(
        self, visit: Visit, text: InboundSms, turn: model.Turn, keyword: keywords.Keyword | None
    ) -> Ending | None:
        """Return how the text is settled, and why; None if it gets a reply."""
        settings = self._settings
        if turn.tries > states.MAX_TRIES:
            return states.TurnState.DEAD, f"not finished in {states.MAX_TRIES} tries"
        if text.sender in settings.own_numbers:
            return states.TurnState.SILENT, "from one of our own numbers"
        if not addresses.is_dialable(text.sender, short_codes=settings.short_codes):
            return states.TurnState.SILENT, "the sender is not a telephone number"
        activates = RULES[keyword].activates
        if activates is not None and text.repaired and _is_overtaken(visit, turn.sent_ms, activates=activates):
            return OVERTAKEN
        if RULES[keyword].is_silent(settings, twilio_answered=text.opt_out_type is not None):
            return states.TurnState.SILENT, f"keyword {keyword}"
        if not visit.conversation.is_active:
            return states.TurnState.SILENT, "opted out"
        if settings.countries and countries.of(text.sender) not in settings.countries:
            return states.TurnState.SILENT, "of a country that is not answered"
        return None

    def _hold_back(
        self, visit: Visit, entry: Waiting, text: InboundSms, turn: model.Turn, *, begins_turn: bool, limited: bool
    ) -> Ending | None:
        """Return how a text is settled that only a person in danger gets an answer to; None for any other.

        It comes during a silence, is too old, is one too many, or seems to be a machine's.
        """
        who = visit.lease.who
        if visit.now_ms() < visit.conversation.quiet_until:
            return states.TurnState.SILENT, LOOP
        if visit.now_ms() - turn.born_ms > self._settings.max_age_seconds * 1000:
            return states.TurnState.STALE, "too old to answer"
        if not limited:
            return None
        reason = self._limiter.exceeded(who, text, begins_turn=begins_turn, arrived_ms=entry.arrived_ms)
        if reason:
            return states.TurnState.SILENT, reason
        if self._limiter.is_loop(who, text, visit.conversation.messages, turn.arrived_at):
            self._delivery.end_loop(visit, "too fast for a person, too often in a row")
            return states.TurnState.SILENT, LOOP
        return None


def _sent_ms(entry: Waiting) -> int:
    """Return when a text was sent, as far as it is known, in milliseconds of Redis's clock."""
    return entry.arrived_ms - 1000 * (entry.text.found_after_seconds if entry.text is not None else 0)


def _is_overtaken(visit: Visit, sent_ms: int, *, activates: bool) -> bool:
    """Return whether a STOP or START was sent before the one that counts now and says the opposite."""
    return activates is not visit.conversation.is_active and sent_ms < visit.conversation.keyword_at
