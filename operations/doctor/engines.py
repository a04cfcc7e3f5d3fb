"""Ask each engine for one reply."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Final

from cat import engines, sanitize
from cat.engines.compatibility import said_in
from cat.engines.errors import Rejected, Unreached
from cat.engines.guarded import GuardedEngine
from cat.errors import EngineFailed
from cat.ports import Heard
from operations.doctor.findings import Result, ok, warning, wrong
from operations.doctor.threads import Threads
from runtime.money import dollars
from runtime.settings import Settings
from worker.build.cat import build_engine
from worker.build.prices import price_tables

#: Time limit of the one call to each engine; all engines are asked at the same time.
ENGINE_SECONDS: Final = 12.0
#: The text that an engine is asked to answer.
PROBE: Final = Heard(history=[], texts=["hello, cat. are you there?"], seed="doctor")


def check(chosen: Settings) -> Iterator[Result]:
    """Ask each engine for one reply."""
    yield ok(f"{', '.join(chosen.engines.names) or engines.POET}; dada answers if all of them fail")
    names = [name for name in chosen.engines.names if name != engines.POET]
    for problem in engines.problems(names, chosen.engines):
        yield wrong(problem, "see docs/reference/settings.md")
    buildable = [name for name in names if not list(engines.problems([name], chosen.engines))]
    if not buildable:
        return
    for findings in Threads().map(lambda name: list(_engine(chosen, name)), buildable):
        yield from findings


def _engine(chosen: Settings, name: str) -> Iterator[Result]:
    catalogue, _ = price_tables(chosen)
    if doubt := catalogue.doubt(name.partition(":")[2]):
        yield warning(doubt, "name its price in the file of PRICES_FILE")
    if catalogue.of(name.partition(":")[2]).small:
        what = f"{name} is a small model: it says little that makes sense, and does not understand who is in danger"
        yield warning(what, "use it to try the road of a text; let dada or a larger model answer people")
    with closing(build_engine(chosen, name)) as engine:
        guarded = GuardedEngine(engine, catalogue.of(name.partition(":")[2]), Threads())
        try:
            reply = guarded.reply(PROBE, seconds=ENGINE_SECONDS)
        except EngineFailed as exc:
            yield _silent(name, exc)
            return
    cost = dollars(int(reply.facts["model_cost"]), 6)
    refuses = f"; it refuses {', '.join(engine.refuses)}" if engine.refuses else ""
    yield ok(f"{name} answers in {reply.facts['model_ms'] / 1000:.1f} s{refuses}; this call cost {cost} USD")
    if not sanitize.for_a_phone(reply.words, max_segments=chosen.replies.max_segments):
        yield warning(f"{name} answered with nothing that can be sent", "choose another model; meanwhile dada answers")


def _silent(name: str, exc: EngineFailed) -> Result:
    """Return what it means that an engine gave no reply."""
    key, address = engines.ENGINES[name.partition(":")[0]].settings
    cost = f", at most {dollars(exc.cost)} USD" if exc.cost else ""
    cause = exc.__cause__
    if isinstance(cause, Rejected) and cause.of_key:
        return wrong(f"{key} is not accepted ({exc}); meanwhile dada answers", f"set {key} to a valid key")
    if isinstance(cause, Rejected):
        what = f"{exc}: {' '.join(said_in(cause.body).split())[:200]}; meanwhile dada answers"
        return wrong(what, "check the model's name, and see what its server says")
    if isinstance(cause, Unreached):
        return wrong(f"the server of {name} does not answer ({exc}{cost}); meanwhile dada answers", f"check {address}")
    return wrong(f"{exc}{cost}; meanwhile dada answers", f"check the model's name and {address}")
