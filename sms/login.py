"""Login: user name and password for Twilio's API. During a rotation of tokens there are two, and which of them is valid only Twilio knows.

A login that is refused (HTTP 401) has done nothing, so the next one can be tried at once. The one that was accepted goes first from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Protocol, TypeVar

Pair = tuple[str, str]


class _HasStatus(Protocol):
    status_code: int


_Answer = TypeVar("_Answer", bound=_HasStatus)


class Login:
    """The pairs that `read` gives, each time anew: they may change while the process runs."""

    def __init__(self, read: Callable[[], Sequence[Pair]]) -> None:
        self._read = read
        self._accepted: Pair | None = None

    @classmethod
    def of(cls, username: str, password: str) -> Login:
        """One pair, for good."""
        return cls(lambda: ((username, password),))

    @property
    def first(self) -> Pair:
        """The pair that is tried first."""
        return next(iter(self))

    def __iter__(self) -> Iterator[Pair]:
        """Each pair, the one that was accepted last first."""
        pairs = list(self._read())
        if self._accepted in pairs:
            assert self._accepted is not None
            pairs.remove(self._accepted)
            pairs.insert(0, self._accepted)
        return iter(pairs or [("", "")])

    def ask(self, call: Callable[[Pair], _Answer]) -> _Answer:
        """The answer to the first pair that is let in, or to the last."""
        for pair in self:
            answer = call(pair)
            if self.met(pair, answer.status_code):
                break
        return answer

    def met(self, pair: Pair, status: int) -> bool:
        """Note what a pair was met with; whether it was let in, so that no other has to be tried."""
        if status == HTTPStatus.UNAUTHORIZED:
            return False
        self._accepted = pair
        return True
