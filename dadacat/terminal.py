"""Provide what all commands share: options, reading settings, printing, confirming, showing progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from operations.progress import Progress
    from runtime.isolation import BadItem
    from runtime.settings import Settings
    from worker.reconcile import Step

Answer = TypeVar("Answer")

PERSON = click.argument("person")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
YES = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
NUMBERS = click.option("--numbers", is_flag=True, help="Show whole numbers instead of the last digits.")


def load_settings(
    *, twilio: bool = False, prices: bool = False, tree: bool = False, given: Mapping[str, str] | None = None
) -> Settings:
    """Return valid settings, or end the process with a sentence for each invalid one.

    If `tree` is set and `dadacat up` runs in this folder, what the environment and `.env` leave out
    is taken from the settings of its processes.
    """
    from local import data_folder
    from runtime import logs
    from runtime.settings import Settings, SettingsError, environment

    try:
        source = environment() if given is None else given
        chosen = Settings.load(data_folder.with_settings_of_tree(source) if tree else source)
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


def or_exit(call: Callable[[], Answer]) -> Answer:
    """Return what `call` returns, or end the process with a sentence that says why it failed."""
    from conversation.errors import ConversationError
    from inbox.errors import InboxAway
    from operations.errors import BadRequest
    from sms.errors import CarrierAway

    try:
        return call()
    except (BadRequest, CarrierAway, InboxAway, ConversationError) as exc:
        raise click.ClickException(_shown(str(exc))) from None


@dataclass(frozen=True, slots=True)
class Styled:
    """A piece of a line with a colour, or dimmed."""

    text: str
    colour: str | None = None
    dim: bool | None = None


def echo(*pieces: str | Styled, err: bool = False) -> None:
    """Print one line. Commands print with nothing else: what people said must not command the terminal.

    Characters that do are written out, and a line break inside the line is indented.
    """
    click.echo("".join(map(_shown, pieces)), err=err)


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    _print_json(value, indent=2)


def print_json_line(value: object) -> None:
    """Print a value as one line of JSON."""
    _print_json(value, indent=None)


def _print_json(value: object, *, indent: int | None) -> None:
    from runtime.visible import visible

    click.echo(visible(json.dumps(value, ensure_ascii=False, indent=indent, default=_plain)))


def _shown(piece: str | Styled) -> str:
    from runtime.visible import indented

    if isinstance(piece, Styled):
        return click.style(indented(piece.text), fg=piece.colour, dim=piece.dim)
    return indented(piece)


def _plain(value: Any) -> Any:  # Any: values that JSON does not know
    if isinstance(value, set | frozenset | tuple):
        return sorted(value)
    return str(value)


def say_set_aside(item: BadItem) -> None:
    """Say on standard error that one item could not be handled; the command goes on with the others."""
    click.echo(f"set aside: {item.kind} {item.name}: {item.error}", err=True)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is destroyed, unless `--yes` was given; the answer no ends the process."""
    if not yes:
        click.confirm(_shown(question), abort=True)


@contextmanager
def status_line() -> Iterator[Progress]:
    """Show the current step and its count on a terminal; print nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield lambda step, done: status.update(f"{step}: {done}")


@contextmanager
def progress_bar() -> Iterator[Callable[[Step], None]]:
    """Show a progress bar on a terminal; print nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda step: bar.update(task, description=step.what, completed=step.done, total=step.total)
