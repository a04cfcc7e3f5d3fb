"""The environments of the embedded programs: made once, and a sentence if they cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


def _make(cache: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the module with the interpreter of the system, which is in no virtual environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [f"{sys.base_prefix}/bin/python3", "-m", "local.environments", "dynamodb"],
        cwd=ROOT, env={**os.environ, "PATH": path, "XDG_CACHE_HOME": str(cache), **more},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_what_cannot_be_installed_is_said_in_a_sentence_and_tried_again(tmp_path: Path) -> None:
    for _ in range(2):
        done = _make(tmp_path, UV_OFFLINE="1", UV_CACHE_DIR=str(tmp_path / "uv"))

        assert done.returncode == 1
        assert done.stderr.startswith("installing the embedded DynamoDB (70 MB), once, into ")
        assert "the embedded DynamoDB cannot be installed:" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    done = _make(tmp_path / "file")

    assert done.returncode == 1
    assert done.stderr.startswith("the embedded DynamoDB cannot be installed: ")
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_outside_of_a_virtual_environment_it_is_made_in_the_cache_once(tmp_path: Path) -> None:
    first, second = _make(tmp_path), _make(tmp_path)

    assert (first.returncode, second.returncode) == (0, 0)
    assert "once" in first.stderr
    assert second.stderr == ""
    (python,) = tmp_path.glob("dadacat/environments/dynamodb-*/bin/python")
    subprocess.run([python, "-c", "import ministack"], check=True)
