"""The processes of a day: a tree of `dadacat up`, and beside it workers and a webhook behind proxies.

Each member has its own proxies, so an observer knows which member made a request. A member that dies is started again.
Only processes that were started here are killed, by their process id.
"""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from chaos.dynamodb_local import DynamoDBLocal
from chaos.proxy import CuttingProxy, Exchange, Reaction
from local import log_files
from local.programs import http_answers
from runtime.settings import without_settings
from sms import webhook_urls

ACCOUNT: Final = "AC" + "c4a0" * 8
TOKEN: Final = "chaos" * 6
NUMBER: Final = "+15005550006"
#: The product's intervals, shortened so that a minute of chaos has many recoveries.
SHORT: Final[Mapping[str, str]] = {
    "DOUBLE_TEXT_POLICY": "each",
    "LIMITS": "off",
    "LEASE_SECONDS": "4",
    "LEASE_RENEW_SECONDS": "1",
    "SWEEP_INTERVAL_SECONDS": "1",
    "SWEEP_PERSON_SECONDS": "3",
    "RECONCILE_INTERVAL_SECONDS": "5",
    "UNSETTLED_AFTER_SECONDS": "5",
    "UNKNOWN_PATIENCE_SECONDS": "5",
    "SMS_VALIDITY_SECONDS": "60",
    "LOG_LEVEL": "warning",
}
START_SECONDS: Final = 300.0
#: Below the ports that Linux assigns to outgoing connections (`net.ipv4.ip_local_port_range` begins at 32768).
PORTS: Final = (10_000, 32_000)
#: The clock offsets of the workers in seconds, in turn, on a day with skewed clocks.
SKEWS: Final = (0, 600, -600)
#: What the command lines of the launcher's processes are told apart by.
LAUNCHED: Final = ("webhook", "simulator", "beat", "flower", "valkey-server", "redis-server", "dynamodb")
#: What a worker reaches through proxies, and what the trial itself asks.
_PROXIED: Final = ("redis", "dynamodb", "twilio")
_USED: Final = frozenset({*_PROXIED, "webhook"})
#: The path of the library in the Python package of libfaketime, which is only a development dependency.
_FAKETIME: Final = Path("vendor", "libfaketime", "src", "libfaketime.so.1")


class ChaosFailed(Exception):
    """The day could not be run; the message says why."""


