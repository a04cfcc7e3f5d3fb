"""Commands that run one process each, as a deployment does."""

from __future__ import annotations

import os
import socket
import sqlite3
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from dadacat.installation import load_settings
from dadacat.terminal import AS_JSON, DATA, Commands, echo, print_json

if TYPE_CHECKING:
    from celery import Celery

    from runtime.settings import Settings
    from simulator.stories import Stories

#: Longer than Twilio's proxy keeps an idle connection, so that Twilio closes it first.
KEEP_ALIVE_SECONDS: Final = 75
#: At shutdown, requests in progress may finish; a browser page that keeps listening is not waited for.
GRACE_SECONDS: Final = 2
#: Connections that may wait to be accepted: uvicorn's own default.
BACKLOG: Final = 2048
#: No existing machine needs more processes at one port.
MOST_PROCESSES: Final = 256

commands = Commands()


@commands.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65_535), default=8400, show_default=True)
@click.option(
    "--processes",
    type=click.IntRange(1, MOST_PROCESSES),
    default=1,
    show_default=True,
    help="Number of processes that share the port; one for each core to use.",
)
@click.option(
    "--request-seconds",
    type=click.FloatRange(0.1, 60),
    default=15.0,
    show_default=True,
    help="A connection is closed if a request, or the next one, takes longer to arrive.",
)
def webhook(*, host: str, port: int, processes: int, request_seconds: float) -> None:
    """Receive Twilio's webhooks: verify, store in Redis, acknowledge.

    A supervisor starts the processes, restarts one that dies, replaces them one by one at a SIGHUP, and stops them.
    Any ASGI server can serve `webhook.asgi:app` too, then without limits for slow connections.
    """
    chosen = load_settings(twilio=True)
    from dadacat.serve import serve
    from webhook import build

    # both are checked here, because a process that fails to start is started again
    build.build_ingest(chosen)
    _check_redis(chosen)
    # another webhook may share the port while it is replaced
    _require_free(host, port, socket.SO_REUSEPORT)
    serve(host, port, processes=processes, request_seconds=request_seconds)


def _check_redis(chosen: Settings) -> None:
    """End the process with a sentence if Redis refuses the login; a Redis that is away is waited for."""
    from inbox.connection import check_login

    check_login(chosen.redis.url)


@commands.command(context_settings={"ignore_unknown_options": True})
@click.option("--name", default="", help="Name of the worker, unique on its machine.")
@click.argument("celery_arguments", nargs=-1, type=click.UNPROCESSED)
def worker(*, name: str, celery_arguments: tuple[str, ...]) -> None:
    """Run a worker that answers texts. Further arguments go to Celery's own worker command.

    The same as `celery -A worker.app worker`.
    """
    chosen = load_settings(twilio=True, prices=True)
    from celery.bin.celery import celery

    node = f"{name or f'w{os.getpid()}'}@{socket.gethostname()}"
    # `app.worker_main` would return no exit code
    code = celery.main(
        [
            "--app=worker.app",
            "worker",
            f"--hostname={node}",
            "--without-gossip",
            "--without-mingle",
            f"--loglevel={chosen.logs.level}",
            *celery_arguments,
        ],
        standalone_mode=False,
    )
    sys.exit(code)


@commands.command(context_settings={"ignore_unknown_options": True})
@click.argument("celery_arguments", nargs=-1, type=click.UNPROCESSED)
def beat(*, celery_arguments: tuple[str, ...]) -> None:
    """Schedule the sweep and the reconciler. Several may run; one is enough.

    The same as `celery -A worker.app beat`.
    """
    chosen = load_settings()
    _check_redis(chosen)
    from worker.app import app

    _name_connections(app, "beat")
    app.start(["beat", f"--loglevel={chosen.logs.level}", "--pidfile=", *celery_arguments])


@commands.command(context_settings={"ignore_unknown_options": True})
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65_535), default=8402, show_default=True)
@click.argument("celery_arguments", nargs=-1, type=click.UNPROCESSED)
def flower(*, host: str, port: int, celery_arguments: tuple[str, ...]) -> None:
    """Run Flower, the web page of the workers. It starts only with a login (FLOWER_BASIC_AUTH).

    The same as `celery -A worker.app flower`.
    """
    load_settings()
    _require_free(host, port)
    from worker.app import app

    _name_connections(app, "flower")
    app.start(["flower", f"--address={host}", f"--port={port}", *celery_arguments])


