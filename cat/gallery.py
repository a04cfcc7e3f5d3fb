"""The gallery: dialogues with the offline engine `dada`, each replayed from its seed.

`dadacat gallery > docs/gallery.md` writes the page. A test compares the page with this code.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from cat import data
from cat.engines.dada import Dada
from cat.ports import Heard

#: The time at which the dialogues take place: some texts ask for it.
NOW: Final = datetime(2026, 11, 27, 16, 10, tzinfo=UTC)


def dialogues() -> list[tuple[str, list[str]]]:
    """Return the country code of each dialogue, such as `+44`, and the person's texts."""
    lines = data.text("lexicon/gallery.txt").splitlines()
    parts = [[piece.strip() for piece in line.split("|")] for line in lines if line and not line.startswith("#")]
    return [(country, texts) for country, *texts in parts]


def played(texts: list[str], seed: str, person: str) -> Iterator[tuple[str, str]]:
    """Yield each text of a dialogue with its reply."""
    poet = Dada()
    history: list[dict[str, str]] = []
    frames: list[str] = []
    for place, text in enumerate(texts):
        heard = Heard(history=history, texts=[text], seed=f"{seed}|{place}", person=person, frames=frames, now=NOW)
        reply = poet.reply(heard, seconds=1.0)
        yield text, reply.words
        history += [{"role": "user", "content": text}, {"role": "assistant", "content": reply.words}]
        frames += reply.frames


def page() -> Iterator[str]:
    """Yield the page line by line."""
    yield "# Gallery"
    yield ""
    yield "Sixty dialogues with `dada`, the offline engine, which needs no model and no network."
    yield "`dadacat gallery` generates this page; each dialogue has its own seed."
    yield "The same texts sent to a running cat get other replies, because there the seed is the id of the text."
    for number, (country, texts) in enumerate(dialogues(), start=1):
        yield ""
        yield f"## {number}"
        yield ""
        for text, words in played(texts, f"gallery {number}", f"{country}5550100"):
            yield f"> {text}"
            yield ""
            for line in words.split("\n"):
                yield f"{line}  " if "\n" in words else line
            yield ""
