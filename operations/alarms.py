"""The alarms, as data: what is asked of Prometheus, for how long it must hold, and what to read then.

    python -m operations.alarms > deploy/observability/alarms.yml
    python -m operations.alarms --runbook https://docs.your-domain.com/runbook > alarms.yml

`dadacat up --observe` gives the same rules to the Prometheus that it starts.
"""

from __future__ import annotations

import json
import re
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

#: Where the sections of the runbook are.
RUNBOOK: Final = "docs/how-to/runbook.md"
#: How often the rules are evaluated, in seconds; Prometheus scrapes as often.
INTERVAL_SECONDS: Final = 15
#: Wakes a person; is looked at by day; or is only of interest.
Severity = Literal["page", "ticket", "info"]

_RANGE: Final = re.compile(r"\[(\d+)m\]")
_MILLISECONDS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One alarm."""

    name: str
    #: In PromQL; ranges are whole minutes, such as `[5m]`. `{age}` stands for `age_seconds`.
    asks: str
    #: It fires once this has been true for so long.
    for_seconds: int = 0
    age_seconds: int = 0
    severity: Severity
    summary: str
    #: The anchor of its section in the runbook.
    section: str

    def expression(self, faster: float = 1.0) -> str:
        """Return what is asked of Prometheus; `faster`: with every time divided by this."""
        asks = self.asks.replace("{age}", f"{self.age_seconds / faster:g}")
        return _RANGE.sub(lambda found: f"[{_time(60 * int(found.group(1)), faster)}]", asks)


_SPENT: Final = "max by (kind, period) (dadacat_spent_dollars) / max by (kind, period) (dadacat_budget_dollars)"
_FAILED: Final = 'sum(increase(dadacat_statuses_total{status=~"failed|undelivered"}[60m]))'
_FINAL: Final = 'sum(increase(dadacat_statuses_total{status=~"failed|undelivered|delivered"}[60m]))'


def _ready(process: str) -> str:
    # a process that is not scraped any more counts as none
    return f'(sum(dadacat_process_ready{{process="{process}"}}) or vector(0)) < 1'


ALARMS: Final = (
    Alarm(
        name="OldestTextTooOld",
        asks="max(dadacat_oldest_waiting_seconds) > {age}",
        age_seconds=120,
        for_seconds=60,
        severity="page",
        summary="A text has waited for more than two minutes",
        section="no-replies",
    ),
    Alarm(
        name="RepliesSlow",
        asks="histogram_quantile(0.95, sum by (le) (rate(dadacat_reply_seconds_bucket[10m]))) > {age}",
        age_seconds=30,
        for_seconds=600,
        severity="ticket",
        summary="One reply in twenty comes after more than half a minute",
        section="no-replies",
    ),
    Alarm(
        name="NoWorker",
        asks=_ready("worker"),
        for_seconds=120,
        severity="page",
        summary="No worker does its work",
        section="no-worker",
    ),
    Alarm(
        name="NoBeat",
        asks=_ready("beat"),
        for_seconds=300,
        severity="ticket",
        summary="Beat sends no tasks: what is lost is not found again",
        section="no-worker",
    ),
    Alarm(
        name="NoWebhook",
        asks=_ready("webhook"),
        for_seconds=60,
        severity="page",
        summary="No webhook is ready: Twilio cannot deliver texts",
        section="the-webhook-does-not-answer",
    ),
    Alarm(
        name="TextsNotStored",
        asks='sum(increase(dadacat_webhook_requests_total{path=~"/sms.*", status="503"}[5m])) > 0',
        severity="page",
        summary="The webhook could not store a text or a report",
        section="redis-is-away-or-lost",
    ),
    Alarm(
        name="RedisAway",
        asks="min(dadacat_redis_up) < 1",
        for_seconds=60,
        severity="page",
        summary="A process cannot reach Redis",
        section="redis-is-away-or-lost",
    ),
    Alarm(
        name="RedisNotDurable",
        asks="min(dadacat_redis_appendonly) < 1",
        for_seconds=60,
        severity="page",
        summary="Redis writes no append-only file: acknowledged texts are lost when it restarts",
        section="redis-keeps-no-append-only-file",
    ),
    Alarm(
        name="RedisNearlyFull",
        asks="max(dadacat_redis_memory_bytes) / (max(dadacat_redis_memory_limit_bytes) > 0) > 0.8",
        for_seconds=300,
        severity="page",
        summary="Redis uses four fifths of its memory",
        section="redis-is-full",
    ),
    Alarm(
        name="SendingStopped",
        asks='max by (scope) (dadacat_stopped{scope!="destination"}) > 0',
        for_seconds=60,
        severity="page",
        summary="Twilio refuses us: nothing is sent in the scope {{ $labels.scope }}",
        section="sending-is-stopped",
    ),
    Alarm(
        name="PeopleStopped",
        asks='max(dadacat_stopped{scope="destination"}) > 0',
        for_seconds=900,
        severity="ticket",
        summary="Twilio refuses messages to single people",
        section="trial-account",
    ),
    Alarm(
        name="MessagesUndelivered",
        asks=f"{_FAILED} > 10 and {_FAILED} > 0.2 * {_FINAL}",
        severity="ticket",
        summary="One message in five is not delivered",
        section="a-number-is-suspended",
    ),
    Alarm(
        name="RepliesHeld",
        asks="max(dadacat_held_parts) > 0",
        for_seconds=60,
        severity="ticket",
        summary="A reply may have been sent or not, and waits for an operator",
        section="replies-are-held",
    ),
    Alarm(
        name="DeadLetters",
        asks="max(dadacat_dead_letters) > 0",
        for_seconds=60,
        severity="ticket",
        summary="A text or a reply could not be finished",
        section="dead-letters",
    ),
    Alarm(
        name="ItemsSetAside",
        asks="max(dadacat_set_aside_items) > 0",
        for_seconds=900,
        severity="ticket",
        summary="An item cannot be handled, however often it is tried",
        section="items-are-set-aside",
    ),
    Alarm(
        name="WebhooksLost",
        asks='sum(increase(dadacat_repaired_total{kind=~"missed.*"}[15m])) > 2',
        severity="page",
        summary="Texts come by Twilio's list and not by webhook",
        section="webhooks-are-lost",
    ),
    Alarm(
        name="RepairsRising",
        asks='sum(increase(dadacat_repaired_total{kind=~"unfinished|proven unsent"}[15m])) > 20',
        severity="ticket",
        summary="Much work is left unfinished: workers keep dying",
        section="workers-keep-dying",
    ),
    Alarm(
        name="SentAfterStop",
        asks="max(dadacat_sent_after_stop) > 0",
        severity="page",
        summary="The last audit found a message that was sent after STOP",
        section="a-message-was-sent-after-stop",
    ),
    Alarm(
        name="BudgetNear",
        asks=f"{_SPENT} > 0.8",
        severity="ticket",
        summary="Four fifths of the budget are spent: {{ $labels.kind }}, {{ $labels.period }}",
        section="the-bill-grows",
    ),
    Alarm(
        name="BudgetReached",
        asks="(sum by (kind) (increase(dadacat_budget_refusals_total[10m])) > 0)"
        f" and on (kind) (max by (kind) ({_SPENT}) > 0.8)",
        severity="page",
        summary="The budget for all people grants no more money: {{ $labels.kind }}",
        section="the-bill-grows",
    ),
    Alarm(
        name="LimitStorm",
        asks='sum(increase(dadacat_turns_total{reason=~"over the limit.*"}[10m])) > 50',
        severity="ticket",
        summary="Many texts get no reply because of a limit",
        section="many-texts-are-over-a-limit",
    ),
    Alarm(
        name="LoopHeard",
        asks='sum(increase(dadacat_alarms_total{alarm="loop"}[10m])) > 0',
        severity="ticket",
        summary="Two machines seem to text each other",
        section="two-machines-text-each-other",
    ),
    Alarm(
        name="SignatureFailures",
        asks='sum(increase(dadacat_webhook_requests_total{status="403"}[10m])) > 10',
        severity="ticket",
        summary="The webhook refuses signatures",
        section="signatures-are-refused",
    ),
    Alarm(
        name="WakeUpsPile",
        asks="max(dadacat_wake_up_tasks) > 500",
        for_seconds=300,
        severity="ticket",
        summary="Wake-up tasks pile up: the workers are too few or too slow",
        section="the-queue-grows",
    ),
    Alarm(
        name="DangerHeard",
        asks="sum by (tier) (increase(dadacat_dangers_total[10m])) > 0",
        severity="info",
        summary="A person may be in danger: {{ $labels.tier }}",
        section="danger-was-heard",
    ),
    Alarm(
        name="EngineSilent",
        asks="sum by (engine) (increase(dadacat_engine_failures_total[10m])) > 5",
        severity="ticket",
        summary="The engine {{ $labels.engine }} writes no replies",
        section="an-engine-is-silent",
    ),
    Alarm(
        name="StoreDenied",
        asks='sum(increase(dadacat_alarms_total{alarm="refused"}[5m])) > 0',
        severity="page",
        summary="DynamoDB or Redis refuses us",
        section="the-store-denies-access",
    ),
    Alarm(
        name="StoreAway",
        asks='sum(increase(dadacat_away_total{what="store"}[5m])) > 5',
        severity="ticket",
        summary="DynamoDB throttles or does not answer",
        section="the-store-throttles-or-is-away",
    ),
    Alarm(
        name="TwilioAway",
        asks='sum(increase(dadacat_away_total{what="carrier"}[5m]))'
        ' + sum(increase(dadacat_parts_total{state=~"UNKNOWN|RETRY"}[5m])) > 5',
        severity="ticket",
        summary="Twilio does not answer, or not with an outcome",
        section="twilio-is-down",
    ),
    Alarm(
        name="CarrierObjects",
        asks='sum(increase(dadacat_alarms_total{alarm="strange"}[10m])) > 0',
        severity="ticket",
        summary="Twilio answered something that an operator should know of",
        section="twilio-objects",
    ),
    Alarm(
        name="ProofContradicted",
        asks='sum(increase(dadacat_alarms_total{alarm="contradicted"}[10m])) > 0',
        severity="page",
        summary="Twilio has a message that a mark had proven unsent",
        section="a-proof-was-contradicted",
    ),
)


def rules(*, faster: float = 1.0, runbook: str = RUNBOOK) -> str:
    """Return the file of Prometheus rules; `faster`: with every time divided by this, for a trial."""
    lines = [
        "# Generated by `python -m operations.alarms`; a test holds this file against the code.",
        "groups:",
        "  - name: dadacat",
        f"    interval: {_time(INTERVAL_SECONDS, faster)}",
        "    rules:",
    ]
    for alarm in ALARMS:
        lines += [
            f"      - alert: {alarm.name}",
            f"        expr: {json.dumps(alarm.expression(faster))}",
            f"        for: {_time(alarm.for_seconds, faster)}",
            f"        labels: {{severity: {alarm.severity}}}",
            "        annotations:",
            f"          summary: {json.dumps(alarm.summary)}",
            f"          runbook: {runbook}#{alarm.section}",
        ]
    return "\n".join(lines) + "\n"


def _time(seconds: int, faster: float) -> str:
    """Return a duration as Prometheus writes it, such as `5m`."""
    if faster != 1.0:
        return f"{round(seconds * _MILLISECONDS / faster)}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m" if minutes and not rest else f"{seconds}s"


def main(arguments: Sequence[str] | None = None) -> str:
    """Return the rules, as the arguments of the command line ask for them."""
    parser = ArgumentParser(prog="python -m operations.alarms", description="Print the Prometheus rules.")
    parser.add_argument("--runbook", default=RUNBOOK, help="address of the runbook, for the alarms' annotations")
    return rules(runbook=parser.parse_args(arguments).runbook)


if __name__ == "__main__":
    import sys

    sys.stdout.write(main())
