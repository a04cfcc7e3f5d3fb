"""Leases are renewed for as long as a visit holds them, and no longer."""

from __future__ import annotations

import threading

import pytest

from chaos.days.fake_redis import a_redis
from inbox.inbox import RedisClock, RedisLeases
from inbox.ports import Lease
from tests.builders import LEASE, NOW_MS
from tests.conftest import wait_until
from tests.room import Recorder
from worker.lease import LeaseKeeper

EVERY_SECONDS = 0.01


class Renewed(RedisLeases):
    """Leases that record which of them were renewed, and can be away."""

    def __init__(self) -> None:
        client = a_redis(lambda: NOW_MS)
        super().__init__(client, RedisClock(client), length=LEASE)
        self.renewed: list[str] = []
        self.away = False

    def renew(self, lease: Lease) -> bool:
        self.renewed.append(lease.token)
        if self.away:
            raise ConnectionError("away")
        return super().renew(lease)


def a_lease(leases: Renewed, name: str) -> Lease:
    lease = leases.take_duty(name)
    assert lease is not None
    return lease


def keepers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "lease-keeper"}


def test_leases_are_renewed_while_they_are_held_and_no_one_is_left_when_none_is() -> None:
    leases, before, told = Renewed(), keepers(), Recorder()
    keeper = LeaseKeeper(leases, every_seconds=EVERY_SECONDS, telemetry=told)
    one, other = a_lease(leases, "one"), a_lease(leases, "other")

    with keeper.kept(one), keeper.kept(other):
        wait_until(lambda: {one.token, other.token} <= set(leases.renewed), what="renewals of both")
        assert len(keepers() - before) == 1
    wait_until(lambda: not keepers() - before, what="the keeper's end")

    leases.renewed.clear()
    with keeper.kept(one):
        wait_until(lambda: leases.renewed.count(one.token) > 1, what="renewals of a lease that is held later")
    assert other.token not in leases.renewed
    assert told.events == []
    wait_until(lambda: not keepers() - before, what="the keeper's end")


def test_a_renewal_that_fails_is_told_and_tried_again() -> None:
    leases, before, told = Renewed(), keepers(), Recorder()
    leases.away = True
    keeper = LeaseKeeper(leases, every_seconds=EVERY_SECONDS, telemetry=told)

    with keeper.kept(a_lease(leases, "one")):
        wait_until(lambda: len(told.events) > 1, what="errors")
        leases.away = False
        count = len(leases.renewed)
        wait_until(lambda: len(leases.renewed) > count + 1, what="renewals after them")
    wait_until(lambda: not keepers() - before, what="the keeper's end")


def test_without_a_thread_a_person_is_served_all_the_same_and_the_next_lease_is_renewed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leases, before, told = Renewed(), keepers(), Recorder()
    keeper = LeaseKeeper(leases, every_seconds=EVERY_SECONDS, telemetry=told)
    one, other = a_lease(leases, "one"), a_lease(leases, "other")

    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none_left)
        with keeper.kept(one):
            assert [event.name for event in told.events] == ["lease not renewed"]

    with keeper.kept(other):
        wait_until(lambda: leases.renewed.count(other.token) > 1, what="renewals of the other")
    assert one.token not in leases.renewed
    wait_until(lambda: not keepers() - before, what="the keeper's end")


def test_a_lease_that_was_lost_is_not_renewed_any_more() -> None:
    leases, before = Renewed(), keepers()
    keeper = LeaseKeeper(leases, every_seconds=EVERY_SECONDS)
    lost, kept = a_lease(leases, "lost"), a_lease(leases, "kept")
    leases.leave_duty(lost)

    with keeper.kept(lost), keeper.kept(kept):
        wait_until(lambda: leases.renewed.count(kept.token) > 3, what="renewals of the other")
        assert leases.renewed.count(lost.token) == 1
    wait_until(lambda: not keepers() - before, what="the keeper's end")
