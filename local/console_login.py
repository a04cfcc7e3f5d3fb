"""The console's login in a tree: a random password, made at the first run, inside the address.

DIR/run/console-password   the password of `cat`, who may act
DIR/run/console-logins     its hash, for the console
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from operations import logins
from operations.logins import Role
from runtime import private_files
from runtime.settings import Settings

NAME: Final = "cat"
_PASSWORD, _LOGINS = "console-password", "console-logins"


def kept(run: Path) -> str:
    """Return the path of the tree's own file of logins; the first call makes the login."""
    password = private_files.kept(run / _PASSWORD, logins.fresh_password())
    path = run / _LOGINS
    login = logins.read(path).get(NAME)
    if login is None or not login.accepts(password):
        logins.put(path, NAME, Role.ACT, password)
    return str(path)


def in_address(chosen: Settings, address: str, run: Path) -> str:
    """Return the console's address, with the login inside if it is the tree's own."""
    if Path(chosen.console.logins_file) != run / _LOGINS:
        return address
    password = (run / _PASSWORD).read_text().strip()
    return f"{address.replace('://', f'://{NAME}:{password}@')}/enter"
