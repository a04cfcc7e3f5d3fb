"""Commands about people: text and chat; list, read, export, import and forget conversations."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import takewhile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from dadacat.installation import Installation, load_settings, person_of
from dadacat.terminal import (
    ALWAYS_JSON,
    AS_JSON,
    AS_LINES,
    NOT_THERE,
    NUMBERS,
    PERSON,
    YES,
    Commands,
    Styled,
    confirm,
    echo,
    plural,
    print_json,
    print_json_line,
    print_result,
    print_rows,
    say_set_aside,
    status_line,
)

if TYPE_CHECKING:
    from operations.telephone import Outcome

commands = Commands()


@commands.command()
@click.argument("body")
@click.option(
    "--as", "person", default="+15551230001", show_default=True, help="Number of the telephone that sends the text."
)
@click.option("--to", default="", help="Which number to text. Default: the simulator's first.")
@click.option(
    "--wait",
    type=click.FloatRange(0, 600),
    default=30.0,
    show_default=True,
    help="Seconds to wait for the reply; 0: only send.",
)
@AS_JSON
def text(*, body: str, person: str, to: str, wait: float, as_json: bool) -> None:
    """Send a text to the cat from a telephone of the simulator, and print the reply.

    Notices of the network itself, such as the answer to STOP, are printed to standard error. Exit code 1: no reply
    came in time; 3: none will come, and the reason is printed.
    """
    from operations import telephone
    from runtime.settings.sections import TWILIO_API

    base_url = load_settings(tree=True, stores=False).twilio.api_base_url
    if base_url == TWILIO_API:
        raise click.ClickException(
            "only the simulator has telephones to text from: "
            "start one with dadacat up, or set TWILIO_API_BASE_URL to a simulator"
        )
    outcome = telephone.text(base_url, person, to, body, seconds=wait)
    if as_json:
        facts = {name: outcome.facts.get(name) for name in ("state", "reason")}
        first = outcome.replies[0] if outcome.replies else None
        replies, notices = list(outcome.replies), list(outcome.notices)
        print_json({"sid": outcome.sid, "reply": first, "replies": replies, "notices": notices, **facts})
    else:
        for notice in outcome.notices:
            echo(f"the network: {notice}", err=True)
        for reply in outcome.replies:
            echo(reply)
    if outcome.replies:
        return
    if outcome.no_reply:
        echo(f"no reply, and none will come: {outcome.no_reply}", err=True)
        sys.exit(NOT_THERE)
    if not wait:
        echo(f"sent as {outcome.sid}", err=True)
        return
    echo(f"no reply within {wait:.0f} s{_what_next(outcome)}", err=True)
    sys.exit(1)


def _what_next(outcome: Outcome) -> str:
    if "webhook" in outcome.facts:
        return f": the webhook did not take the text ({outcome.facts['webhook']})"
    return f"; see: dadacat explain {outcome.sid}" if "state" in outcome.facts else ""


@commands.command()
@click.option(
    "--engine",
    "engines",
    multiple=True,
    help="Engine, written as in CAT_ENGINES; repeat it for several, in order. Default: CAT_ENGINES.",
)
@click.option(
    "--as",
    "person",
    help="Continue the stored conversation of this person, such as +15551230001. "
    "Default: a new conversation that is forgotten at the end.",
)
@click.option("--json-lines", "as_lines", is_flag=True, help="Print each reply as a JSON object on a line of its own.")
def chat(*, engines: tuple[str, ...], person: str | None, as_lines: bool) -> None:
    """Talk to the cat in this terminal. An empty line or Ctrl-D ends it; `reset` clears the conversation.

    The engines and the memory are those of a text. Below each reply stand its engine and its price. If the texts come
    from a pipe, one a line, no prompt is printed.
    """
    import time

    from conversation.manager import ConversationManager
    from conversation.storage import InMemoryStorage
    from journal.store import Journal
    from operations.chat import Chat, footnote
    from sms import segments
    from worker.build.cat import build_cat, memory_terms
    from worker.build.journal import build_journal
    from worker.build.memories import terminal_memories
    from worker.build.prices import price_tables

    chosen_here = {"CAT_ENGINES": ",".join(engines)} if engines else {}
    # without a stored conversation, no store is needed
    chosen = load_settings(chosen_here=chosen_here, prices=True, tree=bool(person))
    cat, terms = build_cat(chosen), memory_terms(chosen)
    _, tariff = price_tables(chosen)
    journal = build_journal(chosen) if person else Journal.on(InMemoryStorage())
    user_id = person_of(person, chosen) if person else "a person at a terminal"
    talk = Chat(cat, ConversationManager(journal.storage), user_id, terms)
    memories = terminal_memories(chosen, cat, journal)
    if not as_lines:
        for role, words in talk.before():
            echo(f"{'you' if role == 'user' else 'cat'}: {words}")
    for line in _typed_lines():
        started_at = time.monotonic()
        reply = talk.say(line)
        seconds = time.monotonic() - started_at
        price = tariff.cost(user_id if person else "+1", segments.count(reply.words))
        if as_lines:
            print_json_line({"reply": reply.words, "engine": reply.engine, "seconds": seconds, **reply.facts})
        else:
            echo(reply.words)
            echo(Styled(f"  {footnote(reply, seconds, price)}", dim=True))
        memories(user_id)


def _typed_lines() -> Iterator[str]:
    """Yield what is typed, or what a pipe holds, up to an empty line."""
    if not sys.stdin.isatty():
        yield from takewhile(str.strip, (line.rstrip("\r\n") for line in sys.stdin))
        return
    while True:
        try:
            line = click.prompt("you", prompt_suffix="> ", default="", show_default=False)
        except click.Abort:
            echo("")
            return
        if not line.strip():
            return
        yield line


@commands.command()
@PERSON
@click.option("--limit", type=click.IntRange(1), help="Print only this many of the latest lines.")
@AS_JSON
@AS_LINES
def history(*, person: str, limit: int | None, as_json: bool, as_lines: bool) -> None:
    """Print all texts and replies of a person, oldest first."""
    from operations import conversations

    installation = Installation(twilio=False)
    rows = conversations.history(installation.journal, installation.person(person), limit)
    print_rows(rows, as_json=as_json, as_lines=as_lines, line=_line_of_history)


def _line_of_history(row: dict[str, Any]) -> Sequence[str | Styled]:  # Any: JSON
    speaker = Styled("cat   ", "cyan") if row["role"] == "assistant" else "person"
    note = "" if row["state"] in (None, "SETTLED", "ANSWERED", "SENT") else f"  ({row['state']})"
    # what `explain` takes
    sid = row["key"].removeprefix("in#") if row["key"].startswith("in#") else ""
    return f"{row['at']}  ", speaker, f"  {row['content']}{note}", Styled(f"  {sid}" if sid else "", dim=True)


@commands.group()
def conversations() -> None:
    """List, read, reset, export, import and forget conversations."""


@conversations.command("list")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Print at most this many lines.")
@NUMBERS
@AS_JSON
@AS_LINES
def list_conversations(*, limit: int, numbers: bool, as_json: bool, as_lines: bool) -> None:
    """List conversations. Of numbers only the last digits are shown, unless --numbers is given."""
    from itertools import islice

    from operations import conversations

    installation = Installation()
    name = installation.namer(numbers=numbers)
    listed = islice(conversations.listed(installation.journal, say_set_aside), limit)
    rows = ({**row, "person": name(row["person"])} for row in listed)
    print_rows(rows, as_json=as_json, as_lines=as_lines, line=_line_of_list)


def _line_of_list(row: dict[str, Any]) -> Sequence[str | Styled]:  # Any: JSON
    state = "" if row["active"] else "  opted out"
    return (f"{row['updated']:.19}  {row['person']:<24}{plural(row['replies'], 'reply', 'replies'):>15}{state}",)


@conversations.command()
@PERSON
@ALWAYS_JSON
def show(*, person: str) -> None:
    """Print what is known about a person as JSON; `dadacat history` prints the messages."""
    from operations import conversations

    installation = Installation(twilio=False)
    print_json(conversations.shown(installation.journal, installation.person(person)))


@conversations.command()
@PERSON
@YES
@AS_JSON
def reset(*, person: str, yes: bool, as_json: bool) -> None:
    """Clear the cat's window and memory of a person; the journal keeps its record.

    A person who sent STOP still gets no reply.
    """
    from operations import conversations

    installation = Installation(twilio=False)
    journal, user_id = installation.journal, installation.person(person)
    conversations.known(journal, user_id)
    confirm(f"The cat will remember nothing of {user_id}. Reset?", yes=yes)
    conversations.reset(journal, user_id)
    print_result({"person": user_id, "reset": True}, "reset", as_json=as_json)


@conversations.command("export")
@click.argument("people", nargs=-1)
@click.option("--all", "all_people", is_flag=True, help="Export all people.")
@click.option(
    "--html", "as_page", is_flag=True, help="Write a page to read instead of JSON lines; for one person only."
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="File to write. Default: standard output.",
)
@click.option("--json", "as_json", is_flag=True, help="With --output: print the number of lines as JSON.")
def export_conversations(
    *, people: tuple[str, ...], all_people: bool, as_page: bool, output: Path | None, as_json: bool
) -> None:
    """Export conversations as JSON lines, which `import` reads, or as a page."""
    from operations import conversations, export
    from operations.progress import with_progress
    from runtime.isolation import BadItem

    if all_people == bool(people) or (as_page and len(people) != 1):
        raise click.UsageError("name people or give --all; --html needs exactly one person")
    if as_json and output is None:
        raise click.UsageError("--json needs --output: an export is JSON lines, or a page")
    installation = Installation(twilio=False)
    journal, users = installation.journal, [installation.person(person) for person in people]
    for user in users:
        conversations.known(journal, user)
    unread: list[BadItem] = []
    wanted = None if all_people else users
    lines = export.page(journal, users[0]) if as_page else export.lines(journal, wanted, unread.append)
    with _opened(output) as file, status_line() as progress:
        count = sum(bool(file.write(f"{line}\n")) for line in with_progress(lines, "lines", progress))
    if as_json:
        print_json({"file": str(output), "lines": count})
    elif output:
        echo(f"{plural(count, 'line')} in {output}", err=True)
    for item in unread:
        say_set_aside(item)
    sys.exit(1 if unread else 0)


def _opened(output: Path | None) -> AbstractContextManager[IO[str]]:
    """Return the file to write, readable by its owner only, or standard output."""
    if output is None:
        return nullcontext(sys.stdout)
    file = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    os.fchmod(file, 0o600)
    return os.fdopen(file, "w", encoding="utf-8")


@conversations.command("import")
@click.argument("file", type=click.File(encoding="utf-8"))
@YES
@AS_JSON
def import_conversations(*, file: Any, yes: bool, as_json: bool) -> None:
    """Import conversations from an export. Nothing is sent.

    The whole file is looked at first. If a line is not one of an export, is not settled, or names a person who is known
    already, nothing is written, and every such line is named. If the store fails midway, import the same file again.
    Who said STOP before being forgotten here stays opted out.
    """
    from datetime import UTC, datetime

    from inbox import payloads
    from operations import import_

    installation = Installation()
    journal, key = installation.journal, installation.settings.who_key
    journal.storage.ensure_tables()
    names = journal.storage.names
    try:
        lines = list(file)
    except ValueError:
        raise click.ClickException(f"{file.name} is not an export: it holds bytes that are no text") from None
    export = import_.read(journal, lines, who=lambda person: payloads.who(person, key), now=datetime.now(UTC))
    what = f"{plural(len(export.items), 'conversation')} and {plural(len(export.rows), 'row')}"
    people = plural(len(export.people), "person", "people")
    confirm(f"Write {what} of {people} into {names.conversations} and {names.messages}?", yes=yes)
    items, rows = import_.write(journal, export)
    sentence = f"{plural(items, 'conversation')}, {plural(rows, 'row')}"
    print_result({"conversations": items, "rows": rows}, sentence, as_json=as_json)


@conversations.command()
@PERSON
@YES
@click.option(
    "--keep-twilio",
    is_flag=True,
    help="Leave Twilio's copies of texts and replies, which are deleted otherwise.",
)
@AS_JSON
def forget(*, person: str, yes: bool, keep_twilio: bool, as_json: bool) -> None:
    """Delete a person from the tables, Redis and Twilio, and print a receipt.

    The receipt does not name the person. Keyed hashes of the texts stay for 30 days, so that a text that comes late
    is not answered. A keyed hash of a STOP stays for ten years, or until the person sends START.

    Exit code 3: nothing is stored about the person.
    """
    from operations import build

    installation = Installation()
    user_id = installation.person(person)
    confirm(f"Everything about {user_id} will be deleted and cannot be restored. Forget?", yes=yes)
    with nullcontext() if keep_twilio else installation.account() as account:
        eraser = build.eraser(installation.settings, installation.journal, installation.inbox, account)
        with status_line() as progress:
            receipts = [dataclasses.asdict(receipt) for receipt in eraser.forget_all(user_id, progress=progress)]
    if as_json:
        print_json(receipts)
        return
    for receipt in receipts:
        for name, value in receipt.items():
            echo(f"{name:<12} {value}")
