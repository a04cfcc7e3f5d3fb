"""Who was in the middle of what when a fault struck: the only excuse for a reply in doubt.

An attempt is in flight from its claim until the answer to its bind was handed over, and never for longer than sending takes. A fault that strikes
a worker, or one of its connections, in between may have hidden the outcome of the attempts in flight there, and of no others. So the fault log
names attempts, and the auditor asks it about the very attempt that stands in a row.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Final

from dadacat.chaos.proxy import Exchange, When
from dadacat.chaos.steps import Step, attempt_of, status_of, step_of, took_effect

#: What a process wrote before it was killed is read by its proxies within this; its successor needs longer to write anything.
LAST_BYTES_SECONDS: Final = 0.5
#: An attempt that was claimed longer ago is no longer on its way: claim 5 s, Twilio 13 s, four tries to write the outcome down.
IN_FLIGHT_SECONDS: Final = 45.0
#: Answers of Twilio that prove nothing.
_DOUBTFUL_FROM: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that was broken on purpose, and when."""

    at: float
    what: str
    #: How long it lasted.
    seconds: float = 0.0
    #: `kill` for a SIGKILL, `cut` for a connection that was ended at one request; empty for everything else.
    kind: str = ""
    #: The attempts whose outcome it may have hidden.
    attempts: tuple[str, ...] = ()


@dataclass(slots=True)
class Witness:
    """Knows which attempts each worker has in flight. Every method may be called from any thread."""

    faults: list[Fault] = field(default_factory=list)
    #: Worker to the attempts that it has in flight, and since when.
    _in_flight: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    #: Worker to the place of the fault that struck it last, and until when what it had written before may still come by.
    _struck: dict[str, tuple[int, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def saw(self, worker: str, exchange: Exchange, at: float) -> None:
        """Note what an exchange of a worker says of its attempts."""
        step = step_of(exchange.service, exchange.request)
        if step not in (Step.CLAIM, Step.SEND, Step.BIND):
            return
        attempt = attempt_of(exchange.request)
        if step is Step.CLAIM and exchange.when is When.BEFORE:
            with self._lock:
                self._in_flight[worker][attempt] = at
                place, until = self._struck.get(worker, (0, 0.0))
                if at < until:  # it was written before the fault, and read by us after it
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
        """Note a fault, with the attempts that it may have hidden: the one that it is about, or all that these workers had in flight."""
        with self._lock:
            hidden = {
                one
                for worker in workers
                for one, since in self._in_flight[worker].items()
                if at - since < IN_FLIGHT_SECONDS
            }
            if attempt:
                hidden = {attempt}
            for worker in workers:
                self._struck[worker] = len(self.faults), at + max(seconds, LAST_BYTES_SECONDS)
            self.faults.append(Fault(at=at, what=what, seconds=seconds, kind=kind, attempts=tuple(sorted(hidden))))

    def died(self, worker: str) -> None:
        """Forget what a worker had in flight: it is gone, and its successor has nothing yet."""
        with self._lock:
            self._in_flight[worker].clear()

    def note(self, fault: Fault) -> None:
        """Write a fault down."""
        with self._lock:
            self.faults.append(fault)

    def excuses(self) -> dict[str, str]:
        """Attempt to the faults that may have hidden its outcome."""
        with self._lock:
            found: dict[str, str] = {}
            for fault in self.faults:
                for attempt in fault.attempts:
                    found[attempt] = f"{found[attempt]}; {fault.what}" if attempt in found else fault.what
            return found


def _is_judged(exchange: Exchange) -> bool:
    """Whether the store has looked at a bind: it took effect, or was refused because others were faster."""
    return took_effect(exchange.service, exchange.answer) or b"ConditionalCheckFailed" in exchange.answer


def _proves_nothing(answer: bytes) -> bool:
    return status_of(answer) >= _DOUBTFUL_FROM or (took_effect("twilio", answer) and b'"sid"' not in answer)
