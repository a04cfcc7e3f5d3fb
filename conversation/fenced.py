"""What a worker writes on a conversation's item, under the fencing token that it raised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from boto3.dynamodb.conditions import Attr, ConditionBase

from conversation import schema
from conversation.contention import holds
from conversation.errors import ConditionFailed, Fenced
from conversation.models import Conversation, Memory, in_milliseconds
from conversation.storage import DynamoDBStorage
from conversation.table import Check, Delete, IfMissing, Plus, Tables, Update


def fence_stands(names: schema.Names, user_id: str, fence: int) -> Check:
    """Return the check, for a transaction, that no other worker opened the conversation since."""
    return Check(table=names.conversations, key={"user_id": user_id}, when=Attr("fence").eq(fence))


class FencedConversations:
    """Opens conversations and changes them for the worker that opened them last."""

    def __init__(self, storage: DynamoDBStorage) -> None:
        self._storage = storage
        self._tables: Tables = storage.tables
        self._names: schema.Names = storage.names

    def get(self, user_id: str) -> Conversation | None:
        """Return the conversation as it stands, read consistently; None if there is none."""
        return self._storage.get(user_id)

    def open(self, user_id: str, *, now: datetime) -> Conversation:
        """Raise the fence and return the conversation, in one write; create it if there is none.

        A second call raises the fence again: every earlier holder's writes then fail with `Fenced`.
        """
        stamp = now.isoformat()
        update = Update(
            table=self._names.conversations,
            key={"user_id": user_id},
            set={
                "fence": Plus(1),
                "created_at": IfMissing(stamp),
                "updated_at": IfMissing(stamp),
                "messages": IfMissing("[]"),
                "is_active": IfMissing(True),
            },
        )
        item = self._tables.update(update)
        if item["is_active"] and self._names.retention is not None and schema.EXPIRES not in item:
            # a person who never gets a reply is not kept for good either
            expiry = replace(update, set=self._names.expiry(now), when=Attr("is_active").eq(True))
            holds(self._tables, expiry)
        return Conversation.from_item(item, now)

    def forget(self, user_id: str, *, through_ms: int, fence: int, now: datetime) -> Conversation:
        """Empty window and memory. Raises `Fenced`.

        No message that arrived up to `through_ms` is folded in again. A second call changes nothing more.
        """
        return self._storage.begin_anew(user_id, through_ms=through_ms, now=now, fence=fence)

    def set_active(
        self, user_id: str, *, active: bool, fence: int | None, now: datetime, sent_ms: int | None = None
    ) -> None:
        """Record that the person opted out or in. Raises `Fenced`.

        `sent_ms`: when the keyword was sent, in milliseconds of Redis's clock; without it, as it is of now.
        `fence` None: the carrier reported it, which needs no visit. Then a later keyword stays, and without a
        conversation nothing happens.
        """
        sent = in_milliseconds(now) if sent_ms is None else sent_ms
        latest = Attr("keyword_at").not_exists() | Attr("keyword_at").lte(sent)
        self._set(user_id, {"is_active": active, "keyword_at": sent}, fence=fence, now=now, unfenced=latest)

    def set_quiet(self, user_id: str, *, until_ms: int, fence: int | None, now: datetime) -> None:
        """Record until when, by Redis's clock, the person gets no reply. Raises `Fenced`.

        `fence` None: the carrier reported it, which needs no visit. Then a longer silence stays.
        """
        shorter = Attr("quiet_until").not_exists() | Attr("quiet_until").lte(until_ms)
        self._set(user_id, {"quiet_until": until_ms}, fence=fence, now=now, unfenced=shorter)

    def set_returned(self, user_id: str, *, fence: int, now: datetime) -> None:
        """Record that an erased person texts again: late old texts may still come. Raises `Fenced`."""
        self._set(user_id, {"reborn": True}, fence=fence, now=now)

    def remember(self, conversation: Conversation, memory: Memory) -> bool:
        """Replace the memory of a conversation as read; False if `metadata` changed or is not ours.

        So it is if the person was erased since, also if another conversation has begun by now.
        """
        remembered = conversation.remembering(memory)
        if remembered is conversation:
            return False
        update = Update(
            table=self._names.conversations,
            key={"user_id": conversation.user_id},
            set={"metadata": remembered.metadata_json()},
            when=Attr("user_id").exists()
            & _same("created_at", conversation.born)
            & _same("metadata", conversation.noted),
        )
        return holds(self._tables, update)

    def delete_if_untouched(self, user_id: str, *, fence: int) -> bool:
        """Delete a conversation that was only opened; return whether there is none now.

        A conversation in which a message was said, or a STOP, stays.
        """
        untouched = Attr("version").not_exists() | Attr("version").eq(0)
        ours = Attr("fence").eq(fence) & Attr("is_active").eq(True) & untouched
        try:
            # without an item, an earlier delete took it, whose answer was lost
            self._tables.delete(
                Delete(
                    table=self._names.conversations,
                    key={"user_id": user_id},
                    when=Attr("user_id").not_exists() | ours,
                )
            )
        except ConditionFailed:
            return False
        return True

    def _set(
        self,
        user_id: str,
        values: Mapping[str, Any],
        *,
        fence: int | None,
        now: datetime,
        unfenced: ConditionBase | None = None,
    ) -> None:
        """Write values. `unfenced`: without a fence, only to a conversation of which this holds."""
        when = Attr("user_id").exists() if unfenced is None else Attr("user_id").exists() & unfenced
        expiry = self._names.expiry(now) if values.get("is_active") else {}
        update = Update(
            table=self._names.conversations,
            key={"user_id": user_id},
            set={**values, "updated_at": now.isoformat(), **expiry},
            # a STOP is kept for good, however long nothing more is said
            remove=("expires",) if values.get("is_active") is False else (),
            when=when if fence is None else Attr("fence").eq(fence),
        )
        try:
            self._tables.update(update)
        except ConditionFailed:
            if fence is not None:
                raise Fenced from None


def _same(attribute: str, read: str | None) -> ConditionBase:
    """Return that an attribute is as it was read; None: that there was none."""
    return Attr(attribute).not_exists() if read is None else Attr(attribute).eq(read)
