"""Several webhook processes on one port.

An acknowledged text is kept if a process dies. The processes share their metrics, and end together.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import redis

from chaos.tree import free_port
from inbox import keys
from runtime.settings import without_settings
from sms import signature
from tests.builders import OUR_NUMBER, a_sid
from tests.conftest import end, wait_until

TOKEN, NEXT_TOKEN = "the-token-of-today", "the-token-of-tomorrow"


class Webhook:
    """A running `dadacat webhook --processes N`, and a client that sends texts as Twilio does."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
        self.process, self.url, self.folder = process, f"http://127.0.0.1:{port}", folder
        self.http = httpx.Client(timeout=10, headers={"Connection": "close"})

    def processes(self) -> list[int]:
        """Return the process ids of the processes that answer requests."""
        listed = subprocess.run(
            ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self.process.pid)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return [int(line.split()[0]) for line in listed.stdout.splitlines() if "spawn_main" in line]

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
def a_webhook(redis_url: str, folder: Path, *, processes: int) -> Iterator[Webhook]:
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
    command = [str(Path(sys.prefix) / "bin" / "dadacat"), "webhook", "--port", str(port), "--processes", str(processes)]
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
        wait_until(lambda: len(webhook.processes()) == processes, what="all processes")
        yield webhook
    finally:
        webhook.http.close()
        end(process)


@pytest.fixture
def webhook(redis_url: str, redis_client: redis.Redis, tmp_path: Path) -> Iterator[Webhook]:
    redis_client.flushall()
    with a_webhook(redis_url, tmp_path, processes=3) as running:
        yield running


def test_a_process_that_dies_takes_nothing_along(webhook: Webhook, redis_client: redis.Redis) -> None:
    first = webhook.processes()
    bringing, answers = threading.Event(), Counter[int]()

    def bring(start: int) -> list[int]:
        statuses = []
        for number in range(start, start + 60):
            statuses.append(webhook.text(number))
            bringing.set()
        return statuses

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(bring, start) for start in (0, 1000, 2000, 3000)]
        bringing.wait(20)
        os.kill(first[0], signal.SIGKILL)
        for one in futures:
            answers.update(one.result())

    assert answers == {200: 240}
    assert redis_client.zcard(keys.WAITING) == 240
    assert sum(redis_client.xlen(key) for key in redis_client.keys(keys.texts("*"))) == 240
    wait_until(lambda: len(set(webhook.processes()) - {first[0]}) == 3, what="another process")
    # the count includes the dead process; a text is sent and counted again if its answer was lost with that process
    assert 240 <= webhook.counted() <= 244


def test_at_a_hangup_they_are_replaced_one_by_one_and_read_their_keys_anew(webhook: Webhook) -> None:
    before = set(webhook.processes())
    assert (webhook.text(1), webhook.text(2, token=NEXT_TOKEN)) == (200, 403)

    (webhook.folder / ".env").write_text(f"TWILIO_AUTH_TOKEN={TOKEN}\nTWILIO_AUTH_TOKEN_SECONDARY={NEXT_TOKEN}\n")
    webhook.process.send_signal(signal.SIGHUP)
    answers = Counter[int]()
    numbers = iter(range(10, 100_000))

    def replaced() -> bool:
        answers[webhook.text(next(numbers))] += 1
        after = set(webhook.processes())
        return len(after) == 3 and not after & before

    wait_until(replaced, seconds=60, what="three others")

    assert set(answers) == {200}
    assert {webhook.text(next(numbers), token=NEXT_TOKEN) for _ in range(12)} == {200}


def test_they_end_together(webhook: Webhook) -> None:
    webhook.text(1)
    webhook.process.terminate()

    assert webhook.process.wait(20) == 0
    assert webhook.processes() == []
    assert not list(webhook.folder.glob("dadacat-metrics-*"))
    with pytest.raises(httpx.ConnectError):
        webhook.http.get(f"{webhook.url}/livez")


def test_they_do_not_outlive_their_supervisor(webhook: Webhook) -> None:
    processes = webhook.processes()
    webhook.process.kill()
    webhook.process.wait(20)

    try:
        wait_until(lambda: not any(map(_runs, processes)), what="their end")
    finally:
        for pid in filter(_runs, processes):
            os.kill(pid, signal.SIGKILL)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
