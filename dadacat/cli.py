"""Define the `dadacat` command: one subcommand for each process, and one that runs them all.

Heavy modules are imported inside the commands, so that `dadacat --help` answers at once.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from dadacat import desk
from dadacat.terminal import asked, checked, naming, print_json, progress, steps, watched

if TYPE_CHECKING:
    from conversation.ports import Cost
    from operations.dead_letters import DeadLetters

Answer = TypeVar("Answer")

#: Longer than Twilio's proxy keeps an idle connection, so that Twilio closes it first.
KEEP_ALIVE_SECONDS: Final = 75
#: At shutdown, requests in progress may finish; a browser page that keeps listening is not waited for.
GRACE_SECONDS: Final = 2
#: No existing machine needs more processes at one port.
MOST_PROCESSES: Final = 256


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="dadacat")
def main() -> None:
    """DadaCat: a dadaist cat that answers text messages.

    `dadacat up` runs everything on this machine. webhook, worker, beat and flower run one process each, as a
    deployment does. The other commands set up, inspect and repair.
    """


@main.command()
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
    help="local: answer with a small real model on this machine, at port N+6; it talks nonsense, slowly. "
    "Default: the engines in CAT_ENGINES.",
)
def up(*, headless: bool, port_base: int, data: Path, workers: int, dynamodb: str, model: str | None) -> None:
    """Run everything: stores, simulator, webhook, workers, beat and Flower.

    REDIS_URL, AWS_ENDPOINT_URL and TWILIO_API_BASE_URL each replace an embedded service by the service they name.
    Prints `ready`, then a line `name url` for each service. Ctrl-C stops everything.
    """
    from local import tree

    wanted = tree.UpOptions(
        port_base=port_base, data=data.absolute(), workers=workers, aws=dynamodb == "aws", model=model == "local"
    )
    sys.exit(tree.up(wanted, headless=headless))


@main.command()
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
    """
    chosen = checked(twilio=True)
    from dadacat.serve import serve
    from runtime.settings import SettingsError
    from webhook import build

    try:
        # checked here, because a process that fails to start is started again
        build.build_ingest(chosen)
    except SettingsError as exc:
        raise click.ClickException(str(exc)) from None
    serve(host, port, processes=processes, request_seconds=request_seconds)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65_535), default=8401, show_default=True)
def simulator(*, host: str, port: int) -> None:
    """Simulate Twilio: its REST API, its webhooks, and telephones in the browser."""
    checked(twilio=True)
    _serve("simulator.asgi:app", host, port)


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--name", default="", help="Name of the worker, unique on its machine.")
@click.argument("celery_arguments", nargs=-1, type=click.UNPROCESSED)
def worker(*, name: str, celery_arguments: tuple[str, ...]) -> None:
    """Run a worker that answers texts. Further arguments go to Celery's own worker command."""
    chosen = checked(twilio=True, prices=True)
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
    """Schedule the sweep and the reconciler. Several may run; one is enough."""
    chosen = checked()
    from worker.app import app

    app.start(["beat", f"--loglevel={chosen.log_level}", "--pidfile=", *celery_arguments])


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65_535), default=8402, show_default=True)
@click.argument("celery_arguments", nargs=-1, type=click.UNPROCESSED)
def flower(*, host: str, port: int, celery_arguments: tuple[str, ...]) -> None:
    """Run Flower, the web page of the workers. It starts only with a login in FLOWER_BASIC_AUTH."""
    checked()
    from worker.app import app

    app.start(["flower", f"--address={host}", f"--port={port}", *celery_arguments])


@main.command()
@click.option("--markdown", is_flag=True, help="Print the settings reference, as in docs/reference/settings.md.")
def settings(*, markdown: bool) -> None:
    """Check the settings of the environment, or list all settings."""
    if not markdown:
        checked(twilio=True, prices=True)
        click.echo("the settings are valid")
        return
    from operations import reference

    click.echo(reference.settings_markdown(), nl=False)


