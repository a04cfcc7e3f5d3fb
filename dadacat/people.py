"""Commands about people: text and chat; list, read, export, import and forget conversations."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import click

from dadacat.terminal import (
    AS_JSON,
    NUMBERS,
    PERSON,
    YES,
    Styled,
    confirm,
    echo,
    load_settings,
    or_exit,
    print_json,
    print_json_line,
    say_set_aside,
    status_line,
)

commands = click.Group()


@commands.command()
@click.argument("body")
@click.option(
    "--as", "person", default="+15551230001", show_default=True, help="Number of the telephone that sends the text."
)
@click.option("--to", default="", help="Which of our numbers to text. Default: the first.")
@click.option(
    "--wait", type=click.FloatRange(0, 600), default=30.0, show_default=True, help="Seconds to wait for the reply."
)
@AS_JSON
def text(*, body: str, person: str, to: str, wait: float, as_json: bool) -> None:
    """Send a text to the cat from a telephone of the simulator, and print the reply."""
    from operations import telephone

    chosen = load_settings(twilio=True, tree=True)
    sid, reply = or_exit(lambda: telephone.text(chosen, person, to, body, seconds=wait))
    if as_json:
        print_json({"sid": sid, "reply": reply})
    else:
        echo(reply if reply is not None else f"no reply within {wait:.0f} s; see: dadacat explain {sid}")
    sys.exit(0 if reply is not None else 1)


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
def chat(*, engines: tuple[str, ...], person: str | None) -> None:
    """Talk to the cat in this terminal. An empty line or Ctrl-D ends it; `reset` clears the conversation.

    The engines and the memory are those of a text. Below each reply stand its engine and its price.
    """
    import time

    from conversation.manager import ConversationManager
    from conversation.storage import InMemoryStorage
    from journal.store import Journal
    from operations.chat import Chat, footnote
    from runtime.settings import environment
    from sms import segments
    from worker.build.cat import build_cat, memory_terms
    from worker.build.journal import build_journal
    from worker.build.memories import terminal_memories
    from worker.build.prices import price_tables

    given = dict(environment())
    if engines:
        given["CAT_ENGINES"] = ",".join(engines)
    chosen = load_settings(given=given, prices=True)
    cat, terms = build_cat(chosen), memory_terms(chosen)
    _, tariff = price_tables(chosen)
    journal = build_journal(chosen) if person else Journal.on(InMemoryStorage())
    user_id = person or "a person at a terminal"
    talk = Chat(cat, ConversationManager(journal.storage), user_id, terms)
    memories = terminal_memories(chosen, cat, journal)
    for role, words in talk.before():
        echo(f"{'you' if role == 'user' else 'cat'}: {words}")
    while True:
        try:
            text = click.prompt("you", prompt_suffix="> ", default="", show_default=False)
        except click.Abort:
            echo("")
            return
        if not text.strip():
            return
        started_at = time.monotonic()
        reply = talk.say(text)
        echo(reply.words)
        price = tariff.cost(person or "+1", segments.count(reply.words))
        echo(Styled(f"  {footnote(reply, time.monotonic() - started_at, price)}", dim=True))
        memories(user_id)


@commands.command()
@PERSON
@click.option("--limit", type=click.IntRange(1), help="Print only this many of the latest lines.")
@AS_JSON
def history(*, person: str, limit: int | None, as_json: bool) -> None:
    """Print all texts and replies of a person, oldest first."""
    from collections import deque

    from operations import conversations
    from worker.build.journal import build_journal

    journal = build_journal(load_settings(tree=True))
    or_exit(lambda: conversations.known(journal, person))
    for entry in deque(conversations.transcript(journal, person), maxlen=limit):
        at = conversations.arrived_at(entry)
        if as_json:
            line = {"at": at, "role": entry.role, "content": entry.content, "state": entry.state, "key": entry.key}
            print_json_line(line)
        else:
            speaker = Styled("cat   ", "cyan") if entry.role == "assistant" else "person"
            note = "" if entry.state in (None, "SETTLED", "ANSWERED", "SENT") else f"  ({entry.state})"
            echo(f"{at}  ", speaker, f"  {entry.content}{note}")


@commands.group()
def conversations() -> None:
    """List, read, reset, export, import and forget conversations."""


@conversations.command("list")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Print at most this many lines.")
@NUMBERS
@AS_JSON
def list_conversations(*, limit: int, numbers: bool, as_json: bool) -> None:
    """List conversations. Of numbers only the last digits are shown, unless --numbers is given."""
    from itertools import islice

    from operations import conversations
    from operations.names import person_namer
    from worker.build.journal import build_journal

    chosen = load_settings(twilio=True, tree=True)
    name = person_namer(chosen.who_key, numbers=numbers)
    lines = islice(conversations.listed(build_journal(chosen), say_set_aside), limit)
    for line in or_exit(lambda: list(lines)):
        line["person"] = name(line["person"])
        if as_json:
            print_json_line(line)
            continue
        state = "" if line["active"] else "  opted out"
        echo(f"{line['updated']:.19}  {line['person']:<24}{line['replies']:>7} replies{state}")


@conversations.command()
@PERSON
def show(*, person: str) -> None:
    """Print what is known about a person as JSON; `dadacat history` prints the messages."""
    from operations import conversations
    from worker.build.journal import build_journal

    journal = build_journal(load_settings(tree=True))
    print_json(or_exit(lambda: conversations.shown(journal, person)))


@conversations.command()
@PERSON
@YES
def reset(*, person: str, yes: bool) -> None:
    """Clear the cat's window and memory of a person; the journal keeps its record.

    A person who sent STOP still gets no reply.
    """
    from operations import conversations
    from worker.build.journal import build_journal

    journal = build_journal(load_settings(tree=True))
    or_exit(lambda: conversations.known(journal, person))
    confirm(f"The cat will remember nothing of {person}. Reset?", yes=yes)
    or_exit(lambda: conversations.reset(journal, person))
    echo("reset")


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
def export_conversations(*, people: tuple[str, ...], all_people: bool, as_page: bool, output: Path | None) -> None:
    """Export conversations as JSON lines, which `import` reads, or as a page."""
    from operations import conversations, export
    from operations.progress import with_progress
    from runtime.isolation import BadItem
    from worker.build.journal import build_journal

    if all_people == bool(people) or (as_page and len(people) != 1):
        raise click.UsageError("name people or give --all; --html needs exactly one person")
    journal = build_journal(load_settings(tree=True))
    or_exit(lambda: [conversations.known(journal, person) for person in people])
    unread: list[BadItem] = []
    wanted = None if all_people else people
    lines = export.page(journal, people[0]) if as_page else export.lines(journal, wanted, unread.append)
    with click.open_file(str(output) if output else "-", "w", encoding="utf-8") as file, status_line() as progress:
        if output:
            # a file of that name may have been there, readable for all
            output.chmod(0o600)
        count = or_exit(lambda: sum(bool(file.write(f"{line}\n")) for line in with_progress(lines, "lines", progress)))
    if output:
        echo(f"{count} lines in {output}", err=True)
    for item in unread:
        say_set_aside(item)
    sys.exit(1 if unread else 0)


@conversations.command("import")
@click.argument("file", type=click.File(encoding="utf-8"))
@YES
def import_conversations(*, file: Any, yes: bool) -> None:
    """Import conversations from an export. Nothing is sent.

    The whole file is looked at first. If a line is not one of an export, is not settled, or names a person who is known
    already, nothing is written, and every such line is named.
    """
    from operations import import_
    from worker.build.journal import build_journal

    journal = build_journal(load_settings(tree=True))
    journal.storage.ensure_tables()
    names = journal.storage.names
    try:
        lines = list(file)
    except ValueError:
        raise click.ClickException(f"{file.name} is not an export: it holds bytes that are no text") from None
    export = or_exit(lambda: import_.read(journal, lines))
    what = f"{len(export.items)} conversations and {len(export.rows)} rows of {len(export.people)} people"
    confirm(f"Write {what} into {names.conversations} and {names.messages}?", yes=yes)
    items, rows = or_exit(lambda: import_.write(journal, export))
    echo(f"{items} conversations, {rows} rows")


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
    """
    from inbox import payloads
    from operations.forget import Eraser
    from worker.build.inbox import redis_client, redis_inbox
    from worker.build.journal import build_journal
    from worker.build.twilio import twilio_account
    from worker.lease import LeaseKeeper

    chosen = load_settings(twilio=True, tree=True)
    confirm(f"Everything about {person} will be deleted and cannot be restored. Forget?", yes=yes)
    journal = build_journal(chosen)
    account = None if keep_twilio else twilio_account(chosen)
    inbox = redis_inbox(chosen, redis_client(chosen))
    eraser = Eraser(
        journal=journal,
        inbox=inbox,
        leases=LeaseKeeper(inbox.leases, every_seconds=chosen.visit.lease_renew_seconds),
        account=account,
        who=lambda name: payloads.who(name, chosen.who_key),
    )
    users = or_exit(lambda: eraser.users(person, chosen.twilio.addresses, per_number=chosen.people.per_number))
    with status_line() as progress:
        receipts = or_exit(lambda: [eraser.forget(user, progress=progress) for user in users])
    if account is not None:
        account.close()
    for receipt in receipts:
        if as_json:
            print_json_line(dataclasses.asdict(receipt))
            continue
        for name, value in dataclasses.asdict(receipt).items():
            echo(f"{name:<12} {value}")
