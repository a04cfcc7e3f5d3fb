"""Keep what a process is about to send in a file that outlives it, and read the files of the dead.

A file belongs to one incarnation of a process. It is mapped into memory, so a mark costs one store and no system call,
and what was stored is there after a SIGKILL: the pages belong to the kernel. After a crash of the host it may not be,
so only files of the same boot are believed.

    <folder>/<boot id>/<random>.mark    header, then slots of `SLOT_BYTES`
    slot: state (one aligned 8-byte word), crc32, length, then the body's fields, one a line

The owner holds an exclusive `flock` from before the file gets its name until the process is gone. So a reader that
gets the lock knows that the owner is dead. `flock` and not `lockf`: a POSIX lock is lost as soon as the process closes
any descriptor of the file. A process that serves people forks no child: a child would keep the lock after its death.

Facts of the system that this rests on, tried on Linux 6.18: a store survives SIGKILL; a stopped process keeps its
lock; the lock of a killed process is free within milliseconds, after its last thread has left user space.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import shutil
import stat
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

from runtime.host import REAL, Host

SLOT_BYTES: Final = 256
HEADER_BYTES: Final = 256
#: Raised when the layout changes: a file of another layout proves nothing.
LAYOUT: Final = 1
#: Only its owner reads and writes a file.
MODE: Final = 0o600
#: A file of an earlier boot proves nothing; its folder is deleted after this time.
OLD_BOOT_SECONDS: Final = 86_400.0
#: A file gets its name once its process has locked it. One that has none after this is of a process that died.
NAMED_SECONDS: Final = 60.0
_UNNAMED: Final = ".new"
#: File systems on one machine, whose locks and mapped pages the kernel of this machine keeps.
LOCAL_FILE_SYSTEMS: Final = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "tmpfs", "overlay"})

_MAGIC: Final = b"DadaMark"
_HEADER: Final = struct.Struct("<8sII36sI")
_BODY: Final = struct.Struct("<II")
_BODY_AT: Final = 8
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_MOUNTS: Final = Path("/proc/self/mountinfo")


class MarksUnusable(Exception):
    """The folder cannot hold marks; the message says why."""


class State(IntEnum):
    """The state of a slot: words that differ in many bits, so that no stray write makes one from another."""

    EMPTY = 0
    #: A visit is served; no attempt is in hand, or its outcome is in the journal.
    SERVING = 0x5E_21_A7_0D_93_C4_18_B6
    #: A claim may be on its way. No byte of the request has left.
    CLAIMING = 0xC1_4A_11_9E_26_70_DB_35
    #: The next instruction may write the request.
    BEGUN = 0xBE_60_5D_F3_84_0B_67_C9
    #: The carrier answered that it created nothing.
    REFUSED = 0x2E_F5_3C_88_4D_B2_E7_91


_USED: Final = frozenset(state.value for state in State if state is not State.EMPTY)
#: States that prove that no message was created for the slot's attempt.
PROOF: Final = frozenset({State.CLAIMING, State.REFUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One visit's mark: which lease it holds, and which attempt it makes."""

    state: State
    #: The person's keyed hash, as in Redis: no telephone number is written.
    who: str
    #: Of the visit's lease.
    token: str
    #: The visit's fence; 0 before an attempt.
    fence: int = 0
    #: The row of the part, such as `out#SM1#0`; empty before an attempt.
    key: str = ""
    attempt_id: str = ""

    @property
    def is_proof(self) -> bool:
        """Return whether it proves, once its process is dead, that its attempt created nothing."""
        return self.state in PROOF and bool(self.attempt_id)