@commands.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65_535), default=8401, show_default=True)
@click.option("--journal", is_flag=True, help="Read the journal, to show on the road view what it knows of each text.")
def simulator(*, host: str, port: int, journal: bool) -> None:
    """Simulate Twilio: its REST API, its webhooks, and telephones in the browser.

    Also `uvicorn simulator.asgi:app`.
    """
    chosen = load_settings()
    from simulator import wiring
    from simulator.app import create_app
    from simulator.faults import UnusableRule
    from simulator.server import Server

    listening = _listen(host, port)
    address = _address(host, port)
    try:
        network = wiring.build_network(address=address, at_terminal=sys.stderr.isatty())
    except (UnusableRule, OSError, sqlite3.Error) as exc:
        listening.close()
        raise click.ClickException(f"the simulator cannot start: {exc}") from None
    app = create_app(network, stories=_stories(chosen) if journal else None)
    echo(f"phone {address}/phone")
    echo(f"twilio {address}")
    server = Server(app, network, keep_alive_seconds=KEEP_ALIVE_SECONDS, grace_seconds=GRACE_SECONDS)
    server.run([listening])
    sys.exit(0 if server.started else 1)


@commands.group(invoke_without_command=True)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65_535), default=8405, show_default=True)
@DATA
@click.pass_context
def console(context: click.Context, *, host: str, port: int) -> None:
    """Run the operator's console, a web page behind a login.

    It starts only with a login: `dadacat console password` makes one. Also `uvicorn console.asgi:app`.
    """
    if context.invoked_subcommand is not None:
        return
    chosen = load_settings(twilio=True)
    from console import build, server

    build.require_login(chosen)
    listening = _listen(host, port)
    if chosen.metrics.port:
        _expose_console(chosen)
    sys.exit(0 if server.serve(build.app(), listening) else 1)


def _expose_console(chosen: Settings) -> None:
    """Serve the console's metrics; its own pages say whether it is ready."""
    from runtime import exposition
    from worker import figures

    refresh = figures.refresher(chosen, "console", trouble=str)
    exposition.serve(chosen.metrics.host, chosen.metrics.port, str, refresh)


@console.command()
@click.argument("name", default="operator")
@click.option(
    "--role",
    type=click.Choice(["look", "act"]),
    default="act",
    show_default=True,
    help="look: see everything, and reveal a person. act: also resend, settle, replay, discard, export, reset, forget.",
)
@click.option("--generate", is_flag=True, help="Make a random password and print it, instead of asking for one.")
@AS_JSON
def password(*, name: str, role: str, generate: bool, as_json: bool) -> None:
    """Write a login into the file of CONSOLE_LOGINS_FILE, or replace the one of that name.

    The password is asked for, or read as a line from a pipe; it is stored as a hash. Sessions of a login that is
    replaced end at once.
    """
    from operations import logins

    chosen = load_settings(tree=True, stores=False)
    path = Path(chosen.console.logins_file)
    words = logins.fresh_password() if generate else _typed_password()
    logins.put(path, name, logins.Role(role), words)
    if as_json:
        print_json({"file": str(path), "name": name, "role": role, **({"password": words} if generate else {})})
        return
    echo(f"{name} may {role}; written into {path}", err=True)
    if generate:
        echo(words)


def _typed_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password (your input is not shown)", hide_input=True, confirmation_prompt=True, err=True))


def _name_connections(app: Celery, role: str) -> None:
    """Have Redis list the connections under the name and version of this process (`inbox.processes`)."""
    from inbox.client_info import PROCESS

    name = f"{PROCESS}{role}-{version('dadacat')}"
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, "client_name": name}


def _require_free(host: str, port: int, *options: int) -> None:
    """End the process with a sentence if its address cannot be had, with these options of its socket."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        for option in (socket.SO_REUSEADDR, *options):
            probe.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            raise click.ClickException(f"port {port} of {host} cannot be had: {exc.strerror}") from None


def _stories(chosen: Settings) -> Stories:
    from operations.stories import JournalStories
    from worker.build.journal import build_journal_reader

    return JournalStories(build_journal_reader(chosen))


def _address(host: str, port: int) -> str:
    """Return the address at which this machine reaches a server that listens there."""
    reached = "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - replaced, not bound
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; the first requests wait until the application is built."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as exc:
        raise click.ClickException(
            f"cannot listen on {host}:{port}: {os.strerror(exc.errno) if exc.errno else exc}"
        ) from None
