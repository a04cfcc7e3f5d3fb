"""Provide what all commands share: options, settings, printing, confirming, errors as sentences."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    from runtime.settings import Settings
    from worker.reconcile import Step

#: Exit codes beside 0 (done) and 1 (failed): wrong arguments, as click's own; what the command names is not there.
WRONG: Final = 2
NOT_THERE: Final = 3

#: A project in this folder, whose services are out of reach for a command outside its containers.
COMPOSE_FILE: Final = Path("docker-compose.yml")
_DATA: Final = "dadacat.data"


#: The option stands on every command, and once in the reference.
DATA_HELP: Final = "Data folder of the `dadacat up` that is meant."


def _note_data(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.find_root().meta[_DATA] = value


PERSON = click.argument("person")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for machines.")
ALWAYS_JSON = click.option("--json", "as_json", is_flag=True, help="The same: it is always JSON.")
AS_LINES = click.option("--json-lines", "as_lines", is_flag=True, help="Print a JSON object a line, as they are read.")
YES = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
NUMBERS = click.option("--numbers", is_flag=True, help="Show whole numbers instead of the last digits.")
DATA = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    expose_value=False,
    callback=_note_data,
    help=DATA_HELP,
)


class Command(click.Command):
    """A command of ours: it takes `--data`, and its summary is never cut."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # Any: click's own
        super().__init__(*arguments, **options)
        if all(parameter.name != "data" for parameter in self.params):
            DATA(self)

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the first sentence, which `--help` wraps."""
        del limit
        return super().get_short_help_str(limit=1000).rstrip(".")


class Commands(click.Group):
    """A group of our commands. What they raise becomes a sentence and an exit code."""

    command_class = Command
    group_class = type

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the first sentence, which `--help` wraps."""
        del limit
        return super().get_short_help_str(limit=1000).rstrip(".")

    def invoke(self, ctx: click.Context) -> Any:  # Any: click's own
        """Run a command, or end the process with the sentence that says why it failed."""
        try:
            return super().invoke(ctx)
        except Exception as exc:
            if not isinstance(exc, _failures()):
                raise
            raise _failed(exc) from None


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


def load_settings(
    *,
    twilio: bool = False,
    prices: bool = False,
    tree: bool = False,
    stores: bool = True,
    chosen_here: Mapping[str, str] | None = None,
) -> Settings:
    """Return valid settings, with those that the command line chose, or end the process with a sentence.

    With `tree`, what the environment and `.env` leave out is taken from the `dadacat up` that runs, and one of the
    three must say which stores are meant, if the command uses `stores`. Without `tree`, that is done only for a folder
    named with `--data`, and the environment of this process is completed.
    """
    from runtime import logs
    from runtime.settings import Settings, file_names, names

    where = place()
    if tree:
        _require_installation(where, stores=stores)
    elif where.data is not None:
        where.required()
    variables = where.settings() if tree or where.data is not None else where.given
    lend_credentials(variables)
    if where.data is not None and not tree:
        # the process reads its environment and .env itself; an empty variable is an unset one
        os.environ.update({name: variables.get(name, "") for name in (*names(), *file_names())})
    chosen = Settings.load({**variables, **(chosen_here or {})})
    if twilio:
        chosen.twilio.require()
    if prices:
        from worker.build.cat import check_cat

        check_cat(chosen)
    # before anything can be logged: logs go to standard error, standard output is for the result
    logs.configure(click.get_current_context().info_name or "cli", form=chosen.logs.format, level=chosen.logs.level)
    return chosen


def _require_installation(where: Place, *, stores: bool) -> None:
    """End the process if it is not said which installation is meant: AWS is never used by surprise."""
    if where.data is not None:
        where.required()
    if not where.names_an_installation():
        raise click.ClickException(
            f"{where.looked_for()}, and neither .env nor the environment names an account: "
            "start scripts/up, name its data folder with --data, or set TWILIO_ACCOUNT_SID"
        )
    if stores and where.folder() is None and "AWS_ENDPOINT_URL" not in where.given and COMPOSE_FILE.exists():
        raise click.ClickException(
            f"{where.looked_for()}, and AWS_ENDPOINT_URL is not set, which in this folder means the store of compose: "
            "run `docker compose exec worker dadacat ...`, or write AWS_ENDPOINT_URL= into .env for AWS itself"
        )


def lend_credentials(variables: Mapping[str, str]) -> None:
    """Give boto3 the credentials of the running tree's store, which it reads from the environment alone."""
    from local.data_folder import CREDENTIALS

    for name in CREDENTIALS:
        if variables.get(name):
            os.environ.setdefault(name, variables[name])


def person_of(typed: str, chosen: Settings) -> str:
    """Return the `user_id` that the operator typed, its number in E.164."""
    from sms import typed as numbers

    return numbers.user_id(typed, near=next(iter(chosen.twilio.numbers), ""))


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
    rows: Iterator[dict[str, Any]], *, as_json: bool, as_lines: bool, line: Callable[[Any], Sequence[str | Styled]]
) -> None:
    """Print rows as one JSON array, as JSON lines, or each in the form of `line`."""
    if as_json:
        print_json(list(rows))
        return
    for row in rows:
        if as_lines:
            print_json_line(row)
        else:
            echo(*line(row))


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
