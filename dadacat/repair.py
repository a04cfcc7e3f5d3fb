"""Commands that repair: reconcile now, and handle dead letters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from dadacat.installation import Installation
from dadacat.terminal import (
    ALWAYS_JSON,
    AS_JSON,
    LIMIT,
    NUMBERS,
    YES,
    Commands,
    Duration,
    confirm,
    echo,
    print_json,
    print_result,
    print_rows,
    progress_bar,
)

if TYPE_CHECKING:
    from operations.dead_letters import DeadLetters

commands = Commands()


@commands.command()
@click.option(
    "--since",
    type=Duration(),
    help="Look for missed texts at least this far back: 90m, 24h, 2d. Default: since the end of the last look.",
)
@AS_JSON
def reconcile(*, since: timedelta | None, as_json: bool) -> None:
    """Queue unfinished turns again, settle unknown outcomes, and fetch texts whose webhook never came."""
    from worker.build.reconcile import build_reconciler

    here = Installation()
    reconciler = build_reconciler(here.settings, here.client, here.inbox, here.journal)
    with progress_bar() as progress:
        report = reconciler.reconcile(since=since, progress=progress)
    counts = dataclasses.asdict(report)
    if as_json:
        print_json(counts)
    else:
        for name, count in counts.items():
            echo(f"{name:<12}{count:>6}")


@commands.command()
@click.option("--trust", is_flag=True, help="Believe marks again, after the contradiction was understood.")
@AS_JSON
def marks(*, trust: bool, as_json: bool) -> None:
    """Say whether the marks of killed workers are believed, which prove that a reply was never sent."""
    from operations import marks

    journal = Installation().journal
    if trust:
        marks.trust(journal)
    since = marks.distrusted_since(journal)
    value = {"believed": since is None, "distrusted_since": since.isoformat() if since else None}
    sentence = "marks are believed"
    if since is not None:
        sentence = f"marks are not believed since {since:%Y-%m-%d %H:%M:%S}: Twilio has a message that one excluded"
    print_result(value, sentence, as_json=as_json)


@commands.group("dead-letters")
def dead_letters() -> None:
    """Handle turns that could not be finished and replies that were refused for good."""


def _dead_letters(installation: Installation | None = None) -> DeadLetters:
    from operations.dead_letters import DeadLetters

    installation = installation or Installation()
    return DeadLetters(installation.journal, installation.inbox)


@dead_letters.command("list")
@LIMIT
@AS_JSON
def list_dead_letters(*, limit: int, as_json: bool) -> None:
    """List the dead letters, oldest first."""
    letters = _dead_letters().list(limit)
    print_rows(letters, as_json=as_json, line=_line_of_letter, empty="there are no dead letters")


def _line_of_letter(letter: Mapping[str, Any]) -> tuple[str]:  # Any: JSON
    since, state, reason = (letter.get(name, "") for name in ("since", "state", "reason"))
    return (f"{since!s:.19}  {letter['key']}  {state}: {reason}",)


@dead_letters.command()
@click.argument("name")
@NUMBERS
@ALWAYS_JSON
def show(*, name: str, numbers: bool) -> None:
    """Show a dead letter with its text and traceback, by its MessageSid or key."""
    installation = Installation()
    namer = installation.namer(numbers=numbers)
    letter = _dead_letters(installation).show(name)
    parts = [{**part, "user_id": namer(part["user_id"])} for part in letter["parts"]]
    # a payload that could not be read has the number somewhere
    payload = letter["payload"] if numbers or not letter["payload"] else "see it with --numbers"
    print_json({**letter, "person": namer(letter["person"]), "parts": parts, "payload": payload})


@dead_letters.command()
@click.argument("name")
@AS_JSON
def replay(*, name: str, as_json: bool) -> None:
    """Queue a dead letter again. Replaying it twice answers it once."""
    done = _dead_letters().replay(name)
    sentence = f"{name} is queued again" if done else f"{name} is no longer a dead letter"
    print_result({"name": name, "queued": done}, sentence, as_json=as_json)


@dead_letters.command()
@click.argument("name")
@YES
@AS_JSON
def discard(*, name: str, yes: bool, as_json: bool) -> None:
    """Discard a dead letter: it leaves the list, its row stays."""
    letters = _dead_letters()
    confirm(f"{name} will never be answered. Discard it?", yes=yes)
    done = letters.discard(name)
    sentence = f"{name} is discarded" if done else f"{name} is no longer a dead letter"
    print_result({"name": name, "discarded": done}, sentence, as_json=as_json)
