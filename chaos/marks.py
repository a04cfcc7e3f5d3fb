"""Read what a process had noted in its marks at the moment of its death.

A reply may stay in doubt only if the mark of its attempt said BEGUN then: all others are proven unsent, and a worker
that leaves them in doubt has failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from worker.mark_file import State, slots_in


class Marks:
    """The files of marks that a process and its children hold open.

    They are opened before the kill and read after it.
    """

    def __init__(self, pid: int) -> None:
        self._files = ExitStack()
        self._open = [
            (self._files.enter_context(path.open("rb")), path.parent.name)
            for process in _family(pid)
            for path in _marks_of(process)
        ]

    def begun(self) -> tuple[str, ...]:
        """Return the ids of the attempts that may have left, and close the files."""
        with self._files:
            return tuple(
                slot.attempt_id
                for file, boot in self._open
                for slot in slots_in(file.read(), boot)
                if slot.state is State.BEGUN
            )


def _family(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))


def _marks_of(pid: int) -> Iterator[Path]:
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                target = link.readlink()
                if target.suffix == ".mark" and target.exists():
                    yield target
