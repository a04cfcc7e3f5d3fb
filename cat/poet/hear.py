"""Decide what a text does: an act. The order of the questions asked here is the order of what matters.

1. An empty text, a picture, emoji, digits.
2. Grave words: a quiet act.
3. What must be answered truly or closed: the machine, privacy, medicine, food, law, flirting.
4. What goes on: a game, the cat's own question, a story by turns.
5. A question for a fact, a sum, the hour.
6. A request; a question about the cat itself.
7. A statement that holds a fact.
8. News, feelings, small words, questions of every kind, subjects.
9. How the text looks; nothing of these.
10. If only the form or a wide subject was heard, the kind that the text means (`Sense`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from cat import grave_words
from cat.poet import (
    chat,
    clock,
    emoji,
    facts,
    games,
    language_detection,
    names,
    replies,
    speech,
    statements,
    subjects,
    sums,
    words,
)
from cat.poet.kinds import kinds
from cat.poet.lexicon import Question
from cat.poet.scene import Act, Scene, is_hostile, is_sayable, may_play, phrase_of
from cat.ports import Sense, numb

#: A text of more characters than this is of the kind `wall`.
WALL: Final = 220
#: A performance can be asked for again after so many replies.
AGAIN: Final = 4
#: A text that only tells more of the one before has at most so many words.
CONTINUED_WORDS: Final = 6
#: Longest answer to a question of the cat, in words.
ANSWER_WORDS: Final = 7
#: An answer other than yes and no is a phrase of at most so many words.
PHRASE_WORDS: Final = 4
_STATEMENT: Final = re.compile(
    r"^(?:ich|du|er|sie|es|wir|ihr|das ist|da ist|je|j'|tu|il|elle|on|nous|yo|tú|él|ella|está|estoy|era|se|no|"
    r"todos|todas|nadie|me|te|alle|keiner|tous|personne|ça|c'|"
    r"i|he|she|they|we|there|everyone|well)\b"
)
#: How the family of a fact's key is called in the kinds of lines.
_FAMILIES: Final = {"note": "word"}


def act_of(scene: Scene, sense: Sense = numb) -> Act:
    """Return what the text does. `sense` hears the kind of a text of which patterns hear little."""
    act = (
        _wordless(scene)
        or _foreign(scene)
        or _first(scene)
        or _thread(scene)
        or _asked(scene)
        or _by_pattern(scene)
        or _looks(scene)
    )
    if scene.grave_before:
        return Act("quiet") if may_stay_quiet(act.kind) else act
    return _minding_allergy(scene, _meant(scene, act, sense) or act)


def may_stay_quiet(kind: str) -> bool:
    """Return whether an act after a grave one still belongs to it."""
    return kind in kinds().quiet_after


def kind_by_pattern(scene: Scene, *, before_told: bool) -> str:
    """Return the first kind whose pattern the text matches, before or after the place of told facts."""
    heard = list(scene.words.hear)
    place = heard.index("leave_alone") if "leave_alone" in heard else len(heard)
    chosen = heard[:place] if before_told else heard[place:]
    if _is_question(scene):
        chosen = [kind for kind in chosen if kind not in kinds().happening]
    kind = next((kind for kind in chosen if scene.words.hear[kind].search(scene.plain)), "")
    felt = (each for each in kinds().felt if each in heard and scene.words.hear[each].search(scene.plain))
    return next(felt, kind) if kind in kinds().happening else kind


def _meant(scene: Scene, act: Act, sense: Sense) -> Act | None:
    """Return the act that the text means; None if patterns heard enough.

    None also if the language has no lines for it.
    """
    asks = _is_question(scene)
    happenings = {kind for kind in scene.words.say if kind in kinds().happening and not asks}
    others = {kind for kind in scene.words.say if kind not in kinds().happening}
    if act.kind in kinds().faint or act.kind in kinds().topics:
        kind = sense(scene.said, happenings | others) or _continued(scene, act, happenings, sense)
    elif act.kind in kinds().doubted:
        kind = sense(scene.said, happenings if scene.told else happenings | others, sure=True)
    else:
        return None
    return Act(kind) if kind else None


def _continued(scene: Scene, act: Act, happenings: AbstractSet[str], sense: Sense) -> str:
    """Return the happening of which a short text tells more: it is heard together with the text before."""
    before = scene.theirs[-1] if scene.theirs else "?"
    few = len(scene.plain.split()) <= CONTINUED_WORDS and act.kind in kinds().faint
    return sense(f"{before}. {scene.said}", happenings) if few and happenings and "?" not in before else ""


def _is_question(scene: Scene) -> bool:
    return "?" in scene.plain or bool(scene.words.mark("question").search(scene.plain))


def _wordless(scene: Scene) -> Act | None:
    text = scene.said.strip()
    if not any(character.isalnum() for character in text):
        if scene.pictures:
            return Act("picture")
        if not text:
            return Act("silence")
        family = emoji.family_of(text)
        return Act("what" if set(text) <= set("?!. ") and "?" in text else f"emoji_{family}" if family else "emoji")
    if not any(character.isalpha() for character in text):
        total = sums.total(text, scene.words.language)
        thread = _thread(scene)
        return thread or (Act("sum", {"v": total}) if total else Act("number"))
    return None


def _foreign(scene: Scene) -> Act | None:
    if language_detection.script_of(scene.said) not in {"", "ja"}:
        return Act("foreign")
    return None


def _first(scene: Scene) -> Act | None:
    if grave_words.is_grave(scene.words.mark("broken").sub(" ", scene.plain), scene.words.language):
        return Act("quiet")
    if is_hostile(scene.plain, scene.words.language):
        return Act("quiet")
    for kind in kinds().first:
        pattern = scene.words.hear.get(kind)
        if pattern and pattern.search(scene.plain):
            if kind == "risk_allergy" and statements.asked_in(scene.said, scene.words.language):
                continue
            return Act("flirt_child" if kind == "flirt" and scene.facts.is_child else kind)
    return None


def _minding_allergy(scene: Scene, act: Act) -> Act:
    """Return the reply to a question for food by a person who told an allergy; else the act as it is."""
    eats = act.kind not in kinds().first and scene.words.mark("eats").search(scene.plain)
    asks = act.kind in kinds().eaten or eats
    diet = _allergy(scene) if asks else ""
    return Act("risk_allergy", {"v": diet}) if diet else act


def _allergy(scene: Scene) -> str:
    """Return the allergy that the person told, such as `allergic to nuts`; empty if none is known."""
    diet, words = scene.facts.value("diet"), scene.words
    return _turned(diet, words.language) if words.mark("allergic").search(diet) and is_sayable(diet) else ""


def _thread(scene: Scene) -> Act | None:
    return games.move(scene) or _again(scene) or _learned(scene) or _answer(scene)


def _learned(scene: Scene) -> Act | None:
    """Return the reply to an answer that is the fact the cat asked for; None if the text is none.

    A question with lines of its own has its reply from them.
    """
    last = scene.replies[-1].rstrip() if scene.replies else ""
    if scene.answer is None or any(last.endswith(question.say) for question in scene.words.questions):
        return None
    return _told(scene, scene.answer)


def _answer(scene: Scene) -> Act | None:
    """Return the reply to an answer to the cat's own question; None if the text is none."""
    last = scene.replies[-1].rstrip() if scene.replies else ""
    question = next((each for each in scene.words.questions if last.endswith(each.say)), None)
    count = len(scene.plain.split())
    long = count > ANSWER_WORDS or (count >= PHRASE_WORDS and scene.clause)
    # "at a bank" tells more of what the person said before
    if question is None or _is_question(scene) or scene.detail or long:
        return None
    kind = kind_by_pattern(scene, before_told=False)
    requests = kind_by_pattern(scene, before_told=True)
    if requests or kind in kinds().no_answer or any(fact.key != question.fact for fact in scene.told):
        return None
    if kind == "yes" and question.yes:
        return Act(f"answer_yes:{question.say}")
    if kind in {"no", "afraid_not", "nothanks"} and question.no:
        return Act(f"answer_no:{question.say}")
    if kind in {"yes", "no", "idk", "maybe", "ok", "hm", "whatever"}:
        return None
    if question.fact and scene.answer:
        return Act(f"answer:{question.say}", {"x": scene.answer.value}) if question.other else None
    if question.fact or not _takes(question, scene) or _is_mashed(scene):
        return None
    if _STATEMENT.match(scene.plain) or len(scene.plain.split()) > PHRASE_WORDS:
        return None
    given = phrase_of(scene.plain, scene.words.parts.get("answer_prefixes", ()), scene.nouns)
    return Act(f"answer:{question.say}", {"x": given}) if given and question.other else None


