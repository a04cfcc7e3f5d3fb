"""Celery's message for one task, ready to be pushed onto its Redis list, without Celery.

The webhook must ring a worker within the round trip that makes a text durable, and Celery publishes only by itself, a millisecond
later. So the message was built once by the installed Celery (`scripts/doorbell` wrote `doorbell.json`), and here it is filled in: ids, arguments
and where it comes from. A test builds it anew and says when another release of Celery would send another.
Layout: protocol 2 (https://docs.celeryq.dev/en/stable/internals/protocol.html), on kombu's Redis transport.
"""

from __future__ import annotations

import json
import os
import re
import socket
from binascii import b2a_base64
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import count
from typing import Final
from uuid import uuid4

#: What stands in `doorbell.json` where something is filled in.
_SLOT: Final = re.compile(r"<(task|id|tag|args|argsrepr|origin)>")
#: A JSON string that has to be escaped nowhere, and no quote of Python's either: what our own ids and hashes are made of.
_PLAIN: Final = re.compile(r"[\w.:@#-]*", re.ASCII)


def ring(task: str, *args: str) -> bytes:
    """One message that asks a worker for `task`; every call makes a new one, with ids of its own.

    Raises `ValueError` for an argument that is more than a plain name: bells carry nothing else.
    """
    named = '", "'.join(args)
    if not _PLAIN.fullmatch("".join(args)):
        raise ValueError("a doorbell carries plain names")
    before, after = _body()
    body = b2a_base64((f'{before}"{named}"{after}' if args else before + after).encode(), newline=False)
    template, ids, numbers = _template(task, os.getpid())
    task_id, tag = b"%b%012x" % (ids, next(numbers)), b"%b%012x" % (ids, next(numbers))
    return template % {b"args": body, b"argsrepr": repr([*args]).encode(), b"id": task_id, b"tag": tag}


@cache
def _template(task: str, process: int) -> tuple[bytes, bytes, Iterator[int]]:
    """The message with all filled in that is the same for every bell of a process; how its ids begin, as UUIDs do (RFC 9562); and their count."""
    fixed = {"task": task, "origin": f"gen{process}@{socket.gethostname()}"}
    text = json.dumps(_built()["message"]).replace("%", "%%")
    template = _SLOT.sub(lambda slot: fixed.get(slot[1], f"%({slot[1]})b"), text).encode()
    return template, str(uuid4())[:24].encode(), count(1)


@cache
def _body() -> tuple[str, str]:
    """What stands before and behind the arguments in a message's body."""
    before, _, after = json.dumps(_built()["body"]).partition('"<args>"')
    return before, after


@cache
def _built() -> dict[str, object]:
    found = json.loads(files("inbox").joinpath("doorbell.json").read_text())
    assert isinstance(found, dict)
    return found
