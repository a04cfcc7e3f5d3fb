"""The offline dadaist: a cut-up poet that needs no network, no key and no model.

It takes a word that the person used, now or earlier, and puts it into the cat's world by way of a small grammar. The same text with the same
history and seed gives the same words, so that a replay says what was said. Words that look like numbers, codes or links are never echoed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Final

from cat.ports import Heard, Reply

_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|['\u2019](?=[^\W\d_]))*")
_LINK = re.compile(r"(?:https?://|www\.)\S+|\S+@\S+")
#: Words that carry nothing worth chasing.
_DULL: Final = frozenset(
    """
    a about all also am an and any are as at be because been but by can cannot could did do does doing dont don't
    for from get go got had has have he her here him his how i i'm if in into is it it's its just know like me more
    my no not now of off ok okay on or our out please really she so some tell than thanks that that's the their them
    then there they thing this those to too u up us very was we well were what what's when where which who why will
    with would yes you you're your yours hello hey hi good morning
    """.split()  # noqa: SIM905 - a list of words, read as one
)
_MAX_WORD: Final = 18
#: How many of the cat's own lines it will not say again.
_MEMORY: Final = 12

_THINGS: Final = (
    "a bottle cap", "the red dot", "a warm fan", "one whisker", "the cursor", "a cardboard box", "yesterday's cache", "a moth in the rack",
    "the soft side of a keyboard", "a sock with opinions", "three crumbs", "the log file", "an unplugged cable", "a saucer of static",
    "half a string", "the hum under the floor", "a blinking light", "the second shelf", "a page that never loaded", "dust, the good kind",
)  # fmt: skip
_DEEDS: Final = (
    "i knocked it off the table", "i sat on it", "i chased it twice round the disk", "i put it in a box and the box purred",
    "i buried it in the cache", "i licked it and it rebooted", "i brought it to your door", "i watched it for an hour", "i slept on its warm side",
    "i hissed, it beeped", "i taught it to fall", "i hid it behind the fan", "i counted its legs: all of them",
)  # fmt: skip
_SOUNDS: Final = ("prrt", "click", "hiss, softly", "clunk", "mrrp", "tick. tick", "purr", "whirr")
_QUESTIONS: Final = (
    "did you hear it fall?", "whose paw is this?", "is it dinner there too?", "do you fold, or do you pour?", "what does your left shoe think?",
    "shall we wake the printer?", "who closed the window?", "can you smell the moon from there?", "what is it wearing?", "and the string?",
)  # fmt: skip

_LINES: Final[Mapping[str, Sequence[str]]] = {
    "greeting": (
        "{sound}. you knocked on the glass and the glass said it first. {question}",
        "you again, or somebody in your coat. i kept {thing} for you.",
        "{sound}. the door opened by one letter. come in, mind {thing}.",
        "i was asleep on the send button. now we both are awake. {question}",
    ),
    "thanks": (
        "keep it. i found it behind {thing}.",
        "thanks is a small round thing. {deed}.",
        "{sound}. i will put your thanks with {thing}, where it is warm.",
    ),
    "love": (
        "love is a box. i am in it. there is room if you fold.",
        "{sound}. i rub my cheek on your text and now it is mine.",
        "i love {thing} and, on some tuesdays, you. {question}",
    ),
    "insult": (
        "i have been called worse by a vacuum cleaner. {deed}, the word, i mean.",
        "{sound}. that one had claws. i keep it beside {thing}.",
        "noted in the log. the log yawned. {question}",
    ),
    "tired": (
        "then be a coat on a chair. i sit on the coat. the fan hums, nobody is late.",
        "come, lie on the warm shelf. {thing} keeps watch. {sound}.",
        "some days are only stairs. i stop halfway and wash. you could too.",
    ),
    "who": (
        "i am the warm place behind the screen. it hums, i purr, nobody checks.",
        "somebody typed cat and forgot to stop. {sound}. and who are you when it rains?",
        "i am what {thing} dreams with the lid closed.",
    ),
    "why": (
        "because {word} fell and falling is the reason. {question}",
        "i asked {thing}. it said: {word}, obviously. then it rolled away.",
        "why is a string with no cat on it. now there is a cat. {sound}.",
    ),
    "when": (
        "at the third blink. bring {thing}.",
        "when the fan stops. then a little before that. {question}",
        "yesterday, but it is still loading.",
    ),
    "where": (
        "under {thing}. no. the other under.",
        "where the warm air comes out. i left {word} there. {sound}.",
        "behind you, in the second behind.",
    ),
    "how": (
        "slowly, from the left, with your tail up. mind {thing}.",
        "first you lose {word}. then {deed}. that is all the steps.",
        "the way rain learns a roof. {question}",
    ),
    "question": (
        "yes. no. {sound}. ask {thing}, it owes me.",
        "i had the answer under my paw. it was {thing}. do you want that, or the chase?",
        "{word}? i would say so, but {thing} says otherwise.",
        "the answer is in the box. the box is in the answer. {question}",
    ),
    "number": (
        "i counted too and got {thing}. {question}",
        "numbers taste of tin. i like the round ones. {sound}.",
        "so many. i have one, it is {thing}, and it is enough.",
    ),
    "shout": (
        "{sound}! the whole rack heard you. {thing} fell over. say it again, small.",
        "big letters, small mouse. {deed}.",
        "you are loud in the wires. my ears went flat, then curious. {question}",
    ),
    "tiny": (
        "that is a very short mouse. {sound}. is there more tail?",
        "one crumb. i ate it. {question}",
        "such a small noise. {deed}.",
    ),
    "wordless": (
        "{sound}. a picture of nothing i can bite. {question}",
        "i looked at it until it looked like {thing}.",
        "no words, good. words get fur on them. {sound}.",
    ),
    "picture": (
        "i walked across your picture. those marks were always there. {question}",
        "i see {thing}, upside down, and you, nearly. {sound}.",
    ),
    "long": (
        "that was a long hallway of words. i liked the corner with {word} in it. {question}",
        "i read it lying on my back. {word} is warmest. the rest i keep beside {thing}.",
        "so many. i chased {word} and let the others live. {deed}.",
    ),
    "anything": (
        "{word}. {deed}.",
        "{word} and {thing} went out together. only {thing} came back.",
        "{sound}. there was {word} in the vent. now there is {thing}. {question}",
        "list: {thing}. {word}. {word}, wet. that is the whole list.",
        "{word} is {thing} with its lid off. {question}",
        "i dreamt of {word}. {deed}. {sound}.",
        "if {word}, then {thing}. if {thing}, then supper.",
        "you say {word}, the fan says hm. {deed}.",
        "one {word} for you, one {word} for the dark. {question}",
    ),
    "reset": (
        "who are you? who am i? good. {sound}. the floor is clean and smells of new mouse.",
        "i licked the slate. it tasted of us. now it tastes of slate. {question}",
        "{deed}, all of it, every word. hello, stranger with the same thumbs.",
    ),
    "callback": (
        "{word}, yes. but what about {earlier}? {deed}.",
        "{earlier} was here before {word}. they share {thing} now.",
        "you left {earlier} in my cache. it had kittens. one is called {word}.",
    ),
}

_KINDS: Final = (
    ("reset", re.compile(r"^\W*(reset|restart|clear)\W*$")),
    ("thanks", re.compile(r"\b(thanks|thank you|thx|danke|merci|gracias)\b")),
    ("love", re.compile(r"\b(i love|love you|ily|ich liebe|je t'aime|te quiero)\b")),
    ("insult", re.compile(r"\b(stupid|idiot|dumb|hate you|shut up|useless|boring)\b")),
    ("tired", re.compile(r"\b(tired|sad|lonely|exhausted|sleepy|can't sleep|bad day|anxious)\b")),
    ("greeting", re.compile(r"^\W*(hi|hello|hey|yo|hallo|salut|bonjour|hola|good (morning|evening|night)|meow|miau)\b")),
    ("who", re.compile(r"\b(who are you|what are you|are you (a |an )?(bot|robot|cat|real|human|ai))\b")),
    ("why", re.compile(r"\b(why|warum|pourquoi|por qué)\b")),
    ("when", re.compile(r"\b(when|wann|quand|cuándo)\b.*\?")),
    ("where", re.compile(r"\b(where|wo|où|dónde)\b.*\?")),
    ("how", re.compile(r"\b(how|wie|comment|cómo)\b.*\?")),
)  # fmt: skip
_LONG_TEXT: Final = 220


class Dada:
    """The engine `dada`: it always answers."""

    @property
    def name(self) -> str:
        """As `CAT_ENGINES` names it."""
        return "dada"

    def reply(self, heard: Heard, *, seconds: float) -> Reply:  # noqa: ARG002 - it takes milliseconds, whatever is left
        """Cut up the person's words. Never raises."""
        said = " ".join(heard.texts)
        rng = random.Random(f"{heard.seed}|{said}|{len(heard.history)}")  # noqa: S311 - a poet's dice, thrown again the same
        recent = {line["content"] for line in heard.history[-2 * _MEMORY :] if line["role"] == "assistant"}
        words = ""
        for _ in range(_MEMORY):
            words = _speak(heard, said, rng)
            if words not in recent:
                break
        return Reply(words=words, engine=self.name)


