"""The one update that writes a conversation's window over the one that was read."""

from __future__ import annotations

from typing import Any

from boto3.dynamodb.conditions import Attr, ConditionBase

from conversation import schema
from conversation.models import Conversation
from conversation.table import IfMissing, Update


def rewrite(
    names: schema.Names,
    previous: Conversation,
    current: Conversation,
    *,
    fence: int | None = None,
    active: bool | None = None,
) -> Update:
    """Write the window of `current` over that of `previous`.

    The condition fails if another writer wrote since, or, with a `fence`, if another worker raised it.
    `active` None: a stored `is_active` stays.
    """
    values: dict[str, Any] = {
        "messages": current.messages_json(),
        "updated_at": current.updated_at.isoformat(),
        "version": previous.version + 1,
        "created_at": IfMissing(current.created_at.isoformat()),
        "is_active": IfMissing(True) if active is None else active,
    }
    optional = {
        "echoes": "".join(current.echoes),
        "frames": "".join(current.frames),
        "carried": current.carried,
        "replies": current.replies,
    }
    values |= {name: value for name, value in optional.items() if value}
    if current.is_active:
        values |= names.expiry(current.updated_at)
    if current.unintroduced != previous.unintroduced:
        values["unintroduced"] = current.unintroduced
    if current.danger != previous.danger:
        values["danger"] = current.danger
    if current.metadata != previous.metadata:
        values["metadata"] = current.metadata_json()
    return Update(
        table=names.conversations,
        key={"user_id": previous.user_id},
        set=values,
        when=_unchanged(previous) if fence is None else _unchanged(previous) & Attr("fence").eq(fence),
    )


def _unchanged(previous: Conversation) -> ConditionBase:
    """Return that no writer changed the item since, an older program included: `updated_at` shows that."""
    version: ConditionBase = Attr("version").eq(previous.version)
    stamp: ConditionBase = Attr("updated_at").eq(previous.stamp)
    if not previous.version:
        version = Attr("version").not_exists() | version
    if previous.stamp is None:
        stamp = Attr("updated_at").not_exists() | stamp
    return version & stamp
