"""The offline engine `dada` always replies, in character, and repeats no secret and no slur."""

from __future__ import annotations

import random
import re
from itertools import product
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cat import gallery
from cat.engines.dada import Dada
from cat.poet import choose, cutup, speech, spelling, sums, words
from cat.poet.kinds import kinds
from cat.poet.lexicon import Lexicon, lexicon
from cat.poet.scene import may_play
from cat.poet.slots import english_article
from cat.ports import Heard, Reply
from conversation.models import ECHOES, echo
from sms import segments
from tests.conftest import ROOT

History = tuple[dict[str, str], ...]
LANGUAGES: Final = (*words.FULL, *words.SMALL, "ja")
#: Slots of every language, and those of the nouns of one.
SLOTS: Final = {
    "n", "pl", "the_pl", "pl2", "m", "kin", "name", "clause", "clause_you", "clause_it", "ivp", "jvp", "quote", "quote_i", "quote_er", "w", "d", "old", "v", "a_v", "x", "vp", "count", "half", "left", "right", "mine",
    "yours", "thing", "thing_acc", "thing_dat", "thing_of", "thing_bare", "a_thing", "deed", "sound",
}  # fmt: skip
NOUNS: Final = {
    "en": {"a_n"},
    "de": {"der_n", "den_n", "dem_n", "ein_n", "einen_n", "einem_n", "dein_n"},
    "fr": {"le_n", "un_n", "du_n", "au_n", "de_n", "ton_n"},
    "es": {"el_n", "un_n", "del_n", "al_n", "tu_n"},
}


def reply(text: str, *, seed: str = "SM1", history: History = (), **more: Any) -> Reply:
    return Dada().reply(Heard(history=history, texts=[text], seed=seed, **more), seconds=1)


def said(text: str, **more: Any) -> str:
    return reply(text, **more).words


def after(history: History, text: str, line: str) -> History:
    return (*history, {"role": "user", "content": text}, {"role": "assistant", "content": line})


def lines_of(known: Lexicon) -> list[tuple[str, str]]:
    """Return every hand-written line of a language with its kind."""
    return [
        *((kind, line) for kind, lines in known.say.items() for line in lines),
        *(("answer", line) for asked in known.questions for line in (*asked.yes, *asked.no, *asked.other)),
    ]


@settings(deadline=None)  # the first text loads the words
@given(st.text(max_size=1600), st.integers(0, 3))
def test_the_poet_always_says_something_that_fits(text: str, pictures: int) -> None:
    line = said(text, pictures=pictures)

    assert line.strip()
    assert not re.search(r"\{\w+\}", line) or "{" in text
    assert segments.count(line) <= 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_line_has_slots_that_can_be_filled_and_costs_one_segment(language: str) -> None:
    known = lexicon(language)
    allowed = SLOTS | NOUNS.get(language, set()) | {f"old_{name}" for name in NOUNS.get(language, ())}
    longest = max((thing["thing"] for thing in known.things), key=len)
    for kind, line in lines_of(known):
        slots = set(re.findall(r"{(\w+)}", line))
        filled = line
        for name in slots:
            filled = filled.replace(f"{{{name}}}", longest if "thing" in name else "w" * 8)

        assert slots <= allowed, line
        assert segments.count(filled) <= (1 if segments.alphabet(filled).name == "GSM-7" else 2), filled
        assert line == line.lower() or kind in {"privacy", "stop_me", "good_news", "topic_animal"}, line


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_that_is_heard_is_answered_with_lines_of_its_own_or_of_a_parent(language: str) -> None:
    known = lexicon(language)
    performed = {"rps", "haiku", "poem", "story", "soundpoem"}
    for kind in known.hear:
        if kind not in performed and language in words.FULL:
            assert known.lines(kind), kind
            assert kind in known.say or kind in kinds().parents, kind
    assert known.say["quiet"]
    assert known.say["bare"]


def test_english_has_the_lines_that_variety_needs() -> None:
    counts = {language: len({line for _, line in lines_of(lexicon(language))}) for language in words.FULL}

    assert counts["en"] >= 900
    assert min(counts["de"], counts["fr"], counts["es"]) >= 350


def test_no_line_of_the_cat_holds_a_slur() -> None:
    for language in words.FULL:
        own = {word for _, line in lines_of(lexicon(language)) for word in speech.words_of(re.sub(r"{\w+}", "", line))}
        # the list holds words of four languages, and a slur of one may be a plain word of another
        assert len([word for word in own if speech.is_unspeakable(word)]) <= 12


def test_the_same_text_gets_the_same_words_again() -> None:
    assert said("i bought a bicycle") == said("i bought a bicycle")
    assert said("i bought a bicycle") != said("i bought a bicycle", seed="SM2")


