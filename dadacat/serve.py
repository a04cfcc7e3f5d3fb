"""Serve the application with granian: one supervisor, and one process for each core to use.

Granian restarts a process that dies, replaces them one by one at a SIGHUP, and lets requests finish at a SIGTERM.
If a process dies again within seconds of its restart, granian ends them all: what starts `dadacat webhook` must restart
it, as compose and systemd do. A SIGTERM during a replacement is obeyed when the replacement is complete.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings

from runtime import logs
from runtime.process import prepare
from webhook import build
from webhook.app import BODY_SECONDS, Application

#: Twilio's headers are well below one kilobyte, behind a proxy below two.
MAX_HEAD_BYTES: Final = 16_384
#: Connections of one process. A connection without a request lives for `request_seconds`.
MOST_CONNECTIONS: Final = 4_096
#: Files of a process beside its connections.
OTHER_FILES: Final = 256
#: How often a process looks whether its connections are used up, and how often it says so.
LOOK_SECONDS: Final = 1.0
SAY_SECONDS: Final = 60.0
#: Requests in progress may finish. Longer than the wait for Redis (`ingest.STORE_SECONDS`).
GRACE_SECONDS: Final = 5
#: New objects after which Python looks for cycles among them. The objects of a text form none.
NEW_OBJECTS: Final = 50_000
#: Where prometheus_client keeps what several processes count together. It reads the name when it is imported.
SHARED_METRICS: Final = "PROMETHEUS_MULTIPROC_DIR"

log = logs.get("webhook")


def serve(host: str, port: int, *, processes: int, request_seconds: float = BODY_SECONDS) -> None:
    """Serve until SIGTERM.

    `request_seconds`: a connection is closed if a head, a body or the next request takes longer to arrive.
    """
    # connections beyond it wait in the system's queue; without room for them, they would be closed unanswered
    most = min(MOST_CONNECTIONS, max(1, prepare() - OTHER_FILES))
    # a forked process would start with the supervisor's signal handlers and threads
    multiprocessing.set_start_method("spawn", force=True)
    server = Granian(
        "webhook.asgi:app",
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        workers=processes,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=int(1000 * request_seconds), max_buffer_size=MAX_HEAD_BYTES),
        websockets=False,
        backpressure=most,
        log_dictconfig={"loggers": {"_granian": {"propagate": True}}},
        respawn_failed_workers=True,
        workers_kill_timeout=GRACE_SECONDS,
    )
    with tempfile.TemporaryDirectory(prefix="dadacat-metrics-") as folder:
        if processes > 1:
            os.environ.setdefault(SHARED_METRICS, folder)
        server.serve(target_loader=partial(_load, request_seconds, most), wrap_loader=False)


def _load(request_seconds: float, most: int) -> Application:
    """Return the application, in a process of its own."""
    application = build.app(body_seconds=request_seconds)
    # what is loaded now stays: to search it for garbage again and again takes a tenth of the CPU of a text
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)
    threading.Thread(target=_watch, args=(request_seconds, most), name="supervisor", daemon=True).start()
    return application


def _watch(request_seconds: float, most: int) -> None:
    """Limit connections that read no answers, and log when no more are accepted.

    End this process when its supervisor is gone: otherwise it would go on holding the port.
    """
    supervisor = multiprocessing.parent_process()
    assert supervisor is not None
    while not _limit_unread(request_seconds) and supervisor.is_alive():
        time.sleep(0.1)
    silent_until = 0.0
    while supervisor.is_alive():
        if time.monotonic() >= silent_until and _open_files() > most:
            log.warning("connections are used up: further ones wait", most=most)
            silent_until = time.monotonic() + SAY_SECONDS
        supervisor.join(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir()) if sys.platform == "linux" else 0


def _limit_unread(seconds: float) -> bool:
    """Close connections that take no answer for so long; False if the server does not listen yet.

    Granian has no such limit. A connection inherits the option from the socket that accepted it.
    """
    if sys.platform != "linux":
        return True
    found = False
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            # a descriptor of anything else would stay open: `socket` refuses it and does not close it
            if not str(link.readlink()).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(link.name))) as listening:
                if listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * seconds))
                    found = True
    return found