@main.command()
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
    """Talk to the cat in this terminal. An empty line or Ctrl-D ends it; `reset` clears the conversation."""
    import time

    from conversation.manager import ConversationManager
    from conversation.memory import InMemoryStorage
    from operations.chat import Chat, footnote
    from runtime.settings import environment
    from sms import segments
    from worker import wiring

    given = dict(environment())
    if engines:
        given["CAT_ENGINES"] = ",".join(engines)
    chosen = checked(given=given, prices=True)
    cat, terms = wiring.cat(chosen), wiring.memory_terms(chosen)
    _, tariff = wiring.prices(chosen)
    storage = wiring.store(chosen) if person else InMemoryStorage()
    user_id = person or "a person at a terminal"
    talk = Chat(cat, ConversationManager(storage), user_id, terms)
    memories = wiring.memories_of(chosen, cat, storage)
    for role, words in talk.before():
        click.echo(f"{'you' if role == 'user' else 'cat'}: {words}")
    while True:
        try:
            text = click.prompt("you", prompt_suffix="> ", default="", show_default=False)
        except click.Abort:
            click.echo()
            return
        if not text.strip():
            return
        started_at = time.monotonic()
        reply = talk.say(text)
        click.echo(reply.words)
        price = tariff.cost(person or "+1", segments.count(reply.words))
        click.secho(f"  {footnote(reply, time.monotonic() - started_at, price)}", dim=True)
        memories(user_id)


@main.command()
def gallery() -> None:
    """Print sixty dialogues with the offline poet, as in docs/gallery.md."""
    from cat import gallery as dialogues

    click.echo("\n".join(dialogues.page()).rstrip())


