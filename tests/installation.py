"""An installation whose processes, of any release on any machine, a test starts and stops."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from chaos.auditor import UNDER_WAY, Verdict, audit
from chaos.outside import Outside
from chaos.people import People
from chaos.tree import ACCOUNT, NUMBER, SHORT, TOKEN, free_port
from inbox import keys
from local.programs import redis_server
from runtime.settings import without_settings
from sms import webhook_urls
from tests.conftest import ROOT, SLOWER, end, start_dynamodb, wait_until

PEOPLE = 40


@dataclass(frozen=True)
class Release:
    """The code of a release, and the command that runs it."""

    name: str
    code: Path
    dadacat: Path


@dataclass(frozen=True)
class Machine:
    """Where processes run: their address, and what starts a command there."""

    name: str
    address: str
    run: Sequence[str] = ()


CURRENT = Release("current", ROOT, Path(sys.executable).with_name("dadacat"))
HERE = Machine("here", "127.0.0.1")


@dataclass
class Process:
    role: str
    release: Release
    machine: Machine
    name: str
    #: Where it shows its metrics.
    metrics: str
    running: subprocess.Popen[bytes]

    def count(self, metric: str) -> float:
        """Return the sum of a counter's values."""
        page = httpx.get(self.metrics, timeout=5).text
        return sum(float(value) for value in re.findall(rf"^{metric}(?:{{.*}})? (\S+)$", page, re.MULTILINE))

    def handles_sigterm(self) -> bool:
        """Return whether it would end in order; an older beat gives no other sign that it is ready."""
        status = Path(f"/proc/{self.running.pid}/status").read_text()
        (caught,) = re.findall(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)
        return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)

    def stop(self) -> None:
        """Stop it as a deployment does, and require that it ends by itself."""
        self.running.send_signal(signal.SIGTERM)
        assert self.running.wait(60 * SLOWER) == 0, self.name


