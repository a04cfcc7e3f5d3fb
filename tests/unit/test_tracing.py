"""Spans of a text belong together, and hold neither a number nor a text."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from inbox import decoding, payloads, wakeup
from journal import story
from runtime import observe, otel, tracing
from runtime.settings import Settings, SettingsError
from runtime.traced_asgi import Traced
from sms.messages import DeliveryReport, MessageSid
from sms.ports import OutboundSms, Outcome, Sent
from sms.traced import TracedSender
from tests.builders import ANN, OUR_NUMBER, a_sid, a_text
from tests.conftest import ROOT
from tests.room import Room

FIRST, OTHER = "00-" + "a" * 32 + "-" + "1" * 16 + "-01", "00-" + "b" * 32 + "-" + "2" * 16 + "-01"
WORD = "xyzzyplugh"


class Exported:
    """The spans that leave the process, as an exporter gets them."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def __call__(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> ReadableSpan:
        [span] = [span for span in self() if span.name == name]
        return span


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[Exported]:
    """Turn tracing on for one test, into memory."""
    exporter = InMemorySpanExporter()
    discreet = otel.Discreet(lambda: exporter)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(discreet))
    monkeypatch.setattr(trace, "get_tracer", lambda *names, **_: provider.get_tracer(*names[:1]))
    tracing.use(otel.Spans(provider, discreet))
    yield Exported(exporter)
    tracing.use(None)


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


@pytest.mark.parametrize(("context", "id_"), [(FIRST, "a" * 32), (FIRST[:-1] + "0", ""), ("", "")])
def test_the_story_of_a_text_names_its_trace_if_it_is_exported(context: str, id_: str) -> None:
    room = Room()
    text = a_text(trace=context)
    room.inbox.texts.accept(text)
    room.serve()
    turn = room.store.turns.get(ANN, text.sid)
    assert turn is not None

    told = story.tell(room.store, turn)
    assert told.trace == id_
    assert (f"  trace {id_}" in story.as_lines(told)) == bool(id_)


def test_a_text_carries_its_trace_and_any_other_value_is_dropped() -> None:
    text = a_text(trace=FIRST)
    assert decoding.decode_text(payloads.encode_text(text)) == text

    for strange in ("00-" + "A" * 32 + "-" + "1" * 16 + "-01", FIRST + "x" * 9_000, "", 7, None, [FIRST], f"{FIRST}\n"):
        payload = payloads.encode_text(text).replace(f'"{FIRST}"'.encode(), repr_of(strange))
        assert decoding.decode_text(payload) == replace(text, trace="")


def repr_of(value: Any) -> bytes:  # Any: JSON
    return payloads._encode(value).encode()


def test_without_a_trace_nothing_is_added_to_what_an_old_worker_reads() -> None:
    assert b"trace" not in payloads.encode_text(a_text())
    assert b"traceparent" not in wakeup.message(payloads.ANSWER_TASK, "who")
    assert FIRST.encode() in wakeup.message(payloads.ANSWER_TASK, "who", FIRST)


def test_the_spans_of_a_visit_belong_to_the_trace_of_each_text(exported: Exported) -> None:
    room = Room()
    room.inbox.texts.accept(a_text("hello", trace=FIRST))
    room.inbox.texts.accept(a_text("and again", trace=OTHER))

    room.serve()

    for carried in (FIRST, OTHER):
        names = [span.name for span in exported() if trace_of(span) == carried.split("-")[1]]
        assert names.count("take in") >= 1
        assert {"engine", "think", "turn"} <= set(names)


def test_texts_that_are_answered_together_are_linked(exported: Exported) -> None:
    room = Room(policy="merge")
    room.inbox.texts.accept(a_text("hello", trace=FIRST))
    room.inbox.texts.accept(a_text("and again", trace=OTHER))
    room.later(seconds=60)

    room.serve()

    turn = exported.named("turn")
    assert trace_of(turn) == "a" * 32
    assert [f"{link.context.trace_id:032x}" for link in turn.links] == ["b" * 32]


def test_a_message_carries_the_trace_to_its_reports(exported: Exported) -> None:
    sent: list[OutboundSms] = []

    class Sender:
        def warm(self) -> None: ...

        def send(self, message: OutboundSms, *, may_begin: Any) -> Outcome:
            assert may_begin()
            sent.append(message)
            return Sent(sid=MessageSid(a_sid()), status="queued", segments=1)

    message = OutboundSms(
        to=ANN, sender=OUR_NUMBER, body=WORD, status_callback="https://cat.example/sms/status?i=1", validity_seconds=1
    )
    with tracing.span("turn", after=[FIRST]):
        TracedSender(Sender()).send(message, may_begin=lambda: True)

    span = exported.named("send")
    carried = urlsplit(sent[0].status_callback).query.partition("&t=")[2]
    assert carried.split("-")[1] == trace_of(span) == "a" * 32
    report = DeliveryReport.parse({"MessageSid": a_sid(), "To": ANN, "MessageStatus": "sent"}, "i", "w", carried)
    assert report.trace == carried
    assert (span.attributes or {})["dadacat.outcome"] == "Sent"
    assert WORD not in span.to_json()
    assert ANN[1:] not in span.to_json()


def test_a_report_belongs_to_the_trace_in_its_url_only_if_it_was_verified(exported: Exported) -> None:
    for status in (204, 403, 503):
        ask(f"/sms/status?i=1&t={FIRST}", status)

    followed = {(span.attributes or {})["http.response.status_code"]: trace_of(span) == "a" * 32 for span in exported()}
    assert followed == {204: True, 403: False, 503: False}