def _takes(question: Question, scene: Scene) -> bool:
    """Return whether a text can be the answer to a question, and not the next thing that the person says."""
    if question.takes:
        return bool(re.search(question.takes, scene.plain))
    shared = any(noun.word in question.say for noun in scene.nouns)
    if question.yes:
        return shared
    last = scene.said.strip(" .!,").split()[-1:]
    return bool(scene.nouns) or any(names.may_be(word, scene.words.language) for word in last)


def _again(scene: Scene) -> Act | None:
    """Return the performance before, if the person asks for another."""
    if not scene.replies or not scene.words.mark("again").search(scene.plain):
        return None
    for reply in reversed(scene.replies[-AGAIN:]):
        before = replies.kinds_of(reply, scene.words) & kinds().performed
        if before:
            return Act(min(before))
    return None


def _asked(scene: Scene) -> Act | None:
    """Return the answer to a question that has one: a fact, a sum, the hour, the day, a capital."""
    key = "" if scene.told and "?" not in scene.said else statements.asked_in(scene.said, scene.words.language)
    if key:
        act = _fact_act(scene, key)
        if act:
            return act
    total = sums.total(scene.plain, scene.words.language)
    if total:
        return Act("sum", {"v": total})
    capital = sums.capital(scene.plain)
    if capital:
        return Act("capital", {"v": capital})
    for kind in ("time", "day"):
        if kind in scene.words.hear and scene.words.hear[kind].search(scene.plain):
            return _clock(scene, kind)
    return None


