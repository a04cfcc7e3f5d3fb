"""Make the environments of the programs that cannot share ours.

These are the embedded DynamoDB and the small model. Their lock files, with hashes, stand beside them: `dynamodb.txt`
and `model.txt`. An environment is made at the first start that needs it: in the virtual environment of DadaCat, or in
`~/.cache/dadacat` if DadaCat runs in none, or in one that cannot be written to. Its name ends with a hash of its lock
file, so that an upgrade leaves running programs alone:

    .venv/environments/dynamodb-0f1d7ab2c4e9

    python -m local.environments dynamodb model
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from local.errors import CannotStart

#: What each environment is for, and its size.
NAMES: Final = {"dynamodb": "the embedded DynamoDB", "model": "the small model and its server"}
SIZES: Final = {"dynamodb": "70 MB", "model": "130 MB"}
#: A slow network needs minutes for the model; one that hangs must not hold the start for ever.
INSTALL_SECONDS: Final = 900.0
LINES_SHOWN: Final = 5
#: Marks an environment as complete.
_MARK: Final = ".installed"


def python(name: str) -> Path:
    """Return the interpreter of an environment, which is made if it is missing. Raises `CannotStart`."""
    try:
        folder = _folder(name)
        if not _is_complete(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _alone(folder):
                # another process may have made it meanwhile
                if not _is_complete(folder):
                    _make(name, folder)
    except OSError as exc:
        raise CannotStart(f"{NAMES[name]} cannot be installed: {exc}") from exc
    return _interpreter(folder)


def _folder(name: str) -> Path:
    made_from = f"{sys.version_info[:2]}".encode() + _lock_file(name).read_bytes()
    if sys.prefix != sys.base_prefix and os.access(sys.prefix, os.W_OK):
        place = Path(sys.prefix)
    else:
        place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dadacat"
    return place / "environments" / f"{name}-{hashlib.sha256(made_from).hexdigest()[:12]}"


def _lock_file(name: str) -> Path:
    return Path(__file__).parent / f"{name}.txt"


def _interpreter(folder: Path) -> Path:
    return folder / "bin" / "python"


def _is_complete(folder: Path) -> bool:
    # the interpreter is a link, which breaks if the system's Python moves
    return (folder / _MARK).exists() and _interpreter(folder).exists()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from making the same environment."""
    with folder.with_name(f"{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(name: str, folder: Path) -> None:
    print(f"installing {NAMES[name]} ({SIZES[name]}), once, into {folder}", file=sys.stderr, flush=True)
    venv.create(folder, clear=True, symlinks=True)
    install = [*_installer(_interpreter(folder)), "--no-deps", "--require-hashes", "-r", str(_lock_file(name))]
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            install, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise CannotStart(f"{NAMES[name]} was not installed within {INSTALL_SECONDS:.0f} s") from None
    if done.returncode:
        lines = "\n  ".join((done.stderr or done.stdout).strip().splitlines()[-LINES_SHOWN:])
        raise CannotStart(f"{NAMES[name]} cannot be installed:\n  {lines}")
    (folder / _MARK).touch()


def _installer(interpreter: Path) -> list[str]:
    """Return the command that installs into an environment: uv's, or pip's. Raises `CannotStart`."""
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    if uv := shutil.which("uv", path=beside):
        return [uv, "--quiet", "pip", "install", "--compile-bytecode", "--python", str(interpreter)]
    if find_spec("pip"):
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        return [*pip, "--python", str(interpreter), "install"]
    raise CannotStart("there is neither uv nor pip to install with: python -m ensurepip")


def main() -> None:
    """Make the environments that the command line names."""
    try:
        for name in sys.argv[1:]:
            python(name)
    except CannotStart as exc:
        sys.exit(str(exc))


if __name__ == "__main__":
    main()
