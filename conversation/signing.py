"""AWS's signature, version 4, for the one shape of request that DynamoDB is sent: a POST of JSON to one address, without a query.

botocore's signer takes requests of any shape apart and sorts what it finds, for a tenth of a turn's CPU
(`docs/decisions/0021-dynamodb-over-libcurl.md`); here the order is written down. The tests hold it against botocore's.
The scheme: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html (read 2026-11).
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Final
from urllib.parse import quote, urlsplit

from botocore.credentials import ReadOnlyCredentials
from botocore.utils import normalize_url_path

CONTENT_TYPE: Final = "application/x-amz-json-1.0"
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


class Signer:
    """Signs requests to `url`, for a service in a region. Threads share it."""

    def __init__(
        self, url: str, *, service: str, region: str, clock: Callable[[], time.struct_time] = time.gmtime
    ) -> None:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        if parts.port == _DEFAULT_PORTS.get(parts.scheme):
            host = host.removesuffix(f":{parts.port}")
        # as it is sent, in the letters in which it was given
        self._host = host
        self._path = quote(normalize_url_path(parts.path), safe="/~")
        self._service = service
        self._region = region
        self._clock = clock

    def headers(self, credentials: ReadOnlyCredentials, target: str, body: bytes) -> Sequence[str]:
        """The header lines of a request for the operation `target`, signed now."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", self._clock())
        # as it is signed, so it is sent: botocore takes superfluous spaces out of it as well
        token = " ".join((credentials.token or "").split())
        name, line = ("x-amz-security-token;", f"x-amz-security-token:{token}\n") if token else ("", "")
        signed = f"content-type;host;x-amz-date;{name}x-amz-target"
        request = (
            f"POST\n{self._path}\n\ncontent-type:{CONTENT_TYPE}\nhost:{self._host}\nx-amz-date:{stamp}\n{line}x-amz-target:{target}\n\n"
            f"{signed}\n{sha256(body).hexdigest()}"
        )
        scope = f"{stamp[:8]}/{self._region}/{self._service}/aws4_request"
        key = _key(credentials.secret_key, stamp[:8], self._region, self._service)
        told = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(key, told.encode(), "sha256").hex()
        lines = [
            f"Content-Type: {CONTENT_TYPE}",
            f"X-Amz-Target: {target}",
            f"X-Amz-Date: {stamp}",
            f"Authorization: AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={signed}, Signature={signature}",
        ]
        if token:
            lines.append(f"X-Amz-Security-Token: {token}")
        return lines


@lru_cache(maxsize=4)
def _key(secret: str, day: str, region: str, service: str) -> bytes:
    """The key of one day."""
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
