"""Which country a telephone number is of, by Google's libphonenumber (https://github.com/google/libphonenumber), in its Python port."""

from __future__ import annotations

from functools import lru_cache

from sms.messages import bare


@lru_cache(maxsize=4096)
def of(address: str) -> str:
    """The country of a number in E.164, its channel aside, as ISO 3166 names it (`US`, `DE`); empty where it is of none, or nobody knows."""
    import phonenumbers  # noqa: PLC0415 - its tables take a while to load, and most installations never ask

    try:
        number = phonenumbers.parse(bare(address))
    except phonenumbers.NumberParseException:
        return ""
    return phonenumbers.region_code_for_number(number) or ""
