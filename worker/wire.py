"""What Celery itself puts on the wire for a task, with slots where each bell differs: the pattern of `inbox.doorbell`."""

from __future__ import annotations

import base64
import json
from typing import Any

from celery import Celery
from kombu.transport.memory import Channel

from inbox import keys


def doorbell() -> dict[str, Any]:  # Any: JSON
    """The message and its decoded body."""
    message = sent_by_celery(Celery(set_as_current=False), "<task>", "<args>")
    body = json.loads(base64.b64decode(message["body"]))
    headers, properties = message["headers"], message["properties"]
    message["body"] = "<args>"
    for name in ("id", "root_id"):
        headers[name] = "<id>"
    properties["correlation_id"], properties["delivery_tag"] = "<id>", "<tag>"
    headers["argsrepr"], headers["origin"] = "<argsrepr>", "<origin>"
    # nobody reads a result, so nobody is named to whom it could be sent
    properties["reply_to"] = ""
    return {"message": message, "body": body}


def sent_by_celery(app: Celery, task: str, *args: str) -> dict[str, Any]:  # Any: JSON
    """What `send_task` hands to the transport."""
    with app.connection_for_write("memory://") as connection, connection.channel() as channel:
        assert isinstance(channel, Channel)
        producer = app.amqp.Producer(channel)
        app.send_task(task, args=args, queue=keys.QUEUE, producer=producer, ignore_result=True)
        message = channel._get(keys.QUEUE)  # noqa: SLF001 - as its own consumers take one
        assert isinstance(message, dict)
        return message
