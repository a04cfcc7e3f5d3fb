"""Each command that a document shows is typed on a running tree, as its reader would type it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaos.tree import free_base, free_port
from runtime.settings import without_settings
from tests import documents
from tests.conftest import ROOT, SLOWER, http_ok, wait_until
from tests.scenarios.conftest import PORTS, Tree, trees
from tests.scenarios.test_faults import misbehave

pytestmark = [pytest.mark.road, pytest.mark.long, pytest.mark.usefixtures("ctrl_c")]

PERSON = "+15551230001"
#: The sid that pages write where their reader types another one.
A_SID = "SM0123456789abcdef0123456789abcdef"
#: In the order of the pages, because a page may prepare its later commands.
TYPED = list(dict.fromkeys(shown.command for shown in documents.shown() if shown.typed))
#: Programs that run until they are stopped.
ENDLESS = re.compile(r"dadacat (?:console|flower|simulator)(?: --|$)|curl -N ")
#: Commands that exit with 1 if they find something.
FINDING = re.compile(r"dadacat (?:doctor|audit|connect)")
#: What is typed if a command asks for a password.
PASSWORD = "a long password of ours\n" * 2


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    """Start a tree with a text that was answered, replies that are held, and dead letters."""
    with trees(tmp_path_factory) as start:
        yield start(workers=1, whole=True, RECONCILE_INTERVAL_SECONDS="2", UNSETTLED_AFTER_SECONDS="1",
                    SMS_VALIDITY_SECONDS="5", UNKNOWN_PATIENCE_SECONDS="2", SWEEP_INTERVAL_SECONDS="1",
                    SWEEP_PERSON_SECONDS="2")  # fmt: skip


@pytest.fixture(scope="module")
def sids(tree: Tree) -> dict[str, str]:
    """Return the sid that each command is about, by the command's first words."""
    answered = tree.text("hello", sender=PERSON)
    wait_until(lambda: tree.replies(PERSON), what="the reply")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "local")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "local")
        held = [_fails(tree, f"+1555124{number:04d}", "HELD", status=503) for number in range(3)]
        dead = [_fails(tree, f"+1555125{number:04d}", "FAILED", status=400, code=21211) for number in range(2)]
    misbehave(tree)
    return {
        "explain": answered, "curl": answered,
        "held show": held[0], "held resend": held[0], "--sent": held[1], "--not-sent": held[2],
        "dead-letters show": dead[0], "dead-letters replay": dead[0], "dead-letters discard": dead[1],
    }  # fmt: skip


@pytest.fixture(scope="module")
def typed(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], subprocess.Popen[str]]:
    """Return a function that types a command into a shell with the settings of the tree."""
    home = tmp_path_factory.mktemp("home")
    environment = {
        **without_settings(os.environ), **tree.settings, "HOME": str(home), "DADACAT_DATA": str(tree.data),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "REDIS_URL": tree.urls["redis"], "AWS_ENDPOINT_URL": tree.urls["dynamodb"],
        "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
        "TWILIO_API_BASE_URL": tree.urls["twilio"], "PUBLIC_URL": tree.urls["webhook"],
        "CONSOLE_LOGINS_FILE": str(home / "logins"),
    }  # fmt: skip

    def start(command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", command], env=environment, cwd=ROOT, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    return start


@pytest.mark.parametrize("command", TYPED)
def test_a_command_does_what_its_page_says(
    tree: Tree, sids: dict[str, str], typed: Callable[[str], subprocess.Popen[str]], command: str
) -> None:
    if command.startswith("redis-cli") and shutil.which("redis-cli") is None:
        pytest.skip("there is no redis-cli: apt-get install redis-tools")

    answer = typed(_as_a_reader_types_it(command, tree, sids))
    if ENDLESS.search(command):
        assert answer.stdout is not None
        assert answer.stdout.readline()
        _stop(answer)
        return
    typing = PASSWORD if "password" in command else "y\n" if "dadacat" in command else ""
    said, _ = answer.communicate(typing, 60 * SLOWER)
    misbehave(tree)  # a page shows how to make it

    assert answer.returncode in ((0, 1) if FINDING.search(command) else (0,)), said
    assert "Traceback" not in said


def test_scripts_up_starts_everything_and_ctrl_c_stops_it(tmp_path: Path) -> None:
    base = free_base(PORTS)
    options = ["--headless", "--port-base", str(base), "--data", str(tmp_path), "--workers", "1"]
    up = subprocess.Popen(
        [str(ROOT / "scripts/up"), *options], env=without_settings(os.environ), cwd=tmp_path, text=True,
        start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert up.stdout is not None

    assert any(line.startswith("console ") for line in up.stdout)

    _stop(up)
    assert not http_ok(f"http://127.0.0.1:{base}/livez")


def _as_a_reader_types_it(command: str, tree: Tree, sids: dict[str, str]) -> str:
    sid = next((sid for words, sid in sids.items() if words in command), A_SID)
    command = re.sub(r"127\.0\.0\.1:84(\d\d)", lambda port: f"127.0.0.1:{tree.port_base + int(port[1])}", command)
    command = re.sub(r"--port \d+|(?<=dadacat console)$", lambda _: f" --port {free_port()}", command)
    command = re.sub(r"> (?!/)\S+", "> /dev/null", command)
    return command.replace(A_SID, sid).replace("UUID", "event").replace(".venv/bin/", "")


def _fails(tree: Tree, person: str, state: str, **error: int) -> str:
    misbehave(tree, {"at": "create", "do": "error", "person": person, "times": 1, **error})
    sid = tree.text("hello", sender=person)
    wait_until(lambda: any(row["state"] == state for row in tree.rows(person)), seconds=60, what=state)
    return sid


def _stop(endless: subprocess.Popen[str]) -> None:
    """Stop a program as Ctrl-C does, and require that it ends by itself."""
    os.killpg(endless.pid, signal.SIGINT)
    endless.communicate(timeout=60 * SLOWER)
    assert endless.returncode in (0, 128 + signal.SIGINT, -signal.SIGINT)
