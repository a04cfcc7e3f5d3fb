"""Build the cat and its engines."""

from __future__ import annotations

from datetime import timedelta

from cat import engines, recall
from cat.chain import Cat
from cat.danger import vectors
from cat.danger.watch import Watch
from cat.engines.guarded import SPARE_CALLS
from cat.ports import Engine
from runtime import logs
from runtime.settings import Settings, SettingsError
from worker.build.prices import price_tables

log = logs.get("worker")


def check_cat(chosen: Settings) -> None:
    """Check that the engines in `CAT_ENGINES` can be built, and that the price file can be read.

    Raises `SettingsError`.
    """
    if problems := list(engines.problems(chosen.engines.names, chosen.engines)):
        raise SettingsError("\n".join(f"CAT_ENGINES: {problem}" for problem in problems))
    price_tables(chosen)


def build_cat(chosen: Settings) -> Cat:
    """Return the cat, with the engines that the settings name."""
    check_cat(chosen)
    known, _ = price_tables(chosen)
    return Cat(
        [_engine(chosen, name) for name in chosen.engines.names if name != engines.POET],
        deadline_seconds=chosen.replies.deadline_seconds,
        max_segments=chosen.replies.max_segments,
        max_parts=chosen.replies.max_parts,
        emoji=chosen.replies.emoji,
        catalogue=known,
        # a conversation whose engine waited for another's call would lose its time to it
        calls=chosen.worker.concurrency + SPARE_CALLS,
        # the model is loaded with the first text: behind the fork of a process pool, and never by a webhook
        watch=Watch(vectors.hear),
    )


def memory_terms(chosen: Settings) -> recall.Terms:
    """Return how much of a conversation a model sees."""
    return recall.Terms(tokens=chosen.memory.tokens, age=timedelta(hours=chosen.memory.hours))


def _engine(chosen: Settings, name: str) -> Engine:
    catalogue, _ = price_tables(chosen)
    model = name.partition(":")[2]
    if catalogue.entry(model) is None:
        log.warning("no price is known of this model; one is assumed, PRICES_FILE tells a better", engine=name)
    return engines.build(name, catalogue.of(model), chosen.engines, chosen.dynamodb.region)
