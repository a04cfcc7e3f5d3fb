"""Define the operator's commands: set up, inspect, and handle conversations.

Each command reads its arguments and prints; a module of its own does the work.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from dadacat.terminal import asked, checked, naming, print_json, print_line, steps, sure, watched

PERSON = click.argument("person")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
YES = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
NUMBERS = click.option("--numbers", is_flag=True, help="Show whole numbers instead of the last digits.")


@click.command()
@click.option("--account-sid", help="AC and 32 digits, shown in Twilio's console under Account info.")
@click.option(
    "--auth-token",
    help="Shown in the same place. Better left out: it is then asked for, and stays out of the shell's history.",
)
@click.option("--number", help="Our number in E.164 form, or several separated by commas.")
@click.option("--public-url", help="Address at which Twilio calls the webhook.")
@click.option("--engines", help="Engines that generate replies, in order, such as openai:gpt-5-mini,dada.")
@click.option("--openai-api-key", help="OpenAI key, needed for engines that begin with openai:.")
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path(".env"),
    show_default=True,
    help="File to write.",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
@click.option("--no-check", is_flag=True, help="Do not check the login at Twilio.")
def init(  # noqa: PLR0913 - each is an option
    *,
    account_sid: str | None,
    auth_token: str | None,
    number: str | None,
    public_url: str | None,
    engines: str | None,
    openai_api_key: str | None,
    path: Path,
    force: bool,
    no_check: bool,
) -> None:
    """Write .env: ask for missing answers, check all of them, then write the file."""
    from operations import init as setup
    from runtime.settings import Settings, SettingsError
    from sms.errors import CarrierAway
    from worker import wiring

    if path.exists() and not force:
        raise click.ClickException(f"{path} exists already; --force replaces it")

    def ask(given: str | None, question: str, default: str | None = None, *, secret: bool = False) -> str:
        if given is not None:
            return given
        if not sys.stdin.isatty() and default is not None:
            return default
        return str(click.prompt(question, default=default, hide_input=secret, err=True))

    answers = {
        "TWILIO_ACCOUNT_SID": ask(account_sid, "Account SID (Twilio's console, Account info)"),
        "TWILIO_AUTH_TOKEN": ask(auth_token, "Auth token (in the same place; your input is not shown)", secret=True),
        "TWILIO_PHONE_NUMBER": ask(number, "Our number, in E.164"),
        "PUBLIC_URL": ask(public_url, "Public address of the webhook", "https://cat.example.org"),
        "CAT_ENGINES": ask(engines, "Engines", "dada"),
        # allows a set-up against a simulator
        "TWILIO_API_BASE_URL": os.environ.get("TWILIO_API_BASE_URL", ""),
    }
    if "openai:" in answers["CAT_ENGINES"]:
        answers["OPENAI_API_KEY"] = ask(openai_api_key, "OpenAI key (your input is not shown)", secret=True)
    try:
        values = setup.complete(answers)
    except SettingsError as exc:
        raise click.ClickException(f"{exc}\nnothing was written") from None
    if not no_check:
        twilio = wiring.account(Settings.load(values))
        try:
            twilio.status()
        except CarrierAway as exc:
            raise click.ClickException(
                f"{exc}; nothing was written. --no-check writes the file without this check"
            ) from None
        finally:
            twilio.close()
    setup.write(path, values)
    click.echo(f"{path} is written. Next: dadacat doctor, then dadacat connect")


@click.command()
@AS_JSON
def doctor(*, as_json: bool) -> None:
    """Check everything that DadaCat depends on, and print what is wrong and what to do.

    Exit code 1: something is wrong.
    """
    import dataclasses

    from operations import doctor as checks
    from operations.doctor import Level

    findings = checks.examine(checked(twilio=True, prices=True, tree=True))
    wrong = sum(finding.level is Level.WRONG for finding in findings)
    if as_json:
        print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        colours = {Level.OK: "green", Level.WARNING: "yellow", Level.WRONG: "red"}
        for finding in findings:
            mark = click.style(f"{finding.level:<8}", fg=colours[finding.level])
            click.echo(f"{mark} {finding.where:<9} {finding.what}")
            if finding.remedy:
                click.echo(f"{'':<18} {finding.remedy}")
    sys.exit(1 if wrong else 0)


@click.command()
@YES
@click.option("--dry-run", is_flag=True, help="Only show the difference. Exit code 1: there is a difference.")
@AS_JSON
def connect(*, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Make Twilio post the texts of our numbers to PUBLIC_URL, with retries and a fallback.

    Shows the difference and asks before it changes anything.
    """
    import dataclasses

    from operations import connect as wires
    from worker import wiring

    chosen = checked(twilio=True, tree=True)
    if not chosen.numbers:
        raise click.ClickException("TWILIO_PHONE_NUMBER is empty: no number to connect")
    account = wiring.account(chosen)
    try:
        changes = asked(lambda: wires.changes(chosen, account))
        if as_json:
            print_json([{**dataclasses.asdict(change), "is_needed": change.is_needed} for change in changes])
        else:
            for change in changes:
                click.echo("\n".join(change.lines()))
        needed = any(change.is_needed for change in changes)
        if dry_run:
            sys.exit(1 if needed else 0)
        if needed:
            sure("Change it at Twilio?", yes=yes)
            asked(lambda: wires.carry_out(account, changes))
            click.echo("changed", err=as_json)
        if any(change.stands is None for change in changes):
            sys.exit(1)
    finally:
        account.close()


