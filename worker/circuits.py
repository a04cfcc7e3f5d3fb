"""What an attempt and a report mean for the circuit breakers."""

from __future__ import annotations

from collections.abc import Sequence

from inbox.payloads import Who
from inbox.ports import Circuit, Passage, Place
from journal.model import ReplyPart
from sms.ports import Scope, Verdict
from worker import circuit_scopes, telemetry


class Circuits:
    """The circuit breakers, as replies pass them.

    `service_sid`: the messaging service of this installation; empty if it has none.
    """

    def __init__(self, circuit: Circuit, *, service_sid: str, telemetry: telemetry.Telemetry) -> None:
        self._circuit = circuit
        self._service_sid = service_sid
        self._telemetry = telemetry

    def passage(self, part: ReplyPart, who: Who) -> Passage:
        """Decide whether the next attempt at a part may be made."""
        return self._circuit.passage(circuit_scopes.places(part, who, ours=self._service_sid))

    def service_of(self, part: ReplyPart) -> str | None:
        """Return the messaging service that the next attempt names, if it names one."""
        return circuit_scopes.service_of(part, ours=self._service_sid)

    def accepted(self, passage: Passage) -> None:
        """Close the circuits that a successful attempt tested."""
        self._reopen(passage.probes)

    def refused(self, verdict: Verdict, part: ReplyPart, who: Who, passage: Passage) -> None:
        """Stop what a refusal concerns, and close the account's circuit if it was tested."""
        self.stop(verdict, part, who)
        if verdict.code is not None and verdict.scope is not Scope.ACCOUNT:
            # the carrier judged something narrower, so it accepts the account
            self._reopen([place for place in passage.probes if place.scope is Scope.ACCOUNT])

    def stop(self, verdict: Verdict, part: ReplyPart, who: Who, *, reported: bool = False) -> None:
        """Open the circuit of what a verdict concerns, if it concerns more than this message.

        `reported`: a delivery report said it, not the answer to a request.
        """
        stop = circuit_scopes.stop_of(verdict, part, who, ours=self._service_sid, reported=reported)
        place = self._circuit.open(stop) if stop is not None else None
        if stop is not None and place is not None:
            self._telemetry.emit(telemetry.stopped(place, stop))

    def delivered(self, part: ReplyPart, who: Who, *, sent_ms: int) -> None:
        """Close what a report had stopped before `sent_ms`: a message that was sent then was delivered.

        It proves nothing of the account: a message on its way outlives the account.
        """
        places = circuit_scopes.places(part, who, ours=self._service_sid)
        self._reopen([place for place in places if place.scope is not Scope.ACCOUNT], delivered_ms=sent_ms)

    def wait(self, place: Place, who: Who) -> bool:
        """Note that a person waits for a place; False if it is open again."""
        return self._circuit.wait(place, who)

    def _reopen(self, places: Sequence[Place], *, delivered_ms: int | None = None) -> None:
        for place in self._circuit.close(places, delivered_ms=delivered_ms) if places else ():
            self._telemetry.emit(telemetry.resumed(place))
