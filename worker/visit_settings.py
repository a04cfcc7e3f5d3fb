"""The settings that shape a visit."""

from __future__ import annotations

from dataclasses import dataclass

from cat import recall
from conversation.models import Conversation


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitSettings:
    """What the operator chose; an empty line, or 0, means none."""

    #: `each`, `coalesce` or `latest`: what several waiting texts of one person become.
    policy: str
    #: How long a person must have been quiet before the cat answers, and the longest wait for that.
    quiet_window_seconds: float
    quiet_limit_seconds: float
    #: How long a lease lasts; a text whose worker died waits for a multiple of it.
    lease_seconds: float
    #: An older text is not answered.
    max_age_seconds: float
    #: How much of a conversation a model is shown.
    memory: recall.Terms
    #: What our own numbers send is not a person's.
    own_numbers: frozenset[str] = frozenset()
    #: A line below the first reply that a person gets, and one below every n-th reply.
    first_contact: str = ""
    footer: str = ""
    footer_every: int = 0
    #: The reply to HELP; empty: Twilio's own answer is enough.
    help_line: str = ""
    #: A person has a conversation with each of our numbers.
    per_number: bool = False
    #: Senders of three to eight digits are answered too.
    short_codes: bool = False
    #: ISO 3166 codes of the countries whose people are answered; empty: all.
    countries: frozenset[str] = frozenset()

    def line_below(self, conversation: Conversation) -> str:
        """Return the line below the next reply to this person."""
        if conversation.unintroduced or (not conversation.replies and not conversation.messages):
            return self.first_contact
        due = self.footer_every and (conversation.replies + 1) % self.footer_every == 0
        return self.footer if due else ""

    def introduces(self, conversation: Conversation) -> bool:
        """Return whether the next reply carries the line for a person's first contact."""
        return bool(self.first_contact) and self.line_below(conversation) == self.first_contact
