"""Commands that set an installation up and check it."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from dadacat.installation import Installation, load_settings
from dadacat.terminal import AS_JSON, YES, Commands, Styled, confirm, echo, print_json, print_result

commands = Commands()


@commands.command()
@click.option("--account-sid", help="AC and 32 digits, shown in Twilio's console under Account info.")
@click.option(
    "--auth-token",
    help="Shown in the same place. Better left out: it is then asked for, and stays out of the shell's history.",
)
@click.option("--number", help="Our number in E.164 form, or several separated by commas.")
@click.option("--public-url", help="Address at which Twilio calls the webhook, such as https://cat.your-domain.com.")
@click.option(
    "--store",
    type=click.Choice(["aws", "local"]),
    help="Where conversations stand: in DynamoDB on AWS, or in the local store of compose or of `dadacat up`, "
    "which is for trials.",
)
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
@click.option("--no-check", is_flag=True, help="Do not check login and numbers at Twilio.")
@AS_JSON
def init(  # noqa: PLR0913 - each is an option
    *,
    account_sid: str | None,
    auth_token: str | None,
    number: str | None,
    public_url: str | None,
    store: str | None,
    engines: str | None,
    openai_api_key: str | None,
    path: Path,
    force: bool,
    no_check: bool,
    as_json: bool,
) -> None:
    """Write .env: ask for missing answers, check all of them, then write the file."""
    from operations import init
    from runtime.settings import SettingsError

    if path.exists() and not force:
        raise click.ClickException(f"{path} exists already; --force replaces it")
    answers = {
        "TWILIO_ACCOUNT_SID": _ask(account_sid, "--account-sid", "Account SID (Twilio's console, Account info)"),
        "TWILIO_AUTH_TOKEN": _ask(
            auth_token, "--auth-token", "Auth token (in the same place; your input is not shown)", secret=True
        ),
        "TWILIO_PHONE_NUMBER": _ask(number, "--number", "Our number, in E.164"),
        "PUBLIC_URL": _ask(public_url, "--public-url", "Public https address of the webhook"),
        "CAT_ENGINES": _ask(engines, "--engines", "Engines", "dada"),
        # allows a set-up against a simulator
        "TWILIO_API_BASE_URL": os.environ.get("TWILIO_API_BASE_URL", ""),
    }
    if "openai:" in answers["CAT_ENGINES"]:
        answers["OPENAI_API_KEY"] = _ask(
            openai_api_key, "--openai-api-key", "OpenAI key (your input is not shown)", secret=True
        )
    on_aws = _ask(store, "--store", "Store: aws, or local (for trials)", "local") == "aws"
    try:
        values = init.complete(answers, on_aws=on_aws)
        if not no_check:
            _check_at_twilio(values)
    except SettingsError as exc:
        raise click.ClickException(f"{exc}\nnothing was written") from None
    init.write(path, values)
    sentence = f"{path} is written. Next: dadacat connect"
    print_result({"file": str(path), "settings": sorted(values)}, sentence, as_json=as_json)


def _ask(given: str | None, option: str, question: str, default: str | None = None, *, secret: bool = False) -> str:
    """Return what was given, or ask for it.

    Without a terminal, the default is taken, or the next line of the input.
    """
    if given is not None:
        return given
    has_terminal = sys.stdin.isatty()
    if not has_terminal and default is not None:
        return default
    try:
        return str(click.prompt(question, default=default, hide_input=secret, err=True))
    except click.Abort:
        if has_terminal:
            raise
        raise click.UsageError(f"{option} is missing, and there is no terminal to ask at") from None


def _check_at_twilio(values: Mapping[str, str]) -> None:
    """Check that Twilio accepts the login and that the numbers are the account's."""
    from contextlib import closing

    from operations import init
    from runtime.settings import Settings
    from sms.errors import CarrierAway
    from worker.build.twilio import twilio_account

    chosen = Settings.load(values)
    with closing(twilio_account(chosen)) as account:
        try:
            init.check_account(chosen, account)
        except CarrierAway as exc:
            raise click.ClickException(
                f"{exc}; nothing was written. --no-check writes the file without this check"
            ) from None


@commands.command()
@AS_JSON
def doctor(*, as_json: bool) -> None:
    """Check everything that DadaCat depends on, and print what is wrong and what to do.

    That is Redis, DynamoDB, Twilio, the webhook's public address, the workers and the models. Each model is asked for
    one reply, which costs what a reply costs.
    Exit code 1: something is wrong.
    """
    from operations import doctor
    from operations.doctor import Level

    findings = doctor.examine(load_settings(twilio=True, prices=True, tree=True, stores=False))
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

    Shows the difference and asks before it changes anything. With --json it never asks: without --yes it only shows
    the difference. Exit code 1: there still is a difference, or the account lacks one of our numbers.
    """
    from operations import connect

    installation = Installation(stores=False)
    if not installation.settings.twilio.numbers:
        raise click.ClickException("TWILIO_PHONE_NUMBER is empty: no number to connect")
    with installation.account() as account:
        changes = connect.changes(installation.settings, account)
        needed = any(change.is_needed for change in changes)
        if not as_json:
            for change in changes:
                for line in change.lines():
                    echo(line)
        make = needed and not dry_run and (yes or not as_json)
        if make:
            confirm("Change it at Twilio?", yes=yes)
            connect.carry_out(account, changes)
            echo("changed", err=as_json)
    if as_json:
        rows = [{**dataclasses.asdict(change), "is_needed": change.is_needed} for change in changes]
        print_json([{**row, "changed": make and row["is_needed"]} for row in rows])
    if (needed and not make) or any(change.stands is None for change in changes):
        sys.exit(1)


@commands.command()
@click.option("--markdown", is_flag=True, help="Print the settings reference, as in docs/reference/settings.md.")
@AS_JSON
def settings(*, markdown: bool, as_json: bool) -> None:
    """Check the settings of the environment, of .env and of the running tree, or list all settings."""
    if markdown and as_json:
        raise click.UsageError("--markdown and --json are two forms: choose one")
    if markdown:
        from operations import settings_page

        for line in settings_page.markdown().splitlines():
            echo(line)
        return
    load_settings(twilio=True, prices=True, tree=True, stores=False)
    print_result({"valid": True}, "the settings are valid", as_json=as_json)
