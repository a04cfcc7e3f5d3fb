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

LOGIN = ("cat", "purr")


@contextmanager
def a_flower(redis_url: str, folder: Path) -> Iterator[httpx.Client]:
    """Run Flower, and yield a client without its login."""
    port = free_port()
    given = {"REDIS_URL": redis_url, "FLOWER_BASIC_AUTH": ":".join(LOGIN), "FLOWER_DB": str(folder / "kept" / "tasks")}
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