@click.command()
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

    chosen = checked(twilio=True, tree=True)
    sid, reply = asked(lambda: telephone.text(chosen, person, to, body, seconds=wait))
    if as_json:
        print_json({"sid": sid, "reply": reply})
    else:
        click.echo(reply if reply is not None else f"no reply within {wait:.0f} s; see: dadacat explain {sid}")
    sys.exit(0 if reply is not None else 1)


@click.command()
@PERSON
@click.option("--limit", type=click.IntRange(1), help="Print only this many of the latest lines.")
@AS_JSON
def history(*, person: str, limit: int | None, as_json: bool) -> None:
    """Print all texts and replies of a person, oldest first."""
    from collections import deque

    from conversation.journal import milliseconds
    from operations import conversations
    from worker import wiring

    storage = wiring.store(checked(tree=True))
    asked(lambda: conversations.known(storage, person))
    for entry in deque(conversations.transcript(storage, person), maxlen=limit):
        at = conversations.moment(milliseconds(entry.arrived))
        if as_json:
            print_line({"at": at, "role": entry.role, "content": entry.content, "state": entry.state, "key": entry.key})
        else:
            speaker = click.style("cat   ", fg="cyan") if entry.role == "assistant" else "person"
            note = "" if entry.state in (None, "SETTLED", "ANSWERED", "SENT") else f"  ({entry.state})"
            click.echo(f"{at}  {speaker}  {entry.content}{note}")


@click.command()
@click.option("--since", default="24h", show_default=True, help="How far back: 90m, 24h, 7d.")
@AS_JSON
def stats(*, since: str, as_json: bool) -> None:
    """Count outcomes of texts and replies, the time to generate replies, and the wait now.

    Reads every row of the journal.
    """
    from inbox.times import moment
    from operations import dead_letters
    from operations import stats as figures
    from worker import wiring

    chosen = checked(twilio=True, tree=True)
    inbox = wiring.inbox_on(wiring.redis_client(chosen), chosen)
    begin = asked(lambda: dead_letters.ago(since))
    archive = wiring.store(chosen).archive()
    with steps() as step:
        report = asked(lambda: figures.counted(watched(archive.states(), "rows", step), since=begin)).to_json()
    oldest = asked(inbox.texts.oldest_waiting_ms)
    waiting = (inbox.clock.now() - moment(oldest)).total_seconds() if oldest is not None else None
    report |= {"since": begin.isoformat(timespec="seconds"), "oldest_waiting_seconds": waiting}
    if as_json:
        print_json(report)
        return
    click.echo(f"since {report['since']}: {report['people']} people")
    for name in ("texts", "no_reply", "engines", "messages", "statuses", "error_codes"):
        for what, count in sorted(report[name].items(), key=lambda pair: -pair[1]):
            click.echo(f"{name.replace('_', ' '):<12}{count:>8}  {what}")
    thought = report["thought_ms"]
    if thought["median"] is not None:
        click.echo(f"{'thinking':<12}{thought['median']:>8}  ms, median; {thought['p95']} ms for 95 of 100")
    click.echo(f"{'waiting':<12}{waiting or 0:>8.0f}  s, the oldest unanswered text")


@click.command()
@AS_JSON
@NUMBERS
def audit(*, as_json: bool, numbers: bool) -> None:
    """Prove that no message was sent to a person after that person's STOP.

    Exit code 1: a message was sent, and it is listed.
    """
    import dataclasses

    from conversation import audit as proof
    from worker import wiring

    chosen = checked(twilio=True, tree=True)
    storage = wiring.store(chosen)
    archive = storage.archive()
    stopped = asked(lambda: archive.users_with_reason(proof.STOPPED))
    findings: list[proof.Finding] = []
    with steps() as step:
        for person in watched(stopped, "people who said STOP", step):
            conversation = asked(partial(storage.get, person))
            findings += proof.audit(
                person, archive.rows(person), is_active=bool(conversation and conversation.is_active)
            )
    offences = [finding for finding in findings if finding.is_offence]
    name = naming(chosen, numbers=numbers)
    if as_json:
        shown = [{**dataclasses.asdict(finding), "user_id": name(finding.user_id)} for finding in findings]
        print_json({"stopped": len(stopped), "offences": len(offences), "findings": shown})
    else:
        for finding in findings:
            click.echo(
                f"{finding.at or '':<34}{name(finding.user_id):<24}{finding.kind}  {finding.stop}  "
                f"{finding.key} {finding.sid}"
            )
        click.echo(f"{len(stopped)} people said STOP; {len(offences)} offences")
    sys.exit(1 if offences else 0)


