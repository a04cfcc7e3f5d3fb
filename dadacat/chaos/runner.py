"""The day itself: a whole tree of real processes, telephones that text, a seed that decides what breaks, and at the end the auditor.

The tree is `dadacat up` without workers; the workers are the runner's own, so that their ways to DynamoDB, Redis and Twilio lead through
proxies that cut. Every process that is killed is one that the runner or its tree started, and is known by its id.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
import httpx
import redis

from dadacat.chaos.auditor import Fault, Row, SentText, Shown, Verdict, audit, describe
from dadacat.chaos.proxy import Cut, CuttingProxy
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
    "LOG_LEVEL": "warning",
}
#: How long after the last fault everything may take to come to rest.
REST_SECONDS: Final = 180.0
START_SECONDS: Final = 90.0
#: A worker that is stopped sleeps longer than its lease.
SLEEP_SECONDS: Final = 6.0


class ChaosFailed(Exception):
    """The day could not be played; the message says why."""


@dataclass(slots=True, kw_only=True)
class Plan:
    """How long, how much, and by which seed."""

    seconds: float
    seed: int
    data: Path
    workers: int = 3
    people: int = 60
    #: Texts a second, all people together.
    rate: float = 6.0
    #: Mean seconds between two faults.
    fault_every: float = 1.5


@dataclass(slots=True)
class _Worker:
    name: str
    process: subprocess.Popen[bytes]


@dataclass(slots=True)
class Day:
    """A day in the making."""

    plan: Plan
    faults: list[Fault] = field(default_factory=list)
    texts: list[SentText] = field(default_factory=list)
    urls: dict[str, str] = field(default_factory=dict)
    _workers: list[_Worker] = field(default_factory=list)
    _proxies: dict[str, CuttingProxy] = field(default_factory=dict)
    _tree: subprocess.Popen[str] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)

    # Start and stop

    def play(self) -> Verdict:
        """Play the day and account for it. Raises `ChaosFailed`."""
        try:
            self._start()
            keeper = threading.Thread(target=self._keep_workers, name="keeper")
            keeper.start()
            self._live()
            self._heal()
            self._rest()
            self._over.set()
            keeper.join()
            return self._account()
        finally:
            self._over.set()
            self._stop()

    def _start(self) -> None:
        base = _free_base()
        command = [str(Path(sys.executable).parent / "dadacat"), "up", "--headless", "--workers", "0"]
        command += ["--port-base", str(base), "--data", str(self.plan.data)]
        self.plan.data.mkdir(parents=True, exist_ok=True)
        self._tree = subprocess.Popen(  # noqa: S603 - our own command
            command, env=self._settings(), cwd=self.plan.data, stdout=subprocess.PIPE, text=True
        )
        assert self._tree.stdout is not None
        for line in self._tree.stdout:
            name, _, url = line.strip().partition(" ")
            self.urls[name] = url
            if name == "dynamodb":
                break
        else:
            raise ChaosFailed(f"the tree did not start; its logs are in {self.plan.data / 'logs'}")
        for name, http in (("redis", False), ("dynamodb", True), ("twilio", True)):
            parts = urlsplit(self.urls[name])
            if parts.hostname != "127.0.0.1" or parts.port is None:
                raise ChaosFailed(f"{name} is not this machine's own: nothing is broken that is somebody's")
            self._proxies[name] = CuttingProxy(name, (parts.hostname, parts.port), http=http, struck=self._cut)
            self._proxies[name].start()
        self._workers = [self._spawn(f"c{number}") for number in range(self.plan.workers)]
        _wait(
            lambda: all(self._ready_file(worker.name).exists() for worker in self._workers),
            START_SECONDS,
            "the workers",
        )

    def _settings(self) -> dict[str, str]:
        return {
            # whatever the caller's shell names, a real Redis or a real account, is not for us to break
            **without_settings(os.environ),
            **SHORT,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_PHONE_NUMBER": NUMBER,
        }

    def _spawn(self, name: str) -> _Worker:
        self._ready_file(name).unlink(missing_ok=True)
        environment = {
            **self._settings(),
            "REDIS_URL": f"redis://127.0.0.1:{self._proxies['redis'].port}/0",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._proxies['dynamodb'].port}",
            "TWILIO_API_BASE_URL": f"http://127.0.0.1:{self._proxies['twilio'].port}",
            "PUBLIC_URL": self.urls["webhook"],
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "WORKER_CONCURRENCY": "12",
            "DADACAT_READY_FILE": str(self._ready_file(name)),
        }
        with (self.plan.data / "logs" / f"chaos-{name}.log").open("ab") as log:
            command = [str(Path(sys.executable).parent / "dadacat"), "worker", "--name", name]
            process = subprocess.Popen(command, env=environment, cwd=self.plan.data, stdout=log, stderr=log)  # noqa: S603 - our own command
        return _Worker(name, process)

    def _ready_file(self, name: str) -> Path:
        return self.plan.data / "run" / f"chaos-{name}.ready"

    def _keep_workers(self) -> None:
        """Start again every worker that died."""
        while not self._over.wait(0.1):
            with self._lock:
                for place, worker in enumerate(self._workers):
                    if worker.process.poll() is not None:
                        self._workers[place] = self._spawn(worker.name)

    def _stop(self) -> None:
        with self._lock:
            for worker in self._workers:
                if worker.process.poll() is None:
                    worker.process.send_signal(signal.SIGCONT)
                    worker.process.terminate()
            for worker in self._workers:
                try:
                    worker.process.wait(30)
                except subprocess.TimeoutExpired:
                    worker.process.kill()
                    worker.process.wait()
        for proxy in self._proxies.values():
            proxy.stop()
        if self._tree is not None:
            self._tree.terminate()
            self._tree.wait(60)
            if self._tree.stdout is not None:
                self._tree.stdout.close()

    # The day

    def _live(self) -> None:
        """People text and things break, until the time is over."""
        until = time.monotonic() + self.plan.seconds
        breaker = threading.Thread(target=self._break_things, args=(until,), name="breaker")
        breaker.start()
        dice = random.Random(f"{self.plan.seed}|people")  # noqa: S311 - a day that can be played again
        counts = dict.fromkeys((f"+1555{number:07d}" for number in range(self.plan.people)), 0)
        with httpx.Client(timeout=30) as client:
            while time.monotonic() < until:
                person = dice.choice(list(counts))
                for _ in range(dice.choice((1, 1, 1, 2, 4))):
                    counts[person] += 1
                    # one after the other: the order in which one telephone's texts are sent is what the audit goes by
                    self._text(client, person, counts[person])
                time.sleep(dice.expovariate(self.plan.rate / 1.8))
        breaker.join()

    def _text(self, client: httpx.Client, person: str, place: int) -> None:
        body = f"text {place} of {person[-4:]}"
        answer = client.post(f"{self.urls['twilio']}/phone/texts", json={"from": person, "to": NUMBER, "body": body})
        if answer.is_success:
            self.texts.append(SentText(sid=answer.json()["sid"], person=person, place=place))

    def _break_things(self, until: float) -> None:
        dice = random.Random(f"{self.plan.seed}|faults")  # noqa: S311 - a day that can be played again
        faults, weights = zip(*self._menu(), strict=True)
        while True:
            pause = dice.expovariate(1 / self.plan.fault_every)
            if time.monotonic() + pause >= until:
                return
            time.sleep(pause)
            dice.choices(faults, weights)[0](dice)

    def _menu(self) -> Iterator[tuple[Callable[[random.Random], None], int]]:
        yield self._kill_worker, 30
        yield self._cut_dynamodb, 25
        yield self._cut_twilio, 25
        yield self._cut_redis, 15
        yield self._stop_worker, 6
        yield self._terminate_worker, 6
        yield self._dynamodb_away, 4
        yield self._kill_redis, 4
        yield self._flushall, 3
        yield self._kill_webhook, 4
        yield self._twilio_misbehaves, 8

    def _note(self, what: str, seconds: float = 0.0) -> None:
        self.faults.append(Fault(at=time.time(), what=what, seconds=seconds))

    def _cut(self, cut: Cut) -> None:
        self.faults.append(Fault(at=cut.at, what=f"cut {cut.service} {cut.when}"))

    def _some_worker(self, dice: random.Random) -> _Worker:
        with self._lock:
            return dice.choice(self._workers)

    def _kill_worker(self, dice: random.Random) -> None:
        self._some_worker(dice).process.kill()
        self._note("kill worker")

    def _terminate_worker(self, dice: random.Random) -> None:
        self._some_worker(dice).process.terminate()
        self._note("terminate worker")

    def _stop_worker(self, dice: random.Random) -> None:
        """Let a worker sleep through its lease."""
        process = self._some_worker(dice).process
        if process.poll() is None:
            process.send_signal(signal.SIGSTOP)
            self._note("sleep through the lease", SLEEP_SECONDS)
            threading.Timer(
                SLEEP_SECONDS, lambda: process.send_signal(signal.SIGCONT) if process.poll() is None else None
            ).start()

    def _cut_dynamodb(self, dice: random.Random) -> None:
        self._proxies["dynamodb"].cut(dice.randint(1, 12), "before" if dice.random() < 0.4 else "after")  # noqa: PLR2004 - dice

    def _cut_twilio(self, dice: random.Random) -> None:
        self._proxies["twilio"].cut(dice.randint(1, 3), "before" if dice.random() < 0.4 else "after")  # noqa: PLR2004 - dice

    def _cut_redis(self, dice: random.Random) -> None:
        self._proxies["redis"].cut(dice.randint(1, 20), "before" if dice.random() < 0.5 else "after")  # noqa: PLR2004 - dice

    def _dynamodb_away(self, dice: random.Random) -> None:
        seconds = dice.uniform(1, 6)
        self._note("dynamodb away", seconds)
        self._proxies["dynamodb"].away(seconds)

    def _kill_redis(self, dice: random.Random) -> None:
        del dice
        self._kill_of_the_tree("valkey-server", "redis-server")
        self._note("kill redis", 5.0)

    def _kill_webhook(self, dice: random.Random) -> None:
        del dice
        self._kill_of_the_tree("dadacat webhook")
        self._note("kill webhook", 5.0)

    def _flushall(self, dice: random.Random) -> None:
        del dice
        client = redis.Redis.from_url(self.urls["redis"], socket_timeout=5)
        try:
            client.flushall()
            self._note("redis emptied")
        except redis.RedisError:
            pass  # it is being killed right now
        finally:
            client.close()

    def _twilio_misbehaves(self, dice: random.Random) -> None:
        """For a few seconds the network itself goes wrong, at random."""
        wrongs: list[dict[str, Any]] = [
            {"at": "create", "do": "error", "status": 503, "code": 20503, "rate": 0.3},
            {"at": "create", "do": "error", "status": 429, "code": 20429, "retry_after": 1, "rate": 0.5},
            {"at": "create", "do": "error", "status": 500, "accepted": True, "rate": 0.3},
            {"at": "callback", "do": "double"},
            {"at": "callback", "do": "reverse"},
            {"at": "callback", "do": "never", "rate": 0.5},
            {"at": "callback", "do": "before"},
            {"at": "webhook", "do": "double"},
            {"at": "webhook", "do": "concurrent"},
            {"at": "webhook", "do": "never", "rate": 0.2},
            {"at": "list", "do": "lag", "seconds": 8},
        ]
        rules = dice.sample(wrongs, k=2)
        self._rules(rules, dice.randint(0, 10**6))
        seconds = dice.uniform(2, 5)
        self._note("twilio misbehaves", seconds)
        time.sleep(seconds)
        self._rules([], None)

    def _rules(self, rules: list[dict[str, Any]], seed: int | None) -> None:
        asked = {"rules": rules, **({"seed": seed} if seed is not None else {})}
        httpx.put(f"{self.urls['twilio']}/faults", json=asked, timeout=30).raise_for_status()

    def _kill_of_the_tree(self, *names: str) -> None:
        """Kill a process of our own tree, by its id: a child of the launcher whose command line says what it is."""
        assert self._tree is not None
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            if parent == self._tree.pid and any(name in words for name in names):
                os.kill(int(entry.name), signal.SIGKILL)

    def _heal(self) -> None:
        for proxy in self._proxies.values():
            proxy.heal()
        self._rules([], None)
        with self._lock:
            for worker in self._workers:
                if worker.process.poll() is None:
                    worker.process.send_signal(signal.SIGCONT)

    def _rest(self) -> None:
        """Wait until every text is answered or in doubt for good, or for as long as that may take."""
        deadline = time.monotonic() + REST_SECONDS
        while time.monotonic() < deadline:
            verdict = self._account()
            if not verdict.lost and not verdict.held and not verdict.unexcused:
                return
            if not verdict.lost and time.monotonic() > deadline - REST_SECONDS + 45:
                return  # what is in doubt by now has no evidence
            time.sleep(2)

    # The account

    def _account(self) -> Verdict:
        return audit(
            self.texts, list(self._shown()), list(self._rows()), sorted(self.faults, key=lambda fault: fault.at)
        )

    def _shown(self) -> list[Shown]:
        """Our messages as the network's list shows them, oldest first."""
        found: list[Shown] = []
        uri: str | None = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json?From=%2B{NUMBER[1:]}&PageSize=1000"
        while uri:
            answer = httpx.get(self.urls["twilio"] + uri, auth=(ACCOUNT, TOKEN), timeout=60)
            answer.raise_for_status()
            page = answer.json()
            found += [
                Shown(sid=entry["sid"], person=entry["to"], body=entry["body"], created=0.0)
                for entry in page["messages"]
            ]
            uri = page["next_page_uri"]
        return found[::-1]

    def _rows(self) -> Iterator[Row]:
        client = boto3.client(
            "dynamodb", endpoint_url=self.urls["dynamodb"], region_name="us-east-1",
            aws_access_key_id="local", aws_secret_access_key="local",  # noqa: S106 - the embedded store asks for some word
        )  # fmt: skip
        for page in client.get_paginator("scan").paginate(TableName="DadaCatMessages", ConsistentRead=True):
            for item in page["Items"]:
                row: dict[str, Any] = {name: next(iter(value.values())) for name, value in item.items()}
                if row["user_id"].startswith("#"):
                    continue
                yield Row(
                    person=row["user_id"], key=row["message_key"], state=row.get("state", ""), sid=row.get("sid", ""),
                    arrived=row.get("arrived", ""), turn=row.get("turn", ""), content=row.get("content", ""),
                    claimed=_seconds(row.get("claimed_at")), repaired="repaired" in row or "restored_at" in row, reason=row.get("reason", ""),
                )  # fmt: skip


def run(plan: Plan, say: Callable[[str], None]) -> tuple[bool, dict[str, Any]]:
    """Play a day; whether the promise was kept, and the account. On failure seed and log are kept in the data folder."""
    day = Day(plan)
    say(f"seed {plan.seed}, {plan.seconds / 60:.1f} minutes, data in {plan.data}")
    verdict = day.play()
    account = {"seed": plan.seed, "seconds": plan.seconds, **describe(verdict, day.faults)}
    log = plan.data / "chaos.json"
    log.write_text(
        json.dumps(
            {**account, "log": [{"at": f.at, "what": f.what, "seconds": f.seconds} for f in day.faults]}, indent=1
        )
    )
    return verdict.good, account


def _seconds(moment: str | None) -> float:
    return datetime.fromisoformat(moment).timestamp() if moment else 0.0


def _wait(true: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise ChaosFailed(f"{what} did not start within {seconds:.0f} s")
        time.sleep(0.1)


def _free_base() -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            base: int = probe.getsockname()[1]
        if base < 60_000 and all(_is_free(port) for port in range(base, base + 6)):  # noqa: PLR2004 - room for six ports
            return base


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
