"""`dadacat`: one command for every process, and one for all of them.

Nothing heavy is imported before it is known what is asked for: `dadacat --help` answers at once.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from dadacat import desk
from dadacat.terminal import asked, checked, naming, print_json, progress, steps, watched

if TYPE_CHECKING:
    from conversation.ports import Cost
    from dadacat.operate import DeadLetters

Answer = TypeVar("Answer")

#: Connections are kept for longer than Twilio's proxy keeps them, so that it is Twilio that closes an idle one.
KEEP_ALIVE_SECONDS: Final = 75
#: What is under way is finished; a page that listens for ever is not waited for.
GRACE_SECONDS: Final = 2
#: One of several processes that does not answer its supervisor for so long hangs; one that starts on a busy machine takes some of it.
PROCESS_ANSWERS_SECONDS: Final = 30
#: No machine that somebody has needs more of them at one port.
MOST_PROCESSES: Final = 256


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
@click.option(
    "--model",
    type=click.Choice(["local"]),
    help="local: a small real model on this machine finds the words, at N+6; it talks nonsense, slowly. Default: CAT_ENGINES.",
)
def up(*, headless: bool, port_base: int, data: Path, workers: int, dynamodb: str, model: str | None) -> None:
    """Run everything: stores, simulator, webhook, workers, beat and Flower.

    A real service whose address the environment names (REDIS_URL, AWS_ENDPOINT_URL, TWILIO_API_BASE_URL) is used instead of the embedded one.
    Prints `ready`, then a line `name url` for each. Ctrl-C stops it all.
    """
    from dadacat import launcher

    wanted = launcher.Wanted(
        port_base=port_base, data=data.absolute(), workers=workers, aws=dynamodb == "aws", model=model == "local"
    )
    sys.exit(launcher.up(wanted, headless=headless))


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65_535), default=8400, show_default=True)
@click.option(
    "--processes",
    type=click.IntRange(1, MOST_PROCESSES),
    default=1,
    show_default=True,
    help="So many share the port; one for each core that may be busy with it.",
)
def webhook(*, host: str, port: int, processes: int) -> None:
    """Take Twilio's posts: verify, put into Redis, acknowledge.

    Several processes are watched by another: it starts them, starts one anew that dies or hangs, replaces them one by one at a SIGHUP, and ends them.
    """
    chosen = checked(twilio=True)
    from webhook.processes import counted_together

    with counted_together() if processes > 1 else nullcontext():
        from dadacat.settings import SettingsError
        from webhook import wiring
        from webhook.server import WebhookProtocol

        try:
            # found out here: a process that does not come up is started again and again
            wiring.door(chosen)
        except SettingsError as exc:
            raise click.ClickException(str(exc)) from None

        _serve("webhook.asgi:app", host, port, http=WebhookProtocol, proxy_headers=False, workers=processes)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65_535), default=8401, show_default=True)
def simulator(*, host: str, port: int) -> None:
    """Be Twilio: its REST surface, its webhooks, and telephones in the browser."""
    checked(twilio=True)
    _serve("simulator.asgi:app", host, port)


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--name", default="", help="The worker's name; unique on its machine.")
@click.argument("celery_arguments", nargs=-1, type=click.UNPROCESSED)
def worker(*, name: str, celery_arguments: tuple[str, ...]) -> None:
    """Answer texts. What follows is passed to Celery's own worker command."""
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
    """Ring for the sweep and for the reconciler at their times. Several may run; one is enough."""
    chosen = checked()
    from worker.app import app

    app.start(["beat", f"--loglevel={chosen.log_level}", "--pidfile=", *celery_arguments])


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65_535), default=8402, show_default=True)
@click.argument("celery_arguments", nargs=-1, type=click.UNPROCESSED)
def flower(*, host: str, port: int, celery_arguments: tuple[str, ...]) -> None:
    """Show the work. FLOWER_BASIC_AUTH is its login; without one it does not start."""
    checked()
    from worker.app import app

    app.start(["flower", f"--address={host}", f"--port={port}", *celery_arguments])


@main.command()
@click.option("--markdown", is_flag=True, help="The settings reference, as it stands in the documents.")
def settings(*, markdown: bool) -> None:
    """Say whether the environment's settings are right; or list them all."""
    if not markdown:
        checked(twilio=True, prices=True)
        click.echo("the settings are right")
        return
    from dadacat import reference

    click.echo(reference.settings_markdown(), nl=False)


