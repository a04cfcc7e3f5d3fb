"""What `/readyz` and `/metrics` say of the inbox and of what Twilio refuses."""

from __future__ import annotations

from inbox.state import InboxState, described
from runtime import metrics
from sms.ports import Scope


def body(state: InboxState, *, stuck_after_seconds: float) -> bytes:
    """Return the answer to `/readyz`: a word, the age of the oldest text, and a line for each stopped scope.

    Texts are stored in every state, so the webhook stays in service. A person who waits alone stops nothing.
    """
    is_stopped = any(stop.place.scope is not Scope.DESTINATION for stop in state.stopped)
    is_stuck = state.oldest_waiting_seconds > stuck_after_seconds
    lines = [
        "stopped" if is_stopped else "stuck" if is_stuck else "ready",
        f"oldest unanswered text: {state.oldest_waiting_seconds:.1f} s",
        *described(state.stopped),
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def note(state: InboxState) -> None:
    """Set the metrics of the inbox and of the open circuits."""
    metrics.OLDEST_WAITING_SECONDS.set(state.oldest_waiting_seconds)
    for scope in Scope:
        stops = [stop for stop in state.stopped if stop.place.scope is scope]
        metrics.STOPPED.labels(scope=scope).set(len(stops))
        metrics.STOPPED_PEOPLE.labels(scope=scope).set(sum(stop.people for stop in stops))
        if scope is Scope.ACCOUNT:
            metrics.SENDING_STOPPED.set(len(stops))
