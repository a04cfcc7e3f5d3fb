"""What went wrong in a call to DynamoDB, in this package's words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    TokenRetrievalError,
)

from conversation.errors import ConditionFailed, Conflict, NotStorable, StoreAway, StoreRefuses, TableMissing
from conversation.expressions import row

#: Error codes of a permission that is missing.
DENIED: Final = frozenset({"AccessDeniedException", "AccessDenied", "UnrecognizedClientException"})
#: Error codes that another moment may answer differently; so may every status from 500 on.
_THROTTLED: Final = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottledException",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "LimitExceededException",
        "InternalServerError",
        "ServiceUnavailable",
    }
)
_SERVER_ERROR: Final = 500
#: A request that no other moment, no permission and no table makes right.
_NOT_STORABLE: Final = frozenset(
    {"ValidationException", "ValidationError", "SerializationException", "ItemCollectionSizeLimitExceededException",
     "ItemCollectionSizeLimitExceeded"}
)  # fmt: skip
#: Words of a ValidationException that blames the table, not the request.
_WRONG_TABLE: Final = ("does not have the specified index", "does not match the schema")
_CONFLICTS: Final = frozenset({"TransactionConflictException", "TransactionInProgressException"})


@contextmanager
def translated(*tables: str) -> Iterator[None]:
    """Raise what went wrong in this package's words. `tables`: those that the request names."""
    try:
        yield
    except ClientError as exc:
        raise _translation(exc, tables) from exc
    except NoCredentialsError as exc:
        raise StoreRefuses(
            "there are no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role"
        ) from exc
    except (CredentialRetrievalError, PartialCredentialsError, TokenRetrievalError) as exc:
        raise StoreRefuses(f"the AWS credentials cannot be used: {type(exc).__name__}") from exc
    except BotoCoreError as exc:
        raise StoreAway(f"the store cannot be reached: {type(exc).__name__}") from exc


def _translation(exc: ClientError, tables: Sequence[str]) -> Exception:
    error, response = exc.response.get("Error", {}), exc.response
    code, message = str(error.get("Code", "")), str(error.get("Message", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "ConditionalCheckFailedException":
        old: Any = response.get("Item")
        return ConditionFailed([row(old) if old else None])
    if code in _CONFLICTS:
        return Conflict("another transaction holds the same rows")
    if code == "TransactionCanceledException":
        return _cancellation(exc, tables)
    if code in _THROTTLED or status >= _SERVER_ERROR:
        return StoreAway(f"the store refuses for now: {code}")
    names = " and ".join(tables)
    if code == "ResourceNotFoundException":
        return TableMissing(f"table {names} is missing; `dadacat doctor` says more", code=code)
    sentence = f"DynamoDB refuses {exc.operation_name} on {names}: {code}: {message}".rstrip(": ")
    if code in _NOT_STORABLE and not any(words in message for words in _WRONG_TABLE):
        return NotStorable(sentence, code=code)
    return StoreRefuses(sentence, code=code)


def _cancellation(exc: ClientError, tables: Sequence[str]) -> Exception:
    reasons: Any = exc.response.get("CancellationReasons", [])
    codes = {reason.get("Code") for reason in reasons}
    if "ConditionalCheckFailed" in codes:
        return ConditionFailed([row(reason["Item"]) if reason.get("Item") else None for reason in reasons])
    if "TransactionConflict" in codes:
        return Conflict("another transaction holds the same rows")
    if codes & {"ThrottlingError", "ProvisionedThroughputExceeded"}:
        return StoreAway("the store throttles")
    why: Any = next((reason for reason in reasons if reason.get("Code") not in ("None", None)), {})
    code = str(why.get("Code", ""))
    names = " and ".join(tables)
    sentence = f"DynamoDB cancels a transaction on {names}: {code}: {why.get('Message', '')}".rstrip(": ")
    return (NotStorable if code in _NOT_STORABLE else StoreRefuses)(sentence, code=code)
