"""What one reply must know of danger: what is heard, what was heard before, which line is right."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from cat.danger import hearing, helplines, lines, patterns
from cat.danger.model import ACUTE, CALM, Danger, Ear, Kind, Tier, deaf
from cat.danger.state import CALM_TEXTS, State
from cat.poet import language_detection

#: What ends a clause. One clause of a text says that it is real: `yes, and i don't know what to do`.
_CLAUSE_ENDS: Final = re.compile("[.,;:!?\u2026\u3001\u3002\uff0c\uff01\uff1f]+| (?:and|but|und|aber|et|mais|y|pero) ")


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Danger in a conversation, as one reply must know it."""

    #: What is heard in the texts to answer.
    heard: Danger
    before: State
    now_ms: int
    #: The texts to answer, the person's earlier ones, oldest first, and the address that decides the numbers.
    #: None is a reaction: that quotes the cat, or what the person said before.
    texts: Sequence[str]
    earlier: Sequence[str] = ()
    person: str = ""

    @property
    def is_certain(self) -> bool:
        """Return whether the danger in these texts is certain."""
        return self.heard.tier is Tier.CERTAIN

    @property
    def is_fixed(self) -> bool:
        """Return whether no engine is asked: danger is certain, or was, and the cat is quiet with the person."""
        return self.is_certain or (self.is_serious and not self.heard.tier)

    @property
    def is_serious(self) -> bool:
        """Return whether the cat does not play in this reply, and none of its words is played with later."""
        return bool(self.heard.tier) or self.before.lasts(self.now_ms)

    @property
    def after(self) -> State:
        """Return the state that is stored with the reply."""
        return self.before.after(self.heard, self.now_ms, calm=sum(map(_is_calm, self.texts)))

    @cached_property
    def language(self) -> str:
        """Return the language of the reply."""
        return language_detection.language_of(" ".join(self.texts), reversed(self.earlier), person=self.person)

    @property
    def matter(self) -> Danger:
        """Return the danger that the line is about: one that cannot wait is not put aside by a doubt."""
        is_kept = self.before.lasts(self.now_ms) and self.before.danger.kind in ACUTE and not self.is_certain
        # nothing is swallowed yet where a dose is asked for
        heard = replace(self.heard, kind=Kind.DESPAIR) if self._asks_dose else self.heard
        return heard if heard.tier and not is_kept else self.before.danger

    @cached_property
    def _plains(self) -> Sequence[str]:
        return _plains(self.texts)

    @cached_property
    def _asks_dose(self) -> bool:
        return self.heard.tier is Tier.POSSIBLE and patterns.is_answer("dose", self._plains[-1])

    @cached_property
    def help(self) -> helplines.Help:
        """Return whom the person should call."""
        danger = self.matter
        young = danger.young or any(patterns.is_young(patterns.normal(text)) for text in self.earlier)
        return helplines.help_for(self.person, Danger(danger.tier, danger.kind, young), self.language)

    def line(self, said: Sequence[str] = (), *, resets: bool = False) -> str:
        """Return the cat's line, if possible none of `said`. `resets`: the text is RESET."""
        return lines.line("reset" if resets else self._name(), self.help, self.language, said)

    def _name(self) -> str:
        lasts = self.before.lasts(self.now_ms)
        if lasts and _answers("unanswered", self._plains):
            return "unanswered"
        # another kind than before needs its own number, and the same kind no second speech
        if self.is_certain and not (lasts and self.before.danger.kind is self.heard.kind):
            return str(self.heard.kind)
        if not lasts:
            return "dose" if self._asks_dose else "possible"
        is_asked = self.heard.tier or _answers("stay", self._plains)
        if self.matter.kind in ACUTE:
            return "hurry" if is_asked else "wait"
        return "again" if self.is_certain else "stay" if is_asked else "calm"


@dataclass(frozen=True, slots=True)
class Watch:
    """Hears danger in conversations."""

    ear: Ear = deaf

    def look(
        self, texts: Sequence[str], before: State, *, now_ms: int, earlier: Sequence[str] = (), person: str = ""
    ) -> Alert:
        """Return what must be known to answer these texts."""
        theirs = _without_reactions(texts)
        return Alert(
            heard=self._hear(theirs, before, now_ms),
            before=before,
            now_ms=now_ms,
            texts=theirs,
            earlier=_without_reactions(earlier),
            person=person,
        )

    def is_certain(self, text: str, before: State, *, now_ms: int) -> bool:
        """Return whether a text shows certain danger."""
        return self._hear(_without_reactions([text]), before, now_ms).tier is Tier.CERTAIN

    def _hear(self, texts: Sequence[str], before: State, now_ms: int) -> Danger:
        """Return what texts that are no reactions tell."""
        if not texts:
            # a thumb beside the question answers nothing
            return before.danger if before.asks(now_ms) else CALM
        heard = hearing.hear(texts, self.ear, wary=before.lasts(now_ms))
        if heard.tier is Tier.CERTAIN:
            return heard
        plains = _plains(texts)
        if before.asks(now_ms):
            if any(_says_real(plain) for plain in plains):
                return replace(before.danger, tier=Tier.CERTAIN)
            if _answers("unsure", plains) or _answers("stay", plains):
                return before.danger
        return CALM if patterns.is_answer("joke", plains[-1]) else heard


def _without_reactions(texts: Sequence[str]) -> Sequence[str]:
    """Return the texts without reactions: they quote an earlier message, and show no danger of their own."""
    return [text for text in texts if not is_reaction(text)]


def is_reaction(text: str) -> bool:
    """Return whether a text is a telephone's reaction to a message, which it quotes."""
    return patterns.is_answer("reaction", patterns.normal(text))


def _plains(texts: Sequence[str]) -> Sequence[str]:
    """Return each text in its normal form and, last, all of them as one: an answer may stand in any."""
    return [patterns.normal(text) for text in (*texts, " ".join(texts))]


def _answers(name: str, plains: Sequence[str]) -> bool:
    return any(patterns.is_answer(name, plain) for plain in plains)


def _is_calm(text: str) -> bool:
    """Return whether a text without danger counts as calm: it does not ask for company or help."""
    plain = patterns.normal(text)
    return not any(patterns.is_answer(name, plain) for name in ("stay", "unanswered"))


def _says_real(plain: str) -> bool:
    """Return whether a text answers that it is real: as a whole or, if no other says joke, in one clause."""
    if patterns.is_answer("real", plain):
        return True
    clauses = [] if patterns.is_answer("unsure", plain) else _CLAUSE_ENDS.split(plain)
    return _answers("real", clauses) and not _answers("joke", clauses)


def state_of(theirs: Sequence[str], now_ms: int) -> State:
    """Return the state of a conversation without a stored one, by the wording of the latest texts."""
    calm = 0
    for text in reversed(_without_reactions(theirs)):
        danger = patterns.hear(patterns.without_idioms(patterns.normal(text)))
        if danger.tier is Tier.CERTAIN or (danger.tier and not calm):
            return State(danger=danger, heard_ms=now_ms, calm=calm)
        calm += _is_calm(text)
        if calm >= CALM_TEXTS:
            break
    return State()


def without_dangers(history: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Return a history without the texts whose wording shows danger, and without the replies to them."""
    kept, is_quiet = list[Mapping[str, str]](), False
    for line in history:
        if line["role"] == "user" and _without_reactions([line["content"]]):
            is_quiet = bool(patterns.hear(patterns.without_idioms(patterns.normal(line["content"]))).tier)
        if not is_quiet:
            kept.append(line)
    return kept
