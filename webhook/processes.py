"""Several webhook processes at one port, one for each core that may be busy.

Uvicorn's supervisor makes the listening socket, starts the processes, starts another where one died or hangs, and ends them. The socket is one for
all: a connection that nobody has taken yet outlives any of them, which with a socket for each (SO_REUSEPORT) it would not.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Final

#: Where prometheus_client keeps what several processes count together. It is looked at when that package is imported.
SHARED_FIGURES: Final = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def counted_together() -> Iterator[None]:
    """Let the processes that are started meanwhile count together; where they do is removed at the end, unless the environment names it."""
    if SHARED_FIGURES in os.environ:
        yield
        return
    os.environ[SHARED_FIGURES] = tempfile.mkdtemp(prefix="dadacat-metrics-")
    try:
        yield
    finally:
        shutil.rmtree(os.environ.pop(SHARED_FIGURES), ignore_errors=True)


def end_with_supervisor() -> None:
    """Have this process end, as at a SIGTERM, when its supervisor is gone: nobody else would, and it would hold the port."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        threading.Thread(target=_follow, args=(supervisor,), name="supervisor", daemon=True).start()


def _follow(supervisor: BaseProcess) -> None:
    supervisor.join()
    os.kill(os.getpid(), signal.SIGTERM)
