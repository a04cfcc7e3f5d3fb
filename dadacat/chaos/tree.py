"""The processes of a day: a tree of `dadacat up`, and beside it workers and a webhook whose ways lead through proxies.

Each member has proxies of its own, so that whoever watches them knows whose request it sees. A member that dies is started again. Every process
that is killed is one that was started here, and is known by its id.
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
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from dadacat.chaos.proxy import CuttingProxy, Deed, Exchange
from dadacat.settings import without_settings

ACCOUNT: Final = "AC" + "c4a0" * 8
TOKEN: Final = "chaos" * 6
NUMBER: Final = "+15005550006"
#: Intervals of the product, shortened so that a minute of chaos holds many recoveries.
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
#: Below those that Linux gives to connections (net.ipv4.ip_local_port_range begins at 32768).
PORTS: Final = (10_000, 32_000)
#: How far the clocks of a day with skewed clocks are off, one worker after the other.
SKEWS: Final = (0, 600, -600)
#: Where libfaketime lies in its Python package: a development dependency, not one of the product.
_FAKETIME: Final = Path("vendor", "libfaketime", "src", "libfaketime.so.1")
#: What Twilio is told to do when the webhook does not answer.
_RETRY_RULES: Final = "#rc=3&rp=all&ct=2000&rt=4000"


class ChaosFailed(Exception):
    """The day could not be played; the message says why."""


@dataclass(slots=True)
class Member:
    """A process that is broken on purpose, and its proxies by service."""

    name: str
    role: str
    proxies: Mapping[str, CuttingProxy]
    #: By how many seconds its clock is off.
    skew: int = 0
    pool: str = "threads"
    process: subprocess.Popen[bytes] | None = None
    #: Its port, where it listens.
    port: int = 0
    #: Until when the store answers it with nothing but a throttling error; by the monotonic clock.
    throttled_until: float = 0.0
    #: It is not started again when it dies.
    held_down: bool = False

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, where it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


@dataclass(slots=True, kw_only=True)
class Tree:
    """All processes of a day. `observe` sees every exchange of every member; `died` is told of each that is started again."""

    data: Path
    workers: int
    skewed: bool
    observe: Callable[[Member, Exchange], Deed]
    died: Callable[[Member], None]
    settings: Mapping[str, str] = field(default_factory=dict)
    #: The pools of the workers, one after the other.
    pools: Sequence[str] = ("threads",)
    webhooks: int = 1
    urls: dict[str, str] = field(default_factory=dict)
    members: list[Member] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _up: subprocess.Popen[str] | None = None
    _over: threading.Event = field(default_factory=threading.Event)
    _keeper: threading.Thread | None = None

    # Start and stop

    def start(self) -> None:
        """Start everything and wait until it answers. Raises `ChaosFailed`."""
        self._start_up()
        for number in range(self.webhooks):
            member = Member(f"h{number}", "webhook", {}, port=free_port())
            member.proxies = self._proxies(member, ("redis",))
            self.members.append(member)
        for number in range(self.workers):
            skew = SKEWS[number % len(SKEWS)] if self.skewed else 0
            member = Member(f"c{number}", "worker", {}, skew=skew, pool=self.pools[number % len(self.pools)])
            member.proxies = self._proxies(member, ("redis", "dynamodb", "twilio"))
            self.members.append(member)
        for member in self.members:
            self._spawn(member)
        # kept alive from here on: one that gives up because another took its port, or a service was slow, is started again like any other
        self._keeper = threading.Thread(target=self._keep, name="keeper")
        self._keeper.start()
        what = f"the members, whose logs are in {self.data / 'logs'},"
        wait_until(lambda: all(self.answers(member) for member in self.members), START_SECONDS, what)

    def stop(self) -> None:
        """Stop everything that was started."""
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

    def of_role(self, role: str) -> Sequence[Member]:
        """The members that are `worker`, or `webhook`."""
        return [member for member in self.members if member.role == role]

    def _start_up(self) -> None:
        command = [str(Path(sys.executable).parent / "dadacat"), "up", "--headless", "--workers", "0"]
        command += ["--port-base", str(free_base()), "--data", str(self.data)]
        self.data.mkdir(parents=True, exist_ok=True)
        self._up = subprocess.Popen(  # noqa: S603 - our own command
            command, env=self._environment(), cwd=self.data, stdout=subprocess.PIPE, text=True
        )
        assert self._up.stdout is not None
        for line in self._up.stdout:
            name, _, url = line.strip().partition(" ")
            self.urls[name] = url
            if name == "dynamodb":
                break
        else:
            raise ChaosFailed(f"the tree did not start; its logs are in {self.data / 'logs'}")
        for name in ("redis", "dynamodb", "twilio"):
            parts = urlsplit(self.urls[name])
            if parts.hostname != "127.0.0.1" or parts.port is None:
                raise ChaosFailed(f"{name} is not this machine's own: nothing is broken that is somebody's")

    def _proxies(self, member: Member, services: Sequence[str]) -> dict[str, CuttingProxy]:
        found = {}
        for service in services:
            parts = urlsplit(self.urls[service])
            assert parts.hostname is not None
            assert parts.port is not None
            found[service] = CuttingProxy(
                service,
                (parts.hostname, parts.port),
                http=service != "redis",
                observe=lambda exchange: self.observe(member, exchange),
            )
            found[service].start()
        return found

    def _environment(self) -> dict[str, str]:
        return {
            # whatever the caller's shell names, a real Redis or a real account, is not for us to break
            **without_settings(os.environ),
            **SHORT,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_PHONE_NUMBER": NUMBER,
            **self.settings,
        }

    def _spawn(self, member: Member) -> None:
        self._ready_file(member).unlink(missing_ok=True)
        environment = {
            **self._environment(),
            "REDIS_URL": f"redis://127.0.0.1:{member.proxies['redis'].port}/0",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "DADACAT_READY_FILE": str(self._ready_file(member)),
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
            member.process = subprocess.Popen(command, env=environment, cwd=self.data, stdout=log, stderr=log)  # noqa: S603 - our own command

    def _ready_file(self, member: Member) -> Path:
        return self.data / "run" / f"chaos-{member.name}.ready"

    def answers(self, member: Member) -> bool:
        """Whether a member is ready for work."""
        if member.role == "worker":
            return member.alive and self._ready_file(member).exists()
        return is_alive(member.port)

    def _keep(self) -> None:
        """Start again every member that died."""
        while not self._over.wait(0.05):
            for member in self.members:
                if not member.alive and not member.held_down:
                    with self.lock:
                        self.died(member)
                        self._spawn(member)

    # What can be done to it

    def webhook_url(self, number: int = 0) -> str:
        """Where the network is to post texts: to one of our own webhooks, which may be killed."""
        return f"http://127.0.0.1:{self.of_role('webhook')[number].port}/sms{_RETRY_RULES}"

    def kill_in_up(self, *names: str) -> bool:
        """SIGKILL a process of our own tree, by its id: a child of the launcher whose command line says what it is."""
        killed = False
        for pid, words in self._children():
            if any(name in words for name in names):
                os.kill(pid, signal.SIGKILL)
                killed = True
        return killed

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
        """Let every proxy behave, and wake up whoever sleeps."""
        for member in self.members:
            member.throttled_until = 0.0
            for proxy in member.proxies.values():
                proxy.heal()
            member.signal(signal.SIGCONT)


def faketime() -> Path | None:
    """The library that shifts a process's clock, where it is installed."""
    found = importlib.util.find_spec("libfaketime")
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(next(iter(found.submodule_search_locations))) / _FAKETIME
    return path if path.exists() else None


def is_alive(port: int) -> bool:
    """Whether a webhook answers on this machine's port."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=2) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004 - HTTP's OK
    except OSError:
        return False


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition. Raises `ChaosFailed` that names what did not come."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise ChaosFailed(f"{what} did not come within {seconds:.0f} s")
        time.sleep(0.05)


def free_port() -> int:
    """A port that nobody has, and that no connection is given as its own while its server is started again."""
    return free_base(1)


def free_base(ports: int = 6) -> int:
    """The first of so many free ports in a row."""
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
