"""Flower as `dadacat flower` runs it: behind its login, and with a memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from celery import Celery

from chaos.tree import free_port
from runtime.settings import without_settings
from tests.conftest import end, wait_until
from worker.build import flower

LOGIN = ("cat", "purr")


@contextmanager
def a_flower(redis_url: str, folder: Path, **more: str) -> Iterator[httpx.Client]:
    """Run Flower, and yield a client without its login."""
    port = free_port()
    given = {"REDIS_URL": redis_url, "FLOWER_BASIC_AUTH": ":".join(LOGIN), "FLOWER_DB": str(folder / "kept" / "tasks")}
    given |= more
    command = [str(Path(sys.executable).parent / "dadacat"), "flower", "--port", str(port)]
    process = subprocess.Popen(command, env={**without_settings(os.environ), **given}, stderr=subprocess.DEVNULL)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:

        def answers() -> bool:
            try:
                return client.get("/healthcheck").is_success
            except httpx.TransportError:
                return False

        try:
            wait_until(answers, seconds=30, what="Flower")
            yield client
        finally:
            end(process)


@pytest.mark.long
def test_flower_is_behind_its_login_and_keeps_its_tasks(redis_url: str, tmp_path: Path) -> None:
    task, person = str(uuid4()), "3f2a" * 6

    with a_flower(redis_url, tmp_path) as client:
        for path in ("/", "/tasks", "/api/tasks", "/metrics"):
            assert client.get(path).status_code == 401, path
        assert client.get("/metrics", auth=LOGIN).status_code == 200

        # Flower listens for events some time after it answers
        def shows_it() -> bool:
            with Celery(broker=redis_url).connection() as connection:
                events = Celery(broker=redis_url).events.Dispatcher(connection, hostname="w1@here")
                events.send("task-received", uuid=task, name="dadacat.answer", args=f"('{person}',)")
            return task in client.get("/api/tasks", auth=LOGIN).json()

        wait_until(shows_it, seconds=20, what="the task")

    with a_flower(redis_url, tmp_path) as client:
        assert client.get("/api/tasks", auth=LOGIN).json()[task]["name"] == "dadacat.answer"
        page = {"draw": 1, "start": 0, "length": 10, "search[value]": "", "order[0][column]": 0, "order[0][dir]": "asc"}
        shown = client.post("/tasks/datatable", auth=LOGIN, data={**page, "columns[0][data]": "name"}).json()
        assert [row["args"] for row in shown["data"]] == [f"person {person}"]
        columns = client.get("/tasks", auth=LOGIN).text
        assert "uuid" in columns
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "kept").iterdir()} == {0}


@pytest.mark.long
def test_a_worker_that_is_silent_for_long_is_no_longer_listed(redis_url: str, tmp_path: Path) -> None:
    """In seconds instead of `PURGE_SECONDS`; the worker that goes on stays."""
    assert flower.PURGE_SECONDS > 0
    with (
        a_flower(redis_url, tmp_path, FLOWER_PURGE_OFFLINE_WORKERS="3") as client,
        Celery(broker=redis_url).connection() as connection,
    ):

        def listed(*beating: str) -> set[str]:
            for name in beating:
                Celery(broker=redis_url).events.Dispatcher(connection, hostname=name).send("worker-heartbeat", freq=1)
            workers = client.get("/workers", params={"json": 1}, auth=LOGIN).json()["data"]
            return {worker["hostname"] for worker in workers}

        wait_until(lambda: listed("w1@here", "w2@here") == {"w1@here", "w2@here"}, seconds=20, what="both workers")
        wait_until(lambda: listed("w2@here") == {"w2@here"}, seconds=20, what="the end of the silent one")
