"""The console's logins: a file with one line for each, `name:role:hash`.

The hash is Argon2id's, with the parameters that `argon2-cffi` recommends; the password itself is not in the file.
A login may look, or also act. The file is readable by its owner only. One more login may come from a setting.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from operations.errors import WrongArgument
from runtime.private_files import replace

#: A password of fewer characters can be guessed; there is no other rule (NIST SP 800-63B, section 3.1.1.2).
SHORTEST: Final = 12
#: Argon2 reads the whole password: a longer one would only cost time.
LONGEST: Final = 256
_NAME: Final = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_HASHER: Final = PasswordHasher()
#: What Argon2 recommends (RFC 9106, section 3.1).
_SALT_BYTES: Final = 16


class Role(StrEnum):
    """What a login may do."""

    #: See everything, and reveal a person: each reveal is noted in the audit log.
    LOOK = "look"
    #: Also act: resend, settle, replay, discard, export, reset, forget.
    ACT = "act"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """One login."""

    name: str
    role: Role
    hash: str

    def accepts(self, password: str) -> bool:
        """Return whether this is the password. Takes about 50 ms of CPU and 64 MB."""
        return _accepts(self.hash, password)


def verified(logins: Mapping[str, Login], name: str, password: str) -> Login | None:
    """Return the login with this name and password; None takes as long, whether or not the name is known."""
    login = logins.get(name)
    if login is None:
        _accepts(_of_no_login(), password)
        return None
    return login if login.accepts(password) else None


def read(path: Path) -> dict[str, Login]:
    """Return the logins of a file by their names; none if there is no file.

    Raises `WrongArgument` for another kind of file.
    """
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as exc:
        raise WrongArgument(f"{path} cannot be read: {type(exc).__name__}") from None
    logins = [_login(line, path) for line in lines if line.strip()]
    return {login.name: login for login in logins}


def put(path: Path, name: str, role: Role, password: str) -> None:
    """Write a login into the file, or replace the one of that name. Raises `WrongArgument`."""
    _require_sound(name, password)
    logins = {**read(path), name: Login(name=name, role=role, hash=_HASHER.hash(password))}
    replace(path, "".join(f"{login.name}:{login.role}:{login.hash}\n" for login in logins.values()))


def given(login: str) -> dict[str, Login]:
    """Return the login of a setting, `name:password`, which may act; none if it is empty.

    Its hash is the same at each start and in each process, so that its sessions last. Raises `WrongArgument`.
    """
    if not login:
        return {}
    name, _, password = login.partition(":")
    _require_sound(name, password)
    salt = hashlib.sha256(login.encode()).digest()[:_SALT_BYTES]
    return {name: Login(name=name, role=Role.ACT, hash=_HASHER.hash(password, salt=salt))}


def fresh_password() -> str:
    """Return a random password."""
    return secrets.token_urlsafe(15)


def _require_sound(name: str, password: str) -> None:
    if not _NAME.fullmatch(name):
        raise WrongArgument("a login's name has up to 64 letters, digits, dots, dashes, underscores and @")
    if not SHORTEST <= len(password) <= LONGEST:
        raise WrongArgument(f"a password has from {SHORTEST} to {LONGEST} characters")


def _login(line: str, path: Path) -> Login:
    name, _, rest = line.strip().partition(":")
    role, _, hash_ = rest.partition(":")
    if not _NAME.fullmatch(name) or role not in {*Role} or not hash_.startswith("$argon2"):
        raise WrongArgument(f"{path} is no file of logins: write it with dadacat console password")
    return Login(name=name, role=Role(role), hash=hash_)


@cache
def _of_no_login() -> str:
    """Return a hash to verify if the name is unknown, so that the answer takes as long as for a known one."""
    return _HASHER.hash(secrets.token_hex(16))


def _accepts(hash_: str, password: str) -> bool:
    try:
        return _HASHER.verify(hash_, password[: LONGEST + 1])
    except (Argon2Error, InvalidHashError):
        return False
