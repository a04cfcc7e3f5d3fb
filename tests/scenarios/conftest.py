"""The whole product, started by `dadacat up`: real processes, real servers, a simulated carrier."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import redis

from chaos.tree import free_base
from inbox import keys, worker_keys
from runtime.settings import without_settings
from sms import signature
from tests.builders import OUR_NUMBER
from tests.conftest import SLOWER, wait_until

ACCOUNT = "AC" + "5" * 32
TOKEN = "a-token-of-the-tests"
LOGIN = "cat:purr"
#: The number of ports that `dadacat up` takes: with a model, Prometheus and a few workers.
PORTS = 14


@dataclass
class Tree:
    """A running process tree, and the operations that tests need."""

    data: Path
    settings: Mapping[str, str]
    workers: int = 2
    options: Sequence[str] = ()
    process: subprocess.Popen[str] | None = None
    urls: dict[str, str] = field(default_factory=dict)
    port_base: int = 0
    #: The account's current auth token.
    token: str = TOKEN
    #: The sids of texts that the carrier may not have brought to the webhook yet.
    on_their_way: list[str] = field(default_factory=list)
    #: Created once, because creating one reads all CA certificates. Without keep-alive, because tests kill servers.
    http: httpx.Client = field(
        default_factory=lambda: httpx.Client(timeout=30, limits=httpx.Limits(max_keepalive_connections=0))
    )

    def start(self) -> None:
        base = self.port_base or free_base(PORTS)
        self.port_base = base
        command = [str(Path(sys.executable).parent / "dadacat"), "up", "--headless", "--port-base", str(base)]
        command += ["--data", str(self.data), "--workers", str(self.workers), *self.options]
        last = "dynamodb" if "console" in self.options else "console"
        last = "model" if "--model" in self.options else last
        last = "prometheus" if "--observe" in self.options else last
        # Neither the developer's shell nor an .env file here may name a service outside the test.
        environment = {**without_settings(os.environ), **self.settings}
        self.process = subprocess.Popen(command, env=environment, cwd=self.data, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            words = line.split()
            if words[0] != "ready":
                self.urls[words[0]] = words[1]
            if words[0] == last:
                return
        raise AssertionError(f"the tree exited with {self.process.wait()} at its start; logs in {self.data / 'logs'}")

    def stop(self) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60 * SLOWER)
        self.process.stdout.close()
        return code

    def text(self, body: str, *, sender: str, number: str = OUR_NUMBER) -> str:
        """Send a text from a telephone of the simulated carrier; return its sid.

        The carrier posts it to the webhook afterwards, in parallel to others.
        """
        answer = self.http.post(f"{self.urls['twilio']}/phone/texts", json={"from": sender, "to": number, "body": body})
        assert answer.status_code == 201, answer.text
        sid = str(answer.json()["sid"])
        self.on_their_way.append(sid)
        return sid

    def is_brought(self, sid: str) -> bool:
        """Return whether a text is on its way no more: brought to the webhook, given up, or deleted."""
        answer = self.http.get(f"{self.urls['twilio']}/phone/road/{sid}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return True
        road = answer.json()
        return "webhook" in road["facts"] or any(station["name"] == "acknowledged" for station in road["stations"])

    def post(self, form: Mapping[str, str], path: str = "/sms", token: str = TOKEN) -> httpx.Response:
        """Post a signed form to the webhook."""
        url = self.urls["webhook"] + path
        return self.http.post(url, data=dict(form), headers={"X-Twilio-Signature": signature.sign(token, url, form)})

    def replies(self, person: str) -> list[dict[str, Any]]:
        """Return the messages to one person from the carrier's list, oldest first."""
        return list(reversed(self.messages(To=person)))

    def messages(self, **query: str) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        uri: str | None = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
        query["PageSize"] = "1000"
        while uri:
            answer = self.http.get(self.urls["twilio"] + uri, params=query, auth=(ACCOUNT, self.token))
            page = answer.json()
            messages += page["messages"]
            uri, query = page["next_page_uri"], {}
        return messages

    @cached_property
    def dynamodb(self) -> Any:  # Any: boto3's client
        return boto3.client("dynamodb", endpoint_url=self.urls["dynamodb"], region_name="us-east-1")

    @property
    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.urls["redis"])

    def rows(self, person: str) -> list[dict[str, Any]]:
        answer = self.dynamodb.query(
            TableName="DadaCatMessages",
            KeyConditionExpression="user_id = :u",
            ExpressionAttributeValues={":u": {"S": person}},
            ConsistentRead=True,
        )
        return [{name: next(iter(value.values())) for name, value in item.items()} for item in answer["Items"]]

    def unsettled(self) -> str:
        """Return a text that is on its way, or Redis's keys of waiting texts and of visits, or nothing."""
        while self.on_their_way:
            if not self.is_brought(self.on_their_way[0]):
                return self.on_their_way[0]
            del self.on_their_way[0]
        with self.redis as client:
            waiting = client.zrange(keys.WAITING, 0, 4, withscores=True)
            return " ".join(map(str, [*waiting, *client.scan_iter(worker_keys.visit("*"), count=1000)]))

    def settled(self) -> bool:
        """Return whether no text is on its way or waits for a reply, and no visit is in progress."""
        return not self.unsettled()

    def wait_settled(self, *, seconds: float = 20) -> None:
        """Wait until the tree is settled; if it is not in time, say what is left."""
        try:
            wait_until(self.settled, seconds=seconds)
        except AssertionError as late:
            raise AssertionError(f"unsettled after {SLOWER} times {seconds} s: {self.unsettled()}") from late

    def processes(self, role: str) -> list[int]:
        """Return the process ids of this tree with a role such as `worker`, by their command lines."""
        assert self.process is not None
        listed = subprocess.run(
            ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self.process.pid)],
            capture_output=True,
            text=True,
            check=True,
        )
        return [int(line.split()[0]) for line in listed.stdout.splitlines() if f"dadacat {role}" in line]


@contextmanager
def trees(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Tree]]:
    """Yield a function that starts a tree, and stop at the end those that tests left running.

    Many trees at a time would starve each other. Console and Flower run only in a `whole` one: they are a fifth of what
    its start costs.
    """
    started: list[Tree] = []

    def start(*, workers: int = 2, options: Sequence[str] = (), whole: bool = False, **settings: str) -> Tree:
        options = [*options, *([] if whole else ["--without", "console", "--without", "flower"])]
        given = {
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_PHONE_NUMBER": OUR_NUMBER,
            "FLOWER_BASIC_AUTH": LOGIN,
            "LIMITS": "off",
            **settings,
        }
        tree = Tree(data=tmp_path_factory.mktemp("tree"), settings=given, workers=workers, options=options)
        started.append(tree)
        tree.start()
        return tree

    try:
        yield start
    finally:
        for tree in started:
            if tree.process is not None and tree.process.poll() is None:
                tree.stop()
            tree.http.close()


@pytest.fixture(scope="module")
def start_tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Tree]]:
    """Yield a function that starts a tree which runs until the module's tests end."""
    with trees(tmp_path_factory) as start:
        yield start


@pytest.fixture
def own_tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Tree]]:
    """Yield a function that starts a tree which runs until the test ends."""
    with trees(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="module")
def tree(start_tree: Callable[..., Tree]) -> Tree:
    """Start one tree for those of a module's tests that leave it unchanged."""
    return start_tree(whole=True)


def flower(tree: Tree, path: str) -> Any:  # Any: JSON
    answer = tree.http.get(f"http://127.0.0.1:{tree.port_base + 2}{path}", auth=("cat", "purr"))
    answer.raise_for_status()
    return answer.json()
