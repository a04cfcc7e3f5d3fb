"""Bake and measure how the poet hears the kind of a text by its meaning (`cat/meant.py`).

    .venv/bin/python -m benchmarks.meant bake    # write cat/meant.npz
    .venv/bin/python -m benchmarks.meant table   # print how often it is right on texts that it was not given
    .venv/bin/python -m benchmarks.meant cost    # print the milliseconds that it adds to a reply

It is given the texts of `tests/data/cat/meant.toml`, and those ordinary texts of `tests/data/danger` in which a pattern
hears a small happening or a feeling. As for danger, the solution is kernel ridge regression, without chance.
"""

from __future__ import annotations

import argparse
import time
import tomllib
import zlib
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

import numpy as np

from benchmarks import danger
from cat import meant
from cat.danger import patterns, vectors
from cat.poet import hear
from cat.poet.lexicon import lexicon
from cat.poet.scene import scene_of
from cat.ports import Heard

BAKED: Final = danger.ROOT / "cat/meant.npz"
GIVEN: Final = danger.ROOT / "tests/data/cat/meant.toml"
#: Kinds that are learned from texts in which a pattern hears them; so is every small happening (`on_`).
LEARNED: Final = frozenset(
    [
        "sad",
        "tired",
        "anxious",
        "angry",
        "happy",
        "lonely",
        "bored",
        "hungry",
        "ill",
        "busy",
        "hot",
        "cold",
        "good_news",
    ]
)
#: The country of the telephone for each language whose patterns are asked.
COUNTRIES: Final = {"en": "+1", "de": "+49", "fr": "+33", "es": "+34"}
#: How strongly the solution is held back from fitting single texts.
RIDGE: Final = 0.1


def by_hand() -> Iterator[tuple[str, str]]:
    """Yield the texts written for a kind, with the kind."""
    for kind, texts in tomllib.loads(GIVEN.read_text(encoding="utf-8")).items():
        yield from ((text, kind) for text in texts)


def by_pattern() -> Iterator[tuple[str, str]]:
    """Yield the ordinary texts in which a pattern hears a kind, with the kind.

    A text that was also written for a kind is left out.
    """
    written = {text for text, _ in by_hand()}
    for text in danger.read(*danger.TRAINING):
        if text.tier == "ordinary" and text.language in COUNTRIES and text.words not in written:
            heard = Heard(history=[], texts=[text.words], seed="", person=f"{COUNTRIES[text.language]}5551230001")
            kind = hear.act_of(scene_of(heard)).kind
            if kind.startswith("on_") or kind in LEARNED:
                yield text.words, kind


def fit(labelled: Sequence[tuple[str, str]]) -> meant.Known:
    """Return what is known after these texts."""
    known, centre, likeness = _likeness(labelled)
    kinds, wanted = _wanted(labelled)
    adds = np.linalg.solve(likeness, wanted).astype(np.float32)
    return meant.Known(kinds, centre, known, adds)


def _likeness(labelled: Sequence[tuple[str, str]]) -> tuple[danger.Floats, danger.Floats, danger.Floats]:
    given = danger.embedded([text for text, _ in labelled])
    centre = given.mean(axis=0)
    known = given - centre
    known /= np.linalg.norm(known, axis=1, keepdims=True)
    likeness = np.exp(2 * vectors.FALL * (known @ known.T - 1))
    likeness[np.diag_indices(len(labelled))] += RIDGE
    return known, centre, likeness


def _wanted(labelled: Sequence[tuple[str, str]]) -> tuple[list[str], danger.Floats]:
    kinds = sorted({kind for _, kind in labelled})
    return kinds, np.array([[float(kind == each) for each in kinds] for _, kind in labelled], dtype=np.float32)


def bake() -> None:
    """Write what is known."""
    labelled = [*by_hand(), *by_pattern()]
    known = fit(labelled)
    scale = np.abs(known.known).max() / 127
    np.savez(
        BAKED,
        kinds=np.array(known.kinds),
        given=np.uint32(zlib.crc32(GIVEN.read_bytes())),
        centre=known.centre,
        known=np.round(known.known / scale).astype(np.int8),
        scale=np.float32(scale),
        adds=known.adds.astype(np.float16),
    )
    print(f"{len(labelled)} texts, {len(known.kinds)} kinds, {BAKED.stat().st_size:,} bytes")


def table() -> None:
    """Print, for scores, how many texts get a kind, and how many of these the right one.

    Each text is left out in turn.
    """
    labelled = [*by_hand(), *by_pattern()]
    kinds, wanted = _wanted(labelled)
    inverse = np.linalg.inv(_likeness(labelled)[2])
    # the score of a text by the solution without it
    left_out = wanted - (inverse @ wanted) / np.diag(inverse)[:, None]
    hand = len(list(by_hand()))
    print("| score | texts by hand: heard | right | texts by pattern: heard | right |\n|---|---|---|---|---|")
    for score in (0.2, 0.3, 0.4, 0.5, 0.6):
        cells = []
        for rows in (slice(0, hand), slice(hand, None)):
            scores, truth = left_out[rows], [kind for _, kind in labelled[rows]]
            heard = [(kinds[row.argmax()], kind) for row, kind in zip(scores, truth, strict=True) if row.max() >= score]
            right = sum(kind == said for said, kind in heard)
            cells += [f"{100 * len(heard) / len(truth):.0f} %", f"{100 * right / max(len(heard), 1):.0f} %"]
        print(f"| {score} | {' | '.join(cells)} |")


def cost() -> None:
    """Print the median milliseconds of a text.

    Once with a new vector, and once just after danger was heard in it.
    """
    texts, among = [text.words for text in danger.read("held_out") if text.tier == "ordinary"], lexicon("en").say
    meant.hear("hello", among)
    for name, before in (("new", False), ("heard before", True)):
        seconds = []
        for text in texts:
            words = f"{text} {name}"
            if before:
                vectors.vector(patterns.normal(words))
            started_at = time.perf_counter()
            meant.hear(words, among)
            seconds.append(time.perf_counter() - started_at)
        print(f"a text {name}: median {1000 * median(seconds):.1f} ms")


def main() -> None:
    """Run one of the commands."""
    commands = {"bake": bake, "table": table, "cost": cost}
    parser = argparse.ArgumentParser(prog="benchmarks.meant", description=__doc__)
    parser.add_argument("command", choices=commands)
    commands[parser.parse_args().command]()


if __name__ == "__main__":
    main()
