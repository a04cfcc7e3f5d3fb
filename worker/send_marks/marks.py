"""What this process is about to send: one mark for each visit, so that its death leaves no doubt.

A mark says CLAIMING before the claim is sent, BEGUN immediately before the first byte of the request, and REFUSED when
the carrier has answered that it created nothing. If the process dies, a neighbour reads its file
(`worker.send_marks.mark_file`), and an attempt whose mark does not say BEGUN was never made
(`worker.send_marks.proofs`).

The living are settled in the same way: an attempt that its visit had to leave, because a store went away between the
claim and the first byte, is handed to `Marks.abandoned`.
Without a folder marks are kept in memory only, and the doubt that a killed process leaves stays, as protocol.md says.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Final

from inbox.payloads import Who
from runtime.host import REAL, Host
from worker.send_marks.mark_file import MarkFile, MarksUnusable, Slot, State, forget_earlier_boots

#: A folder that cannot hold marks is tried again after this.
AGAIN_SECONDS: Final = 60.0
#: How often a process shows that it lives, so that the age of its file tells since when it does not.
TOUCH_SECONDS: Final = 60.0


class Mark:
    """One visit's mark. A visit makes one attempt at a time."""

    def __init__(self, marks: Marks, slot: Slot, place: int | None) -> None:
        self._marks = marks
        self._slot = slot
        self._place = place

    @property
    def token(self) -> str:
        """Return the token of the lease that the visit takes or holds."""
        return self._slot.token

    def claiming(self, key: str, attempt_id: str, *, fence: int) -> None:
        """Announce an attempt, before its claim is sent."""
        self._slot = replace(self._slot, state=State.CLAIMING, fence=fence, key=key, attempt_id=attempt_id)
        self._place = self._marks.describe(self._place, self._slot)

    def begin(self) -> bool:
        """Record that the request may leave now; return True, for `may_begin`.

        Nothing must stand between this store and the write of the request: a kill there leaves a doubt.
        """
        self._put(State.BEGUN)
        return True

    def refused(self) -> None:
        """Record the carrier's proof that nothing was created."""
        self._put(State.REFUSED)

    def settled(self) -> None:
        """Forget the attempt: its outcome is in the journal."""
        self._put(State.SERVING)
        self._slot = replace(self._slot, key="", attempt_id="")

    def abandon(self) -> None:
        """Leave an attempt whose claim or outcome may not be in the journal; the visit ends."""
        if self._slot.is_proof:
            self._marks.abandon(self._slot, self._place)
            self._place = None
        else:
            self.settled()

    def end(self) -> None:
        """End the visit."""
        if self._place is not None:
            self._marks.free(self._place)
            self._place = None

    def _put(self, state: State) -> None:
        self._slot = replace(self._slot, state=state)
        # last, so that nothing follows it here before the write that it announces
        if self._place is not None:
            self._marks.put(self._place, state)


class Marks:
    """The marks of this process, in a file of `slots` places below `folder`.

    Without a folder they are kept in memory only.

    A forked child has marks of its own. `unusable` hears once why the folder cannot be used; it is tried again, because
    a volume may come later.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        slots: int = 0,
        unusable: Callable[[str], None] = lambda _: None,
        host: Host = REAL,
    ) -> None:
        self._folder = folder
        self._slots = slots
        self._unusable = unusable
        self._host = host
        self._lock = threading.Lock()
        self._pid = 0
        self._again_at = -inf
        self._touch_at = -inf
        self._has_told = False
        self._file: MarkFile | None = None
        self._unused: list[int] = []
        #: By attempt id: the mark, its place, and when it was abandoned.
        self._abandoned: dict[str, tuple[Slot, int | None, float]] = {}

    @property
    def path(self) -> Path | None:
        """Return the file of this process; None if its marks are kept in memory."""
        return self._file.name if self._file is not None else None

    @property
    def folder(self) -> Path | None:
        """Return the folder in which the marks of this boot stand; None if they are kept in memory."""
        return self.path.parent if self.path is not None else None

    def open(self) -> None:
        """Create the file of this process, if it has none. A forked child gets a file of its own."""
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                self._file, self._unused, self._abandoned = None, [], {}
                self._again_at, self._has_told = -inf, False
            if self._file is None and self._host.monotonic() >= self._again_at:
                self._again_at = self._host.monotonic() + AGAIN_SECONDS
                self._create()

    def touch(self) -> None:
        """Show once in `TOUCH_SECONDS` that this process lives."""
        with self._lock:
            if self._file is not None and self._host.monotonic() >= self._touch_at:
                self._touch_at = self._host.monotonic() + TOUCH_SECONDS
                try:
                    self._file.touch()
                except FileNotFoundError:
                    # no neighbour could read it: once no visit uses it, there will be another
                    self._tell("the file of marks was deleted")
                    if len(self._unused) == self._slots and not self._abandoned:
                        self._file.close(delete=False)
                        self._file, self._again_at = None, -inf

    def _create(self) -> None:
        if self._folder is None:
            self._tell("SEND_MARKS_DIR is not set")
            return
        try:
            self._file = MarkFile(self._folder, self._slots, self._host)
            forget_earlier_boots(self._folder, boot=self._file.name.parent.name)
        except MarksUnusable as exc:
            self._tell(str(exc))
            return
        self._unused = list(range(self._slots))

    def _tell(self, why: str) -> None:
        if not self._has_told:
            self._unusable(why)
        self._has_told = True

    def close(self) -> None:
        """End with the process: without a mark in use the file is deleted, else a neighbour settles it."""
        with self._lock:
            if self._file is not None and self._pid == os.getpid():
                self._file.close(delete=len(self._unused) == self._slots)
            self._file, self._pid = None, 0

    @contextmanager
    def serving(self, who: Who) -> Iterator[Mark]:
        """Mark a visit: the token of its lease is written down before the lease is taken."""
        self.open()
        slot = Slot(state=State.SERVING, who=who, token=self._host.token(12))
        mark = Mark(self, slot, self.describe(self._take(), slot))
        try:
            yield mark
        finally:
            mark.end()

    def abandoned(self) -> tuple[tuple[Slot, float], ...]:
        """Return the attempts that visits of this process had to leave, and how many seconds ago."""
        now = self._host.monotonic()
        with self._lock:
            return tuple((slot, now - since) for slot, _, since in self._abandoned.values())

    def abandon(self, slot: Slot, place: int | None) -> None:
        """Keep an attempt, and its place in the file, until it is settled."""
        with self._lock:
            self._abandoned[slot.attempt_id] = slot, place, self._host.monotonic()

    def was_settled(self, slot: Slot) -> None:
        """Drop an abandoned attempt that is settled, or that is settled no more."""
        with self._lock:
            _, place, _ = self._abandoned.pop(slot.attempt_id)
        if place is not None:
            self.free(place)

    def describe(self, place: int | None, slot: Slot) -> int | None:
        """Write a mark down; return its place, or None if it has none in the file."""
        if place is None or self._file is None:
            return None
        if self._file.describe(place, slot):
            return place
        self.free(place)
        return None

    def put(self, place: int, state: State) -> None:
        """Store the state of a mark that has a place."""
        assert self._file is not None, "only a file has places"
        self._file.put(place, state)

    def free(self, place: int) -> None:
        """Empty a place for another visit."""
        self.put(place, State.EMPTY)
        with self._lock:
            self._unused.append(place)

    def _take(self) -> int | None:
        with self._lock:
            return self._unused.pop() if self._unused else None
