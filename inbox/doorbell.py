"""Celery's message for one task, ready to be pushed onto its Redis list, without Celery.

The webhook must ring a worker within the round trip that makes a text durable, and Celery publishes only by itself, a millisecond
later. So the message is laid out here as Celery's protocol 2 and kombu's Redis transport have it
(https://docs.celeryq.dev/en/stable/internals/protocol.html); a test holds it against what the installed Celery sends.
"""

from __future__ import annotations

import base64
import json
import socket
from os import getpid
from uuid import uuid4

from inbox import contract

_OPTIONS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def ring(task: str, *args: str) -> bytes:
    """One message that asks a worker for `task`; every call makes a new one, with ids of its own."""
    task_id, tag = str(uuid4()), str(uuid4())
    body = base64.b64encode(json.dumps([args, {}, _OPTIONS]).encode()).decode()
    return json.dumps(
        {
            "body": body,
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": task,
                "id": task_id,
                "shadow": None,
                "eta": None,
                "expires": None,
                "group": None,
                "group_index": None,
                "retries": 0,
                "timelimit": [None, None],
                "root_id": task_id,
                "parent_id": None,
                "argsrepr": repr(list(args)),
                "kwargsrepr": "{}",
                "origin": f"gen{getpid()}@{socket.gethostname()}",
                "ignore_result": True,
                "replaced_task_nesting": 0,
                "stamped_headers": None,
                "stamps": {},
            },
            "properties": {
                "correlation_id": task_id,
                "reply_to": "",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": contract.QUEUE},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": tag,
            },
        }
    ).encode()
