"""What DynamoDB can hold, checked before it is asked.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html (read 2026-11)
"""

from __future__ import annotations

import re
from typing import Final

from conversation.errors import NotStorable

#: DynamoDB's limit of a partition key.
MAX_USER_ID_BYTES: Final = 2048
#: An item has at most 400 KB. The newest message always stays in it, beside attributes of other programs.
MAX_CONTENT_BYTES: Final = 300 * 1024
_TABLE_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{3,255}")


def check_user_id(value: object) -> None:
    """Raise `NotStorable` unless this can be a user id."""
    _check_text("user_id", value, MAX_USER_ID_BYTES)


def check_content(value: object) -> None:
    """Raise `NotStorable` unless this can be the content of a message."""
    _check_text("content", value, MAX_CONTENT_BYTES)


def check_table_name(value: str) -> None:
    """Raise `NotStorable` unless a table can have this name."""
    if not _TABLE_NAME.fullmatch(value):
        raise NotStorable(f"{value!r} is no name of a table: it has 3 to 255 letters, digits, _, . or -")


def _check_text(name: str, value: object, most: int) -> None:
    if not isinstance(value, str):
        raise NotStorable(f"{name} is {type(value).__name__}, not a string")
    if not value:
        raise NotStorable(f"{name} is empty")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise NotStorable(f"{name} is not Unicode: it has half of a surrogate pair") from None
    if size > most:
        raise NotStorable(f"{name} has {size} bytes, and {most} at most can be stored")
