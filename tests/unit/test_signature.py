"""Held against the official validator: what it accepts we accept, and no doubt is a crash."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from sms import signature
from sms.signature import Validator

TOKEN = "a-token"
FIELDS = {"MessageSid": "SM1", "Body": "hello & goodbye", "From": "+15551230001", "FromCity": ""}


@pytest.mark.parametrize(
    ("public_url", "signed_url"),
    [
        ("https://cat.example", "https://cat.example/sms"),
        ("https://cat.example", "https://cat.example:443/sms"),
        ("https://cat.example:443", "https://cat.example/sms"),
        ("http://127.0.0.1:8400", "http://127.0.0.1:8400/sms"),
        ("https://cat.example/door/", "https://cat.example/door/sms"),
    ],
)
def test_twilios_own_signature_is_accepted(public_url: str, signed_url: str) -> None:
    theirs = RequestValidator(TOKEN).compute_signature(signed_url, FIELDS)

    assert Validator(public_url, signature.tokens(TOKEN)).accepts("/sms", FIELDS.items(), theirs)


def test_the_query_is_part_of_what_is_signed() -> None:
    theirs = RequestValidator(TOKEN).compute_signature("https://cat.example/sms/status?i=SM1-0-a", FIELDS)
    validator = Validator("https://cat.example", signature.tokens(TOKEN))

    assert validator.accepts("/sms/status?i=SM1-0-a", FIELDS.items(), theirs)
    assert not validator.accepts("/sms/status?i=SM1-0-b", FIELDS.items(), theirs)


@given(
    st.dictionaries(st.text(min_size=1, max_size=10), st.text(max_size=30), max_size=8).filter(
        lambda fields: "".join([*fields, *fields.values()]).isprintable()
    )
)
def test_our_signature_is_the_official_one(fields: dict[str, str]) -> None:
    url = "https://cat.example/sms"

    assert signature.sign(TOKEN, url, fields) == RequestValidator(TOKEN).compute_signature(url, fields)


_WORDS = st.text("ab%s &=+é", max_size=4)
_PAIRS = st.lists(st.tuples(_WORDS, _WORDS), max_size=signature.MOST_NAMES_KEPT + 2)


@given(_PAIRS)
def test_a_name_that_comes_again_counts_with_each_distinct_value(pairs: list[tuple[str, str]]) -> None:
    said = "".join(name + value for name, value in sorted(set(pairs)))

    assert signature.signed_fields(pairs) == signature.signed_fields(pairs[::-1]) == said


@given(_PAIRS.map(urlencode) | st.text("a%0123456789abcdefABCDEF&=+", max_size=24))
@example("a=%26b%3D1&c=%2")
@example("a=%2526b")
def test_a_form_says_what_the_standard_librarys_parser_reads(form: str) -> None:
    try:
        theirs = parse_qsl(form, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        with pytest.raises(UnicodeDecodeError):
            signature.form_pairs(form.encode())
    else:
        assert signature.form_pairs(form.encode()) == theirs


@pytest.mark.parametrize(
    "change",
    [
        {"Body": "hello"},
        {"Body": None},
        {"FromCity": None},
        {"Extra": "x"},
    ],
)
def test_any_change_is_noticed(change: dict[str, str | None]) -> None:
    signed = signature.sign(TOKEN, "https://cat.example/sms", FIELDS)
    changed = {name: value for name, value in {**FIELDS, **change}.items() if value is not None}

    assert not Validator("https://cat.example", signature.tokens(TOKEN)).accepts("/sms", changed.items(), signed)


def test_during_a_rotation_both_tokens_are_good() -> None:
    validator = Validator("https://cat.example", signature.tokens("old", "new"))

    for token, good in (("old", True), ("new", True), ("other", False)):
        signed = signature.sign(token, "https://cat.example/sms", FIELDS)
        assert validator.accepts("/sms", FIELDS.items(), signed) is good


def test_without_a_token_nothing_is_good() -> None:
    signed = signature.sign("", "https://cat.example/sms", FIELDS)

    assert not Validator("https://cat.example", signature.tokens("", "")).accepts("/sms", FIELDS.items(), signed)


@given(st.text(), st.lists(st.tuples(st.text(), st.text()), max_size=3), st.text())
def test_no_doubt_is_a_crash(path: str, pairs: list[tuple[str, str]], given_: str) -> None:
    assert not Validator("https://cat.example", signature.tokens(TOKEN)).accepts(path, pairs, given_)


def test_a_lone_surrogate_is_a_no() -> None:
    assert not Validator("https://cat.example", signature.tokens(TOKEN)).accepts("/sms", [("Body", "\ud800")], "x")
