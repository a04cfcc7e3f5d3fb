"""Reports of errors to Sentry, or to a server that speaks its protocol, if `SENTRY_DSN` names one.

Each log line of the level `error` is a report: its name, its ids, and the places of the error. What a person sent may
stand in an error's message, in a variable or in an argument, so none of these leaves.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

import sentry_sdk
from sentry_sdk.integrations.atexit import AtexitIntegration
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.excepthook import ExcepthookIntegration
from sentry_sdk.integrations.threading import ThreadingIntegration
from sentry_sdk.types import Event, Hint

from runtime.errors import Discreet

#: Fields of a log line that a report carries: ids and words of ours.
TAGS: Final = ("role", "path", "kind", "item", "sid", "turn", "state", "scope", "task", "task_id", "trace")
#: Parts of a report that leave as the library made them.
_KEPT: Final = ("event_id", "timestamp", "platform", "level", "environment", "release", "sdk", "tags", "fingerprint")
#: Parts of a frame: where it is, and the line of our code.
_FRAME: Final = ("filename", "function", "module", "lineno", "context_line", "in_app")
#: A process that ends waits for this long until its last reports are sent.
FLUSH_SECONDS: Final = 2.0


def configure(role: str, dsn: str) -> logging.Handler:
    """Report the errors of this process there; return the handler that turns log lines into reports."""
    sentry_sdk.init(
        dsn=dsn,
        release=f"dadacat@{version('dadacat')}",
        before_send=discreet,
        include_local_variables=False,
        max_breadcrumbs=0,
        shutdown_timeout=FLUSH_SECONDS,
        # the others read requests, arguments of tasks, and variables
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            AtexitIntegration(callback=lambda *_: None), DedupeIntegration(), ExcepthookIntegration(),
            ThreadingIntegration(propagate_scope=False),
        ],
    )  # fmt: skip
    sentry_sdk.get_global_scope().set_tag("role", role)
    return _Reporter(logging.ERROR)


class _Reporter(logging.Handler):
    """Turns a log line into a report, but for what the libraries that report say about themselves."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to report the line."""
        return not record.name.startswith(("sentry_sdk", "opentelemetry"))

    def emit(self, record: logging.LogRecord) -> None:
        """Report the line. A line of a library is known by its logger: its words may hold anything."""
        fields: Mapping[str, Any] = record.msg if isinstance(record.msg, dict) else {}
        name = str(fields.get("event", record.name))
        error = record.exc_info or fields.get("exc_info")
        with sentry_sdk.new_scope() as scope:
            scope.set_level("error")
            scope.set_tag("event", name)
            for tag in TAGS:
                if fields.get(tag):
                    scope.set_tag(tag, str(fields[tag]))
            if error:
                sentry_sdk.capture_exception(sys.exc_info() if error is True else error)
            else:
                scope.fingerprint = [name]
                sentry_sdk.capture_message(name)


def discreet(event: Event, hint: Hint) -> Event:
    """Return a report without what a person may have sent."""
    made: Mapping[str, Any] = event
    kept: dict[str, Any] = {name: made[name] for name in _KEPT if name in made}
    if "message" in made:
        kept["message"] = made["message"]
    errors = made.get("exception", {}).get("values", ())
    if errors:
        shown = hint["exc_info"][1] if hint.get("exc_info") else None
        kept["exception"] = {"values": [_error(error) for error in errors]}
        if isinstance(shown, Discreet):
            kept["exception"]["values"][-1]["value"] = str(shown)
    return kept  # type: ignore[return-value]  # a dict with the keys of an event


def _error(error: Mapping[str, Any]) -> dict[str, Any]:
    frames = (error.get("stacktrace") or {}).get("frames", ())
    places = [{name: frame[name] for name in _FRAME if name in frame} for frame in frames]
    return {"type": error.get("type"), "module": error.get("module"), "stacktrace": {"frames": places}}
