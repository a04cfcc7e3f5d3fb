"""The processes of ours that are connected to Redis, with their versions, as Redis lists them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import redis

from inbox.client_info import PROCESS
from inbox.connection import translated

#: `redis-py(dadacat-worker_v0.1.0+4711)`, as `inbox.client_info` writes it.
_DRIVER: Final = re.compile(rf"{PROCESS}(?P<role>[a-z-]+)_v(?P<version>[^+;)]+)\+(?P<pid>\d+)")
#: `dadacat-beat-0.1.0`, or `dadacat-worker` of an earlier release: the connections of Celery's own.
_CELERY: Final = re.compile(rf"{PROCESS}(?P<role>[a-z]+)(?:-(?P<version>.+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process, or several of one role at one address if they do not tell their ids."""

    role: str
    #: Empty: it does not tell.
    version: str
    pid: str
    address: str
    connections: int
    #: Age of its oldest connection.
    seconds: int


@translated()
def connected(client: redis.Redis) -> list[Process]:
    """Return the processes that are connected now; none if the server does not list connections."""
    try:
        listed: Any = client.client_list()
    except redis.ResponseError:
        return []
    return read(listed)


def read(listed: Iterable[Mapping[str, str]]) -> list[Process]:
    """Return the processes in a list of connections, by role and address."""
    ages: dict[tuple[str, str, str, str], list[int]] = {}
    for connection in listed:
        match = _DRIVER.search(connection.get("lib-name", "")) or _CELERY.fullmatch(connection.get("name", ""))
        if match is None:
            continue
        address = connection.get("addr", "").rpartition(":")[0]
        found = match.groupdict()
        key = (found["role"], found["version"] or "", found.get("pid") or "", address)
        ages.setdefault(key, []).append(int(connection.get("age", 0)))
    telling = {(role, address) for role, _, pid, address in ages if pid}
    # Celery's own connections of a process that tells its id elsewhere
    ages = {key: of_key for key, of_key in ages.items() if key[2] or (key[0], key[3]) not in telling}
    return [
        Process(role=role, version=version, pid=pid, address=address, connections=len(all_), seconds=max(all_))
        for (role, version, pid, address), all_ in sorted(ages.items())
    ]
