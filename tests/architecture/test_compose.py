"""The compose file confines each service, gives it the settings that it reads, and holds no secret."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from cat.engines import ENGINES
from runtime.settings import names as setting_names
from tests.conftest import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SECRETS = {
    "TWILIO_AUTH_TOKEN": {"webhook", "worker", "simulator", "console"},
    "TWILIO_AUTH_TOKEN_SECONDARY": {"webhook", "worker", "simulator", "console"},
    "TWILIO_AUTH_TOKEN_FILE": {"webhook", "worker", "simulator", "console"},
    "TWILIO_SHARED_KEYS": {"webhook"},
    "TWILIO_API_KEY": {"worker", "simulator", "console"},
    "TWILIO_API_SECRET": {"worker", "simulator", "console"},
    **{name: {"worker"} for kind in ENGINES.values() if (name := kind.settings[0]) in setting_names()},
    "MODEL_KEYS": {"worker"},
    "AWS_ACCESS_KEY_ID": {"worker", "simulator", "console"},
    "AWS_SECRET_ACCESS_KEY": {"worker", "simulator", "console"},
    "AWS_SESSION_TOKEN": {"worker", "simulator", "console"},
    "WHO_KEY": {"webhook", "worker", "console"},
    "FLOWER_BASIC_AUTH": {"flower"},
    "CONSOLE_LOGIN": {"console"},
    "CONSOLE_PROXY_SECRET": {"console"},
    "SENTRY_DSN": {"webhook", "worker", "beat"},
}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_confined(name: str) -> None:
    service = SERVICES[name]

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert service["user"].partition(":")[0] not in ("", "0", "root")
    assert service["mem_limit"]
    assert "env_file" not in service
    assert "privileged" not in service
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert service.get("healthcheck") or service["restart"] == "no"


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_goes_only_where_it_is_used(secret: str) -> None:
    assert {name for name, service in SERVICES.items() if secret in service.get("environment", {})} == SECRETS[secret]


def test_no_secret_has_a_value_in_the_file() -> None:
    given = [pair for service in SERVICES.values() for pair in service.get("environment", {}).items()]

    # DynamoDB Local wants a key and takes any
    assert {name for name, value in given if name in SECRETS and value and not name.startswith("AWS_")} == set()


def test_every_setting_reaches_a_service() -> None:
    given = {name for service in SERVICES.values() for name in service.get("environment", {})}

    assert set(setting_names()) - given == set()


def test_the_example_of_settings_has_no_secret() -> None:
    lines = re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)

    assert {name: value for name, value in lines if name in SECRETS and value} == {}


def test_one_service_builds_the_image_and_no_other_pulls_it() -> None:
    ours = {name: service for name, service in SERVICES.items() if service["image"] == "dadacat"}

    assert [name for name, service in ours.items() if "build" in service] == ["webhook"]
    assert {service["pull_policy"] for service in ours.values()} == {"never"}


class _Loader(yaml.SafeLoader):
    """Read compose's own tags as the lists that they stand before."""

    def listed(self, node: yaml.SequenceNode) -> list[Any]:  # Any: YAML
        return list(self.construct_sequence(node))


for tag in ("!reset", "!override"):
    _Loader.add_constructor(tag, _Loader.listed)

# the loader is a safe one
PRODUCTION: dict[str, Any] = yaml.load((ROOT / "deploy/compose/production.yml").read_text(), _Loader)  # noqa: S506


@pytest.mark.parametrize("name", set(PRODUCTION["services"]) - set(SERVICES))
def test_a_service_of_the_production_is_confined(name: str) -> None:
    service = PRODUCTION["services"][name]

    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert service["user"] == "10001:10001"
    assert service["mem_limit"]


def test_redis_runs_in_production_as_it_does_elsewhere_and_with_users() -> None:
    everywhere = SERVICES["redis"]["command"]
    command = PRODUCTION["services"]["redis"]["command"]

    assert command[: len(everywhere)] == everywhere
    assert command[-2:] == ["--aclfile", "/run/secrets/redis-users"]


def test_each_service_of_the_production_is_a_user_of_its_own_at_redis() -> None:
    for name, service in PRODUCTION["services"].items():
        environment = service.get("environment", {})
        if "REDIS_URL" in SERVICES.get(name, {}).get("environment", {}):
            assert environment["REDIS_URL"] == ""
            assert environment["REDIS_URL_FILE"] == f"/run/secrets/redis-url-{name}"


def test_a_service_of_the_production_is_given_the_secrets_that_it_names_and_no_others() -> None:
    for service in PRODUCTION["services"].values():
        words = " ".join([*map(str, service.get("environment", {}).values()), *service.get("command", ())])
        words += (ROOT / "deploy/compose/Caddyfile").read_text() if service is PRODUCTION["services"]["caddy"] else ""
        # the backup reads its password in Redis's own container
        named = set(re.findall(r"/run/secrets/([\w-]+)", words)) | (
            {"redis-password-backup"} & {*service.get("secrets", ())}
        )

        assert set(service.get("secrets", ())) == named


def test_every_secret_of_the_production_is_made(tmp_path: Path) -> None:
    make = ROOT / "deploy/compose/make-secrets"
    subprocess.run([make], env={**os.environ, "SECRETS": str(tmp_path)}, check=True, capture_output=True)

    assert set(PRODUCTION["secrets"]) <= {path.name for path in tmp_path.iterdir()}
    # the simulator's token is for trials
    given = {pair for service in PRODUCTION["services"].values() for pair in service.get("environment", {}).items()}
    assert {name for name, value in given if name in SECRETS and value} == {"TWILIO_AUTH_TOKEN_FILE"}


def test_the_operators_pages_start_in_production_and_are_reached_through_caddy_alone() -> None:
    """`!reset` and `!override` are read as the list that stands behind them."""
    caddy = (ROOT / "deploy/compose/Caddyfile").read_text()
    for name, port in (("flower", 8402), ("console", 8405)):
        service = PRODUCTION["services"][name]

        assert service["ports"] == []
        assert service.get("profiles", SERVICES[name].get("profiles", [])) == []
        assert f"{{$SITE}}:{port} {{" in caddy
        assert f"reverse_proxy {name}:{port}" in caddy
        assert any(f":{port}:{port}" in published for published in PRODUCTION["services"]["caddy"]["ports"])


def test_only_a_trial_uses_the_local_store_and_the_simulator() -> None:
    services = PRODUCTION["services"]

    assert {name for name, service in services.items() if service.get("profiles") == ["trial"]} == {
        "dynamodb-folder", "dynamodb-local", "simulator",
    }  # fmt: skip
    assert services["worker"]["environment"]["AWS_ENDPOINT_URL"] == "${AWS_ENDPOINT_URL:-}"
    assert services["worker"]["environment"]["TWILIO_API_BASE_URL"] == "${TWILIO_API_BASE_URL:-https://api.twilio.com}"
    assert "WARNING" in (ROOT / "deploy/compose/trial.env").read_text()
