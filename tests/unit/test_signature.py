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
from tests.builders import tokens

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

    assert Validator(public_url, tokens(TOKEN)).accepts("/sms", FIELDS, theirs)


def test_a_captured_signature_does_not_pass_a_text_off_as_another_persons() -> None:
    # the words of one signed text name another sender, and the scheme does not separate names from values
    text = {"Body": "xFrom+15551110000", "From": "+15559990000", "To": "+15005550006"}
    signed = RequestValidator(TOKEN).compute_signature("https://cat.example/sms", text)
    validator = Validator("https://cat.example", tokens(TOKEN))
    assert validator.fields("/sms", urlencode(text).encode(), signed) == text

    forged = [("Body", "x"), ("From", "+15559990000"), ("From", "+15551110000"), ("To", "+15005550006")]
    assert as_it_came(forged) == (urlencode(forged).encode(), signed)
    assert validator.fields("/sms", urlencode(forged).encode(), signed) is None


@pytest.mark.parametrize(
    ("configured", "sent"),
    [
        # https://github.com/twilio/twilio-php/issues/790: sorted when sent
        ("/sms?tenant=b&city=a", "/sms?city=a&tenant=b"),
        ("/sms?z=1&y=2&x=3", "/sms?x=3&y=2&z=1"),
        # https://github.com/twilio/twilio-node/pull/621: escaped when sent
        ("/sms?to=sip:cat@example.org", "/sms?to=sip%3Acat%40example.org"),
        # https://github.com/twilio/twilio-node/pull/1061: an apostrophe
        ("/sms?city=Forli'", "/sms?city=Forli%27"),
        ("/sms?name=William+O'hara", "/sms?name=William+O'hara"),
        ("/sms?z=a@b&a=x:y", "/sms?a=x%3ay&z=a%40b"),
    ],
)
def test_a_query_may_be_sent_in_another_form_than_it_was_signed_in(configured: str, sent: str) -> None:
    theirs = RequestValidator(TOKEN).compute_signature(f"https://cat.example{configured}", FIELDS)
    validator = Validator("https://cat.example", tokens(TOKEN))

    assert validator.accepts(sent, FIELDS, theirs)
    assert not validator.accepts(sent.replace("=", "=1", 1), FIELDS, theirs)
    assert not validator.accepts(f"{sent}&more=1", FIELDS, theirs)


def test_the_query_is_part_of_what_is_signed() -> None:
    theirs = RequestValidator(TOKEN).compute_signature("https://cat.example/sms/status?i=SM1-0-a", FIELDS)
    validator = Validator("https://cat.example", tokens(TOKEN))

    assert validator.accepts("/sms/status?i=SM1-0-a", FIELDS, theirs)
    assert not validator.accepts("/sms/status?i=SM1-0-b", FIELDS, theirs)


@given(
    st.dictionaries(st.text(min_size=1, max_size=10), st.text(max_size=30), max_size=8).filter(
        lambda fields: "".join([*fields, *fields.values()]).isprintable()
    )
)
def test_our_signature_is_the_official_one(fields: dict[str, str]) -> None:
    url = "https://cat.example/sms"

    assert signature.sign(TOKEN, url, fields) == RequestValidator(TOKEN).compute_signature(url, fields)


_WORDS = st.text("ab%s &=+é", max_size=4)
_PAIRS = st.lists(st.tuples(_WORDS, _WORDS), max_size=12)


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


_NAMES = st.sampled_from(["a", "b", "a&", "%", "", "Body", "é"])


@given(st.lists(st.tuples(_NAMES, _WORDS), max_size=6))
@example([("a%26", "1"), ("a&", "1")])
@example([("b", "3"), ("a", "=4"), ("b", "3")])
def test_a_signed_form_is_read_and_only_at_its_own_address(pairs: list[tuple[str, str]]) -> None:
    validator = Validator("https://cat.example", tokens(TOKEN))
    body, signed = as_it_came(pairs)

    repeats = len(dict(pairs)) < len(pairs)
    assert validator.fields("/sms", body, signed) == (None if repeats else dict(pairs))
    assert validator.fields("/sms/x", body, signed) is None


@given(
    st.dictionaries(st.text("ab&=%+é ", min_size=1, max_size=4), st.text("ab&=%+é \U0001f408", max_size=8), max_size=6)
)
def test_the_official_validator_accepts_what_we_accept(fields: dict[str, str]) -> None:
    url = "https://cat.example/sms"
    theirs = RequestValidator(TOKEN)
    signed = theirs.compute_signature(url, fields)

    assert theirs.validate(url, fields, signed)
    assert Validator("https://cat.example", tokens(TOKEN)).fields("/sms", urlencode(fields).encode(), signed) == fields


def test_a_changed_form_is_not_twilios() -> None:
    validator = Validator("https://cat.example", tokens(TOKEN))
    body, signed = as_it_came(FIELDS)

    assert validator.fields("/sms", body, signed) == FIELDS
    assert validator.fields("/sms", body.replace(b"goodbye", b"good+bye"), signed) is None
    assert validator.fields("/sms", body.replace(b"FromCity", b"fromCity"), signed) is None
    assert validator.fields("/sms", body + b"&", signed) == FIELDS


def test_the_longest_text_of_whatsapp_is_accepted() -> None:
    form = {**FIELDS, "From": "whatsapp:+15551230001", "To": "whatsapp:+15005550006", "Body": "\U0001f408" * 4096}
    body, signed = as_it_came(form)

    assert Validator("https://cat.example", tokens(TOKEN)).fields("/sms", body, signed) == form


@pytest.mark.parametrize("body", [b"Body=%FF", b"Body=\xc3\xa9", b"a=%26%FF"])
def test_what_is_no_form_is_not_twilios(body: bytes) -> None:
    assert Validator("https://cat.example", tokens(TOKEN)).fields("/sms", body, "x") is None


def test_a_form_larger_than_any_of_twilios_is_refused_before_it_is_decoded() -> None:
    validator = Validator("https://cat.example", tokens(TOKEN))
    largest = {
        f"Name{at}": "%" * (signature.MOST_ESCAPES // signature.MOST_FIELDS) for at in range(signature.MOST_FIELDS)
    }
    body, signed = as_it_came(largest)
    assert validator.fields("/sms", body, signed) == largest

    for more in ({**largest, "One": "more"}, {**largest, "Name0": "%" * 1000}):
        body, signed = as_it_came(more)
        assert validator.fields("/sms", body, signed) is None


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

    assert not Validator("https://cat.example", tokens(TOKEN)).accepts("/sms", changed, signed)


def test_during_a_rotation_both_tokens_are_good() -> None:
    validator = Validator("https://cat.example", tokens("old", "new"))

    for token, good in (("old", True), ("new", True), ("other", False)):
        signed = signature.sign(token, "https://cat.example/sms", FIELDS)
        assert validator.accepts("/sms", FIELDS, signed) is good


def test_without_a_token_nothing_is_good() -> None:
    signed = signature.sign("", "https://cat.example/sms", FIELDS)

    assert not Validator("https://cat.example", tokens("", "")).accepts("/sms", FIELDS, signed)


@given(st.text(), st.dictionaries(st.text(), st.text(), max_size=3), st.text())
def test_no_doubt_is_a_crash(path: str, fields: dict[str, str], given_: str) -> None:
    assert not Validator("https://cat.example", tokens(TOKEN)).accepts(path, fields, given_)


def test_a_lone_surrogate_is_a_no() -> None:
    assert not Validator("https://cat.example", tokens(TOKEN)).accepts("/sms", {"Body": "\ud800"}, "x")
