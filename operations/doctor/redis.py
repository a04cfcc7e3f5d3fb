"""Check Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any, Final
from urllib.parse import urlsplit

import redis

from inbox.connection import connect, translated
from inbox.errors import InboxAway, InboxRefuses
from operations.doctor.findings import TIMEOUT_SECONDS, Level, Result, clock, ok, wrong
from runtime.settings import Settings

#: The oldest version that DadaCat supports.
OLDEST: Final = (7, 0)
#: Name, right value, severity of another value, and its consequence.
_SETTINGS: Final = (
    ("appendonly", "yes", Level.WRONG, "texts acknowledged to Twilio are lost when Redis restarts"),
    ("appendfsync", "always", Level.WARNING, "a power cut loses up to a second of acknowledged texts"),
    ("maxmemory-policy", "noeviction", Level.WRONG, "Redis deletes texts when memory is short"),
)


def client_of(chosen: Settings) -> redis.Redis:
    """Return a client that waits no longer than a check may."""
    return connect(chosen.redis.url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS)


def check(chosen: Settings) -> Iterator[Result]:
    """Check that Redis answers, keeps what it acknowledged, and has the right time."""
    try:
        with translated(), closing(client_of(chosen)) as client:
            info: Any = client.info()
            server = str(info.get("redis_version", "0"))
            problems = list(_problems(client, info, server))
            yield from problems or [ok(f"answers and stores durably; version {server}")]
    except InboxRefuses as exc:
        yield wrong(str(exc), "put user and password into REDIS_URL: redis://user:password@host:6379/0")
    except InboxAway as exc:
        address = urlsplit(chosen.redis.url)
        what = f"nothing answers at {address.hostname}:{address.port or 6379} ({type(exc.__cause__).__name__})"
        yield wrong(what, "start Redis, or set REDIS_URL")


def _problems(client: redis.Redis, info: Mapping[str, Any], server: str) -> Iterator[Result]:
    if tuple(int(part) for part in server.split(".")[:2]) < OLDEST:
        yield wrong(f"its version is {server}", "install at least Redis 7 or Valkey 7.2")
    if info.get("cluster_enabled"):
        yield wrong("it is a cluster, which Celery's transport does not support", "use a single server")
    for name, good, level, consequence in _SETTINGS:
        value = _configured(client, name)
        if value not in (None, good):
            remedy = f"redis-cli config set {name} {good}, and the same in its configuration file"
            yield level, f"{name} is {value}: {consequence}", remedy
    seconds, _ = client.time()
    yield from clock(int(seconds) - time.time())


def _configured(client: redis.Redis, name: str) -> str | None:
    """Return a setting of the server; None if the server hides it, as many hosted ones do."""
    try:
        settings: Any = client.config_get(name)
    except redis.ResponseError:
        return None
    value = settings.get(name) if isinstance(settings, dict) else None
    return value.decode() if isinstance(value, bytes) else value
