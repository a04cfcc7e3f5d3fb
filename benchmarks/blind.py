"""Mix the replies of two checkouts' offline poets for a reader who must not know whose they are.

    .venv/bin/python -m benchmarks.blind mix OTHER_CHECKOUT FOLDER
    .venv/bin/python -m benchmarks.blind unmix FOLDER
    .venv/bin/python -m benchmarks.blind count

`mix` lets this checkout and the other one answer `tests/data/cat/strangers.txt`, and writes `FOLDER/read.txt`, a
numbered dialogue of one of them after the other in random order, and `FOLDER/key.json`.
The reader writes `FOLDER/verdicts.txt`, a line such as `17 1101` for each dialogue: for each reply, 1 if it responds to
what was said and 0 if it does not. `unmix` prints the shares of each checkout by language.
`count` prints those of the reading that `tests/data/cat/verdicts.txt` keeps.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parents[1]
DATA: Final = HERE / "tests/data/cat"
LANGUAGES: Final = {
    "+49": "de",
    "+43": "de",
    "+33": "fr",
    "+32": "fr",
    "+41": "fr",
    "+34": "es",
    "+52": "es",
    "+56": "es",
}
#: Runs in either checkout: the module of the poet and the fields of its input have moved since the first one.
SPEAK: Final = """
import dataclasses, datetime, json, sys
try:
    from cat.engines.dada import Dada
except ImportError:
    from cat.dada import Dada
from cat.ports import Heard
try:
    from cat import meant
    poet = Dada(meant.hear)
except ImportError:
    poet = Dada()
fields = {field.name for field in dataclasses.fields(Heard)}
out = []
for person, texts in json.load(sys.stdin):
    history, frames, replies = [], [], []
    for number, text in enumerate(texts):
        photo = text == "(photo)"
        given = {"history": history[-28:], "texts": ["" if photo else text], "seed": f"fresh {number} {texts[0]}"}
        given |= {"person": person, "pictures": int(photo), "frames": frames}
        given["now"] = datetime.datetime(2026, 11, 27, 16, 10, tzinfo=datetime.UTC)
        reply = poet.reply(Heard(**{name: given[name] for name in given if name in fields}), seconds=1)
        history += [{"role": "user", "content": text}, {"role": "assistant", "content": reply.words}]
        frames += getattr(reply, "frames", ())
        replies.append(reply.words)
    out.append(replies)
json.dump(out, sys.stdout)
"""

Verdicts = Iterable[tuple[str, str, str]]


def talks() -> list[tuple[str, list[str]]]:
    """Return each dialogue's telephone and texts."""
    lines = (DATA / "strangers.txt").read_text(encoding="utf-8").splitlines()
    parts = [[piece.strip() for piece in line.split(" | ")] for line in lines if line and not line.startswith("#")]
    return [(f"{country}5551230001", texts) for country, *texts in parts]


def replies(checkout: Path) -> list[list[str]]:
    """Return the replies of a checkout's poet to each dialogue."""
    done = subprocess.run(  # noqa: S603 - our own interpreter and program
        [sys.executable, "-c", SPEAK],
        input=json.dumps(talks()),
        env={**os.environ, "PYTHONPATH": str(checkout)},
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    )
    answered: list[list[str]] = json.loads(done.stdout)
    return answered


def mix(other: Path, folder: Path) -> None:
    """Write the dialogues in random order, and the key."""
    blocks = [
        (name, place, texts, answers)
        for name, checkout in (("this", HERE), ("other", other))
        for place, ((_, texts), answers) in enumerate(zip(talks(), replies(checkout), strict=True))
    ]
    random.Random().shuffle(blocks)  # noqa: S311 - the reader must not know the order
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    for number, (_, _, texts, answers) in enumerate(blocks):
        lines.append(f"== {number}")
        lines += [f"{text}  ->  {words!r}" for text, words in zip(texts, answers, strict=True)]
    (folder / "read.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "key.json").write_text(json.dumps([(name, place) for name, place, _, _ in blocks]))


def unmix(folder: Path) -> None:
    """Print the shares of each checkout, and the verdicts by dialogue."""
    key = json.loads((folder / "key.json").read_text())
    rows = [line.split() for line in (folder / "verdicts.txt").read_text().splitlines() if line.strip()]
    found = sorted((key[int(number)][1], key[int(number)][0], verdict) for number, verdict in rows)
    languages = [_language(person) for person, _ in talks()]
    for place, name, verdict in found:
        print(place, languages[place], name, verdict)
    print_shares((languages[place], name, verdict) for place, name, verdict in found)


def count() -> None:
    """Print the shares of the verdicts that are kept."""
    lines = (DATA / "verdicts.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    print_shares((language, name, verdict) for _, language, name, verdict in rows)


def print_shares(verdicts: Verdicts) -> None:
    """Print how many replies respond, by checkout and language."""
    given: dict[str, dict[str, str]] = defaultdict(lambda: defaultdict(str))
    for language, name, verdict in verdicts:
        given[name][language] += verdict
        given[name]["all"] += verdict
    for name, by_language in given.items():
        shares = (f"{each} {all_.count('1')} of {len(all_)}" for each, all_ in sorted(by_language.items()))
        yes, total = by_language["all"].count("1"), len(by_language["all"])
        print(f"{name:<6} {', '.join(shares)}: {100 * yes / total:.0f} %")


def _language(person: str) -> str:
    return LANGUAGES.get(person[:3], "en")


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    if arguments[0] == "mix":
        mix(Path(arguments[1]).resolve(), Path(arguments[2]))
    elif arguments[0] == "unmix":
        unmix(Path(arguments[1]))
    else:
        count()


if __name__ == "__main__":
    main(sys.argv[1:])
