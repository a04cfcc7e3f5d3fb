"""A webhook's form is parsed into a text or refused with a clear error; keywords are whole texts."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from sms import addresses, keywords
from sms.keywords import Keyword
from sms.messages import DeliveryReport, InboundSms, UnusableText

FORM = {"MessageSid": "SM" + "1" * 32, "AccountSid": "AC1", "From": "+15551230001", "To": "+15005550006", "Body": "hi"}


def test_only_four_fields_are_needed() -> None:
    text = InboundSms.parse({name: value for name, value in FORM.items() if name != "Body"})

    assert (text.body, text.media, text.messaging_service_sid) == ("", (), None)


@pytest.mark.parametrize("name", ["MessageSid", "From", "To"])
@pytest.mark.parametrize("value", [None, "", "   ", "x" * 201])
def test_a_required_field_is_required_and_named(name: str, value: str | None) -> None:
    form = {key: kept for key, kept in {**FORM, name: value}.items() if kept is not None}

    with pytest.raises(UnusableText, match=name):
        InboundSms.parse(form)


@pytest.mark.parametrize(
    "change",
    [
        {"MessageSid": "XX12"},
        {"MessageSid": "SM" + "1" * 31},
        {"MessageSid": "SM" + "1" * 32 + "NumMedia0"},
        {"MessageSid": "SM" + "g" * 32},
        {"MessageSid": "SM" + "1" * 31 + "\u0661"},
        {"NumMedia": "many"},
        {"Body": "x" * 1601},
    ],
)
def test_what_twilio_never_sends_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(UnusableText):
        InboundSms.parse({**FORM, **change})


def test_pictures_are_read() -> None:
    text = InboundSms.parse(
        {**FORM, "NumMedia": "2", "MediaUrl0": "http://a", "MediaContentType0": "image/png", "MediaUrl1": "http://b"}
    )

    assert [(m.url, m.content_type) for m in text.media] == [("http://a", "image/png"), ("http://b", "")]


def test_a_report_says_what_became_of_which_attempt() -> None:
    report = DeliveryReport.parse({**FORM, "MessageStatus": "Undelivered", "ErrorCode": "30003"}, "SM1-0-a")

    assert (report.status, report.error_code, report.attempt_id) == ("undelivered", 30003, "SM1-0-a")
    with pytest.raises(UnusableText, match="SmsStatus"):
        DeliveryReport.parse(FORM, "SM1-0-a")


@pytest.mark.parametrize(
    ("address", "dialable"),
    [
        ("+15551230001", True),
        ("whatsapp:+15551230001", True),
        ("whatsapp:FI.1502576394655843", True),
        ("messenger:1234567890", True),
        ("whatsapp:", False),
        ("12345", False),
        ("BANK", False),
        ("+0123", False),
        ("", False),
    ],
)
def test_an_address_that_can_be_answered_is_told_from_one_that_cannot(address: str, *, dialable: bool) -> None:
    assert addresses.is_dialable(address) is dialable


@pytest.mark.parametrize(
    ("sender", "longest"), [("+15551230001", 1600), ("whatsapp:+15551230001", 4096), ("rcs:+15551230001", 3072)]
)
def test_a_text_may_be_as_long_as_its_channel_makes_it(sender: str, longest: int) -> None:
    assert len(InboundSms.parse({**FORM, "From": sender, "Body": "x" * longest}).body) == longest
    with pytest.raises(UnusableText, match=f"longer than {longest} characters"):
        InboundSms.parse({**FORM, "From": sender, "Body": "x" * (longest + 1)})


@pytest.mark.parametrize(
    ("listed", "address"),
    [
        ("+15551230001", "+15551230001"),
        ("+1 (555) 123-0001", "+15551230001"),
        ("15551230001", "+15551230001"),
        ("whatsapp: 15551230001", "whatsapp:+15551230001"),
        ("whatsapp:+15551230001", "whatsapp:+15551230001"),
        ("whatsapp:FI.1502576394655843", "whatsapp:FI.1502576394655843"),
        ("72345", "72345"),
        ("BANK", "BANK"),
        ("", ""),
    ],
)
def test_a_number_on_the_list_is_the_one_that_texted_however_it_is_written(listed: str, address: str) -> None:
    assert addresses.in_e164(listed) == address


@pytest.mark.parametrize("status", ["partially_delivered", "word_of_tomorrow", "READ"])
def test_any_word_is_a_status(status: str) -> None:
    assert DeliveryReport.parse({**FORM, "MessageStatus": status}, "SM1-0-a").status == status.lower()


def test_a_number_is_masked_for_logs() -> None:
    assert addresses.masked("+15551230001") == "**********01"
    assert addresses.masked("") == ""


@pytest.mark.parametrize(
    ("body", "keyword"),
    [
        ("STOP", Keyword.STOP),
        (" stop \n", Keyword.STOP),
        ("Unsubscribe", Keyword.STOP),
        ("stop it", None),
        ("please stop", None),
        ("START", Keyword.START),
        ("help", Keyword.HELP),
        ("reset", Keyword.RESET),
        ("Arrêt", Keyword.STOP),
        ("STOPP", Keyword.STOP),
        ("ayuda", Keyword.HELP),
        ("hello", None),
        ("yes", None),
    ],
)
def test_a_keyword_is_a_whole_text(body: str, keyword: Keyword | None) -> None:
    assert keywords.read(body) is keyword


def test_a_word_stands_in_one_place_only() -> None:
    tables = tomllib.loads(files("sms").joinpath("keywords.toml").read_text())
    words = [word for table in tables.values() for keyword in (*Keyword, "consent") for word in table.get(keyword, ())]

    assert len(words) == len(set(words))
    assert all(word == word.strip().casefold() for word in words)
    assert all(table["source"] for table in tables.values())
    assert {word for word, keyword in keywords.TWILIOS.items() if keyword is Keyword.STOP} == {
        "stop", "unsubscribe", "end", "quit", "stopall", "revoke", "optout", "cancel",
    }  # fmt: skip


def test_who_said_stop_opens_the_way_again_with_yes() -> None:
    assert keywords.read("Yes", opted_out=True) is Keyword.START


def test_twilios_own_verdict_goes_first() -> None:
    assert keywords.read("arrêt", "STOP") is Keyword.STOP
    assert keywords.read("hello", "SOMETHING") is None
