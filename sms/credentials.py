"""Login: user names and passwords for Twilio's API.

During a rotation of tokens there are two pairs, and only Twilio knows which of them is valid. A request with a refused
pair (HTTP 401) had no effect, so the next pair can be tried at once. The accepted pair is tried first from then on.
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
    """The pairs that `read` returns. It is called each time: they may change while the process runs."""

    def __init__(self, read: Callable[[], Sequence[Pair]]) -> None:
        self._read = read
        self._accepted: Pair | None = None

    @property
    def first(self) -> Pair:
        """The pair to try first."""
        return next(iter(self))

    def __iter__(self) -> Iterator[Pair]:
        """Iterate over the pairs, beginning with the one that was accepted last."""
        return iter(sorted(self._read(), key=lambda pair: pair != self._accepted) or [("", "")])

    def ask(self, call: Callable[[Pair], _Answer]) -> _Answer:
        """Call with one pair after another until one is accepted; return the last answer."""
        for pair in self:
            answer = call(pair)
            if answer.status_code != HTTPStatus.UNAUTHORIZED:
                self._accepted = pair
                break
        return answer
