"""The compose file confines each service, gives it the settings that it reads, and holds no secret."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml

from runtime.settings import names as setting_names
from tests.conftest import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SECRETS = {
    "TWILIO_AUTH_TOKEN": {"webhook", "worker", "simulator"},
    "TWILIO_AUTH_TOKEN_SECONDARY": {"webhook", "worker", "simulator"},
    "TWILIO_AUTH_TOKEN_FILE": {"webhook", "worker", "simulator"},
    "TWILIO_SHARED_KEYS": {"webhook"},
    "TWILIO_API_KEY": {"worker", "simulator"},
    "TWILIO_API_SECRET": {"worker", "simulator"},
    "OPENAI_API_KEY": {"worker"},
    "ANTHROPIC_API_KEY": {"worker"},
    "GEMINI_API_KEY": {"worker"},
    "AWS_ACCESS_KEY_ID": {"worker", "simulator"},
    "AWS_SECRET_ACCESS_KEY": {"worker", "simulator"},
    "AWS_SESSION_TOKEN": {"worker", "simulator"},
    "WHO_KEY": {"webhook", "worker"},
    "FLOWER_BASIC_AUTH": {"flower"},
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


def test_every_package_reaches_the_image() -> None:
    packages = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"])
    copied = set(re.findall(r"^COPY (\w+) \1$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE))
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert packages <= copied
    assert packages <= let_in