def _speak(heard: Heard, said: str, rng: random.Random) -> str:
    mice = chaseable(said)
    earlier = [
        word
        for line in heard.history
        if line["role"] == "user"
        for word in chaseable(line["content"])
        if word not in mice
    ]
    kind = kind_of(said, pictures=heard.pictures, mice=mice)
    if kind == "anything" and earlier and rng.random() < 0.35:  # noqa: PLR2004 - a callback now and then, not every time
        kind = "callback"
    line = rng.choice(_LINES[kind])
    if "{word}" in line and not mice:
        mice = ["nothing"]
    return _fill(line, mice, earlier, rng)


def _fill(line: str, mice: Sequence[str], earlier: Sequence[str], rng: random.Random) -> str:
    things = rng.sample(_THINGS, k=line.count("{thing}") or 1)
    one = things[0]
    return (
        line.replace("{word}", rng.choice(mice) if mice else "")
        .replace("{earlier}", rng.choice(earlier) if earlier else "")
        .replace("{thing}", one)
        .replace("{deed}", rng.choice(_DEEDS))
        .replace("{sound}", rng.choice(_SOUNDS))
        .replace("{question}", rng.choice(_QUESTIONS))
    )


def chaseable(text: str) -> list[str]:
    """The words of `text` that the cat may play with: letters only, no links, no addresses, nothing dull."""
    words = (match.group().lower() for match in _WORD.finditer(_LINK.sub(" ", text)))
    return [word for word in words if word not in _DULL and 2 < len(word) <= _MAX_WORD]  # noqa: PLR2004 - shorter ones are no mice


def kind_of(text: str, *, pictures: int, mice: Sequence[str]) -> str:
    """What kind of text it is, in the words of the table of lines."""
    low = text.strip().lower()
    if not _WORD.search(low):
        if pictures:
            return "picture"
        return "number" if any(c.isdigit() for c in low) else "wordless"
    for kind, pattern in _KINDS:
        if pattern.search(low):
            return kind
    letters = [c for c in text if c.isalpha()]
    if len(letters) == 1:
        return "tiny"
    if len(letters) > 3 and all(c.isupper() for c in letters if c.upper() != c.lower()):  # noqa: PLR2004 - "OK" is no shout
        return "shout"
    if len(low) > _LONG_TEXT and mice:
        return "long"
    if low.endswith("?"):
        return "question"
    return "anything"