VARIED = [
    f"{opening} {subject} {verb} {thing}{end}"
    for opening, subject, verb, thing, end in product(
        ("", "well", "today"),
        ("my neighbour", "a tall postman", "the whole orchestra", "grandmother", "the baker", "our teacher", "i", "we", "my cousin", "the man next door"),
        ("lost", "painted", "found", "folded", "swallowed", "bought", "repaired", "forgot", "carried home"),
        ("the umbrella", "a lighthouse", "seven spoons", "the moon", "an old tram", "my accordion", "the violin", "a giraffe", "the gate",
         "two tickets", "a red scarf", "the last sandwich", "a map of the lake", "my old bike", "the kitchen clock", "a jar of buttons", "the soup"),
        ("", "!", " again"),
    )
]  # fmt: skip
SHORT = [
    "hi", "hello?", "why?", "who are you", "thanks", "lol", "ok", "k", "42", "7 8 9", "\U0001f63a", "WHAT", "i love you", "you idiot", "i am sad",
    "so tired", "good night", "pizza", "how many", "when is it?", "where are you?", "i burnt the toast", "my bus was late", "it rains", "i'm hungry",
    "the fridge hums", "i can't find my glove", "do you like fish?", "what do you eat?", "i dreamt of stairs", "coffee first", "i got the job!", "my phone is dead",
    "the train stopped in a field", "i bought a hat", "it is so quiet here", "the cat next door stares at me", "i cooked lentils", "my feet hurt",
    "we moved the sofa", "monday again", "i miss the sea", "the lamp flickers", "what a day", "i painted the door green", "a bee came in",
    "should i call him?", "is it far?", "do you dream?", "the shop was closed", "my sister is coming", "i read all night", "the tap drips",
]  # fmt: skip


@pytest.mark.parametrize("people", [8, pytest.param(25, marks=pytest.mark.long)])
def test_forty_texts_of_many_people_get_hardly_a_reply_twice_and_no_person_a_line_within_thirty(people: int) -> None:
    dice = random.Random(7)
    replies: list[str] = []
    questions = 0
    for person in range(people):
        history: History = ()
        frames: list[frozenset[str]] = []
        echoes: list[str] = []
        for number in range(40):
            text = dice.choice(VARIED) if dice.random() < 0.72 else dice.choice(SHORT)
            heard = Heard(
                history=history[-28:], texts=[text], seed=f"SM{person}-{number}",
                frames=[frame for used in frames for frame in used][-64:], echoes=frozenset(echoes[-ECHOES:]),
            )  # fmt: skip
            given = Dada().reply(heard, seconds=1)
            assert not frozenset(given.frames) & frozenset().union(*frames[-choose.FRAMES :]), given.words
            frames.append(frozenset(given.frames))
            echoes.append(echo(given.words))
            history = after(history, text, given.words)
            replies.append(given.words)
            questions += given.words.rstrip().endswith("?")

    assert len(set(replies)) >= 0.97 * len(replies)
    assert questions <= len(replies) / 3
    assert max(segments.count(line) for line in replies) <= 2
    assert sum(segments.count(line) == 1 for line in replies) >= 0.97 * len(replies)
    lengths = [len(line.split()) for line in replies]
    assert sum(length <= 3 for length in lengths) >= len(replies) / 50
    assert sum("\n" in line for line in replies) >= len(replies) / 50


def test_a_line_is_not_said_again_though_the_window_forgot_it() -> None:
    first = reply("good night")

    for seed in range(30):
        assert not set(reply("good night", seed=f"SM{seed}", frames=first.frames).frames) & set(first.frames)


def test_the_poet_plays_with_what_was_said() -> None:
    replies = [said("my umbrella flew away", seed=f"SM{n}") for n in range(20)]

    assert sum("umbrella" in line or "flew" in line for line in replies) >= 8


def test_what_was_said_before_comes_back() -> None:
    history = ({"role": "user", "content": "the orchestra played the trombone"},)
    replies = [said("it rains on the piano", seed=f"SM{n}", history=history) for n in range(300)]

    assert any("trombone" in line or "orchestra" in line for line in replies)


def test_a_text_that_could_be_any_language_is_answered_in_the_one_before() -> None:
    history = after((), "ich habe kartoffeln gekocht", "prrt")

    assert reply("pizza", history=history).facts["language"] == "de"
    assert reply("pizza").facts["language"] == "en"


@pytest.mark.parametrize(
    "text",
    ["4111 1111 1111 1111", "code 123456", "see https://evil.example/x", "me@example.org", "my plate is AB12CDE", "evil.com/path", "@evil #evil"],
)  # fmt: skip
def test_numbers_links_codes_and_addresses_are_not_echoed(text: str) -> None:
    for number in range(20):
        line = said(text, seed=f"SM{number}")
        assert not re.search(r"\d{4,}", line)
        assert "evil" not in line
        assert "example" not in line
        assert "cde" not in line


