"""The previous release, in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.installation import Release

#: The commit from which installations upgrade.
COMMIT = Path(__file__).with_name("previous").read_text().strip()


@pytest.fixture(scope="session")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Install the previous release from its own lock file."""
    code = tmp_path_factory.mktemp("previous")
    archive = code / "code.tar"
    subprocess.run(["git", "archive", f"--output={archive}", COMMIT], cwd=ROOT, check=True)
    with tarfile.open(archive) as files:
        files.extractall(code, filter="data")
    uv = [str(Path(sys.executable).with_name("uv")), "--quiet", "--no-config"]
    python = code / ".venv" / "bin" / "python"
    install = [*uv, "pip", "install", "--python", str(python)]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(code / ".venv")], check=True)
    subprocess.run([*install, "--require-hashes", "-r", str(code / "requirements" / "app.txt")], check=True)
    subprocess.run([*install, "--no-deps", "--no-build-isolation", "--editable", str(code)], check=True)
    return Release("previous", code, python.with_name("dadacat"))
