"""The outside view of one process tree.

It sends texts, reads the carrier's message list and both tables, and reaches Redis by its own port.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import boto3
import httpx
import redis

from chaos.auditor import Evidence, Row, SentText, Shown, Talk
from chaos.tree import ACCOUNT, NUMBER, TOKEN, wait_until
from inbox import keys, payloads
from inbox.connection import connect

PAGE: Final = 1000
#: Timeout of a request to the simulated carrier.
PATIENCE_SECONDS: Final = 30.0


class Outside:
    """Clients of the simulated carrier, of Redis and of DynamoDB for one tree."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._twilio = urls["twilio"]
        self._http = httpx.Client(base_url=self._twilio, auth=(ACCOUNT, TOKEN), timeout=PATIENCE_SECONDS)
        self.redis = connect(urls["redis"], socket_timeout=5)
        self._dynamodb = boto3.client(
            "dynamodb", endpoint_url=urls["dynamodb"], region_name="us-east-1",
            aws_access_key_id="local", aws_secret_access_key="local",  # noqa: S106 - any value will do
        )  # fmt: skip
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

    def was_looked_at(self) -> bool:
        """Return whether a reconciler has read the carrier's list once.

        The first reading only records the watermark from which later ones start.
        """
        return any(row["message_key"] == "watermark" for row in self._scan("DadaCatMessages"))

    def shown(self) -> list[Shown]:
        """Return the application's messages from the carrier's list, oldest first."""
        entries = self._entries(f"From=%2B{NUMBER[1:]}")
        return [
            Shown(
                sid=entry["sid"], person=entry["to"], body=entry["body"], status=entry["status"],
                error_code=entry["error_code"],
            )
            for entry in reversed(entries)
        ]  # fmt: skip

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
            texts=texts, shown=self.shown(), rows=list(self.rows()), talks=list(self.talks()), excuses=excuses,
            silences=silences, at_rest=at_rest,
        )  # fmt: skip

    def rows(self) -> Iterator[Row]:
        """Yield the rows of the journal."""
        for row in self._scan("DadaCatMessages"):
            if row["user_id"].startswith("#"):
                continue
            yield Row(
                person=row["user_id"],
                key=row["message_key"],
                state=row.get("state", ""),
                sid=row.get("sid", ""),
                arrived=row.get("arrived", ""),
                answered=row.get("answered_at", ""),
                turn=row.get("turn", ""),
                content=row.get("content", ""),
                number=int(row.get("number", 0)),
                parts=int(row.get("parts", 0)),
                again=bool(row.get("again", False)),
                attempt=row.get("attempt_id", ""),
                repaired="repaired" in row or "restored_at" in row,
                reason=row.get("reason", ""),
            )

    def talks(self) -> Iterator[Talk]:
        """Yield the conversations."""
        for item in self._scan("DadaCatConversations"):
            window = json.loads(item.get("messages", "[]"))
            yield Talk(person=item["user_id"], window=tuple(str(message.get("key")) for message in window))

    def _scan(self, table: str) -> Iterator[dict[str, Any]]:  # Any: DynamoDB's values
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        for page in pages:
            for item in page["Items"]:
                yield {name: next(iter(value.values())) for name, value in item.items()}

    def close(self) -> None:
        """Close all connections."""
        self._http.close()
        self.redis.close()
        self._dynamodb.close()
