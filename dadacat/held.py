"""Commands about what only an operator can decide: held replies, and items that were set aside."""

from __future__ import annotations

from collections.abc import Mapping
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
    confirm,
    print_json,
    print_result,
    print_rows,
    say_set_aside,
)

if TYPE_CHECKING:
    from operations.held import HeldReplies

commands = Commands()


@commands.group()
def held() -> None:
    """Handle replies that may have been sent: list, show, resend or settle them.

    No reply is ever sent again by itself once its outcome is unknown.
    """


def _held(installation: Installation) -> HeldReplies:
    from operations import build

    return build.held_replies(installation.settings, installation.journal, installation.inbox)


@held.command("list")
@LIMIT
@click.option("--search", is_flag=True, help="Read every row of the journal: an earlier release did not list them.")
@NUMBERS
@AS_JSON
def list_held(*, limit: int, search: bool, numbers: bool, as_json: bool) -> None:
    """List the replies that are held, then those whose outcome may still arrive (UNKNOWN)."""
    installation = Installation()
    name = installation.namer(numbers=numbers)
    replies = _held(installation).listed(limit, search=search, set_aside=say_set_aside)
    rows = ({**reply, "person": name(reply["person"])} for reply in replies)
    print_rows(rows, as_json=as_json, line=_line_of_reply, empty="no reply is in doubt")


def _line_of_reply(reply: Mapping[str, Any]) -> tuple[str, str]:  # Any: JSON
    named = f"{reply['since']:.19}  {reply['key']}  {reply['person']}  {reply['state']}  "
    return named, f"{_span(reply['age_seconds'])}: {reply['reason']}"


@held.command("show")
@click.argument("name")
@NUMBERS
@ALWAYS_JSON
def show_held(*, name: str, numbers: bool) -> None:
    """Show a reply in doubt with its words and every attempt, by its key or the MessageSid of its text."""
    installation = Installation()
    reply = _held(installation).show(name)
    print_json({**reply, "person": installation.namer(numbers=numbers)(reply["person"])})


@held.command()
@click.argument("name")
@YES
@AS_JSON
def resend(*, name: str, yes: bool, as_json: bool) -> None:
    """Send a held reply again, once. The person may get it twice.

    Refused while its outcome may still arrive, and after STOP. If Twilio lists the message, it is settled instead.
    """
    replies = _held(Installation())
    confirm(f"{name} may have been sent already, and the person may get it twice. Send it again?", yes=yes)
    _print_result(name, replies.resend(name), as_json=as_json)


@held.command()
@click.argument("name")
@click.option("--sent/--not-sent", "was_sent", default=None, help="What became of it, as you know it.")
@YES
@AS_JSON
def settle(*, name: str, was_sent: bool | None, yes: bool, as_json: bool) -> None:
    """Record what became of a held reply. It leaves the list, and is not sent again.

    A report of Twilio that comes later still counts.
    """
    if was_sent is None:
        raise click.UsageError("say --sent or --not-sent")
    replies = _held(Installation())
    confirm(f"{name} was {'sent' if was_sent else 'not sent'}. Record it?", yes=yes)
    _print_result(name, replies.settle(name, was_sent=was_sent), as_json=as_json)


def _print_result(name: str, result: str, *, as_json: bool) -> None:
    print_result({"name": name, "result": result}, result, as_json=as_json)


@commands.group("set-aside")
def set_aside() -> None:
    """List rows, messages and reports that could not be handled. The reconciler tries them again."""


@set_aside.command("list")
@LIMIT
@AS_JSON
def list_set_aside(*, limit: int, as_json: bool) -> None:
    """List what was set aside, with the error, how often it failed, and since when."""
    from operations import set_aside

    items = set_aside.listed(Installation(twilio=False).journal, limit)
    print_rows(items, as_json=as_json, line=_line_of_item, empty="nothing is set aside")


def _line_of_item(item: Mapping[str, Any]) -> tuple[str]:  # Any: JSON
    return (f"{item['first_at']:.19}  {item['kind']} {item['name']}  {item['times']} times: {item['error']}",)


@set_aside.command("discard")
@click.argument("name")
@YES
@AS_JSON
def discard_set_aside(*, name: str, yes: bool, as_json: bool) -> None:
    """Take an item off the list. A row that is not mended comes back; a message or a report does not."""
    from operations import set_aside

    installation = Installation()
    confirm(f"{name} will not be tried again. Discard it?", yes=yes)
    set_aside.discard(installation.journal, installation.inbox, name)
    _print_result(name, f"{name} is discarded", as_json=as_json)


def _span(seconds: int) -> str:
    """Return an age in its largest unit, such as `3 h`."""
    units = ((86_400, "d"), (3600, "h"), (60, "min"))
    return next((f"{seconds // size} {unit}" for size, unit in units if seconds >= size), f"{seconds} s")
