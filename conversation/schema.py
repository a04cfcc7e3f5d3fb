"""Define both tables as data: for start-up, tests and documents alike.

`DadaCatConversations` is the specification's table: one item per person, keyed by `user_id`.
`DadaCatMessages` holds journal, outbox, delivery records and transcript, keyed by (`user_id`, `message_key`):

        in#<MessageSid>          a text, with the state of its turn
    out#<MessageSid>#<n>     part n of the reply to the turn that began with that text
        msg#<time>#<random>      a message added without a sid, settled from the start
        old#<n>#<digest>         a message that an older program left in the window, copied when it left the window

The local index `by_arrival` gives order and paging. The global index `unsettled` is sparse: only rows that are not
settled carry its key, in 16 buckets. It is eventually consistent: it finds work and never proves that there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import CreateTableInputTypeDef

CONVERSATIONS: Final = "DadaCatConversations"
MESSAGES: Final = "DadaCatMessages"

BY_ARRIVAL: Final = "by_arrival"
UNSETTLED: Final = "unsettled"


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
