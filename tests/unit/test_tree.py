"""The launcher's tree: nothing is left behind, and neither a log nor a full disk stops it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from chaos.tree import free_base
from local import data_folder
from local.errors import CannotStart
from local.plan import LAST_PORT, Plan, UpOptions, make_plan
from local.programs import Program, http_answers
from local.tree import Tree
from tests.conftest import SLOWER, wait_until

#: Time to kill what does not stop; a test that passes does not take it.
STOP_SECONDS = 4.0 * SLOWER
#: Ends with what it is told in `at_stop`, when the launcher stops it.
SHELL = "trap '{at_stop}; exit' TERM; touch {name}.up; while :; do sleep 0.05; done"


def program(name: str, folder: Path, *, at_stop: str = ":") -> Program:
    started = folder / f"{name}.up"
    return Program(
        name=name,
        command=["/bin/sh", "-c", f"cd {folder}; " + SHELL.format(name=name, at_stop=at_stop)],
        environment={"PATH": os.environ["PATH"]},
        answers=started.exists,
        stop_seconds=STOP_SECONDS,
    )


def children() -> set[str]:
    listed = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(os.getpid())], capture_output=True, check=False)
    return {line for line in listed.stdout.decode().splitlines() if not line.endswith(" ps")}


def broken(name: str, folder: Path) -> Program:
    """Return a program that cannot be started, as its name says: a folder stands in place of the log."""
    if name == "no log":
        (folder / "logs" / f"{name}.log").mkdir(parents=True)
    command = ["/no/such/program"] if name == "no command" else ["/bin/sleep", "60"]
    return Program(name=name, command=command, environment={}, answers=lambda: True)


@pytest.mark.parametrize("name", ["no command", "no log"])
def test_a_program_that_cannot_be_started_leaves_none_of_its_group(tmp_path: Path, name: str) -> None:
    before, tree = children(), Tree(tmp_path, [])

    with pytest.raises(CannotStart, match=f"{name} cannot be started"):
        tree.start([program("first", tmp_path), broken(name, tmp_path)])
    tree.stop()

    assert children() <= before


def test_workers_stop_together_and_before_what_they_need(tmp_path: Path) -> None:
    """Each worker ends when all were told to; one after another, the first would be killed."""
    told = "touch $$.told; until [ $(ls *.told | wc -l) = 3 ]; do sleep 0.05; done; touch $$.done"
    tree = Tree(tmp_path, [])
    webhook = program("webhook", tmp_path, at_stop="ls *.done | wc -l > ended")
    tree.start([webhook, *(program(f"worker-{number}", tmp_path, at_stop=told) for number in (1, 2, 3))])

    tree.stop()

    assert (tmp_path / "ended").read_text().strip() == "3"


def test_a_status_that_cannot_be_written_stops_no_tree(tmp_path: Path) -> None:
    """A file stands in place of the status's folder while a process is started again."""
    stopping, pids = list[int](), list[int]()
    tree, run, up = Tree(tmp_path, stopping), tmp_path / "run", tmp_path / "webhook.up"
    run.mkdir()
    tree.start([program("webhook", tmp_path)])

    def strike(first: int) -> None:
        try:
            (run / "status.json").unlink()
            run.rmdir()
            run.touch()
            up.unlink()
            os.kill(first, signal.SIGKILL)
            wait_until(up.exists, what="the process that replaces the killed one")
            run.unlink()
            run.mkdir()
            wait_until((run / "status.json").exists, what="the status")
            pids.append(json.loads((run / "status.json").read_text())["processes"]["webhook"])
        finally:
            stopping.append(signal.SIGTERM)

    def ready(status: dict[str, Any]) -> None:  # Any: JSON
        pids.append(status["processes"]["webhook"])
        threading.Thread(target=strike, args=(pids[0],)).start()

    tree.watch(Plan(groups=[], urls=[], environment={}), ready)
    tree.stop()

    assert len(set(pids)) == 2


def test_what_a_killed_tree_left_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    data_folder.write_settings(tmp_path, {"REDIS_URL": "redis://127.0.0.1:1/0"})
    data_folder.write_status(tmp_path, {"pid": 1})

    lock = data_folder.lock(tmp_path)

    assert data_folder.is_locked(tmp_path)
    assert (data_folder.settings(tmp_path), data_folder.status(tmp_path)) == (None, None)
    os.close(lock)


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.2\r\n", b"", b"HTTP/1.1 404 Not Found\r\n\r\n"])
def test_a_program_of_another_kind_at_the_port_does_not_answer(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        assert not http_answers(server.getsockname()[1], "/livez")
        thread.join()


def options(base: int, folder: Path) -> UpOptions:
    return UpOptions(port_base=base, data=folder, workers=2)


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (0, "webhook"),
        (5, "console"),
        (8, "the metrics of console"),
        (9, "the metrics of beat"),
        (11, "the metrics of worker-2"),
    ],
)
def test_every_port_of_a_tree_is_looked_at_before_it_starts(tmp_path: Path, place: int, name: str) -> None:
    base = free_base()

    with (
        socket.create_server(("127.0.0.1", base + place)),
        pytest.raises(CannotStart, match=f"port {base + place}, which {name} needs, is taken"),
    ):
        make_plan({}, options(base, tmp_path))


@pytest.mark.parametrize("place", [1, 11])
def test_ports_beyond_the_last_are_refused_in_a_sentence(tmp_path: Path, place: int) -> None:
    with pytest.raises(CannotStart, match=r"there is no port 65536, which .* needs; choose lower ports"):
        make_plan({}, options(LAST_PORT + 1 - place, tmp_path))
