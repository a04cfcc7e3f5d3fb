"""What was said: conversations, their window and their full transcript, in DynamoDB.

from conversation import ConversationManager, DynamoDBStorage, InMemoryStorage, Message
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from conversation.errors import ConversationError, NotStorable, StoreAway
    from conversation.manager import ConversationManager
    from conversation.models import Conversation, Message, Role
    from conversation.storage import DynamoDBStorage, InMemoryStorage

__all__ = [
    "Conversation",
    "ConversationError",
    "ConversationManager",
    "DynamoDBStorage",
    "InMemoryStorage",
    "Message",
    "NotStorable",
    "Role",
    "StoreAway",
]

_HOMES: Final = {
    "Conversation": "models",
    "ConversationError": "errors",
    "ConversationManager": "manager",
    "DynamoDBStorage": "storage",
    "InMemoryStorage": "storage",
    "Message": "models",
    "NotStorable": "errors",
    "Role": "models",
    "StoreAway": "errors",
}


def __getattr__(name: str) -> Any:  # Any: a class of one of the modules
    """Import a class when it is first asked for: reading a model needs no boto3."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"conversation.{_HOMES[name]}"), name)
