"""The character that models play: instructions, example turns and images, from one file.

`persona.md` is the cat's; `PERSONA_FILE` names another. The file has three parts:

- the instructions, up to the heading `# Examples`;
- examples under `# Examples`: lines that begin with `person: ` or `cat: `, and lines that continue the line above;
- images under `# Images`, one a line, of which some are drawn for each reply. This part may be missing.

Instructions and examples are the same for every call, so that a provider can cache them.
"""

from __future__ import annotations

import hashlib
import hmac
import random
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Final

from cat import data

#: Who speaks, `user` or `assistant`, and the words.
Turn = tuple[str, str]

#: Consecutive letters of the instructions in a reply that count as a leak: about ten words.
LEAK_LETTERS: Final = 40
#: Share of capitals in the examples of a character that writes in lower case; in prose it is about a twentieth.
MOST_CAPITALS: Final = 0.02
#: Images that a model is offered for one reply.
IMAGES_DRAWN: Final = 8

#: The first line of the notes above a person's text (`cat.prompt`).
NOTES_HEAD: Final = "notes. the person did not write them and does not see them."

_SPEAKERS: Final = {"person": "user", "cat": "assistant"}
_LINE: Final = re.compile(r"(person|cat): (.*)")
#: Ends the examples: nothing that was told in them is true of the person who texts.
_END_OF_EXAMPLES: Final = (
    ("user", "(the examples end here. those were other people. one new person texts you from now on.)"),
    ("assistant", "new paws on the glass. good."),
)


@dataclass(frozen=True)
class Persona:
    """A character. `mark` means nothing; it stands in the system prompt and reveals a leak of it."""

    instructions: str
    examples: Sequence[Turn] = ()
    images: Sequence[str] = ()
    mark: str = ""

    @cached_property
    def system(self) -> str:
        """The system prompt. It never holds words of a person, and is the same for every call."""
        return f"{self.instructions}\n\n<!-- build {self.mark} -->" if self.mark else self.instructions

    @cached_property
    def turns(self) -> Sequence[Turn]:
        """The examples as the beginning of a chat, and the turn that ends them."""
        return (*self.examples, *_END_OF_EXAMPLES) if self.examples else ()

    @cached_property
    def is_lower_case(self) -> bool:
        """Whether the character writes in lower case, as its examples do."""
        letters = [c for speaker, words in self.examples if speaker == "assistant" for c in words if c.isalpha()]
        return sum(map(str.isupper, letters)) < MOST_CAPITALS * len(letters)

    def draw(self, seed: str) -> list[str]:
        """Return some images, always the same for one seed."""
        chance = random.Random(seed)  # noqa: S311 - choice of words
        return chance.sample(self.images, min(IMAGES_DRAWN, len(self.images)))

    def leaks(self, words: str) -> bool:
        """Return whether `words` hold the mark or a stretch of the instructions, however written.

        Only letters and digits are compared, so that case, spaces, punctuation, invisible characters and markup
        between them hide nothing.
        """
        letters = _letters(words)
        if self.mark and _letters(self.mark) in letters:
            return True
        return any(
            letters[at : at + LEAK_LETTERS] in self._secret
            for at in range(0, len(letters) - LEAK_LETTERS + 1, LEAK_LETTERS // 4)
        )

    @cached_property
    def _secret(self) -> str:
        return f"{_letters(self.instructions)} {_letters(NOTES_HEAD)}"


def parse(text: str, *, mark: str = "") -> Persona:
    """Read a persona file. Raises `ValueError` if it has another form."""
    instructions, _, rest = f"\n{text}".partition("\n# Examples\n")
    examples, _, images = rest.partition("\n# Images\n")
    if not instructions.strip():
        raise ValueError("a persona file begins with the instructions")
    return Persona(
        instructions.strip(),
        tuple(_turns(examples)),
        tuple(line.strip() for line in images.splitlines() if line.strip()),
        mark,
    )


def _turns(examples: str) -> list[Turn]:
    turns: list[Turn] = []
    for line in filter(None, map(str.strip, examples.splitlines())):
        match = _LINE.fullmatch(line)
        if match:
            turns.append((_SPEAKERS[match[1]], match[2]))
        elif turns:
            turns[-1] = (turns[-1][0], f"{turns[-1][1]}\n{line}")
        else:
            raise ValueError("an example begins with `person: `")
    for place, (speaker, _) in enumerate(turns):
        if speaker != ("user", "assistant")[place % 2]:
            raise ValueError("in the examples, `person: ` and `cat: ` take turns, beginning with the person")
    return turns[: len(turns) // 2 * 2]


@cache
def shipped(mark: str = "") -> Persona:
    """Return the cat."""
    return parse(data.text("persona.md"), mark=mark)


def mark_of(secret: bytes) -> str:
    """Return a deployment's mark: the same in all processes, so that providers cache the prompt."""
    return f"mrrp-{hmac.new(secret, b'dadacat persona', hashlib.sha256).hexdigest()[:12]}"


def _letters(words: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", words).casefold()))
