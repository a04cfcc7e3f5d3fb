"""A DynamoDB-compatible server whose data survives `kill -9`: ministack behind an append-only journal.

ministack (PyPI, MIT) keeps DynamoDB's guarantees under concurrency but writes to disk only when it is stopped. This
file runs its request handler, one request at a time. It appends every request that changed data to a journal before the
request is answered. At start it replays the journal, and compacts it if it has grown far beyond the data.

It runs in its own virtual environment, because ministack pins another botocore than the application uses. So it must
not import the application.

    python -P local/dynamodb.py --port 8000 --data DIR

DIR/journal.jsonl has one line per request: `[action, region, body]`. A line is written, and synced together with the
lines that arrived meanwhile, before its request is answered. So a killed process loses nothing that a client has seen,
and a power cut nothing that was acknowledged.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import uvicorn

os.environ.setdefault("BIND_HOST", "127.0.0.1")

from ministack.core.responses import request_scope
from ministack.services import dynamodb

ACCOUNT: Final = "000000000000"
JOURNAL: Final = "journal.jsonl"
MAX_REQUEST_BYTES: Final = 17 * 1024 * 1024  # DynamoDB's own limit for a batch is 16 MB
#: The journal is compacted at start if it has more than this many lines for each line that the data needs.
COMPACT_FACTOR: Final = 3
COMPACT_ABOVE_LINES: Final = 2_000

CHANGES: Final = frozenset(
    {
        "BatchExecuteStatement",
        "BatchWriteItem",
        "CreateTable",
        "DeleteItem",
        "DeleteTable",
        "ExecuteStatement",
        "ExecuteTransaction",
        "PutItem",
        "TagResource",
        "TransactWriteItems",
        "UntagResource",
        "UpdateItem",
        "UpdateTable",
        "UpdateTimeToLive",
    }
)
_TABLE_CHANGES: Final = frozenset({"CreateTable", "UpdateTable", "UpdateTimeToLive"})
_REGION = re.compile(rb"Credential=[^/,\s]+/\d+/([a-z0-9-]+)/")

Message = dict[str, Any]
Line = tuple[str, str, str]


class Store:
    """ministack's tables, and the journal from which they are rebuilt."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / JOURNAL
        self._lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        #: The requests that created and changed each table, for compaction.
        self._tables: dict[tuple[str, str], list[Line]] = {}
        self._lines = 0
        self._replay()
        if self._lines > COMPACT_ABOVE_LINES and self._lines > COMPACT_FACTOR * sum(1 for _ in self._snapshot()):
            self._compact()
        self._file = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self._synced = self._lines
        self._sync: asyncio.Task[None] | None = None

    def carry_out(self, action: str, region: str, body: str) -> tuple[int, dict[str, str], bytes]:
        """Answer one request with ministack. On return its change is in the file, but not yet synced."""
        status, headers, answer = _ask(action, region, body)
        if status == 200 and action in CHANGES:  # noqa: PLR2004 - HTTP's OK
            size = os.fstat(self._file).st_size
            try:
                _write_all(self._file, _line((action, region, body)))
            except OSError:
                # Memory is ahead of the file: cut off the partial line and exit, so that a restart reads the file.
                os.ftruncate(self._file, size)
                os._exit(1)
            self._note((action, region, body))
        return status, headers, answer

    async def synced(self) -> None:
        """Wait until every line written so far is on the disk. Concurrent callers share one sync."""
        target = self._lines
        while self._synced < target:
            if self._sync is None:
                self._sync = asyncio.create_task(self._sync_once())
            await asyncio.shield(self._sync)

    async def _sync_once(self) -> None:
        covers = self._lines
        try:
            await asyncio.to_thread(os.fdatasync, self._file)
            self._synced = covers
        finally:
            self._sync = None

    def _replay(self) -> None:
        good = 0
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            for raw in file:
                if not raw.endswith(b"\n"):
                    break  # a process was killed while it wrote the last line
                try:
                    action, region, body = json.loads(raw)
                except ValueError:
                    sys.exit(f"{self._path}: line {self._lines + 1} is damaged; the file was left as it is")
                status, _, answer = _ask(action, region, body)
                if status != 200:  # noqa: PLR2004 - HTTP's OK
                    print(
                        f"journal line {self._lines + 1}: {action} failed on replay: {answer[:200]!r}", file=sys.stderr
                    )
                self._note((action, region, body))
                good += len(raw)
        os.truncate(self._path, good)

    def _note(self, line: Line) -> None:
        self._lines += 1
        action, region, body = line
        if action in _TABLE_CHANGES:
            self._tables.setdefault((region, json.loads(body)["TableName"]), []).append(line)
        elif action == "DeleteTable":
            self._tables.pop((region, json.loads(body)["TableName"]), None)

    def _snapshot(self) -> Iterator[Line]:
        for (region, table), changes in self._tables.items():
            yield from changes
            start: Message = {}
            while True:
                page = json.loads(_ask("Scan", region, json.dumps({"TableName": table, **start}))[2])
                for item in page["Items"]:
                    yield ("PutItem", region, json.dumps({"TableName": table, "Item": item}))
                if "LastEvaluatedKey" not in page:
                    break
                start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _compact(self) -> None:
        fresh = self._path.with_suffix(".new")
        self._lines = 0
        with fresh.open("wb") as file:
            for line in self._snapshot():
                file.write(_line(line))
                self._lines += 1
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def _line(line: Line) -> bytes:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _ask(action: str, region: str, body: str) -> tuple[int, dict[str, str], bytes]:
    """Return ministack's answer. Its handler is a coroutine that never waits, so one step completes it."""
    with request_scope(ACCOUNT, region):
        target = {"x-amz-target": f"DynamoDB_20120810.{action}"}
        handler = dynamodb.handle_request("POST", "/", target, body.encode(), {})
        try:
            handler.send(None)
        except StopIteration as finished:
            status, headers, answer = finished.value
            return status, headers, answer if isinstance(answer, bytes) else answer.encode()
    raise RuntimeError(f"{action} did not complete in one step")


