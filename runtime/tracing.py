"""Spans of what one text causes. Without OpenTelemetry they cost a function call and do nothing.

`runtime.otel` turns them on, if OpenTelemetry's own variables ask for it. Between two processes a trace is carried as a
W3C trace context, such as `00-<trace>-<span>-01`: in the payload of the inbox, in the wake-up task, and in the URL to
which Twilio reports.

    with tracing.span("engine", engine="openai:gpt-5-mini") as span:
        ...
        span.note(tokens=120)

Facts are ids and counts. A number or a text in one would leave the installation.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Literal, Protocol

Fact = str | int | float | bool
#: Who is on the other side: nothing, the caller of ours, or a service that we call.
Kind = Literal["internal", "client", "consumer"]


class Span(Protocol):
    """A step that is under way."""

    def note(self, **facts: Fact) -> None:
        """Add facts to the span."""


class Spans(Protocol):
    """Where spans go."""

    def span(self, name: str, after: Sequence[str], kind: Kind, facts: dict[str, Fact]) -> AbstractContextManager[Span]:
        """Return a span that lasts as long as the block."""

    def current(self) -> str:
        """Return the trace context of the span under way; empty without one."""


class _NoSpan:
    def note(self, **facts: Fact) -> None:
        """Drop the facts."""


#: The bit of a trace that its sampler chose, https://www.w3.org/TR/trace-context/#sampled-flag.
_SAMPLED: Final = 1
_OFF: Final[AbstractContextManager[Span]] = nullcontext(_NoSpan())
_spans: Spans | None = None


def use(spans: Spans | None) -> None:
    """Send the spans of this process there; None turns them off."""
    global _spans  # noqa: PLW0603 - a process has one place for its spans
    _spans = spans


def is_on() -> bool:
    """Return whether spans go anywhere."""
    return _spans is not None


def spans() -> Spans | None:
    """Return where the spans of this process go; None if they are off."""
    return _spans


def span(
    name: str, *, after: Sequence[str] = (), kind: Kind = "internal", **facts: Fact
) -> AbstractContextManager[Span]:
    """Return a span that lasts as long as the block; an error that leaves the block ends it as failed.

    `after`: the trace contexts of what caused it. The span belongs to the trace of the first, and is linked to the
    others. Without one it belongs to the span under way.
    """
    return _OFF if _spans is None else _spans.span(name, after, kind, facts)


def exported(context: str) -> str:
    """Return the id of the trace in a valid trace context; empty without one, or if it is not sampled."""
    if not context:
        return ""
    _, trace, _, flags = context.split("-")
    return trace if int(flags, 16) & _SAMPLED else ""


def current() -> str:
    """Return the trace context of the span under way; empty without one."""
    return "" if _spans is None else _spans.current()
