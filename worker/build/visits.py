"""Build what shapes a visit."""

from __future__ import annotations

from collections.abc import Callable

from cat.chain import Cat
from inbox import payloads
from inbox.ports import Inbox
from journal.ports import Journal
from runtime.host import REAL, Host
from runtime.settings import Settings
from sms.ports import MediaSource
from worker.budget import Budget
from worker.build.cat import memory_terms
from worker.delivery import Delivery
from worker.filing import Filing
from worker.intake import Intake
from worker.lease import LeaseKeeper
from worker.limits import Limiter
from worker.respond import Responder
from worker.telemetry import Telemetry
from worker.visit_settings import VisitSettings
from worker.visits import Visits


def visit_settings(chosen: Settings) -> VisitSettings:
    """Return the settings that shape a visit."""
    replies = chosen.replies
    return VisitSettings(
        policy=chosen.visit.double_text_policy,
        quiet_window_seconds=chosen.visit.quiet_window_seconds,
        quiet_limit_seconds=chosen.visit.quiet_limit_seconds,
        lease_seconds=chosen.visit.lease_seconds,
        max_age_seconds=chosen.visit.max_age_seconds,
        own_numbers=frozenset(chosen.twilio.numbers),
        per_number=chosen.people.per_number,
        memory=memory_terms(chosen),
        first_contact=replies.first_contact_line,
        footer=replies.footer_line,
        footer_every=replies.footer_every,
        help_line="" if replies.help_line == "off" else replies.help_line,
        short_codes=chosen.people.answer_short_codes == "on",
        countries=chosen.people.countries,
    )


def tombstones(chosen: Settings) -> Callable[[str], str]:
    """Return the function that hashes the sid of a text as its tombstone does."""
    return lambda sid: payloads.who(sid, chosen.who_key)


def compose_visits(  # noqa: PLR0913 - all that a visit consists of
    *,
    inbox: Inbox,
    journal: Journal,
    cat: Cat,
    budget: Budget,
    delivery: Delivery,
    limiter: Limiter,
    leases: LeaseKeeper,
    settings: VisitSettings,
    worker: str,
    mark: Callable[[str], str],
    telemetry: Telemetry,
    media: MediaSource | None = None,
    stopping: Callable[[], bool] = lambda: False,
    host: Host = REAL,
) -> Visits:
    """Return visits, put together from their parts."""
    filing = Filing(journal, worker=worker, lease_seconds=settings.lease_seconds, telemetry=telemetry)
    intake = Intake(journal, filing, delivery, limiter, settings, cat.watch, mark=mark, telemetry=telemetry)
    responder = Responder(journal, inbox.agenda, intake, cat, budget, settings, media=media, telemetry=telemetry)
    return Visits(
        inbox, journal, intake, responder, delivery, leases, settings,
        telemetry=telemetry, stopping=stopping, host=host,
    )  # fmt: skip
