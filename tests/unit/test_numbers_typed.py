"""Numbers are understood as people type them."""

from __future__ import annotations

import pytest

from sms import typed

OURS = "+15005550006"


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("+15551230001", "+15551230001"),
        ("5551230001", "+15551230001"),
        ("15551230001", "+15551230001"),
        ("+1 (555) 123-0001", "+15551230001"),
        ("(555) 123.0001", "+15551230001"),
        (" +1\u00a0555 1230001 ", "+15551230001"),
        ("whatsapp:+1 555 123 0001", "whatsapp:+15551230001"),
        ("5551230001/+1 500 555 0006", "+15551230001/+15005550006"),
        ("72345", "72345"),
        ("banana", "banana"),
        ("a person at a terminal", "a person at a terminal"),
        ("", ""),
    ],
)
def test_a_typed_number_is_the_stored_one(given: str, stored: str) -> None:
    assert typed.user_id(given, near=OURS) == stored


def test_a_number_without_a_country_is_one_of_our_country() -> None:
    assert typed.number("0151 23456789", near="+4915112345678") == "+4915123456789"
    assert typed.number("07700 900123", near="+447700900001") == "+447700900123"


def test_without_a_number_of_ours_nothing_is_guessed() -> None:
    assert typed.number("5551230001") == "5551230001"
