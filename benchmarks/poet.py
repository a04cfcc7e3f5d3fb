"""Compare the offline engine `dada` with the simplest alternative: a random line with the last word.

    .venv/bin/python -m benchmarks.poet

Both answer the same thousand texts alternately, in one process. It prints the milliseconds a reply (median and 99th
percentile), their ratio, how many replies repeat one of the hundred before, and the process's peak memory.
"""

from __future__ import annotations

import random
import resource
import statistics
import time
from collections.abc import Callable
from itertools import product

from cat.engines.dada import Dada
from cat.ports import Heard
from conversation.models import ECHOES, echo

TEXTS = [
    f"{subject} {verb} {thing}{end}"
    for subject, verb, thing, end in product(
        ("my neighbour", "a tall postman", "the whole orchestra", "grandmother", "nobody"),
        ("lost", "painted", "married", "folded", "swallowed"),
        ("the umbrella", "a lighthouse", "seven spoons", "the moon",
         "an old tram", "my accordion", "the violin", "a giraffe"),
        ("", "?", "!", " today", " again"),
    )
]  # fmt: skip
LINES = (
    "{word}? i sat on it.",
    "prrt. {word}.",
    "{word} fell off the table.",
    "why {word}? why not.",
    "i dreamt of {word}.",
)


def plain(text: str) -> str:
    """Return a random line with the last word of the text."""
    word = text.rstrip("?!").split()[-1]
    return random.choice(LINES).format(word=word)  # noqa: S311 - chance


def main() -> None:
    """Measure both and print a table."""
    poet, history, echoes = Dada(), list[dict[str, str]](), list[str]()

    def dada(text: str) -> str:
        heard = Heard(history=history[-40:], texts=[text], seed=f"{len(history)}", echoes=frozenset(echoes[-ECHOES:]))
        words = poet.reply(heard, seconds=1).words
        history.extend(({"role": "user", "content": text}, {"role": "assistant", "content": words}))
        echoes.append(echo(words))
        return words

    contestants: dict[str, Callable[[str], str]] = {"dada": dada, "random line": plain}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    replies: dict[str, list[str]] = {name: [] for name in contestants}
    texts = random.Random(1).sample(TEXTS, k=1000)  # noqa: S311 - the same texts each time
    for speak in contestants.values():
        speak("warm up")
    for text in texts:
        for name, speak in contestants.items():
            started_at = time.perf_counter()
            replies[name].append(speak(text))
            seconds[name].append(time.perf_counter() - started_at)
    for name in contestants:
        times = sorted(seconds[name])
        repeats = sum(words in replies[name][max(0, place - 100) : place] for place, words in enumerate(replies[name]))
        print(
            f"{name:<12} median {statistics.median(times) * 1000:7.3f} ms   99 % {times[989] * 1000:7.3f} ms"
            f"   repeated within a hundred: {repeats}"
        )
    ratio = statistics.median(seconds["dada"]) / statistics.median(seconds["random line"])
    print(f"ratio {ratio:.0f}   peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
