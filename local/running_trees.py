"""Find the tree that a command is for: the one in this folder, or the one that was started last.

`$XDG_STATE_HOME/dadacat/trees` (by default `~/.local/state/dadacat/trees`) holds the data folders of trees, one a line,
the one started last at the end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local import data_folder
from local.errors import NoTree
from runtime.settings import without_settings

#: The environment or `.env` names an installation of its own if it sets one of these.
_NAMES_ONE: Final = (
    "TWILIO_ACCOUNT_SID", "REDIS_URL", "AWS_ENDPOINT_URL", "TWILIO_API_BASE_URL", "DYNAMODB_TABLE_NAME",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command looks for a tree: in `data` if the operator named it, else as `given` says."""

    data: Path | None
    given: Mapping[str, str]

    def folder(self) -> Path | None:
        """Return the data folder of the running tree, or None."""
        return next((folder.absolute() for folder in self._folders() if data_folder.is_locked(folder)), None)

    def required(self) -> Path:
        """Return the data folder of the running tree. Raises `NoTree`."""
        folder = self.folder()
        if folder is None:
            raise NoTree(f"{self.looked_for()}: start one with scripts/up, or name its data folder with --data")
        return folder

    def settings(self) -> dict[str, str]:
        """Return the variables of the process, completed by the settings of the running tree.

        A tree that the operator named replaces our settings among them: its stores and another account do not mix.
        """
        folder = self.folder()
        tree = (data_folder.settings(folder) if folder else None) or {}
        if self.data is not None:
            return {**without_settings(self.given), **tree}
        return {**tree, **{name: value for name, value in self.given.items() if value or name not in tree}}

    def names_an_installation(self) -> bool:
        """Return whether a tree, the environment or `.env` says which stores are meant."""
        return self.folder() is not None or _names_one(self.given)

    def looked_for(self) -> str:
        """Say where no tree was found."""
        folder = self.data or Path(self.given.get("DADACAT_DATA") or data_folder.DEFAULT)
        where = "" if self.data else ", nor elsewhere" if not _names_one(self.given) else ""
        return f"no `dadacat up` runs with its data in {folder.absolute()}{where}"

    def _folders(self) -> Iterator[Path]:
        if self.data is not None:
            yield self.data
            return
        yield Path(self.given.get("DADACAT_DATA") or data_folder.DEFAULT)
        if not _names_one(self.given) and not self.given.get("DADACAT_DATA"):
            yield from reversed(_remembered())


def remember(data: Path) -> None:
    """Note that a tree was started with this data folder; without a home folder, nothing is noted."""
    path = _file()
    if path is None:
        return
    folders = [folder for folder in _remembered() if folder != data and data_folder.is_locked(folder)]
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text("".join(f"{folder}\n" for folder in (*folders, data)))


def _remembered() -> list[Path]:
    path = _file()
    try:
        return [Path(line) for line in path.read_text().splitlines()] if path else []
    except OSError:
        return []


def _file() -> Path | None:
    state = os.environ.get("XDG_STATE_HOME")
    try:
        return Path(state or Path.home() / ".local" / "state") / "dadacat" / "trees"
    except RuntimeError:
        return None


def _names_one(given: Mapping[str, str]) -> bool:
    # an empty AWS_ENDPOINT_URL names AWS itself
    return "AWS_ENDPOINT_URL" in given or any(given.get(name) for name in _NAMES_ONE)
