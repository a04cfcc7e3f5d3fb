"""Answers to Twilio: 403 unless it signed, 400 for what cannot be used, 200 only for what is kept."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping, MutableMapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import fakeredis
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox import decoding, keys
from inbox.circuit import RedisCircuit
from inbox.payloads import Who
from inbox.ports import Place, Stop
from inbox.state import InboxState
from sms import signature
from sms.messages import DeliveryReport, InboundSms
from sms.ports import Scope
from sms.recipient import Recipient
from sms.signature import Validator
from tests.builders import ANN, OUR_NUMBER, a_sid, tokens
from webhook.app import MAX_BODY_BYTES, WebhookApp
from webhook.ingest import Ingest

URL = "https://cat.example"
TOKEN = "token"
ACCOUNT = "AC1"


class Webhook:
    """The application on a Redis in memory, in an event loop of its own."""

    def __init__(self, runner: asyncio.Runner, *, body_seconds: float = 15.0) -> None:
        self.server = fakeredis.FakeServer()
        self.redis = fakeredis.FakeRedis(server=self.server)
        self._runner = runner
        self.app = WebhookApp(
            validator=Validator(URL, tokens(TOKEN)),
            recipient=Recipient(
                account_sid=ACCOUNT, numbers=frozenset({OUR_NUMBER}), messaging_service_sid="MG1"
            ),
            ingest=Ingest(fakeredis.FakeAsyncRedis(server=self.server), who_key=b"k"),
            stuck_after_seconds=120,
            body_seconds=body_seconds,
        )  # fmt: skip

    @property
    def texts(self) -> list[InboundSms]:
        return [
            decoding.decode_text(entry[b"text"])
            for key in self.redis.keys(keys.texts("*"))
            for entry in self._read(key)
        ]

    @property
    def reports(self) -> list[DeliveryReport]:
        return [decoding.decode_report(entry[b"report"]) for entry in self._read(keys.REPORTS)]

    def _read(self, stream: bytes | str) -> list[dict[bytes, bytes]]:
        entries: Any = self.redis.xrange(stream)  # two protocol versions, two types
        return [fields for _, fields in entries]

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:  # Any: httpx's own options
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=True)
            async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
                return await client.request(method, path, **more)

        return self._runner.run(once())

    def post(self, path: str, form: Mapping[str, str], token: str = TOKEN) -> httpx.Response:
        signed = signature.sign(token, URL + path, form)
        return self.ask("POST", path, data=dict(form), headers={"X-Twilio-Signature": signed})


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


@pytest.fixture
def webhook(runner: asyncio.Runner) -> Webhook:
    return Webhook(runner)


def a_form(**changes: str | None) -> dict[str, str]:
    form = {"MessageSid": a_sid(), "AccountSid": ACCOUNT, "From": ANN, "To": OUR_NUMBER, "Body": "hello", **changes}
    return {name: value for name, value in form.items() if value is not None}


@pytest.mark.parametrize("path", ["/sms", "/sms/fallback"])
def test_a_signed_text_is_kept_and_answered_with_empty_twiml(webhook: Webhook, path: str) -> None:
    answer = webhook.post(path, a_form(Body="hello cat", FromCity="", NewField="x"))

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    assert answer.text.endswith("<Response/>")
    assert [text.body for text in webhook.texts] == ["hello cat"]


def test_nothing_is_kept_of_what_twilio_did_not_sign(webhook: Webhook) -> None:
    form = a_form()
    good = signature.sign(TOKEN, URL + "/sms", form)

    answers = [
        webhook.ask("POST", "/sms", data=form),
        webhook.ask("POST", "/sms", data=form, headers={"X-Twilio-Signature": "nonsense"}),
        webhook.ask("POST", "/sms", data={**form, "Body": "altered"}, headers={"X-Twilio-Signature": good}),
        webhook.ask("POST", "/sms?x=1", data=form, headers={"X-Twilio-Signature": good}),
        webhook.ask("POST", "/sms/fallback", data=form, headers={"X-Twilio-Signature": good}),
        webhook.ask("POST", "/sms", content=b"\xff\xfe", headers={"X-Twilio-Signature": good}),
        webhook.ask("POST", "/sms", content=b"Body=%ff", headers={"X-Twilio-Signature": good}),
        webhook.ask(
            "POST", "/sms", content=b"{}", headers={"X-Twilio-Signature": good, "content-type": "application/json"}
        ),
        webhook.post("/sms", form, token="another"),
    ]

    assert [answer.status_code for answer in answers] == [403] * len(answers)
    assert webhook.texts == []


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
    webhook: Webhook, changes: dict[str, str | None], named: str
) -> None:
    answer = webhook.post("/sms", a_form(**changes))

    assert answer.status_code == 400
    assert named in answer.text
    assert webhook.texts == []


def test_json_is_no_text(webhook: Webhook) -> None:
    body = b'{"Body": "hello"}'
    path = f"/sms?bodySHA256={hashlib.sha256(body).hexdigest()}"
    headers = {"X-Twilio-Signature": signature.sign(TOKEN, URL + path, {}), "content-type": "application/json"}

    assert webhook.ask("POST", path, content=body, headers=headers).status_code == 403
    assert webhook.ask("POST", "/sms?bodySHA256=%C3%A9", content=body, headers=headers).status_code == 403
    assert webhook.texts == []


@pytest.mark.parametrize("service", ["xxx", "MG" + "g" * 32, "MG" + "1" * 33, "SM" + "1" * 32])
def test_what_cannot_be_a_messaging_service_is_refused_at_the_door(webhook: Webhook, service: str) -> None:
    answer = webhook.post("/sms", a_form(MessagingServiceSid=service))

    assert (answer.status_code, answer.text) == (400, "MessagingServiceSid is not the id of a messaging service\n")
    assert webhook.texts == []
    assert webhook.post("/sms", a_form(MessagingServiceSid="MG" + "1" * 32)).status_code == 200


def test_a_text_to_another_number_of_our_messaging_service_is_ours(webhook: Webhook) -> None:
    assert webhook.post("/sms", a_form(To="+15550000000", MessagingServiceSid="MG1")).status_code == 200
    assert webhook.post("/sms", a_form(To="+15550000000", MessagingServiceSid="MG2")).status_code == 400
    assert len(webhook.texts) == 1


def test_a_text_that_redis_did_not_confirm_is_a_503(webhook: Webhook) -> None:
    webhook.server.connected = False

    assert webhook.post("/sms", a_form()).status_code == 503
    assert webhook.ask("GET", "/readyz").status_code == 503
    assert webhook.ask("GET", "/livez").status_code == 200


@pytest.mark.parametrize(("token", "status"), [(TOKEN, 200), ("another", 403)])
def test_a_signed_question_whether_it_lives_compares_the_token(webhook: Webhook, token: str, status: int) -> None:
    headers = {"X-Twilio-Signature": signature.sign(token, f"{URL}/livez", {})}

    assert webhook.ask("GET", "/livez", headers=headers).status_code == status
    assert webhook.texts == []


def test_an_oversize_body_is_refused(webhook: Webhook) -> None:
    big = urlencode({"Body": "x" * MAX_BODY_BYTES})

    assert webhook.ask("POST", "/sms", content=big).status_code == 413


def test_an_oversize_body_without_a_length_is_refused(webhook: Webhook) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1024

    assert webhook.ask("POST", "/sms", content=chunks()).status_code == 413


def test_a_status_is_kept_with_the_attempt_that_its_address_names(webhook: Webhook) -> None:
    form = a_form(MessageStatus="delivered")

    answer = webhook.post("/sms/status?i=SM1-0-abc", form)

    assert answer.status_code == 204
    assert [(report.status, report.attempt_id) for report in webhook.reports] == [("delivered", "SM1-0-abc")]


def test_other_methods_and_paths_are_told_so(webhook: Webhook) -> None:
    assert webhook.ask("GET", "/sms").status_code == 405
    assert webhook.ask("POST", "/livez").status_code == 405
    assert webhook.ask("GET", "/admin").status_code == 404


def test_readiness_says_if_texts_wait_too_long_or_nothing_is_sent(webhook: Webhook) -> None:
    assert webhook.ask("GET", "/readyz").text.startswith("ready")
    webhook.redis.zadd(keys.WAITING, {"someone": (time.time() - 500) * 1000})

    answer = webhook.ask("GET", "/readyz")

    assert answer.status_code == 200
    assert answer.text.startswith("stuck")
    assert re.search(r"50\d\.\d s", answer.text)
    webhook.redis.hset(keys.CIRCUIT, "reason", "authentication failed")
    stopped = webhook.ask("GET", "/readyz").text
    assert stopped.startswith("stopped")
    assert "nothing is sent: authentication failed; stopped since 1970-01-01T00:00:00Z; 0 people wait" in stopped


def test_readiness_and_metrics_say_which_scope_is_stopped(webhook: Webhook) -> None:
    circuit = RedisCircuit(webhook.redis, probe_every=timedelta(seconds=30), longest_pause=timedelta(minutes=30))
    sender, ann, ben = Place(Scope.SENDER, OUR_NUMBER), Who("a" * 24), Who("b" * 24)
    for who in (ann, ben):
        circuit.open(Stop(place=Place(Scope.DESTINATION, who), who=who, reason="not verified"))
    alone = webhook.ask("GET", "/readyz").text
    assert alone.startswith("ready\n")
    assert "nothing is sent to 2 destinations: not verified; stopped since 20" in alone

    circuit.open(Stop(place=sender, who=ann, reason="no such sender"))
    circuit.wait(sender, ann)
    circuit.wait(sender, ben)
    answer, page = webhook.ask("GET", "/readyz").text, webhook.ask("GET", "/metrics").text

    assert answer.startswith("stopped\n")
    assert f"nothing is sent from sender {OUR_NUMBER}: no such sender; stopped since 20" in answer
    assert "2 people wait; tried again in 0:00:" in answer
    assert "it opens once Twilio takes a message" in answer
    assert ann not in answer
    assert 'dadacat_stopped{scope="sender"} 1.0' in page
    assert 'dadacat_stopped_people{scope="sender"} 2.0' in page
    assert 'dadacat_stopped{scope="destination"} 2.0' in page
    assert "dadacat_sending_stopped 0.0" in page


@pytest.mark.parametrize("status", ["partially_delivered", "word_of_tomorrow", "read"])
def test_any_status_is_taken(webhook: Webhook, status: str) -> None:
    form = {"MessageSid": a_sid(), "AccountSid": ACCOUNT, "To": ANN, "MessageStatus": status}

    assert webhook.post("/sms/status?i=SM1-0-a&w=" + "c" * 24, form).status_code == 204
    (report,) = webhook.reports
    assert (report.attempt_id, report.who) == ("SM1-0-a", "c" * 24)


def test_the_age_of_the_oldest_text_is_a_metric(webhook: Webhook) -> None:
    webhook.redis.zadd(keys.WAITING, {"someone": (time.time() - 321) * 1000})
    webhook.redis.hset(keys.CIRCUIT, "reason", "authentication failed")

    page = webhook.ask("GET", "/metrics").text

    assert re.search(r"dadacat_oldest_waiting_seconds 32\d\.", page)
    assert "dadacat_sending_stopped 1.0" in page


def test_looks_at_the_same_time_share_one_connection(webhook: Webhook, runner: asyncio.Runner) -> None:
    async def many() -> list[InboxState]:
        return await asyncio.gather(*(webhook.app.ingest.state() for _ in range(500)))

    assert set(runner.run(many())) == {InboxState()}


def test_a_body_that_does_not_arrive_in_time_is_a_408(runner: asyncio.Runner) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"Body="
        await asyncio.sleep(10)

    assert Webhook(runner, body_seconds=0.1).ask("POST", "/sms", content=slow()).status_code == 408


def test_a_client_that_leaves_early_is_answered_and_counted(webhook: Webhook, runner: asyncio.Runner) -> None:
    answers: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        answers.append(message)

    scope = {"type": "http", "path": "/sms", "method": "POST", "query_string": b"", "headers": []}
    runner.run(webhook.app(scope, receive, send))

    assert answers[0]["status"] == 400


def test_a_bug_is_a_503_so_that_twilio_sends_the_text_again(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InboundSms, "parse", lambda _form: 1 / 0)

    assert webhook.post("/sms", a_form()).status_code == 503


def test_a_webhook_without_redis_still_shows_its_figures(webhook: Webhook) -> None:
    webhook.server.connected = False

    assert webhook.ask("GET", "/readyz").status_code == 503
    assert webhook.ask("GET", "/metrics").status_code == 200


def test_requests_are_counted(webhook: Webhook) -> None:
    webhook.post("/sms", a_form())

    assert 'dadacat_webhook_requests_total{path="/sms",status="200"}' in webhook.ask("GET", "/metrics").text


@given(st.binary(max_size=300), st.text(max_size=50).filter(lambda t: t.isascii() and t.isprintable()))
def test_no_body_and_no_signature_is_a_500(runner: asyncio.Runner, body: bytes, given_signature: str) -> None:
    headers = {"X-Twilio-Signature": given_signature.strip()}
    answer = Webhook(runner).ask("POST", "/sms", content=body, headers=headers)

    assert answer.status_code == 403


@given(
    st.dictionaries(
        st.sampled_from(["MessageSid", "From", "To", "Body", "NumMedia", "MediaUrl0"]), st.text(max_size=40)
    )
)
def test_whatever_twilio_signs_is_kept_or_refused_and_never_a_500(
    runner: asyncio.Runner, changes: dict[str, str]
) -> None:
    clean = {name: value.encode(errors="replace").decode() for name, value in changes.items()}

    assert Webhook(runner).post("/sms", a_form(**clean)).status_code in (200, 400)
