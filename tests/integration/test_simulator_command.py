"""`dadacat simulator` by itself: no store, no AWS, and sentences for a person at a terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest

from chaos.tree import free_port
from runtime.settings import without_settings
from tests.conftest import ROOT, SLOWER, wait_until
from tests.servers import a_server, send

SETTINGS = {"TWILIO_ACCOUNT_SID": "AC" + "5" * 32, "TWILIO_AUTH_TOKEN": "t", "PUBLIC_URL": "http://127.0.0.1:1"}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
#: boto3 finds no credentials of this machine.
NOWHERE = {
    "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
}  # fmt: skip
#: Runs the command and, at its end, prints the modules that it imported.
SCRIPT = "import sys\nfrom dadacat.cli import main\ntry:\n    main()\nfinally:\n    print('modules', *sys.modules)\n"


@contextmanager
def started(
    folder: Path, settings: Mapping[str, str], *options: str, stderr: int = subprocess.DEVNULL
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `dadacat simulator`; yield its process and its address."""
    port = free_port()
    command = [sys.executable, "-c", SCRIPT, "simulator", "--port", str(port), *options]
    process = subprocess.Popen(
        command, cwd=folder, env=surroundings(settings), stdout=subprocess.PIPE, stderr=stderr, text=True
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def surroundings(settings: Mapping[str, str]) -> dict[str, str]:
    aws = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**without_settings(aws), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **SETTINGS, **settings}


def text(url: str) -> dict[str, object]:
    """Text from a telephone; return the road of the text."""
    sid = httpx.post(f"{url}/phone/texts", json={"from": "+15551230001", "body": "hello"}, timeout=10).json()["sid"]
    road: dict[str, object] = httpx.get(f"{url}/phone/road/{sid}", timeout=10).raise_for_status().json()
    assert httpx.get(f"{url}/phone/explain/{sid}", timeout=10).status_code == 200
    return road


@pytest.mark.usefixtures("ctrl_c")
def test_it_imports_no_store_and_asks_nothing_of_aws(tmp_path: Path) -> None:
    asked: list[str] = []

    def aws(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.headers.get("x-amz-target", handler.path))
        send(handler, b"{}")

    with a_server(aws) as aws_url, started(tmp_path, {**CREDENTIALS, "AWS_ENDPOINT_URL": aws_url}) as (process, url):
        assert process.stdout is not None
        assert [process.stdout.readline(), process.stdout.readline()] == [f"phone {url}/phone\n", f"twilio {url}\n"]
        road = text(url)
        process.send_signal(signal.SIGINT)
        modules = process.stdout.read().split()
        assert process.wait(20 * SLOWER) == 128 + signal.SIGINT

    assert road["all"] == ["received", "acknowledged", "queued", "sent", "delivered"]
    assert asked == []
    assert "simulator.app" in modules
    packages = {module.partition(".")[0] for module in modules}
    assert packages.isdisjoint(
        {"boto3", "botocore", "redis", "celery", "conversation", "journal", "operations", "worker"}
    )


@pytest.mark.parametrize("credentials", [pytest.param({}, marks=pytest.mark.long), CREDENTIALS])
def test_a_journal_is_only_read_and_one_that_cannot_be_read_is_no_error(
    tmp_path: Path, credentials: dict[str, str]
) -> None:
    asked: list[str] = []

    def missing(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.headers["x-amz-target"].partition(".")[2])
        send(handler, b'{"__type": "ResourceNotFoundException"}', status=400)

    with (
        a_server(missing) as aws_url,
        started(tmp_path, {**NOWHERE, **credentials, "AWS_ENDPOINT_URL": aws_url}, "--journal") as (process, url),
    ):
        assert process.stdout is not None
        process.stdout.readline()
        road = text(url)

    assert "thought" in str(road["all"])
    assert set(asked) == ({"GetItem"} if credentials else set())


@pytest.mark.long
def test_the_application_is_sent_to_this_network_for_pictures(tmp_path: Path) -> None:
    with started(tmp_path, {}) as (process, url):
        assert process.stdout is not None
        process.stdout.readline()
        picture = httpx.post(f"{url}/phone/pictures", content=b"GIF89a", headers={"content-type": "image/gif"}).json()
        asked = {"from": "+15551230001", "pictures": [picture["sid"]]}
        sid = httpx.post(f"{url}/phone/texts", json=asked).json()["sid"]
        wait_until(lambda: httpx.get(f"{url}/requests").json())
        fields = httpx.get(f"{url}/requests").json()[0]["fields"]

    path = f"/2010-04-01/Accounts/{SETTINGS['TWILIO_ACCOUNT_SID']}/Messages/{sid}/Media/{picture['sid']}"
    assert fields["MediaUrl0"] == url + path


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("SIMULATOR_FAULTS", "[Errno 2] No such file or directory: 'nope/file'"),
        pytest.param("SIMULATOR_DATA", "file is not a database", marks=pytest.mark.long),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_a_sentence(tmp_path: Path, setting: str, sentence: str) -> None:
    path = "nope/file" if setting == "SIMULATOR_FAULTS" else "data"
    (tmp_path / "data").write_text("this is no database" * 100)

    code, said = ended(tmp_path, **{setting: path})

    assert (code, said) == (1, f"Error: the simulator cannot start: {sentence}\n")


@pytest.mark.long
def test_a_taken_port_is_told_in_a_sentence(tmp_path: Path) -> None:
    with a_server(lambda handler: send(handler, b"")) as url:
        code, said = ended(tmp_path, port=url.rpartition(":")[2])

    assert (code, said.startswith("Error: cannot listen on 127.0.0.1:")) == (1, True)


@pytest.mark.long
def test_the_log_at_a_terminal_is_for_people(tmp_path: Path) -> None:
    master, slave = os.openpty()
    with started(tmp_path, {}, stderr=slave) as (process, url):
        os.close(slave)
        assert process.stdout is not None
        process.stdout.readline()
        text(url)
        said = b""
        while b"webhook failed" not in said:
            said += os.read(master, 4096)
    os.close(master)

    assert b"{" not in said


def ended(folder: Path, port: str = "", **settings: str) -> tuple[int, str]:
    """Run a `dadacat simulator` that cannot start; return its exit code and what it says."""
    command = [sys.executable, "-c", SCRIPT, "simulator", "--port", port or str(free_port())]
    env = surroundings(settings)
    ran = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=20 * SLOWER)
    return ran.returncode, ran.stderr
