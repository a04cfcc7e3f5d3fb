"""Commands use the tree that runs in the same folder, and ignore what a stopped tree left behind."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest

from local.data_folder import lock, with_settings_of_tree


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / ".data" / "run"
    run.mkdir(parents=True)
    (run / "tree.json").write_text(json.dumps({"REDIS_URL": "redis://127.0.0.1:24403/0", "PUBLIC_URL": "http://tree"}))
    (tmp_path / ".data" / "lock").touch()
    return tmp_path / ".data"


def test_a_tree_that_runs_is_found_and_the_environment_goes_before_it(data: Path) -> None:
    lock = os.open(data / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)

    settings = with_settings_of_tree({"PUBLIC_URL": "https://cat.example", "REDIS_URL": ""})

    os.close(lock)
    assert (settings["PUBLIC_URL"], settings["REDIS_URL"]) == ("https://cat.example", "redis://127.0.0.1:24403/0")


def test_what_a_killed_tree_left_behind_is_not_used(data: Path) -> None:
    assert (data / "run" / "tree.json").exists()
    assert with_settings_of_tree({"A": "b"}) == {"A": "b"}


def test_where_no_tree_ever_was_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert with_settings_of_tree({"A": "b"}) == {"A": "b"}
    assert list(tmp_path.iterdir()) == []


def test_what_an_earlier_release_left_readable_is_made_private(tmp_path: Path) -> None:
    for name in ("logs", "mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o755)

    os.close(lock(tmp_path))

    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o755
