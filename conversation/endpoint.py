"""DynamoDB's wire protocol: one signed POST a call, over connections that stay open.

botocore finds the region, the endpoint and the credentials, and names the errors, as in every other program; what is left out is its way from
a call to the request and back through a model of the service, which costs more than all the rest together
(`docs/decisions/0019-dynamodb-without-the-model.md`).

The protocol: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html.
"""

from __future__ import annotations

import json
import random
import time
import uuid
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import botocore.session
from botocore.exceptions import ClientError, HTTPClientError, NoCredentialsError
from botocore.exceptions import ConnectionError as NotConnected
from botocore.httpsession import where
from botocore.utils import get_environ_proxies

from conversation.signing import Signer
from conversation.wire import Way, Wire

#: The version of the protocol that every operation's name stands behind.
TARGET: Final = "DynamoDB_20120810"
#: The pause before the n-th repetition is drawn evenly below this, doubled each time: 25 ms, 50 ms, ... DynamoDB's own clients begin with 50 ms.
RETRY_PAUSE_SECONDS: Final = 0.05
#: Answers that say nothing of what was asked, but of the moment at which it was asked.
_MOMENTARY: Final = frozenset({500, 502, 503, 504})
#: Operations whose repetition DynamoDB recognizes by a token: botocore gives each call one, and so do we.
_TOKENED: Final = frozenset({"TransactWriteItems"})
_THROTTLED: Final = frozenset(
    {
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottledException",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "TransactionInProgressException",
        "RequestLimitExceeded",
        "LimitExceededException",
        "InternalServerError",
        "ServiceUnavailable",
    }
)

Answer = dict[str, Any]  # Any: DynamoDB's own JSON


class Endpoint:
    """Where one region's DynamoDB, or whatever speaks its protocol, is asked. Threads share it.

    `url` is its address; `connections` so many are kept open; `attempts` counts the first one.
    """

    def __init__(  # noqa: PLR0913 - all of them are numbers with names
        self,
        session: botocore.session.Session,
        *,
        url: str,
        region: str,
        connect_seconds: float,
        read_seconds: float,
        attempts: int,
        connections: int,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._session = session
        self._credentials = session.get_credentials()
        self._url = url.rstrip("/") + "/"
        self._signer = Signer(self._url, service="dynamodb", region=region)
        self._attempts = attempts
        self._sleep = sleep
        self._rng = random.Random()  # noqa: S311 - jitter, not cryptography
        way = Way(
            url=self._url,
            connect_seconds=connect_seconds,
            read_seconds=read_seconds,
            authorities=self._authorities(),
            proxy=self._proxy(),
        )
        self._wire = Wire(way, connections=connections)

    def ask(self, operation: str, request: Mapping[str, Any]) -> Answer:
        """Carry out an operation, as `UpdateItem`, with its members as DynamoDB documents them.

        What is worth repeating is repeated, `attempts` times in all. Raises botocore's errors: `ClientError` for a refusal, with the answer's own
        members in `response`; `NoCredentialsError`; `ConnectionError` and `HTTPClientError` where there was no answer.
        """
        if operation in _TOKENED and "ClientRequestToken" not in request:
            request = {**request, "ClientRequestToken": str(uuid.uuid4())}
        body = json.dumps(request, separators=(",", ":"), ensure_ascii=False).encode()
        for attempt in range(1, self._attempts):
            try:
                return self._once(operation, body)
            except ClientError as exc:
                if not is_momentary(exc):
                    raise
            except (HTTPClientError, NotConnected):
                pass
            self._sleep(self._rng.uniform(0, RETRY_PAUSE_SECONDS * 2 ** (attempt - 1)))
        return self._once(operation, body)

    def _once(self, operation: str, body: bytes) -> Answer:
        if self._credentials is None:
            raise NoCredentialsError
        # whoever has credentials that expire gets fresh ones here
        known = self._credentials.get_frozen_credentials()
        status, headers, data = self._wire.post(body, self._signer.headers(known, f"{TARGET}.{operation}", body))
        told = headers.get("x-amz-crc32")
        if told is not None and int(told) != zlib.crc32(data):
            raise HTTPClientError(error="the answer is not the one that was sent")
        try:
            answer = json.loads(data)
        except ValueError:
            answer = None
        if status != 200:  # noqa: PLR2004 - HTTP's OK
            raise _refusal(operation, status, answer, headers)
        if not isinstance(answer, dict):
            # whoever answers so is not DynamoDB: an empty answer would pass for a row that is not there
            raise HTTPClientError(error="the answer is none of DynamoDB's")
        return answer

    def _authorities(self) -> str:
        """The file of the authorities that the environment believes."""
        if not self._url.startswith("https:"):
            return ""
        return str(self._session.get_config_variable("ca_bundle") or where())

    def _proxy(self) -> str:
        """The way that the environment wants it to go, by Python's rules."""
        proxies = get_environ_proxies(self._url)
        return str(proxies.get(self._url.partition(":")[0]) or proxies.get("all") or "")


def _refusal(operation: str, status: int, answer: Any, headers: Mapping[str, str]) -> ClientError:
    told = answer if isinstance(answer, dict) else {}
    code = str(told.get("__type") or status).rpartition("#")[2]
    response = {
        **told,
        "Error": {"Code": code, "Message": str(told.get("message") or told.get("Message") or f"HTTP {status}")},
        "ResponseMetadata": {
            "HTTPStatusCode": status,
            "RequestId": headers.get("x-amzn-requestid", ""),
            "HTTPHeaders": dict(headers.items()),
            "RetryAttempts": 0,
            "HostId": "",
        },
    }
    return ClientError(response, operation)  # type: ignore[arg-type]  # the answer's own members beside the error


def is_momentary(exc: ClientError) -> bool:
    """Whether another moment may be answered otherwise: throttled, or a server in trouble, whatever it said."""
    status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status in _MOMENTARY or exc.response.get("Error", {}).get("Code") in _THROTTLED
