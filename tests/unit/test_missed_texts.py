"""A text whose webhook never came is found in the carrier's list, however the looks follow each other."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.builders import ANN, OUR_NUMBER
from tests.room import Room

OTHER = "+15005550009"


@pytest.fixture
def room() -> Room:
    return Room()


def test_a_look_back_that_is_shorter_than_the_gap_covers_the_gap(room: Room) -> None:
    room.reconciler.reconcile()
    room.later(seconds=60)
    room.heard_of("are you there")
    room.later(seconds=7200)

    assert room.reconciler.reconcile(since=timedelta(minutes=30)).missed == 1

    room.serve()
    assert room.received == ["re: are you there"]


def test_a_look_back_reaches_further_than_the_last_look(room: Room) -> None:
    room.heard_of("before the first look")
    room.later(seconds=1800)
    room.reconciler.reconcile()
    room.later(seconds=3600)

    assert room.reconciler.reconcile().missed == 0
    assert room.reconciler.reconcile(since=timedelta(hours=2)).missed == 1


def test_a_process_that_knows_fewer_numbers_moves_no_watermark_of_the_others(room: Room) -> None:
    both = room.a_reconciler(OUR_NUMBER, OTHER)
    both.reconcile()
    room.texts("hello")
    room.serve()
    room.later(seconds=60)
    sid = room.heard_of("are you there")
    room.later(seconds=1800)
    room.a_reconciler(OTHER).reconcile()
    room.later(seconds=300)

    report = both.reconcile()

    assert (report.missed, report.charged) == (1, 1)
    assert room.inbox.texts.is_waiting(ANN, sid)


def test_the_watermark_of_an_earlier_release_counts_for_a_number_without_its_own(room: Room) -> None:
    room.store.unsettled.set_watermark("watermark", room.now())
    room.later(seconds=60)
    room.heard_of("are you there")
    room.later(seconds=7200)

    assert room.reconciler.reconcile().missed == 1
    assert room.store.unsettled.watermark("watermark") == room.now()  # an earlier release goes on from here


def test_a_look_back_beyond_the_retention_brings_no_deleted_words_back() -> None:
    room = Room(retention=timedelta(days=2))
    room.heard_of("older than what is kept")
    room.later(seconds=3600)
    room.heard_of("younger")
    room.later(seconds=2 * 86_400 - 3600)

    report = room.reconciler.reconcile(since=timedelta(days=7))

    assert report.missed == 1
    room.serve()
    assert [row["content"] for row in room.store.archive.rows(ANN)] == ["younger"]
