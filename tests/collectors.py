"""Receivers of OTLP (protobuf over HTTP) and of Sentry's envelopes, on real sockets."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A span as it arrived."""

    process: str
    name: str
    trace: str
    id: str
    parent: str
    links: tuple[str, ...]
    facts: dict[str, Any]  # Any: OTLP's values
    failed: bool


@dataclass
class Collector:
    """What arrived so far. `port` of a running receiver."""

    port: int = 0
    #: Paths and bodies of the requests, the bodies unpacked.
    requests: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def dsn(self) -> str:
        return f"http://public@127.0.0.1:{self.port}/42"

    def spans(self) -> list[Seen]:
        read = []
        for path, body in list(self.requests):
            if path != "/v1/traces":
                continue
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                process = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
                read += [
                    Seen(
                        process=process,
                        name=span.name,
                        trace=span.trace_id.hex(),
                        id=span.span_id.hex(),
                        parent=span.parent_span_id.hex(),
                        links=tuple(link.trace_id.hex() for link in span.links),
                        facts={fact.key: next(iter(MessageToDict(fact.value).values())) for fact in span.attributes},
                        failed=span.status.code == span.status.STATUS_CODE_ERROR,
                    )
                    for scope in resource.scope_spans
                    for span in scope.spans
                ]
        return read

    def reports(self) -> list[dict[str, Any]]:
        """Return the events in the envelopes."""
        bodies = [body for path, body in list(self.requests) if path == "/api/42/envelope/"]
        lines = [json.loads(line) for body in bodies for line in body.splitlines() if line]
        return [line for line in lines if "event_id" in line and "level" in line]

    def everything(self) -> str:
        """Return all that arrived, as text in which a number or a word would be found."""
        return "\n".join(body.decode("latin-1") for _, body in list(self.requests))


@contextmanager
def collector() -> Iterator[Collector]:
    """Run a receiver for as long as the block."""
    kept = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.requests.append((self.path, gzip.decompress(body) if "Content-Encoding" in self.headers else body))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept.port = server.server_port
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        yield kept
        server.shutdown()
        serving.join()
