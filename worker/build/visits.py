"""Build what shapes a visit."""

from __future__ import annotations

from collections.abc import Callable

from inbox import payloads
from runtime.settings import Settings
from worker.build.cat import memory_terms
from worker.turn import VisitSettings


def visit_settings(chosen: Settings) -> VisitSettings:
    """Return the settings that shape a visit."""
    replies = chosen.replies
    return VisitSettings(
        policy=chosen.visit.double_text_policy,
        quiet_window_seconds=chosen.visit.quiet_window_seconds,
        quiet_limit_seconds=chosen.visit.quiet_limit_seconds,
        max_age_seconds=chosen.visit.max_age_seconds,
        own_numbers=frozenset(chosen.twilio.numbers),
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
