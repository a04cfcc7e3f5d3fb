"""What the Redis server says of itself; hosted ones hide much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis

from inbox.connection import translated


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The Redis server; None: it does not say."""

    version: str | None = None
    used_bytes: int | None = None
    #: 0: it has no limit.
    most_bytes: int | None = None
    #: Whether it writes an append-only file: false too while writing fails, as on a full disk.
    appends: bool | None = None


def told(info: Any) -> Server:  # Any: redis-py's answer to INFO
    """Return what an answer to INFO says; nothing if it is a refusal."""
    if not isinstance(info, dict):
        return Server()
    appends = None
    if "aof_enabled" in info:
        appends = bool(info["aof_enabled"]) and info.get("aof_last_write_status", "ok") == "ok"
    version = info.get("redis_version")
    return Server(
        version=None if version is None else str(version),
        used_bytes=info.get("used_memory"),
        most_bytes=info.get("maxmemory"),
        appends=appends,
    )


@translated()
def read(client: redis.Redis) -> Server:
    """Ask the server."""
    try:
        return told(client.info())
    except redis.ResponseError:
        return Server()
