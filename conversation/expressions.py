"""Rows, updates and conditions in DynamoDB's own form."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from boto3.dynamodb.conditions import ConditionBase, ConditionExpressionBuilder
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from conversation.table import Append, Check, Delete, IfMissing, Plus, Query, Row, Update

_serializer: Final = TypeSerializer()
_deserializer: Final = TypeDeserializer()


def item_of(row: Row) -> dict[str, Any]:
    """Return a row in DynamoDB's own form."""
    return {name: _serializer.serialize(value) for name, value in row.items()}


def row(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of an item in DynamoDB's own form."""
    return {name: _plain(_deserializer.deserialize(value)) for name, value in item.items()}


def _plain(value: Any) -> Any:
    """Return whole numbers as int, others as float: boto3 reads every number as a Decimal."""
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case dict():
            return {name: _plain(held) for name, held in value.items()}
        case list():
            return [_plain(held) for held in value]
        case set():
            return {_plain(held) for held in value}
    return value


def request_of(write: Update | Check | Delete) -> dict[str, Any]:
    """Return the arguments of a call, or of a part of a transaction."""
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    request: dict[str, Any] = {
        "TableName": write.table,
        "Key": item_of(write.key),
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    if isinstance(write, Update):
        request["UpdateExpression"] = _update_expression(write, names, values)
    if write.when is not None:
        request["ConditionExpression"] = _render(ConditionExpressionBuilder(), write.when, names, values)
    return request | _placeholders(names, values)


def _update_expression(update: Update, names: dict[str, str], values: dict[str, Any]) -> str:
    sets, adds = [], []
    for name, value in update.set.items():
        names[f"#{name}"] = name
        match value:
            case IfMissing(held):
                values[f":{name}"] = held
                sets.append(f"#{name} = if_not_exists(#{name}, :{name})")
            case Plus(by):
                values |= {f":{name}": by, ":zero": 0}
                sets.append(f"#{name} = if_not_exists(#{name}, :zero) + :{name}")
            case Append(held):
                values |= {f":{name}": [held], ":empty": []}
                sets.append(f"#{name} = list_append(if_not_exists(#{name}, :empty), :{name})")
            case _:
                values[f":{name}"] = value
                sets.append(f"#{name} = :{name}")
    for name, addend in update.add.items():
        names[f"#{name}"] = name
        values[f":{name}"] = addend
        adds.append(f"#{name} :{name}")
    names |= {f"#{name}": name for name in update.remove}
    clauses = {"SET": sets, "ADD": adds, "REMOVE": [f"#{name}" for name in update.remove]}
    return " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses.items() if parts)


def page_request_of(query: Query) -> dict[str, Any]:
    """Return the arguments of a call that reads a page."""
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    builder = ConditionExpressionBuilder()
    request: dict[str, Any] = {"TableName": query.table, "ConsistentRead": query.consistent}
    if query.where is not None:
        request["KeyConditionExpression"] = _render(builder, query.where, names, values, is_key_condition=True)
        request["ScanIndexForward"] = not query.newest_first
    if query.only is not None:
        request["FilterExpression"] = _render(builder, query.only, names, values)
    if query.attributes:
        names |= {f"#{name}": name for name in query.attributes}
        request["ProjectionExpression"] = ", ".join(f"#{name}" for name in query.attributes)
    optional = {"IndexName": query.index, "Limit": query.limit}
    request |= {name: value for name, value in optional.items() if value is not None}
    if query.after is not None:
        request["ExclusiveStartKey"] = item_of(query.after)
    return request | _placeholders(names, values)


def _render(
    builder: ConditionExpressionBuilder,
    condition: ConditionBase,
    names: dict[str, str],
    values: dict[str, Any],
    *,
    is_key_condition: bool = False,
) -> str:
    built = builder.build_expression(condition, is_key_condition=is_key_condition)
    names |= built.attribute_name_placeholders
    values |= built.attribute_value_placeholders
    return str(built.condition_expression)


def _placeholders(names: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
    filled: dict[str, Any] = {}
    if names:
        filled["ExpressionAttributeNames"] = dict(names)
    if values:
        filled["ExpressionAttributeValues"] = item_of(values)
    return filled