class Server:
    """The ASGI application: DynamoDB's JSON protocol, and `GET /` as a health check."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        if b"origin" in headers or not _is_own(headers.get(b"host", b"").decode("latin-1")):
            # a page in a browser; its site's name may have been made to point at this machine
            await _answer(send, 403, {"content-type": "text/plain"}, b"programs of this machine only\n")
            return
        target = headers.get(b"x-amz-target", b"").decode("ascii", "replace")
        if scope["method"] != "POST" or not target:
            await _answer(send, 200, {"content-type": "text/plain"}, b"dynamodb\n")
            return
        body = await _body(receive)
        if body is None:
            await _answer(send, 413, {"content-type": "text/plain"}, b"too large\n")
            return
        region = _REGION.search(headers.get(b"authorization", b""))
        action = target.rpartition(".")[2]
        status, answer_headers, answer = self._store.carry_out(
            action, region.group(1).decode() if region else "us-east-1", body
        )
        if action in CHANGES:
            await self._store.synced()
        await _answer(send, status, answer_headers, answer)


def _is_own(host: str) -> bool:
    """Return whether a Host header names an IP address or this machine."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ip_address(name))
    except ValueError:
        return False


async def _body(receive: Callable[[], Awaitable[Message]]) -> str | None:
    chunks, size = [], 0
    while True:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MAX_REQUEST_BYTES:
            return None
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks).decode()


async def _answer(
    send: Callable[[Message], Awaitable[None]], status: int, headers: dict[str, str], body: bytes
) -> None:
    headers = {**headers, "content-length": str(len(body))}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    # what is written holds numbers and texts: only its owner may read it
    os.umask(0o077)
    try:
        store = Store(options.data)
    except BlockingIOError:
        sys.exit(f"{options.data} is in use by another server")
    # Everything is already in the file, so the server can stop at once.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        Server(store), host=options.host, port=options.port, lifespan="off", log_level="warning", access_log=False,
        timeout_keep_alive=75,
    )  # fmt: skip


if __name__ == "__main__":
    main()
