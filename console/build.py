"""Build the console from the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from starlette.types import ASGIApp

from console.app import create_app
from console.audit import Audit
from console.authentication import Authentication, LoginsFile, Proxy
from console.desk import Desk, Links
from console.sessions import Sessions
from inbox import payloads, processes
from operations import build, doctor, logins, overview, tables
from operations.dead_letters import DeadLetters
from operations.doctor import Finding
from operations.forget import Receipt
from operations.logins import Login
from operations.masked_names import person_namer
from operations.one_at_a_time import OneAtATime
from operations.people import PeopleByHash
from operations.prometheus import Prometheus
from runtime import logs
from runtime.settings import Settings, SettingsError, environment, names
from sms import typed
from worker.build.inbox import redis_client, redis_inbox
from worker.build.journal import build_journal
from worker.build.twilio import twilio_account, twilio_message_list


def app() -> ASGIApp:
    """Return the console as the environment describes it. Raises `SettingsError`, `WrongArgument`."""
    chosen = Settings.load(environment())
    chosen.twilio.require()
    logs.configure("console", form=chosen.logs.format, level=chosen.logs.level)
    require_login(chosen)
    return create_app(desk(chosen), public_url=chosen.console.url)


def require_login(chosen: Settings) -> None:
    """Raise `SettingsError` if no operator could log in."""
    if not chosen.console.proxy_header and not _logins(chosen)():
        raise SettingsError("the console has no login: run dadacat console password")


def desk(chosen: Settings) -> Desk:
    """Return what the pages need of this installation."""
    client = redis_client(chosen, "console")
    inbox, journal = redis_inbox(chosen, client), build_journal(chosen)
    prometheus = chosen.observability.prometheus_url
    set_here, reading = environment(), OneAtATime("the journal is read")
    return Desk(
        journal=journal,
        inbox=inbox,
        redis=client,
        overviews=overview.build(chosen, journal, client),
        held=build.held_replies(chosen, journal, inbox),
        dead_letters=DeadLetters(journal, inbox),
        message_list=twilio_message_list(chosen),
        forget=lambda person: _forget(chosen, person),
        examine=lambda: _examine(chosen),
        processes=lambda: processes.connected(client),
        tables=lambda: tables.figures(journal.storage),
        people=PeopleByHash(journal, inbox, lambda person: payloads.who(person, chosen.who_key), reading),
        reading=reading,
        masked=person_namer(chosen.who_key, numbers=False),
        typed=lambda number: typed.user_id(number, near=next(iter(chosen.twilio.numbers), "")),
        authentication=_authentication(chosen, Sessions(client)),
        audit=Audit(client),
        prometheus=Prometheus(prometheus) if prometheus else None,
        links=Links(
            flower=chosen.console.flower_url or "",
            grafana=chosen.observability.grafana_url or "",
            prometheus=prometheus or "",
            trace=chosen.observability.trace_url or "",
        ),
        settings=[(name, bool(set_here.get(name))) for name in names()],
        version=version("dadacat"),
    )


def _authentication(chosen: Settings, sessions: Sessions) -> Authentication:
    console = chosen.console
    return Authentication(
        sessions=sessions,
        logins=_logins(chosen),
        secure=console.url.startswith("https://"),
        proxy=Proxy(header=console.proxy_header, secret=console.proxy_secret) if console.proxy_secret else None,
    )


def _logins(chosen: Settings) -> Callable[[], Mapping[str, Login]]:
    file, given = LoginsFile(Path(chosen.console.logins_file)), logins.given(chosen.console.login)
    return lambda: {**file(), **given}


def _forget(chosen: Settings, person: str) -> Sequence[Receipt]:
    client = redis_client(chosen, "console")
    with closing(client), closing(twilio_account(chosen)) as account:
        return build.eraser(chosen, build_journal(chosen), redis_inbox(chosen, client), account).forget_all(person)


def _examine(chosen: Settings) -> Sequence[Finding]:
    return doctor.examine(chosen, leaving_out=doctor.COSTLY)
