"""Commands find the tree that runs, here or elsewhere, and ignore what a stopped tree left behind."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local import data_folder, log_files, running_trees
from local.errors import NoTree
from local.running_trees import Place

TREE = {"REDIS_URL": "redis://127.0.0.1:24403/0", "PUBLIC_URL": "http://tree"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def a_folder(data: Path) -> Path:
    (data / "run").mkdir(parents=True)
    (data / "run" / "tree.json").write_text(json.dumps(TREE))
    (data / "lock").touch()
    return data


@contextmanager
def running(data: Path) -> Iterator[None]:
    lock = os.open(data / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(lock)


def settings(given: dict[str, str], data: Path | None = None) -> dict[str, str]:
    return Place(data, given).settings()


def test_a_tree_that_runs_is_found_and_the_environment_goes_before_it() -> None:
    with running(a_folder(Path(".data"))):
        found = settings({"PUBLIC_URL": "https://cat.example", "REDIS_URL": ""})

    assert found == {"PUBLIC_URL": "https://cat.example", "REDIS_URL": TREE["REDIS_URL"]}


def test_what_a_killed_tree_left_behind_is_not_used() -> None:
    a_folder(Path(".data"))

    assert settings({"A": "b"}) == {"A": "b"}


def test_where_no_tree_ever_was_nothing_is_made() -> None:
    assert settings({"A": "b"}) == {"A": "b"}
    assert list(Path().iterdir()) == []


def test_a_tree_is_found_from_another_folder_until_it_stops(tmp_path: Path) -> None:
    first, last = a_folder(tmp_path / "first"), a_folder(tmp_path / "last")
    with running(first):
        running_trees.remember(first)
        with running(last):
            running_trees.remember(last)
            assert Place(None, {}).folder() == last
        assert Place(None, {}).folder() == first

    assert Place(None, {}).folder() is None


@pytest.mark.parametrize("name", ["TWILIO_ACCOUNT_SID", "REDIS_URL", "AWS_ENDPOINT_URL"])
def test_an_installation_that_is_named_is_not_mixed_with_a_tree_elsewhere(name: str, tmp_path: Path) -> None:
    tree = a_folder(tmp_path / "tree")
    with running(tree):
        running_trees.remember(tree)

        assert settings({name: "x"}) == {name: "x"}


def test_a_folder_that_is_named_is_the_only_one_that_counts(tmp_path: Path) -> None:
    tree = a_folder(tmp_path / "tree")
    with running(tree), running(a_folder(Path(".data"))):
        running_trees.remember(tree)

        assert Place(tree, {}).required() == tree
        with pytest.raises(NoTree, match="elsewhere"):
            Place(tmp_path / "elsewhere", {}).required()


def test_a_tree_that_is_named_is_not_mixed_with_another_account(tmp_path: Path) -> None:
    tree = a_folder(tmp_path / "tree")
    with running(tree):
        found = settings({"REDIS_URL": "redis://production", "TWILIO_API_KEY": "SK1", "PATH": "/bin"}, tree)

    assert found == {**TREE, "PATH": "/bin"}


def test_without_a_home_folder_trees_run_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")

    running_trees.remember(tmp_path)

    assert Place(None, {}).folder() is None


def test_the_launcher_is_known_by_its_process_id(tmp_path: Path) -> None:
    lock = data_folder.lock(tmp_path)

    assert data_folder.launcher(tmp_path) == os.getpid()
    os.close(lock)
    assert data_folder.launcher(tmp_path) is None


def test_a_log_that_grew_too_large_is_moved_aside_and_its_process_goes_on_writing(tmp_path: Path) -> None:
    path = tmp_path / "webhook.log"
    with path.open("ab", buffering=0) as process:
        process.write(b"old line\n" * 20)
        log_files.keep_small(path, limit=100)
        process.write(b"new line\n")

    assert log_files.last_lines(path, 5) == ["new line"]
    assert log_files.last_lines(tmp_path / "webhook.log.1", 1) == ["old line"]


def test_a_log_that_cannot_be_moved_stays(tmp_path: Path) -> None:
    path = tmp_path / "webhook.log"
    path.write_text("old line\n" * 20)
    (tmp_path / "webhook.log.1").mkdir()

    log_files.keep_small(path, limit=100)
    log_files.keep_small(tmp_path / "gone.log", limit=100)

    assert log_files.last_lines(path, 1) == ["old line"]


def test_on_a_full_disk_a_log_is_emptied_without_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "webhook.log"
    path.write_text("old line\n" * 20)
    (tmp_path / "webhook.log.1").symlink_to("/dev/full")

    log_files.keep_small(path, limit=100)

    assert path.stat().st_size == 0


def test_a_followed_log_is_read_on_after_it_was_emptied(tmp_path: Path) -> None:
    path = tmp_path / "webhook.log"
    path.write_text("before\n")
    writes = iter(["first\nsec", "ond\n", None, "third\n"])

    def write() -> bool:
        try:
            line = next(writes)
        except StopIteration:
            return False
        if line is None:
            os.truncate(path, 0)
        else:
            with path.open("a") as file:
                file.write(line)
        return True

    assert [line for _, line in log_files.follow({"webhook": path}, write)] == ["first", "second", "third"]


def test_what_an_earlier_release_left_readable_is_made_private(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in ("logs", "mine"):
        (data / name).mkdir(parents=True)
        (data / name).chmod(0o755)

    os.close(data_folder.lock(data))

    assert (data / "logs").stat().st_mode & 0o777 == 0o700
    assert (data / "mine").stat().st_mode & 0o777 == 0o755
