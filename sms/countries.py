"""The country of a telephone number, by the Python port of Google's libphonenumber.

https://github.com/google/libphonenumber
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from sms.messages import bare

#: https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids (read 2026-11)
_WHATSAPP_USER: Final = re.compile(r"whatsapp:([A-Z]{2})\.(?:ENT\.)?[0-9A-Za-z]{1,128}")


@lru_cache(maxsize=4096)
def of(address: str) -> str:
    """Return the ISO 3166 code of an address's country, such as `US`; empty if it is unknown.

    The address is a number in E.164, with or without a channel: `+15551230001` or `whatsapp:+15551230001`. Or it is an
    id of a WhatsApp user, which begins with the country: `whatsapp:FI.1502576394655843`.
    """
    user = _WHATSAPP_USER.fullmatch(address)
    if user is not None:
        return user.group(1)
    import phonenumbers  # noqa: PLC0415 - its tables load slowly, and few installations need them

    try:
        number = phonenumbers.parse(bare(address))
    except phonenumbers.NumberParseException:
        return ""
    return phonenumbers.region_code_for_number(number) or ""


def of_calling_code(address: str) -> str:
    """Return the largest country of an address's calling code, such as `US`; empty if it is unknown."""
    import phonenumbers  # noqa: PLC0415 - the same

    try:
        number = phonenumbers.parse(bare(address))
    except phonenumbers.NumberParseException:
        return ""
    country: str = phonenumbers.region_code_for_country_code(number.country_code or 0)
    return "" if country == phonenumbers.UNKNOWN_REGION else country
