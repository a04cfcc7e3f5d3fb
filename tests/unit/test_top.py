"""`dadacat top` shows the overview in a terminal, whatever a reason holds."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from dadacat import top
from inbox.errors import InboxAway
from inbox.ports import Place, Stop
from operations.overview import Overview
from sms.ports import Scope
from tests.builders import ANN, OUR_NUMBER
from tests.room import WHO, Room
from tests.unit.test_overview import answered, look


def shown(overview: Overview, *, width: int = 120, height: int = 60) -> str:
    page = io.StringIO()
    Console(file=page, width=width).print(top.view(overview, height=height))
    return page.getvalue()


def test_it_says_whether_every_text_is_answered_and_how_the_day_went() -> None:
    room = Room()
    answered(room)

    page = shown(look(room))

    assert page.startswith("Every text is answered.")
    assert "1 ANSWERED" in page
    assert "▁" not in page
    assert page.count("█") == 1
    assert "0.0101 USD today" in page


def test_it_shows_who_waits_for_how_long_and_why_and_no_number() -> None:
    room = Room()
    room.texts("hello")
    room.later(seconds=200)

    page = shown(look(room))

    assert "1 person waits, the longest for 3 min." in page
    assert WHO in page
    assert "waits for a worker" in page
    assert ANN[1:] not in page


def test_what_commands_a_terminal_is_written_out() -> None:
    room = Room()
    room.circuit.open(Stop(place=Place(Scope.SENDER, OUR_NUMBER), who=WHO, reason="no\x1b[2J\nway"))

    page = shown(look(room), width=300)

    assert "no\\u001b[2J way" in page
    assert "\x1b" not in page


def test_a_phone_sized_terminal_is_enough() -> None:
    room = Room()
    answered(room)
    room.texts("again")

    lines = shown(look(room), width=40, height=24).splitlines()

    assert max(map(len, lines)) <= 40


@pytest.mark.parametrize(("values", "plot"), [([0, 1, 4, 8], " ▁▄█"), ([0, 0], "  "), ([1, 1000], "▁█"), ([], "")])
def test_a_plot_shows_each_text_that_came(values: list[int], plot: str) -> None:
    assert top.sparkline(values) == plot


def test_a_redis_that_is_away_is_said_and_asked_again() -> None:
    page = io.StringIO()
    room = Room()
    answered(room)
    looks: list[Overview | BaseException] = [
        InboxAway("redis cannot be reached: TimeoutError"),
        look(room),
        KeyboardInterrupt(),
    ]

    def next_look() -> Overview:
        outcome = looks.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    top.watch(next_look, every=0.001, console=Console(file=page, width=120, force_terminal=True))

    assert looks == []
    assert "asked again in 0.001 s: redis cannot be reached: TimeoutError" in page.getvalue()