@main.command()
@click.option(
    "--minutes",
    type=click.FloatRange(0, 24 * 60),
    default=5.0,
    show_default=True,
    help="Minutes of texts and random faults; 0: only --each.",
)
@click.option(
    "--seed",
    type=int,
    default=None,
    help="Seed of the faults: the same seed gives the same faults. Default: a new one, which is printed.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the files of the run. Default: a new folder.",
)
@click.option("--workers", type=click.IntRange(1, 16), default=3, show_default=True, help="Number of worker processes.")
@click.option(
    "--people", type=click.IntRange(1, 5000), default=60, show_default=True, help="Number of people who text."
)
@click.option(
    "--rate",
    type=click.FloatRange(0.1, 200),
    default=6.0,
    show_default=True,
    help="Texts per second, of all people together.",
)
@click.option(
    "--fault-every",
    type=click.FloatRange(0.05, 600),
    default=1.5,
    show_default=True,
    help="Mean seconds between two faults.",
)
@click.option(
    "--each",
    type=click.IntRange(0, 10_000),
    default=0,
    show_default=True,
    help="First strike this many times at each row of the crash table, K0 to K14.",
)
@click.option(
    "--policy",
    type=click.Choice(["each", "coalesce", "latest"]),
    default="each",
    show_default=True,
    help="How to answer several texts of one person, as DOUBLE_TEXT_POLICY.",
)
@click.option(
    "--row", "rows", multiple=True, help="With --each: strike only at this row, such as K6; repeat it for several."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def chaos(  # noqa: PLR0913 - each is an option
    *,
    minutes: float,
    each: int,
    rows: tuple[str, ...],
    policy: str,
    seed: int | None,
    data: Path | None,
    workers: int,
    people: int,
    rate: float,
    fault_every: float,
    as_json: bool,
) -> None:
    """Inject faults into all parts, on this machine only, and account for every text.

    Starts its own processes and stops them at the end. Exit code 1: a text was lost, answered twice, answered out of
    order, or left in doubt without a reason.
    """
    import secrets
    import tempfile

    from chaos import runner, tree

    plan = runner.Plan(
        seconds=minutes * 60,
        seed=seed if seed is not None else secrets.randbelow(10**9),
        data=(data or Path(tempfile.mkdtemp(prefix="dadacat-chaos-"))).absolute(),
        workers=workers,
        people=people,
        rate=rate,
        fault_every=fault_every,
        each_point=each,
        rows=rows,
        policy=policy,
    )
    try:
        good, account = runner.run(plan, lambda line: click.echo(line, err=True))
    except tree.ChaosFailed as exc:
        raise click.ClickException(str(exc)) from None
    if as_json:
        print_json(account)
    else:
        _print_account(account)
    sys.exit(0 if good else 1)


@main.command()
@click.argument("sid")
@click.option(
    "--person",
    help="Person of the text, if you know it; otherwise Twilio is asked, then the whole journal is searched.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the events as JSON.")
def explain(*, sid: str, person: str | None, as_json: bool) -> None:
    """Show what happened to one text, by its MessageSid or by the MessageSid of its reply."""
    from conversation.story import as_lines
    from operations import dead_letters
    from operations.explain import NothingKnown
    from worker import wiring

    chosen = checked(twilio=True, tree=True)
    try:
        story = dead_letters.story(wiring.store(chosen), wiring.ledger(chosen), sid, person)
    except NothingKnown as exc:
        raise click.ClickException(str(exc)) from None
    if as_json:
        print_json(dataclasses.asdict(story))
    else:
        click.echo("\n".join(as_lines(story)))


@main.command()
@click.option(
    "--since", help="Look for missed texts this far back: 90m, 24h, 2d. Default: since the end of the last look."
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def reconcile(*, since: str | None, as_json: bool) -> None:
    """Queue unfinished turns again, settle unknown outcomes, and fetch texts whose webhook never came."""
    from operations import dead_letters
    from sms.errors import CarrierAway
    from worker import wiring

    chosen = checked(twilio=True, tree=True)
    client = wiring.redis_client(chosen)
    reconciler = wiring.reconciler(chosen, client, wiring.inbox_on(client, chosen), wiring.store(chosen))
    with progress() as step:
        try:
            report = dead_letters.reconcile(reconciler, since, step)
        except (dead_letters.BadRequest, CarrierAway) as exc:
            raise click.ClickException(str(exc)) from None
    counts = dataclasses.asdict(report)
    if as_json:
        print_json(counts)
    else:
        click.echo("\n".join(f"{name:<12}{count:>6}" for name, count in counts.items()))


@main.command()
@click.option("--since", default="30d", show_default=True, help="How far back: 24h, 7d, 30d.")
@click.option(
    "--by",
    type=click.Choice(["day", "engine", "person"]),
    default="day",
    show_default=True,
    help="Sum by this, one line each. Days are in UTC.",
)
@click.option("--numbers", is_flag=True, help="With --by person: show whole numbers instead of the last digits.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=60, show_default=True, help="Print at most this many lines."
)
@click.option("--json", "as_json", is_flag=True, help="Print the lines as JSON.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="Also draw a chart into this SVG file.",
)
def costs(*, since: str, by: str, numbers: bool, limit: int, as_json: bool, plot: Path | None) -> None:
    """Show what replies cost.

    Models are priced by the price table. Messages are priced by what Twilio charged, or by the price table until
    Twilio reports a price. Reads every row of the journal, which takes time if the table is large.
    """
    from conversation.costs import since as spent_since
    from operations import costs as accounts
    from operations import dead_letters
    from runtime.money import dollars
    from worker import wiring

    chosen = checked(twilio=True, tree=True)

    name = naming(chosen, numbers=numbers)

    def by_person(cost: Cost) -> str:
        return name(cost.user_id)

    key = {"day": accounts.by_day, "engine": accounts.by_engine, "person": by_person}[by]
    begin = asked(lambda: dead_letters.ago(since))
    with steps() as step:
        lines, total = accounts.summed(watched(spent_since(wiring.store(chosen), begin), "costs", step), key)
    lines.sort(key=lambda line: line.name if by == "day" else -line.total)
    shown = lines[-limit:] if by == "day" else lines[:limit]
    if plot is not None:
        bars = shown[-accounts.BARS :] if by == "day" else shown[: accounts.BARS]
        accounts.draw(bars, f"What DadaCat costs, by {by}, since {begin:%Y-%m-%d}", plot)
        click.echo(f"drawn into {plot}", err=True)
    if as_json:
        print_json({"since": begin.isoformat(), "lines": [line.to_json() for line in shown], "total": total.to_json()})
        return
    click.echo(f"{by:<24}{'replies':>9}{'segments':>9}{'tokens':>12}{'models':>11}{'messages':>11}{'total':>11}  USD")
    for line in (*shown, total):
        click.echo(
            f"{line.name:<24.24}{line.replies:>9}{line.segments:>9}{line.tokens_in + line.tokens_out:>12}"
            f"{dollars(line.model):>11}{dollars(line.sms):>11}{dollars(line.total):>11}"
        )
    if len(shown) < len(lines):
        click.echo(f"{len(lines) - len(shown)} more lines; --limit shows them")
    click.echo(f"of the messages' price, Twilio reported {dollars(total.reported)}; the rest is from the price table")


@main.group("dead-letters")
def dead_letters() -> None:
    """Handle turns that could not be finished and replies that were refused for good."""


def _dead_letters() -> DeadLetters:
    from operations.dead_letters import DeadLetters
    from worker import wiring

    chosen = checked(twilio=True, tree=True)
    return DeadLetters(wiring.store(chosen), wiring.inbox_on(wiring.redis_client(chosen), chosen))


@dead_letters.command("list")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Print at most this many lines."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def list_dead_letters(*, limit: int, as_json: bool) -> None:
    """List the dead letters, oldest first."""
    letters = list(_dead_letters().list(limit))
    if as_json:
        print_json(letters)
        return
    for letter in letters:
        click.echo(
            f"{letter.get('since', '')!s:.19}  {letter['key']}  {letter.get('state', '')}: {letter.get('reason', '')}"
        )
    if not letters:
        click.echo("there are no dead letters")


@dead_letters.command()
@click.argument("name")
def show(*, name: str) -> None:
    """Show a dead letter with its text and traceback, by its MessageSid or key."""
    print_json(asked(lambda: _dead_letters().show(name)))


@dead_letters.command()
@click.argument("name")
def replay(*, name: str) -> None:
    """Queue a dead letter again. Replaying it twice answers it once."""
    done = asked(lambda: _dead_letters().replay(name))
    click.echo(f"{name} is queued again" if done else f"{name} is no longer a dead letter")


@dead_letters.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def discard(*, name: str, yes: bool) -> None:
    """Discard a dead letter: it leaves the list, its row stays."""
    if not yes:
        click.confirm(f"{name} will never be answered. Discard it?", abort=True)
    done = asked(lambda: _dead_letters().discard(name))
    click.echo(f"{name} is discarded" if done else f"{name} is no longer a dead letter")


def _print_account(account: dict[str, Any]) -> None:
    for what, count in sorted(account["faults"].items()):
        click.echo(f"{count:>6}  {what}")
    click.echo("")
    if account["rows"]:
        click.echo("  ".join(f"{row} {count}" for row, count in account["rows"].items()))
        click.echo("")
    for name in ("kills", "cuts", "texts", "answered", "silent", "excused_from_order"):
        click.echo(f"{account[name]:>6}  {name}")
    for name in ("held", "lost", "doubled", "swapped", "unexcused"):
        click.echo(f"{len(account[name]):>6}  {name}")
        for offence in account[name] if name != "held" else ():
            click.echo(f"        {offence}")
    click.echo(f"\nseed {account['seed']}: {'the promise was kept' if account['good'] else 'THE PROMISE WAS BROKEN'}")


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


for _command in desk.COMMANDS:
    main.add_command(_command)
