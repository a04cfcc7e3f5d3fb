"""Leases are renewed for as long as a visit holds them, and no longer."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from inbox.memory import InMemoryInbox
from inbox.ports import Lease
from tests.conftest import wait_until
from tests.room import Recorder
from worker.visit import LeaseKeeper

EVERY_SECONDS = 0.01


class Renewed(InMemoryInbox):
    """An inbox that records which leases were renewed, and can be away."""

    def __init__(self) -> None:
        super().__init__(clock_ms=lambda: 0, lease=timedelta(seconds=20))
        self.renewed: list[str] = []
        self.away = False

    def renew(self, lease: Lease) -> bool:
        self.renewed.append(lease.token)
        if self.away:
            raise ConnectionError("away")
        return super().renew(lease)


def a_lease(inbox: InMemoryInbox, name: str) -> Lease:
    lease = inbox.take_duty(name)
    assert lease is not None
    return lease


def keepers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "lease-keeper"}


def test_leases_are_renewed_while_they_are_held_and_no_one_is_left_when_none_is() -> None:
    inbox, before, told = Renewed(), keepers(), Recorder()
    leases = LeaseKeeper(inbox, every_seconds=EVERY_SECONDS, telemetry=told)
    one, other = a_lease(inbox, "one"), a_lease(inbox, "other")

    with leases.kept(one), leases.kept(other):
        wait_until(lambda: {one.token, other.token} <= set(inbox.renewed), what="renewals of both")
        assert len(keepers() - before) == 1
    wait_until(lambda: not keepers() - before, what="the keeper's end")

    inbox.renewed.clear()
    with leases.kept(one):
        wait_until(lambda: inbox.renewed.count(one.token) > 1, what="renewals of a lease that is held later")
    assert other.token not in inbox.renewed
    assert told.events == []
    wait_until(lambda: not keepers() - before, what="the keeper's end")


def test_a_renewal_that_fails_is_told_and_tried_again() -> None:
    inbox, before, told = Renewed(), keepers(), Recorder()
    inbox.away = True
    leases = LeaseKeeper(inbox, every_seconds=EVERY_SECONDS, telemetry=told)

    with leases.kept(a_lease(inbox, "one")):
        wait_until(lambda: len(told.events) > 1, what="errors")
        inbox.away = False
        count = len(inbox.renewed)
        wait_until(lambda: len(inbox.renewed) > count + 1, what="renewals after them")
    wait_until(lambda: not keepers() - before, what="the keeper's end")


def test_where_no_thread_can_be_had_nothing_is_held_and_the_next_one_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    inbox, before = Renewed(), keepers()
    leases = LeaseKeeper(inbox, every_seconds=EVERY_SECONDS)
    one, other = a_lease(inbox, "one"), a_lease(inbox, "other")

    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none_left)
        with pytest.raises(RuntimeError), leases.kept(one):
            raise AssertionError("nobody is served without a keeper")

    with leases.kept(other):
        wait_until(lambda: inbox.renewed.count(other.token) > 1, what="renewals of the other")
    assert one.token not in inbox.renewed
    wait_until(lambda: not keepers() - before, what="the keeper's end")


def test_a_lease_that_was_lost_is_not_renewed_any_more() -> None:
    inbox, before = Renewed(), keepers()
    leases = LeaseKeeper(inbox, every_seconds=EVERY_SECONDS)
    lost, kept = a_lease(inbox, "lost"), a_lease(inbox, "kept")
    inbox.leave_duty(lost)

    with leases.kept(lost), leases.kept(kept):
        wait_until(lambda: inbox.renewed.count(kept.token) > 3, what="renewals of the other")
        assert inbox.renewed.count(lost.token) == 1
    wait_until(lambda: not keepers() - before, what="the keeper's end")
