"""OpenTelemetry, off unless its own variables ask for it.

These are `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` and `OTEL_TRACES_EXPORTER`.
The SDK reads its variables itself: sampler, endpoint, headers, limits, resource
(https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
What leaves is chosen here: of each span only the facts in `_KEPT`, and of an error only its type. Whatever a library
puts into a span besides, such as a key, an address or an error's message, stays in this process.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points, version
from typing import Any, Final

from opentelemetry import context, trace
from opentelemetry.propagate import set_global_textmap
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from runtime import logs, tracing

#: Facts that leave: those of ours, and those of OpenTelemetry's conventions that never hold what a person sent.
_OURS: Final = "dadacat."
_KEPT: Final = frozenset(
    {
        "rpc.system", "rpc.system.name", "rpc.service", "rpc.method", "cloud.region", "aws.dynamodb.table_names",
        "retry_attempts", "db.system", "db.system.name", "db.redis.pipeline_length", "server.address", "server.port",
        "net.peer.name", "net.peer.port", "http.request.method", "http.route", "http.status_code",
        "http.response.status_code", "celery.action", "celery.state", "celery.task_name", "celery.hostname",
        "messaging.message.id", "messaging.destination", "messaging.system", "error.type", "exception.type",
    }
)  # fmt: skip
#: Errors by which DynamoDB answers that another write came first: part of the protocol, no failure.
_ANSWERS: Final = ("ConditionalCheckFailedException", "TransactionCanceledException")
_KINDS: Final = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT, "consumer": SpanKind.CONSUMER}
#: The exporters that speak OTLP, by `OTEL_EXPORTER_OTLP_PROTOCOL`. The extra installs the one over HTTP.
_PROTOCOLS: Final = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_carrier: Final = TraceContextTextMapPropagator()
#: A process that ends waits for this long until its last spans are sent: less than what is given to it to stop.
FLUSH_SECONDS: Final = 2.0


class NoExporter(Exception):
    """OTEL_TRACES_EXPORTER names an exporter that is not installed."""


def configure(role: str, variables: Mapping[str, str]) -> None:
    """Send the spans of this process where `variables` say. A second call changes nothing.

    Raises `NoExporter`.
    """
    if tracing.is_on():
        return
    resource = Resource.create(
        {"service.name": f"dadacat-{role}", "service.namespace": "dadacat", "service.version": version("dadacat")}
    )
    if name := variables.get("OTEL_SERVICE_NAME"):
        resource = resource.merge(Resource({"service.name": name}))
    exporter = Discreet(_exporter(variables))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    atexit.register(flush)
    # no baggage: it would carry what a stranger says
    set_global_textmap(_carrier)
    tracing.use(Spans(provider, exporter))
    logs.add(with_trace)


def flush() -> None:
    """Send what is buffered, at the end of the process; a collector that is away is not waited for."""
    if isinstance(spans := tracing.spans(), Spans):
        spans.close()


def with_trace(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # Any: structlog's own
    """Add the ids of the trace and of the span under way to a log line."""
    under_way = trace.get_current_span().get_span_context()
    if under_way.is_valid:
        event["trace"], event["span"] = (
            trace.format_trace_id(under_way.trace_id),
            trace.format_span_id(under_way.span_id),
        )
    return event


def _exporter(variables: Mapping[str, str]) -> Callable[[], SpanExporter]:
    """Return what makes the exporter that the variables name, from OpenTelemetry's own list of them."""
    name = (variables.get("OTEL_TRACES_EXPORTER") or "otlp").strip()
    if name == "otlp":
        spoken = (variables.get(f"OTEL_EXPORTER_OTLP_{which}PROTOCOL") for which in ("TRACES_", ""))
        name = _PROTOCOLS.get(next(filter(None, spoken), "http/protobuf"), "otlp")
    for entry_point in entry_points(group="opentelemetry_traces_exporter", name=name):
        make: Callable[[], SpanExporter] = entry_point.load()
        return make
    raise NoExporter(f"OTEL_TRACES_EXPORTER: no exporter {name} is installed")


