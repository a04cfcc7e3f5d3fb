"""Log events, not sentences: a static name, with fields beside it.

Fields hold ids and never texts. The caller masks phone numbers.
"""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog

#: What makes a line of an event; `add` appends to it.
_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]

#: At the level of our events these log requests with their bodies, or a line for every task.
_CHATTY = (
    "twilio.http_client httpx httpcore httpx2 httpcore2 urllib3 botocore celery.app.trace openai anthropic google_genai"
    " opentelemetry"
)

#: Where lines go beside standard error.
_ALSO: list[logging.Handler] = []


def configure(role: str, *, form: Literal["json", "console"] = "json", level: str = "info") -> None:
    """Send every logger of this process, ours and the libraries', to standard error in one form."""
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )

    def with_role(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        # not bound to a context: a thread starts with an empty one
        return {"role": role, **event}

    shared = [*_SHARED, with_role]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler, *_ALSO]
    root.setLevel(level.upper())
    for chatty in _CHATTY.split():
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        # its methods below the level do nothing
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )


def add(processor: structlog.typing.Processor) -> None:
    """Let `processor` complete each line, from the next `configure` on."""
    _SHARED.append(processor)


def also(handler: logging.Handler) -> None:
    """Hand each line to `handler` too, from the next `configure` on."""
    _ALSO.append(handler)


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return the logger of that name."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return logger
