"""Read what a process had noted in its marks at the moment of its death.

A reply may stay in doubt only if the mark of its attempt said BEGUN then: all others are proven unsent, and a worker
that leaves them in doubt has failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from chaos.tree import family_of
from worker.send_marks.mark_file import Slot, State, slots_in


class Marks:
    """The files of marks that a process and its children hold open.

    They are opened before the kill and read after it.
    """

    def __init__(self, pid: int) -> None:
        self._files = ExitStack()
        self._open = [
            (self._files.enter_context(path.open("rb")), path.parent.name)
            for process in family_of(pid)
            for path in _marks_of(process)
        ]

    def at_death(self) -> tuple[Slot, ...]:
        """Return the marks of attempts in hand, and close the files."""
        with self._files:
            return tuple(
                slot
                for file, boot in self._open
                for slot in slots_in(file.read(), boot)
                if slot.state is State.BEGUN or slot.is_proof
            )


def _marks_of(pid: int) -> Iterator[Path]:
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                target = link.readlink()
                if target.suffix == ".mark" and target.exists():
                    yield target
