"""Held against botocore's own signer: the same request, the same signature."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from unittest.mock import patch

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from conversation.signing import CONTENT_TYPE, Signer

MOMENT = datetime(2026, 11, 27, 23, 59, 59, tzinfo=UTC)
KNOWN = Credentials("an id", "a secret").get_frozen_credentials()


def theirs(url: str, region: str, credentials: ReadOnlyCredentials, target: str, body: bytes) -> dict[str, str]:
    request = AWSRequest("POST", url, headers={"X-Amz-Target": target, "Content-Type": CONTENT_TYPE}, data=body)
    with patch("botocore.auth.get_current_datetime", return_value=MOMENT.replace(tzinfo=None)):
        SigV4Auth(credentials, "dynamodb", region).add_auth(request)
    return {name.lower(): " ".join(str(value).split()) for name, value in request.headers.items()}


def ours(url: str, region: str, credentials: ReadOnlyCredentials, target: str, body: bytes) -> dict[str, str]:
    signer = Signer(url, service="dynamodb", region=region, clock=MOMENT.utctimetuple)
    lines = signer.headers(credentials, target, body)
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


@pytest.mark.parametrize(
    "url",
    [
        "https://dynamodb.eu-west-1.amazonaws.com/",
        "https://dynamodb.eu-west-1.amazonaws.com:443/",
        "http://127.0.0.1:8000/",
        "http://127.0.0.1:80/",
        "http://[::1]:8000/",
        "http://store.example/below/a path/../it/",
    ],
)
@pytest.mark.parametrize("token", [None, "a/token+of=some length", " spaces  all around\n"])
def test_our_signature_is_botocores(url: str, token: str | None) -> None:
    known = Credentials("an id", "a secret", token).get_frozen_credentials()
    asked = (url, "eu-west-1", known, "DynamoDB_20120810.UpdateItem", b'{"TableName":"t"}')

    assert ours(*asked) == theirs(*asked)


@given(
    body=st.binary(max_size=40), secret=st.text("aZ0+/", max_size=70), region=st.text("az-1", min_size=1, max_size=9)
)
def test_whatever_is_sent_it_is_signed_as_botocore_would(body: bytes, secret: str, region: str) -> None:
    known = Credentials("an id", secret).get_frozen_credentials()
    asked = ("http://127.0.0.1:8000/", region, known, "DynamoDB_20120810.Query", body)

    assert ours(*asked) == theirs(*asked)


def test_the_next_day_has_a_key_of_its_own() -> None:
    times = iter([(2026, 11, 27, 23, 59, 59, 4, 331, 0), (2026, 11, 28, 0, 0, 1, 5, 332, 0)])
    signer = Signer("http://s/", service="dynamodb", region="r", clock=lambda: time.struct_time(next(times)))

    one, two = (signer.headers(KNOWN, "t", b"") for _ in range(2))

    assert "/20261127/r/dynamodb/" in one[3]
    assert "/20261128/r/dynamodb/" in two[3]
