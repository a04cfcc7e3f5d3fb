"""Twilio's list of messages and the account, as the official client reads them from a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from chaos.tree import free_port
from sms import twilio
from sms.account import Number, TwilioAccount
from sms.errors import CarrierAway, NoAnswer, NotWritten, Refused, Unreadable
from sms.messages import Media, MessageSid
from sms.ports import Listing
from sms.twilio import TwilioMessageList
from tests.builders import a_login
from tests.servers import a_server, asked_of

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)
HOME = "/2010-04-01/Accounts/AC1"
ANN, OURS = "+15551230001", "+15005550006"

#: Method, path, and fields of the query or form.
Asked = list[tuple[str, str, dict[str, str]]]


def an_entry(sid: str, age: timedelta = timedelta(0), **fields: object) -> dict[str, object]:
    return {
        "sid": sid, "to": ANN, "from": OURS, "body": "prrt", "status": "delivered", "direction": "outbound-api",
        "date_created": format_datetime(NOW - age), "date_sent": None, "num_media": "0", "num_segments": "2",
        "error_code": None, "price": "-0.01500", "price_unit": "USD", **fields,
    }  # fmt: skip


def a_page(*entries: object, then: str | None = None, key: str = "messages") -> dict[str, object]:
    return {key: entries, "next_page_uri": then, "page": 0, "page_size": 50, "uri": "/"}


@contextmanager
def answering(*answers: object, date: str | None = format_datetime(NOW, usegmt=True)) -> Iterator[tuple[str, Asked]]:
    """Answer each request with the next of `answers`: an object, or an HTTP status."""
    asked: Asked = []
    left = iter(answers)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        form = asked_of(handler).decode() if handler.headers["content-length"] else ""
        asked.append((handler.command, parts.path, dict(parse_qsl(parts.query or form, keep_blank_values=True))))
        given = next(left)
        status, body = (given, b"{}") if isinstance(given, int) else (200, json.dumps(given).encode())
        handler.send_response_only(status)
        if date is not None:
            handler.send_header("date", date)
        handler.send_header("content-length", str(0 if status == 204 else len(body)))
        handler.end_headers()
        if status != 204:
            handler.wfile.write(body)

    with a_server(answer) as url:
        yield url, asked


def the_list(url: str) -> TwilioMessageList:
    return TwilioMessageList(account_sid="AC1", login=a_login("AC1", "t"), api_base_url=url)


def the_account(url: str) -> TwilioAccount:
    return TwilioAccount(account_sid="AC1", login=a_login("AC1", "t"), api_base_url=url)


def test_a_list_is_read_to_the_age_that_counts_by_twilios_clock() -> None:
    following = f"{HOME}/Messages.json?Page=1&PageToken=PASM2"
    first = a_page(an_entry("SM3"), an_entry("SM2", timedelta(minutes=5)), then=following)
    second = a_page(an_entry("SM1", timedelta(minutes=10)), an_entry("SM0", timedelta(minutes=11)), then="/never")

    with answering(first, second) as (url, asked):
        listing = the_list(url).sent_to(ANN, for_the_last=timedelta(minutes=10))

    assert listing.read_at == NOW
    assert [entry.sid for entry in listing.messages] == ["SM3", "SM2", "SM1"]
    assert asked == [
        ("GET", f"{HOME}/Messages.json", {"To": ANN, "PageSize": "1000"}),
        ("GET", f"{HOME}/Messages.json", {"Page": "1", "PageToken": "PASM2"}),
    ]


def test_an_entry_is_read_whole() -> None:
    with answering(a_page(an_entry("SM1", error_code=30003, status="undelivered"))) as (url, _):
        (entry,) = the_list(url).sent_from(OURS, since=NOW).messages

    assert (entry.to, entry.sender, entry.body, entry.status, entry.inbound) == (
        ANN,
        OURS,
        "prrt",
        "undelivered",
        False,
    )
    assert (entry.created, entry.error_code, entry.segments) == (NOW, 30003, 2)
    assert (entry.price, entry.price_unit, entry.pictures) == ("-0.01500", "USD", 0)


def test_what_was_sent_late_is_listed_whenever_it_was_created() -> None:
    with answering(a_page(an_entry("SM1", timedelta(hours=9)))) as (url, asked):
        listing = the_list(url).sent_from(OURS, since=NOW - timedelta(minutes=5))

    assert [entry.sid for entry in listing.messages] == ["SM1"]
    assert asked[0][2] == {"From": OURS, "DateSent>": "2026-11-03T11:55:00Z", "PageSize": "1000"}


def test_pictures_are_listed_when_they_are_asked_for() -> None:
    text = {**an_entry("MM1", direction="inbound", num_media="1", to=OURS), "from": ANN}
    picture = {"uri": f"{HOME}/Messages/MM1/Media/ME1.json", "content_type": "image/png", "sid": "ME1"}

    with answering(a_page(text), a_page(picture, key="media_list")) as (url, asked):
        (entry,) = the_list(url).received_by(OURS, since=NOW - timedelta(hours=1)).messages
        media = the_list(url).pictures(entry.sid)

    assert (entry.inbound, entry.pictures) == (True, 1)
    assert media == (Media(url=f"{url}{HOME}/Messages/MM1/Media/ME1", content_type="image/png"),)
    assert [path for _, path, _ in asked] == [f"{HOME}/Messages.json", f"{HOME}/Messages/MM1/Media.json"]


def test_numbers_are_listed_as_webhooks_write_them() -> None:
    text = {**an_entry("SM1", direction="inbound", to="1 500-555-0006"), "from": "+1 (555) 123-0001"}

    with answering(a_page(text)) as (url, _):
        (entry,) = the_list(url).received_by(OURS, since=NOW - timedelta(hours=1)).messages

    assert (entry.sender, entry.to) == (ANN, OURS)


def test_a_trial_account_is_told_from_another() -> None:
    account = {"sid": "AC1", "status": "active", "friendly_name": "cat"}
    with answering({**account, "type": "Trial"}, {**account, "type": "Full"}) as (url, _):
        assert the_account(url).is_trial()
        assert not the_account(url).is_trial()


def test_an_entry_in_another_form_leaves_the_others_readable() -> None:
    odd = {**an_entry("SM2"), "date_created": None, "num_media": "many"}

    with answering(a_page(an_entry("SM3"), odd, an_entry("SM1"))) as (url, _):
        listing = the_list(url).sent_from(OURS, since=NOW)

    assert [entry.sid for entry in listing.messages] == ["SM3", "SM1"]
    assert listing.unreadable == ("SM2",)


def test_one_message_is_listed_and_one_that_twilio_does_not_have_is_not() -> None:
    with answering(an_entry("SM1"), 404) as (url, _):
        assert [entry.sid for entry in the_list(url).one(MessageSid("SM1")).messages] == ["SM1"]
        assert the_list(url).one(MessageSid("SM2")).messages == ()


def test_twilios_clock_is_read_from_a_list_of_one() -> None:
    with answering(a_page(an_entry("SM1"))) as (url, asked):
        assert the_list(url).received_by(OURS, since=None) == Listing(messages=(), read_at=NOW)

    assert asked[0][2] == {"To": OURS, "PageSize": "1"}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (503, Refused),
        (404, Refused),
        ({}, Unreadable),
        ([], Unreadable),
        (a_page(7), Unreadable),
    ],
)
def test_a_list_that_cannot_be_read_is_no_empty_list(answer: object, error: type[CarrierAway]) -> None:
    with answering(answer) as (url, _), pytest.raises(error):
        the_list(url).sent_to(ANN, for_the_last=timedelta(1))


def test_a_list_without_a_date_cannot_be_read() -> None:
    with answering(a_page(), date=None) as (url, _), pytest.raises(Unreadable):
        the_list(url).sent_to(ANN, for_the_last=timedelta(1))


def test_a_list_that_breaks_off_is_no_short_list(monkeypatch: pytest.MonkeyPatch) -> None:
    more = a_page(an_entry("SM1"), then=f"{HOME}/Messages.json?Page=1")
    with answering(more, 500) as (url, _), pytest.raises(Refused):
        the_list(url).sent_to(ANN, for_the_last=timedelta(1))

    monkeypatch.setattr(twilio, "LIST_PAGES", 2)
    with answering(more, more, more) as (url, _), pytest.raises(CarrierAway, match="longer than 2 pages"):
        the_list(url).sent_to(ANN, for_the_last=timedelta(1))


def test_a_sid_that_is_none_leads_to_no_other_resource() -> None:
    with answering(404, 500) as (url, asked):
        assert the_list(url).one(MessageSid("SM3/../x?y")).messages == ()
        with pytest.raises(Refused):
            the_list(url).one(MessageSid("SM4"))

    assert asked[0][1] == f"{HOME}/Messages/SM3%2F..%2Fx%3Fy.json"


def test_an_account_tells_its_status_and_the_time() -> None:
    with answering({"sid": "AC1", "status": "active"}) as (url, _):
        assert the_account(url).status() == ("active", NOW)
    with answering({"sid": "AC1", "status": "suspended"}, date=None) as (url, _):
        assert the_account(url).status() == ("suspended", None)


def test_a_number_is_read_and_connected() -> None:
    entry = {"sid": "PN1", "phone_number": OURS, "sms_url": "", "sms_fallback_url": None, "sms_method": "GET"}
    connected = {**entry, "sms_url": "https://cat.example/sms", "sms_method": "POST"}

    with answering(a_page(entry, key="incoming_phone_numbers"), connected) as (url, asked):
        account = the_account(url)
        number = account.number(OURS)
        assert number == Number(sid="PN1", number=OURS, url="", fallback="", method="GET")
        assert account.post_texts_to(number, url="https://cat.example/sms", fallback="f").method == "POST"

    assert asked[0] == ("GET", f"{HOME}/IncomingPhoneNumbers.json", {"PhoneNumber": OURS})
    assert asked[1] == (
        "POST",
        f"{HOME}/IncomingPhoneNumbers/PN1.json",
        {
            "SmsUrl": "https://cat.example/sms",
            "SmsMethod": "POST",
            "SmsFallbackUrl": "f",
            "SmsFallbackMethod": "POST",
        },
    )


def test_a_number_that_the_account_does_not_have_is_none() -> None:
    with answering(a_page({"sid": "PN1", "phone_number": OURS + "7"}, key="incoming_phone_numbers")) as (url, _):
        assert the_account(url).number(OURS) is None


@pytest.mark.parametrize("number", ["", OURS])
def test_all_messages_with_a_person_are_found(number: str) -> None:
    pages: list[Any] = [
        a_page(an_entry("SM1"), then=f"{HOME}/Messages.json?Page=1"), a_page(an_entry("SM2")), a_page(an_entry("SM3")),
    ]  # fmt: skip

    with answering(*pages) as (url, asked):
        assert the_account(url).messages_with(ANN, number=number) == ["SM1", "SM2", "SM3"]

    ours = {"From": number} if number else {}
    assert asked[0][2] == {"To": ANN, **ours, "PageSize": "1000"}
    assert asked[2][2] == {"From": ANN, **({"To": number} if number else {}), "PageSize": "1000"}


@pytest.mark.parametrize(
    ("erase", "request_", "success"),
    [
        (TwilioAccount.redact, ("POST", f"{HOME}/Messages/SM1.json", {"Body": ""}), an_entry("SM1", body="")),
        (TwilioAccount.delete, ("DELETE", f"{HOME}/Messages/SM1.json", {}), 204),
    ],
    ids=["redact", "delete"],
)
def test_a_message_is_erased_unless_it_is_gone_or_in_transit(
    erase: Callable[[TwilioAccount, str], bool], request_: tuple[str, str, dict[str, str]], success: object
) -> None:
    with answering(success, 404, 409, 400, 401) as (url, asked):
        account = the_account(url)
        assert [erase(account, "SM1") for _ in range(4)] == [True, False, False, False]
        with pytest.raises(Refused) as refusal:
            erase(account, "SM1")

    assert refusal.value.status == 401
    assert asked == [request_] * 5


def test_an_account_that_cannot_be_reached_is_told_from_one_that_does_not_answer() -> None:
    with pytest.raises(NotWritten):
        the_account(f"http://127.0.0.1:{free_port()}").status()

    def close(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True

    with a_server(close) as url, pytest.raises(NoAnswer):
        the_account(url).status()
