"""Wake-up tasks as messages for Celery's Redis list.

Celery and kombu build the message of each task once in each process. `message` fills in the id and the person.
The script that stores a text pushes its message in the same step, so that both happen or neither.
Layout: protocol 2 (https://docs.celeryq.dev/en/stable/internals/protocol.html), on kombu's Redis transport.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from functools import cache
from secrets import token_hex
from typing import Any, Final

from inbox import keys

#: Stand-ins for the task's id and for the person, which no other part of a message contains.
_ID: Final = "the-id-of-the-task"
_PERSON: Final = "the-person"
#: The header in which OpenTelemetry's instrumentation of Celery looks for the trace of a task.
_TRACE: Final = "traceparent"

_encode: Final = json.JSONEncoder().encode


def message(task: str, person: str | None = None, trace: str = "") -> bytes:
    """Return a message for `task`, with an id of its own. `person` is its argument, if it has one.

    `trace`: the trace context of what caused it, such as `00-<trace>-<span>-01`.
    """
    template, body = _template(task, with_person=person is not None)
    name = _encode(person)[1:-1] if person is not None else ""
    encoded = b64encode((body % {"person": name}).encode()).decode()
    headers = f'"headers": {{"{_TRACE}": "{trace}", ' if trace else '"headers": {'
    return (template % {"id": token_hex(16), "body": encoded, "person": name, "headers": headers}).encode()


@cache
def _template(task: str, *, with_person: bool) -> tuple[str, str]:
    """Return a message and its body; `%(id)s`, `%(body)s` and `%(person)s` mark what differs."""
    built = sent_by_celery(task, *([_PERSON] if with_person else []))
    body = b64decode(built["body"]).decode()
    built["body"] = "<body>"
    # kombu identifies a delivery and Celery a task: one fresh id serves both
    built["properties"]["delivery_tag"] = _ID
    text = json.dumps(built).replace("%", "%%").replace(_ID, "%(id)s").replace("<body>", "%(body)s")
    text = text.replace(_PERSON, "%(person)s").replace('"headers": {', "%(headers)s", 1)
    return text, body.replace("%", "%%").replace(_PERSON, "%(person)s")


def sent_by_celery(task: str, *args: str) -> dict[str, Any]:  # Any: JSON
    """Return what Celery hands to the transport for one task."""
    # imported here: commands that push no task start without Celery
    from celery import Celery  # noqa: PLC0415
    from kombu import Connection  # noqa: PLC0415
    from kombu.transport import virtual  # noqa: PLC0415

    sent: list[dict[str, Any]] = []

    class Recorder(virtual.Channel):
        """Keeps what is sent."""

        def _put(self, queue: str, message: dict[str, Any], **_: object) -> None:  # noqa: ARG002 - kombu's signature
            sent.append(message)

    class Transport(virtual.Transport):
        """A transport without a broker."""

        Channel = Recorder

    with Connection(transport=Transport) as connection:
        app = Celery(set_as_current=False)
        app.send_task(task, args, task_id=_ID, connection=connection, queue=keys.QUEUE, ignore_result=True)
    [message] = sent
    return message
