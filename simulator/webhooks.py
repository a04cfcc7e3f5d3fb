"""Post signed forms to the application's webhooks, with Twilio's retry rules.

https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides (read 2026-11).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit, urlunsplit
from uuid import uuid4

import httpx

from runtime import logs
from sms import signature

#: Concurrent connections to webhooks: tests have hundreds of people who text at once.
CONNECTIONS: Final = 200

log = logs.get("simulator")


@dataclass(frozen=True, slots=True)
class RetryRules:
    """Twilio's connection overrides, from the fragment of a webhook URL. Times are in seconds."""

    connect: float = 5.0
    read: float = 15.0
    total: float = 15.0
    retries: int = 1
    on: frozenset[str] = frozenset({"ct"})

    @classmethod
    def of(cls, url: str) -> RetryRules:
        """Parse the fragment of `url`, such as `#rc=3&rp=all`; missing or malformed rules get defaults."""
        given = dict(parse_qsl(urlsplit(url).fragment))
        on = frozenset(given.get("rp", "ct").split(","))
        return cls(
            connect=_within(given.get("ct"), 100, 10_000, 5_000) / 1000,
            read=_within(given.get("rt"), 100, 15_000, 15_000) / 1000,
            total=_within(given.get("tt"), 100, 15_000, 15_000) / 1000,
            retries=_within(given.get("rc"), 0, 5, 1),
            on=frozenset({"4xx", "5xx", "ct", "rt"}) if "all" in on else on,
        )


@dataclass(frozen=True, slots=True)
class Posted:
    """How a webhook answered a request."""

    status: int | None
    body: str = ""
    content_type: str = ""
    #: The failure in the terms of a retry rule, such as `ct`, `rt` or `5xx`; empty: success.
    failure: str = ""

    @property
    def is_taken(self) -> bool:
        """Whether the webhook answered that it has the message."""
        return self.status is not None and not self.failure


class Webhooks:
    """The network's client of the application."""

    def __init__(self) -> None:
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=20)
        self._http = httpx.AsyncClient(limits=limits, trust_env=False)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def post(self, url: str, fields: Mapping[str, str], *, token: str) -> Posted:
        """Post a form, signed with `token`, by the retry rules in the URL's fragment."""
        rules = RetryRules.of(url)
        target = without_fragment(url)
        headers = {
            "User-Agent": "TwilioProxy/1.1",
            "Accept": "*/*",
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
            "I-Twilio-Idempotency-Token": str(uuid4()),
            "X-Home-Region": "us1",
            "X-Twilio-Signature": signature.sign(token, target, fields),
        }
        posted = Posted(None, failure="tt")
        try:
            async with asyncio.timeout(rules.total):
                for _ in range(rules.retries + 1):
                    posted = await self._post_once(target, fields, headers, rules)
                    if posted.failure not in rules.on:
                        break
        except TimeoutError:
            posted = Posted(None, failure="tt")
        if posted.failure:
            log.warning("webhook failed", url=urlsplit(target).path, failure=posted.failure, status=posted.status)
        return posted

    async def _post_once(
        self, url: str, fields: Mapping[str, str], headers: Mapping[str, str], rules: RetryRules
    ) -> Posted:
        timeout = httpx.Timeout(rules.read, connect=rules.connect, pool=rules.total)
        try:
            answer = await self._http.post(url, data=dict(fields), headers=dict(headers), timeout=timeout)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return Posted(None, failure="ct")
        except httpx.HTTPError:
            return Posted(None, failure="rt")
        failure = "" if answer.is_success else f"{answer.status_code // 100}xx"
        return Posted(answer.status_code, answer.text, answer.headers.get("content-type", ""), failure)


def without_fragment(url: str) -> str:
    """Return a URL without its fragment, which holds retry rules and is not sent."""
    return urlunsplit(urlsplit(url)._replace(fragment=""))


def _within(value: str | None, low: int, high: int, default: int) -> int:
    if value is None or not value.isdigit() or not low <= int(value) <= high:
        return default
    return int(value)
