"""What Twilio is answered: 403 for what it did not sign, 400 for what cannot be used, 200 only for what is kept."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from webhook.door import InMemoryDoor, Road

from sms import signature
from sms.signature import Validator
from tests.builders import ANN, OUR_NUMBER, a_sid
from webhook.app import MAX_BODY_BYTES, Ours, WebhookApp, create_app

URL = "https://cat.example"
TOKEN = "token"
ACCOUNT = "AC1"


@pytest.fixture
def door() -> InMemoryDoor:
    return InMemoryDoor()


@pytest.fixture
def app(door: InMemoryDoor) -> WebhookApp:
    return an_app(door)


def an_app(door: InMemoryDoor) -> WebhookApp:
    return create_app(
        validator=Validator(URL, signature.tokens(TOKEN)),
        ours=Ours(account_sid=ACCOUNT, numbers=frozenset({OUR_NUMBER}), messaging_service_sid="MG1"),
        door=door,
        stuck_after_seconds=120,
    )


def a_form(**changes: str | None) -> dict[str, str]:
    form = {"MessageSid": a_sid(), "AccountSid": ACCOUNT, "From": ANN, "To": OUR_NUMBER, "Body": "hello", **changes}
    return {name: value for name, value in form.items() if value is not None}


def ask(app: WebhookApp, method: str, path: str, **more: object) -> httpx.Response:
    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
            return await client.request(method, path, **more)  # type: ignore[arg-type]  # httpx's own options

    return asyncio.run(once())


def post(app: WebhookApp, path: str, form: Mapping[str, str], token: str = TOKEN) -> httpx.Response:
    return ask(
        app, "POST", path, data=dict(form), headers={"X-Twilio-Signature": signature.sign(token, URL + path, form)}
    )


@pytest.mark.parametrize("path", ["/sms", "/sms/fallback"])
def test_a_signed_text_is_kept_and_answered_with_empty_twiml(app: WebhookApp, door: InMemoryDoor, path: str) -> None:
    answer = post(app, path, a_form(Body="hello cat", FromCity="", NewField="x"))

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    assert answer.text.endswith("<Response/>")
    assert [text.body for text in door.texts] == ["hello cat"]


def test_nothing_is_kept_of_what_twilio_did_not_sign(app: WebhookApp, door: InMemoryDoor) -> None:
    form = a_form()
    good = signature.sign(TOKEN, URL + "/sms", form)

    answers = [
        ask(app, "POST", "/sms", data=form),
        ask(app, "POST", "/sms", data=form, headers={"X-Twilio-Signature": "nonsense"}),
        ask(app, "POST", "/sms", data={**form, "Body": "altered"}, headers={"X-Twilio-Signature": good}),
        ask(app, "POST", "/sms?x=1", data=form, headers={"X-Twilio-Signature": good}),
        ask(app, "POST", "/sms/fallback", data=form, headers={"X-Twilio-Signature": good}),
        ask(app, "POST", "/sms", content=b"\xff\xfe", headers={"X-Twilio-Signature": good}),
        ask(app, "POST", "/sms", content=b"Body=%ff", headers={"X-Twilio-Signature": good}),
        ask(
            app, "POST", "/sms", content=b"{}", headers={"X-Twilio-Signature": good, "content-type": "application/json"}
        ),
        post(app, "/sms", form, token="another"),
    ]

    assert [answer.status_code for answer in answers] == [403] * len(answers)
    assert door.texts == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"MessageSid": None}, "MessageSid"),
        ({"From": ""}, "From"),
        ({"To": "+15550000000"}, "To"),
        ({"AccountSid": "AC2"}, "AccountSid"),
        ({"NumMedia": "x"}, "NumMedia"),
    ],
)
def test_what_is_signed_and_cannot_be_used_is_a_400_that_names_the_field(
    app: WebhookApp, door: InMemoryDoor, changes: dict[str, str | None], named: str
) -> None:
    answer = post(app, "/sms", a_form(**changes))

    assert answer.status_code == 400
    assert named in answer.text
    assert door.texts == []


def test_signed_json_is_no_text(app: WebhookApp) -> None:
    body = b'{"Body": "hello"}'
    path = f"/sms?bodySHA256={hashlib.sha256(body).hexdigest()}"
    signed = signature.sign(TOKEN, URL + path, {})

    answer = ask(
        app, "POST", path, content=body, headers={"X-Twilio-Signature": signed, "content-type": "application/json"}
    )

    assert answer.status_code == 400


def test_a_text_to_another_number_of_our_messaging_service_is_ours(app: WebhookApp, door: InMemoryDoor) -> None:
    assert post(app, "/sms", a_form(To="+15550000000", MessagingServiceSid="MG1")).status_code == 200
    assert post(app, "/sms", a_form(To="+15550000000", MessagingServiceSid="MG2")).status_code == 400
    assert len(door.texts) == 1


def test_a_text_that_redis_did_not_confirm_is_a_503(app: WebhookApp, door: InMemoryDoor) -> None:
    door.closed = True

    assert post(app, "/sms", a_form()).status_code == 503
    assert ask(app, "GET", "/readyz").status_code == 503
    assert ask(app, "GET", "/livez").status_code == 200


def test_an_oversize_body_is_refused_before_it_is_read(app: WebhookApp) -> None:
    big = urlencode({"Body": "x" * MAX_BODY_BYTES})

    assert ask(app, "POST", "/sms", content=big).status_code == 413


def test_an_oversize_body_without_a_length_is_refused(app: WebhookApp) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1024

    assert ask(app, "POST", "/sms", content=chunks()).status_code == 413


def test_a_status_is_kept_with_the_attempt_that_its_address_names(app: WebhookApp, door: InMemoryDoor) -> None:
    form = a_form(MessageStatus="delivered")

    answer = post(app, "/sms/status?i=SM1-0-abc", form)

    assert answer.status_code == 204
    assert [(report.status, report.attempt_id) for report in door.reports] == [("delivered", "SM1-0-abc")]


def test_other_methods_and_paths_are_told_so(app: WebhookApp) -> None:
    assert ask(app, "GET", "/sms").status_code == 405
    assert ask(app, "POST", "/livez").status_code == 405
    assert ask(app, "GET", "/admin").status_code == 404


def test_readiness_says_when_the_road_is_stuck(app: WebhookApp, door: InMemoryDoor) -> None:
    assert ask(app, "GET", "/readyz").text.startswith("ready")
    door.road = Road(oldest_waiting_seconds=500.0)

    answer = ask(app, "GET", "/readyz")

    assert answer.status_code == 200
    assert answer.text.startswith("stuck")
    assert "500.0 s" in answer.text
    door.road = Road(stopped="authentication failed")
    assert "nothing is sent: authentication failed" in ask(app, "GET", "/readyz").text


def test_the_age_of_the_oldest_text_is_a_metric_that_no_one_has_to_ask_readiness_for(
    app: WebhookApp, door: InMemoryDoor
) -> None:
    door.road = Road(oldest_waiting_seconds=321.0, stopped="authentication failed")

    told = ask(app, "GET", "/metrics").text

    assert "dadacat_oldest_waiting_seconds 321.0" in told
    assert "dadacat_sending_stopped 1.0" in told


def test_a_webhook_without_redis_still_shows_its_figures(app: WebhookApp, door: InMemoryDoor) -> None:
    door.closed = True

    assert ask(app, "GET", "/readyz").status_code == 503
    assert ask(app, "GET", "/metrics").status_code == 200


def test_requests_are_counted(app: WebhookApp) -> None:
    post(app, "/sms", a_form())

    assert 'dadacat_webhook_requests_total{path="/sms",status="200"}' in ask(app, "GET", "/metrics").text


@given(st.binary(max_size=300), st.text(max_size=50).filter(lambda t: t.isascii() and t.isprintable()))
def test_no_body_and_no_signature_is_a_500(body: bytes, given_signature: str) -> None:
    answer = ask(
        an_app(InMemoryDoor()), "POST", "/sms", content=body, headers={"X-Twilio-Signature": given_signature.strip()}
    )

    assert answer.status_code == 403


@given(
    st.dictionaries(
        st.sampled_from(["MessageSid", "From", "To", "Body", "NumMedia", "MediaUrl0"]), st.text(max_size=40)
    )
)
def test_whatever_twilio_signs_is_kept_or_refused_and_never_a_500(changes: dict[str, str]) -> None:
    clean = {name: value.encode(errors="replace").decode() for name, value in changes.items()}

    assert post(an_app(InMemoryDoor()), "/sms", a_form(**clean)).status_code in (200, 400)
