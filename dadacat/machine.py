"""Commands about everything on one machine: start it, look at it, read its logs, stop it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from dadacat.terminal import AS_JSON, AS_LINES, Commands, echo, place, print_json, print_result, print_rows

commands = Commands()


@commands.command()
@click.option("--headless", is_flag=True, help="Do not open the phone page in a browser.")
@click.option("--detach", "-d", is_flag=True, help="Return when everything answers; `dadacat down` stops it.")
@click.option(
    "--port-base",
    type=click.IntRange(1, 65_530),
    default=8400,
    show_default=True,
    help="First port: N webhook, N+1 simulator, N+2 Flower, N+3 Redis, N+4 DynamoDB, N+5 console, "
    "and from N+8 the metrics of console, beat and workers.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".data"),
    envvar="DADACAT_DATA",
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
    "it talks nonsense, slowly, and does not understand who is in danger. "
    "The first start installs it, 130 MB more. "
    "Default: the engines in CAT_ENGINES.",
)
@click.option(
    "--observe",
    is_flag=True,
    help="Run Prometheus beside the tree at port N+7, with the alarms of docs/how-to/runbook.md. "
    "It must be installed: on Debian, apt-get install prometheus. PROMETHEUS_URL names another one instead.",
)
@click.option(
    "--without",
    type=click.Choice(["console", "flower"]),
    multiple=True,
    help="Do not run this process, which no text needs: for a machine with little memory. Repeat it for both.",
)
@AS_JSON
def up(  # noqa: PLR0913 - each is an option
    *,
    headless: bool,
    detach: bool,
    port_base: int,
    data: Path,
    workers: int,
    dynamodb: str,
    model: str | None,
    observe: bool,
    without: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run everything: stores, simulator, webhook, workers, beat, console and Flower.

    REDIS_URL, AWS_ENDPOINT_URL and TWILIO_API_BASE_URL each replace an embedded service by the service they name.
    Credentials do not: the simulator takes its account, token and numbers from them.

    When every service answers, the command prints `ready`, then a line `name url` for each of `webhook`, `phone`,
    `twilio`, `flower`, `redis`, `dynamodb` and `console`, and for `model` and `prometheus` if there is one. Without the
    simulator there is no `phone`. The address of the console has a login inside. A process that `--without` names has
    no line.

    A process that dies is started again. Ctrl-C and SIGTERM stop the processes in reverse order, the workers
    together. If TWILIO_AUTH_TOKEN,
    FLOWER_BASIC_AUTH and CONSOLE_LOGINS_FILE are not set, token and logins are generated at the first run and kept in
    the data folder, in `run`.

    A log of more than 10 MB is moved to `NAME.log.1`; on a full disk it is emptied.

    The embedded DynamoDB is installed at the first start, in an environment of its own.
    `scripts/up` installs all the rest first, and passes its arguments on.
    """
    from local import detached, tree
    from local.plan import UpOptions

    options = UpOptions(
        port_base=port_base,
        data=data.absolute(),
        workers=workers,
        aws=dynamodb == "aws",
        model=model == "local",
        observe=observe,
        without=frozenset(without),
    )

    def ready(status: dict[str, Any]) -> None:
        if as_json:
            print_json(status)
        else:
            for line in ("ready", *(f"{name} {url}" for name, url in status["urls"].items())):
                echo(line)
        sys.stdout.flush()

    if not detach:
        sys.exit(tree.up(options, headless=headless, ready=ready))
    status = detached.up(options)
    ready(status)
    if not headless:
        tree.open_page(status)


@commands.command()
@AS_JSON
def status(*, as_json: bool) -> None:
    """Show the addresses and processes of the running tree.

    Exit code 3: none runs.
    """
    from local import data_folder

    folder = place().required()
    running = data_folder.status(folder)
    if running is None:
        raise click.ClickException(f"the tree in {folder} is still starting, or is stopping")
    if as_json:
        print_json(running)
        return
    echo(f"running since {running['since']}, with its data in {running['data']}")
    for name, url in running["urls"].items():
        echo(f"{name:<12} {url}")
    for name, pid in running["processes"].items():
        echo(f"{name:<12} process {pid}")


@commands.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written, until Ctrl-C or the tree's end.")
@click.option(
    "--lines", "-n", type=click.IntRange(0), default=50, show_default=True, help="Print this many lines of each log."
)
@AS_JSON
@AS_LINES
def logs(*, names: tuple[str, ...], follow: bool, lines: int, as_json: bool, as_lines: bool) -> None:
    """Print the ends of the processes' logs, of all or of those named, such as `webhook`.

    After the end of a tree, `--data` names the folder whose logs are meant.
    """
    from local import data_folder, log_files
    from operations.errors import NotFound

    if follow and as_json:
        raise click.UsageError("--follow has no end: use --json-lines")
    where = place()
    folder = where.data or where.required()
    known = log_files.files(folder / "logs")
    if not known:
        raise NotFound(f"there are no logs in {folder}")
    if missing := sorted(set(names) - set(known)):
        raise click.BadParameter(f"there is no log of {', '.join(missing)}; there are: {', '.join(known)}")
    files = {name: path for name, path in known.items() if not names or name in names}

    def show(pairs: Any) -> None:  # Any: pairs of a process and a line
        rows = ({"process": name, "line": line} for name, line in pairs)
        print_rows(rows, as_json=as_json, as_lines=as_lines, line=lambda row: (f"{row['process']:<10} {row['line']}",))

    show((name, line) for name, path in files.items() for line in log_files.last_lines(path, lines))
    if follow:
        show(log_files.follow(files, lambda: data_folder.is_locked(folder)))


@commands.command()
@AS_JSON
def down(*, as_json: bool) -> None:
    """Stop the running tree, and wait until it has stopped. Exit code 3: none runs."""
    from local import detached

    folder = place().required()
    if not as_json:
        echo(f"stopping the tree in {folder} ...", err=True)
    detached.down(folder)
    print_result({"data": str(folder), "stopped": True}, "stopped; its data stays", as_json=as_json)


@commands.command("env")
@AS_JSON
def environment(*, as_json: bool) -> None:
    """Print the settings of the running tree, with its secrets, for `eval "$(dadacat env)"`.

    With them any program uses the same services, such as one more `dadacat worker`. Exit code 3: none runs.
    """
    from local import data_folder

    folder = place().required()
    settings = data_folder.settings(folder)
    if settings is None:
        raise click.ClickException(f"the tree in {folder} is still starting, or is stopping")
    variables = {"DADACAT_DATA": str(folder), **settings}
    if as_json:
        print_json(variables)
        return
    for name, value in variables.items():
        echo(f"export {name}={shlex.quote(value)}")
