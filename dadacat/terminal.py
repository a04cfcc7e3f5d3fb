"""Provide what all commands share: reading settings, printing, confirming, showing progress."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from runtime.settings import Settings
    from worker.reconcile import Step

Answer = TypeVar("Answer")
Item = TypeVar("Item")

#: Progress is reported once per this many items.
WATCHED_EVERY: Final = 100

#: The folder of `dadacat up`, unless DADACAT_DATA names another one.
DATA: Final = ".data"


def checked(
    *, twilio: bool = False, prices: bool = False, tree: bool = False, given: Mapping[str, str] | None = None
) -> Settings:
    """Return valid settings, or end the process with a sentence for each invalid one.

    If `tree` is set and `dadacat up` runs in this folder, what the environment and `.env` leave out
    is taken from the settings of its processes.
    """
    from runtime import logs
    from runtime.settings import Settings, SettingsError, environment

    try:
        source = environment() if given is None else given
        chosen = Settings.load(_with_tree(source) if tree else source)
        if twilio:
            chosen.twilio.require()
        if prices:
            from worker.build.cat import check_cat

            check_cat(chosen)
    except SettingsError as exc:
        raise click.ClickException(str(exc)) from None
    # before anything can be logged: logs go to standard error, standard output is for the result
    logs.configure(click.get_current_context().info_name or "cli", form=chosen.logs.format, level=chosen.logs.level)
    return chosen


def _with_tree(given: Mapping[str, str]) -> Mapping[str, str]:
    data = Path(given.get("DADACAT_DATA", DATA))
    if not _runs(data):
        return given
    try:
        tree: dict[str, str] = json.loads((data / "run" / "tree.json").read_text())
    except (OSError, ValueError):
        return given
    # boto3 reads its credentials from the environment alone
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        if name in tree:
            os.environ.setdefault(name, tree[name])
    return {**tree, **{name: value for name, value in given.items() if value}}


def _runs(data: Path) -> bool:
    """Return whether a running tree holds the lock of this folder; a killed tree leaves its files behind."""
    try:
        lock = os.open(data / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(lock)


def asked(call: Callable[[], Answer]) -> Answer:
    """Return what `call` returns, or end the process with a sentence that says why it failed."""
    from conversation.errors import ConversationError
    from inbox.errors import InboxAway
    from operations.dead_letters import BadRequest
    from sms.errors import CarrierAway

    try:
        return call()
    except (BadRequest, CarrierAway, InboxAway, ConversationError) as exc:
        raise click.ClickException(str(exc)) from None


def print_json(found: object) -> None:
    """Print a value as indented JSON."""
    click.echo(json.dumps(found, ensure_ascii=False, indent=2, default=_plain))


def print_line(found: object) -> None:
    """Print a value as one line of JSON."""
    click.echo(json.dumps(found, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> Any:  # Any: values that JSON does not know
    if isinstance(value, set | frozenset | tuple):
        return sorted(value)
    return str(value)


def naming(chosen: Settings, *, numbers: bool) -> Callable[[str], str]:
    """Return the function that names a person in the output.

    With `numbers` it returns the whole `user_id`, otherwise the last digits and the hash that the logs show.
    """
    from inbox import payloads
    from operations.costs import hidden

    if numbers:
        return str
    return lambda person: hidden(person, payloads.who(person, chosen.who_key))


def sure(question: str, *, yes: bool) -> None:
    """Ask before something is destroyed, unless `--yes` was given; the answer no ends the process."""
    if not yes:
        click.confirm(question, abort=True)


@contextmanager
def steps() -> Iterator[Callable[[str, int], None]]:
    """Show the current step and its count on a terminal; print nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield lambda what, done: status.update(f"{what}: {done}")


def watched(found: Iterable[Item], what: str, step: Callable[[str, int], None]) -> Iterator[Item]:
    """Yield the items, and report their count to `step` every `WATCHED_EVERY` items."""
    for number, item in enumerate(found, 1):
        if number % WATCHED_EVERY == 0:
            step(what, number)
        yield item


@contextmanager
def progress() -> Iterator[Callable[[Step], None]]:
    """Show a progress bar on a terminal; print nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda step: bar.update(task, description=step.what, completed=step.done, total=step.total)
