"""Twins of the stores on Redis, for `test_every_crash` alone.

It makes more calls than fakeredis answers in time: a script takes 0.15 to 0.6 ms there, a twin a hundredth of that.
"""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from inbox import payloads
from inbox.budget import COUNTER_LIVES, Ask, BudgetVerdict, Caps, Grant, RecountProgress, Spent, day_of, sums_of
from inbox.payloads import Who
from inbox.ports import Inbox, Lease, Passage, Rate, Receipt, Waiting
from inbox.rates import STREAK_KEPT
from inbox.times import GRACE, REMIND_AGAIN, milliseconds, moment
from sms.messages import DeliveryReport, InboundSms, user_of


def _wall_ms() -> int:
    return int(time.time() * 1000)


class InMemoryInbox:
    """Texts, leases, agenda, people and clock."""

    def __init__(
        self,
        *,
        who_key: bytes = b"memory",
        lease: timedelta = timedelta(seconds=20),
        wake_again: timedelta = timedelta(seconds=60),
        clock_ms: Callable[[], int] = _wall_ms,
        per_number: bool = False,
    ) -> None:
        self._per_number = per_number
        self._who_key = who_key
        self._lease_ms, self._ring_again_ms = milliseconds(lease), milliseconds(wake_again)
        self._clock_ms = clock_ms
        self._changed = threading.Condition()
        self._last = (0, 0)
        self._texts: dict[Who, dict[str, InboundSms]] = {}
        self._leases: dict[Who, tuple[str, int]] = {}
        self._agenda: dict[Who, int] = {}
        self._people: dict[Who, str] = {}
        self._again: Counter[str] = Counter()
        self._epoch = False
        self._visits: set[Who] = set()
        self._reminded: dict[Who, int] = {}
        #: Wake-up tasks that no worker has taken, and until when they count.
        self._unheard: dict[Who, int] = {}
        self.rung: list[Who] = []
        #: The people for whom a memory task was pushed.
        self.reminded: list[Who] = []
        self.counts_asked_for = 0

    def accept(self, text: InboundSms) -> bool:
        with self._changed:
            user_id = user_of(text.sender, text.to, per_number=self._per_number)
            who = payloads.who(user_id, self._who_key)
            self._agenda[who] = min(
                self._agenda.get(who, self._clock_ms() + milliseconds(GRACE)), self._clock_ms() + milliseconds(GRACE)
            )
            mine = self._texts.setdefault(who, {})
            if any(other.sid == text.sid for other in mine.values()):
                if not text.repaired:
                    self._again[text.sid] += 1
                return False
            mine[self._next_id()] = text
            self._people.setdefault(who, user_id)
            if self._unheard.get(who, 0) <= self._clock_ms():
                self._unheard[who] = self._clock_ms() + milliseconds(GRACE)
                self.rung.append(who)
            self._changed.notify_all()
            return True

    def take(self, who: Who) -> Lease | None:
        with self._changed:
            self._unheard.pop(who, None)
            if who not in self._people or self._holder(who) is not None:
                return None
            token = secrets.token_hex(12)
            self._leases[who] = (token, self._clock_ms() + self._lease_ms)
            died = who in self._visits
            self._visits.add(who)
            return Lease(who=who, user_id=self._people[who], token=token, taken_ms=self._clock_ms(), after_death=died)

    def renew(self, lease: Lease) -> bool:
        with self._changed:
            if self._holder(lease.who) != lease.token:
                return False
            self._leases[lease.who] = (lease.token, self._clock_ms() + self._lease_ms)
            return True

    def take_duty(self, name: str) -> Lease | None:
        with self._changed:
            duty = Who(f"#{name}")
            if self._holder(duty) is not None:
                return None
            token = secrets.token_hex(12)
            self._leases[duty] = (token, self._clock_ms() + self._lease_ms)
            return Lease(who=duty, user_id="", token=token, taken_ms=self._clock_ms())

    def leave_duty(self, lease: Lease) -> None:
        with self._changed:
            if self._holder(lease.who) == lease.token:
                del self._leases[lease.who]

    def waiting(self, lease: Lease, *, limit: int) -> Sequence[Waiting]:
        with self._changed:
            mine = list(self._texts.get(lease.who, {}).items())[:limit]
            return [
                Waiting(entry_id=entry_id, text=text, payload=payloads.encode_text(text)) for entry_id, text in mine
            ]

    def wait_for_more(self, lease: Lease, after: str, *, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(
                lambda: any(_order(entry_id) > _order(after) for entry_id in self._texts.get(lease.who, {})),
                timeout=seconds,
            )

    def remove(self, lease: Lease, entry_ids: Sequence[str]) -> Mapping[str, int] | None:
        with self._changed:
            if self._holder(lease.who) != lease.token:
                return None
            mine = self._texts.get(lease.who, {})
            gone = [mine.pop(entry_id).sid for entry_id in entry_ids if entry_id in mine]
            return {sid: self._again.pop(sid) for sid in gone if sid in self._again}

    def close(self, lease: Lease) -> bool | None:
        with self._changed:
            if self._holder(lease.who) != lease.token:
                return None
            if self._texts.get(lease.who):
                return False
            del self._leases[lease.who]
            self._visits.discard(lease.who)
            self._agenda.pop(lease.who, None)
            return True

    def release_until(self, lease: Lease, *, due_ms: int, failed: bool = False) -> None:
        with self._changed:
            if self._holder(lease.who) == lease.token:
                del self._leases[lease.who]
                self._agenda[lease.who] = due_ms
                if not failed:
                    self._visits.discard(lease.who)

    def wake(self, who: Who) -> None:
        self.rung.append(who)

    def request_memory(self, who: Who) -> None:
        with self._changed:
            now = self._clock_ms()
            if self._reminded.get(who, 0) <= now:
                self._reminded[who] = now + milliseconds(REMIND_AGAIN)
                self.reminded.append(who)

    def request_count(self) -> None:
        self.counts_asked_for += 1

    def drop_identity(self, who: Who) -> bool:
        with self._changed:
            if self._texts.get(who):
                return False
            self._people.pop(who, None)
            return True

    def user_id(self, who: Who) -> str | None:
        with self._changed:
            return self._people.get(who)

    def due(self, *, limit: int) -> tuple[Sequence[Who], bool]:
        with self._changed:
            now, emptied, self._epoch = self._clock_ms(), not self._epoch, True
            listed = sorted((when, who) for who, when in self._agenda.items() if when <= now)
            found = [who for _, who in listed if self._holder(who) is None][:limit]
            for who in found:
                self._agenda[who] = now + self._ring_again_ms
            return found, emptied

    def oldest_waiting_ms(self) -> int | None:
        with self._changed:
            firsts = [_order(next(iter(texts)))[0] for texts in self._texts.values() if texts]
            return min(firsts, default=None)

    def now_ms(self) -> int:
        return self._clock_ms()

    def now(self) -> datetime:
        return moment(self._clock_ms())

    def forget(self, who: Who, user_id: str) -> int:
        raise NotImplementedError

    def _holder(self, who: Who) -> str | None:
        token, until = self._leases.get(who, ("", 0))
        return token if until > self._clock_ms() else None

    def _next_id(self) -> str:
        now = self._clock_ms()
        self._last = (now, 0) if now > self._last[0] else (self._last[0], self._last[1] + 1)
        return f"{self._last[0]}-{self._last[1]}"


class InMemoryReports:
    """The delivery reports."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: dict[str, DeliveryReport] = {}

    def receive(self, report: DeliveryReport) -> None:
        self._waiting[f"{next(self._numbers)}-0"] = report

    def drain_begins(self) -> None:
        pass

    def read(self, *, limit: int) -> Sequence[Receipt]:
        waiting = list(self._waiting.items())[:limit]
        return [Receipt(entry_id=entry_id, report=report) for entry_id, report in waiting]

    def remove(self, entry_ids: Sequence[str]) -> None:
        for entry_id in entry_ids:
            self._waiting.pop(entry_id, None)


def inbox_of(rest: Any, reports: Any) -> Inbox:
    """Return the inbox whose reports are `reports` and whose other parts are all `rest`."""
    return Inbox(texts=rest, leases=rest, agenda=rest, people=rest, clock=rest, reports=reports)


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds_, _, sequence = entry_id.partition("-")
    return int(milliseconds_), int(sequence)


class InMemoryCircuit:
    """The circuit of one process; every passage of an open one is a probe when `probing`."""

    def __init__(self) -> None:
        self.reason = ""
        self.probing = False

    def passage(self) -> Passage:
        if not self.reason:
            return Passage(allowed=True)
        if self.probing:
            self.probing = False
            return Passage(allowed=True, probe=True)
        return Passage(allowed=False, wait_ms=30_000, reason=self.reason)

    def open(self, reason: str) -> bool:
        fresh = not self.reason
        self.reason = reason
        return fresh

    def close(self) -> None:
        self.reason = ""


class InMemoryQuota:
    """The purse of one process: the same rules as the scripts'."""

    def __init__(self, *, models: Caps, messages: Caps) -> None:
        self._caps = {"model": models, "sms": messages}
        self._lock = threading.Lock()
        self._epochs = itertools.count(1)
        self._epoch = ""
        self._count: RecountProgress | None = None
        #: The process that counts, and until when it counts as alive.
        self._counter: tuple[str, datetime] | None = None
        self._day: tuple[str, dict[str, str]] = ("", {})
        self._month: tuple[str, dict[str, str]] = ("", {})

    def reserve(self, ask: Ask, *, now: datetime) -> Grant | None:
        with self._lock:
            if not self._epoch and not (ask.at_once and self._count):
                return None
            self._turn_page(day_of(now))
            day, month, counting = self._day[1], self._month[1], not self._epoch
            is_free = not self._caps["sms"].are_there if counting else not any(self._full("sms", ask.who, ask.sms))
            if is_free or not ask.sms:
                none = counting or any(self._full("model", ask.who, ask.model))
                return self._set_aside(ask, BudgetVerdict.GO, 0 if none else ask.model, ask.sms)
            if ask.urgent and day.setdefault(f"urgent:{ask.urgent}:{ask.who}", ask.turn) == ask.turn:
                return self._set_aside(ask, BudgetVerdict.GO, 0, ask.sms)
            if counting:
                return None
            last = day.get(f"last:{ask.who}")
            if last is not None:
                return self._set_aside(
                    ask, BudgetVerdict.LAST_LINE if last == ask.turn else BudgetVerdict.SILENCE, 0, 0
                )
            _, day_full, month_full = self._full("sms", ask.who, ask.last_line)
            if (day_full and "beyond" in day) or (month_full and "beyond" in month):
                return self._set_aside(ask, BudgetVerdict.SILENCE, 0, 0)
            if day_full:
                day["beyond"] = ask.turn
            if month_full:
                month["beyond"] = ask.turn
            day[f"last:{ask.who}"] = ask.turn
            return self._set_aside(ask, BudgetVerdict.LAST_LINE, 0, ask.last_line)

    def settle(self, grant: Grant, *, model: int, sms: int) -> None:
        with self._lock:
            counting = self._count.epoch if self._count else ""
            if grant.day != self._day[0] or not (self._epoch or counting):
                return
            if grant.epoch in (self._epoch, counting):
                self._add(grant.who, model - grant.model, sms - grant.sms)
            else:
                self._add(grant.who, model, sms)

    def begin_count(self, counter: str, *, now: datetime) -> RecountProgress | None:
        with self._lock:
            if self._epoch or (self._counter and self._counter[0] != counter and now < self._counter[1]):
                return None
            if self._count is None:
                self._count = RecountProgress(epoch=str(next(self._epochs)), day=day_of(now), counter=counter)
                self._day, self._month = (day_of(now), {}), (day_of(now)[:7], {})
            self._counter = (counter, now + COUNTER_LIVES)
            return replace(self._count, counter=counter)

    def add_page(
        self, stand: RecountProgress, spent: Sequence[Spent], *, cursor: str | None, leave: bool = False
    ) -> bool:
        with self._lock:
            if self._count is None or (self._count.epoch, self._count.cursor) != (stand.epoch, stand.cursor):
                return False
            sums = sums_of(spent, stand.day)
            for kept, more in (
                (self._day[1] if self._day[0] == stand.day else {}, sums.day),
                (self._month[1] if self._month[0] == stand.day[:7] else {}, sums.month),
            ):
                for name, amount in more.items():
                    kept[name] = str(int(kept.get(name, 0)) + amount)
            for name, turn in sums.last_lines.items():
                self._day[1].setdefault(name, turn)
            if leave:
                self._counter = None
            self._count = replace(stand, cursor=cursor or "")
            if cursor is None:
                self._epoch, self._count, self._counter = stand.epoch, None, None
                for cap, (_, kept) in ((self._caps["sms"].day, self._day), (self._caps["sms"].month, self._month)):
                    if cap is not None and int(kept.get("sms", 0)) > cap:
                        kept.setdefault("beyond", "counted")
            return True

    def empty(self) -> None:
        """Lose everything, as an emptied Redis does."""
        with self._lock:
            self._epoch, self._count, self._counter = "", None, None
            self._day, self._month = ("", {}), ("", {})

    def _turn_page(self, today: str) -> None:
        if self._day[0] != today:
            self._day = (today, {})
        if self._month[0] != today[:7]:
            self._month = (today[:7], {})

    def _full(self, kind: str, who: Who, amount: int) -> tuple[bool, bool, bool]:
        caps, day, month = self._caps[kind], self._day[1], self._month[1]
        spent = (day.get(f"{kind}:{who}", 0), day.get(kind, 0), month.get(kind, 0))
        person, of_day, of_month = (
            cap is not None and int(at) + amount > cap
            for cap, at in zip((caps.person, caps.day, caps.month), spent, strict=True)
        )
        return person, of_day, of_month

    def _set_aside(self, ask: Ask, leave: BudgetVerdict, model: int, sms: int) -> Grant:
        self._add(ask.who, model, sms)
        epoch = self._epoch or (self._count.epoch if self._count else "")
        return Grant(
            who=ask.who, leave=leave, model=model, sms=sms, day=self._day[0], epoch=epoch, counting=not self._epoch
        )

    def _add(self, who: Who, model: int, sms: int) -> None:
        for kind, amount in (("model", model), ("sms", sms)):
            for fields, name in ((self._day[1], kind), (self._day[1], f"{kind}:{who}"), (self._month[1], kind)):
                fields[name] = str(int(fields.get(name, 0)) + amount)


class InMemoryLimits:
    """The buckets of one process."""

    def __init__(self, *, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._lock = threading.Lock()
        self._verdicts: dict[str, str] = {}
        self._buckets: dict[str, tuple[float, int]] = {}
        self._taken: dict[str, int] = {}
        self._streaks: dict[Who, tuple[int, int]] = {}
        self._streaked: dict[str, int] = {}

    def exceeded(self, sid: str, rates: Sequence[Rate], *, at_ms: int) -> str:
        with self._lock:
            if sid not in self._verdicts:
                left = [self._left(rate, at_ms) for rate in rates]
                empty = next((rate.name for rate, (tokens, _) in zip(rates, left, strict=True) if tokens < 1), "")
                if not empty:
                    self._buckets |= {
                        rate.key: (tokens - 1, at) for rate, (tokens, at) in zip(rates, left, strict=True)
                    }
                self._verdicts[sid] = empty
            return self._verdicts[sid]

    def pace(self, key: str, *, takes_ms: int, ahead_ms: int, most_ms: int) -> int:
        with self._lock:
            now = self._clock_ms()
            taken = max(now, self._taken.get(key, 0))
            wait = max(0, taken - now - ahead_ms)
            if wait > most_ms:
                return -wait
            self._taken[key] = taken + takes_ms
            return wait

    def streak(self, who: Who, sid: str, step: int) -> int:
        with self._lock:
            now = self._clock_ms()
            count, at = self._streaks.get(who, (0, now))
            if now - at > milliseconds(STREAK_KEPT):
                count = 0
            if sid not in self._streaked:
                count = max(0, count + step)
                self._streaks[who], self._streaked[sid] = (count, now), count
            return self._streaked[sid]

    def _left(self, rate: Rate, at_ms: int) -> tuple[float, int]:
        """How many tokens there are, and at what time."""
        tokens, at = self._buckets.get(rate.key, (float(rate.most), at_ms))
        tokens += max(0, at_ms - at) * rate.most / milliseconds(rate.per)
        return min(float(rate.most), tokens), max(at, at_ms)
