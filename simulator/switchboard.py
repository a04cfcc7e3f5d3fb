"""What both directions of the network share: account, stored messages, watchers, work under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

from simulator.account import Account
from simulator.faults import Faults, Rule
from simulator.inspector import Inspector
from simulator.store import Message, Store
from simulator.webhooks import Answer, Call, Webhooks


class Switchboard:
    """The shared state of one network. Reports every change to the watchers, such as the page."""

    def __init__(self, store: Store, account: Account, *, faults: Faults, base_url: str) -> None:
        self.store = store
        self.account = account
        self.faults = faults
        self.base_url = base_url.rstrip("/")
        self.inspector = Inspector(self.publish)
        self._webhooks = Webhooks(self.inspector)
        self._watchers: set[Callable[[Mapping[str, Any]], None]] = set()
        self._under_way: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Cancel the work under way, and close the store and all connections."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._webhooks.close()
        self.store.close()

    def watch(self, watcher: Callable[[Mapping[str, Any]], None]) -> Callable[[], None]:
        """Call `watcher` with every change; call the returned function to stop."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    def publish(self, event: Mapping[str, Any]) -> None:
        """Pass an event to all watchers."""
        for watcher in tuple(self._watchers):
            watcher(event)

    def replace_token(self, token: str) -> None:
        """Replace the account's auth token."""
        self.account = replace(self.account, token=token)

    def save(self, message: Message) -> None:
        """Store a message, and publish its state."""
        self.store.save(message)
        self.publish({"kind": "message", "message": describe(message)})

    def delete(self, message: Message) -> None:
        """Remove a message with its pictures, and publish that it is gone."""
        self.store.delete(message.sid)
        self.publish({"kind": "deleted", "sid": message.sid, "phone": describe(message)["phone"]})

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in the background."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def strike(self, at: str, person: str, sid: str, *, only: frozenset[str] | None = None) -> Rule | None:
        """Return the fault rule that strikes a message at this station, if any, and publish that it did."""
        rule = self.faults.draw(at, person, sid, only=only)
        if rule is not None:
            self.publish({"kind": "faults"})
        return rule

    async def ask(self, call: Call) -> Answer:
        """Send a request to the application, signed with the account's token."""
        return await self._webhooks.ask(call, token=self.account.token)

    async def fetch(self, url: str, *, message: str) -> Answer:
        """Fetch a file of media from the application."""
        return await self._webhooks.fetch(url, message=message)


def describe(message: Message) -> dict[str, Any]:  # Any: JSON
    """Return a message in the form that the page shows."""
    inbound = message.direction == "inbound"
    return {
        "sid": message.sid,
        "phone": message.sender if inbound else message.recipient,
        "number": message.recipient if inbound else message.sender,
        "mine": inbound,
        "body": message.body,
        "status": message.status,
        "created": message.created,
        "segments": message.segments,
        "price": message.price,
        "error_code": message.error_code,
        "media": list(message.media),
        "stations": [list(station) for station in message.stations],
    }
