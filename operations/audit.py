"""Look for messages that were sent to people after their STOP, in the rows of both tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from inbox.figures import RedisFigures
from journal import audit
from journal.audit import Finding
from journal.store import Journal
from operations.progress import Progress, silent, with_progress
from runtime.isolation import SetAside, isolated


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The result: how many people said STOP, and what was found."""

    stopped: int
    findings: Sequence[Finding]

    @property
    def offences(self) -> int:
        """Return how many findings should never have happened."""
        return sum(finding.is_offence for finding in self.findings)


def audit_all(
    journal: Journal, *, who: Callable[[str], str], set_aside: SetAside, progress: Progress = silent
) -> Audit:
    """Audit each person who said STOP. Reads every row of the journal once. Raises `StoreAway`.

    A person whose rows cannot be read is handed to `set_aside`, under the name that `who` returns.
    """
    archive = journal.archive
    stopped = archive.users_with_reason(audit.STOPPED)
    findings: list[Finding] = []
    for person in with_progress(stopped, "people who said STOP", progress):
        with isolated("person", who(person), set_aside):
            conversation = journal.storage.get(person)
            is_active = conversation is not None and conversation.is_active
            findings += audit.audit(person, archive.rows(person), is_active=is_active)
    return Audit(stopped=len(stopped), findings=findings)


def note(result: Audit, figures: RedisFigures, *, now: datetime) -> None:
    """Show the result as a metric, until the next audit. Raises `InboxAway`."""
    figures.note(sent_after_stop=result.offences, audited_at=now.timestamp())
