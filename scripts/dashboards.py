"""Build the Grafana dashboards.

`python scripts/dashboards.py` writes `deploy/observability/dashboards/*.json`.

A test holds the files against this program, and each metric in them against the code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef

FOLDER: Final = Path(__file__).parents[1] / "deploy" / "observability" / "dashboards"
#: Grafana's own: long enough for at least four scrapes.
RATE: Final = "[$__rate_interval]"
#: The data source that the reader of a dashboard chooses.
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${source}")
#: A dashboard is 24 wide.
NUMBERS: Final = (4, 4)
PLOTS: Final = (8, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A plot, or a number; `queries` are pairs of PromQL and a legend."""

    title: str
    queries: Sequence[tuple[str, str]]
    meaning: str
    unit: str = "short"
    is_number: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A dashboard: rows of panels."""

    uid: str
    title: str
    meaning: str
    rows: Sequence[tuple[str, Sequence[Panel]]] = field(default_factory=tuple)


def number(title: str, query: str, meaning: str, unit: str = "short") -> Panel:
    """Return a panel that shows one number."""
    return Panel(title=title, queries=((query, ""),), meaning=meaning, unit=unit, is_number=True)


def plot(title: str, query: str, legend: str, meaning: str, unit: str = "short") -> Panel:
    """Return a panel that plots the series of one query."""
    return Panel(title=title, queries=((query, legend),), meaning=meaning, unit=unit)


def rates(metric: str, by: str, matching: str = "") -> str:
    """Return how much a counter grows a second, over all processes."""
    return f"sum by ({by}) (rate({metric}{matching}{RATE}))"


def most(gauge: str) -> str:
    """Return a gauge of money, which all processes show alike."""
    return f"max by (kind, period) ({gauge})"


def quantiles(metric: str) -> Sequence[tuple[str, str]]:
    """Return the queries for the median and the slowest of a histogram."""
    return tuple(
        (f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket{RATE})))", name)
        for share, name in ((0.5, "median"), (0.95, "slowest in 20"), (0.99, "slowest in 100"))
    )


ANSWERS: Final = Page(
    uid="dadacat-answers",
    title="DadaCat: is every text answered?",
    meaning="One text in, one reply out: what waits, how fast replies leave, and what an operator must look at.",
    rows=(
        (
            "Now",
            (
                number(
                    "Oldest unanswered text",
                    "max(dadacat_oldest_waiting_seconds)",
                    "The health of the whole pipeline. Above two minutes an alarm fires.",
                    "s",
                ),
                number("People who wait", "max(dadacat_waiting_people)", "People with an unanswered text."),
                number("Texts that wait", "max(dadacat_waiting_texts)", "Of the 1,000 people who have waited longest."),
                number("Held replies", "max(dadacat_held_parts)", "dadacat held list"),
                number("Dead letters", "max(dadacat_dead_letters)", "dadacat dead-letters list"),
                number("Set aside", "max(dadacat_set_aside_items)", "dadacat set-aside list"),
                number("Sending stopped", "sum(max by (scope) (dadacat_stopped))", "Open circuit breakers."),
                number(
                    "Workers that work",
                    'sum(dadacat_process_ready{process="worker"}) or vector(0)',
                    "Workers with a heartbeat in the last 30 seconds.",
                ),
                number(
                    "Alarms",
                    'count(ALERTS{alertstate="firing"}) or vector(0)',
                    "Alarms that fire now; docs/how-to/runbook.md says what to do.",
                ),
                number("Sent after STOP", "max(dadacat_sent_after_stop)", "Offences that the last audit found."),
            ),
        ),
        (
            "The road of a text",
            (
                plot(
                    "Requests of Twilio",
                    rates("dadacat_webhook_requests_total", "path, status", '{path=~"/sms.*"}'),
                    "{{path}} {{status}}",
                    "403: not signed by Twilio. 503: not stored, so Twilio sends it again.",
                    "reqps",
                ),
                plot(
                    "Turns by outcome",
                    rates("dadacat_turns_total", "state"),
                    "{{state}}",
                    "What became of texts.",
                    "ops",
                ),
                Panel(
                    title="Age of the oldest text",
                    queries=(("max(dadacat_oldest_waiting_seconds)", "oldest"),),
                    meaning="0 if no text waits.",
                    unit="s",
                ),
                Panel(
                    title="From a text to its reply",
                    queries=quantiles("dadacat_reply_seconds"),
                    meaning="From the arrival of a text until Twilio took the first message of the reply.",
                    unit="s",
                ),
                Panel(
                    title="Acknowledgement",
                    queries=quantiles("dadacat_webhook_acknowledge_seconds"),
                    meaning="From a request's last byte to the webhook's answer. Twilio waits for 15 s.",
                    unit="s",
                ),
                plot(
                    "Thinking, slowest in 20",
                    f"histogram_quantile(0.95, sum by (le, engine) (rate(dadacat_think_seconds_bucket{RATE})))",
                    "{{engine}}",
                    "Time to generate a reply.",
                    "s",
                ),
            ),
        ),
        (
            "Delivery",
            (
                plot("Sends by state", rates("dadacat_parts_total", "state"), "{{state}}", "After an attempt.", "ops"),
                plot(
                    "Refusals by scope",
                    rates("dadacat_parts_total", "scope", '{state=~"RETRY|FAILED|UNKNOWN"}'),
                    "{{scope}}",
                    "How far a refusal reaches: the account, a sender, a channel, a person, a message.",
                    "ops",
                ),
                plot(
                    "Statuses that Twilio reports",
                    rates("dadacat_statuses_total", "status"),
                    "{{status}}",
                    "Status callbacks.",
                    "ops",
                ),
                plot(
                    "Open circuit breakers",
                    "max by (scope) (dadacat_stopped)",
                    "{{scope}}",
                    "Places at which Twilio refuses us.",
                ),
                plot(
                    "People who wait for one",
                    "max by (scope) (dadacat_stopped_people)",
                    "{{scope}}",
                    "Their replies leave when it closes.",
                ),
                plot(
                    "Reports by outcome",
                    rates("dadacat_receipts_total", "outcome"),
                    "{{outcome}}",
                    "Foreign: of a message that is not ours.",
                    "ops",
                ),
            ),
        ),
        (
            "What was mended, and what needs a person",
            (
                plot(
                    "Repairs",
                    rates("dadacat_repaired_total", "kind"),
                    "{{kind}}",
                    "Missed: the text came by Twilio's list, because its webhook was lost.",
                    "ops",
                ),
                plot("Alarms logged", rates("dadacat_alarms_total", "alarm"), "{{alarm}}", "By kind.", "ops"),
                plot("Set aside", rates("dadacat_set_aside_total", "kind"), "{{kind}}", "The others went on.", "ops"),
            ),
        ),
    ),
)

MACHINERY: Final = Page(
    uid="dadacat-machinery",
    title="DadaCat: processes, queue and stores",
    meaning="Whether every process works, what is queued, and what is away.",
    rows=(
        (
            "Processes",
            (
                plot(
                    "Processes that work",
                    "sum by (process) (dadacat_process_ready)",
                    "{{process}}",
                    "A process in trouble counts as none.",
                ),
                plot("CPU", f"rate(process_cpu_seconds_total{RATE})", "{{job}} {{instance}}", "Cores.", "short"),
                plot("Memory", "process_resident_memory_bytes", "{{job}} {{instance}}", "Resident.", "bytes"),
            ),
        ),
        (
            "Queue and visits",
            (
                Panel(
                    title="Queue",
                    queries=(
                        ("max(dadacat_wake_up_tasks)", "wake-up tasks"),
                        ("max(dadacat_due_people)", "people who are due"),
                        ("max(dadacat_waiting_reports)", "delivery reports"),
                    ),
                    meaning="What no worker has taken yet.",
                ),
                plot("Visits by outcome", rates("dadacat_visits_total", "outcome"), "{{outcome}}", "", "ops"),
                plot(
                    "Leases lost",
                    f"sum(rate(dadacat_lease_losses_total{RATE}))",
                    "lost",
                    "The fence keeps their holders from writing.",
                    "ops",
                ),
            ),
        ),
        (
            "Stores and carrier",
            (
                plot(
                    "Work that waits for something outside",
                    rates("dadacat_away_total", "what"),
                    "{{what}}",
                    "It is tried again.",
                    "ops",
                ),
                Panel(
                    title="Redis's memory",
                    queries=(
                        ("max(dadacat_redis_memory_bytes)", "used"),
                        ("max(dadacat_redis_memory_limit_bytes)", "limit (0: none)"),
                    ),
                    meaning="A full Redis refuses texts.",
                    unit="bytes",
                ),
                Panel(
                    title="Redis",
                    queries=(
                        ("min(dadacat_redis_up)", "answers every process"),
                        ("min(dadacat_redis_appendonly)", "writes its append-only file"),
                    ),
                    meaning="Both should be 1.",
                ),
            ),
        ),
    ),
)

PEOPLE: Final = Page(
    uid="dadacat-people",
    title="DadaCat: money, engines and people",
    meaning="What it costs, which engines write, who is limited, and whether danger was heard. No number, no text.",
    rows=(
        (
            "Money",
            (
                Panel(
                    title="Spent, of the budget",
                    queries=(
                        (
                            f"{most('dadacat_spent_dollars')} / {most('dadacat_budget_dollars')}",
                            "{{kind}} a {{period}}",
                        ),
                    ),
                    meaning="1: nothing more is granted. Empty without a budget.",
                    unit="percentunit",
                ),
                plot(
                    "Models, an hour",
                    f"sum by (engine) (rate(dadacat_model_cost_dollars_total{RATE})) * 3600",
                    "{{engine}}",
                    "At the prices of the table.",
                    "currencyUSD",
                ),
                plot(
                    "Messages, an hour",
                    f"sum(rate(dadacat_message_cost_dollars_total{RATE})) * 3600",
                    "messages",
                    "At the prices of the table; `dadacat costs` knows what Twilio charged.",
                    "currencyUSD",
                ),
                plot(
                    "Replies without money",
                    rates("dadacat_budget_refusals_total", "kind"),
                    "{{kind}}",
                    "The poet answers instead of a model; without money for messages there is one last line.",
                    "ops",
                ),
            ),
        ),
        (
            "Engines",
            (
                plot(
                    "Replies by engine", rates("dadacat_think_seconds_count", "engine"), "{{engine}}", "Written.", "ops"
                ),
                plot(
                    "Calls without a reply",
                    f"sum by (engine) (rate(dadacat_engine_failures_total{RATE})) or vector(0)",
                    "{{engine}}",
                    "The next engine is asked, and at last the poet.",
                    "ops",
                ),
                plot(
                    "Memories",
                    rates("dadacat_memories_total", "outcome"),
                    "{{outcome}}",
                    "Summaries of old turns.",
                    "ops",
                ),
            ),
        ),
        (
            "People",
            (
                plot(
                    "Why there was no reply",
                    rates("dadacat_turns_total", "reason", '{state!="ANSWERED"}'),
                    "{{reason}}",
                    "Limits, STOP, the budget, superseded texts.",
                    "ops",
                ),
                plot(
                    "Danger heard",
                    rates("dadacat_dangers_total", "tier"),
                    "{{tier}}",
                    "Whose it was is in no metric and in no log.",
                    "ops",
                ),
            ),
        ),
    ),
)

PAGES: Final = (ANSWERS, MACHINERY, PEOPLE)


def built(page: Page) -> str:
    """Return a dashboard as JSON."""
    board = (
        dashboard.Dashboard(page.title)
        .uid(page.uid)
        .description(page.meaning)
        .tags(["dadacat"])
        .timezone("browser")
        .time("now-3h", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("source").label("Prometheus").type("prometheus"))
    )
    for title, panels in page.rows:
        board.with_row(dashboard.Row(title))
        for panel in panels:
            board.with_panel(_panel(panel))
    return json.dumps(board.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _panel(panel: Panel) -> stat.Panel | timeseries.Panel:
    height, width = NUMBERS if panel.is_number else PLOTS
    shown: stat.Panel | timeseries.Panel = stat.Panel() if panel.is_number else _plot()
    shown.title(panel.title).description(panel.meaning).datasource(SOURCE).unit(panel.unit).height(height).span(width)
    for letter, (asks, legend) in zip("ABCDEF", panel.queries, strict=False):
        shown.with_target(prometheus.Dataquery().expr(asks).legend_format(legend).ref_id(letter))
    return shown


def _plot() -> timeseries.Panel:
    legend = (
        common_builders.VizLegendOptions()
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    return timeseries.Panel().min(0).fill_opacity(10).legend(legend)


def queries() -> Iterator[str]:
    """Yield every query of the dashboards."""
    for page in PAGES:
        for _, panels in page.rows:
            for panel in panels:
                yield from (asks for asks, _ in panel.queries)


if __name__ == "__main__":
    for each in PAGES:
        (FOLDER / f"{each.uid}.json").write_text(built(each))
