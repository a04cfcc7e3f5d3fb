"""Held against the official validator: what it accepts we accept, and no doubt is a crash."""

from __future__ import annotations

import hmac
from base64 import b64encode
from typing import Literal
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


def as_it_came(fields: list[tuple[str, str]] | dict[str, str]) -> tuple[bytes, str]:
    """A form's body, and Twilio's signature of it."""
    pairs = list(fields.items()) if isinstance(fields, dict) else fields
    message = "https://cat.example/sms" + "".join(name + value for name, value in sorted(set(pairs)))
    return urlencode(pairs).encode(), b64encode(hmac.digest(TOKEN.encode(), message.encode(), "sha1")).decode()


#: Forms that look alike, and some that do not.
_FORMS = st.lists(st.tuples(st.sampled_from(["a", "b", "a&", "%", ""]), _WORDS), max_size=4)


@given(st.lists(_FORMS, max_size=12))
@example([[("a", "1"), ("b", "2")], [("a", "3"), ("b", "=4")]])
@example([[("a", "1"), ("b", "2")], [("b", "3"), ("a", "4")]])
@example([[("a%26", "1")], [("a&", "1")]])
def test_a_form_is_read_the_same_whatever_came_before_it(forms: list[list[tuple[str, str]]]) -> None:
    validator = Validator("https://cat.example", signature.tokens(TOKEN))

    for pairs in forms:
        body, signed = as_it_came(pairs)
        assert validator.fields("/sms", body, signed) == dict(pairs)
        assert validator.fields("/sms/x", body, signed) is None


def test_a_changed_form_that_looks_like_the_last_one_is_not_twilios() -> None:
    validator = Validator("https://cat.example", signature.tokens(TOKEN))
    body, signed = as_it_came(FIELDS)

    assert validator.fields("/sms", body, signed) == FIELDS
    assert validator.fields("/sms", body.replace(b"goodbye", b"good+bye"), signed) is None
    assert validator.fields("/sms", body.replace(b"FromCity", b"fromCity"), signed) is None
    assert validator.fields("/sms", body + b"&", signed) == FIELDS


@pytest.mark.parametrize("body", [b"Body=%FF", b"Body=\xc3\xa9", b"a=%26%FF"])
def test_what_is_no_form_is_not_twilios(body: bytes) -> None:
    assert Validator("https://cat.example", signature.tokens(TOKEN)).fields("/sms", body, "x") is None


def test_a_form_of_very_many_fields_is_read_and_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    validator = Validator("https://cat.example", signature.tokens(TOKEN))
    remembered: list[tuple[str, ...]] = []
    monkeypatch.setattr(signature, "_shape", remembered.append)

    for number in (signature.MOST_NAMES_KEPT, signature.MOST_NAMES_KEPT + 1):
        fields = {f"Name{at}": "x" for at in range(number)}
        body, signed = as_it_came(fields)
        assert validator.fields("/sms", body, signed) == fields

    assert [len(names) for names in remembered] == [signature.MOST_NAMES_KEPT]


def test_no_one_but_twilio_says_how_the_next_form_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    validator = Validator("https://cat.example", signature.tokens(TOKEN))
    remembered: list[tuple[str, ...]] = []
    monkeypatch.setattr(signature, "_shape", remembered.append)
    body, signed = as_it_came(FIELDS)

    assert validator.fields("/sms", body, "forged") is None
    assert remembered == []
    assert validator.fields("/sms", body, signed) == FIELDS
    assert remembered == [tuple(FIELDS)]


def test_a_form_that_looks_like_the_last_one_is_not_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    validator = Validator("https://cat.example", signature.tokens(TOKEN))
    forms = [as_it_came({**FIELDS, "Body": body}) for body in ("one", "a+b & c=d", "100 % é")]
    validator.fields("/sms", *forms[0])

    def never(*_: object, **__: object) -> None:
        raise AssertionError("taken apart")

    monkeypatch.setattr(signature, "_pairs", never)
    read = [validator.fields("/sms", *form) for form in forms]

    assert [one and one["Body"] for one in read] == ["one", "a+b & c=d", "100 % é"]


@pytest.mark.parametrize("token", ["k", "k" * 64, "k" * 65, "é" * 40])
@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_signature_is_the_hmac_of_the_standard_library(token: str, algorithm: Literal["sha1", "sha256"]) -> None:
    url = "https://cat.example/sms"
    theirs = b64encode(hmac.digest(token.encode(), (url + "Bodyx").encode(), algorithm)).decode()

    assert signature.sign(token, url, {"Body": "x"}, algorithm=algorithm) == theirs


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
