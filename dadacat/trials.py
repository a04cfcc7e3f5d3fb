"""Commands that try the product out: inject faults on purpose, and print example dialogues."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dadacat.terminal import AS_JSON, Commands, echo, print_json

if TYPE_CHECKING:
    from chaos.days.report import Report

commands = Commands()

#: So many days that went wrong are shrunk and told.
STORIES: Final = 3
#: A run of this length shows what grew.
LONG_SECONDS: Final = 600.0


@commands.command()
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
@click.option("--kills-only", is_flag=True, help="No other fault than SIGKILL: of workers, webhooks and Redis.")
@click.option(
    "--dynamodb-local",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder of Amazon's DynamoDB Local, to use in place of the embedded store; needs Java.",
)
@click.option(
    "--row", "rows", multiple=True, help="With --each: strike only at this row, such as K6; repeat it for several."
)
@AS_JSON
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
    kills_only: bool,
    dynamodb_local: Path | None,
    as_json: bool,
) -> None:
    """Inject faults into all parts, on this machine only, and account for every text.

    Starts its own processes and stops them at the end. Exit code 1: a text was lost, answered twice, answered out of
    order, sent to another person, or left in doubt without a reason; or the run proves nothing, because no text was
    sent, a row was never struck, or memory grew over an hour.
    """
    import secrets
    import signal
    import tempfile

    from chaos import runner
    from chaos.plan import Plan
    from chaos.tree import ChaosFailed

    plan = Plan(
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
        kills_only=kills_only,
        dynamodb_local=dynamodb_local and dynamodb_local.absolute(),
    )
    # a run that is asked to stop stops its processes, as with Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        good, account = runner.run(plan, lambda line: echo(line, err=True))
    except ChaosFailed as exc:
        raise click.ClickException(str(exc)) from None
    if as_json:
        print_json(account)
    else:
        _print_account(account)
    sys.exit(0 if good else 1)


def _print_account(account: dict[str, Any]) -> None:
    from chaos.auditor import OFFENCES

    for what, count in sorted(account["faults"].items()):
        echo(f"{count:>6}  {what}")
    echo("")
    if account["rows"]:
        echo("  ".join(f"{row} {count}" for row, count in account["rows"].items()))
        echo("")
    for name in (
        "kills",
        "begun_at_death",
        "proven_at_death",
        "cuts",
        "rounds",
        "texts",
        "answered",
        "silent",
        "excused_from_order",
    ):
        echo(f"{account[name]:>6}  {name}")
    for name in ("held", *OFFENCES, "unproven"):
        echo(f"{len(account[name]):>6}  {name}")
        for offence in _named(account[name]):
            echo(f"        {offence}")
    _print_growth(account)
    echo("")
    echo(f"seed {account['seed']}: {'the promise was kept' if account['good'] else 'THE PROMISE WAS BROKEN'}")


def _named(offences: Sequence[str] | Mapping[str, str]) -> Iterator[str]:
    if isinstance(offences, Mapping):
        yield from (f"{sid}: {why}" for sid, why in offences.items())
    else:
        yield from offences


def _print_growth(account: dict[str, Any]) -> None:
    """Print what was used in each quarter of the run, if it was long enough to tell."""
    if account["seconds"] < LONG_SECONDS:
        return
    echo("")
    echo(f"{'median in each quarter of the run':<36}" + "".join(f"{quarter:>10}" for quarter in (1, 2, 3, 4)))
    for figure, values in account["quarters"].items():
        echo(f"{figure:<36}" + "".join(f"{value:>10.1f}" for value in values))


@commands.command()
@click.option("--days", type=click.IntRange(1, 10_000_000), default=1, show_default=True, help="Number of days.")
@click.option("--seed", type=click.IntRange(0), default=None, help="Seed of the first day. Default: a random one.")
@click.option("--processes", type=click.IntRange(1, 1024), default=None, help="Default: one for each core.")
@click.option("--log", is_flag=True, help="Print each call of the first day instead of the account.")
@AS_JSON
def simulate_day(*, days: int, seed: int | None, processes: int | None, log: bool, as_json: bool) -> None:
    """Simulate whole days of texts and faults in one process, and account for every text.

    The worker is the real one; clock, threads, stores and carrier are simulated, and a seed decides everything.
    A day that goes wrong is shrunk to a short story. Exit code 1: a day went wrong.
    """
    import secrets

    try:
        from chaos.days import report
        from chaos.days.story import story
    except ImportError as exc:
        raise click.ClickException(f"{exc.name} is not installed: pip install 'dadacat[simulation]'") from None
    first = seed if seed is not None else secrets.randbelow(10**9)
    if log:
        outcome = report.day_of(first, logged=True)
        for line in outcome.log:
            echo(line)
        sys.exit(1 if outcome.offences else 0)
    account = report.run(range(first, first + days), processes=processes, note=_progress(days))
    if as_json:
        print_json(account.as_json(first))
    else:
        for line in account.lines(first):
            echo(line)
    for broken in sorted(account.broken)[:STORIES]:
        for line in story(report.shrunk(broken)):
            echo(line, err=as_json)
    sys.exit(1 if account.broken else 0)


def _progress(days: int) -> Callable[[Report], None]:
    """Return what tells, on standard error, how far a long run is."""
    every = max(days // 20, 100)

    def note(report: Report) -> None:
        if report.days % every == 0 and report.days < days:
            echo(f"{report.days} days, {len(report.broken)} went wrong, {report.seconds:.0f} s", err=True)

    return note


@commands.command()
def gallery() -> None:
    """Print sixty dialogues with the offline poet, as in docs/gallery.md."""
    from cat import gallery as dialogues

    for line in "\n".join(dialogues.page()).rstrip().splitlines():
        echo(line)
