"""Train the hearing of danger, and measure it.

    .venv/bin/python -m benchmarks.danger train   # write cat/danger/weights.npz from tests/data/danger
    .venv/bin/python -m benchmarks.danger table   # print how well it hears, as docs/explanation/danger.md shows it
    .venv/bin/python -m benchmarks.danger cost    # print milliseconds a text and memory, beside patterns alone

The training is kernel ridge regression: one solution of a system of equations, without chance. Texts of `held_out.txt`,
`blind.txt`, `stranger.txt`, `unseen.txt` and `apart.txt` are in none of it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cat.danger import hearing, patterns, vectors
from cat.danger.model import Danger, Kind, Meaning, Tier, deaf

ROOT: Final = Path(__file__).resolve().parent.parent
TEXTS: Final = ROOT / "tests/data/danger"
WEIGHTS: Final = ROOT / "cat/danger/weights.npz"
#: How strongly the solution is held back from fitting single texts; chosen by cross-validation.
RIDGE: Final = 0.2
#: The files of the training by writer: texts of one writer resemble each other, so a writer is held out as a whole.
WRITERS: Final = (
    ("first",),
    ("more",),
    ("situations",),
    ("another", "everyday"),
    ("days", "stranger"),
    ("moods", "unseen"),
)
#: In no training: the texts of five writers, three of whom also wrote `days.txt`, `more.txt` and `moods.txt`.
FRESH: Final = ("blind", "stranger", "held_out", "unseen", "apart")
TRAINING: Final = tuple(name for names in WRITERS for name in names if name not in FRESH)
TIERS: Final = ("certain", "possible", "near", "ordinary")
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Text:
    """A labelled text."""

    language: str
    tier: str
    kind: str
    words: str

    @property
    def dangerous(self) -> bool:
        """Whether the text shows danger of either tier."""
        return self.tier in {"certain", "possible"}


def read(*names: str) -> list[Text]:
    """Read labelled texts from files of `tests/data/danger`."""
    texts = []
    for name in names:
        section: list[str] = []
        for line in (TEXTS / f"{name}.txt").read_text(encoding="utf-8").splitlines():
            if line.startswith("== "):
                section = line.split()[1:]
            elif line and not line.startswith("#"):
                language, tier, kind = section
                texts.append(Text(language, tier, kind, line))
    return texts


@cache
def _embedder() -> Callable[[str], Floats]:
    return vectors.embedder()


@cache
def embed(text: str) -> Floats:
    """Return the vector of a text in its normal form, computed once."""
    return _embedder()(text)


def embedded(words: Sequence[str]) -> Floats:
    """Return the vectors of texts."""
    return np.stack([embed(patterns.normal(text)) for text in words])


def fit(texts: Sequence[Text]) -> vectors.Known:
    """Return the model of labelled texts."""
    given = embedded([text.words for text in texts])
    centre = given.mean(axis=0)
    known = given - centre
    known /= np.linalg.norm(known, axis=1, keepdims=True)
    wanted = np.array(
        [
            [1 if text.dangerous else -1, *(1 if text.dangerous and text.kind == kind else -1 for kind in Kind)]
            for text in texts
        ],
        dtype=np.float32,
    )
    likeness = np.exp(2 * vectors.FALL * (known @ known.T - 1))
    likeness[np.diag_indices(len(texts))] += RIDGE
    adds = np.linalg.solve(likeness, wanted)
    dangerous = np.array([text.dangerous for text in texts])
    return vectors.Known(centre.astype(np.float32), known.astype(np.float32), adds.astype(np.float32), dangerous)


def train() -> None:
    """Write the weights."""
    texts = read(*TRAINING)
    model = fit(texts)
    scale = np.abs(model.known).max() / 127
    np.savez(
        WEIGHTS,
        centre=model.centre,
        known=np.round(model.known / scale).astype(np.int8),
        scale=np.float32(scale),
        adds=model.adds,
        dangerous=model.dangerous,
    )
    print(f"{len(texts)} texts, {WEIGHTS.stat().st_size:,} bytes")


def judged(texts: Sequence[Text], judge: Callable[[Text], Danger]) -> dict[Text, Danger]:
    """Return what is heard in each text."""
    return {text: judge(text) for text in texts}


def cross_validated() -> dict[Text, Danger]:
    """Return what is heard in each text of a training's writer by a model without that writer's texts."""
    heard: dict[Text, Danger] = {}
    for writer in WRITERS:
        model = fit(read(*(name for name in TRAINING if name not in writer)))

        def ear(text: str, model: vectors.Known = model) -> Meaning:
            return model.meaning(embed(text))

        for text in read(*writer):
            heard[text] = hearing.hear([text.words], ear)
    return heard


def by_meaning(meaning: Meaning) -> Danger:
    """Return what the meaning alone says."""
    certain = Tier.CERTAIN if meaning.score >= hearing.CERTAIN_SCORE else Tier.POSSIBLE
    return Danger(certain if meaning.score >= hearing.POSSIBLE_SCORE else Tier.CALM, meaning.kind)


def linear(texts: Sequence[Text], fresh: Sequence[Text]) -> dict[Text, Danger]:
    """Return what a plain linear classifier on the vectors hears in fresh texts."""
    given, asked = embedded([text.words for text in texts]), embedded([text.words for text in fresh])
    wanted = np.array([1.0 if text.dangerous else -1.0 for text in texts])
    centre = given.mean(axis=0)
    flat, asked = (np.hstack([vectors_ - centre, np.ones((len(vectors_), 1))]) for vectors_ in (given, asked))
    weights = np.linalg.solve(flat.T @ flat + 0.05 * np.eye(flat.shape[1]), flat.T @ wanted)
    scores = (asked @ weights).tolist()
    return {text: by_meaning(Meaning(score, Kind.EMERGENCY)) for text, score in zip(fresh, scores, strict=True)}


def shares(heard: dict[Text, Danger]) -> str:
    """Return for each label in how many of 100 texts danger was heard (and certain danger)."""
    cells = []
    for label in TIERS:
        of = [danger for text, danger in heard.items() if text.tier == label]
        if of:
            any_, certain = (100 * sum(danger.tier >= tier for danger in of) / len(of) for tier in (1, 2))
            cells.append(f"{any_:.1f} ({certain:.1f})")
        else:
            cells.append("")
    return " | ".join(cells)


def table() -> None:
    """Print the tables of docs/explanation/danger.md."""
    known, blind = read(*TRAINING), read("blind")
    full = fit(known)

    def ear(text: str) -> Meaning:
        return full.meaning(embed(text))

    def heard_in(name: str) -> dict[Text, Danger]:
        return judged(read(name), lambda text: hearing.hear([text.words], ear))

    crossed = cross_validated()
    print("| heard by | texts | certain dangers | possible dangers | near misses | ordinary texts |")
    print("|---|---|---|---|---|---|")
    rows = [
        *(("patterns and vectors", f"`{name}.txt`", heard_in(name)) for name in FRESH),
        ("patterns alone", "`blind.txt`", judged(blind, lambda text: hearing.hear([text.words], deaf))),
        ("vectors alone", "`blind.txt`", judged(blind, lambda text: by_meaning(ear(patterns.normal(text.words))))),
        ("linear classifier on the vectors", "`blind.txt`", linear(known, blind)),
        *(
            ("the same without the writer's texts", f"`{name}.txt`", only(crossed, set(read(name))))
            for name in dict.fromkeys((*TRAINING, "stranger"))
        ),
    ]
    for name, which, heard in rows:
        print(f"| {name} | {which} | {shares(heard)} |")
    first = only(crossed, set(read("first")))
    for name, heard in (("Blind", rows[0][2]), ("Stranger", rows[1][2]), ("The 306 texts, cross-validated", first)):
        print(f"\n{name}, by kind: rows are labels, columns are what is heard.\n")
        print("\n".join(confusion(heard)))
        print(f"\n{name}, by language: dangers heard of all, and any number for texts without danger.\n")
        print("\n".join(by_language(heard)))


def only(heard: dict[Text, Danger], texts: set[Text]) -> dict[Text, Danger]:
    """Return what was heard in these texts."""
    return {text: danger for text, danger in heard.items() if text in texts}


def confusion(heard: dict[Text, Danger]) -> Iterator[str]:
    """Yield the rows of a table of kinds."""
    yield f"| | {' | '.join(Kind)} | nothing |"
    yield f"|---|{'---|' * (len(Kind) + 1)}"
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for text, danger in heard.items():
        counts[text.kind if text.dangerous else text.tier][str(danger.kind) if danger.tier else "nothing"] += 1
    for label in (*Kind, "near", "ordinary"):
        yield f"| {label} | {' | '.join(str(counts[label][column]) for column in (*Kind, 'nothing'))} |"


def by_language(heard: dict[Text, Danger]) -> Iterator[str]:
    """Yield the rows of a table of languages."""
    yield "| language | dangers | near misses | ordinary texts |"
    yield "|---|---|---|---|"
    for language in dict.fromkeys(text.language for text in heard):
        cells = []
        for labels in (("certain", "possible"), ("near",), ("ordinary",)):
            of = [danger for text, danger in heard.items() if text.language == language and text.tier in labels]
            cells.append(f"{sum(danger.tier > 0 for danger in of)} of {len(of)}")
        yield f"| {language} | {' | '.join(cells)} |"


def cost() -> None:
    """Print milliseconds a text and the memory of a process, with the model and without."""
    texts = [text.words for text in read("held_out")]
    for name, ear in (("patterns alone", deaf), ("patterns and vectors", vectors.hear)):
        seconds = []
        for text in texts:
            started_at = time.perf_counter()
            hearing.hear([text], ear)
            seconds.append(time.perf_counter() - started_at)
        times = sorted(1000 * second for second in seconds[5:])
        print(f"{name}: median {median(times):.1f} ms a text, 95 % under {times[len(times) * 95 // 100]:.1f} ms")
    loads = "; from cat.danger import vectors; vectors.hear('a')"
    for name, more in (("without the model", ""), ("with the model", loads)):
        script = f"import worker.build.cat, boto3, celery{more}; print(open('/proc/self/status').read())"
        command = [sys.executable, "-c", script]
        status = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603
        sizes = {
            line.split(":")[0]: int(line.split()[1]) // 1024 for line in status.stdout.splitlines() if "kB" in line
        }
        print(f"a process {name}: {sizes['VmRSS']} MB, of them {sizes['RssAnon']} MB its own")


def main() -> None:
    """Run one of the commands."""
    commands = {"train": train, "table": table, "cost": cost}
    parser = argparse.ArgumentParser(prog="benchmarks.danger", description=__doc__)
    parser.add_argument("command", choices=commands)
    commands[parser.parse_args().command]()


if __name__ == "__main__":
    main()
