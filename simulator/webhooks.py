"""Ask the application's webhooks, signed and with Twilio's retry rules, and fetch its media.

https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides (read 2026-11).
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

import httpx

from runtime import logs
from simulator import addresses, twiml
from simulator.bodies import whole_number
from simulator.inspector import Inspector
from sms import signature

#: Concurrent connections to webhooks: tests have hundreds of people who text at once.
CONNECTIONS: Final = 200
#: Twilio's limit of one message's media, and here that of each file.
MOST_MEDIA_BYTES: Final = 5 * 1024 * 1024
#: Time for one file of media. Longer than any server on this machine takes.
MEDIA_SECONDS: Final = 15.0

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request of the network, and what it is for."""

    url: str
    fields: Mapping[str, str]
    #: As in `inspector.Exchange`.
    purpose: str
    message: str
    method: str = "POST"

    @property
    def target(self) -> str:
        """The address without its retry rules; a GET carries its fields in the query."""
        url = addresses.without_fragment(self.url)
        if self.method == "POST" or not self.fields:
            return url
        return f"{url}{'&' if '?' in url else '?'}{urlencode(self.fields)}"

    @property
    def form(self) -> Mapping[str, str]:
        """The fields of the body."""
        return self.fields if self.method == "POST" else {}

    @property
    def shown(self) -> Call:
        """This call for a reader: without the password of an address."""
        fields = {
            name: addresses.without_password(value) if name == "ErrorUrl" else value
            for name, value in self.fields.items()
        }
        return replace(self, url=addresses.without_password(self.url), fields=fields)


@dataclass(frozen=True, slots=True)
class Answer:
    """How the application answered a request."""

    status: int | None
    body: bytes = b""
    content_type: str = ""
    #: The failure in the terms of a retry rule, such as `ct`, `rt` or `5xx`; empty: success.
    failure: str = ""
    #: Its id in the inspector.
    exchange: int = 0

    @property
    def is_taken(self) -> bool:
        """Whether the application answered with success."""
        return self.status is not None and not self.failure

    @property
    def error(self) -> int:
        """Twilio's code for an answer that is no success."""
        return 11205 if self.failure == "ct" else 11200


class Webhooks:
    """The network's client of the application."""

    def __init__(self, inspector: Inspector) -> None:
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=20)
        # the system's authorities, or those in the file that SSL_CERT_FILE names
        self._http = httpx.AsyncClient(verify=ssl.create_default_context(), limits=limits, trust_env=False)
        self._inspector = inspector

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def ask(self, call: Call, *, token: str) -> Answer:
        """Send a request, signed with `token`, by the retry rules in the URL's fragment."""
        rules = RetryRules.of(call.url)
        headers = {
            "User-Agent": "TwilioProxy/1.1",
            "Accept": "*/*",
            "I-Twilio-Idempotency-Token": str(uuid4()),
            "X-Home-Region": "us1",
            "X-Twilio-Signature": signature.sign(token, call.target, call.form),
        }
        if call.method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
        answer = Answer(None, failure="tt")
        try:
            async with asyncio.timeout(rules.total):
                for _ in range(rules.retries + 1):
                    answer = await self._recorded(call, headers, rules, most=twiml.MOST_BYTES)
                    if answer.failure not in rules.on:
                        break
        except TimeoutError:
            # the request that was cut off was the last to be kept: nothing else ran since
            answer = Answer(None, failure="tt", exchange=self._inspector.latest)
        if answer.failure:
            path = urlsplit(call.target).path
            log.warning("webhook failed", url=path, failure=answer.failure, status=answer.status)
        return answer

    async def fetch(self, url: str, *, message: str) -> Answer:
        """Fetch a file of media."""
        call = Call(url=url, fields={}, purpose="media", message=message, method="GET")
        rules = RetryRules(read=MEDIA_SECONDS, total=MEDIA_SECONDS)
        return await self._recorded(call, {"User-Agent": "TwilioProxy/1.1"}, rules, most=MOST_MEDIA_BYTES)

    async def _recorded(self, call: Call, headers: Mapping[str, str], rules: RetryRules, *, most: int) -> Answer:
        """Send a request once and show it to the inspector, also if its time is over before its answer."""
        at, start = time.time(), time.perf_counter()
        answer = Answer(None, failure="tt")
        try:
            answer = await self._once(call, headers, rules, most=most)
        finally:
            is_text, shown = call.purpose != "media", call.shown
            exchange = self._inspector.add(
                at=at, seconds=time.perf_counter() - start, purpose=call.purpose, message=call.message,
                method=call.method, url=shown.target, headers=dict(headers), fields=dict(shown.form),
                status=answer.status, failure=answer.failure, content_type=answer.content_type,
                answer=answer.body.decode(errors="replace") if is_text else f"{len(answer.body)} bytes",
            )  # fmt: skip
        return replace(answer, exchange=exchange)

    async def _once(self, call: Call, headers: Mapping[str, str], rules: RetryRules, *, most: int) -> Answer:
        """Send a request once; read one byte more of the answer than it may have, at most."""
        timeout = httpx.Timeout(rules.read, connect=rules.connect, pool=rules.total)
        options: dict[str, Any] = {"data": dict(call.form)} if call.method == "POST" else {}  # Any: httpx's
        body = b""
        try:
            async with self._http.stream(
                call.method, call.target, headers=dict(headers), timeout=timeout, **options
            ) as answer:
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > most:
                        break
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return Answer(None, failure="ct")
        except (httpx.HTTPError, httpx.InvalidURL):
            return Answer(None, failure="rt")
        failure = "" if answer.is_success else f"{answer.status_code // 100}xx"
        return Answer(answer.status_code, body[: most + 1], answer.headers.get("content-type", ""), failure)


def _within(value: str | None, low: int, high: int, default: int) -> int:
    number = whole_number(value or "")
    return number if number is not None and low <= number <= high else default
