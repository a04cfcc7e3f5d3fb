"""Commands that report from the journal: the story of a text, counts, costs, the audit of STOP."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from dadacat.installation import Installation
from dadacat.terminal import (
    AS_JSON,
    NUMBERS,
    Commands,
    Duration,
    echo,
    plural,
    print_json,
    say_set_aside,
    since_when,
    status_line,
)

commands = Commands()
#: How often `top` looks, in seconds, unless the operator says otherwise.
LOOK_SECONDS: Final = 2.0


def _require_svg(_: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and value.suffix.lower() != ".svg":
        raise click.BadParameter(f"a chart is an SVG file: name it {value.with_suffix('.svg')}", param=parameter)
    return value


PLOT = click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    callback=_require_svg,
    help="Also draw a chart into this file, NAME.svg.",
)


@commands.command()
@click.option(
    "--every",
    type=click.FloatRange(0.5, 3600),
    default=LOOK_SECONDS,
    show_default=True,
    help="Look again after so many seconds.",
)
@click.option("--once", is_flag=True, help="Print one view and end, as it does without a terminal.")
@AS_JSON
def top(*, every: float, once: bool, as_json: bool) -> None:
    """Watch whether every text is answered: who waits and why, the last day, costs. Ctrl-C ends it.

    People are shown by their hash. The journal is read at the start, and then seldom.
    """
    from dadacat import top
    from operations import overview

    installation = Installation()
    overviews = overview.build(installation.settings, installation.journal, installation.client)
    if as_json:
        print_json(overviews.look(wait=True).to_json())
    elif once or not sys.stdout.isatty():
        top.show(overviews.look(wait=True))
    else:
        top.watch(overviews.look, every=every)


@commands.command()
@click.argument("sid")
@click.option(
    "--person",
    help="Person of the text, if you know it; otherwise Twilio is asked, then the whole journal is searched.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the events as JSON.")
def explain(*, sid: str, person: str | None, as_json: bool) -> None:
    """Show what happened to one text, by its MessageSid or by the MessageSid of its reply."""
    from journal.story import as_lines
    from operations import explain
    from worker.build.twilio import twilio_message_list

    installation = Installation()
    known = installation.person(person) if person else None
    messages = twilio_message_list(installation.settings)
    story = explain.explain(installation.journal, messages, sid, person=known)
    if as_json:
        print_json(dataclasses.asdict(story))
    else:
        for line in as_lines(story, width=shutil.get_terminal_size().columns):
            echo(line)


@commands.command()
@click.option("--since", type=Duration(), default="24h", show_default=True, help="How far back: 90m, 24h, 7d.")
@AS_JSON
@PLOT
def stats(*, since: timedelta, as_json: bool, plot: Path | None) -> None:
    """Count outcomes of texts and replies, the time to generate replies, and the wait now.

    Reads every row of the journal.
    """
    from operations import stats
    from worker.build.inbox import circuit

    here, begin = Installation(), since_when(since)
    breakers = circuit(here.settings, here.client)
    with status_line() as progress:
        report = stats.gather(
            here.journal, here.inbox, breakers, since=begin, set_aside=say_set_aside, progress=progress
        )
    if plot is not None:
        stats.draw(report["hours"], plot)
        echo(f"drawn into {plot}", err=True)
    if as_json:
        print_json(report)
        return
    echo(f"since {report['since']}: {plural(report['people'], 'person', 'people')}")
    for name in ("texts", "no_reply", "engines", "messages", "statuses", "error_codes"):
        for what, count in sorted(report[name].items(), key=lambda pair: -pair[1]):
            echo(f"{name.replace('_', ' '):<12}{count:>8}  {what}")
    thought = report["thought_ms"]
    if thought["median"] is not None:
        echo(f"{'thinking':<12}{thought['median']:>8}  ms, median; {thought['p95']} ms for 95 of 100")
    echo(f"{'waiting':<12}{report['oldest_waiting_seconds'] or 0:>8.0f}  s, the oldest unanswered text")
    for stop in report["stopped"]:
        what = f"{stop['scope']} {stop['name']}".strip()
        echo(f"{'stopped':<12}{stop['people']:>8}  waiting for {what}, since {stop['since']}: {stop['reason']}")


@commands.command()
@click.option("--since", type=Duration(), default="30d", show_default=True, help="How far back: 24h, 7d, 30d.")
@click.option(
    "--by",
    type=click.Choice(["day", "engine", "person", "number"]),
    default="day",
    show_default=True,
    help="Sum by this, one line each. Days are in UTC; a number is one of ours.",
)
@click.option("--numbers", is_flag=True, help="With --by person: show whole numbers instead of the last digits.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=60, show_default=True, help="Print at most this many lines."
)
@click.option("--json", "as_json", is_flag=True, help="Print the lines as JSON.")
@PLOT
def costs(*, since: timedelta, by: str, numbers: bool, limit: int, as_json: bool, plot: Path | None) -> None:
    """Show what replies cost.

    Models are priced by the price table. Messages are priced by what Twilio charged, or by the price table until
    Twilio reports a price. Reads every row of the journal, which takes time if the table is large.
    """
    from operations import costs
    from runtime.money import dollars

    installation, begin = Installation(), since_when(since)
    name = installation.namer(numbers=numbers)
    with status_line() as progress:
        lines, total = costs.gather(
            installation.journal, begin, by, person_name=name, set_aside=say_set_aside, progress=progress
        )
    shown = costs.first(lines, by, limit)
    if plot is not None:
        bars = costs.first(shown, by, costs.BARS)
        costs.draw(bars, f"What DadaCat costs, by {by}, since {begin:%Y-%m-%d}", plot)
        echo(f"drawn into {plot}", err=True)
    if as_json:
        print_json({"since": begin.isoformat(), "lines": [line.to_json() for line in shown], "total": total.to_json()})
        return
    echo(f"{by:<24}{'replies':>9}{'segments':>9}{'tokens':>12}{'models':>11}{'messages':>11}{'total':>11}  USD")
    for line in (*shown, total):
        echo(
            f"{line.name:<24.24}{line.replies:>9}{line.segments:>9}{line.tokens_in + line.tokens_out:>12}"
            f"{dollars(line.model):>11}{dollars(line.sms):>11}{dollars(line.total):>11}"
        )
    if len(shown) < len(lines):
        echo(f"{plural(len(lines) - len(shown), 'more line')}; --limit shows them")
    echo(f"of the messages' price, Twilio reported {dollars(total.reported)}; the rest is from the price table")


@commands.command()
@AS_JSON
@NUMBERS
def audit(*, as_json: bool, numbers: bool) -> None:
    """Prove that no message was sent to a person after that person's STOP.

    Exit code 1: a message was sent, and it is listed; or the rows of a person could not be read.
    """
    from inbox.errors import InboxAway
    from inbox.figures import RedisFigures
    from operations import audit
    from runtime.isolation import BadItem

    installation, unread = Installation(), list[BadItem]()
    name = installation.namer(numbers=numbers)
    with status_line() as progress:
        result = audit.audit_all(installation.journal, who=name, set_aside=unread.append, progress=progress)
    try:
        audit.note(result, RedisFigures(installation.client), now=datetime.now(UTC))
    except InboxAway as exc:
        echo(f"the metric keeps its value: {exc}", err=True)
    for item in unread:
        say_set_aside(item)
    if as_json:
        shown = [{**dataclasses.asdict(finding), "user_id": name(finding.user_id)} for finding in result.findings]
        print_json({"stopped": result.stopped, "offences": result.offences, "findings": shown})
    else:
        for finding in result.findings:
            echo(
                f"{finding.at or '':<34}{name(finding.user_id):<24}{finding.kind}  {finding.stop}  "
                f"{finding.key} {finding.sid}"
            )
        echo(f"{plural(result.stopped, 'person', 'people')} said STOP; {plural(result.offences, 'offence')}")
    sys.exit(1 if result.offences or unread else 0)
