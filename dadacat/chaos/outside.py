"""What can be seen and done from outside: telephones, the network's list, both tables, and Redis by its own port."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import boto3
import httpx
import redis

from dadacat.chaos.auditor import Evidence, Row, SentText, Shown, Talk
from dadacat.chaos.tree import ACCOUNT, NUMBER, TOKEN, wait_until
from inbox import contract

PAGE: Final = 1000
#: A telephone whose network does not answer tries again for so long.
PATIENCE_SECONDS: Final = 30.0


class Outside:
    """The outside of one tree."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._twilio = urls["twilio"]
        self._http = httpx.Client(base_url=self._twilio, auth=(ACCOUNT, TOKEN), timeout=PATIENCE_SECONDS)
        self.redis = redis.Redis.from_url(urls["redis"], socket_timeout=5)
        self._dynamodb = boto3.client(
            "dynamodb", endpoint_url=urls["dynamodb"], region_name="us-east-1",
            aws_access_key_id="local", aws_secret_access_key="local",  # noqa: S106 - the embedded store asks for some word
        )  # fmt: skip
        # the key of an installation that has set none
        self._who_key = hashlib.blake2b(f"dadacat:{ACCOUNT}".encode()).digest()

    def who(self, person: str) -> str:
        """The name under which Redis knows a person."""
        return contract.who(person, self._who_key)

    def waits(self, person: str) -> bool:
        """Whether a text of this person lies in the inbox."""
        try:
            return bool(self.redis.exists(f"inbox:{self.who(person)}"))
        except redis.RedisError:
            return True  # who knows: Redis is being killed right now

    # Telephones

    def text(self, person: str, body: str, *, number: str = NUMBER) -> str:
        """A telephone sends a text; its sid, or nothing where the network refused it."""
        answer = self._http.post("/phone/texts", json={"from": person, "to": number, "body": body})
        return str(answer.json()["sid"]) if answer.is_success else ""

    def post_texts_to(self, url: str, *, fallback: str = "") -> None:
        """Tell the network where the account's numbers have their texts posted."""
        path = f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers"
        for number in self._http.get(f"{path}.json").json()["incoming_phone_numbers"]:
            form = {"SmsUrl": url, "SmsFallbackUrl": fallback}
            self._http.post(f"{path}/{number['sid']}.json", data=form).raise_for_status()

    def misbehave(self, rules: Sequence[Mapping[str, Any]], seed: int | None = None) -> None:
        """Tell the network how to misbehave."""
        asked = {"rules": list(rules), **({"seed": seed} if seed is not None else {})}
        self._http.put("/faults", json=asked).raise_for_status()

    def replies(self, person: str) -> list[dict[str, Any]]:  # Any: Twilio's JSON
        """What the network's list shows to a person, newest first."""
        return self._entries(f"To=%2B{person[1:]}")

    def wait_for_delivery(self, person: str, seconds: float) -> None:
        """Wait until a message of ours has reached a person. Raises `ChaosFailed`."""
        wait_until(
            lambda: any(entry["status"] == "delivered" for entry in self.replies(person)),
            seconds,
            f"a reply to {person}",
        )

    # The list and the tables

    def was_given_up(self, sid: str) -> bool:
        """Whether the network could not hand a text over, and will not try again."""
        answer = self._http.get(f"/phone/road/{sid}")
        return answer.is_success and "lost" in answer.json()["facts"].get("webhook", "")

    def was_looked_at(self) -> bool:
        """Whether a reconciler has looked at the carrier's list; the very first look only notes where the days begin."""
        return any(row["message_key"] == "watermark" for row in self._scan("DadaCatMessages"))

    def shown(self) -> list[Shown]:
        """Our messages as the network's list shows them, oldest first."""
        entries = self._entries(f"From=%2B{NUMBER[1:]}")
        return [
            Shown(
                sid=entry["sid"], person=entry["to"], body=entry["body"], status=entry["status"],
                error_code=entry["error_code"],
            )
            for entry in reversed(entries)
        ]  # fmt: skip

    def _entries(self, query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        uri: str | None = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json?{query}&PageSize={PAGE}"
        while uri:
            answer = self._http.get(uri)
            answer.raise_for_status()
            page = answer.json()
            found += page["messages"]
            uri = page["next_page_uri"]
        return found

    def evidence(
        self,
        texts: Sequence[SentText],
        excuses: Mapping[str, str],
        *,
        silences: frozenset[str] = frozenset(),
        at_rest: bool = False,
    ) -> Evidence:
        """All that the auditor goes by, as it stands now."""
        return Evidence(
            texts=texts, shown=self.shown(), rows=list(self.rows()), talks=list(self.talks()), excuses=excuses,
            silences=silences, at_rest=at_rest,
        )  # fmt: skip

    def rows(self) -> Iterator[Row]:
        """The journal."""
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
        """The conversations."""
        for item in self._scan("DadaCatConversations"):
            window = json.loads(item.get("messages", "[]"))
            yield Talk(person=item["user_id"], window=tuple(str(message.get("key")) for message in window))

    def _scan(self, table: str) -> Iterator[dict[str, Any]]:  # Any: DynamoDB's values
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        for page in pages:
            for item in page["Items"]:
                yield {name: next(iter(value.values())) for name, value in item.items()}

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()
        self.redis.close()
        self._dynamodb.close()
