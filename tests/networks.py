"""A running `dadacat simulator`, as users start it by itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from chaos.tree import free_port
from tests.conftest import end, http_ok, wait_until

ACCOUNT, TOKEN = "AC" + "1" * 32, "t"


@contextmanager
def a_network(folder: Path, **settings: str) -> Iterator[Mapping[str, str]]:
    """Run a network; yield the settings with which an application finds it."""
    port = free_port()
    shared = {
        "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN, "TWILIO_API_BASE_URL": f"http://127.0.0.1:{port}",
        **settings,
    }  # fmt: skip
    env = {"PATH": "/bin", "PYTHONPATH": ":".join(filter(None, sys.path)), **shared}
    command = [str(Path(sys.prefix) / "bin" / "dadacat"), "simulator", "--port", str(port)]
    with (folder / "network.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
    try:
        wait_until(lambda: http_ok(f"{shared['TWILIO_API_BASE_URL']}/phone"), what="the simulator")
        yield shared
    finally:
        end(process)
