"""Make a request fit for a server, and remember what the server refused.

Servers that speak one protocol differ in what they accept: the name of the token limit, sampling settings, stop
strings, a system message, the order of roles. A request begins with everything. What a server's error names is left
out, and the request is sent again; an instance keeps what it learnt for the life of the process.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from cat.engines.errors import Rejected
from cat.persona import Turn
from cat.ports import Picture
from cat.prompt import Prompt

#: The person's turn where a conversation begins with the cat's, such as one that another program began.
CAT_BEGAN: Final = "(the cat wrote first)"
#: What a request can do without, besides the names of its options.
SYSTEM, EXAMPLES, EARLIER = "system", "examples", "earlier"

#: How errors name an option, where they use other words than the option's own name.
_NAMES: Final[Mapping[str, str]] = {
    SYSTEM: r"system[ _]?(?:role|prompts?|messages?|instructions?)|['\"`]system['\"`]|developer instruction",
    "presence_penalty": r"presence_?penalty|penalty",
    "presencePenalty": r"presence_?penalty|penalty",
    "stop": r"['\"`\[]?stop(?:_?sequences?|_?strings?|['\"`\]]|\b)",
    "stop_sequences": r"stop_?sequences?",
    "stopSequences": r"stop_?sequences?",
    "stop_strings": r"stop_?sequences?",
    "output_config": r"output_?config|effort",
    "reasoning_effort": r"reasoning(?:[._]effort)?",
    "thinking_config": r"thinking(?:_?(?:config|budget|level))?",
    "thinkingConfig": r"thinking(?:_?(?:config|budget|level))?",
    "max_output_tokens": r"max_?output_?tokens",
}
_TOO_LONG: Final = re.compile(
    r"context[ _](?:length|window|size)|maximum context|too (?:long|large)|too many (?:input )?tokens|prompt is too",
    re.IGNORECASE,
)
#: Parts of an error that repeat the request: a person's words in them name no option.
_ECHOES: Final = frozenset({"input", "body", "request", "messages", "ctx", "url"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as a server accepts it."""

    #: Empty if the server refuses a system message; then it stands in the first turn.
    system: str
    #: Roles alternate, beginning with `user`; the last is `user`.
    turns: Sequence[Turn]
    #: How many of the turns are the same in every call.
    fixed: int
    pictures: Sequence[Picture]
    #: The optional parts of the request under the protocol's names, among them the token limit.
    options: Mapping[str, Any]  # Any: JSON


class Dialect:
    """What one server accepts of one model.

    `limits` are the names of the token limit, the preferred one first.
    """

    def __init__(self, *limits: str) -> None:
        self._limits = limits
        self._refused: set[str] = set()
        #: The server accepted a request, so an error that names nothing is about that request's words.
        self._proven = False
        self._tried_plain = False

    @property
    def refused(self) -> list[str]:
        """What the server refused so far."""
        return sorted(self._refused)

    def fit(self, asked: Prompt, options: Mapping[str, Any], tokens: int, without: frozenset[str]) -> Request:
        """Return the request; `without` names what is left out of this one only."""
        refused = self._refused | without
        examples = () if EXAMPLES in refused else asked.examples
        turns = asked.turns[-1:] if EARLIER in refused else asked.turns
        limit = next((name for name in self._limits if name not in refused), None)
        request = Request(
            system=asked.system,
            turns=[*examples, *alternating(turns)],
            fixed=len(examples),
            pictures=asked.pictures,
            options={
                **({limit: tokens} if limit else {}),
                **{name: value for name, value in options.items() if name not in refused},
            },
        )
        return _without_system(request) if SYSTEM in refused else request

    def accepted(self, without: frozenset[str]) -> None:
        """Note that the server accepted a request: what it lacked is not needed."""
        # one long text says nothing about the next, unless the server has never accepted the examples
        self._refused |= without - ({EARLIER, EXAMPLES} if self._proven else {EARLIER})
        self._proven = True

    def learn(self, request: Request, error: Rejected) -> frozenset[str]:
        """Return what to leave out of the next request after this error; empty if nothing would help."""
        complaint = said_in(error.body)
        if _TOO_LONG.search(complaint):
            return frozenset({EXAMPLES} if request.fixed else {EARLIER} if len(request.turns) > 1 else ())
        used = [*request.options, *([SYSTEM] if request.system else [])]
        named = frozenset(name for name in used if _names(complaint, name))
        self._refused |= named
        if named or self._proven or self._tried_plain or not error.malformed:
            return named
        # the error names nothing: the plainest request, with the oldest name of the limit, is tried once
        self._tried_plain = True
        return frozenset(name for name in request.options if name != self._limits[-1])


def alternating(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns with alternating roles, beginning with the person's: many templates require it."""
    fitted: list[Turn] = []
    for role, words in turns:
        if fitted and fitted[-1][0] == role:
            fitted[-1] = (role, f"{fitted[-1][1]}\n{words}")
        elif not fitted and role != "user":
            fitted += [("user", CAT_BEGAN), (role, words)]
        else:
            fitted.append((role, words))
    return fitted


def _without_system(request: Request) -> Request:
    (role, words), *others = request.turns
    return replace(request, system="", turns=[(role, f"{request.system}\n\n{words}"), *others])


def _names(complaint: str, name: str) -> bool:
    return (
        re.search(rf"(?<![a-z_])(?:{_NAMES.get(name, re.escape(name))})(?![a-z_])", complaint, re.IGNORECASE)
        is not None
    )


def said_in(body: str) -> str:
    """Return what a server's error says, without what it repeats of the request."""
    try:
        given = json.loads(body)
    except ValueError:
        return body
    return " ".join(_strings(given))


def _strings(given: Any) -> Iterator[str]:  # Any: JSON
    if isinstance(given, str):
        yield given
    elif isinstance(given, list):
        for item in given:
            yield from _strings(item)
    elif isinstance(given, dict):
        for name, item in given.items():
            if name not in _ECHOES:
                yield from _strings(item)
