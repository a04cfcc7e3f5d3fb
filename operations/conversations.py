"""List, read and reset conversations for the operator; webhook and workers do not use this."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from conversation.entries import Entry, milliseconds
from conversation.manager import ConversationManager
from conversation.models import Conversation
from journal.store import Journal
from operations.errors import NotFound
from runtime.isolation import SetAside, isolated


def listed(journal: Journal, set_aside: SetAside) -> Iterator[dict[str, Any]]:  # Any: JSON
    """Yield a few facts about each conversation. One that cannot be read is handed to `set_aside`."""
    for item in journal.archive.items():
        with isolated("conversation", f"…{str(item['user_id'])[-2:]}", set_aside):
            conversation = Conversation.from_item(item, datetime.now(UTC))
            yield {
                "person": conversation.user_id,
                "updated": conversation.updated_at.isoformat(),
                "replies": conversation.replies,
                "active": conversation.is_active,
                "quiet": conversation.quiet_until > datetime.now(UTC).timestamp() * 1000,
            }


def shown(journal: Journal, person: str) -> dict[str, Any]:  # Any: JSON
    """Return what is known about a person apart from the messages: state, memory, counts.

    Raises `NotFound` if there is no conversation with that person.
    """
    conversation = known(journal, person)
    memory = conversation.memory
    return {
        "person": person,
        "created": conversation.created_at.isoformat(),
        "updated": conversation.updated_at.isoformat(),
        "active": conversation.is_active,
        "quiet_until": _moment(conversation.quiet_until) if conversation.quiet_until else None,
        "replies": conversation.replies,
        "window": len(conversation.messages),
        "remembered": {
            "summary": memory.summary,
            "told": list(memory.told),
            "facts": [list(fact) for fact in memory.facts],
        },
    }


def known(journal: Journal, person: str) -> Conversation:
    """Return a person's conversation. Raises `NotFound` if there is none."""
    conversation = journal.storage.get(person)
    if conversation is None:
        # without the number, because the console shows it too
        raise NotFound("there is no conversation with this person yet")
    return conversation


def history(journal: Journal, person: str, limit: int | None = None) -> Iterator[dict[str, Any]]:  # Any: JSON
    """Return all texts and replies of a person, or the `limit` latest, oldest first. Raises `NotFound`."""
    known(journal, person)
    entries = (
        journal.transcript.newest(person, limit) if limit else ConversationManager(journal.storage).history(person)
    )
    return (
        {
            "at": arrived_at(entry),
            "role": entry.role,
            "content": entry.content,
            "state": entry.state,
            "key": entry.key,
        }
        for entry in entries
    )


def arrived_at(entry: Entry) -> str:
    """Return when an entry was written, such as `2025-01-31T12:00:00+00:00`, by Redis's clock."""
    return _moment(milliseconds(entry.arrived))


def reset(journal: Journal, person: str) -> None:
    """Clear the cat's window and memory of a person; a STOP stays in effect. Raises `NotFound`."""
    known(journal, person)
    journal.storage.reset(person, now=datetime.now(UTC), wake=False)


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")
