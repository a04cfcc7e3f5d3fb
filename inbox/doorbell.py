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
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from itertools import count
from typing import Final, NamedTuple
from uuid import uuid4

#: What stands in `doorbell.json` where something is filled in.
_SLOT: Final = re.compile(r"<(task|id|tag|args|argsrepr|origin)>")
#: The slots that differ from bell to bell, in the order in which they come in the message.
_DIFFERING: Final = ("args", "id", "id", "argsrepr", "id", "tag")
#: A JSON string that has to be escaped nowhere, and no quote of Python's either: what our own ids and hashes are made of.
_PLAIN: Final = re.compile(r"[\w.:@#-]*", re.ASCII)
#: Ids that are handed out together: two for each bell of a call.
MOST_IDS: Final = 512


class Bells(NamedTuple):
    """What bells with one argument have in common, for whoever makes them on the spot: a script in Redis."""

    #: The message around what differs: the argument in base64, the id, the id, the argument, the id, the delivery tag.
    pieces: Sequence[bytes]
    #: How all ids begin; 12 hexadecimal digits follow.
    ids: bytes
    #: The first of the numbers that end them, two for each bell: its id's, its tag's.
    first: int


def ring(task: str, *args: str) -> bytes:
    """One message that asks a worker for `task`; every call makes a new one, with ids of its own.

    Raises `ValueError` for an argument that is more than a plain name: bells carry nothing else.
    """
    named = '", "'.join(args)
    if not _PLAIN.fullmatch("".join(args)):
        raise ValueError("a doorbell carries plain names")
    before, after = _body()
    body = b2a_base64((f'{before}"{named}"{after}' if args else before + after).encode(), newline=False)
    pieces, ids, numbers = _template(task, os.getpid())
    number = next(numbers)
    task_id, tag = b"%b%012x" % (ids, number), b"%b%012x" % (ids, number + 1)
    differing = (body, task_id, task_id, repr([*args]).encode(), task_id, tag, b"")
    return b"".join(part for both in zip(pieces, differing, strict=True) for part in both)


def bells(task: str, number: int) -> Bells:
    """As much as is needed to make so many bells, of which each carries one plain name: `encoded` says how."""
    if 2 * number > MOST_IDS:
        raise ValueError(f"no more than {MOST_IDS // 2} bells at once")
    pieces, ids, numbers = _named(task, os.getpid())
    return Bells(pieces, ids, next(numbers))


def encoded(name: str) -> bytes:
    """A name as it stands in the body of its bell. Raises `ValueError` for more than a plain name, or one that does not fill groups of base64."""
    if len(name) % 3 or not _PLAIN.fullmatch(name):
        raise ValueError("a plain name, of a length that three divides")
    return b2a_base64(name.encode("ascii"), newline=False)


@cache
def _template(task: str, process: int) -> tuple[Sequence[bytes], bytes, Iterator[int]]:
    """The message around what differs, the rest filled in; how its ids begin, as UUIDs do (RFC 9562); and their count."""
    fixed = {"task": task, "origin": f"gen{process}@{socket.gethostname()}"}
    text = _SLOT.sub(lambda slot: fixed.get(slot[1], slot[0]), json.dumps(_built()["message"]))
    assert tuple(slot[1] for slot in _SLOT.finditer(text)) == _DIFFERING, "scripts/doorbell wrote another order"
    # every other part is the name of a slot
    pieces = tuple(piece.encode() for piece in _SLOT.split(text)[::2])
    return pieces, str(uuid4())[:24].encode(), count(1, MOST_IDS)


@cache
def _named(task: str, process: int) -> tuple[Sequence[bytes], bytes, Iterator[int]]:
    """The same around the name itself, with what stands at its sides in the body and in the representation."""
    before, after = _body()
    opened, closed = f'{before}"'.encode(), f'"{after}'.encode()
    assert len(opened) % 3 == 0, "what stands before the name fills whole groups of base64"
    first, second, third, fourth, *rest = _template(task, process)[0]
    pieces = (
        first + b2a_base64(opened, newline=False), b2a_base64(closed, newline=False) + second, third, fourth + b"['", b"']" + rest[0], *rest[1:],
    )  # fmt: skip
    return pieces, *_template(task, process)[1:]


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
