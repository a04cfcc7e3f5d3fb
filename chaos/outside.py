"""The outside view of one process tree.

It sends texts, reads the carrier's message list and both tables, and reaches Redis by its own port.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx
import redis

from chaos.auditor import Evidence, ListedMessage, SentText
from chaos.tables import Tables
from chaos.tree import ACCOUNT, NUMBER, TOKEN, wait_until
from inbox import keys, payloads

PAGE: Final = 1000
#: Timeout of a request to the simulated carrier.
PATIENCE_SECONDS: Final = 30.0


class Outside:
    """Clients of the simulated carrier, of Redis and of the tables for one tree."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._twilio = urls["twilio"]
        self._http = httpx.Client(
            base_url=self._twilio, auth=(ACCOUNT, TOKEN), timeout=PATIENCE_SECONDS, trust_env=False
        )
        self.redis = redis.Redis.from_url(urls["redis"], socket_timeout=5)
        self.tables = Tables(urls["dynamodb"])
        #: Messages on the carrier's list that an earlier round accounted for.
        self._accounted: set[str] = set()
        # The default key of an installation that configures none.
        self._who_key = hashlib.blake2b(f"dadacat:{ACCOUNT}".encode()).digest()

    def who(self, person: str) -> str:
        """Return the name that stands for a person in Redis keys."""
        return payloads.who(person, self._who_key)

    def waits(self, person: str) -> bool:
        """Return whether a text of this person is in the inbox; True if Redis does not answer."""
        try:
            return bool(self.redis.exists(keys.texts(self.who(person))))
        except redis.RedisError:
            return True  # Redis is being killed right now

    def text(self, person: str, body: str, *, number: str = NUMBER) -> str:
        """Send a text from a person's telephone. Return its sid, or `""` if the carrier refused it."""
        answer = self._http.post("/phone/texts", json={"from": person, "to": number, "body": body})
        return str(answer.json()["sid"]) if answer.is_success else ""

    def post_texts_to(self, url: str, *, fallback: str = "") -> None:
        """Configure the webhook URL and the fallback URL of each of the account's numbers."""
        path = f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers"
        for number in self._http.get(f"{path}.json").json()["incoming_phone_numbers"]:
            form = {"SmsUrl": url, "SmsFallbackUrl": fallback}
            self._http.post(f"{path}/{number['sid']}.json", data=form).raise_for_status()

    def misbehave(self, rules: Sequence[Mapping[str, Any]], seed: int | None = None) -> None:
        """Replace the fault rules of the simulated carrier."""
        body = {"rules": list(rules), **({"seed": seed} if seed is not None else {})}
        self._http.put("/faults", json=body).raise_for_status()

    def rules_struck(self) -> int:
        """Return how often the current fault rules of the simulated carrier struck."""
        return sum(int(rule["struck"]) for rule in self._http.get("/faults").json()["rules"])

    def replies(self, person: str) -> list[dict[str, Any]]:  # Any: Twilio's JSON
        """Return the messages to a person from the carrier's list, newest first."""
        return self._entries(f"To=%2B{person[1:]}")

    def wait_for_delivery(self, person: str, seconds: float) -> None:
        """Wait until a reply is delivered to a person. Raises `ChaosFailed`."""
        wait_until(
            lambda: any(entry["status"] == "delivered" for entry in self.replies(person)),
            seconds,
            f"a reply to {person}",
        )

    def was_given_up(self, sid: str) -> bool:
        """Return whether the carrier could not deliver a text to the webhook and will not retry."""
        answer = self._http.get(f"/phone/road/{sid}")
        return answer.is_success and "lost" in answer.json()["facts"].get("webhook", "")

    def listed(self) -> list[ListedMessage]:
        """Return the application's messages from the carrier's list, oldest first."""
        entries = self._entries(f"From=%2B{NUMBER[1:]}")
        return [
            ListedMessage(
                sid=entry["sid"], person=entry["to"], body=entry["body"], status=entry["status"],
                error_code=entry["error_code"],
            )
            for entry in reversed(entries)
            if entry["sid"] not in self._accounted
        ]  # fmt: skip

    def forget_messages(self) -> None:
        """Delete every message from the carrier's list; those still under way no longer count."""
        entries = [entry for end in ("From", "To") for entry in self._entries(f"{end}=%2B{NUMBER[1:]}")]
        self._accounted.clear()
        for entry in entries:
            answer = self._http.delete(f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{entry['sid']}.json")
            if answer.is_error:
                self._accounted.add(entry["sid"])

    def _entries(self, query: str) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        uri: str | None = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json?{query}&PageSize={PAGE}"
        while uri:
            answer = self._http.get(uri)
            answer.raise_for_status()
            page = answer.json()
            messages += page["messages"]
            uri = page["next_page_uri"]
        return messages

    def evidence(
        self,
        texts: Sequence[SentText],
        excuses: Mapping[str, str],
        *,
        silences: frozenset[str] = frozenset(),
        at_rest: bool = False,
    ) -> Evidence:
        """Collect the auditor's evidence as of now."""
        return Evidence(
            texts=texts,
            listed=self.listed(),
            rows=list(self.tables.rows()),
            conversations=list(self.tables.conversations()),
            excuses=excuses,
            silences=silences,
            at_rest=at_rest,
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()
        self.redis.close()
        self.tables.close()
