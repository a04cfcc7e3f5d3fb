"""`dadacat`: one command for every process, and one for all of them.

Nothing heavy is imported before it is known what is asked for: `dadacat --help` answers at once.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Final

import click

from dadacat.settings import Settings, SettingsError, environment

#: Connections are kept for longer than Twilio's proxy keeps them, so that it is Twilio that closes an idle one.
KEEP_ALIVE_SECONDS: Final = 75
#: What is under way is finished; a page that listens for ever is not waited for.
GRACE_SECONDS: Final = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="dadacat")
def main() -> None:
    """DadaCat: a dadaist cat that people text.

    `dadacat up` runs everything on this machine. The other commands are its processes, one by one, as a deployment runs them.
    """


@main.command()
@click.option("--headless", is_flag=True, help="Do not open the phone page in a browser.")
@click.option(
    "--port-base",
    type=click.IntRange(1, 65_530),
    default=8400,
    show_default=True,
    help="N: webhook. N+1: simulator. N+2: Flower. N+3: Redis. N+4: DynamoDB.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".data"),
    show_default=True,
    help="Where embedded stores keep their files, and logs/*.log.",
)
@click.option("--workers", type=click.IntRange(0, 64), default=2, show_default=True, help="Worker processes; 0: none.")
@click.option(
    "--dynamodb",
    type=click.Choice(["embedded", "aws"]),
    default="embedded",
    show_default=True,
    help="aws: the tables of the account that boto3 finds.",
)
def up(*, headless: bool, port_base: int, data: Path, workers: int, dynamodb: str) -> None:
    """Run everything: stores, simulator, webhook, workers, beat and Flower.

    A real service whose address the environment names (REDIS_URL, AWS_ENDPOINT_URL, TWILIO_API_BASE_URL) is used instead of the embedded one.
    Prints `ready`, then a line `name url` for each. Ctrl-C stops it all.
    """
    from dadacat import launcher

    sys.exit(
        launcher.up(
            headless=headless, port_base=port_base, data=data.absolute(), workers=workers, aws=dynamodb == "aws"
        )
    )


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65_535), default=8400, show_default=True)
def webhook(*, host: str, port: int) -> None:
    """Take Twilio's posts: verify, put into Redis, acknowledge."""
    _checked(twilio=True)
    _serve("webhook.asgi:app", host, port)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65_535), default=8401, show_default=True)
def simulator(*, host: str, port: int) -> None:
    """Be Twilio: its REST surface, its webhooks, and telephones in the browser."""
    _checked(twilio=True)
    _serve("simulator.asgi:app", host, port)


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--name", default="", help="The worker's name; unique on its machine.")
@click.argument("celery_arguments", nargs=-1, type=click.UNPROCESSED)
def worker(*, name: str, celery_arguments: tuple[str, ...]) -> None:
    """Answer texts. What follows is passed to Celery's own worker command."""
    chosen = _checked(twilio=True)
    from worker.app import app

    node = f"{name or f'w{os.getpid()}'}@{socket.gethostname()}"
    app.worker_main(
        [
            "worker",
            f"--hostname={node}",
            "--without-gossip",
            "--without-mingle",
            f"--loglevel={chosen.log_level}",
            *celery_arguments,
        ]
    )


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("celery_arguments", nargs=-1, type=click.UNPROCESSED)
def beat(*, celery_arguments: tuple[str, ...]) -> None:
    """Ring for the sweep and for the reconciler at their times. Several may run; one is enough."""
    chosen = _checked()
    from worker.app import app

    app.start(["beat", f"--loglevel={chosen.log_level}", "--pidfile=", *celery_arguments])


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65_535), default=8402, show_default=True)
@click.argument("celery_arguments", nargs=-1, type=click.UNPROCESSED)
def flower(*, host: str, port: int, celery_arguments: tuple[str, ...]) -> None:
    """Show the work. FLOWER_BASIC_AUTH is its login; without one it does not start."""
    if not _checked().flower_basic_auth:
        raise click.ClickException(
            "FLOWER_BASIC_AUTH is missing: Flower shows who is served and can stop workers, so it wants a login"
        )
    from worker.app import app

    app.start(["flower", f"--address={host}", f"--port={port}", *celery_arguments])


@main.command()
@click.option("--markdown", is_flag=True, help="The settings reference, as it stands in the documents.")
def settings(*, markdown: bool) -> None:
    """Say whether the environment's settings are right; or list them all."""
    if not markdown:
        _checked()
        click.echo("the settings are right")
        return
    from dadacat import reference

    click.echo(reference.settings_markdown(), nl=False)


def _checked(*, twilio: bool = False) -> Settings:
    """Settings that are right, or the end of the process with a sentence for each that is not."""
    try:
        chosen = Settings.load(environment())
        if twilio:
            chosen.require_twilio()
    except SettingsError as exc:
        raise click.ClickException(str(exc)) from None
    return chosen


def _serve(app: str, host: str, port: int) -> None:
    import uvicorn

    uvicorn.run(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