class MarkFile:
    """The file of this process, for `slots` marks. Raises `MarksUnusable` if the folder cannot hold it."""

    def __init__(self, folder: Path, slots: int, host: Host = REAL) -> None:
        home = home_of(folder)
        try:
            try:
                self._create(home, slots, host.token(16))
            except FileNotFoundError:
                # a neighbour whose clock is ahead took it, before it had its name, for one of a process that died
                self._create(home, slots, host.token(16))
        except OSError as exc:
            raise MarksUnusable(f"{folder}: {exc.strerror}") from exc
        self._words = memoryview(self._map).cast("Q")

    def _create(self, home: Path, slots: int, word: str) -> None:
        self.name = home / f"{word}.mark"
        unnamed, size = self.name.with_suffix(_UNNAMED), HEADER_BYTES + slots * SLOT_BYTES
        self._descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
        try:
            # allocated now: a store into a page that a full disk cannot hold would end the process
            os.posix_fallocate(self._descriptor, 0, size)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            self._map = mmap.mmap(self._descriptor, size)
            boot = home.name.encode()
            self._map[: _HEADER.size] = _HEADER.pack(_MAGIC, LAYOUT, slots, boot, _header_crc(slots, boot))
            unnamed.rename(self.name)
        except OSError:
            os.close(self._descriptor)
            raise

    def describe(self, slot: int, what: Slot) -> bool:
        """Write the body of an unused or serving slot, then its state; False if the body does not fit."""
        body = "\n".join((what.who, what.token, str(what.fence), what.key, what.attempt_id)).encode()
        start = HEADER_BYTES + slot * SLOT_BYTES
        if _BODY_AT + _BODY.size + len(body) > SLOT_BYTES:
            return False
        # while the body is written no state stands that could make a proof of half of it
        self.put(slot, State.EMPTY)
        self._map[start + _BODY_AT : start + _BODY_AT + _BODY.size + len(body)] = (
            _BODY.pack(zlib.crc32(body), len(body)) + body
        )
        self.put(slot, what.state)
        return True

    def put(self, slot: int, state: State) -> None:
        """Store a slot's state, in one aligned store."""
        self._words[(HEADER_BYTES + slot * SLOT_BYTES) // 8] = state

    def touch(self) -> None:
        """Renew the file's time of change, from which a neighbour tells how long the process has been dead.

        A store into a mapped page does not do that on tmpfs. Raises `FileNotFoundError` if the file was deleted.
        """
        os.utime(self.name)

    def close(self, *, delete: bool) -> None:
        """Free the lock; `delete`: no slot is in use, so that there is nothing for a neighbour to read."""
        if delete:
            self.name.unlink(missing_ok=True)
        self._words.release()
        self._map.close()
        os.close(self._descriptor)


def home_of(folder: Path) -> Path:
    """Return the folder for files of this boot, created if necessary. Raises `MarksUnusable`."""
    try:
        boot = _BOOT_ID.read_text().strip()
        home = folder / boot
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise MarksUnusable(f"{folder}: {exc.strerror}") from exc
    kind = _file_system(home)
    if kind not in LOCAL_FILE_SYSTEMS:
        raise MarksUnusable(f"{folder} is on {kind or 'an unknown file system'}, which may be another machine's")
    return home


def files_in(folder: Path) -> list[Path]:
    """Return the files of marks: not one that its process has only just created, and has not locked yet."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in paths if path.suffix != _UNNAMED or age_seconds(path) > NAMED_SECONDS]


def age_seconds(path: Path) -> float:
    """Return how long ago a file or folder was last changed; 0 if it is not there."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0  # it is gone, or has its name now


@contextmanager
def of_the_dead(path: Path) -> Iterator[tuple[Slot, ...] | None]:
    """Yield the used slots of a file whose owner is dead, and hold its lock; None if it is alive.

    A file that is not ours, of another boot or damaged yields no slots. The reader unlinks what it has settled.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        yield None  # another reader has settled it
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield None
            return
        about = os.fstat(descriptor)
        ours = stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid() and stat.S_IMODE(about.st_mode) == MODE
        # settled and unlinked by another reader between the opening and the lock
        yield slots_in(os.pread(descriptor, about.st_size, 0), path.parent.name) if ours and about.st_nlink else None
    finally:
        os.close(descriptor)


def forget_earlier_boots(folder: Path, boot: str) -> None:
    """Delete the folders of earlier boots: what they hold proves nothing any more."""
    for old in folder.iterdir():
        if old.name != boot and old.is_dir() and age_seconds(old) > OLD_BOOT_SECONDS:
            shutil.rmtree(old, ignore_errors=True)


def slots_in(content: bytes, boot: str) -> tuple[Slot, ...]:
    """Return the used slots in a file's content; none if the file is not of this layout and this boot."""
    if len(content) < HEADER_BYTES:
        return ()
    magic, layout, count, of_boot, crc = _HEADER.unpack_from(content)
    believed = (magic, layout, of_boot.decode(errors="replace")) == (_MAGIC, LAYOUT, boot)
    if not believed or boot != _BOOT_ID.read_text().strip() or crc != _header_crc(count, of_boot):
        return ()
    starts = range(HEADER_BYTES, min(len(content), HEADER_BYTES + count * SLOT_BYTES), SLOT_BYTES)
    found = (_slot(content[start : start + SLOT_BYTES]) for start in starts)
    return tuple(slot for slot in found if slot is not None)


def _slot(content: bytes) -> Slot | None:
    """Return a used slot; None if it is empty or half written."""
    word = int.from_bytes(content[:_BODY_AT], sys.byteorder)
    if word not in _USED:
        return None
    crc, length = _BODY.unpack_from(content, _BODY_AT)
    body = content[_BODY_AT + _BODY.size :][:length]
    if zlib.crc32(body) != crc:
        return None
    who, token, fence, key, attempt_id = body.decode().split("\n")
    return Slot(state=State(word), who=who, token=token, fence=int(fence), key=key, attempt_id=attempt_id)


def _header_crc(slots: int, boot: bytes) -> int:
    return zlib.crc32(struct.pack("<II", LAYOUT, slots) + boot)


def _file_system(folder: Path) -> str:
    """Return the type of the file system that holds a folder, such as `ext4`; empty if it cannot be told."""
    best, kind = -1, ""
    try:
        lines = _MOUNTS.read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        # proc_pid_mountinfo(5): the mount point is field 5, the type follows the single hyphen
        fields, _, after = line.partition(" - ")
        point = Path(fields.split()[4].encode().decode("unicode_escape"))
        if folder.resolve().is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), after.split()[0]
    return kind
