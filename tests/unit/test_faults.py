"""Rules strike by their seed; an unusable rule is refused and changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.faults import Faults, UnusableRule

PEOPLE = [f"+1555000{n:04d}" for n in range(40)]


def a_day(seed: int, order: list[str]) -> dict[str, list[bool]]:
    faults = Faults()
    faults.set([{"at": "create", "do": "drop", "rate": 0.3}], seed=seed)
    day: dict[str, list[bool]] = {person: [] for person in PEOPLE}
    for person in order:
        day[person].append(faults.draw("create", person, "SM1") is not None)
    return day


def test_the_same_seed_gives_the_same_day_in_whatever_order_people_come() -> None:
    first, second = a_day(7, PEOPLE * 3), a_day(7, [person for person in PEOPLE for _ in range(3)])

    assert first == second
    assert first != a_day(8, PEOPLE * 3)
    struck = sum(sum(day) for day in first.values())
    assert 20 < struck < 52


def test_a_rule_strikes_so_often_and_only_its_person() -> None:
    faults = Faults()
    faults.set([{"at": "webhook", "do": "double", "times": 2, "person": PEOPLE[0]}])

    struck = [faults.draw("webhook", person, "SM1") is not None for person in (PEOPLE[1], *[PEOPLE[0]] * 4)]

    assert struck == [False, True, True, False, False]
    assert [strike.person for strike in faults.log] == [PEOPLE[0]] * 2


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"at": "moon", "do": "drop"}, "at"),
        ({"at": "create", "do": "explode"}, "do"),
        ({"at": "create", "do": "drop", "rate": 2}, "rate"),
        ({"at": "create", "do": "drop", "often": 2}, "often"),
        ({"at": "create", "do": "slow", "seconds": "long"}, "seconds"),
        ("drop", "object"),
    ],
)
def test_an_unusable_rule_is_told_so_and_changes_nothing(rule: object, message: str) -> None:
    faults = Faults()
    faults.set([{"at": "create", "do": "drop"}])

    with pytest.raises(UnusableRule, match=message):
        faults.set([rule])

    assert [kept["do"] for kept in faults.describe()["rules"]] == ["drop"]


def test_a_scenario_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "day.toml"
    path.write_text('seed = 3\n[[rules]]\nat = "list"\ndo = "lag"\nseconds = 90\n')

    faults = Faults.from_file(path)

    rule = faults.draw("list", PEOPLE[0], "")
    assert rule is not None
    assert rule.lag == 90
    assert faults.describe()["seed"] == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"seed = [", "Invalid value"),
        (b"\xff\xff", "utf-8"),
        (b"rules = 5", "rules: must be a list"),
        (b"seed = true", "seed: must be a whole number"),
        (b'[[rules]]\nat = "moon"\ndo = "drop"', "at: must be one of create"),
    ],
)
def test_a_scenario_file_that_cannot_be_used_is_named_with_its_fault(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "day.toml"
    path.write_bytes(content)

    with pytest.raises(UnusableRule, match=rf"day\.toml: .*{message}"):
        Faults.from_file(path)
