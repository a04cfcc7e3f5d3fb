"""Write a `.env` file that was checked before: `dadacat init`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runtime.settings import TWILIO_API, Settings
from worker.build.cat import check_cat

#: First line of the file; every setting that the file does not name has a default.
_HEAD: Final = (
    "# Written by `dadacat init`. Every setting: docs/reference/settings.md. The environment overrides this file.\n"
)


def complete(given: Mapping[str, str]) -> dict[str, str]:
    """Add the settings that need no answer. Raises `SettingsError`, with a line for each invalid one."""
    values = {name: value for name, value in given.items() if value}
    values.setdefault("FLOWER_BASIC_AUTH", f"cat:{secrets.token_urlsafe(12)}")
    # without this setting `dadacat up` and compose use the simulator
    values.setdefault("TWILIO_API_BASE_URL", TWILIO_API)
    chosen = Settings.load(values)
    chosen.twilio.require()
    check_cat(chosen)
    return values


def write(path: Path, values: Mapping[str, str]) -> None:
    """Write the file, readable by its owner only; an existing file is replaced whole or not at all."""
    lines = [f"{name}={_quoted(value)}\n" for name, value in values.items()]
    new_file = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(new_file, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as file:
        file.write(_HEAD + "".join(lines))
    new_file.replace(path)


def _quoted(value: str) -> str:
    if value and all(character.isalnum() or character in "+-_.:/,@" for character in value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
