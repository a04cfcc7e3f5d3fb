"""Measure the offline engine `dada`: latency, memory, and how seldom it repeats itself.

    .venv/bin/python -m benchmarks.poet

Forty people send twenty-five texts each, in one process. It prints the milliseconds a reply (median and 99th
percentile), distinct replies, lines repeated within thirty replies of one person, the shares of questions, sounds and
shapes, cut-ups with a broken piece, and the process's peak memory.
"""

from __future__ import annotations

import random
import resource
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from itertools import product

from cat.engines.dada import Dada
from cat.poet import choose, cutup, words
from cat.poet.lexicon import lexicon
from cat.poet.scene import may_play
from cat.ports import Heard, Reply
from conversation.models import ECHOES, FRAMES, echo

PEOPLE, TEXTS = 40, 25
STATEMENTS = [
    f"{subject} {verb} {thing}{end}"
    for subject, verb, thing, end in product(
        ("my neighbour", "a tall postman", "the whole orchestra", "grandmother", "i", "we", "my cousin", "the baker"),
        ("lost", "painted", "found", "folded", "swallowed", "bought", "repaired", "forgot"),
        ("the umbrella", "a lighthouse", "seven spoons", "the moon", "an old tram", "my accordion", "the violin",
         "a giraffe", "two tickets", "a red scarf", "the last sandwich", "a map of the lake", "the kitchen clock"),
        ("", "!", " today", " again"),
    )
]  # fmt: skip
SHORT = [
    "hi",
    "why?",
    "who are you",
    "thanks",
    "lol",
    "ok",
    "how are you",
    "i love you",
    "i am sad",
    "so tired",
    "good night",
    "pizza",
    "when is it?",
    "tell me a joke",
    "i'm bored",
    "it's raining",
    "work was long",
    "my bus was late",
    "the fridge hums",
    "no",
    "yes",
    "maybe",
    "what?",
    "nice",
    "the sky is pink",
    "i dreamt of stairs",
    "my phone broke",
    "i got the job",
    "do you like fish?",
    "how do i fix my printer?",
    "should i call him?",
    "cats or dogs?",
    "i can't sleep",
    "a bee came in",
    "the tap drips",
    "it is so quiet here",
]
CUT = [
    "karen stole my yogurt from the fridge this morning",
    "she wrote a note in huge letters",
    "the bus was late again and the driver sang opera",
    "a pigeon looked at me through the window of the meeting",
    "my slides fell behind the warm radiator",
    "i bought a yellow umbrella with a wooden duck",
    "the neighbours practise the trumpet under my bed",
    "grandma knits a bridge across the kitchen",
    "there is a moth in the lamp on my table",
]


def conversation(person: int, texts: list[str], seconds: list[float]) -> Iterator[Reply]:
    """Yield the replies to one person."""
    poet, history, frames, echoes = Dada(), list[dict[str, str]](), list[str](), list[str]()
    for number, text in enumerate(texts):
        heard = Heard(
            history=history[-28:],
            texts=[text],
            seed=f"{person}-{number}",
            frames=frames[-FRAMES:],
            echoes=frozenset(echoes[-ECHOES:]),
        )
        started_at = time.perf_counter()
        reply = poet.reply(heard, seconds=1)
        seconds.append(time.perf_counter() - started_at)
        history += [{"role": "user", "content": text}, {"role": "assistant", "content": reply.words}]
        frames += reply.frames
        echoes.append(echo(reply.words))
        yield reply


def may_cut(word: str) -> bool:
    """Return whether a word may stand in a cut-up."""
    return len(word) <= cutup.ARTICLE or may_play(word)


def broken_cut_ups(dice: random.Random, made: int = 200) -> int:
    """Return how many of so many cut-ups hold a piece that ends on no noun, though its clause goes on."""
    broken = 0
    for _ in range(made):
        texts = dice.sample(CUT, k=5)
        text = cutup.cut_up(texts, "en", dice, may_cut, least=cutup.PIECES)
        ends = [piece for piece in text.split("\n") if not any(source.endswith(piece) for source in texts)]
        broken += any(words.noun(piece.split()[-1], "en") is None for piece in ends)
    return broken


def main() -> None:
    """Measure and print."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    dice, seconds, said, repeated = random.Random(1), list[float](), list[str](), 0  # noqa: S311 - the same texts
    list(conversation(-1, ["warm up"], []))
    for person in range(PEOPLE):
        texts = [dice.choice(STATEMENTS if dice.random() < 0.6 else SHORT) for _ in range(TEXTS)]  # noqa: PLR2004
        used: list[frozenset[str]] = []
        for reply in conversation(person, texts, seconds):
            repeated += bool(frozenset(reply.frames) & frozenset().union(*used[-choose.FRAMES :]))
            used.append(frozenset(reply.frames))
            said.append(reply.words)
    times = sorted(seconds)
    sounds = [sound for sound in lexicon("en").sounds if len(sound) > 3]  # noqa: PLR2004 - the short ones are in words
    print(
        f"a reply: median {statistics.median(times) * 1000:.1f} ms, 99 % {times[int(len(times) * 0.99)] * 1000:.1f} ms"
    )
    print(f"distinct replies: {len(set(said))} of {len(said)}; lines repeated within thirty replies: {repeated}")
    asking = sum(line.endswith("?") for line in said)
    sounding = sum(any(sound in line for sound in sounds) for line in said)
    print(f"questions: {asking}, with a sound: {sounding}")
    shapes = Counter(choose.shape_of(line) for line in said)
    print(", ".join(f"{shape.value}: {count}" for shape, count in shapes.items()))
    print(f"broken cut-ups: {broken_cut_ups(dice)} of 200")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory: {before:.0f} MB before the first word, {after:.0f} MB after")


if __name__ == "__main__":
    main()
