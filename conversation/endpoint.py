"""DynamoDB's wire protocol: one signed POST a call, over connections that stay open.

botocore finds the region, the endpoint and the credentials, signs, and names the errors, as in every other program; what is left out is its way from
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
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NotConnected
from botocore.httpsession import create_urllib3_context, where
from botocore.utils import get_environ_proxies

#: The version of the protocol that every operation's name stands behind.
TARGET: Final = "DynamoDB_20120810"
CONTENT_TYPE: Final = "application/x-amz-json-1.0"
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
        self._region = region
        self._attempts = attempts
        self._sleep = sleep
        self._rng = random.Random()  # noqa: S311 - jitter, not cryptography
        self._pool = self._connect(
            timeout=urllib3.Timeout(connect=connect_seconds, read=read_seconds), maxsize=connections
        )

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
        request = AWSRequest(
            "POST",
            self._url,
            headers={"X-Amz-Target": f"{TARGET}.{operation}", "Content-Type": CONTENT_TYPE},
            data=body,
        )
        # whoever has credentials that expire gets fresh ones here
        SigV4Auth(self._credentials.get_frozen_credentials(), "dynamodb", self._region).add_auth(request)
        status, headers, data = self._post(body, dict(request.headers.items()))
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

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        """One request. Its failures are told apart as botocore does."""
        try:
            answer = self._pool.urlopen("POST", self._url, body=body, headers=headers, retries=False, redirect=False)
        except urllib3.exceptions.SSLError as exc:
            raise SSLError(endpoint_url=self._url, error=exc) from exc
        except urllib3.exceptions.NewConnectionError as exc:
            raise EndpointConnectionError(endpoint_url=self._url, error=exc) from exc
        except urllib3.exceptions.ConnectTimeoutError as exc:
            raise ConnectTimeoutError(endpoint_url=self._url, error=exc) from exc
        except urllib3.exceptions.ReadTimeoutError as exc:
            raise ReadTimeoutError(endpoint_url=self._url, error=exc) from exc
        except urllib3.exceptions.ProtocolError as exc:
            raise ConnectionClosedError(endpoint_url=self._url, error=exc) from exc
        except urllib3.exceptions.HTTPError as exc:
            raise HTTPClientError(error=exc) from exc
        return answer.status, answer.headers, answer.data

    def _connect(self, **kept: Any) -> urllib3.PoolManager:  # Any: urllib3's own options
        """Connections as the environment wants them: its certificates, its proxies."""
        if self._url.startswith("https:"):
            bundle = self._session.get_config_variable("ca_bundle") or where()
            kept |= {"ssl_context": create_urllib3_context(), "ca_certs": bundle, "cert_reqs": "CERT_REQUIRED"}
        proxies = get_environ_proxies(self._url)
        proxy = proxies.get(self._url.partition(":")[0]) or proxies.get("all")
        return urllib3.ProxyManager(proxy, **kept) if proxy else urllib3.PoolManager(**kept)


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