def test_a_text_begins_a_trace_whatever_a_stranger_says(exported: Exported) -> None:
    scope = ask(f"/sms?t={FIRST}", 200, headers=[(b"traceparent", FIRST.encode())])

    [span] = exported()
    assert span.parent is None
    assert scope["trace"].split("-")[1] == trace_of(span) != "a" * 32


def test_probes_are_no_spans(exported: Exported) -> None:
    ask("/readyz", 200, method="GET")

    assert exported() == []


def ask(url: str, status: int, *, method: str = "POST", headers: Any = ()) -> dict[str, Any]:
    """Ask an application that answers with `status`; return the scope that it got."""
    got: list[Any] = []

    async def application(scope: Any, _: Any, send: Any) -> None:
        got.append(dict(scope))
        await send({"type": "http.response.start", "status": status, "headers": []})

    async def sent(_: Any) -> None: ...

    parts = urlsplit(url)
    scope = {
        "type": "http", "method": method, "path": parts.path, "query_string": parts.query.encode(), "headers": headers,
    }  # fmt: skip
    asyncio.run(Traced(application)(scope, sent, sent))  # type: ignore[arg-type]  # nothing is received
    return dict(got[0])


def test_what_a_library_puts_into_a_span_stays_here(exported: Exported) -> None:
    tracer = trace.get_tracer("a library")
    with suppress(KeyError), tracer.start_as_current_span("DynamoDB.GetItem") as span:
        span.set_attribute("db.statement", f"GET {ANN}")
        span.set_attribute("rpc.method", "GetItem")
        span.add_event("said", {"body": WORD})
        span.add_link(span.get_span_context(), {"of": ANN})
        raise KeyError(f"{WORD} of {ANN}")

    [left] = exported()
    assert left.status.status_code is StatusCode.ERROR
    assert dict(left.attributes or {}) == {"rpc.method": "GetItem"}
    assert [dict(event.attributes or {}) for event in left.events] == [{}, {"exception.type": "KeyError"}]
    assert WORD not in left.to_json()
    assert ANN[1:] not in left.to_json()


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ConditionalCheckFailedException", StatusCode.UNSET),
        ("TransactionCanceledException", StatusCode.UNSET),
        ("ResourceNotFoundException", StatusCode.ERROR),
    ],
)
def test_a_condition_that_dynamodb_refuses_is_no_failure(exported: Exported, code: str, status: StatusCode) -> None:
    client = boto3.client("dynamodb", region_name="us-east-1", endpoint_url="http://127.0.0.1:9")
    refusal: Any = client.exceptions.from_code(code)  # Any: botocore makes the class

    with suppress(ClientError), trace.get_tracer("a library").start_as_current_span("DynamoDB.UpdateItem"):
        raise refusal({"Error": {"Code": code, "Message": WORD}}, "UpdateItem")

    [left] = exported()
    assert left.status.status_code is status
    assert [dict(event.attributes or {}) for event in left.events] == [
        {"exception.type": f"botocore.errorfactory.{code}"}
    ]


def test_a_call_that_no_text_and_no_task_caused_is_no_trace(exported: Exported) -> None:
    with tracing.span("inbox.renew", kind="client"):
        pass
    with tracing.span("task", kind="consumer"), tracing.span("inbox.take", kind="client"):
        pass

    assert [span.name for span in exported()] == ["inbox.take", "task"]


def test_a_webhook_that_was_not_asked_to_trace_loads_nothing_for_it() -> None:
    # redis-py itself loads what it finds of OpenTelemetry's metrics
    names = "{'opentelemetry.sdk.trace', 'runtime.otel', 'runtime.observe', 'runtime.tracing', 'sentry_sdk'}"
    script = f"import sys, webhook.asgi; print(sorted({names} & sys.modules.keys()))"
    given = {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t", "TWILIO_PHONE_NUMBER": OUR_NUMBER}
    env = {**os.environ, **given, "PUBLIC_URL": "http://127.0.0.1:1"}

    said = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=True)

    assert said.stdout == "[]\n"


def test_opentelemetrys_own_variables_turn_traces_on() -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        assert observe.is_traced({name: "http://collector:4318"})
        assert not observe.is_traced({name: "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"})
        assert not observe.is_traced({name: "http://collector:4318", "OTEL_SDK_DISABLED": "true"})
    assert observe.is_traced({"OTEL_TRACES_EXPORTER": "console"})
    assert not observe.is_traced({"OTEL_SERVICE_NAME": "cat"})


@pytest.fixture
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give back what a start writes into the environment."""
    for name in ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        monkeypatch.setenv(name, "")


@pytest.mark.usefixtures("own_environment")
def test_an_exporter_that_is_not_installed_is_named() -> None:
    for given, name in (
        ({"OTEL_TRACES_EXPORTER": "abacus"}, "abacus"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "otlp_proto_grpc"),
    ):
        with pytest.raises(SettingsError, match=f"OTEL_TRACES_EXPORTER: no exporter {name} is installed"):
            observe.start("webhook", Settings.load({}), given)


@pytest.mark.long
def test_a_process_ends_soon_although_its_collector_is_gone() -> None:
    script = (
        "from runtime import observe, tracing; from runtime.settings import Settings, environment\n"
        "observe.start('worker', Settings.load({}), environment())\n"
        "with tracing.span('turn'): pass"
    )
    env = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    started_at = time.monotonic()

    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=env, capture_output=True, check=True)

    assert time.monotonic() - started_at < 3 * otel.FLUSH_SECONDS + 4
