"""What runs on this machine is reached although the environment names a proxy, which cannot reach it."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler

import pytest

from chaos.tree import free_port
from conversation.dynamodb import DynamoDB
from local.programs import http_answers
from operations import doctor, prometheus, telephone
from operations.doctor import Level
from operations.errors import BadRequest
from runtime.loopback import is_loopback
from runtime.settings import Settings
from tests.servers import a_server, send


@pytest.fixture(autouse=True)
def proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def answers(handler: BaseHTTPRequestHandler) -> None:
    bodies: dict[str, object] = {
        "/api/v1/rules": {"data": {"groups": []}}, "/phone/state": {"numbers": []}, "/": {"TableNames": ["cats"]},
    }  # fmt: skip
    send(handler, b"alive" if handler.path == "/livez" else json.dumps(bodies[handler.path]).encode())


def test_a_process_of_the_tree_is_seen_to_answer() -> None:
    with a_server(answers) as url:
        assert http_answers(int(url.rpartition(":")[2]), "/livez")


def test_prometheus_is_asked() -> None:
    with a_server(answers) as url:
        assert prometheus.states(url) == {}


def test_the_simulator_is_asked() -> None:
    with a_server(answers) as url, pytest.raises(BadRequest, match="the simulator has no number"):
        telephone.text(url, "+15551230001", "", "hi", seconds=1)


def test_doctor_asks_the_webhook() -> None:
    with a_server(answers) as url:
        found = list(doctor.CHECKS["webhook"](Settings.load({"PUBLIC_URL": url, "TWILIO_AUTH_TOKEN": "token"})))

    assert found[-1][0] is Level.OK


def test_the_embedded_store_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")

    with a_server(answers) as url:
        tables = DynamoDB(region_name="us-east-1", endpoint_url=url).client.list_tables()

    assert tables["TableNames"] == ["cats"]


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8400/sms", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:8400", True),
        ("http://localhost", True),
        ("http://10.0.0.1:9090", False),
        ("https://127.0.0.1.example.org", False),
        ("https://localhost.example.org", False),
        ("http://[broken", False),
        ("", False),
    ],
)
def test_only_loopback_is_this_machine(url: str, *, here: bool) -> None:
    assert is_loopback(url) is here
