"""Compose a reply and freeze its words: reserve the money, think, persist."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from cat import ports, recall
from cat.chain import Cat
from inbox import budget as money
from inbox.errors import InboxAway
from inbox.ports import Agenda
from journal import model
from journal.ports import Journal
from journal.states import TurnState
from sms import messages
from sms.ports import MediaSource
from worker import budget, dangers, intake, pictures, telemetry
from worker.keyword_rules import fixed_lines
from worker.visit import Visit
from worker.visit_settings import VisitSettings


@dataclass(frozen=True, slots=True)
class Response:
    """Parts whose words are frozen, and what they cost of what was reserved for them."""

    parts: tuple[model.ReplyPart, ...] = ()
    #: None: nothing was reserved.
    grant: money.Grant | None = None
    #: In millionths of a dollar.
    model: int = 0
    sms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """What a reply is composed of, before its words are found."""

    batch: intake.Batch
    #: The turns that it answers, and those that the newest text supersedes.
    answered: Sequence[model.Turn]
    superseded: Sequence[model.Turn]
    texts: Sequence[messages.InboundSms]
    heard: ports.Heard
    asked: budget.Asked
    grant: money.Grant

    @property
    def is_beyond(self) -> bool:
        """Return whether it is sent over a limit or a budget."""
        return self.batch.beyond or self.grant.verdict is money.BudgetVerdict.BEYOND

    @property
    def is_fixed(self) -> bool:
        """Return whether its words are a fixed line."""
        return self.batch.rule.line is not None or self.grant.verdict is money.BudgetVerdict.LAST_LINE


class Responder:
    """Composes replies. `media` None: no picture is fetched."""

    def __init__(  # noqa: PLR0913 - the parts of a reply
        self,
        journal: Journal,
        agenda: Agenda,
        intake: intake.Intake,
        cat: Cat,
        budget: budget.Budget,
        settings: VisitSettings,
        *,
        media: MediaSource | None,
        telemetry: telemetry.Telemetry,
    ) -> None:
        self._journal = journal
        self._agenda = agenda
        self._intake = intake
        self._cat = cat
        self._budget = budget
        self._settings = settings
        self._media = media
        self._telemetry = telemetry

    def respond(self, visit: Visit, batch: intake.Batch) -> Response:
        """Compose a reply to a batch and persist it. From then on, every attempt sends the same bytes.

        Raises `Fenced`, `StoreAway`, `TooMuchContention`, `InboxAway` and `NotCounted`.
        """
        visit.turns += 1
        draft = self._hear(visit, batch)
        if draft.grant.verdict in {money.BudgetVerdict.SILENCE, money.BudgetVerdict.LAST_LINE}:
            telemetry.count_unpaid()
        if draft.grant.verdict is money.BudgetVerdict.SILENCE:
            self._be_silent(visit, draft)
            return Response()
        started_at = visit.host.monotonic()
        with telemetry.span("think"):
            reply = self._think(visit, draft)
        seconds = visit.host.monotonic() - started_at
        silent = tuple(reply.facts.get("silent_engines", ()))
        self._telemetry.emit(telemetry.reply_composed(visit.lease.who, reply.engine, seconds, silent))
        telemetry.count_silence(silent)
        frozen = self._freeze(visit, draft, reply, seconds=seconds)
        return self._persist(visit, frozen, draft.grant, model=int(reply.facts.get("model_cost", 0)))

    def settle_accounts(self, visit: Visit, response: Response) -> None:
        """Record what was spent, and request a memory update if one is due.

        Both are done once the reply is on its way. If Redis is away, the sum stays as it was reserved, and the next
        reply requests the update.
        """
        with suppress(InboxAway):
            if response.grant is not None:
                self._budget.settle(response.grant, model=response.model, sms=response.sms)
                if recall.is_due(visit.conversation, self._settings.memory, now=visit.now()):
                    self._agenda.request_memory(visit.lease.who)

    def _hear(self, visit: Visit, batch: intake.Batch) -> _Draft:
        """Hear what the person said, and reserve the money for a reply."""
        answered, superseded, texts = batch.turns, list[model.Turn](), batch.texts
        if self._settings.policy == "latest" and not batch.rule.alone:
            superseded, answered, texts = answered[:-1], answered[-1:], texts[-1:]
        # a text that the newest one supersedes is heard, too
        alert = dangers.alert_of(self._cat.watch, visit, batch.texts)
        heard = recall.hear(
            visit.conversation,
            [text.body for text in texts],
            self._settings.memory,
            now=visit.now(),
            seed=answered[0].sid,
            pictures=pictures.count(texts),
            things=pictures.things(texts),
            unheard=fixed_lines(self._settings),
            alert=alert,
        )
        asked = self._asked(visit, batch, heard)
        grant = self._budget.ask(asked, now=visit.now())
        return _Draft(
            batch=batch, answered=answered, superseded=superseded, texts=texts, heard=heard, asked=asked, grant=grant
        )

    def _asked(self, visit: Visit, batch: intake.Batch, heard: ports.Heard) -> budget.Asked:
        """Return what must be known before money is reserved for a reply."""
        turn, alert = batch.turns[0].sid, heard.alert
        assert alert is not None, "danger is heard before money is asked for"
        return budget.Asked(
            who=visit.lease.who,
            # the oldest text in hand: the successor of a dead worker finds the same one, under every policy
            turn=turn,
            to=visit.address,
            model=None if batch.rule.alone or alert.is_fixed else self._cat.max_cost(heard),
            last_line=alert.line() if alert.is_serious else budget.last_line(alert.language),
            urgent=batch.rule.urgent or dangers.urgency(alert, turn, is_beyond=batch.beyond),
        )

    def _be_silent(self, visit: Visit, draft: _Draft) -> None:
        """Settle turns for which there is no money. A request to be forgotten is carried out all the same."""
        turns = (*draft.superseded, *draft.answered)
        if draft.batch.rule.forgets:
            visit.opened = self._journal.conversations.forget(
                visit.user_id, through_ms=turns[-1].arrived_ms, fence=visit.fence, now=visit.now()
            )
        for turn in turns:
            self._intake.settle(visit, turn, TurnState.SILENT, "over the budget")

    def _think(self, visit: Visit, draft: _Draft) -> ports.Reply:
        """Return the words, as far as there is money for them."""
        rule, heard, grant = draft.batch.rule, draft.heard, draft.grant
        if grant.verdict is money.BudgetVerdict.LAST_LINE:
            return ports.Reply(words=draft.asked.last_line, engine=model.LAST_LINE, alert=heard.alert)
        if rule.line is not None:
            return ports.Reply(words=rule.line(self._settings), engine=rule.line_engine)
        below = self._settings.line_below(visit.conversation)
        if draft.asked.model is None:
            return self._cat.by_heart(heard, below=below)
        if draft.asked.model and not grant.model:
            reply = self._cat.by_heart(heard, below=below)
            why = "it is not yet counted what was spent" if grant.counting else "over the budget"
            return replace(reply, facts={**reply.facts, "silent_engines": [f"all of them: {why}"]})
        started_at = visit.host.monotonic()
        shown = pictures.fetch(self._media, draft.texts) if self._media is not None and self._cat.sees else []
        used_seconds = visit.host.monotonic() - started_at
        return self._cat.reply(replace(heard, shown=shown), below=below, used_seconds=used_seconds)

    def _freeze(self, visit: Visit, draft: _Draft, reply: ports.Reply, *, seconds: float) -> model.FrozenReply:
        """Return what is persisted; `seconds` is how long the words took."""
        kept = dangers.kept(visit, reply.alert, is_beyond=draft.is_beyond)
        parts = reply.parts or (reply.words,)
        return model.FrozenReply(
            conversation=visit.conversation,
            turns=draft.answered,
            silent=draft.superseded,
            parts=parts,
            expected=self._budget.expected(visit.address, parts),
            reply_text=reply.words,
            frames=reply.frames,
            # no line stands below a fixed line, or below words to a person in danger
            unintroduced=self._settings.introduces(visit.conversation) and (draft.is_fixed or kept.serious),
            serious=kept.serious,
            danger=kept.danger,
            token=visit.host.token(12),
            forget=draft.batch.rule.forgets,
            facts={
                **reply.facts,
                "engine": reply.engine,
                "thought_at": visit.now().isoformat(),
                "thought_ms": int(seconds * 1000),
            },
        )

    def _persist(self, visit: Visit, frozen: model.FrozenReply, grant: money.Grant, *, model: int) -> Response:
        try:
            visit.opened = self._journal.turns.persist(frozen, now=visit.now())
        except Exception:
            # the model is paid all the same; what is set aside for the messages is for the visit that sends them
            with suppress(InboxAway):
                self._budget.settle(grant, model=model, sms=None)
            raise
        first = frozen.turns[0].sid
        for turn in frozen.turns:
            self._note(visit, replace(turn, state=TurnState.ANSWERED, turn=first), "")
        for turn in frozen.silent:
            self._note(visit, replace(turn, state=TurnState.SILENT), "superseded")
        sms = sum(cost for _, cost in frozen.expected)
        telemetry.count_cost(str(frozen.facts["engine"]), model=model, sms=sms)
        return Response(frozen.new_parts(), grant, model=model, sms=sms)

    def _note(self, visit: Visit, turn: model.Turn, reason: str) -> None:
        visit.filed[turn.sid] = turn
        self._telemetry.emit(telemetry.turn_settled(visit.lease.who, turn, turn.state, reason, visit.fence))
