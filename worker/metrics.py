"""The Prometheus metrics of workers and beat: what each counts itself, and the figures that all read.

The names are an interface: dashboards and alarms are built on them. No label holds a number or a text.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import nan
from typing import Final

from prometheus_client import Gauge

from cat.danger.model import Tier
from inbox.budget import Caps
from journal.states import STATUS_RANK, PartState, TurnState
from runtime.metrics import OLDEST_WAITING_SECONDS, REDIS_UP, SENDING_STOPPED, counter, gauge, histogram
from runtime.money import MICRO
from sms.ports import Scope
from worker.limits import LIMITS, reason_of

#: Each of these is one process's own count: sum them over all workers.
ALARMS: Final = counter(
    "dadacat_alarms",
    "Refusals by the carrier or a store that the operator should look at.",
    alarm=(
        "stopped", "stopped_sender", "stopped_channel", "stopped_destination", "loop", "strange", "refused",
        "contradicted",
    ),
)  # fmt: skip
AWAY: Final = counter(
    "dadacat_away",
    "Work that had to wait because something outside could not be used: inbox, store, carrier, machine.",
    what=("inbox", "store", "carrier", "machine"),
)
SET_ASIDE: Final = counter(
    "dadacat_set_aside",
    "Items that could not be handled, so that the others went on.",
    kind=(
        "row",
        "person",
        "message",
        "report",
        "memory",
        "step",
        "text",
        "cost",
        "mark",
        "wake-up",
    ),
)
TURNS: Final = counter(
    "dadacat_turns",
    "Turns by final state, and why there is no reply.",
    state=tuple(state for state in TurnState if state is not TurnState.FILED),
    reason=("",),
)
for _limit in LIMITS:
    TURNS.labels(state=TurnState.SILENT, reason=reason_of(_limit))
PARTS: Final = counter(
    "dadacat_parts",
    "Reply parts by state after an attempt, and how far a refusal reaches.",
    state=(PartState.SENT, PartState.RETRY, PartState.FAILED, PartState.UNKNOWN, PartState.SUPPRESSED),
    scope=tuple(Scope),
)
STATUSES: Final = counter(
    "dadacat_statuses", "Delivery reports by the status that Twilio reported.", status=(*STATUS_RANK, "other")
)
RECEIPTS: Final = counter(
    "dadacat_receipts",
    "Delivery reports by outcome.",
    outcome=("bound", "unknown status", "foreign", "unreadable"),
)
REPAIRED: Final = counter(
    "dadacat_repaired",
    "Rows and texts that the reconciler queued again.",
    kind=(
        "unfinished", "settled", "held", "missed", "missed late", "proven unsent", "sent again", "not sent again",
        "resent", "sent twice",
    ),
)  # fmt: skip
VISITS: Final = counter(
    "dadacat_visits",
    "Visits by how they ended.",
    outcome=("done", "due later", "enough", "fenced", "away", "error"),
)
LEASE_LOSSES: Final = counter(
    "dadacat_lease_losses", "Leases that a worker could not renew, because they were lost or Redis was away."
)
DANGERS: Final = counter(
    "dadacat_dangers",
    "Replies to texts in which danger was heard, by tier.",
    tier=tuple(tier.name.lower() for tier in Tier if tier),
)
MEMORIES: Final = counter("dadacat_memories", "Summaries of old turns into memories, by outcome.", outcome=("folded",))
ENGINE_FAILURES: Final = counter("dadacat_engine_failures", "Calls that brought no usable reply, by engine.", engine=())
BUDGET_REFUSALS: Final = counter(
    "dadacat_budget_refusals", "Replies for which the budget granted no money, by kind.", kind=("model", "sms")
)
MODEL_COST: Final = counter("dadacat_model_cost_dollars", "What replies cost at models, by engine.", engine=("dada",))
MESSAGE_COST: Final = counter("dadacat_message_cost_dollars", "What messages cost by the price table, in US dollars.")
THINK_SECONDS: Final = histogram("dadacat_think_seconds", "Time to generate a reply, by engine.", ["engine"])
REPLY_SECONDS: Final = histogram(
    "dadacat_reply_seconds",
    "Time from a text's arrival until Twilio took the reply's first message.",
    buckets=(0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 600.0, 3600.0),
)


def _figure(name: str, meaning: str) -> Gauge:
    """Declare a gauge that is NaN until this process has read it: a 0 raises alarms, and NaN raises none."""
    declared = gauge(name, meaning)
    declared.set(nan)
    return declared


#: These are the same everywhere, because each process reads them from Redis at each scrape: take their maximum.
WAITING_PEOPLE: Final = _figure("dadacat_waiting_people", "People with an unanswered text.")
WAITING_TEXTS: Final = _figure(
    "dadacat_waiting_texts", "Unanswered texts, of the 1,000 people who have waited the longest."
)
DUE_PEOPLE: Final = _figure("dadacat_due_people", "People who are due for a visit now.")
WAKE_UP_TASKS: Final = _figure("dadacat_wake_up_tasks", "Tasks in the queue that no worker has taken.")
WAITING_REPORTS: Final = _figure("dadacat_waiting_reports", "Delivery reports that are not yet in the journal.")
SPENT: Final = gauge(
    "dadacat_spent_dollars", "What was spent or reserved, while there is a budget.", ["kind", "period"]
)
BUDGET: Final = gauge(
    "dadacat_budget_dollars", "What all people together may cost; absent without a budget.", ["kind", "period"]
)
REDIS_MEMORY: Final = _figure("dadacat_redis_memory_bytes", "Memory that Redis uses for its data.")
REDIS_MEMORY_LIMIT: Final = _figure("dadacat_redis_memory_limit_bytes", "Redis's `maxmemory`; 0 if it has none.")
REDIS_APPENDS: Final = _figure(
    "dadacat_redis_appendonly",
    "1 while Redis writes its append-only file, 0 if it has none or cannot write it; NaN if it does not say.",
)
HELD_PARTS: Final = _figure("dadacat_held_parts", "Replies that may have been sent, and wait for an operator's word.")
DEAD_LETTERS: Final = _figure("dadacat_dead_letters", "Texts and replies that could not be finished.")
SET_ASIDE_ITEMS: Final = _figure("dadacat_set_aside_items", "Items on the list of those that could not be handled.")
SENT_AFTER_STOP: Final = _figure("dadacat_sent_after_stop", "Offences that the last `dadacat audit` found.")
AUDITED: Final = _figure("dadacat_audit_timestamp_seconds", "When `dadacat audit` last ended; 0 before the first.")
# the same of those that the webhook declares, which sets them at each scrape
for _shared in (REDIS_UP, OLDEST_WAITING_SECONDS, SENDING_STOPPED):
    _shared.set(nan)


def begin_engines(names: Iterable[str]) -> None:
    """Let the failures of each engine begin at 0."""
    for name in names:
        ENGINE_FAILURES.labels(engine=name)


def begin_budget(kind: str, caps: Caps) -> None:
    """Show what may be spent."""
    for period, cap in (("day", caps.day), ("month", caps.month)):
        if cap is not None:
            BUDGET.labels(kind=kind, period=period).set(cap / MICRO)
