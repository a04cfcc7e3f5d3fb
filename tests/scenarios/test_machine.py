"""A tree without a terminal, found from any folder: up --detach, status, text, logs, env, chat, down."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from chaos.tree import free_base
from runtime.settings import without_settings
from tests.scenarios.conftest import PORTS
from tests.scenarios.test_operate import preloaded

pytestmark = pytest.mark.road


class Machine:
    """A person's machine: a home folder, and commands that are typed in an empty folder."""

    def __init__(self, home: Path) -> None:
        self.data = home / "data"
        self.elsewhere = home / "elsewhere"
        self.elsewhere.mkdir()
        given = {name: value for name, value in without_settings(os.environ).items() if name != "DADACAT_DATA"}
        # credentials of a real account, which no command may use
        aws = {"AWS_ACCESS_KEY_ID": "AKIAREAL", "AWS_SECRET_ACCESS_KEY": "real", "AWS_EC2_METADATA_DISABLED": "true"}
        self.environment = {**given, **aws, "HOME": str(home), "XDG_STATE_HOME": str(home / "state")}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        answer = preloaded().run(arguments, env=self.environment, cwd=self.elsewhere)
        assert "Traceback" not in answer.stderr
        return answer


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("home"))
    command = [str(Path(sys.executable).parent / "dadacat"), "up", "--detach", "--headless", "--json", "--workers", "1"]
    command += ["--port-base", str(free_base(PORTS)), "--data", str(machine.data)]
    started = subprocess.run(
        command, env=machine.environment, cwd=machine.elsewhere, capture_output=True, text=True, check=False
    )
    assert started.returncode == 0, started.stderr
    assert json.loads(started.stdout)["urls"]["phone"].endswith("/phone")
    try:
        yield machine
    finally:
        down = machine.run("down", "--json")
        assert json.loads(down.stdout)["stopped"], down.stderr
        assert machine.run("status").returncode == 3


def test_its_status_names_every_process(machine: Machine) -> None:
    status = json.loads(machine.run("status", "--json").stdout)

    assert {"redis", "dynamodb", "simulator", "webhook", "worker-1", "beat", "flower", "console"} == set(
        status["processes"]
    )
    for pid in status["processes"].values():
        os.kill(pid, 0)


def test_the_printed_address_of_the_console_logs_in(machine: Machine) -> None:
    url = json.loads(machine.run("status", "--json").stdout)["urls"]["console"]

    with httpx.Client(follow_redirects=True, timeout=30) as browser:
        page = browser.get(url)
    assert page.url.path == "/"
    assert "cat <small>may act</small>" in page.text
    # without the login inside, the same address shows nothing
    assert httpx.get(str(page.url.copy_with(userinfo=b"")), timeout=30).status_code == 303


def test_a_text_is_answered_and_what_gets_no_reply_says_why(machine: Machine) -> None:
    answered = machine.run("text", "hello")
    assert (answered.returncode, bool(answered.stdout.strip())) == (0, True)

    stopped = machine.run("text", "STOP")
    assert stopped.returncode == 3
    assert "the network: You are unsubscribed" in stopped.stderr
    assert "none will come: settled in silence: keyword stop" in stopped.stderr

    silent = json.loads(machine.run("text", "are you there?", "--json").stdout)
    assert (silent["reply"], silent["state"], silent["reason"]) == (None, "SILENT", "opted out")

    assert machine.run("text", "START").returncode == 3
    sent = machine.run("text", "hello again", "--wait", "0")
    assert (sent.returncode, sent.stdout) == (0, "")


def test_a_number_that_is_none_is_refused_before_anything_is_sent(machine: Machine) -> None:
    for option, value in (("--as", "notanumber"), ("--to", "+19999999999")):
        answer = machine.run("text", "hello", option, value)
        assert (answer.returncode, value in answer.stderr) == (2, True)
    assert "notanumber" not in machine.run("conversations", "list", "--numbers").stdout


def test_a_chat_with_a_stored_conversation_uses_the_tree_and_no_real_account(machine: Machine) -> None:
    machine.run("text", "my umbrella flew away", "--as", "+15551230077")

    answer = machine.run("chat", "--as", "(555) 123-0077")  # its input is empty

    assert answer.returncode == 0, answer.stderr
    assert "you: my umbrella flew away" in answer.stdout


def test_its_settings_can_be_evaluated_by_a_shell(machine: Machine) -> None:
    exports = machine.run("env").stdout
    script = f'{exports}\nprintf %s "$AWS_ENDPOINT_URL"'

    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)

    assert said.stdout == json.loads(machine.run("env", "--json").stdout)["AWS_ENDPOINT_URL"]
    assert f"export DADACAT_DATA={shlex.quote(str(machine.data))}" in exports


def test_its_logs_are_read_by_name(machine: Machine) -> None:
    lines = json.loads(machine.run("logs", "webhook", "up", "--json").stdout)

    assert {line["process"] for line in lines} == {"webhook", "up"}
    assert machine.run("logs", "never").returncode == 2


def test_a_second_tree_in_its_folder_is_refused(machine: Machine) -> None:
    answer = machine.run("up", "--detach", "--data", str(machine.data))

    assert answer.returncode == 1
    assert "another DadaCat runs" in answer.stderr


def test_a_process_by_hand_uses_the_tree_that_is_named(machine: Machine) -> None:
    port = json.loads(machine.run("status", "--json").stdout)["urls"]["webhook"].rpartition(":")[2]

    taken = machine.run("flower", "--data", str(machine.data), "--port", port)

    assert taken.returncode == 1
    assert f"port {port} of 127.0.0.1 cannot be had" in taken.stderr
