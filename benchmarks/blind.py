"""Mix the replies of two checkouts' offline poets for a reader who must not know whose they are.

    .venv/bin/python -m benchmarks.blind mix OTHER_CHECKOUT FOLDER
    .venv/bin/python -m benchmarks.blind unmix FOLDER

`mix` lets this checkout and the other one answer `tests/data/cat/fresh.txt`, and writes `FOLDER/read.txt`, a numbered
line for each reply with the texts before it, in random order, and `FOLDER/key.json`.
The reader writes `FOLDER/scores.txt`, a line `number score` for each reply: 0 it has nothing to do with the text,
1 it bats a word of it or fits its type only, 2 it responds to what was said.
`unmix` prints the shares of each checkout.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parents[1]
FRESH: Final = HERE / "tests/data/cat/fresh.txt"
#: Runs in either checkout: it uses only what both have.
SPEAK: Final = """
import json, sys
from cat.engines.dada import Dada
from cat.ports import Heard
poet, out = Dada(), []
for person, texts in json.load(sys.stdin):
    history = []
    for number, text in enumerate(texts):
        heard = Heard(history=history[-28:], texts=[text], seed=f"fresh {number} {texts[0]}", person=person)
        words = poet.reply(heard, seconds=1).words
        history += [{"role": "user", "content": text}, {"role": "assistant", "content": words}]
        out.append(words)
json.dump(out, sys.stdout)
"""


def talks() -> list[tuple[str, list[str]]]:
    """Return each dialogue's telephone and texts."""
    lines = [line for line in FRESH.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    parts = [[piece.strip() for piece in line.split("|")] for line in lines]
    return [(f"{country}5551230001", texts) for country, *texts in parts]


def replies(checkout: Path) -> list[str]:
    """Return the replies of a checkout's poet, in the order of the texts."""
    done = subprocess.run(  # noqa: S603 - our own interpreter and program
        [sys.executable, "-c", SPEAK],
        input=json.dumps(talks()),
        env={**os.environ, "PYTHONPATH": str(checkout)},
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    )
    answered: list[str] = json.loads(done.stdout)
    return answered


def mix(other: Path, folder: Path) -> None:
    """Write the replies in random order, and the key."""
    before = [
        f"{texts[place - 1]} / {text}" if place else text for _, texts in talks() for place, text in enumerate(texts)
    ]
    rows = [
        (name, text, words)
        for name, checkout in (("this", HERE), ("other", other))
        for text, words in zip(before, replies(checkout), strict=True)
    ]
    random.Random().shuffle(rows)  # noqa: S311 - the reader must not know the order
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{number} | {text} | {words!r}" for number, (_, text, words) in enumerate(rows)]
    (folder / "read.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "key.json").write_text(json.dumps([name for name, _, _ in rows]))


def unmix(folder: Path) -> None:
    """Print the scores of each checkout."""
    key = json.loads((folder / "key.json").read_text())
    scores: dict[str, Counter[int]] = {"this": Counter(), "other": Counter()}
    for line in (folder / "scores.txt").read_text().split("\n"):
        if line.strip():
            number, score = map(int, line.split())
            scores[key[number]][score] += 1
    for name, counts in scores.items():
        total = counts.total() or 1
        shares = "  ".join(f"{score}: {counts[score]} ({100 * counts[score] / total:.0f} %)" for score in (0, 1, 2))
        print(f"{name:<6} {shares}  mean {sum(score * count for score, count in counts.items()) / total:.2f}")


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    if arguments[0] == "mix":
        mix(Path(arguments[1]).resolve(), Path(arguments[2]))
    else:
        unmix(Path(arguments[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
