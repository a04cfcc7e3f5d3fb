"""A DynamoDB-compatible server whose data survives `kill -9`: ministack's DynamoDB behind an append-only journal.

ministack (PyPI, MIT) keeps DynamoDB's promises under concurrency but writes to disk only when it is asked to stop. This file runs its
request handler, one request at a time, and appends every request that changed something to a journal before it is answered; at start the
journal is replayed and, when it has grown far beyond the data, written anew.

It runs in an environment of its own, because ministack pins another botocore than the application uses, so it imports nothing of ours.

    python -P dadacat/embedded/dynamodb.py --port 8000 --data DIR

DIR/journal.jsonl holds one line a request: `[action, region, body]`. A line is written before its request is answered and synced together
with those that came in meanwhile, so a killed process loses nothing that anybody saw, and a power cut nothing that was acknowledged.
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
from pathlib import Path
from typing import Any, Final

import uvicorn

os.environ.setdefault("BIND_HOST", "127.0.0.1")

from ministack.core.responses import request_scope
from ministack.services import dynamodb

ACCOUNT: Final = "000000000000"
JOURNAL: Final = "journal.jsonl"
MAX_REQUEST_BYTES: Final = 17 * 1024 * 1024  # DynamoDB's own limit for a batch is 16 MB
#: The journal is written anew at start when it holds more than this many lines for each line that the data needs.
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
    """ministack's tables and the journal that they can be rebuilt from."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / JOURNAL
        self._lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        #: The requests that made and changed each table, to write the journal anew from.
        self._tables: dict[tuple[str, str], list[Line]] = {}
        self._lines = 0
        self._replay()
        if self._lines > COMPACT_ABOVE_LINES and self._lines > COMPACT_FACTOR * sum(1 for _ in self._snapshot()):
            self._compact()
        self._file = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self._synced = self._lines
        self._sync: asyncio.Task[None] | None = None

    def carry_out(self, action: str, region: str, body: str) -> tuple[int, dict[str, str], bytes]:
        """Let ministack answer one request; whatever it changed is in the file when this returns, though not yet synced."""
        status, headers, answer = _ask(action, region, body)
        if status == 200 and action in CHANGES:  # noqa: PLR2004 - HTTP's OK
            size = os.fstat(self._file).st_size
            try:
                _write_all(self._file, _line((action, region, body)))
            except OSError:
                # memory holds what the file does not: begin anew from the file, without the half line
                os.ftruncate(self._file, size)
                os._exit(1)
            self._note((action, region, body))
        return status, headers, answer

    async def synced(self) -> None:
        """Wait until all that is in the file by now is on the disk; whoever waits at the same time shares one sync."""
        mine = self._lines
        while self._synced < mine:
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
                    break  # the last line of a process that was killed while it wrote
                try:
                    action, region, body = json.loads(raw)
                except ValueError:
                    sys.exit(f"{self._path}: line {self._lines + 1} is damaged; nothing was changed")
                status, _, answer = _ask(action, region, body)
                if status != 200:  # noqa: PLR2004 - HTTP's OK
                    print(
                        f"journal line {self._lines + 1}: {action} no longer holds: {answer[:200]!r}", file=sys.stderr
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
    """Ministack's answer. Its handler is a coroutine that never waits, so one step of it is all of it."""
    with request_scope(ACCOUNT, region):
        asked = dynamodb.handle_request("POST", "/", {"x-amz-target": f"DynamoDB_20120810.{action}"}, body.encode(), {})
        try:
            asked.send(None)
        except StopIteration as answered:
            status, headers, answer = answered.value
            return status, headers, answer if isinstance(answer, bytes) else answer.encode()
    raise RuntimeError(f"{action} waited for something")


class Server:
    """The ASGI application: DynamoDB's JSON protocol, and GET / for those who ask whether it is there."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
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
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    asked = parser.parse_args()
    try:
        store = Store(asked.data)
    except BlockingIOError:
        sys.exit(f"{asked.data} is in use by another server")
    # nothing has to be written when it stops, so it stops at once
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        Server(store), host=asked.host, port=asked.port, lifespan="off", log_level="warning", access_log=False,
        timeout_keep_alive=75,
    )  # fmt: skip


if __name__ == "__main__":
    main()
