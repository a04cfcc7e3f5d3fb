"""An operator runs `backup`, `restore` and `make-secrets`, with a stand-in for Docker.

The stand-in runs what the scripts run in Redis's container on this machine, with Redis's own check of a file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from chaos.tree import free_port
from local.programs import redis_server
from tests.conftest import ROOT, end, wait_for_redis, wait_until

#: Runs `run … sh -euc SCRIPT` with the container's folders elsewhere. Redis runs while the file `running` is there.
COMPOSE = """#!/usr/bin/env bash
case $1 in
  stop) rm "$AWAY/running"; touch "$AWAY/was-stopped" ;;
  start) touch "$AWAY/running" ;;
  run)
    if [ "${FAILS:-}" = run ] && [ ! -e "$AWAY/running" ]; then exit 1; fi
    exec sh -euc "$(sed "s,/tmp/,$AWAY/,g; s,/data/,$AWAY/data/,g; s,/run/secrets/,$AWAY/,g" <<< "${!#}")" ;;
esac
"""
#: A replica's copy of what Redis holds.
REDIS_CLI = """#!/usr/bin/env bash
cp "$AWAY/held.rdb" "${!#}"
"""
MV = """#!/usr/bin/env bash
if [ "${FAILS:-}" = mv ] && [[ $1 == */restored ]]; then exit 1; fi
exec /bin/mv "$@"
"""


@dataclass(frozen=True, slots=True)
class Host:
    """A checkout, a caller in another folder, and Redis's volume."""

    root: Path
    caller: Path
    away: Path

    def run(self, script: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a script of deploy/compose from the caller's folder."""
        path = f"{self.away / 'bin'}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "COMPOSE": "compose", "AWAY": str(self.away), **more}
        command = [str(self.root / "deploy/compose" / script), *arguments]
        return subprocess.run(command, cwd=self.caller, env=env, capture_output=True, text=True, check=False)

    @property
    def held(self) -> Path:
        """The append-only file of Redis, as a restore finds it."""
        return self.away / "data/appendonlydir/appendonly.aof.1.base.rdb"

    @property
    def runs(self) -> bool:
        """Whether Redis runs."""
        return (self.away / "running").exists()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path / "root", tmp_path / "caller", tmp_path / "away")
    programs = made.away / "bin"
    for folder in (made.caller, programs, made.held.parent):
        folder.mkdir(parents=True)
    shutil.copytree(ROOT / "deploy/compose", made.root / "deploy/compose", ignore=shutil.ignore_patterns("secrets"))
    for name, text in {"compose": COMPOSE, "redis-cli": REDIS_CLI, "mv": MV}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    # by this name the server is its own check
    (programs / "redis-check-rdb").symlink_to(redis_server())
    (made.away / "redis-password-backup").touch()
    made.held.write_text("what Redis held")
    (made.away / "running").touch()
    return made


@pytest.fixture
def backup(redis_client: redis.Redis, host: Host) -> Path:
    """A sound backup, in the caller's folder."""
    redis_client.set("kept", "yes")
    redis_client.save()
    folder = Path(str(redis_client.config_get("dir")["dir"]))
    shutil.copy(folder / "dump.rdb", host.away / "held.rdb")
    return Path(shutil.copy(folder / "dump.rdb", host.caller / "sound.rdb"))


def test_a_restored_redis_holds_the_backup_and_its_volume_everything_from_before(host: Host, backup: Path) -> None:
    done = host.run("restore", backup.name)

    assert (done.returncode, host.runs) == (0, True), done.stderr
    assert _value(host, "kept") == b"yes"
    begun = int(time.time())
    wait_until(lambda: int(time.time()) > begun, what="the next second")
    assert host.run("restore", backup.name).returncode == 0
    kept = sorted((host.away / "data").glob("before-restore-*"))
    assert len(kept) == 2
    assert (kept[0] / host.held.name).read_text() == "what Redis held"


def _value(host: Host, key: str) -> object:
    """Start a Redis on the volume and read a key."""
    port = free_port()
    command = [redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--appendonly", "yes", "--save", ""]
    process = subprocess.Popen([*command, "--dir", str(host.away / "data")], stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port) as client:
            wait_for_redis(client)
            return client.get(key)
    finally:
        end(process)


def test_a_damaged_backup_does_not_stop_redis(host: Host, backup: Path) -> None:
    backup.write_bytes(backup.read_bytes()[:-5])

    done = host.run("restore", backup.name)

    assert done.returncode != 0
    assert "Unexpected EOF" in done.stderr
    assert not (host.away / "was-stopped").exists()
    assert [path.name for path in (host.away / "data").iterdir()] == ["appendonlydir"]


@pytest.mark.parametrize("what", ["run", "mv"])
def test_redis_goes_on_with_what_it_held_if_a_restore_fails(host: Host, backup: Path, what: str) -> None:
    done = host.run("restore", backup.name, FAILS=what)

    assert done.returncode != 0
    assert (host.away / "was-stopped").exists()
    assert host.runs
    assert host.held.read_text() == "what Redis held"


def test_a_backup_goes_where_its_caller_says(host: Host, backup: Path) -> None:
    done = host.run("backup", "folder/mine.rdb")

    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == host.caller / "folder/mine.rdb"
    assert (host.caller / "folder/mine.rdb").read_bytes() == backup.read_bytes()


def test_a_backup_without_a_name_is_found_by_what_is_printed(host: Host, backup: Path) -> None:
    done = host.run("backup")

    printed = host.caller / done.stdout.strip()
    assert printed.parent == host.root / "deploy/compose/backups"
    assert printed.read_bytes() == backup.read_bytes()


def test_a_backup_that_fails_leaves_no_file(host: Host) -> None:
    (host.away / "held.rdb").write_bytes(b"REDIS0011\xfa\x09")

    assert host.run("backup", "mine.rdb").returncode != 0
    assert list(host.caller.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "folder"),
    [({}, "deploy/compose/secrets"), ({"SECRETS": "./mine"}, "mine"), ({"SECRETS": "deploy/x"}, "deploy/x")],
)
def test_secrets_are_made_where_compose_reads_them(host: Host, given: dict[str, str], folder: str) -> None:
    """Compose takes a relative path from its project's folder, which is the root."""
    done = host.run("make-secrets", **given)

    assert done.returncode == 0, done.stderr
    assert (host.root / folder / "redis-users").is_file()
