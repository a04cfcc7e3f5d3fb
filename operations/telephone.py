"""Use a telephone of the simulator from the terminal: send a text and wait for what becomes of it.

Only the simulator is asked, so this works for every application behind it. What DadaCat's journal knows of the text
comes from the simulator's road view, if it has one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import httpx

from operations.errors import BadRequest, WrongArgument
from sms import typed
from sms.addresses import is_dialable

#: The simulator is on this machine.
TIMEOUT_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.2
#: Without a journal, a reply is complete if no further message came for so long.
QUIET_SECONDS: Final = 0.5

#: States of a text that never gets a reply, and what each means.
_NO_REPLY: Final = {"SILENT": "settled in silence", "STALE": "too old to answer", "DEAD": "a dead letter"}
#: States of the last part of a reply after which no further message is to come by itself.
_OVER: Final = frozenset({"SENT", "FAILED", "HELD", "SUPPRESSED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a text."""

    sid: str
    #: The messages that the telephone got since, oldest first.
    replies: Sequence[str] = ()
    #: What the network itself said to the telephone, such as the answer to STOP.
    notices: Sequence[str] = ()
    #: What is known of the text, such as `{"state": "SILENT", "reason": "keyword stop"}`.
    facts: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON

    @property
    def no_reply(self) -> str:
        """Why there will be no reply; empty if there is one or may still be one."""
        words = _NO_REPLY.get(str(self.facts.get("state")))
        if words is None and not self.replies and self._is_over:
            words, reason = f"the reply is {self.facts['part']}", self.facts.get("part_reason")
        else:
            reason = self.facts.get("reason")
        return f"{words}{f': {reason}' if reason else ''}" if words else ""

    @property
    def is_settled(self) -> bool:
        """Whether nothing more will happen, as far as the journal knows."""
        if self.facts.get("state") in _NO_REPLY:
            return True
        return self._is_over and (bool(self.replies) or self.facts.get("part") != "SENT")

    @property
    def _is_over(self) -> bool:
        return self.facts.get("part") in _OVER


def text(base_url: str, person: str, to: str, body: str, *, seconds: float) -> Outcome:
    """Send a text from a telephone and wait for its end, or for `seconds`. Raises `BadRequest`.

    `to`: one of the network's numbers; empty: its first.
    """
    # no proxy stands before the simulator, whatever the environment says
    with httpx.Client(base_url=base_url, timeout=TIMEOUT_SECONDS, trust_env=False) as network:
        try:
            return _text(network, person, to, body, seconds=seconds)
        except (httpx.TransportError, httpx.InvalidURL) as exc:
            raise BadRequest(f"no simulator answers at {base_url}: {type(exc).__name__}") from None
        except (ValueError, KeyError, TypeError):
            raise BadRequest(f"what answers at {base_url} is no simulator") from None


def _text(network: httpx.Client, person: str, to: str, body: str, *, seconds: float) -> Outcome:
    numbers = network.get("/phone/state").json()["numbers"]
    if not numbers:
        raise BadRequest("the simulator has no number to text")
    number = typed.number(to, near=numbers[0]) if to else numbers[0]
    if number not in numbers:
        raise WrongArgument(f"{number} is not a number of the simulator; it has {', '.join(numbers)}")
    sender = typed.number(person, near=number)
    if not is_dialable(sender, short_codes=True):
        raise WrongArgument(
            f"{person} is not a telephone number: it begins with + and its country, such as +15551230001"
        )
    # only a telephone on the page has its messages listed
    network.post("/phone/phones", json={"number": sender, "name": ""})
    phone = _Phone(network, sender)
    answer = network.post("/phone/texts", json={"from": sender, "to": number, "body": body})
    if answer.status_code != HTTPStatus.CREATED:
        raise BadRequest(f"the simulator refuses the text: {answer.json()['error']}")
    sid = str(answer.json()["sid"])
    return _watched(lambda: phone.outcome(sid), time.monotonic() + seconds)


def _watched(look: Callable[[], Outcome], deadline: float) -> Outcome:
    outcome, changed_at = look(), time.monotonic()
    while time.monotonic() < deadline and not outcome.is_settled:
        time.sleep(POLL_SECONDS)
        before, outcome = outcome, look()
        if len(outcome.replies) > len(before.replies):
            changed_at = time.monotonic()
        if outcome.replies and "state" not in outcome.facts and time.monotonic() - changed_at > QUIET_SECONDS:
            break
    return outcome


class _Phone:
    """One telephone, and what it shows that it did not show at the start."""

    def __init__(self, network: httpx.Client, number: str) -> None:
        self._network = network
        self._number = number
        shown = self._shown()
        self._messages = {message["sid"] for message in shown["messages"]}
        self._notices = len(shown["notices"])

    def outcome(self, sid: str) -> Outcome:
        shown = self._shown()
        road = self._network.get(f"/phone/road/{sid}")
        return Outcome(
            sid=sid,
            replies=[
                message["body"]
                for message in shown["messages"]
                if not message["mine"] and message["sid"] not in self._messages
            ],
            notices=[notice["body"] for notice in shown["notices"][self._notices :]],
            facts=road.json()["facts"] if road.is_success else {},
        )

    def _shown(self) -> dict[str, Any]:  # Any: JSON
        phones = self._network.get("/phone/state").json()["phones"]
        return next((phone for phone in phones if phone["number"] == self._number), {"messages": [], "notices": []})
