"""What Twilio's error codes mean, read once from `sms/codes.toml`.

python -m sms.codes 21659 30034 99999    names the codes that the table does not know; exit code 1 if there are any
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final

from sms.ports import ErrorClass, Scope, Verdict

_ACCOUNT_STATUS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})


def of_answer(status: int, code: int | None) -> Verdict:
    """Return what an answer with this HTTP status and Twilio code means for the requested message.

    After a 5xx or 408 the message may exist, whatever the code. Otherwise a code that the table knows decides. Without
    one, the status does: a 429 was never processed. A refusal with an unknown code keeps the reply, and only its person
    waits. A 4xx without a code did not come from the message API itself but, for example, from a proxy: it proves
    nothing, except for the statuses that mean a wrong account or address.
    """
    row = None if code is None else row_of(code)
    strange = Verdict(error_class=ErrorClass.UNKNOWN, code=code, means=_words(status, code), alarming=True)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return replace(row or replace(strange, alarming=code is not None), error_class=ErrorClass.UNKNOWN)
    if row is not None:
        return row
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return replace(strange, error_class=ErrorClass.TRY_AGAIN, scope=Scope.ACCOUNT, alarming=code is not None)
    if status == HTTPStatus.UNAUTHORIZED or (code is None and status in _ACCOUNT_STATUS):
        return replace(strange, error_class=ErrorClass.CONFIGURATION, scope=Scope.ACCOUNT)
    if code is not None and status >= HTTPStatus.BAD_REQUEST:
        return replace(strange, error_class=ErrorClass.CONFIGURATION, scope=Scope.DESTINATION)
    return strange


def of_report(code: int) -> Verdict:
    """Return what a code in a status callback means; one that the table does not know is an alarm."""
    unknown = Verdict(error_class=ErrorClass.UNKNOWN, code=code, means=_words(0, code), alarming=True)
    return row_of(code) or unknown


def row_of(code: int) -> Verdict | None:
    """Return the row of a code; None if the table has none."""
    return _rows().get(code)


def gaps(codes: Iterable[int]) -> list[int]:
    """Return those of `codes` that have no row, although they may concern a message."""
    ranges = [range(first, last + 1) for first, last in _table()["not_about_messages"]]
    return [code for code in codes if row_of(code) is None and not any(code in known for known in ranges)]


def main(arguments: Sequence[str]) -> int:
    """Print the gaps in the table against the codes in `arguments`; return the exit code."""
    if not arguments or not all(argument.isdecimal() for argument in arguments):
        sys.stderr.write("usage: scripts/codes CODE...\n")
        return 2
    missing = gaps(map(int, arguments))
    for code in missing:
        sys.stdout.write(f"{code} has no row in sms/codes.toml; see {_table()['source'].format(code=code)}\n")
    sys.stdout.write(f"{len(arguments)} codes, {len(missing)} without a row\n")
    return 1 if missing else 0


def _words(status: int, code: int | None) -> str:
    return f"HTTP {status}" if code is None else f"Twilio error {code}"


@cache
def _rows() -> Mapping[int, Verdict]:
    return {int(code): _verdict(int(code), row) for code, row in _table()["codes"].items()}


def _verdict(code: int, row: Mapping[str, Any]) -> Verdict:  # Any: TOML's own types
    return Verdict(
        error_class=ErrorClass(row["class"]),
        scope=Scope(row["scope"]),
        code=code,
        means=row["means"],
        people=row.get("min_people", 1),
        service=row.get("service", False),
        opts_out=row.get("opts_out", False),
        pause=timedelta(seconds=row["pause_seconds"]) if "pause_seconds" in row else None,
        alarming=row.get("alarm", False),
    )


@cache
def _table() -> Mapping[str, Any]:  # Any: TOML's own types
    return tomllib.loads(files("sms").joinpath("codes.toml").read_text())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
