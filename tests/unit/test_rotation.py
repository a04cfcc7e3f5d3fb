"""The rotation of Twilio's auth token: each process always takes the token that signs."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.servers import a_server, send


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rotation", ROOT / "deploy" / "aws" / "rotation" / "index.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rotation = _load()
ACCOUNT = "AC" + "1" * 32


class Account:
    """An account at Twilio, with a primary token and perhaps a secondary one."""

    def __init__(self) -> None:
        self.primary = "first"
        self.secondary = ""
        self.made = 0

    def takes(self, token: str) -> bool:
        return bool(token) and token in (self.primary, self.secondary)

    def renew_secondary(self, token: str) -> str:
        assert self.takes(token)
        self.made += 1
        self.secondary = f"new {self.made}"
        return self.secondary

    def promote(self, token: str) -> None:
        assert token == self.secondary
        self.primary, self.secondary = token, ""


class Missing(Exception):
    """Secrets Manager's `ResourceNotFoundException`."""


@dataclass
class Aws:
    """Secrets Manager and ECS: the secret's versions, and the running processes' tokens."""

    account: Account
    values: dict[str, str] = field(
        default_factory=lambda: {"v0": json.dumps({"auth_token": "first", "auth_token_secondary": ""})}
    )
    stages: dict[str, list[str]] = field(default_factory=lambda: {"v0": ["AWSCURRENT"]})
    running: set[str] = field(default_factory=lambda: {"first"})
    #: Whether the next deployment does not end in time.
    stuck: bool = False

    class exceptions:  # noqa: N801 - boto3's name
        ResourceNotFoundException = Missing

    def describe_secret(self, **_: str) -> dict[str, Any]:
        return {"VersionIdsToStages": self.stages}

    def get_secret_value(self, **asked: str) -> dict[str, str]:
        version = asked.get("VersionId") or self._staged(asked["VersionStage"])
        if version not in self.values:
            raise Missing
        return {"SecretString": self.values[version]}

    def put_secret_value(self, **given: Any) -> None:
        self.values[given["ClientRequestToken"]] = given["SecretString"]
        for stage in given["VersionStages"]:
            self._move(stage, given["ClientRequestToken"])

    def update_secret_version_stage(self, **given: str) -> None:
        assert given["RemoveFromVersionId"] == self._staged(given["VersionStage"])
        self._move(given["VersionStage"], given["MoveToVersionId"])

    def _staged(self, stage: str) -> str:
        return next(version for version, stages in self.stages.items() if stage in stages)

    def _move(self, stage: str, version: str) -> None:
        self.stages = {name: [held for held in stages if held != stage] for name, stages in self.stages.items()}
        self.stages.setdefault(version, []).append(stage)

    def update_service(self, **_: Any) -> None:
        """Start new processes beside the old ones."""

    def get_waiter(self, _: str) -> Aws:
        return self

    def wait(self, **_: Any) -> None:
        """Let the new processes take over, unless they do not start."""
        if self.stuck:
            raise TimeoutError
        tokens = json.loads(self.get_secret_value(VersionStage="AWSCURRENT")["SecretString"])
        self.running = set(tokens.values())


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """Check at every promotion that the processes take the token that signs from then on."""
    account = Account()
    aws = Aws(account)
    promote = account.promote

    def promoted(token: str) -> None:
        promote(token)
        assert account.primary in aws.running

    monkeypatch.setattr(account, "promote", promoted)
    yield aws
    assert account.primary in aws.running


def rotate(aws: Aws, version: str) -> None:
    steps = rotation.Rotation("s", version, secrets=aws, ecs=aws, twilio=aws.account)
    steps.create()
    steps.create()  # Secrets Manager repeats a step whose answer was lost
    steps.test()
    steps.finish("cluster", ["webhook", "worker"])


def test_a_rotation_promotes_the_token_that_every_process_has(aws: Aws) -> None:
    rotate(aws, "v1")

    assert aws.account.primary == "new 1"
    assert json.loads(aws.values["v1"]) == {"auth_token": "new 1", "auth_token_secondary": "first"}


def test_the_next_rotation_begins_from_the_promoted_token(aws: Aws) -> None:
    rotate(aws, "v1")
    rotate(aws, "v2")

    assert aws.account.primary == "new 2"


def test_a_rotation_whose_deployment_did_not_end_is_finished_by_the_next_one(aws: Aws) -> None:
    aws.stuck = True
    with pytest.raises(TimeoutError):
        rotate(aws, "v1")
    assert aws.account.primary == "first"

    aws.stuck = False
    aws.wait()  # ECS goes on without the function
    rotate(aws, "v2")

    assert aws.account.primary == "new 2"


def test_the_functions_requests_are_those_of_twilios_reference() -> None:
    asked: list[tuple[str, str]] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append((handler.command, handler.path))
        if handler.command == "DELETE":
            return send(handler, b"{}", status=404)
        if "wrong" not in handler.headers["authorization"] and handler.path.endswith("Secondary"):
            return send(handler, b'{"secondary_auth_token": "new"}', status=201)
        return send(handler, b"{}", status=401 if handler.path.endswith(".json") else 200)

    with a_server(answer) as url:
        twilio = rotation.TwilioApi(ACCOUNT, accounts=url, api=url)

        assert twilio.renew_secondary("first") == "new"
        twilio.promote("new")
        assert not twilio.takes("wrong")

    assert asked == [
        ("DELETE", "/v1/AuthTokens/Secondary"),
        ("POST", "/v1/AuthTokens/Secondary"),
        ("POST", "/v1/AuthTokens/Promote"),
        ("GET", f"/2010-04-01/Accounts/{ACCOUNT}.json"),
    ]
