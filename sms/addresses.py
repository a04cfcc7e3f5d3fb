"""Addresses of people and of our senders: `+15551230001`, `72345`, `whatsapp:+15551230001`."""

from __future__ import annotations

import re
from typing import Final

from sms.messages import bare

_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_SHORT_CODE = re.compile(r"[0-9]{3,8}")
#: One of our senders after a person's address, as in `+15551230001/+15005550006` or `rcs:+15551230001/rcs:cat_agent`.
_PAIR = re.compile(r"/(?:[a-z]+:[^/]+|\+?[0-9]{3,15})$")
_SEPARATORS = re.compile(r"[+ ().-]")
#: A row of fewer digits without a plus may be a short code.
_SHORTEST_WITHOUT_PLUS: Final = 10
_VISIBLE_DIGITS: Final = 2


def is_dialable(address: str, *, short_codes: bool = False) -> bool:
    """Return whether a reply can be sent to `address`.

    Without a channel it must be a telephone number in E.164; with `short_codes`, a short code such as `72345` counts
    too. On another channel it is whatever the channel calls a person, such as `whatsapp:FI.1502576394655843`.
    """
    channel, colon, name = address.partition(":")
    if colon:
        return bool(channel and name)
    return _E164.fullmatch(address) is not None or (short_codes and _SHORT_CODE.fullmatch(address) is not None)


def in_e164(address: str) -> str:
    """Return a telephone number as webhooks write it: `+1 (555) 123-0001` becomes `+15551230001`.

    Any other address is returned as it is.
    """
    channel, number = address.removesuffix(bare(address)), bare(address)
    digits = _SEPARATORS.sub("", number)
    is_number = digits.isdecimal() and (number.strip().startswith("+") or len(digits) >= _SHORTEST_WITHOUT_PLUS)
    return f"{channel}+{digits}" if is_number else address


def address_of(user_id: str) -> str:
    """Return the person's address in a user id: the part before one of our numbers."""
    return _PAIR.sub("", user_id)


def number_of(user_id: str) -> str:
    """Return the number of ours in a user id; empty if the conversation is with all of our numbers."""
    match = _PAIR.search(user_id)
    return match.group()[1:] if match else ""


def masked(address: str) -> str:
    """Mask `address` for logs, all but its last two characters: `**********01`."""
    return "*" * max(0, len(address) - _VISIBLE_DIGITS) + address[-_VISIBLE_DIGITS:]