@click.group()
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
    from worker import wiring

    chosen = checked(twilio=True, tree=True)
    name = naming(chosen, numbers=numbers)
    lines = islice(conversations.listed(wiring.store(chosen).archive()), limit)
    for line in asked(lambda: list(lines)):
        line["person"] = name(line["person"])
        if as_json:
            print_line(line)
            continue
        state = "" if line["active"] else "  opted out"
        click.echo(f"{line['updated']:.19}  {line['person']:<24}{line['replies']:>7} replies{state}")


@conversations.command()
@PERSON
def show(*, person: str) -> None:
    """Print what is known about a person as JSON; `dadacat history` prints the messages."""
    from operations import conversations
    from worker import wiring

    storage = wiring.store(checked(tree=True))
    print_json(asked(lambda: conversations.shown(storage, person)))


@conversations.command()
@PERSON
@YES
def reset(*, person: str, yes: bool) -> None:
    """Clear the cat's window and memory of a person; the journal keeps its record."""
    from datetime import UTC, datetime

    from operations import conversations
    from worker import wiring

    storage = wiring.store(checked(tree=True))
    asked(lambda: conversations.known(storage, person))
    sure(f"The cat will remember nothing of {person}. Reset?", yes=yes)
    # a reset by the operator does not undo a STOP of the person
    storage.reset(person, now=datetime.now(UTC), wake=False)
    click.echo("reset")


@conversations.command()
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
def export(*, people: tuple[str, ...], all_people: bool, as_page: bool, output: Path | None) -> None:
    """Export conversations as JSON lines, which `import` reads, or as a page."""
    from operations import conversations as desk
    from worker import wiring

    if all_people == bool(people) or (as_page and len(people) != 1):
        raise click.UsageError("name people or give --all; --html needs exactly one person")
    storage = wiring.store(checked(tree=True))
    archive = storage.archive()
    for person in people:
        asked(partial(desk.known, storage, person))
    named = (str(item["user_id"]) for item in archive.items()) if all_people else iter(people)
    lines = desk.page(people[0], desk.transcript(storage, people[0])) if as_page else desk.exported(archive, named)
    count = 0
    with click.open_file(str(output) if output else "-", "w", encoding="utf-8") as file, steps() as step:
        for line in watched(lines, "lines", step):
            file.write(f"{line}\n")
            count += 1
    if output:
        output.chmod(0o600)
        click.echo(f"{count} lines in {output}", err=True)


@conversations.command("import")
@click.argument("file", type=click.File(encoding="utf-8"))
@YES
def import_(*, file: Any, yes: bool) -> None:
    """Import conversations from an export. Nothing is sent.

    If a person in the file is already known, nothing is written.
    """
    from operations import conversations
    from worker import wiring

    storage = wiring.store(checked(tree=True))
    storage.ensure_tables()
    lines = list(file)
    sure(f"Write {len(lines)} lines into {storage.table_name} and {storage.messages_table_name}?", yes=yes)
    items, rows = asked(lambda: conversations.imported(storage.archive(), lines))
    click.echo(f"{items} conversations, {rows} rows")


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
    import dataclasses

    from inbox import payloads
    from operations.forget import Eraser
    from sms.messages import address_of, number_of, user_of
    from worker import wiring
    from worker.visit import LeaseKeeper

    chosen = checked(twilio=True, tree=True)
    sure(f"Everything about {person} will be deleted and cannot be restored. Forget?", yes=yes)
    storage = wiring.store(chosen)
    account = None if keep_twilio else wiring.account(chosen)
    inbox = wiring.inbox_on(wiring.redis_client(chosen), chosen)
    eraser = Eraser(
        storage=storage,
        archive=storage.archive(),
        inbox=inbox,
        leases=LeaseKeeper(inbox.leases, every_seconds=chosen.lease_renew_seconds, on_error=lambda _: None),
        account=account,
        who=lambda name: payloads.who(name, chosen.who_key_bytes),
    )
    users = [person]
    if chosen.per_number and not number_of(person):
        # one conversation per number that the person texted, also a number that is no longer ours
        known = asked(lambda: [str(item["user_id"]) for item in eraser.archive.items()])
        both = [user_of(person, number, per_number=True) for number in chosen.addresses]
        users += sorted({*both, *(user for user in known if number_of(user) and address_of(user) == person)})
    with steps() as step:
        receipts = [asked(partial(eraser.forget, user, progress=step)) for user in users]
    if account is not None:
        account.close()
    for receipt in receipts:
        if as_json:
            print_line(dataclasses.asdict(receipt))
            continue
        for name, value in dataclasses.asdict(receipt).items():
            click.echo(f"{name:<12} {value}")


COMMANDS = (init, doctor, connect, text, history, stats, audit, conversations)
