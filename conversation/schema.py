"""Define both tables as data: for start-up, tests and documents alike.

`DadaCatConversations` is the specification's table: one item per person, keyed by `user_id`.
`DadaCatMessages` holds journal, outbox, delivery records and transcript, keyed by (`user_id`, `message_key`):

    in#<MessageSid>          a text, with the state of its turn
    out#<MessageSid>#<n>     part n of the reply to the turn that began with that text
    msg#<time>#<random>      a message added without a sid, settled from the start
    old#<n>#<digest>         a message that an older program left in the window, copied when it left the window
    memo#<time>#<random>     what it cost to update a memory

The local index `by_arrival` gives order and paging. The global index `unsettled` is sparse: only rows that are not
settled carry its key, in 16 buckets. It is eventually consistent: it finds work and never proves that there is none.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from conversation.errors import StoreAway

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import CreateTableInputTypeDef

    from conversation.table import Admin

CONVERSATIONS: Final = "DadaCatConversations"
MESSAGES: Final = "DadaCatMessages"

BY_ARRIVAL: Final = "by_arrival"
UNSETTLED: Final = "unsettled"
#: The attribute that holds a row's time of deletion, in seconds since 1970.
EXPIRES: Final = "expires"

#: The status of a table that can be used.
ACTIVE: Final = "ACTIVE"
#: A new table is ready within seconds on AWS.
TABLE_READY_SECONDS: Final = 60.0
READY_PAUSE_SECONDS: Final = 0.2


def conversations(name: str = CONVERSATIONS) -> CreateTableInputTypeDef:
    """Return the definition of the specification's table, billed on demand."""
    return {
        "TableName": name,
        "KeySchema": [{"AttributeName": "user_id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "user_id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }


def messages(name: str = MESSAGES) -> CreateTableInputTypeDef:
    """Return the definition of the journal's table, billed on demand."""
    return {
        "TableName": name,
        "KeySchema": [
            {"AttributeName": "user_id", "KeyType": "HASH"},
            {"AttributeName": "message_key", "KeyType": "RANGE"},
        ],
        "AttributeDefinitions": [
            {"AttributeName": "user_id", "AttributeType": "S"},
            {"AttributeName": "message_key", "AttributeType": "S"},
            {"AttributeName": "arrived", "AttributeType": "S"},
            {"AttributeName": "unsettled", "AttributeType": "S"},
            {"AttributeName": "since", "AttributeType": "S"},
        ],
        "LocalSecondaryIndexes": [
            {
                "IndexName": BY_ARRIVAL,
                "KeySchema": [
                    {"AttributeName": "user_id", "KeyType": "HASH"},
                    {"AttributeName": "arrived", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": UNSETTLED,
                "KeySchema": [
                    {"AttributeName": "unsettled", "KeyType": "HASH"},
                    {"AttributeName": "since", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["state", "turn"]},
            }
        ],
        "BillingMode": "PAY_PER_REQUEST",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The tables of one installation, and how long their rows are kept."""

    conversations: str = CONVERSATIONS
    messages: str = MESSAGES
    #: None: rows are kept for good.
    retention: timedelta | None = None

    def expiry(self, moment: datetime) -> dict[str, int]:
        """Return the attribute that has a row of this moment deleted; empty if rows are kept for good."""
        return {} if self.retention is None else {EXPIRES: int((moment + self.retention).timestamp())}


def ensure(admin: Admin, names: Names) -> None:
    """Create both tables if they are missing. Raises `TableMissing` without the permission."""
    for definition in (conversations(names.conversations), messages(names.messages)):
        name = definition["TableName"]
        status = admin.describe(name)
        if status is None:
            admin.create(definition)
        if status != ACTIVE:
            _await_active(admin, name)
        if names.retention is not None:
            admin.expire(name)


def _await_active(admin: Admin, name: str) -> None:
    deadline = time.monotonic() + TABLE_READY_SECONDS
    while admin.describe(name) != ACTIVE:
        if time.monotonic() > deadline:
            raise StoreAway(f"table {name} is not ready after {TABLE_READY_SECONDS:.0f} s")
        time.sleep(READY_PAUSE_SECONDS)
