"""ModelEngine: one model behind one server, asked for replies and notes.

Every kind of engine is this class with its own `Server`: the server's adapter writes a request in its protocol and
reads the answer, and nothing else. What all share stands here: the deadline, what a server refuses, reasoning that
leaves no room for words, the count of tokens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from cat import persona, prices, prompt
from cat.engines import answer, http
from cat.engines.answer import Answer
from cat.engines.compatibility import Dialect, Request
from cat.engines.errors import NoWords, Rejected, Unreached
from cat.errors import EngineFailed
from cat.persona import Persona
from cat.ports import Heard, Reply
from cat.prices import FREE, Model
from cat.prompt import Prompt

#: Requests for one reply at most, when the server refuses one part after another: as many as there are parts.
ATTEMPTS: Final = 8


class Server(Protocol):
    """A model behind one protocol."""

    @property
    def limits(self) -> tuple[str, ...]:
        """The names of the token limit, the preferred one first."""

    def options(self, asked: Prompt, *, thinks: bool) -> Mapping[str, Any]:  # Any: JSON
        """Return the optional parts of a request."""

    def send(self, request: Request) -> Answer:
        """Send a request. Raises `Rejected` and `Unreached`; any other error is an unreadable answer."""

    def close(self) -> None:
        """Close the connections."""


class ModelEngine:
    """The engine `<kind>:<model>`, such as `openai:gpt-5-mini`.

    `known` holds the model's facts from the catalogue. The person's words are sent as user messages, never in the
    system prompt. The model gets no tools.
    """

    def __init__(self, name: str, server: Server, *, known: Model = FREE, who: Persona | None = None) -> None:
        self._name = name
        self._server = server
        self._known = known
        self._who = who or persona.shipped()
        self._dialect = Dialect(*server.limits)

    @property
    def name(self) -> str:
        """The engine's name as in `CAT_ENGINES`."""
        return self._name

    @property
    def thinks(self) -> bool:
        """Whether the model reasons first, by the catalogue or by what it did."""
        return self._known.thinks

    @property
    def refuses(self) -> list[str]:
        """What the server refused so far, and gets no more, such as `temperature`."""
        return self._dialect.refused

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def reply(self, heard: Heard, *, seconds: float) -> Reply:
        """Ask the model for a reply within `seconds`."""
        asked = prompt.for_reply(self._who, heard if self._known.sees else replace(heard, shown=()))
        # a small model on this machine reads about forty tokens a second: it is spared the examples
        return self._say(replace(asked, examples=()) if self._known.small else asked, seconds)

    def note(self, instructions: str, talk: str, *, seconds: float) -> Reply:
        """Ask the model for notes on `talk` within `seconds`."""
        return self._say(prompt.for_notes(instructions, talk), seconds)

    def _say(self, asked: Prompt, seconds: float) -> Reply:
        started_at = time.monotonic()
        tally = _Tally()
        with http.deadline(seconds):
            words, said = self._words(asked, tally, lambda: seconds - (time.monotonic() - started_at))
        facts = {
            "model": said.model or self._name.partition(":")[2],
            "model_ms": int((time.monotonic() - started_at) * 1000),
            **tally.facts(),
        }
        return Reply(words=words, engine=self._name, facts=facts)

    def _words(self, asked: Prompt, tally: _Tally, left: Callable[[], float]) -> tuple[str, Answer]:
        """Return the words of an answer; a model that reasoned away its tokens is asked again with room."""
        seconds = left()
        for is_last in (self._known.thinks, True):
            said = self._answer(asked, tally, seconds)
            try:
                return answer.words_in(said), said
            except NoWords as exc:
                if exc.cut and not is_last:
                    self._known = replace(self._known, thinks=True)
                    continue
                raise EngineFailed(f"{self._name}: {exc}", paid=True, refused=exc.refused, used=tally.facts()) from exc
        raise AssertionError("the last answer is returned or raised")

    def _answer(self, asked: Prompt, tally: _Tally, seconds: float) -> Answer:
        """Return the server's answer to a request that it accepts."""
        options = self._server.options(asked, thinks=self._known.thinks)
        tokens = prompt.most_tokens(self._known, asked.tokens)
        without: frozenset[str] = frozenset()
        for _ in range(ATTEMPTS):
            request = self._dialect.fit(asked, options, tokens, without)
            try:
                said = self._server.send(request)
            except Rejected as exc:
                more = self._dialect.learn(request, exc) if exc.may_name_options else frozenset()
                if more <= without:
                    raise EngineFailed(
                        f"{self._name}: {exc}",
                        transient=exc.transient,
                        refused=exc.refused,
                        # a call before this one, without room for words, was paid
                        paid=tally.is_begun,
                        used=tally.facts(),
                    ) from exc
                without |= more
                continue
            except Unreached as exc:
                # the same message as in `cat.engines.guarded`, whose deadline may pass first
                why = f"no answer in {seconds:.1f} s" if exc.late else exc.kind
                raise EngineFailed(
                    f"{self._name}: {why}",
                    transient=not exc.late,
                    paid=exc.late or tally.is_begun,
                    # of a call that may still be under way there is no count
                    used={} if exc.late else tally.facts(),
                ) from exc
            except Exception as exc:
                # a gateway may answer with anything; the model may have done the work
                raise EngineFailed(f"{self._name}: {type(exc).__name__}", paid=True) from exc
            self._dialect.accepted(without)
            tally.add(said)
            return said
        why = "every form of the request was refused"
        raise EngineFailed(f"{self._name}: {why}", refused=True, paid=tally.is_begun, used=tally.facts())


class _Tally:
    """The tokens of all answers to one question."""

    def __init__(self) -> None:
        self._counts: list[dict[str, int]] = []

    def add(self, said: Answer) -> None:
        self._counts.append(prices.counted(said.tokens_in, said.tokens_out))

    @property
    def is_begun(self) -> bool:
        """Whether any answer came."""
        return bool(self._counts)

    def facts(self) -> dict[str, int]:
        """Return the sums; empty if one answer had no count."""
        names = ("tokens_in", "tokens_out")
        if not all(name in counts for counts in self._counts for name in names):
            return {}
        return {name: sum(counts[name] for counts in self._counts) for name in names}
