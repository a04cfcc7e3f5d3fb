"""A running `dadacat webhook`, as users start it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from chaos.tree import free_port
from runtime.settings import without_settings
from sms import signature
from tests.builders import OUR_NUMBER, a_sid
from tests.conftest import end, wait_until

TOKEN, NEXT_TOKEN = "the-token-of-today", "the-token-of-tomorrow"


class Webhook:
    """A running `dadacat webhook --processes N`, and a client that sends texts as Twilio does."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
        self.process, self.port, self.url, self.folder = process, port, f"http://127.0.0.1:{port}", folder
        self.http = httpx.Client(timeout=10, headers={"Connection": "close"})

    def processes(self) -> list[int]:
        """Return the process ids of the processes that answer requests."""
        listed = subprocess.run(
            ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self.process.pid)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return [int(line.split()[0]) for line in listed.stdout.splitlines() if "spawn_main" in line]

    def listening(self) -> int:
        """Return how many processes accept connections at the port, as the system counts them."""
        address = f"0100007F:{self.port:04X} 00000000:0000 0A"
        return Path("/proc/net/tcp").read_text().count(address)

    def text(self, number: int, *, token: str = TOKEN) -> int:
        """Send a text on a new connection, again if the connection broke, as Twilio does; return the status."""
        fields = {
            "MessageSid": a_sid(), "AccountSid": "AC1", "From": f"+1555{number:07d}", "To": OUR_NUMBER, "Body": "hi",
        }  # fmt: skip
        headers = {"X-Twilio-Signature": signature.sign(token, f"{self.url}/sms", fields)}
        for _ in range(3):
            try:
                return self.http.post(f"{self.url}/sms", data=fields, headers=headers).status_code
            except httpx.TransportError:
                continue
        return 0

    def counted(self) -> int:
        """Return the number of acknowledged texts in `/metrics`."""
        page = self.http.get(f"{self.url}/metrics").text
        counts = re.findall(r'^dadacat_webhook_requests_total\{path="/sms",status="200"\} (\S+)$', page, re.MULTILINE)
        assert len(counts) == 1, page
        return int(float(counts[0]))


@contextmanager
def a_webhook(
    redis_url: str, folder: Path, *, processes: int = 1, request_seconds: float = 15, files: int = 0
) -> Iterator[Webhook]:
    """Run a webhook. `files`: the system allows it no more open files than this."""
    port = free_port()
    (folder / ".env").write_text(f"TWILIO_AUTH_TOKEN={TOKEN}\n")
    env = {
        **without_settings(os.environ),
        "REDIS_URL": redis_url,
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "TWILIO_ACCOUNT_SID": "AC1",
        "TWILIO_PHONE_NUMBER": OUR_NUMBER,
        "TMPDIR": str(folder),
    }
    command = [
        str(Path(sys.prefix) / "bin" / "dadacat"), "webhook", "--port", str(port),
        "--processes", str(processes), "--request-seconds", str(request_seconds),
    ]  # fmt: skip
    if files:
        command = ["prlimit", f"--nofile=256:{files}", *command]
    with (folder / "webhook.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
    webhook = Webhook(process, port, folder)

    def ready() -> bool:
        try:
            return webhook.http.get(f"{webhook.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_until(ready, seconds=60, what="the webhook")
        wait_until(lambda: webhook.listening() == processes, seconds=60, what="all processes")
        yield webhook
    finally:
        webhook.http.close()
        end(process)
