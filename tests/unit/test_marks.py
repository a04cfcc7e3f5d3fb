"""The marks of real processes that are killed or stopped, and marks that must not be believed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest

from inbox.errors import InboxAway
from inbox.payloads import Who
from journal.states import PartState
from runtime.host import Host
from sms.messages import DeliveryReport, InboundSms, MessageSid
from sms.ports import OutboundSms, Outcome
from tests.builders import ANN
from tests.room import WHO as ROOM_WHO
from tests.room import Died, Dying, Room
from worker.receipts import Receipts
from worker.send_marks.mark_file import MODE, MarkFile, MarksUnusable, Slot, State, files_in, home_of, of_the_dead
from worker.send_marks.marks import TOUCH_SECONDS, Marks
from worker.send_marks.proofs import Proofs
from worker.telemetry import Alarm

WHO = Who("6f1ed002ab5595859014ebf0")
ATTEMPT = Slot(
    state=State.CLAIMING, who=WHO, token="t" * 24, fence=7, key="out#SM1#0", attempt_id="SM1-0-9f86d081884c7d65"
)
#: A process that claims, says so, and waits to be killed.
PROCESS = """
import sys, time
from pathlib import Path
from inbox.payloads import Who
from worker.send_marks.marks import TOUCH_SECONDS, Marks

with Marks(Path(sys.argv[1]), slots=2).serving(Who(sys.argv[2])) as mark:
    mark.claiming("out#SM1#0", "SM1-0-9f86d081884c7d65", fence=7)
    getattr(mark, sys.argv[3], lambda: None)()
    print(mark.token, flush=True)
    time.sleep(600)
