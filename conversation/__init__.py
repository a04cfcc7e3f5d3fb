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

#: The modules of these classes; the last one brings boto3 with it.
_HOMES: Final = ("models", "errors", "manager", "storage")


def __getattr__(name: str) -> Any:  # Any: a class of one of the modules
    """Import a class when it is first asked for: reading a model needs no boto3."""
    if name in __all__:
        for module in (importlib.import_module(f"conversation.{home}") for home in _HOMES):
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
