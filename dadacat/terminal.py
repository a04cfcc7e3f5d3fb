"""Provide what all commands share: options, printing, confirming, errors as sentences."""

from __future__ import annotations

import errno
import json
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from local.running_trees import Place
    from operations.progress import Progress
    from runtime.isolation import BadItem
    from worker.reconcile.findings import Step

#: Exit codes beside 0 (done) and 1 (failed): wrong arguments, as click's own; what the command names is not there.
WRONG: Final = 2
NOT_THERE: Final = 3
#: Ctrl-C ended the command: what a shell reports of a program that SIGINT ended.
INTERRUPTED: Final = 128 + signal.SIGINT

_DATA: Final = "dadacat.data"


#: The option stands on every command, and once in the reference.
DATA_HELP: Final = "Data folder of the `dadacat up` that is meant."


def _note_data(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.find_root().meta[_DATA] = value


PERSON = click.argument("person")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for machines.")
ALWAYS_JSON = click.option("--json", "as_json", is_flag=True, expose_value=False, help="The same: it is always JSON.")
AS_LINES = click.option("--json-lines", "as_lines", is_flag=True, help="Print a JSON object a line, as they are read.")
YES = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
LIMIT = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Print at most this many lines."
)
NUMBERS = click.option("--numbers", is_flag=True, help="Show whole numbers instead of the last digits.")
DATA = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    expose_value=False,
    callback=_note_data,
    help=DATA_HELP,
)


class _Summarised(click.Command):
    """A command or a group whose summary is never cut."""

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the first sentence, which `--help` wraps."""
        del limit
        return super().get_short_help_str(limit=1000).rstrip(".")


class Command(_Summarised):
    """A command of ours: it takes `--data`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # Any: click's own
        super().__init__(*arguments, **options)
        if all(parameter.name != "data" for parameter in self.params):
            DATA(self)


class Commands(_Summarised, click.Group):
    """A group of our commands. What they raise becomes a sentence and an exit code."""

    command_class = Command
    group_class = type

    def invoke(self, ctx: click.Context) -> Any:  # Any: click's own
        """Run a command, or end the process with the sentence that says why it failed."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort) as exc:
            if not _is_interrupt(exc):
                raise
            click.echo(err=True)  # ends the line on which the terminal shows ^C
            raise click.exceptions.Exit(INTERRUPTED) from None
        except Exception as exc:
            if not isinstance(exc, _failures()):
                raise
            raise _failed(exc) from None


def _is_interrupt(end: BaseException) -> bool:
    """Return whether Ctrl-C was the cause: click makes it an `Abort`, as it does the answer no."""
    return isinstance(end, KeyboardInterrupt) or isinstance(end.__context__, KeyboardInterrupt)


class _WrongArgument(click.ClickException):
    exit_code = WRONG


class _NotThere(click.ClickException):
    exit_code = NOT_THERE


def _failed(failure: Exception) -> click.ClickException:
    """Return the end of the process: the sentence that says why, and its exit code."""
    from local.errors import NoTree
    from operations.errors import NotFound, WrongArgument

    sentence = _shown(_sentence(failure))
    if isinstance(failure, WrongArgument):
        return _WrongArgument(sentence)
    return _NotThere(sentence) if isinstance(failure, NotFound | NoTree) else click.ClickException(sentence)


def _failures() -> tuple[type[Exception], ...]:
    """Return what a command may raise. Imported only when something was raised, so that `--help` is fast."""
    from conversation.errors import ConversationError
    from inbox.errors import InboxAway
    from local.errors import CannotStart, NoTree
    from operations.errors import BadRequest
    from runtime.settings import SettingsError
    from sms.errors import CarrierAway

    ours = (BadRequest, CannotStart, CarrierAway, ConversationError, InboxAway, NoTree, SettingsError)
    return (*ours, OSError)


def _sentence(failure: Exception) -> str:
    if not isinstance(failure, OSError):
        return str(failure)
    if failure.errno == errno.EPIPE:
        raise failure  # click ends silently if the reader of a pipe is gone
    return f"{failure.filename}: {failure.strerror}" if failure.filename else str(failure)


class Duration(click.ParamType[timedelta]):
    """How far back a command looks, such as `90m`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Parse a duration. `value`: Any, as click has it."""
        from operations import durations
        from operations.errors import WrongArgument

        try:
            return durations.duration(value)
        except WrongArgument as exc:
            self.fail(str(exc), param, ctx)


def since_when(span: timedelta) -> datetime:
    """Return the moment so long ago."""
    return datetime.now(UTC) - span


def place() -> Place:
    """Return where this command looks for a running tree."""
    from local.running_trees import Place
    from runtime.settings import environment

    data = click.get_current_context().find_root().meta.get(_DATA)
    return Place(data, environment())


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
    """Print the one JSON document of a command."""
    _print_json(value, indent=2)


def print_result(value: object, sentence: str, *, as_json: bool) -> None:
    """Print what a command did, as its JSON document or as a sentence."""
    if as_json:
        print_json(value)
    else:
        echo(sentence)


def print_json_line(value: object) -> None:
    """Print one object of a stream."""
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


def print_rows(
    rows: Iterable[Mapping[str, Any]],
    *,
    as_json: bool,
    as_lines: bool = False,
    line: Callable[[Any], Sequence[str | Styled]],
    empty: str = "",
) -> None:
    """Print rows as a JSON array, as JSON lines, or each in the form of `line`; `empty` if there is none."""
    if as_json:
        print_json(list(rows))
        return
    is_empty = True
    for row in rows:
        is_empty = False
        if as_lines:
            print_json_line(row)
        else:
            echo(*line(row))
    if is_empty and empty:
        echo(empty)


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun: `1 reply`, `2 replies`."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def say_set_aside(item: BadItem) -> None:
    """Say on standard error that one item could not be handled; the command goes on with the others."""
    echo(f"set aside: {item.kind} {item.name}: {item.error}", err=True)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is destroyed, unless `--yes` was given; the answer no ends the process."""
    if not yes:
        click.confirm(_shown(question), abort=True, err=True)


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
