"""Python's values as DynamoDB's, and back: `{"S": "text"}`, `{"N": "1"}`.

The types: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html. Binary ones are not among ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

Value = Mapping[str, Any]  # Any: what stands behind the type's letter


def serialize(value: Any) -> Value:
    """A value as DynamoDB takes it. Raises `TypeError` for what it has no type for, an empty set among them."""
    match value:
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int() | float() | Decimal():
            return {"N": str(value)}
        case None:
            return {"NULL": True}
        case Mapping():
            return {"M": {name: serialize(one) for name, one in value.items()}}
        case list() | tuple():
            return {"L": [serialize(one) for one in value]}
        case set() | frozenset() if value and all(isinstance(one, str) for one in value):
            return {"SS": sorted(value)}
    raise TypeError(f"DynamoDB has no type for {type(value).__name__}")


def plain(item: Mapping[str, Value]) -> dict[str, Any]:
    """An item in Python's own values. Raises `ValueError` for a type that is not among ours."""
    return {name: _read(value) for name, value in item.items()}


def _read(value: Value) -> Any:
    ((kind, held),) = value.items()
    try:
        return _READERS[kind](held)
    except KeyError:
        raise ValueError(f"a value of DynamoDB's type {kind} is none of ours") from None


def _number(text: str) -> int | float:
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() else float(number)


def _as_it_is(value: Any) -> Any:
    return value


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "S": _as_it_is,
    "N": _number,
    "BOOL": _as_it_is,
    "NULL": lambda _: None,
    "M": plain,
    "L": lambda values: [_read(value) for value in values],
    "SS": set,
    "NS": lambda texts: {_number(text) for text in texts},
}