@dataclass(slots=True)
class Member:
    """A process that faults are injected into, and its proxies by service."""

    name: str
    role: str
    proxies: Mapping[str, CuttingProxy]
    #: The offset of its clock in seconds.
    skew: int = 0
    pool: str = "threads"
    process: subprocess.Popen[bytes] | None = None
    #: The port that it listens on; 0 for a worker.
    port: int = 0
    #: Until then (monotonic clock) the store answers every request of it with a throttling error.
    throttled_until: float = 0.0
    #: Whether it stays down when it dies.
    held_down: bool = False

    @property
    def alive(self) -> bool:
        """Return whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal if the process runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


@dataclass(slots=True, kw_only=True)
class Tree:
    """All processes of a day.

    `observe` is called with every exchange of every member; `died` with each member that is about to be started again.
    """

    data: Path
    workers: int
    skewed: bool
    observe: Callable[[Member, Exchange], Reaction]
    died: Callable[[Member], None]
    settings: Mapping[str, str] = field(default_factory=dict)
    #: The pools of the workers, in turn.
    pools: Sequence[str] = ("threads",)
    webhooks: int = 1
    #: The folder of Amazon's DynamoDB Local, which then takes the embedded store's place.
    dynamodb_local: Path | None = None
    urls: dict[str, str] = field(default_factory=dict)
    members: list[Member] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _store: DynamoDBLocal | None = None
    _up: subprocess.Popen[str] | None = None
    _over: threading.Event = field(default_factory=threading.Event)
    _keeper: threading.Thread | None = None

    def start(self) -> None:
        """Start all processes and wait until they answer. Raises `ChaosFailed`."""
        if self.dynamodb_local is not None:
            self._start_store(self.dynamodb_local)
        self._start_up()
        for number in range(self.webhooks):
            member = Member(f"h{number}", "webhook", {}, port=free_port())
            member.proxies = self._proxies(member, ("redis",))
            self.members.append(member)
        for number in range(self.workers):
            skew = SKEWS[number % len(SKEWS)] if self.skewed else 0
            member = Member(f"c{number}", "worker", {}, skew=skew, pool=self.pools[number % len(self.pools)])
            member.proxies = self._proxies(member, _PROXIED)
            self.members.append(member)
        for member in self.members:
            self._spawn(member)
        # The keeper starts now: a member that exits because its port is taken or a service is slow is started again.
        self._keeper = threading.Thread(target=self._keep, name="keeper")
        self._keeper.start()
        what = f"the members, whose logs are in {self.data / 'logs'},"
        wait_until(lambda: all(self.answers(member) for member in self.members), START_SECONDS, what)

    def stop(self) -> None:
        """Stop all processes that were started."""
        self._over.set()
        if self._keeper is not None:
            self._keeper.join()
        for member in self.members:
            member.signal(signal.SIGCONT)
            member.signal(signal.SIGTERM)
        for member in self.members:
            if member.process is not None:
                try:
                    member.process.wait(30)
                except subprocess.TimeoutExpired:
                    member.process.kill()
                    member.process.wait()
            for proxy in member.proxies.values():
                proxy.stop()
        if self._up is not None:
            self._up.terminate()
            self._up.wait(60)
            if self._up.stdout is not None:
                self._up.stdout.close()
        if self._store is not None:
            self._store.stop()

    def of_role(self, role: str) -> Sequence[Member]:
        """Return the members with a role, `worker` or `webhook`."""
        return [member for member in self.members if member.role == role]

    def _start_store(self, home: Path) -> None:
        port = free_port()
        try:
            self._store = DynamoDBLocal(home, port, self.data / "dynamodb-local")
        except FileNotFoundError as exc:
            raise ChaosFailed(f"DynamoDB Local cannot be started: there is no {exc}") from None
        wait_until(lambda: not _is_free(port), START_SECONDS, "DynamoDB Local")

    def _start_up(self) -> None:
        command = [str(Path(sys.executable).parent / "dadacat"), "up", "--headless", "--workers", "0"]
        command += ["--port-base", str(free_base()), "--data", str(self.data)]
        self.data.mkdir(parents=True, exist_ok=True)
        self._up = subprocess.Popen(  # noqa: S603 - our own command
            command, env=self._environment(), cwd=self.data, stdout=subprocess.PIPE, text=True
        )
        assert self._up.stdout is not None
        too_late = threading.Timer(START_SECONDS, self._up.kill)
        too_late.start()
        for line in self._up.stdout:
            name, _, url = line.strip().partition(" ")
            self.urls[name] = url
            if self.urls.keys() >= _USED:
                break
        too_late.cancel()
        if not self.urls.keys() >= _USED:
            raise ChaosFailed(f"the tree did not start; its logs are in {self.data / 'logs'}")
        for name in _PROXIED:
            parts = urlsplit(self.urls[name])
            if parts.hostname != "127.0.0.1" or parts.port is None:
                raise ChaosFailed(f"{name} is not on 127.0.0.1: chaos breaks only services that it started itself")

    def _proxies(self, member: Member, services: Sequence[str]) -> dict[str, CuttingProxy]:
        proxies = {}
        for service in services:
            parts = urlsplit(self.urls[service])
            assert parts.hostname is not None
            assert parts.port is not None
            proxies[service] = CuttingProxy(
                service,
                (parts.hostname, parts.port),
                http=service != "redis",
                observe=lambda exchange: self.observe(member, exchange),
            )
            proxies[service].start()
        return proxies

    def _environment(self) -> dict[str, str]:
        return {
            # The caller's shell may name a real Redis or a real account, which chaos must not break.
            **without_settings(os.environ),
            **SHORT,
            # the operator's commands go on finding the operator's tree
            "XDG_STATE_HOME": str(self.data),
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_PHONE_NUMBER": NUMBER,
            **(self._store.environment if self._store is not None else {}),
            **self.settings,
        }

    def _spawn(self, member: Member) -> None:
        _ready_file(self.data, member).unlink(missing_ok=True)
        environment = {
            **self._environment(),
            "REDIS_URL": f"redis://127.0.0.1:{member.proxies['redis'].port}/0",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "DADACAT_READY_FILE": str(_ready_file(self.data, member)),
            "SEND_MARKS_DIR": str(self.data / "run" / "marks"),
        }
        command = [str(Path(sys.executable).parent / "dadacat"), member.role]
        if member.role == "worker":
            command += ["--name", member.name]
            environment |= {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{member.proxies['dynamodb'].port}",
                "TWILIO_API_BASE_URL": f"http://127.0.0.1:{member.proxies['twilio'].port}",
                "PUBLIC_URL": self.urls["webhook"],
                "WORKER_POOL": member.pool,
                "WORKER_CONCURRENCY": self.settings.get("WORKER_CONCURRENCY", "12"),
            }
        else:
            command += ["--port", str(member.port)]
            environment["PUBLIC_URL"] = f"http://127.0.0.1:{member.port}"
        if member.skew:
            environment |= {
                "LD_PRELOAD": str(faketime()),
                "FAKETIME": f"{member.skew:+d}s",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        with (self.data / "logs" / f"chaos-{member.name}.log").open("ab") as log:
            member.process = subprocess.Popen(  # noqa: S603 - our own command
                command, env=environment, cwd=self.data, stdout=log, stderr=log
            )

    def answers(self, member: Member) -> bool:
        """Return whether a member is ready for work."""
        if member.role == "worker":
            return member.alive and _ready_file(self.data, member).exists()
        return http_answers(member.port, "/livez")

    def _keep(self) -> None:
        """Restart every member that died."""
        while not self._over.wait(0.05):
            for member in self.members:
                if not member.alive and not member.held_down:
                    # a machine without memory or descriptors may have some at the next look
                    with self.lock, suppress(OSError):
                        self.died(member)
                        self._spawn(member)

    def webhook_url(self, number: int = 0) -> str:
        """Return the URL that the carrier must post texts to: that of a member webhook, which may be killed."""
        return webhook_urls.for_texts(f"http://127.0.0.1:{self.of_role('webhook')[number].port}")

    def kill_launched(self, *names: str) -> bool:
        """SIGKILL the launcher's children whose command line has one of `names`, such as `valkey-server`.

        Return whether there were any.
        """
        killed = False
        for pid, words in self._children():
            if any(name in words for name in names):
                os.kill(pid, signal.SIGKILL)
                killed = True
        return killed

    def processes(self) -> Iterator[tuple[str, int]]:
        """Yield the name and the process id of every process that runs."""
        for member in self.members:
            if member.process is not None and member.alive:
                yield f"{member.role} {member.name}", member.process.pid
        if self._up is not None:
            yield "launcher", self._up.pid
        if self._store is not None:
            yield "dynamodb local", self._store.process.pid
        for pid, words in self._children():
            yield next((name for name in LAUNCHED if name in words), words[:20]), pid

    def keep_logs_small(self) -> None:
        """Bound the logs of the members; the launcher bounds those of its own processes."""
        for path in (self.data / "logs").glob("chaos-*.log"):
            log_files.keep_small(path)

    def _children(self) -> Iterator[tuple[int, str]]:
        assert self._up is not None
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            if parent == self._up.pid:
                yield int(entry.name), words

    def heal(self) -> None:
        """Cancel the faults of every proxy, and continue every stopped process."""
        for member in self.members:
            member.throttled_until = 0.0
            for proxy in member.proxies.values():
                proxy.heal()
            member.signal(signal.SIGCONT)


def family_of(pid: int) -> Iterator[int]:
    """Yield a process and its descendants."""
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from family_of(int(child))


def faketime() -> Path | None:
    """Return the library that shifts a process's clock; None if it is not installed."""
    spec = importlib.util.find_spec("libfaketime")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(next(iter(spec.submodule_search_locations))) / _FAKETIME
    return path if path.exists() else None


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition. Raises `ChaosFailed` with `what` if it does not hold in time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise ChaosFailed(f"{what} did not appear within {seconds:.0f} s")
        time.sleep(0.05)


def free_port() -> int:
    """Return a free port outside the range of outgoing connections.

    So no connection can take the port while its server restarts.
    """
    return free_base(1)


def free_base(ports: int = 12) -> int:
    """Return the first of `ports` consecutive free ports: a tree of two workers has twelve."""
    while True:
        base = random.randrange(*PORTS)  # noqa: S311 - no secret
        if all(_is_free(port) for port in range(base, base + ports)):
            return base


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _ready_file(data: Path, member: Member) -> Path:
    return data / "run" / f"chaos-{member.name}.ready"
