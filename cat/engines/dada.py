"""The offline engine `dada`: a poet that needs no network, no key and no model.

It hears what a text does, knows what the person told, writes drafts and chooses one (`cat.poet`).
`sense` hears the kind of a text in which no pattern hears one; without it such a text is said back.
The same text with the same history and the same seed gets the same words, so a replay repeats the reply.
"""

from __future__ import annotations

import random

from cat.poet import choose, compose, hear, language_detection
from cat.poet.lexicon import lexicon
from cat.poet.scene import scene_of
from cat.poet.slots import SLOT
from cat.ports import Heard, Reply, Sense, numb


class Dada:
    """The engine `dada`: it always answers."""

    def __init__(self, sense: Sense = numb) -> None:
        self._sense = sense

    @property
    def name(self) -> str:
        """The engine's name as in `CAT_ENGINES`."""
        return "dada"

    def reply(self, heard: Heard, *, seconds: float) -> Reply:  # noqa: ARG002 - a reply takes milliseconds
        """Compose a reply from what was heard."""
        scene = scene_of(heard)
        act = hear.act_of(scene, self._sense)
        # a replay must repeat the reply, so the generator is seeded
        dice = random.Random(f"{heard.seed}|{heard.said}|{len(heard.history)}")  # noqa: S311 - guards no secret
        draft = choose.reply(scene, act, dice, heard=heard.frames, echoes=heard.echoes)
        facts = {"language": scene.words.language, "kind": act.kind.partition(":")[0]}
        return Reply(words=draft.words, engine=self.name, facts=facts, frames=compose.frames_of(draft))

    def plain(self, heard: Heard) -> Reply:
        """Return a line that suits any text, where composing failed. It reads nothing of what was heard."""
        language = language_detection.language_at(heard.person) or "en"
        lines = [line for line in lexicon(language).lines("bare") if not SLOT.search(line)]
        line = lines[len(heard.history) // 2 % len(lines)]
        return Reply(words=line, engine=self.name, facts={"language": language, "kind": "bare"})