@pytest.mark.parametrize(
    "dressed",
    ["fuck", "FUCK", "fuuuck", "f\u00fcck", "fucking", "fuckers", "sh1t", "@sshole", "schlampe", "putain", "pendejo"],
)
def test_what_must_not_be_said_is_not_said_back_however_it_is_dressed(dressed: str) -> None:
    for number in range(15):
        line = said(f"the {dressed} sat on a piano", seed=f"SM{number}")
        assert dressed.lower() not in line


@pytest.mark.parametrize(
    "word",
    ["umbrella", "class", "grass", "cocktail", "piano", "assistant", "sussex", "title", "kartoffel", "parapluie", "zapato", "bob"],
)  # fmt: skip
def test_ordinary_words_are_not_taken_for_slurs(word: str) -> None:
    assert not speech.is_unspeakable(word)


def test_only_nouns_of_the_right_number_stand_in_a_nouns_place() -> None:
    assert words.noun("umbrella", "en") == words.Noun("umbrella", touchable=True)
    for word in ("remember", "finally", "gonna", "annoying", "shuold", "the"):
        assert words.noun(word, "en") is None, word
    ferrets, key = words.noun("dogs", "en"), words.noun("schlüssel", "de")
    assert ferrets is not None
    assert ferrets.plural
    assert key is not None
    assert key.gender == "m"


@pytest.mark.parametrize(
    ("text", "heard"),
    [("im hngry", "i'm hungry"), ("wats ur nam", "what's your name"), ("gnight", "good night"), ("luv u", "love you"), ("heyyyyy", "hey"),
     ("shuold i", "should i"), ("my freind", "my friend"), ("my bike is rusting", "my bike is rusting"), ("mango", "mango")],
)  # fmt: skip
def test_typos_and_chat_words_are_mended_before_hearing(text: str, heard: str) -> None:
    assert spelling.plain(text, "en") == heard


def test_what_people_type_does_not_fill_the_memory() -> None:
    dice = random.Random(1)
    for _ in range(spelling.NEAREST_KEPT + 500):
        spelling.plain("".join(dice.choices("bcdfghjklmnpqrstvwxz", k=7)), "de")

    assert spelling.remembered() <= spelling.NEAREST_KEPT
    assert spelling.plain("b" + "xz" * 800, "en") == "b" + "xz" * 800


@pytest.mark.parametrize(
    ("word", "with_article"),
    [("umbrella", "an umbrella"), ("unicorn", "a unicorn"), ("hour", "an hour"), ("dog", "a dog"), ("onion", "an onion"), ("user", "a user")],
)  # fmt: skip
def test_the_english_article_follows_the_sound(word: str, with_article: str) -> None:
    assert english_article(word) == with_article


@pytest.mark.parametrize(
    ("text", "total"),
    [("what is 2+2?", "4"), ("12 x 12", "144"), ("7 - 9", "-2"), ("2 + 3 * 4", "14"), ("10 / 4", "2.5"), ("seven times six", "42"),
     ("15% of 80", "12"), ("1/0", ""), ("call 555-1234", ""), ("on 24/12", ""), ("9" * 50 + "+1", "")],
)  # fmt: skip
def test_sums(text: str, total: str) -> None:
    assert sums.total(text, "en") == total


CUT_TEXTS: Final = [
    "karen stole my yogurt from the fridge this morning", "she wrote a note in huge letters", "the bus was late again and the driver sang opera",
    "a pigeon looked at me through the window of the meeting", "my slides fell behind the warm radiator", "i bought a yellow umbrella with a wooden duck",
]  # fmt: skip


def test_a_cut_up_is_made_of_whole_pieces_of_several_texts() -> None:
    for seed in range(50):
        made = cutup.cut_up(CUT_TEXTS, "en", random.Random(seed), may_play_or_small, least=cutup.PIECES)
        pieces = made.split("\n")

        assert len(pieces) == cutup.PIECES
        for piece in pieces:
            assert any(piece in text for text in CUT_TEXTS), piece
            assert words.noun(piece.split()[-1], "en") or any(text.endswith(piece) for text in CUT_TEXTS) or piece, (
                piece
            )
            assert piece.split()[-1] not in {"the", "a", "my", "and", "in", "from"}, piece
        assert len({text for text in CUT_TEXTS for piece in pieces if piece in text}) > 1


def may_play_or_small(word: str) -> bool:
    return len(word) < 3 or may_play(word)


def test_the_gallery_is_the_code() -> None:
    page = (ROOT / "docs/gallery.md").read_text()

    assert page.rstrip() == "\n".join(gallery.page()).rstrip(), "run: dadacat gallery > docs/gallery.md"
    assert len(gallery.dialogues()) == 60
    assert "how can i help" not in page.lower()
