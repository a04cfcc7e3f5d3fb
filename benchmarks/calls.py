"""Measure the CPU time of a DynamoDB call by our endpoint, botocore's signer with urllib3, and boto3.

Each makes the same update of a row of two kilobytes. The CPU time is that of this process, system calls included; the
store is another process. A run with eight threads shows what the interpreter lock adds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import boto3
import botocore.config
import botocore.session
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from benchmarks import turns
from benchmarks.report import Study
from conversation.endpoint import TARGET, Endpoint
from conversation.signing import CONTENT_TYPE

REGION: Final = "us-east-1"
THREADS: Final = 8
OURS, SIGNER, STOCK = "ours", "botocore's signer, urllib3", "boto3"
#: Metric, by the number of threads that call at once.
CPU: Final = {1: "milliseconds of CPU a call, 1 thread", THREADS: f"milliseconds of CPU a call, {THREADS} threads"}

Request = dict[str, Any]  # Any: DynamoDB's own members


def update() -> Request:
    """Return an update like those of a turn: a condition, a few attributes, and a window of text."""
    return {
        "TableName": "PlainConversations",
        "Key": {"user_id": {"S": "+15550000001"}},
        "UpdateExpression": "SET #messages = :messages, #updated_at = :now, #version = :version",
        "ConditionExpression": "attribute_not_exists(#gone)",
        "ExpressionAttributeNames": {
            "#messages": "messages", "#updated_at": "updated_at", "#version": "version", "#gone": "gone",
        },
        "ExpressionAttributeValues": {
            ":messages": {"S": "the cat says prrt. " * 100},
            ":now": {"S": "2026-11-26T00:00:00+00:00"},
            ":version": {"N": "1"},
        },
        "ReturnValues": "ALL_NEW",
    }  # fmt: skip


def ours(url: str) -> Callable[[], object]:
    """Return a call through our endpoint."""
    endpoint = Endpoint(
        botocore.session.get_session(), url=url, region=REGION, connect_seconds=2, read_seconds=4, attempts=3,
        connections=THREADS,
    )  # fmt: skip
    return lambda: endpoint.ask("UpdateItem", update())["Attributes"]


def signer(url: str) -> Callable[[], object]:
    """Return a call through botocore's signer and urllib3: boto3 without its layers."""
    credentials = botocore.session.get_session().get_credentials()
    pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=2, read=4), maxsize=THREADS)

    def ask() -> object:
        body = json.dumps(update()).encode()
        headers = {"X-Amz-Target": f"{TARGET}.UpdateItem", "Content-Type": CONTENT_TYPE}
        request = AWSRequest("POST", f"{url}/", headers=headers, data=body)
        SigV4Auth(credentials, "dynamodb", REGION).add_auth(request)
        answer = pool.urlopen("POST", f"{url}/", body=body, headers=dict(request.headers.items()), retries=False)
        return json.loads(answer.data)["Attributes"]

    return ask


def stock(url: str) -> Callable[[], object]:
    """Return a call through the stock boto3 client."""
    config = botocore.config.Config(max_pool_connections=THREADS)
    client: Any = boto3.client("dynamodb", endpoint_url=url, region_name=REGION, config=config)
    return lambda: client.update_item(**update())["Attributes"]


def cpu_of(ask: Callable[[], object], *, calls: int, threads: int) -> float:
    """Return this process's milliseconds of CPU a call, over `calls` calls by `threads` threads."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: ask(), range(2 * threads)))
        before = time.process_time()
        list(pool.map(lambda _: ask(), range(calls)))
        return 1000 * (time.process_time() - before) / calls


def study(*, quick: bool = False) -> Study:
    """Run the study."""
    results = Study(
        name="calls", title="What a call to DynamoDB costs, in milliseconds of CPU", command="scripts/bench calls"
    )
    turns.local_credentials()
    with turns.house(thinks=0) as at:
        url = at.env["AWS_ENDPOINT_URL"]
        turns.plain_table(url)
        contestants = {name: start(url) for name, start in ((OURS, ours), (SIGNER, signer), (STOCK, stock))}
        for _ in range(1 if quick else 8):
            for threads, what in CPU.items():
                for name, ask in contestants.items():
                    results.add(what, name, cpu_of(ask, calls=50 if quick else 400, threads=threads))
    for threads, what in CPU.items():
        results.notes.append(
            f"With {threads} at a time, boto3 costs {results.ratio(what, STOCK, OURS)} times as much, "
            f"botocore's signer over urllib3 {results.ratio(what, SIGNER, OURS)} times."
        )
    return results
