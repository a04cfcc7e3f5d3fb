"""Several webhook processes on one port.

An acknowledged text is kept if a process dies. The processes share their metrics, and end together.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import redis

from inbox import keys
from tests.conftest import wait_until
from tests.webhooks import NEXT_TOKEN, TOKEN, Webhook, a_webhook

#: Of a process without connections. One that keeps a descriptor of each look around has hundreds.
MOST_FILES = 40


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


def test_each_has_few_files_open_once_it_listens(webhook: Webhook) -> None:
    for pid in webhook.processes():
        # of its own: libraries, pipes to its supervisor, Redis; connections take what the limit leaves
        assert len(list(Path(f"/proc/{pid}/fd").iterdir())) < MOST_FILES


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