def _clock(scene: Scene, kind: str) -> Act:
    told = (
        clock.weekday(scene.person, scene.now, scene.words.language)
        if kind == "day"
        else clock.hour(scene.person, scene.now)
    )
    return Act(kind, {"v": told}) if told else Act(f"{kind}_unknown")


def _fact_act(scene: Scene, key: str) -> Act | None:
    family, _, subject = key.partition(":")
    if family == "all":
        known = "; ".join(_told_again(fact) for fact in list(scene.facts)[-3:])
        return Act("fact_all", {"v": known}) if known else Act("fact_nothing")
    if family == "who":
        fact = next(
            (fact for fact in scene.facts if fact.value.split()[-1:] == [subject] or fact.value == subject), None
        )
        if fact is None:
            return None
        if fact.subject:
            about = subjects.in_language(fact.subject, scene.words.language)
            return Act("fact_who", {"v": subject, "x": scene.words.labels.get("my", "{x}").format(x=about)})
        family, key = fact.family, fact.key
    found = scene.facts.of(key) or scene.facts.near(family, subject) or _told_as_other(scene, family, subject)
    if not found:
        return Act("fact_unknown")
    language = scene.words.language
    values = [_turned(fact.value, language) for fact in found[: 2 if family in facts.MANY else 1]]
    value = " & ".join(reversed(values))
    return Act(
        f"fact_{_FAMILIES.get(family, family)}",
        {
            "v": value,
            "x": subjects.in_language(found[0].subject, language),
            "vp": _verbal(value, language),
            "count": str(len(value)),
            "half": str(max(1, len(value) // 2)),
        },
    )


def _told_as_other(scene: Scene, family: str, subject: str) -> Sequence[facts.Fact]:
    """Return the fact that was told under another family: a birthday may be an event."""
    single = [fact for fact in scene.facts if fact.family not in {family, "has", *facts.MANY}]
    return [fact for fact in single if subject and fact.subject == subject][-1:]


def _told_again(fact: facts.Fact) -> str:
    return f"{fact.subject} {fact.value}" if fact.subject and fact.family != "favorite" else fact.value


def _by_pattern(scene: Scene) -> Act | None:
    kind = kind_by_pattern(scene, before_told=True)
    if kind in kinds().first or kind in {"time", "day"}:
        kind = ""
    if kind.startswith("self_") and scene.told and not _is_question(scene):
        kind = ""
    later = kind_by_pattern(scene, before_told=False)
    other = scene.words.language != "en"
    happening = other and later in kinds().happening and any(fact.family == "relative" for fact in scene.told)
    if not kind and scene.told and later not in kinds().news and not happening:
        return _told(scene, scene.told[-1])
    kind = {"rps": "rps_start"}.get(kind or later, kind or later)
    if scene.detail and (not kind or kind in kinds().loose):
        return Act("detail", {"d": scene.detail})
    return _of_kind(scene, kind) if kind else None


def _of_kind(scene: Scene, kind: str) -> Act | None:
    """Return the act of a text whose pattern was found, with the slots that its kind needs."""
    if kind == "named":
        return _named(scene)
    if kind == "greeting" and scene.name:
        return Act("greeting", {"name": scene.name})
    if kind == "question_which":
        return _choice(scene)
    if kind == "flirt" and scene.facts.is_child:
        return Act("flirt_child")
    if kind in kinds().loose:
        return Act(_subject(scene, kind))
    return Act(kind)


def _subject(scene: Scene, kind: str) -> str:
    """Return the kind of a text on a wide subject: the subject may say less than how the text is made."""
    if (kind in kinds().topics or kind == "statement") and _is_wall(scene):
        return "wall"
    if kind in kinds().wide and scene.clause and scene.words.language != "en":
        return "statement"
    alone = scene.plain.strip(" .!,").isalpha() and scene.fragment and not scene.nouns
    return "oneword" if alone else kind


def _choice(scene: Scene) -> Act:
    """Return the choice between two things, such as `cats or dogs?`."""
    pair = re.search(
        r"([^\W\d_]+) (?:or|oder|ou|o|u) (?:the |a |die |der |das |le |la |les |el |los |las )?([^\W\d_]+)", scene.plain
    )
    sides = [side for side in pair.groups() if may_play(side)] if pair else []
    return Act("question_which", {"left": sides[0], "right": sides[1]}) if len(sides) > 1 else Act("yesno")


def _named(scene: Scene) -> Act | None:
    """Return the reply to a name that something got; None if it may not be said back."""
    match = scene.words.hear["named"].search(scene.plain)
    name = match.group("v") if match else ""
    return Act("named", {"v": name}) if is_sayable(name) else None


def _told(scene: Scene, fact: facts.Fact) -> Act:
    family = _FAMILIES.get(fact.family, fact.family)
    kind = "told_child" if family == "age" and scene.facts.is_child else f"told_{family}"
    language = scene.words.language
    value = _turned(fact.value, language)
    return Act(kind, {"v": value, "x": fact.subject, "vp": _verbal(fact.value, language)})


def _verbal(value: str, language: str) -> str:
    """Return what is said of a relative as an English verb phrase, such as `is called marta`."""
    return _turned(value, language) if " " in value else f"is called {value}"


def _turned(value: str, language: str) -> str:
    """Return an English value with the person's `my` and `me` exchanged for `your` and `you`."""
    exchanged = chat.reflected() if language == "en" else {}
    return " ".join(exchanged.get(word, word) for word in value.split())


def _is_wall(scene: Scene) -> bool:
    return len(scene.said) > WALL


def _is_mashed(scene: Scene) -> bool:
    """Return whether the text is keys hit at random, such as `asdfghjkl`."""
    known = any(words.is_known(word, scene.words.language) for word in scene.plain.split())
    return not known and speech.is_mashed(scene.plain)


def _looks(scene: Scene) -> Act:
    letters = [letter for letter in scene.said if letter.isalpha()]
    cased = [letter for letter in letters if letter.upper() != letter.lower()]
    if len(letters) == 1:
        return Act("tiny")
    if len(cased) > 3 and all(letter.isupper() for letter in cased):  # noqa: PLR2004 - "OK" is no shout
        return Act("shout")
    if _is_wall(scene):
        return Act("wall")
    if _is_mashed(scene):
        return Act("nonsense_keys")
    if scene.fragment:
        return Act("oneword")
    return Act("statement")
