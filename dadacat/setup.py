"""Commands that set an installation up and check it."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import click

from dadacat.terminal import AS_JSON, YES, Styled, confirm, echo, load_settings, or_exit, print_json

commands = click.Group()


@commands.command()
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
    from operations import init
    from runtime.settings import Settings, SettingsError
    from sms.errors import CarrierAway
    from worker.build.twilio import twilio_account

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
        values = init.complete(answers)
    except SettingsError as exc:
        raise click.ClickException(f"{exc}\nnothing was written") from None
    if not no_check:
        twilio = twilio_account(Settings.load(values))
        try:
            twilio.status()
        except CarrierAway as exc:
            raise click.ClickException(
                f"{exc}; nothing was written. --no-check writes the file without this check"
            ) from None
        finally:
            twilio.close()
    init.write(path, values)
    echo(f"{path} is written. Next: dadacat doctor, then dadacat connect")


@commands.command()
@AS_JSON
def doctor(*, as_json: bool) -> None:
    """Check everything that DadaCat depends on, and print what is wrong and what to do.

    That is Redis, DynamoDB, Twilio, the webhook's public address, the workers and the models.
    Exit code 1: something is wrong.
    """
    from operations import doctor
    from operations.doctor import Level

    findings = doctor.examine(load_settings(twilio=True, prices=True, tree=True))
    wrong = sum(finding.level is Level.WRONG for finding in findings)
    if as_json:
        print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        colours = {Level.OK: "green", Level.WARNING: "yellow", Level.WRONG: "red"}
        for finding in findings:
            mark = Styled(f"{finding.level:<8}", colours[finding.level])
            echo(mark, f" {finding.where:<9} {finding.what}")
            if finding.remedy:
                echo(f"{'':<18} {finding.remedy}")
    sys.exit(1 if wrong else 0)


@commands.command()
@YES
@click.option("--dry-run", is_flag=True, help="Only show the difference. Exit code 1: there is a difference.")
@AS_JSON
def connect(*, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Make Twilio post the texts of our numbers to PUBLIC_URL, with retries and a fallback.

    Shows the difference and asks before it changes anything.
    """
    from operations import connect
    from worker.build.twilio import twilio_account

    chosen = load_settings(twilio=True, tree=True)
    if not chosen.twilio.numbers:
        raise click.ClickException("TWILIO_PHONE_NUMBER is empty: no number to connect")
    account = twilio_account(chosen)
    try:
        changes = or_exit(lambda: connect.changes(chosen, account))
        if as_json:
            print_json([{**dataclasses.asdict(change), "is_needed": change.is_needed} for change in changes])
        else:
            for change in changes:
                for line in change.lines():
                    echo(line)
        needed = any(change.is_needed for change in changes)
        if dry_run:
            sys.exit(1 if needed else 0)
        if needed:
            confirm("Change it at Twilio?", yes=yes)
            or_exit(lambda: connect.carry_out(account, changes))
            echo("changed", err=as_json)
        if any(change.stands is None for change in changes):
            sys.exit(1)
    finally:
        account.close()


@commands.command()
@click.option("--markdown", is_flag=True, help="Print the settings reference, as in docs/reference/settings.md.")
def settings(*, markdown: bool) -> None:
    """Check the settings of the environment, or list all settings."""
    if not markdown:
        load_settings(twilio=True, prices=True)
        echo("the settings are valid")
        return
    from operations import reference

    for line in reference.settings_markdown().splitlines():
        echo(line)
