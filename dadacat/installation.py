"""Find the installation that a command works on, and build its parts when they are first used."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from dadacat.terminal import place

if TYPE_CHECKING:
    import redis

    from inbox.ports import Inbox
    from journal.store import Journal
    from local.running_trees import Place
    from runtime.settings import Settings
    from sms.account import TwilioAccount

#: A project in this folder, whose services are out of reach for a command outside its containers.
COMPOSE_FILE: Final = Path("docker-compose.yml")


class Installation:
    """What the settings name: of a running tree, or of the environment and `.env`.

    The arguments are those of `load_settings`.
    """

    def __init__(self, *, twilio: bool = True, stores: bool = True) -> None:
        self.settings = load_settings(twilio=twilio, tree=True, stores=stores)

    @cached_property
    def journal(self) -> Journal:
        """The journal and the conversations."""
        from worker.build.journal import build_journal

        return build_journal(self.settings)

    @cached_property
    def client(self) -> redis.Redis:
        """The client of Redis."""
        from worker.build.inbox import redis_client

        return redis_client(self.settings)

    @cached_property
    def inbox(self) -> Inbox:
        """The inbox."""
        from worker.build.inbox import redis_inbox

        return redis_inbox(self.settings, self.client)

    def account(self) -> closing[TwilioAccount]:
        """Return the account at Twilio, which is closed at the end of the block."""
        from worker.build.twilio import twilio_account

        return closing(twilio_account(self.settings))

    def person(self, typed: str) -> str:
        """Return the `user_id` that the operator typed, its number in E.164."""
        return person_of(typed, self.settings)

    def namer(self, *, numbers: bool) -> Callable[[str], str]:
        """Return the function that names a person in the output, by the whole number only with `numbers`."""
        from operations.masked_names import person_namer

        return person_namer(self.settings.who_key, numbers=numbers)


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
