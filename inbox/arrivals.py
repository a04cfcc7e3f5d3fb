"""What the webhook hands to Redis: keys and arguments of the scripts `accept` and `receive`.

Texts or reports that wait at the same time share one call. The caller runs the script; it returns one outcome for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from inbox import keys, payloads, wakeup
from inbox.durations import DRAIN_AGAIN, GRACE, milliseconds
from sms.messages import DeliveryReport, InboundSms, user_of

#: How many waiting texts a webhook's text is compared with. If more are waiting, a duplicate may be stored;
#: the worker settles it.
NEWEST_COMPARED: Final = 16

#: Keys and arguments that one text or report adds to a script call.
Entry = tuple[Sequence[str], Sequence[bytes | str | int]]


def accept_entry(text: InboundSms, key: bytes, *, per_number: bool = False, user_id: str | None = None) -> Entry:
    """Return what one text adds to a call of the script `accept`; `user_id`: where it stands already."""
    user_id = user_id or user_of(text.sender, text.to, per_number=per_number)
    name = payloads.who(user_id, key)
    return (
        (keys.texts(name), keys.repeats(name), keys.wake_up(name)),
        (
            name,
            user_id,
            payloads.encode_text(text),
            text.sid,
            wakeup.message(payloads.ANSWER_TASK, name, text.trace),
            # Twilio repeats a webhook soon, so the newest texts suffice; the reconciler may come at any time
            0 if text.repaired else NEWEST_COMPARED,
        ),
    )


def accept_call(entries: Iterable[Entry]) -> Entry:
    """Return keys and arguments of the script `accept` for some texts."""
    names: list[str] = [keys.AGENDA, keys.PEOPLE, keys.WAITING, keys.QUEUE]
    args: list[bytes | str | int] = [milliseconds(GRACE)]
    for more_names, more_args in entries:
        names += more_names
        args += more_args
    return names, args


def receive_entry(report: DeliveryReport) -> Entry:
    """Return what one report adds to a call of the script `receive`."""
    return (), (payloads.encode_report(report),)


def receive_call(entries: Iterable[Entry]) -> Entry:
    """Return keys and arguments of the script `receive` for some reports."""
    reports = [report for _, (report,) in entries]
    return (
        (keys.REPORTS, keys.DRAIN_REQUESTED, keys.QUEUE),
        (wakeup.message(payloads.RECEIPTS_TASK), milliseconds(DRAIN_AGAIN), *reports),
    )
