"""Values on their way to DynamoDB and back, beside Amazon's own translation."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from conversation.values import plain, serialize

SCALARS = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text() | st.sets(st.text(), min_size=1)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(min_size=1), inner), max_leaves=20
)


def in_order(value: Any) -> Any:
    """Sets have no order, but their lists do."""
    if isinstance(value, dict):
        return {name: sorted(one) if name == "SS" else in_order(one) for name, one in value.items()}
    return [in_order(one) for one in value] if isinstance(value, list) else value


@given(VALUES)
def test_what_is_written_is_what_amazons_library_writes(value: Any) -> None:
    assert in_order(serialize(value)) == in_order(TypeSerializer().serialize(value))


@given(VALUES)
def test_what_was_written_is_read_as_it_was(value: Any) -> None:
    assert plain({"it": serialize(value)}) == {"it": value}
    assert plain({"it": serialize(value)})["it"] == TypeDeserializer().deserialize(dict(serialize(value)))  # type: ignore[arg-type]  # any of its types


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("1E+3", 1000), ("0.5", 0.5), ("-2.0", -2)])
def test_a_number_is_whole_where_it_can_be(text: str, number: float) -> None:
    read = plain({"n": {"N": text}, "ns": {"NS": [text]}})
    assert read == {"n": number, "ns": {number}}
    assert type(read["n"]) is type(number)


def test_decimals_and_fractions_go_as_they_are() -> None:
    assert serialize(Decimal("0.10")) == {"N": "0.10"}
    assert serialize(0.1) == {"N": "0.1"}


@pytest.mark.parametrize("value", [set(), object(), {1, 2}])
def test_what_dynamodb_has_no_type_for_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="no type for"):
        serialize(value)


def test_a_type_that_is_none_of_ours_is_told_by_its_letter() -> None:
    with pytest.raises(ValueError, match="type B "):
        plain({"blob": {"B": "AA=="}})
