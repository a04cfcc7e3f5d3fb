"""The auditor gets falsified histories and must name each offence."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from chaos.auditor import ConversationRow, Evidence, ListedMessage, Row, SentText, Verdict, audit

ANN = "+15551230001"
HISTORY = tuple(range(4))


@dataclass
class History:
    """Four texts, each answered once, in order. A test falsifies parts of it."""

    texts: list[SentText] = field(default_factory=lambda: [SentText(sid=f"SM{n}", person=ANN) for n in HISTORY])
    listed: list[ListedMessage] = field(
        default_factory=lambda: [ListedMessage(sid=f"OUT{n}", person=ANN, body=f"re {n}") for n in HISTORY]
    )
    rows: list[Row] = field(
        default_factory=lambda: [
            *(
                Row(
                    person=ANN,
                    key=f"in#SM{n}",
                    state="ANSWERED",
                    sid=f"SM{n}",
                    arrived=f"{n:013d}-0",
                    turn=f"SM{n}",
                    parts=1,
                )
                for n in HISTORY
            ),
            *(
                Row(
                    person=ANN, key=f"out#SM{n}#0", state="SENT", sid=f"OUT{n}", content=f"re {n}", attempt=f"SM{n}-0-a"
                )
                for n in HISTORY
            ),
        ]
    )
    window: list[str] = field(default_factory=lambda: [key for n in HISTORY for key in (f"in#SM{n}", f"out#SM{n}#0")])
    excuses: dict[str, str] = field(default_factory=dict)
    silences: frozenset[str] = frozenset()
    at_rest: bool = False

    def change(self, at: str, /, **fields: object) -> None:
        self.rows = [
            replace(row, **fields) if row.key == at else row  # type: ignore[arg-type]  # a row's own fields
            for row in self.rows
        ]

    def verdict(self) -> Verdict:
        return audit(
            Evidence(
                texts=self.texts, listed=self.listed, rows=self.rows, excuses=self.excuses,
                silences=self.silences, at_rest=self.at_rest,
                conversations=[ConversationRow(person=ANN, window=tuple(self.window))],
            )
        )  # fmt: skip


def sids(offences: list[str]) -> list[str]:
    return [offence.partition(":")[0] for offence in offences]


def test_an_honest_history_is_good() -> None:
    verdict = History().verdict()

    assert verdict.good
    assert (verdict.texts, verdict.answered, verdict.held) == (4, 4, {})


@pytest.mark.parametrize(
    ("key", "fields"),
    [
        ("in#SM2", {"key": "in#gone"}),
        ("in#SM2", {"state": "FILED"}),
        ("in#SM2", {"state": "DEAD"}),
        ("in#SM2", {"state": "STALE"}),
        ("out#SM2#0", {"key": "gone"}),
        ("out#SM2#0", {"state": "FAILED", "sid": "OUT2"}),
        ("out#SM2#0", {"state": "NEW", "sid": "OUT2"}),
    ],
)
def test_a_loss_is_named(key: str, fields: dict[str, str]) -> None:
    history = History()
    history.change(key, **fields)
    if fields.get("key") == "gone":
        history.listed.pop(2)

    verdict = history.verdict()

    assert sids(verdict.lost) == ["SM2"]
    assert (verdict.answered, verdict.good) == (3, False)


def test_a_reply_that_only_the_journal_knows_is_a_loss() -> None:
    history = History()
    history.listed.pop(1)

    assert history.verdict().lost == ["SM1: its reply OUT1 is not on the list"]


def test_a_reply_that_the_conversation_forgot_is_a_loss() -> None:
    history = History()
    history.window.remove("out#SM3#0")

    assert history.verdict().lost == ["SM3: out#SM3#0 is 0 times in the conversation"]


def test_what_stands_twice_in_the_conversation_is_named() -> None:
    history = History()
    history.window += ["in#SM3"]

    assert history.verdict().lost == ["SM3: in#SM3 is 2 times in the conversation"]


def test_a_double_is_named() -> None:
    history = History()
    history.listed.append(ListedMessage(sid="OUT9", person=ANN, body="re 1"))

    verdict = history.verdict()

    assert verdict.doubled == ["OUT9: belongs to no part"]
    assert not verdict.good


def test_a_reply_to_another_person_is_named() -> None:
    history = History()
    history.listed[1] = replace(history.listed[1], person="+15551239999")

    verdict = history.verdict()

    assert verdict.misdirected == ["SM1: its reply OUT1 went to another person"]
    assert not verdict.good


def test_a_reply_in_other_words_is_named_unless_they_were_deleted() -> None:
    history = History()
    history.listed[1] = replace(history.listed[1], body="something else")

    assert history.verdict().misdirected == ["SM1: its reply OUT1 has other words than its row"]
    history.listed[1] = replace(history.listed[1], body="")
    assert history.verdict().good


def test_a_reply_of_a_conversation_with_one_of_our_numbers_goes_to_its_person() -> None:
    history = History()
    history.rows = [replace(row, person=f"{ANN}/+15005550006") for row in history.rows]
    history.texts = [replace(text, person=f"{ANN}/+15005550006") for text in history.texts]

    assert history.verdict().misdirected == []


def test_a_reply_to_a_text_that_no_person_sent_is_named() -> None:
    history = History()
    history.texts.pop(2)

    assert history.verdict().doubled == ["SM2: it has a reply, and no person sent it"]


def test_one_message_that_two_parts_claim_is_named() -> None:
    history = History()
    history.listed.pop()
    history.change("out#SM3#0", sid="OUT2")

    assert history.verdict().doubled == ["OUT2: 2 parts claim it"]


def test_a_swap_is_named() -> None:
    history = History()
    history.listed[1], history.listed[2] = history.listed[2], history.listed[1]

    assert history.verdict().swapped == ["SM2: answered before the text before it"]


def test_parts_in_the_wrong_order_are_named() -> None:
    history = History()
    history.change("in#SM1", parts=2)
    history.rows.append(Row(person=ANN, key="out#SM1#1", state="SENT", sid="OUT1b", content="and", number=1))
    history.listed.insert(1, ListedMessage(sid="OUT1b", person=ANN, body="and"))

    assert sids(history.verdict().swapped) == ["SM1"]


def test_a_text_that_was_fetched_back_is_excused_from_order() -> None:
    history = History()
    history.listed[1], history.listed[2] = history.listed[2], history.listed[1]
    history.change("in#SM2", repaired=True)

    verdict = history.verdict()

    assert verdict.good
    assert verdict.excused_from_order == 1


@pytest.mark.parametrize("state", ["UNKNOWN", "HELD", "SENDING"])
def test_a_doubt_is_excused_only_by_a_fault_that_touched_that_very_attempt(state: str) -> None:
    history = History()
    history.change("out#SM2#0", state=state, sid="")
    history.listed.pop(2)
    history.excuses = {"SM1-0-a": "kill worker"}

    unexcused = history.verdict()
    history.excuses = {"SM2-0-a": "kill worker"}
    excused = history.verdict()

    assert sids(unexcused.unexcused) == ["SM2"]
    assert not unexcused.good
    assert excused.good
    assert excused.held == {"SM2": f"{state}: kill worker"}
    assert excused.answered == 3


def test_a_doubt_that_the_list_could_settle_is_named_whatever_excuses_it() -> None:
    history = History()
    history.change("out#SM2#0", state="HELD", sid="")
    history.excuses = {"SM2-0-a": "kill worker"}

    assert history.verdict().unexcused == [f"a reply to {ANN} is in doubt, though it is on the list"]


def test_doubts_that_no_one_can_tell_apart_stay_excused() -> None:
    history = History()
    for key in ("out#SM2#0", "out#SM3#0"):
        history.change(key, state="HELD", sid="", content="re the same")
    history.listed[2:] = [ListedMessage(sid="OUT2", person=ANN, body="re the same")]
    history.excuses = {"SM2-0-a": "kill worker", "SM3-0-a": "kill worker"}

    verdict = history.verdict()

    assert verdict.good
    assert set(verdict.held) == {"SM2", "SM3"}


def test_a_second_try_is_right_only_after_a_failure() -> None:
    history = History()
    history.rows.append(
        Row(person=ANN, key="out#SM1#0r", state="SENT", sid="OUT1r", content="re 1", again=True, attempt="SM1-0r-a")
    )
    history.listed.append(ListedMessage(sid="OUT1r", person=ANN, body="re 1"))

    assert sids(history.verdict().doubled) == ["SM1"]
    history.listed[1] = replace(history.listed[1], status="undelivered", error_code=30022)
    assert history.verdict().good
    # reported as failed, tried again, and delivered after all
    history.listed[1] = replace(history.listed[1], status="delivered", error_code=None, has_failed=True)
    assert history.verdict().good


def test_what_failed_on_its_way_and_was_left_alone_is_a_loss() -> None:
    history = History()
    history.listed[1] = replace(history.listed[1], status="undelivered", error_code=30022)

    assert sids(history.verdict().lost) == ["SM1"]
    # Error 30005, unknown number: no second try would help.
    history.listed[1] = replace(history.listed[1], error_code=30005)
    assert history.verdict().good


def test_silence_is_a_loss_unless_it_was_to_be_expected() -> None:
    history = History()
    history.change("in#SM1", state="SILENT", reason="superseded")
    history.rows = [row for row in history.rows if row.key != "out#SM1#0"]
    history.listed.pop(1)

    assert history.verdict().lost == ["SM1: SILENT (superseded)"]
    history.silences = frozenset({"superseded"})
    verdict = history.verdict()
    assert (verdict.good, verdict.silent, verdict.answered) == (True, 1, 3)


def test_a_text_that_is_settled_without_a_reply_and_has_one_is_a_loss() -> None:
    history = History()
    history.change("in#SM1", state="SILENT", reason="superseded")
    history.silences = frozenset({"superseded"})

    assert history.verdict().lost == ["SM1: settled without a reply, though it has one"]


def test_a_reply_that_is_suppressed_is_a_loss_unless_it_was_to_be_expected() -> None:
    history = History()
    history.change("out#SM1#0", state="SUPPRESSED", sid="", reason="opted out")
    history.listed.pop(1)

    assert history.verdict().lost == ["SM1: its reply is SUPPRESSED (opted out)"]
    history.silences = frozenset({"opted out"})
    verdict = history.verdict()
    assert (verdict.good, verdict.silent, verdict.answered) == (True, 1, 3)


@pytest.mark.parametrize(("parts", "offence"), [(0, "doubled"), (2, "lost")])
def test_a_part_more_or_less_than_the_turn_says_is_named(parts: int, offence: str) -> None:
    history = History()
    history.change("in#SM1", parts=parts)

    assert sids(getattr(history.verdict(), offence)) == ["SM1"]


def test_a_doubt_that_never_comes_to_rest_is_named() -> None:
    history = History()
    history.change("out#SM2#0", state="UNKNOWN", sid="")
    history.listed.pop(2)
    history.excuses = {"SM2-0-a": "kill worker"}
    assert history.verdict().good

    history.at_rest = True

    assert history.verdict().unexcused == ["SM2: UNKNOWN, and never came to rest"]
