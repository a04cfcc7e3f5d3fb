"""The rows of waiting texts: recorded once, with what the journal must know of a repetition."""

from __future__ import annotations

from conversation.entries import arrived
from conversation.errors import UnreadableRow
from inbox.durations import milliseconds
from inbox.ports import Waiting
from journal import model, states
from journal.ports import Journal
from journal.states import TurnState
from runtime import tracing
from runtime.isolation import BadItem
from sms.messages import InboundSms
from worker import retry_policy, set_aside, telemetry
from worker.visit import Visit


class Filing:
    """Files texts. `worker`: who serves, as the journal records it."""

    def __init__(self, journal: Journal, *, worker: str, lease_seconds: float, telemetry: telemetry.Telemetry) -> None:
        self._journal = journal
        self._worker = worker
        self._lease_seconds = lease_seconds
        self._telemetry = telemetry

    def file(self, visit: Visit, entry: Waiting, text: InboundSms) -> model.Turn:
        """Return the text's row, created now or before.

        A FILED row that stood there was a dead worker's: its try is counted before the work starts.
        """
        known = visit.filed.get(text.sid)
        if known is not None and known.state is TurnState.FILED:
            self._note_return(visit, entry, known)
            return known
        filed = self._journal.turns.file(self._new_turn(visit, entry, text), now=visit.now())
        turn = filed.turn
        self._note_return(visit, entry, turn)
        died = not filed.fresh and turn.state is TurnState.FILED and visit.lease.after_death
        if died or self._failed_before(visit, turn):
            turn = self._journal.turns.retry(turn, due_ms=self._next_try(visit, turn))
        elif not filed.fresh and turn.state is not TurnState.FILED and self._is_repeated(entry, text, turn):
            self._journal.turns.note_duplicates(visit.user_id, turn.sid, 1, now=visit.now())
        visit.filed[text.sid] = turn
        return turn

    def _new_turn(self, visit: Visit, entry: Waiting, text: InboundSms) -> model.Turn:
        media = [{"url": media.url, "content_type": media.content_type} for media in text.media]
        return model.Turn(
            user_id=visit.user_id,
            sid=text.sid,
            state=TurnState.FILED,
            arrived=arrived(entry.entry_id),
            content=text.body,
            to=text.to,
            # a service chooses the number that a reply leaves from, unless each number has a conversation of its own
            messaging_service_sid=text.messaging_service_sid if visit.user_id == text.sender else None,
            opt_out_type=text.opt_out_type,
            repaired=text.repaired,
            found_after=text.found_after_seconds,
            facts={
                "worker": self._worker,
                "opened_at": visit.now().isoformat(),
                **({"media": media} if media else {}),
                **({"trace": trace} if (trace := tracing.exported(text.trace)) else {}),
            },
        )

    def file_unreadable(self, visit: Visit, entry: Waiting) -> model.Turn:
        """Return the row of an entry that cannot be read: it must neither block nor vanish."""
        turn = model.Turn(
            user_id=visit.user_id,
            sid=f"{model.UNREADABLE}{entry.entry_id}",
            state=TurnState.FILED,
            arrived=arrived(entry.entry_id),
            content="",
            to="",
            facts={"payload": entry.payload.decode(errors="replace")},
        )
        return self._journal.turns.file(turn, now=visit.now()).turn

    def set_aside(self, visit: Visit, text: InboundSms, error: UnreadableRow) -> int:
        """List a text whose rows cannot be read; return when to look again, in milliseconds of Redis's clock."""
        aside = set_aside.listing(self._journal, self._telemetry, visit.now)
        aside(BadItem(kind="text", name=text.sid, error=str(error)))
        return visit.after(retry_policy.SET_ASIDE_PAUSE)

    def _note_return(self, visit: Visit, entry: Waiting, turn: model.Turn) -> None:
        """Record that Redis lost an unfinished text that came back: it may be answered out of order."""
        if arrived(entry.entry_id) == turn.arrived or turn.restored_at is not None:
            return
        if turn.state is TurnState.FILED or self._is_unsent(turn):
            self._journal.turns.note_restored(turn, now=visit.now())

    def _is_unsent(self, turn: model.Turn) -> bool:
        if turn.state is not TurnState.ANSWERED:
            return False
        return any(
            part.state in states.UNSETTLED_PARTS for part in self._journal.outbox.parts(turn.user_id, turn.reply_sid)
        )

    def _next_try(self, visit: Visit, turn: model.Turn) -> int:
        """Return when a text is tried again whose worker died; 0 for at once, as after a bug: no worker died."""
        pause = retry_policy.pause_after_death(turn.tries, lease_seconds=self._lease_seconds)
        return visit.now_ms() + milliseconds(pause) if pause and turn.error is None else 0

    def _failed_before(self, visit: Visit, turn: model.Turn) -> bool:
        """Return whether a bug ended the last visit with this reply, of the oldest text, in hand."""
        is_oldest = not visit.filed
        is_answered = turn.state is TurnState.ANSWERED
        return is_answered and visit.lease.after_death and is_oldest and turn.error is not None

    def _is_repeated(self, entry: Waiting, text: InboundSms, turn: model.Turn) -> bool:
        return not text.repaired and arrived(entry.entry_id) != turn.arrived
