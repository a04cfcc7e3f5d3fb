"""`dadacat init`: an `.env` that is right before it is written."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dadacat.settings import TWILIO_API, Settings

#: What a written file begins with; every other setting has a default.
_HEAD: Final = (
    "# Written by `dadacat init`. Every setting: docs/reference/settings.md. The environment goes before this file.\n"
)


def complete(given: Mapping[str, str]) -> dict[str, str]:
    """What was answered, with what needs no answer. Raises `SettingsError`, with a line for each that is wrong."""
    values = {name: value for name, value in given.items() if value}
    values.setdefault("FLOWER_BASIC_AUTH", f"cat:{secrets.token_urlsafe(12)}")
    # without it `dadacat up` and compose talk to the simulator
    values.setdefault("TWILIO_API_BASE_URL", TWILIO_API)
    Settings.load(values).require_twilio()
    return values


def write(path: Path, values: Mapping[str, str]) -> None:
    """Write the file, readable by its owner alone; one that is there is replaced whole, or not at all."""
    lines = [f"{name}={_quoted(value)}\n" for name, value in values.items()]
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as file:
        file.write(_HEAD + "".join(lines))
    fresh.replace(path)


def _quoted(value: str) -> str:
    if value and all(character.isalnum() or character in "+-_.:/,@" for character in value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
