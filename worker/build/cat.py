"""Build the cat and its engines."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cat import engines, meant, persona, recall
from cat.chain import Cat
from cat.danger import vectors
from cat.danger.watch import Watch
from cat.engines.guarded import SPARE_CALLS
from cat.persona import Persona
from runtime import logs
from runtime.settings import Settings, SettingsError
from worker import metrics
from worker.build.prices import check_message_budgets, price_tables

if TYPE_CHECKING:
    from cat.engines.model import ModelEngine

log = logs.get("worker")


def check_cat(chosen: Settings) -> None:
    """Check the engines, the files of prices and persona, and that budgets pay for a reply.

    Raises `SettingsError`.
    """
    if problems := list(engines.problems(chosen.engines.names, chosen.engines)):
        raise SettingsError("\n".join(f"CAT_ENGINES: {problem}" for problem in problems))
    check_message_budgets(chosen)
    the_persona(chosen)


def build_cat(chosen: Settings) -> Cat:
    """Return the cat, with the engines that the settings name."""
    check_cat(chosen)
    known, _ = price_tables(chosen)
    models = [name for name in chosen.engines.names if name != engines.POET]
    for name in models:
        if doubt := known.doubt(name.partition(":")[2]):
            log.warning("the price of a model is assumed", engine=name, reason=doubt)
        if known.of(name.partition(":")[2]).small:
            log.warning("a small model answers; it does not understand who is in danger", engine=name)
    metrics.begin_engines(models)
    return Cat(
        [build_engine(chosen, name) for name in models],
        who=the_persona(chosen),
        deadline_seconds=chosen.replies.deadline_seconds,
        max_segments=chosen.replies.max_segments,
        max_parts=chosen.replies.max_parts,
        emoji=chosen.replies.emoji,
        catalogue=known,
        # a conversation whose engine waited for another's call would lose its time to it
        calls=chosen.worker.concurrency + SPARE_CALLS,
        # `warm_up` or the first text loads the model: behind the fork of a process pool, and never a webhook
        watch=Watch(vectors.hear),
        sense=meant.hear,
    )


def memory_terms(chosen: Settings) -> recall.Terms:
    """Return how much of a conversation a model sees."""
    return recall.Terms(tokens=chosen.memory.tokens, age=timedelta(hours=chosen.memory.hours))


@cache
def the_persona(chosen: Settings) -> Persona:
    """Return the character that models play, with this deployment's mark.

    Raises `SettingsError` for a file that cannot be read.
    """
    mark = persona.mark_of(chosen.who_key + "".join(chosen.twilio.tokens[:1]).encode())
    if not chosen.engines.persona_file:
        return persona.shipped(mark)
    try:
        return persona.parse(Path(chosen.engines.persona_file).read_text(), mark=mark)
    except OSError as exc:
        # the whole message would show the file's name, which is the setting's value
        raise SettingsError(f"PERSONA_FILE cannot be used: {exc.strerror}") from None
    except ValueError as exc:
        raise SettingsError(f"PERSONA_FILE cannot be used: {exc}") from None


def build_engine(chosen: Settings, name: str) -> ModelEngine:
    """Return the engine of this name."""
    catalogue, _ = price_tables(chosen)
    known = catalogue.of(name.partition(":")[2])
    return engines.build(name, known, chosen.engines, aws_region=chosen.dynamodb.region, who=the_persona(chosen))
