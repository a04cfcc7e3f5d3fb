"""OpenTelemetry's own instrumentation of Celery, redis-py and botocore, in a worker.

Neither requests nor httpx serves a worker: Twilio's client and the engines bring their own transports, and
`sms.traced` and `cat.engines.guarded` write their spans.
"""

from __future__ import annotations

import hashlib
import importlib.resources
from collections.abc import Sequence
from functools import cache
from typing import Any

import redis

from inbox import scripts
from runtime import observe, tracing
from runtime.settings import Settings, environment


def start(role: str, chosen: Settings) -> None:
    """Start the logs of a process of Celery, and what is asked for: crash reports and traces.

    Neither beat nor Flower takes part in a text's road. Raises `SettingsError`.
    """
    observe.start(role, chosen, environment() if role == "worker" else {})
    if tracing.is_on():
        _libraries()


def _libraries() -> None:
    """Write a span for each task and for each call to AWS."""
    from opentelemetry.instrumentation.botocore import BotocoreInstrumentor  # noqa: PLC0415 - an extra
    from opentelemetry.instrumentation.celery import CeleryInstrumentor  # noqa: PLC0415

    CeleryInstrumentor().instrument()  # type: ignore[no-untyped-call]  # it has no types
    BotocoreInstrumentor().instrument()  # type: ignore[no-untyped-call]


def client(client: redis.Redis) -> redis.Redis:
    """Write a span for each command of this client; Celery's own connection would write one a second."""
    if tracing.is_on():
        from opentelemetry.instrumentation.redis import RedisInstrumentor  # noqa: PLC0415 - an extra

        RedisInstrumentor.instrument_client(client, request_hook=_name)
    return client


def _name(span: Any, _: object, args: Sequence[Any], __: object) -> None:  # Any: redis-py's and OpenTelemetry's own
    """Name the span of a script after the script, such as `take`."""
    if args[0] == "EVALSHA" and (name := _scripts().get(args[1])):
        span.update_name(f"inbox.{name}")


@cache
def _scripts() -> dict[str, str]:
    """Return the name of each script by the digest that redis-py calls it by."""
    files = (file.name.removesuffix(".lua") for file in importlib.resources.files(scripts).iterdir())
    names = [name for name in files if "." not in name and not name.startswith("_")]
    return {hashlib.sha1(scripts.script(name).encode(), usedforsecurity=False).hexdigest(): name for name in names}