@main.command()
@click.option(
    "--engine",
    "engines",
    multiple=True,
    help="An engine, as CAT_ENGINES names it; several in their order. Default: CAT_ENGINES.",
)
@click.option(
    "--as",
    "person",
    help="Whose conversation it is, such as +15551230001: from the tables, and kept there. Default: nobody's, forgotten at the end.",
)
def chat(*, engines: tuple[str, ...], person: str | None) -> None:
    """Talk with the cat, here. An empty line or Ctrl-D ends it; `reset` begins anew."""
    import time

    from conversation.manager import ConversationManager
    from conversation.memory import InMemoryStorage
    from dadacat.chat import Chat, footnote
    from dadacat.settings import environment
    from sms import segments
    from worker import wiring

    given = dict(environment())
    if engines:
        given["CAT_ENGINES"] = ",".join(engines)
    chosen = checked(given=given, prices=True)
    cat, terms = wiring.cat(chosen), wiring.memory_terms(chosen)
    _, tariff = wiring.prices(chosen)
    storage = wiring.store(chosen) if person else InMemoryStorage()
    talker = person or "somebody at a terminal"
    talk = Chat(cat, ConversationManager(storage), talker, terms)
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
        begun = time.monotonic()
        reply = talk.say(text)
        click.echo(reply.words)
        price = tariff.cost(person or "+1", segments.count(reply.words))
        click.secho(f"  {footnote(reply, time.monotonic() - begun, price)}", dim=True)
        memories(talker)


@main.command()
def gallery() -> None:
    """Sixty dialogues with the offline poet, as they stand in the documents."""
    from cat import gallery as dialogues

    click.echo("\n".join(dialogues.page()).rstrip())


@main.command()
@click.option(
    "--minutes",
    type=click.FloatRange(0, 24 * 60),
    default=5.0,
    show_default=True,
    help="How long people text and things break. 0: not at all, only --each.",
)
@click.option(
    "--seed", type=int, default=None, help="The same seed breaks the same things. Default: a new one, which is printed."
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the day keeps its files. Default: a new folder.",
)
@click.option("--workers", type=click.IntRange(1, 16), default=3, show_default=True)
@click.option("--people", type=click.IntRange(1, 5000), default=60, show_default=True)
@click.option(
    "--rate",
    type=click.FloatRange(0.1, 200),
    default=6.0,
    show_default=True,
    help="Texts a second, all people together.",
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
    help="Before that, break at each row of the protocol's crash table, K0 to K14, so many times.",
)
@click.option(
    "--policy",
    type=click.Choice(["each", "coalesce", "latest"]),
    default="each",
    show_default=True,
    help="What several texts of one person become.",
)
@click.option(
    "--row", "rows", multiple=True, help="With --each: only this row, such as K6. May be given several times."
)
@click.option("--json", "as_json", is_flag=True, help="The account as JSON.")
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
    """Break everything on purpose, on this machine alone, and account for every text.

    It starts a tree of its own and stops it at the end. Exit code 1: a text was lost, doubled, out of order, or in doubt without a reason.
    """
    import secrets
    import tempfile

    from dadacat.chaos import runner, tree

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
@click.option("--person", help="Whose text it is, where you know; otherwise Twilio is asked, then the whole journal.")
@click.option("--json", "as_json", is_flag=True, help="The events as JSON.")
def explain(*, sid: str, person: str | None, as_json: bool) -> None:
    """Tell the story of one text, by its MessageSid: the text's own, or its reply's."""
    from conversation.story import as_lines
    from dadacat import operate
    from dadacat.explain import NothingKnown
    from worker import wiring

    chosen = checked(twilio=True, tree=True)
    try:
        story = operate.story(wiring.store(chosen), wiring.ledger(chosen), sid, person)
    except NothingKnown as exc:
        raise click.ClickException(str(exc)) from None
    if as_json:
        print_json(dataclasses.asdict(story))
    else:
        click.echo("\n".join(as_lines(story)))


