"""How each keyword is handled: one row for each, in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sms.keywords import Keyword
from worker.visit_settings import VisitSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a text does that is a keyword; the defaults are those of any other text."""

    #: Opts the person in (True) or out (False), without a reply: Twilio itself answers.
    activates: bool | None = None
    #: Answered by itself, together with no other text.
    alone: bool = False
    #: The window and the memory start empty behind it, and no rate limit applies to it.
    forgets: bool = False
    #: The reply; without one, or if Twilio says that it answered, the text gets none. None: the cat replies.
    line: Callable[[VisitSettings], str] | None = None
    #: The engine that is recorded for `line`, and for its cost.
    line_engine: str = ""
    #: Answered once a day whatever it costs, for this reason; empty: it is not.
    urgent: str = ""

    def is_silent(self, settings: VisitSettings, *, twilio_answered: bool) -> bool:
        """Return whether the text gets no reply."""
        if self.line is not None:
            return twilio_answered or not self.line(settings)
        return self.activates is not None


ORDINARY: Final = Rule()
RULES: Final[Mapping[Keyword | None, Rule]] = {
    None: ORDINARY,
    Keyword.STOP: Rule(activates=False),
    Keyword.START: Rule(activates=True),
    # the law wants HELP answered
    Keyword.HELP: Rule(alone=True, line=lambda settings: settings.help_line, line_engine="help line", urgent="help"),
    Keyword.RESET: Rule(alone=True, forgets=True),
}


def fixed_lines(settings: VisitSettings) -> tuple[str, ...]:
    """Return the lines that no engine wrote: no model is shown them as the cat's words."""
    replies = (rule.line(settings) for rule in RULES.values() if rule.line is not None)
    return tuple(filter(None, (settings.first_contact, settings.footer, *replies)))
