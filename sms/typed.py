"""Telephone numbers as a person types them: `5551230001`, `+1 (555) 123-0001`."""

from __future__ import annotations

import re
from typing import Final

from sms import countries
from sms.messages import is_dialable

#: What people type between the digits of a number.
_PUNCTUATION: Final = str.maketrans("", "", " \u00a0().-")
_DIGITS: Final = re.compile(r"[0-9]{9,15}")


def user_id(typed: str, *, near: str = "") -> str:
    """Return a typed `user_id` as it is stored: each of its numbers in E.164; what is no number stays.

    `near`: one of our numbers, in whose country a number without + is.
    """
    person, slash, ours = typed.partition("/")
    return f"{number(person, near=near)}{slash}{number(ours, near=near)}"


def number(typed: str, *, near: str = "") -> str:
    """Return a typed number in E.164, such as `+15551230001`; what is no number stays."""
    channel, colon, rest = typed.strip().rpartition(":")
    bare = rest.translate(_PUNCTUATION)
    if is_dialable(bare, short_codes=True):
        return f"{channel}{colon}{bare}"
    if not near or not _DIGITS.fullmatch(bare):
        return typed
    return f"{channel}{colon}{_in_the_country_of(near, bare)}"


def _in_the_country_of(near: str, digits: str) -> str:
    import phonenumbers  # noqa: PLC0415 - its tables load slowly

    try:
        parsed = phonenumbers.parse(digits, countries.of_calling_code(near) or None)
    except phonenumbers.NumberParseException:
        return digits
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
