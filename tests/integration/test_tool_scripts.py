"""The environments of tools follow their lock files, and no script minds its caller's folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

#: Makes an environment whose pip notes in `installed` what it was asked for, and fails while there is a file `offline`.
PYTHON = """#!/bin/sh
rm -rf "$4" && mkdir -p "$4/bin"
printf '#!/bin/sh\\n[ ! -e offline ] && cat "requirements/lint.txt" >> installed\\n' > "$4/bin/pip"
chmod +x "$4/bin/pip"
"""
#: These make an environment to work in, not to keep.
OTHERS = {"install", "try-wheel", "tool-environment"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for folder in ("scripts", "requirements"):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / "scripts/tool-environment", tmp_path / "scripts")
    (tmp_path / "requirements/lint.txt").write_text("zizmor==1\n")
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def make(checkout: Path) -> int:
    command = [str(checkout / "scripts/tool-environment"), "lint", "a linter"]
    env = {**os.environ, "PYTHON": str(checkout / "python")}
    return subprocess.run(command, env=env, capture_output=True, check=False).returncode


def test_an_environment_is_made_once_and_anew_when_its_lock_file_changed(checkout: Path) -> None:
    assert [make(checkout), make(checkout)] == [0, 0]
    assert (checkout / "installed").read_text() == "zizmor==1\n"

    (checkout / "requirements/lint.txt").write_text("zizmor==2\n")

    assert [make(checkout), make(checkout)] == [0, 0]
    assert (checkout / "installed").read_text() == "zizmor==1\nzizmor==2\n"


def test_an_environment_that_could_not_be_installed_is_tried_again(checkout: Path) -> None:
    (checkout / "offline").touch()
    assert make(checkout) != 0
    (checkout / "offline").unlink()

    assert make(checkout) == 0
    assert (checkout / "installed").read_text() == "zizmor==1\n"


@pytest.mark.parametrize("name", [path.name for path in sorted((ROOT / "scripts").iterdir()) if path.is_file()])
def test_a_script_uses_an_environment_that_follows_its_lock_file(name: str) -> None:
    text = (ROOT / "scripts" / name).read_text()
    used = set(re.findall(r"\.venv/([a-z]+)/bin", text))

    assert {each for each in used if f"scripts/tool-environment {each} " not in text} == set()
    assert "-m venv" not in text or name in OTHERS


def test_secrets_are_looked_for_in_the_whole_checkout_from_any_folder(tmp_path: Path) -> None:
    root, away = tmp_path / "root", tmp_path / "root/away"
    (root / "scripts").mkdir(parents=True)
    away.mkdir()
    shutil.copy(ROOT / "scripts/secrets", root / "scripts")
    (root / "settings.py").write_text('password = "correct horse battery"\n')
    (root / ".secrets.baseline").write_text('{"results": {}}')
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *command], cwd=root, check=True)

    done = subprocess.run(
        [sys.executable, root / "scripts/secrets"], cwd=away, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stdout.startswith("settings.py:1: looks like a secret"), done.stderr
