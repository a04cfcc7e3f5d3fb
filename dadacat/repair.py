"""Commands that repair: reconcile now, and handle dead letters."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from dadacat.terminal import YES, confirm, echo, load_settings, or_exit, print_json, progress_bar

if TYPE_CHECKING:
    from operations.dead_letters import DeadLetters

commands = click.Group()


@commands.command()
@click.option(
    "--since", help="Look for missed texts this far back: 90m, 24h, 2d. Default: since the end of the last look."
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def reconcile(*, since: str | None, as_json: bool) -> None:
    """Queue unfinished turns again, settle unknown outcomes, and fetch texts whose webhook never came."""
    from operations.durations import duration
    from worker.build.inbox import redis_client, redis_inbox
    from worker.build.journal import build_journal
    from worker.build.reconcile import build_reconciler

    chosen = load_settings(twilio=True, tree=True)
    span = or_exit(lambda: duration(since)) if since else None
    client = redis_client(chosen)
    reconciler = build_reconciler(chosen, client, redis_inbox(chosen, client), build_journal(chosen))
    with progress_bar() as progress:
        report = or_exit(lambda: reconciler.reconcile(since=span, progress=progress))
    counts = dataclasses.asdict(report)
    if as_json:
        print_json(counts)
    else:
        for name, count in counts.items():
            echo(f"{name:<12}{count:>6}")


@commands.command()
@click.option("--trust", is_flag=True, help="Believe marks again, after the contradiction was understood.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def marks(*, trust: bool, as_json: bool) -> None:
    """Say whether the marks of killed workers are believed, which prove that a reply was never sent."""
    from worker.build.journal import build_journal
    from worker.proofs import DISTRUSTED

    unsettled = build_journal(load_settings(twilio=True, tree=True)).unsettled
    if trust:
        or_exit(lambda: unsettled.forget_watermark(DISTRUSTED))
    since = or_exit(lambda: unsettled.watermark(DISTRUSTED))
    if as_json:
        print_json({"believed": since is None, "distrusted_since": since.isoformat() if since else None})
    elif since is None:
        echo("marks are believed")
    else:
        echo(f"marks are not believed since {since:%Y-%m-%d %H:%M:%S}: Twilio has a message that one excluded")


@commands.group("dead-letters")
def dead_letters() -> None:
    """Handle turns that could not be finished and replies that were refused for good."""


def _dead_letters() -> DeadLetters:
    from operations.dead_letters import DeadLetters
    from worker.build.inbox import redis_client, redis_inbox
    from worker.build.journal import build_journal

    chosen = load_settings(twilio=True, tree=True)
    return DeadLetters(build_journal(chosen), redis_inbox(chosen, redis_client(chosen)))


@dead_letters.command("list")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Print at most this many lines."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def list_dead_letters(*, limit: int, as_json: bool) -> None:
    """List the dead letters, oldest first."""
    letters = or_exit(lambda: list(_dead_letters().list(limit)))
    if as_json:
        print_json(letters)
        return
    for letter in letters:
        echo(f"{letter.get('since', '')!s:.19}  {letter['key']}  {letter.get('state', '')}: {letter.get('reason', '')}")
    if not letters:
        echo("there are no dead letters")


@dead_letters.command()
@click.argument("name")
def show(*, name: str) -> None:
    """Show a dead letter with its text and traceback, by its MessageSid or key."""
    print_json(or_exit(lambda: _dead_letters().show(name)))


@dead_letters.command()
@click.argument("name")
def replay(*, name: str) -> None:
    """Queue a dead letter again. Replaying it twice answers it once."""
    done = or_exit(lambda: _dead_letters().replay(name))
    echo(f"{name} is queued again" if done else f"{name} is no longer a dead letter")


@dead_letters.command()
@click.argument("name")
@YES
def discard(*, name: str, yes: bool) -> None:
    """Discard a dead letter: it leaves the list, its row stays."""
    confirm(f"{name} will never be answered. Discard it?", yes=yes)
    done = or_exit(lambda: _dead_letters().discard(name))
    echo(f"{name} is discarded" if done else f"{name} is no longer a dead letter")
