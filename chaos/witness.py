"""Record which attempts were in flight when a fault struck: the only excuse for a reply in doubt.

An attempt is in flight from its claim until the answer to its bind was forwarded, but for at most `IN_FLIGHT_SECONDS`.
A fault that strikes a worker or one of its connections in between may have hidden the outcome of the attempts in flight
there, and of no others. So the fault log names attempts, and the auditor looks up the attempt that stands in a row.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Final

from chaos.proxy import Exchange, When
from chaos.steps import Step, attempt_of, status_of, step_of, took_effect
from worker.send_marks.mark_file import Slot

#: A killed process's last bytes reach its proxies within this time.
#: Its successor needs longer to write anything, so the two cannot be confused.
LAST_BYTES_SECONDS: Final = 0.5
#: The longest that one attempt takes: claim 5 s, Twilio 13 s, four tries to write the outcome.
IN_FLIGHT_SECONDS: Final = 45.0
#: Twilio answers with this status or above prove nothing.
_DOUBTFUL_FROM: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One injected fault, and when it struck."""

    at: float
    what: str
    #: How long it lasted.
    seconds: float = 0.0
    #: `kill` for a SIGKILL, `cut` for a connection closed at one request, empty for every other fault.
    kind: str = ""
    #: The ids of the attempts whose outcome it may have hidden.
    attempts: tuple[str, ...] = ()
    #: How many attempts it ended of which a mark proves that nothing left.
    proven: int = 0


@dataclass(slots=True)
class Witness:
    """Tracks which attempts each worker has in flight. Every method is thread-safe."""

    faults: list[Fault] = field(default_factory=list)
    #: Worker to its attempts in flight, each with the time of its claim.
    _in_flight: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    #: Worker to the index of the last fault that struck it, and the time until its earlier bytes may still arrive.
    _struck: dict[str, tuple[int, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def saw(self, worker: str, exchange: Exchange, at: float) -> None:
        """Update the attempts in flight from one exchange of a worker."""
        step = step_of(exchange.service, exchange.request)
        if step not in (Step.CLAIM, Step.SEND, Step.BIND):
            return
        attempt = attempt_of(exchange.request)
        if step is Step.CLAIM and exchange.when is When.BEFORE:
            with self._lock:
                flying = self._in_flight[worker]
                for old in [other for other, since in flying.items() if at - since > IN_FLIGHT_SECONDS]:
                    del flying[old]
                flying[attempt] = at
                place, until = self._struck.get(worker, (0, 0.0))
                if at < until:  # written before the fault, read by the proxy after it
                    fault = self.faults[place]
                    self.faults[place] = replace(fault, attempts=(*fault.attempts, attempt))
        elif step is Step.BIND and exchange.when is When.AFTER and _is_judged(exchange):
            with self._lock:
                self._in_flight[worker].pop(attempt, None)
        elif step is Step.SEND and exchange.when is When.LOST:
            self.note(Fault(at=at, what="twilio hung up", attempts=(attempt,)))
        elif step is Step.SEND and exchange.when is When.AFTER and _proves_nothing(exchange.answer):
            self.note(Fault(at=at, what=f"twilio answered {status_of(exchange.answer)}", attempts=(attempt,)))

    def struck(
        self, at: float, what: str, *workers: str, attempt: str = "", kind: str = "", seconds: float = 0.0
    ) -> None:
        """Record a fault with the attempts whose outcome it may have hidden.

        These are `attempt` if given, otherwise all attempts that `workers` had in flight.
        """
        with self._lock:
            hidden = {
                attempt_id
                for worker in workers
                for attempt_id, since in self._in_flight[worker].items()
                if at - since < IN_FLIGHT_SECONDS
            }
            if attempt:
                hidden = {attempt}
            for worker in workers:
                self._struck[worker] = len(self.faults), at + max(seconds, LAST_BYTES_SECONDS)
            self.faults.append(Fault(at=at, what=what, seconds=seconds, kind=kind, attempts=tuple(sorted(hidden))))

    def killed(self, at: float, what: str, marks: tuple[Slot, ...]) -> None:
        """Record a SIGKILL with the marks of the attempts in hand.

        It hides the outcome only of those that had begun.
        """
        begun = tuple(slot.attempt_id for slot in marks if not slot.is_proof)
        self.note(Fault(at=at, what=what, kind="kill", attempts=begun, proven=len(marks) - len(begun)))

    def died(self, worker: str) -> None:
        """Clear the attempts in flight of a worker that died; its successor has none yet."""
        with self._lock:
            self._in_flight[worker].clear()

    def note(self, fault: Fault) -> None:
        """Append a fault to the log."""
        with self._lock:
            self.faults.append(fault)

    def take_faults(self) -> list[Fault]:
        """Return the log of faults, oldest first, and begin a new one."""
        with self._lock:
            faults, self.faults = self.faults, []
            self._struck.clear()
        return sorted(faults, key=lambda fault: fault.at)

    def excuses(self) -> dict[str, str]:
        """Return a mapping from attempt id to the faults that may have hidden its outcome."""
        with self._lock:
            excuses: dict[str, str] = {}
            for fault in self.faults:
                for attempt in fault.attempts:
                    excuses[attempt] = f"{excuses[attempt]}; {fault.what}" if attempt in excuses else fault.what
            return excuses


def _is_judged(exchange: Exchange) -> bool:
    """Return whether the store decided a bind: it took effect, or another write had come first."""
    return took_effect(exchange.service, exchange.answer) or b"ConditionalCheckFailed" in exchange.answer


def _proves_nothing(answer: bytes) -> bool:
    return status_of(answer) >= _DOUBTFUL_FROM or (took_effect("twilio", answer) and b'"sid"' not in answer)