@main.command()
@click.option(
    "--since", help="Look for missed texts this far back: 90m, 24h, 2d. Default: from where the last look ended."
)
@click.option("--json", "as_json", is_flag=True, help="What was found, as JSON.")
def reconcile(*, since: str | None, as_json: bool) -> None:
    """Put unfinished turns back on the road, settle unknown outcomes, and fetch texts whose webhook never came."""
    from dadacat import operate
    from sms.errors import CarrierAway
    from worker import wiring

    chosen = checked(twilio=True, tree=True)
    client = wiring.redis_client(chosen)
    reconciler = wiring.reconciler(chosen, client, wiring.inbox_on(client, chosen), wiring.store(chosen))
    with progress() as step:
        try:
            report = operate.reconcile(reconciler, since, step)
        except (operate.BadRequest, CarrierAway) as exc:
            raise click.ClickException(str(exc)) from None
    found = dataclasses.asdict(report)
    if as_json:
        print_json(found)
    else:
        click.echo("\n".join(f"{name:<12}{count:>6}" for name, count in found.items()))


@main.command()
@click.option("--since", default="30d", show_default=True, help="How far back: 24h, 7d, 30d.")
@click.option(
    "--by",
    type=click.Choice(["day", "engine", "person"]),
    default="day",
    show_default=True,
    help="What a line is. Days are UTC's.",
)
@click.option("--numbers", is_flag=True, help="With --by person: show whole numbers, not their last digits.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=60, show_default=True, help="Lines at most.")
@click.option("--json", "as_json", is_flag=True, help="The lines as JSON.")
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False, writable=True), help="Also draw it, into this SVG file."
)
def costs(*, since: str, by: str, numbers: bool, limit: int, as_json: bool, plot: Path | None) -> None:
    """Say what replies cost: models by the price table, messages by what Twilio charged, and by the table until it has said.

    Reads every row of the journal, so that it takes time where the table is large.
    """
    from conversation.costs import since as spent_since
    from dadacat import costs as accounts
    from dadacat import operate
    from dadacat.money import dollars
    from worker import wiring

    chosen = checked(twilio=True, tree=True)

    name = naming(chosen, numbers=numbers)

    def by_person(cost: Cost) -> str:
        return name(cost.user_id)

    key = {"day": accounts.by_day, "engine": accounts.by_engine, "person": by_person}[by]
    begin = asked(lambda: operate.ago(since))
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
    click.echo(
        f"of the messages' price, {dollars(total.reported)} is what Twilio reported; the rest is by the price table"
    )


@main.group("dead-letters")
def dead_letters() -> None:
    """Turns that could not be finished, and replies that were refused for good."""


def _dead_letters() -> DeadLetters:
    from dadacat.operate import DeadLetters
    from worker import wiring

    chosen = checked(twilio=True, tree=True)
    return DeadLetters(wiring.store(chosen), wiring.inbox_on(wiring.redis_client(chosen), chosen))


@dead_letters.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
def list_dead_letters(*, limit: int, as_json: bool) -> None:
    """List them, oldest first."""
    found = list(_dead_letters().list(limit))
    if as_json:
        print_json(found)
        return
    for letter in found:
        click.echo(
            f"{letter.get('since', '')!s:.19}  {letter['key']}  {letter.get('state', '')}: {letter.get('reason', '')}"
        )
    if not found:
        click.echo("there are no dead letters")


@dead_letters.command()
@click.argument("name")
def show(*, name: str) -> None:
    """Show one, by its MessageSid or key, with its text and its traceback."""
    print_json(asked(lambda: _dead_letters().show(name)))


@dead_letters.command()
@click.argument("name")
def replay(*, name: str) -> None:
    """Bring one back to the road. Replaying twice answers once."""
    done = asked(lambda: _dead_letters().replay(name))
    click.echo(f"{name} is on the road again" if done else f"{name} is no dead letter any more")


@dead_letters.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def discard(*, name: str, yes: bool) -> None:
    """Let one rest: it leaves the list, its row stays."""
    if not yes:
        click.confirm(f"Nobody will answer {name}. Discard it?", abort=True)
    done = asked(lambda: _dead_letters().discard(name))
    click.echo(f"{name} rests" if done else f"{name} is no dead letter any more")


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


def _serve(app: str, host: str, port: int, *, workers: int = 1, **more: Any) -> None:  # Any: uvicorn's own options
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
        workers=workers,
        timeout_worker_healthcheck=PROCESS_ANSWERS_SECONDS,
        **more,
    )


for _command in desk.COMMANDS:
    main.add_command(_command)
