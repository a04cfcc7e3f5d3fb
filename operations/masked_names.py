"""Name people in an operator's output without showing their numbers."""

from __future__ import annotations

from collections.abc import Callable

from inbox import payloads
from sms.addresses import masked


def person_namer(who_key: bytes, *, numbers: bool) -> Callable[[str], str]:
    """Return the function that names a person in the output.

    With `numbers` it returns the whole `user_id`. Otherwise it returns the last digits and the beginning of the hash
    that the logs and Flower show, such as `**01 4f6c2a9b`.
    """
    if numbers:
        return str
    return lambda person: f"{masked(person)[-4:]} {payloads.who(person, who_key)[:8]}"
