"""Every request that the network made to the application, and how it was answered.

Kept in memory, the latest only. The signature is shown, because a wrong one is the usual fault of an application;
the token that made it is not, and neither is the password of an address.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from simulator import twiml

#: How many requests are kept.
MOST_REQUESTS: Final = 500
#: How much of an answer is kept: more than any TwiML that a person reads.
MOST_CHARACTERS: Final = 16_384
#: The title of the error of a webhook that redirects by HTTP, which Twilio would follow.
REDIRECTED: Final = "the webhook redirects; this network does not follow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and its answer."""

    id: int
    #: When the request began, in seconds since 1970, and how long it took.
    at: float
    seconds: float
    #: `text`, `fallback`, `redirect`, `status` or `media`.
    purpose: str
    #: The message that it is about.
    message: str
    method: str
    url: str
    headers: Mapping[str, str]
    fields: Mapping[str, str]
    #: None: no answer came.
    status: int | None
    #: Why the answer does not count, in the terms of a retry rule: `ct`, `rt`, `tt`, `4xx`, `5xx`; empty if it counts.
    failure: str
    content_type: str
    answer: str
    is_cut: bool
    #: Twilio's error code and its title, if the answer or its TwiML is wrong.
    error: int | None = None
    error_title: str | None = None


class Inspector:
    """The latest requests. `published` is called with each that is new or changed."""

    def __init__(self, published: Callable[[Mapping[str, Any]], None]) -> None:
        self._exchanges: deque[Exchange] = deque(maxlen=MOST_REQUESTS)
        self._published = published
        self._ids = itertools.count(1)
        #: The id of the request that was added last.
        self.latest = 0

    def add(self, *, answer: str, **facts: Any) -> int:
        """Keep one request, which has no password any more; return its id.

        `facts`: the other fields of an `Exchange`.
        """
        exchange = Exchange(
            id=next(self._ids),
            answer=answer[:MOST_CHARACTERS],
            is_cut=len(answer) > MOST_CHARACTERS,
            **facts,
        )
        self._exchanges.append(exchange)
        self._publish(exchange)
        self.latest = exchange.id
        return exchange.id

    def blame(self, number: int, code: int) -> None:
        """Add Twilio's error code to a request."""
        for place, exchange in enumerate(self._exchanges):
            if exchange.id == number:
                title = REDIRECTED if exchange.failure == "3xx" else twiml.TITLES[code]
                self._exchanges[place] = replace(exchange, error=code, error_title=title)
                self._publish(self._exchanges[place])

    def describe(self, *, message: str = "", after: int = 0) -> list[dict[str, Any]]:  # Any: JSON
        """Return the requests about a message, or about all, that came after an id, oldest first."""
        return [
            asdict(exchange)
            for exchange in self._exchanges
            if exchange.id > after and (not message or exchange.message == message)
        ]

    def clear(self) -> None:
        """Forget all requests."""
        self._exchanges.clear()
        self._published({"kind": "requests"})

    def _publish(self, exchange: Exchange) -> None:
        self._published({"kind": "request", "request": asdict(exchange)})