"""


class Neighbour:
    """A process with one mark."""

    def __init__(self, folder: Path, then: str = "") -> None:
        command = [sys.executable, "-c", PROCESS, str(folder), WHO, then]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.token = self._process.stdout.readline().strip()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "marks"


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.mark"))


def read(folder: Path) -> tuple[Slot, ...] | None:
    (path,) = files(folder)
    with of_the_dead(path) as slots:
        return slots


@pytest.fixture
def dead(folder: Path) -> Path:
    """The file of a dead process that had claimed."""
    file = MarkFile(folder, slots=2)
    file.describe(0, ATTEMPT)
    file.close(delete=False)
    return file.name


def slots_of(path: Path) -> tuple[Slot, ...] | None:
    with of_the_dead(path) as slots:
        return slots


@pytest.mark.parametrize(
    ("then", "state", "is_proof"),
    [("", State.CLAIMING, True), ("begin", State.BEGUN, False), ("refused", State.REFUSED, True)],
)
def test_a_mark_outlives_a_killed_process_and_is_not_read_before(
    folder: Path, then: str, state: State, *, is_proof: bool
) -> None:
    neighbour = Neighbour(folder, then)
    try:
        assert read(folder) is None, "it lives"
        neighbour.stop()
        assert read(folder) is None, "it may wake up and send"
    finally:
        neighbour.kill()

    slots = read(folder)

    assert slots is not None
    (slot,) = slots
    assert (slot.state, slot.is_proof) == (state, is_proof)
    assert (slot.who, slot.token, slot.fence) == (WHO, neighbour.token, 7)
    assert (slot.key, slot.attempt_id) == ("out#SM1#0", "SM1-0-9f86d081884c7d65")


def test_no_telephone_number_is_written(dead: Path) -> None:
    assert b"+1555" not in dead.read_bytes()
    assert dead.stat().st_mode & 0o777 == MODE


def test_a_half_written_mark_is_not_believed(dead: Path) -> None:
    content = bytearray(dead.read_bytes())
    content[content.index(b"SM1-0")] ^= 1
    dead.write_bytes(content)

    assert slots_of(dead) == ()


def test_a_mark_of_another_boot_is_not_believed(folder: Path, dead: Path) -> None:
    other = folder / "00000000-0000-0000-0000-000000000000"
    dead.parent.rename(other)

    assert slots_of(other / dead.name) == ()


def test_a_file_that_others_may_write_is_not_believed(dead: Path) -> None:
    dead.chmod(0o660)

    assert slots_of(dead) is None


def test_a_link_is_not_followed(dead: Path) -> None:
    link = dead.with_name("link.mark")
    link.symlink_to(dead)

    assert slots_of(link) is None


@pytest.mark.parametrize("content", [b"", b"x" * 10_000, b"DadaMark"])
def test_a_file_of_another_kind_is_not_believed(dead: Path, content: bytes) -> None:
    dead.write_bytes(content)

    assert slots_of(dead) == ()


def test_two_readers_never_read_one_file_at_a_time(dead: Path) -> None:
    with of_the_dead(dead) as slots:
        assert slots
        assert slots_of(dead) is None


def test_a_folder_that_cannot_hold_marks_is_named_once_and_the_worker_serves_on() -> None:
    heard: list[str] = []
    marks = Marks(Path("/proc/no-such-folder"), slots=2, unusable=heard.append)

    for _ in range(2):
        with marks.serving(WHO) as mark:
            mark.claiming("out#SM1#0", "SM1-0-a", fence=1)
            assert mark.begin()

    (why,) = heard
    assert why.startswith("/proc/no-such-folder: ")
    with pytest.raises(MarksUnusable):
        home_of(Path("/proc/no-such-folder"))


def test_a_folder_that_can_hold_marks_later_does(tmp_path: Path) -> None:
    now, heard = [0.0], list[str]()
    volume = tmp_path / "volume"
    volume.touch()
    marks = Marks(volume / "marks", slots=2, unusable=heard.append, host=Host(monotonic=lambda: now[0]))
    marks.open()
    volume.unlink()
    volume.mkdir()

    marks.open()
    assert not (volume / "marks").exists(), "not tried again at once"
    now[0] = 61
    with marks.serving(WHO):
        assert files(volume / "marks") == [marks.path]
    assert len(heard) == 1
    marks.close()


def test_marks_that_someone_deletes_are_kept_in_a_new_file(folder: Path) -> None:
    now, heard = [0.0], list[str]()
    marks = Marks(folder, slots=2, unusable=heard.append, host=Host(monotonic=lambda: now[0]))
    look = Proofs((room := Room()).inbox, room.store, marks).look
    look()
    with marks.serving(WHO):
        shutil.rmtree(folder)
        now[0] += TOUCH_SECONDS
        look()
        assert files(folder) == [], "a visit still uses the old one"

    now[0] += TOUCH_SECONDS
    look()
    look()

    assert files(folder) == [marks.path]
    assert heard == ["the file of marks was deleted"]
    marks.close()


def test_a_neighbour_whose_clock_is_ahead_takes_no_marks_from_a_worker_that_starts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allocate, taken, now = os.posix_fallocate, list[Path](), time.time()

    def while_a_neighbour_looks(descriptor: int, offset: int, size: int) -> None:
        with monkeypatch.context() as ahead:
            ahead.setattr(time, "time", lambda: now + 600)
            for path in [] if taken else files_in(home_of(folder)):
                assert slots_of(path) == ()
                path.unlink()
                taken.append(path)
        allocate(descriptor, offset, size)

    monkeypatch.setattr(os, "posix_fallocate", while_a_neighbour_looks)
    marks = Marks(folder, slots=2)
    marks.open()

    assert len(taken) == 1
    assert files(folder) == [marks.path]
    marks.close()


def test_more_visits_than_places_are_served_without_a_mark(folder: Path) -> None:
    marks = Marks(folder, slots=1)
    with marks.serving(WHO) as first, marks.serving(WHO) as second:
        first.claiming("out#SM1#0", "SM1-0-a", fence=1)
        second.claiming("out#SM2#0", "SM2-0-a", fence=1)
    marks.close()

    assert files(folder) == [], "at a clean end no mark is left"


def test_places_are_used_again(folder: Path) -> None:
    marks = Marks(folder, slots=1)
    for number in range(100):
        with marks.serving(WHO) as mark:
            mark.claiming(f"out#SM{number}#0", f"SM{number}-0-a", fence=number)
            mark.begin()
            mark.settled()
    (path,) = files(folder)

    assert path.stat().st_size < 1000


def test_a_text_that_kills_its_worker_is_given_back_at_once_only_the_first_time() -> None:
    room = Room()
    room.texts("hello")
    first = room.inbox.leases.take(ROOM_WHO, token="first")
    assert first is not None
    assert room.inbox.leases.give_back(ROOM_WHO, "first")

    second = room.inbox.leases.take(ROOM_WHO, token="second")

    assert second is not None
    assert second.after_death
    assert not room.inbox.leases.give_back(ROOM_WHO, "second")
    assert room.inbox.leases.take(ROOM_WHO) is None, "the second death waits for the lease"


def die_before_the_first_byte(room: Room, folder: Path) -> None:
    """Let a worker claim the reply to the next text, and die before its request leaves."""
    marks = Marks(folder, slots=2)

    def dies(*_: object, **__: object) -> NoReturn:
        (own,) = (path for path in files(folder) if not path.stem.startswith("dead"))
        dead = own.with_stem(f"dead{len(files(folder))}")
        dead.write_bytes(own.read_bytes())
        dead.chmod(MODE)
        raise Died

    room.dies(marks=marks, sender=SimpleNamespace(warm=lambda: None, send=dies))
    marks.close()


def look(room: Room, folder: Path) -> None:
    neighbour = Marks(folder, slots=2)
    Proofs(room.inbox, room.store, neighbour, telemetry=room.telemetry).look()
    neighbour.close()


def states(room: Room, text: InboundSms) -> list[PartState]:
    return [part.state for part in room.store.outbox.parts(ANN, text.sid)]


def test_a_reply_that_never_began_to_leave_is_sent_by_another_worker(folder: Path) -> None:
    room = Room()
    (text,) = room.texts("hello")
    die_before_the_first_byte(room, folder)
    room.asked_for("dadacat.answer")

    look(room, folder)

    assert states(room, text) == [PartState.RETRY]
    assert room.asked_for("dadacat.answer")[-1] == ROOM_WHO, "its person waits for no sweep"
    room.serve()
    assert states(room, text) == [PartState.SENT]
    assert len(room.received) == 1
    assert [path.stem for path in files(folder)] == [], "what is settled is not kept"


def test_a_file_that_is_deleted_while_it_is_settled_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room()
    (text,) = room.texts("hello")
    die_before_the_first_byte(room, folder)
    accept = room.inbox.texts.accept

    def accept_while_marks_are_deleted(put_back: InboundSms, *, user_id: str | None = None) -> None:
        for path in files(folder):
            path.unlink(missing_ok=True)
        accept(put_back, user_id=user_id)

    monkeypatch.setattr(room.inbox.texts, "accept", accept_while_marks_are_deleted)
    look(room, folder)
    room.serve()

    assert "set aside" not in [event.name for event in room.telemetry.events]
    assert states(room, text) == [PartState.SENT]


def test_a_report_that_contradicts_a_proof_is_an_alarm_and_ends_the_belief_in_marks(folder: Path) -> None:
    room = Room()
    room.receipts = Receipts(room.inbox, room.store, room.aftermath, who_key=b"memory", telemetry=room.telemetry)
    (text,) = room.texts("hello")
    die_before_the_first_byte(room, folder)
    look(room, folder)
    (part,) = room.store.outbox.parts(ANN, text.sid)
    assert part.attempt_id is not None

    room.receive(DeliveryReport(sid=MessageSid("SM" + "9" * 32), to=ANN, status="sent", attempt_id=part.attempt_id))
    room.receipts.drain()

    assert [alarm for alarm, reason in room.alarms if part.attempt_id in reason] == [Alarm.CONTRADICTED]
    (other,) = room.texts("another")
    die_before_the_first_byte(room, folder)
    look(room, folder)
    assert states(room, other) == [PartState.SENDING], "its mark is not believed: it may have been sent"


def test_a_file_that_its_process_is_about_to_lock_is_left_alone(folder: Path) -> None:
    own = home_of(folder)
    fresh, old = own / "fresh.new", own / "old.new"
    for path in (fresh, old):
        path.touch(mode=MODE)
    os.utime(old, (time.time() - 61, time.time() - 61))

    look(Room(), folder)

    assert (fresh.exists(), old.exists()) == (True, False)


def test_the_marks_of_earlier_boots_are_deleted(folder: Path) -> None:
    earlier, late = folder / "11111111-earlier", folder / "22222222-late"
    for boot in (earlier, late):
        boot.mkdir(parents=True)
        (boot / "a.mark").touch()
    os.utime(earlier, (time.time() - 90_000, time.time() - 90_000))

    marks = Marks(folder, slots=1)
    marks.open()
    marks.close()

    assert (earlier.exists(), late.exists()) == (False, True)


def dies(*_: object, **__: object) -> NoReturn:
    raise Died


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="there is no tmpfs")  # noqa: S108 - a new folder in it
def test_marks_of_a_worker_that_ran_for_days_on_tmpfs_are_read_when_the_stores_are_back() -> None:
    room, now = Room(), [0.0]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        owner = Marks(Path(folder), slots=2, host=Host(monotonic=lambda: now[0]))
        proofs = Proofs(room.inbox, room.store, owner, telemetry=room.telemetry)
        proofs.look()
        # a store into a page changes no time on tmpfs: without more, the file is as old as its process
        os.utime(files(Path(folder))[0], (time.time() - 2 * 86_400,) * 2)
        now[0] = 61
        proofs.look()
        (text,) = room.texts("hello")
        room.dies(marks=owner, sender=SimpleNamespace(warm=lambda: None, send=dies))
        owner.close()

        neighbour = Marks(Path(folder), slots=2)
        away = Dying(room.inbox, "people.user_id", after=False, error=InboxAway("redis cannot be reached"))
        Proofs(away, room.store, neighbour, telemetry=room.telemetry).look()  # type: ignore[arg-type]
        assert states(room, text) == [PartState.SENDING]
        Proofs(room.inbox, room.store, neighbour, telemetry=room.telemetry).look()
        neighbour.close()
        room.serve()

        assert states(room, text) == [PartState.SENT]
        assert len(room.received) == 1


def test_an_attempt_of_a_person_whom_redis_does_not_know_is_asked_for_for_a_day(folder: Path) -> None:
    room, now = Room(), [0.0]
    marks = Marks(folder, slots=1, host=Host(monotonic=lambda: now[0]))
    proofs = Proofs(room.inbox, room.store, marks, telemetry=room.telemetry)
    with marks.serving(ROOM_WHO) as mark:
        mark.claiming("out#SM1#0", "SM1-0-a", fence=1)
        mark.abandon()

    for seconds, places in ((0.0, 0), (86_000.0, 0), (86_500.0, 1)):
        now[0] = seconds
        proofs.look()
        with marks.serving(WHO) as other:
            other.claiming("out#SM2#0", "SM2-0-a", fence=1)
            assert files(folder)[0].read_bytes().count(b"SM2-0-a") == places, "its place is not free"
            other.settled()
    assert marks.abandoned() == ()
    marks.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the clock that counts a suspended machine is Linux's")
def test_a_machine_that_was_suspended_after_a_claim_sends_nothing_late(monkeypatch: pytest.MonkeyPatch) -> None:
    room, real, asleep = Room(), time.clock_gettime, {time.CLOCK_BOOTTIME: 0.0}
    monkeypatch.setattr(time, "clock_gettime", lambda clock: real(clock) + asleep.get(clock, 0.0))
    (text,) = room.texts("hello")

    def suspended(message: OutboundSms, *, may_begin: Callable[[], bool]) -> Outcome:
        asleep[time.CLOCK_BOOTTIME] += 60
        return room.sender.send(message, may_begin=may_begin)

    room.serve(sender=SimpleNamespace(warm=lambda: None, send=suspended))

    assert room.received == []
    assert states(room, text) == [PartState.RETRY]
    room.later(seconds=600)
    room.serve()
    assert room.received == ["re: hello"]


def test_a_lease_that_is_lost_is_not_given_back() -> None:
    room = Room()
    room.texts("hello")
    room.inbox.leases.take(ROOM_WHO, token="mine")

    assert not room.inbox.leases.give_back(ROOM_WHO, "another's")
    assert room.inbox.leases.take(ROOM_WHO) is None


def test_a_mark_whose_row_cannot_be_read_keeps_no_other_from_being_settled(folder: Path) -> None:
    room = Room()
    (bad,) = room.texts("bad")
    die_before_the_first_byte(room, folder)
    row = {"user_id": ANN, "message_key": f"out#{bad.sid}#0", "state": "PONDERING"}
    room.store.storage.tables.put_all("DadaCatMessages", [row])
    (home,) = {path.parent for path in files(folder)}
    (home / "0.mark").write_bytes(b"\xff" * 100)

    look(room, folder)

    assert "set aside" in [event.name for event in room.telemetry.events]
    assert [path.name for path in files(folder) if path.name != "0.mark"] == []