@dataclass
class Installation:
    """One Redis, one store, one carrier, and the processes that run now."""

    folder: Path
    #: The address of the stores and the carrier.
    address: str
    redis: int = field(default_factory=free_port)
    dynamodb: int = field(default_factory=free_port)
    carrier: int = field(default_factory=free_port)
    #: The port of every webhook.
    webhook: int = field(default_factory=free_port)
    processes: list[Process] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.outside = Outside(
            {
                "redis": f"redis://{self.address}:{self.redis}/0",
                "dynamodb": f"http://{self.address}:{self.dynamodb}",
                "twilio": f"http://{self.address}:{self.carrier}",
            }
        )
        self.people = People(self.outside)

    def start(self, role: str, release: Release = CURRENT, machine: Machine = HERE) -> Process:
        """Start a process beside those that run; return when it is ready."""
        name = f"{role}-{next(self._numbers)}-{release.name}-{machine.name}"
        ready, metrics, begun = self.folder / f"{name}.ready", free_port(), time.time()
        arguments = {"webhook": ["--host", machine.address, "--port", str(self.webhook)], "worker": ["--name", name]}
        environment = self.environment(release, machine) | {
            "METRICS_HOST": machine.address, "METRICS_PORT": str(metrics), "DADACAT_READY_FILE": str(ready),
        }  # fmt: skip
        command = [*machine.run, str(release.dadacat), role, *arguments.get(role, [])]
        with (self.folder / f"{name}.log").open("wb") as log:
            running = subprocess.Popen(command, env=environment, cwd=self.folder, stdout=log, stderr=log)
        process = Process(role, release, machine, name, f"http://{machine.address}:{metrics}/metrics", running)
        self.processes.append(process)

        def is_ready() -> bool:
            assert running.poll() is None, f"{name} ended; its log is in {self.folder}"
            if role == "worker":
                return ready.exists()
            return process.handles_sigterm() if role == "beat" else self._is_served_since(begun, machine)

        wait_until(is_ready, seconds=60, what=f"the start of {name}, whose log is in {self.folder},")
        return process

    def stop(self, process: Process) -> None:
        """Stop a process while the others go on."""
        process.stop()
        self.processes.remove(process)

    def stop_all(self) -> None:
        """Stop what a test that failed left running."""
        for process in self.processes:
            end(process.running)
        self.processes.clear()

    def post_texts_to(self, machine: Machine, fallback: Machine | None = None) -> None:
        """Have the carrier post texts to the webhook on a machine, or else to that of `fallback`."""
        urls = [webhook_urls.for_texts(self.url(one)) if one else "" for one in (machine, fallback)]
        self.outside.post_texts_to(urls[0], fallback=urls[1])

    def url(self, machine: Machine) -> str:
        """Return the address of the webhook on a machine."""
        return f"http://{machine.address}:{self.webhook}"

    def environment(self, release: Release, machine: Machine) -> dict[str, str]:
        """Return the environment of every process of a release on a machine."""
        # what an earlier release calls is held to its own policies, not to these
        inherited = {name: value for name, value in without_settings(os.environ).items() if name != "DADACAT_CALLS"}
        return {
            **inherited,
            **SHORT,
            "PYTHONPATH": str(release.code),
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_PHONE_NUMBER": NUMBER,
            "TWILIO_API_BASE_URL": f"http://{self.address}:{self.carrier}",
            "PUBLIC_URL": self.url(machine),
            "REDIS_URL": f"redis://{self.address}:{self.redis}/0",
            "AWS_ENDPOINT_URL": f"http://{self.address}:{self.dynamodb}",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "SEND_MARKS_DIR": str(self.folder / f"marks-{machine.name}"),
        }

    @contextmanager
    def texting(self, per_second: float) -> Iterator[None]:
        """Let people text during the block."""
        over = threading.Event()

        def send() -> None:
            due = time.monotonic()
            while not over.wait(max(0.0, due - time.monotonic())):
                number = len(self.people.texts)
                self.people.send(f"+1555{number % PEOPLE:07d}", f"text {number}")
                due += 1 / per_second

        sender = threading.Thread(target=send, name="people")
        sender.start()
        try:
            yield
        finally:
            over.set()
            sender.join()

    def come_to_rest(self, *, excuse: str = "") -> Verdict:
        """Wait until nothing is under way, however many texts wait. `excuse`: why replies may be in doubt."""
        verdict = Verdict()
        while waiting := self._waiting():
            # a text that is answered is progress, on a machine of any speed
            self._wait_for_fewer_than(waiting)

        def rests() -> bool:
            nonlocal verdict
            evidence = self.outside.evidence(self.people.texts, {})
            verdict = audit(replace(evidence, excuses={row.attempt: excuse for row in evidence.rows if excuse}))
            return verdict.good and not any(row.state in UNDER_WAY for row in evidence.rows)

        try:
            wait_until(rests, seconds=60)
        except AssertionError as exc:
            raise AssertionError(f"not every text came to rest: {verdict}") from exc
        return verdict

    def _waiting(self) -> int:
        """Return how many texts stand in people's inboxes."""
        inboxes = {keys.texts(self.outside.who(text.person)) for text in self.people.texts}
        return sum(self.outside.redis.xlen(inbox) for inbox in inboxes)

    def _wait_for_fewer_than(self, texts: int) -> None:
        wait_until(lambda: self._waiting() < texts, seconds=60, what=f"progress at {texts} texts")

    def _is_served_since(self, moment: float, machine: Machine) -> bool:
        """Return whether a process that started after `moment` answers; several may share the port."""
        try:
            page = httpx.get(f"{self.url(machine)}/metrics", timeout=2).text
        except httpx.TransportError:
            return False
        started = re.search(r"^process_start_time_seconds (\S+)", page, re.MULTILINE)
        # the system counts a process's start in ticks since a boot that it knows to the second, rounded down
        return started is None or float(started[1]) > moment - 1.5


@contextmanager
def installation(folder: Path, address: str = HERE.address) -> Iterator[Installation]:
    """Start Redis, a store and a carrier; stop them, and the processes that a test left running."""
    at = Installation(folder, address)
    servers = [_redis(at), start_dynamodb(at.dynamodb, folder, address)]
    with (folder / "simulator.log").open("wb") as log:
        command = [str(CURRENT.dadacat), "simulator", "--host", address, "--port", str(at.carrier)]
        servers.append(subprocess.Popen(command, env=at.environment(CURRENT, HERE), cwd=folder, stdout=log, stderr=log))
    try:
        wait_until(lambda: _answers(f"http://{address}:{at.carrier}/phone/state"), what="the simulator's answer")
        yield at
    finally:
        at.stop_all()
        for server in reversed(servers):
            end(server)
        at.outside.close()


def _redis(at: Installation) -> subprocess.Popen[bytes]:
    command = [redis_server(), "--bind", at.address, "--port", str(at.redis), "--protected-mode", "no", "--save", ""]
    command += ["--dir", str(at.folder), "--appendonly", "yes", "--appendfsync", "always"]
    with (at.folder / "redis.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.TransportError:
        return False
