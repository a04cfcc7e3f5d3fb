"""Two machines, each a network namespace, on one Redis and one store."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.conftest import SLOWER
from tests.installation import Installation, Machine, Process, installation

pytestmark = [
    pytest.mark.road,
    pytest.mark.long,
    pytest.mark.timeout(240 * SLOWER),
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

ROLES = ("webhook", "worker", "worker", "beat")
TEXTS_PER_SECOND = 10
#: A private network that no other test uses; its first address has Redis, the store and the carrier.
NETWORK = "10.213.77"


@pytest.fixture(scope="module")
def machines() -> Iterator[tuple[Machine, Machine]]:
    bridge = f"dada{os.getpid() % 100_000}"
    names = [f"{bridge}a", f"{bridge}b"]
    try:
        _ip(f"link add {bridge} type bridge")
        _ip(f"address add {NETWORK}.1/24 dev {bridge}")
        _ip(f"link set {bridge} up")
        for number, name in enumerate(names, start=2):
            _ip(f"netns add {name}")
            _ip(f"link add {name}h type veth peer name eth0 netns {name}")
            _ip(f"link set {name}h master {bridge} up")
            _ip(f"-netns {name} address add {NETWORK}.{number}/24 dev eth0")
            _ip(f"-netns {name} link set lo up")
            _ip(f"-netns {name} link set eth0 up")
        first, second = (
            Machine(name, f"{NETWORK}.{number}", ["nsenter", f"--net=/run/netns/{name}"])
            for number, name in enumerate(names, start=2)
        )
        yield first, second
    finally:
        for name in names:
            _ip(f"netns delete {name}", check=False)
        _ip(f"link delete {bridge}", check=False)


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, machines: tuple[Machine, Machine]
) -> Iterator[tuple[Installation, dict[str, list[Process]]]]:
    with installation(tmp_path_factory.mktemp("machines"), f"{NETWORK}.1") as at:
        yield at, {machine.name: [at.start(role, machine=machine) for role in ROLES] for machine in machines}


def test_both_machines_answer(
    running: tuple[Installation, dict[str, list[Process]]], machines: tuple[Machine, Machine]
) -> None:
    at, processes = running

    with at.texting(TEXTS_PER_SECOND):
        for first, second in (machines, machines[::-1]) * 3:
            at.post_texts_to(first, fallback=second)  # as a load balancer shares texts
            time.sleep(1)  # the load, not a wait

    assert at.come_to_rest().good
    for machine in machines:
        workers = [process for process in processes[machine.name] if process.role == "worker"]
        assert sum(worker.count("dadacat_turns_total") for worker in workers) > 0, machine


def test_a_machine_is_emptied_while_the_other_goes_on(
    running: tuple[Installation, dict[str, list[Process]]], machines: tuple[Machine, Machine]
) -> None:
    at, processes = running
    leaving, staying = machines

    with at.texting(TEXTS_PER_SECOND):
        at.post_texts_to(staying, fallback=leaving)
        for process in processes.pop(leaving.name):
            at.stop(process)
        time.sleep(2)  # the load of one machine, not a wait
        processes[leaving.name] = [at.start(role, machine=leaving) for role in ROLES]

    assert at.come_to_rest().good


def test_a_machine_that_is_cut_off_sends_nothing_twice(
    running: tuple[Installation, dict[str, list[Process]]], machines: tuple[Machine, Machine]
) -> None:
    at, _ = running
    cut, staying = machines
    at.post_texts_to(staying)

    with at.texting(TEXTS_PER_SECOND):
        _ip(f"-netns {cut.name} link set eth0 down")
        time.sleep(10)  # longer than a lease
        _ip(f"-netns {cut.name} link set eth0 up")
    verdict = at.come_to_rest(excuse="cut off")

    assert not verdict.doubled
    assert not verdict.lost
    assert not verdict.swapped


def _ip(arguments: str, *, check: bool = True) -> None:
    subprocess.run(["ip", *arguments.split()], check=check, capture_output=not check)
