"""Build the budget."""

from __future__ import annotations

import redis

from inbox import payloads
from inbox.budget import Caps
from inbox.ports import Inbox
from inbox.redis_budget import RedisQuota
from journal.ports import Journal
from runtime.money import MICRO
from runtime.settings import Settings
from runtime.settings.sections import BudgetsSettings
from worker import metrics
from worker.budget import Budget
from worker.build.prices import price_tables
from worker.recount import Counting
from worker.telemetry import OF_THIS_PROCESS


def budget(chosen: Settings, client: redis.Redis, inbox: Inbox, journal: Journal) -> Budget:
    """Return what may be spent; if nothing that costs money is capped, Redis is hardly ever asked."""
    _, tariff = price_tables(chosen)
    models, messages = caps(chosen.budgets)
    totals = quota(chosen, client)
    counting = Counting(
        totals,
        journal,
        who=lambda person: payloads.who(person, chosen.who_key),
        ask=inbox.agenda.request_count,
        telemetry=OF_THIS_PROCESS,
    )
    counts = messages.are_there or (models.are_there and chosen.engines.names != ("dada",))
    if counts:
        metrics.begin_budget("model", models)
        metrics.begin_budget("sms", messages)
    return Budget(
        counting if counts else None,
        tariff,
        max_segments=chosen.replies.max_segments,
        max_parts=chosen.replies.max_parts,
        uncounted=totals.forget,
    )


def quota(chosen: Settings, client: redis.Redis) -> RedisQuota:
    """Return the totals of what was spent, under the caps."""
    models, messages = caps(chosen.budgets)
    return RedisQuota(client, models=models, messages=messages)


def caps(budgets: BudgetsSettings) -> tuple[Caps, Caps]:
    """Return what models, and what messages may cost."""
    return (
        _caps(budgets.model_person_day, budgets.model_day, budgets.model_month),
        _caps(budgets.sms_person_day, budgets.sms_day, budgets.sms_month),
    )


def _caps(person: float | None, day: float | None, month: float | None) -> Caps:
    in_millionths = [None if cap is None else round(cap * MICRO) for cap in (person, day, month)]
    return Caps(person=in_millionths[0], day=in_millionths[1], month=in_millionths[2])
