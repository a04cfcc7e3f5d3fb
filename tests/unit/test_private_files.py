"""A secret is in its file as a whole, or the file is not there; an empty file is none."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from chaos.tree import free_base
from local.plan import UpOptions, make_plan
from operations import logins
from runtime import private_files


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "secret"

    assert [private_files.kept(path, "first"), private_files.kept(path, "second")] == ["first", "first"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_file_holds_no_secret(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secret"
    path.write_text(content)

    assert private_files.kept(path, "fresh") == "fresh"
    assert path.read_text() == "fresh"


def test_a_write_that_is_cut_off_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_power(_: int) -> None:
        raise OSError

    monkeypatch.setattr(os, "fsync", no_power)

    with pytest.raises(OSError):  # noqa: PT011 - that of above
        private_files.create(tmp_path / "secret", "content")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_exists_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("kept")

    with pytest.raises(FileExistsError):
        private_files.create(path, "fresh")
    assert path.read_text() == "kept"


def test_a_tree_starts_after_a_power_cut_at_its_first_start(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for name in ("auth-token", "console-password", "flower-password"):
        (tmp_path / "run" / name).touch()

    plan = make_plan({}, UpOptions(port_base=free_base(), data=tmp_path, workers=0))

    assert plan.environment["TWILIO_AUTH_TOKEN"] == (tmp_path / "run/auth-token").read_text()
    password = (tmp_path / "run/console-password").read_text()
    assert logins.read(tmp_path / "run/console-logins")["cat"].accepts(password)
    assert password in dict(plan.urls)["console"]
