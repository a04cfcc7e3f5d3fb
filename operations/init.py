"""Write a `.env` file that was checked before: `dadacat init`."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from runtime.settings import Settings, SettingsError
from runtime.settings.sections import TWILIO_API
from sms import typed
from worker.build.cat import check_cat

#: First line of the file; every setting that the file does not name has a default.
_HEAD: Final = (
    "# Written by `dadacat init`. Every setting: docs/reference/settings.md. The environment overrides this file.\n"
)


class Account(Protocol):
    """What is asked of the account: `sms.account.TwilioAccount` is one."""

    def status(self) -> tuple[str, datetime | None]:
        """Return its status."""

    def number(self, number: str) -> object | None:
        """Return one of its numbers."""


_NUMBER: Final = r"(?:\+[1-9][0-9]{6,14}|[0-9]{5,6})"
#: The shape of each answer that Twilio gave out, and the sentence about another one.
_SHAPES: Final = {
    "TWILIO_ACCOUNT_SID": (
        re.compile(r"AC[0-9a-fA-F]{32}"),
        "TWILIO_ACCOUNT_SID is AC and 32 hexadecimal digits",
    ),
    "TWILIO_AUTH_TOKEN": (re.compile(r"[0-9a-fA-F]{32}"), "TWILIO_AUTH_TOKEN is 32 hexadecimal digits"),
    "TWILIO_PHONE_NUMBER": (
        re.compile(rf"{_NUMBER}(?:,{_NUMBER})*"),
        "TWILIO_PHONE_NUMBER is + and 7 to 15 digits, such as +15005550006, or a short code of 5 or 6 digits",
    ),
}


def complete(given: Mapping[str, str], *, on_aws: bool = False) -> dict[str, str]:
    """Add the settings that need no answer. Raises `SettingsError`, with a line for each invalid one."""
    values = {name: value for name, value in given.items() if value}
    values["TWILIO_PHONE_NUMBER"] = ",".join(
        typed.number(number) for number in values.get("TWILIO_PHONE_NUMBER", "").split(",")
    )
    values.setdefault("FLOWER_BASIC_AUTH", f"cat:{secrets.token_urlsafe(12)}")
    # without this setting `dadacat up` and compose use the simulator
    values.setdefault("TWILIO_API_BASE_URL", TWILIO_API)
    if on_aws:
        # without this setting `dadacat up` and compose use a local store
        values["AWS_ENDPOINT_URL"] = ""
    wrong = [sentence for name, (shape, sentence) in _SHAPES.items() if not shape.fullmatch(values.get(name, ""))]
    try:
        check_cat(Settings.load(values))
    except SettingsError as exc:
        wrong += [line for line in str(exc).splitlines() if line.split()[0] not in _SHAPES]
    if wrong:
        raise SettingsError("\n".join(wrong))
    return values


def check_account(chosen: Settings, account: Account) -> None:
    """Raise `SettingsError` if one of our numbers is not the account's, and `CarrierAway`."""
    account.status()
    # short codes are not in this list
    ours = [number for number in chosen.twilio.numbers if number.startswith("+")]
    if missing := [number for number in ours if account.number(number) is None]:
        raise SettingsError(f"TWILIO_PHONE_NUMBER: {', '.join(missing)} is not a number of this account")


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
