"""The circuit breakers on Redis: one for each place, for all processes, with one probe at a time."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import timedelta
from typing import Any

import pytest
import redis

from inbox import keys
from inbox.circuit import RedisCircuit
from inbox.payloads import Who
from inbox.people import RedisPeople
from inbox.ports import Place, Stop
from sms.ports import Scope
from tests.builders import place_of
from tests.conftest import wait_until

ANN, BEN = Who("a" * 24), Who("b" * 24)
ACCOUNT = Place(Scope.ACCOUNT)
OURS, OTHER = Place(Scope.SENDER, "+15005550006"), Place(Scope.SENDER, "+15005550007")
WHATSAPP = Place(Scope.CHANNEL, "whatsapp:+15005550006")


def alone(who: Who) -> Place:
    return Place(Scope.DESTINATION, who)


def route(who: Who, sender: Place = OURS) -> list[Place]:
    return [ACCOUNT, sender, Place(Scope.CHANNEL, f"sms:{sender.name}"), alone(who)]


def refusal(place: Place, who: Who = ANN, **more: Any) -> Stop:
    return Stop(place=place, who=who, reason="refused", **more)


def circuit_on(server: redis.Redis, *, every: float = 0.5, longest: float = 60) -> RedisCircuit:
    return RedisCircuit(server, probe_every=timedelta(seconds=every), longest_pause=timedelta(seconds=longest))


@pytest.fixture
def circuit(server: redis.Redis) -> RedisCircuit:
    return circuit_on(server)


def woken(server: redis.Redis) -> list[str]:
    """Return for whom wake-up tasks are queued, oldest first, and empty the queue."""
    messages: Any = server.lrange(keys.QUEUE, 0, -1)
    server.delete(keys.QUEUE)
    return [json.loads(b64decode(json.loads(message)["body"]))[0][0] for message in reversed(messages)]


def now_ms(server: redis.Redis) -> int:
    seconds, microseconds = server.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def test_an_open_circuit_lets_one_probe_through_at_a_time(server: redis.Redis) -> None:
    one, other = circuit_on(server), circuit_on(server)
    assert one.passage(route(ANN)).allowed

    assert one.open(refusal(ACCOUNT)) == ACCOUNT
    assert other.open(refusal(ACCOUNT)) is None

    blocked = other.passage(route(BEN))
    assert (blocked.allowed, blocked.stopped, blocked.reason) == (False, ACCOUNT, "refused")
    assert 0 < blocked.wait_ms <= 500
    wait_until(lambda: one.passage(route(ANN)).probes == (ACCOUNT,), seconds=5, what="a probe")
    assert not other.passage(route(BEN)).allowed
    assert one.close([ACCOUNT]) == [ACCOUNT]
    assert one.close([ACCOUNT]) == []
    assert other.passage(route(BEN)).allowed


@pytest.mark.parametrize("place", [OURS, Place(Scope.CHANNEL, "sms:+15005550006"), alone(ANN)])
def test_a_circuit_stops_its_own_place_only(circuit: RedisCircuit, place: Place) -> None:
    circuit.open(refusal(place))

    assert circuit.passage(route(ANN)).stopped == place
    assert circuit.passage(route(BEN, OTHER)).allowed
    assert circuit.passage([ACCOUNT, OTHER, WHATSAPP, alone(BEN)]).allowed
    assert circuit.passage(route(BEN)).allowed is (place == alone(ANN))


def test_a_probe_of_one_place_never_costs_anothers(server: redis.Redis) -> None:
    circuit = circuit_on(server, every=0.2)
    slow = circuit_on(server, every=60)
    circuit.open(refusal(ACCOUNT))
    slow.open(refusal(alone(ANN)))

    wait_until(lambda: not server.exists(keys.probe("")), seconds=5, what="the account's next probe")
    # Ann may not be the account's probe while her own circuit stops her: Ben is
    assert circuit.passage(route(ANN)).stopped == alone(ANN)
    assert circuit.passage(route(BEN)).probes == (ACCOUNT,)


def test_a_sender_is_stopped_only_once_so_many_people_were_refused(circuit: RedisCircuit) -> None:
    assert circuit.open(refusal(OURS, ANN, people=2)) == alone(ANN)
    assert circuit.passage(route(BEN)).allowed
    assert not circuit.passage(route(ANN)).allowed
    assert circuit.open(refusal(OURS, ANN, people=2)) is None

    assert circuit.open(refusal(OURS, BEN, people=2)) == OURS
    assert circuit.passage(route(Who("c" * 24))).stopped == OURS

    # both are free together with the sender
    assert circuit.close([OURS]) == [OURS]
    assert [circuit.passage(route(who)).allowed for who in (ANN, BEN)] == [True, True]


def test_a_delivery_in_between_lays_the_blame_on_the_person(server: redis.Redis, circuit: RedisCircuit) -> None:
    circuit.open(refusal(OURS, ANN, people=2, reported=True))
    circuit.close([OURS, alone(BEN)], delivered_ms=now_ms(server))

    assert circuit.open(refusal(OURS, BEN, people=2, reported=True)) == alone(BEN)


def test_a_message_from_before_the_stop_proves_nothing(server: redis.Redis, circuit: RedisCircuit) -> None:
    before = now_ms(server)
    # Redis's clock must have passed that millisecond
    wait_until(lambda: now_ms(server) > before, what="a later millisecond")
    circuit.open(refusal(OURS, reported=True))

    assert circuit.close([OURS], delivered_ms=before) == []
    assert circuit.close([OURS], delivered_ms=now_ms(server)) == [OURS]


def test_everyone_who_waits_is_woken_at_once_when_a_place_opens(server: redis.Redis, circuit: RedisCircuit) -> None:
    assert circuit.wait(OURS, ANN) is False
    circuit.open(refusal(OURS))
    assert [circuit.wait(OURS, who) for who in (ANN, BEN, ANN)] == [True] * 3
    assert [(place_of(stop), stop.people) for stop in circuit.stopped()] == [(OURS, 2)]

    circuit.close([OURS])

    assert sorted(woken(server)) == [ANN, BEN]
    assert circuit.stopped() == ()
    assert list(server.scan_iter(f"{keys.CIRCUIT}*")) == []


def test_pauses_grow_only_where_they_should_and_up_to_the_longest(server: redis.Redis) -> None:
    circuit = circuit_on(server, every=0.1, longest=0.4)
    pauses = []
    for place, grows in ((ACCOUNT, False), (alone(ANN), True)):
        for _ in range(4):
            wait_until(lambda at=place: circuit.passage([at]).allowed, seconds=5, what="a probe")  # type: ignore[misc]
            # the probe's refusal comes a moment later, and those of messages under way count once
            for _ in range(5):
                circuit.open(refusal(place, grows=grows))
            pauses.append(int(server.hget(keys.circuit(place.key), "pause") or 0))

    assert pauses == [100, 100, 100, 100, 100, 200, 400, 400]


def test_an_accepted_message_is_no_proof_against_a_report_but_a_delivery_is(
    server: redis.Redis, circuit: RedisCircuit
) -> None:
    circuit.open(refusal(OURS, reported=True))

    assert circuit.close([OURS]) == []
    assert not circuit.passage(route(BEN)).allowed
    # it opens by itself if no report contradicts
    assert 0 < server.pttl(keys.circuit(OURS.key)) <= 60_000
    circuit.open(refusal(OURS, reported=True))
    assert server.pttl(keys.circuit(OURS.key)) > 60_000

    assert circuit.close([OURS], delivered_ms=now_ms(server)) == [OURS]
    circuit.open(refusal(OURS))
    assert circuit.close([OURS], delivered_ms=now_ms(server)) == []


def test_people_who_wait_for_a_circuit_that_expired_are_woken(server: redis.Redis, circuit: RedisCircuit) -> None:
    circuit.open(refusal(OURS))
    circuit.wait(OURS, ANN)
    circuit.tidy()
    assert woken(server) == []

    server.delete(keys.circuit(OURS.key))  # as if it had expired
    circuit.tidy()

    assert woken(server) == [ANN]
    assert server.zcard(keys.CIRCUITS) == 0


def test_an_earlier_release_and_this_one_share_the_accounts_circuit(server: redis.Redis, circuit: RedisCircuit) -> None:
    # what an earlier release writes and reads
    server.hset(keys.CIRCUIT, mapping={"since": 1764446233000, "reason": "authentication failed"})
    server.set(keys.PROBE, "1", px=300)

    assert circuit.passage(route(ANN)).reason == "authentication failed"
    assert [(place_of(stop), stop.since_ms) for stop in circuit.stopped()] == [(ACCOUNT, 1764446233000)]
    wait_until(lambda: circuit.passage(route(ANN)).probes == (ACCOUNT,), seconds=5, what="a probe")
    assert server.exists(keys.PROBE)
    circuit.close([ACCOUNT])
    assert not server.exists(keys.CIRCUIT, keys.PROBE)

    circuit.open(refusal(ACCOUNT))
    assert server.hget(keys.CIRCUIT, "reason") == b"refused"
    assert server.ttl(keys.CIRCUIT) == -1
    assert server.exists(keys.PROBE)


def test_nothing_of_a_person_who_is_forgotten_stays(server: redis.Redis, circuit: RedisCircuit) -> None:
    circuit.open(refusal(OURS, BEN, people=2))
    circuit.open(refusal(OURS, ANN, people=2))
    circuit.open(refusal(alone(ANN)))
    circuit.wait(OURS, ANN)
    circuit.wait(alone(ANN), ANN)

    RedisPeople(server).forget(ANN, "+15551230001")

    for name in server.scan_iter("*"):
        assert ANN not in name.decode()
        kind = server.type(name)
        held: Any = server.smembers(name) if kind == b"set" else server.zrange(name, 0, -1) if kind == b"zset" else []
        assert ANN not in str(held)
