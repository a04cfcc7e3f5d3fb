"""The user ids under which rows about one message may stand: `CONVERSATIONS` may have been changed."""

from __future__ import annotations

from sms.messages import user_of


def user_ids_of(person: str, number: str, *, per_number: bool) -> tuple[str, str]:
    """Return the user id that the present setting gives, and the one that the other setting gave."""
    return user_of(person, number, per_number=per_number), user_of(person, number, per_number=not per_number)
