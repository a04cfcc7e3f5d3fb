"""Build the memory of a conversation at a terminal."""

from __future__ import annotations

from collections.abc import Callable

from cat.chain import Cat
from inbox import payloads
from journal.ports import Journal
from runtime.host import REAL
from runtime.settings import Settings
from worker.budget import Budget
from worker.build.cat import memory_terms
from worker.build.prices import price_tables
from worker.memories import Memories


def terminal_memories(chosen: Settings, cat: Cat, journal: Journal) -> Callable[[str], None]:
    """Return the function that brings a person's memory up to date at once.

    The time is this machine's. It needs no Redis and knows no caps.
    """
    _, tariff = price_tables(chosen)
    replies = chosen.replies
    budget = Budget(None, tariff, max_segments=replies.max_segments, max_parts=replies.max_parts)
    memories = Memories(REAL.now, journal, budget, cat.summarizer, memory_terms(chosen))
    return lambda person: memories.bring_up_to_date(payloads.who(person, chosen.who_key), person)