class Spans:
    """`tracing.Spans` of a provider."""

    def __init__(self, provider: TracerProvider, exporter: Discreet) -> None:
        self._provider = provider
        self._exporter = exporter
        self._tracer = provider.get_tracer("dadacat")

    @contextmanager
    def span(
        self, name: str, after: Sequence[str], kind: tracing.Kind, facts: dict[str, tracing.Fact]
    ) -> Iterator[tracing.Span]:
        """Write a span that lasts as long as the block."""
        parent, links = _family([cause for text in after if (cause := followed(text)).is_valid])
        with self._tracer.start_as_current_span(
            name, context=parent, kind=_KINDS[kind], attributes=named(facts), links=links
        ) as started:
            yield _Noted(started)

    def current(self) -> str:
        """Return the trace context of the span under way; empty without one."""
        return carried(trace.get_current_span())

    def close(self) -> None:
        """Send what is buffered, for `FLUSH_SECONDS` at most; a second call does nothing."""
        tracing.use(None)
        too_long = threading.Timer(FLUSH_SECONDS, self._exporter.shutdown)
        too_long.daemon = True
        too_long.start()
        self._provider.shutdown()
        too_long.cancel()


class _Noted:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def note(self, **facts: tracing.Fact) -> None:
        self._span.set_attributes(named(facts))


def followed(text: str) -> SpanContext:
    """Return the span that a trace context names; one that is not valid names none."""
    return trace.get_current_span(_carrier.extract({"traceparent": text}, context.Context())).get_span_context()


def carried(span: trace.Span) -> str:
    """Return the trace context of a span; empty if there is none."""
    own = span.get_span_context()
    if not own.is_valid:
        return ""
    return f"00-{trace.format_trace_id(own.trace_id)}-{trace.format_span_id(own.span_id)}-{own.trace_flags:02x}"


def named(facts: Mapping[str, tracing.Fact]) -> dict[str, AttributeValue]:
    """Return facts of ours by their names in a span, such as `dadacat.engine`."""
    return {f"{_OURS}{name}": value for name, value in facts.items()}


def _family(causes: Sequence[SpanContext]) -> tuple[context.Context | None, list[Link]]:
    """Return the parent, None for the span under way, and the links."""
    under_way = trace.get_current_span().get_span_context()
    if not causes:
        return None, []
    if causes[0].trace_id == under_way.trace_id:
        return None, [Link(cause) for cause in causes[1:]]
    others = [*causes[1:], *([under_way] if under_way.is_valid else [])]
    return trace.set_span_in_context(trace.NonRecordingSpan(causes[0])), [Link(other) for other in others]


class Discreet(SpanExporter):
    """Exports of each span what may leave, and nothing else."""

    def __init__(self, make: Callable[[], SpanExporter]) -> None:
        self._make = make
        self._exporter, self._process = make(), os.getpid()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export the spans without what a library put into them.

        A call that neither a text nor a task caused, such as the renewal of a lease, is no trace of its own.
        """
        if self._process != os.getpid():
            # a child of a prefork pool must not share its parent's connection
            self._exporter, self._process = self._make(), os.getpid()
        leaving = [_discreet(span) for span in spans if span.parent is not None or span.kind is not SpanKind.CLIENT]
        return self._exporter.export(leaving) if leaving else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Shut the exporter down."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush the exporter."""
        return self._exporter.force_flush(timeout_millis)


def _discreet(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_kept(span.attributes),
        events=[Event(event.name, _kept(event.attributes), event.timestamp) for event in span.events],
        links=[Link(link.context) for link in span.links],
        kind=span.kind,
        status=_status(span),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _status(span: ReadableSpan) -> Status:
    """Return the status without its description, the error's message; a refused condition is an answer."""
    errors = (str((event.attributes or {}).get("exception.type", "")) for event in span.events)
    return Status(StatusCode.UNSET if any(error.endswith(_ANSWERS) for error in errors) else span.status.status_code)


def _kept(facts: Mapping[str, AttributeValue] | None) -> dict[str, AttributeValue]:
    return {name: value for name, value in (facts or {}).items() if name in _KEPT or name.startswith(_OURS)}
