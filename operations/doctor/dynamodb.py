"""Check both tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from conversation import schema
from conversation.dynamodb import DynamoDB
from conversation.errors import StoreAway, StoreRefuses, TableMissing
from operations.doctor.findings import Result, ok, warning, wrong
from runtime.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import CreateTableInputTypeDef


def check(chosen: Settings) -> Iterator[Result]:
    """Check that both tables can be described and are ours."""
    wanted = chosen.dynamodb
    tables = DynamoDB(region_name=wanted.region, endpoint_url=wanted.endpoint_url, attempts=1)
    try:
        for table in (schema.conversations(wanted.conversations_table), schema.messages(wanted.messages_table)):
            yield from _table(tables, table, expires=bool(wanted.retention_days))
    except StoreRefuses as exc:
        what = f"the tables cannot be described: {exc.code}" if exc.code else str(exc)
        yield wrong(what, "grant dynamodb:DescribeTable on both tables, or use other credentials")
    except (StoreAway, ValueError) as exc:
        place = wanted.endpoint_url or f"DynamoDB in {wanted.region}"
        remedy = "set AWS_ENDPOINT_URL to the address of DynamoDB, or leave it empty for AWS itself"
        yield wrong(f"{place} does not answer ({type(exc.__cause__ or exc).__name__})", remedy)


def _table(tables: DynamoDB, wanted: CreateTableInputTypeDef, *, expires: bool) -> Iterator[Result]:
    name = wanted["TableName"]
    try:
        yield _described(tables.described(name), wanted)
    except TableMissing:
        yield warning(
            f"there is no table {name}",
            "the first worker creates it, with permission for dynamodb:CreateTable; "
            "or set DYNAMODB_TABLE_NAME and DYNAMODB_MESSAGES_TABLE_NAME",
        )
        return
    if expires and tables.expiry(name) != schema.EXPIRES:
        yield wrong(
            f"RETENTION_DAYS is set, but {name} deletes nothing",
            f"aws dynamodb update-time-to-live --table-name {name} "
            f"--time-to-live-specification Enabled=true,AttributeName={schema.EXPIRES}",
        )


def _described(table: Any, wanted: CreateTableInputTypeDef) -> Result:  # Any: boto3's own shapes
    name = wanted["TableName"]
    if _keys(table) != _keys(wanted):
        return wrong(
            f"{name} is a table of another application: its key is {', '.join(key for key, _ in _keys(table))}",
            "name another table in DYNAMODB_TABLE_NAME or DYNAMODB_MESSAGES_TABLE_NAME; the first start creates it",
        )
    missing = _indexes(wanted) - _indexes(table)
    if missing:
        return wrong(
            f"{name} has no index {', '.join(sorted(missing))}",
            "a local index can only be created with its table: export, delete the table, "
            "start a worker, which creates it again, and import",
        )
    billing = table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED")
    if billing == "PROVISIONED" and table.get("ProvisionedThroughput", {}).get("WriteCapacityUnits"):
        return warning(
            f"{name} has a fixed capacity: a burst of texts is throttled and waits",
            f"aws dynamodb update-table --table-name {name} --billing-mode PAY_PER_REQUEST",
        )
    return ok(f"{name} exists, with its indexes")


def _keys(table: Any) -> list[tuple[str, str]]:  # Any: boto3's own shapes
    return [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]]


def _indexes(table: Any) -> set[str]:  # Any: boto3's own shapes
    kinds = ("LocalSecondaryIndexes", "GlobalSecondaryIndexes")
    return {index["IndexName"] for kind in kinds for index in table.get(kind, ())}
