"""Make one reply from a conversation: ask the engines in order, within one deadline.

- Each engine gets a share of the time, a second try if it may help, and a circuit breaker. Because of the breaker, an
  engine that is down does not delay every reply.
- `cat.sanitize` makes the output fit for a text message. If nothing is left, the next engine is asked.
- `dada` comes after the last engine and always answers.
- Danger is heard before all of them (`cat.danger`). If it is certain, no engine is asked. Otherwise a model's reply to
  it is sent if it is whole and holds the right number, and else a fixed line.
- The reply's facts hold what was spent, in millionths of a dollar, including calls whose output was not used.
- An error in an engine, in what fits its output, or in `dada` costs no reply: it is logged, and the next one answers.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from traceback import extract_tb
from typing import Any, Final

from cat import persona, sanitize
from cat.danger import gate
from cat.danger.watch import Alert, Watch, is_reaction, state_of, without_dangers
from cat.engines.dada import Dada
from cat.engines.guarded import CALLS, GuardedEngine
from cat.errors import EngineFailed
from cat.persona import Persona
from cat.poet import emoji
from cat.ports import Engine, Heard, Reply, Sense, numb
from cat.prices import Catalogue
from runtime import logs
from sms import keywords, segments
from sms.keywords import Keyword

#: Kept of the deadline for `dada`, which needs milliseconds, and for the work after the reply is made.
RESERVE_SECONDS: Final = 0.5
#: With less time left a model is not asked: its call would be paid for and then cut off.
WORTH_ASKING_SECONDS: Final = 1.0
#: Share of the remaining time for an engine that has others after it, so that those can be asked too.
SHARE: Final = 0.6
#: Calls to one engine for one reply at most: a second follows a transient failure or a refused picture.
ASKED: Final = 2
#: A fixed line differs from so many replies before it, if there is another.
REMEMBERED: Final = 4

log = logs.get("cat")

_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")


@dataclass(slots=True)
class _Tally:
    """Failures and cost of the engines asked for one reply."""

    silent: list[str] = field(default_factory=list)
    cost: int = 0

    def facts(self) -> dict[str, Any]:  # Any: JSON
        return {
            **({"silent_engines": self.silent} if self.silent else {}),
            **({"model_cost": self.cost} if self.cost else {}),
        }


class Cat:
    """Asks its engines in order; `dada` is always the last, wherever the list names it.

    `deadline_seconds` applies to all engines together. `max_segments` applies to all messages of a reply together.
    `watch` hears danger, and `sense` the kind of a text; by default both by its wording alone.
    `who` is the character that models play.
    """

    def __init__(  # noqa: PLR0913 - each is a limit with a name
        self,
        engines: Sequence[Engine],
        *,
        deadline_seconds: float,
        max_segments: int,
        max_parts: int,
        emoji: bool = False,
        who: Persona | None = None,
        catalogue: Catalogue | None = None,
        calls: int = CALLS,
        clock: Callable[[], float] = time.monotonic,
        watch: Watch | None = None,
        sense: Sense = numb,
    ) -> None:
        models = [engine for engine in engines if engine.name != "dada"]
        known = catalogue or Catalogue({})
        pool = ThreadPoolExecutor(calls, thread_name_prefix="engine") if models else None
        self._who = who or persona.shipped()
        self._engines = tuple(
            GuardedEngine(engine, known.of(engine.name.partition(":")[2]), pool, self._who) for engine in models if pool
        )
        self._poet = Dada(sense)
        self._deadline_seconds = deadline_seconds
        self._max_segments = max_segments
        self._max_parts = max_parts
        self._emoji = emoji
        self._clock = clock
        self._watch = watch or Watch()

    def reply(self, heard: Heard, *, below: str = "", used_seconds: float = 0.0) -> Reply:
        """Return a reply with the line `below` under it, within the deadline.

        Never raises: an error in an engine or in the poet is logged, and the next one, or a plain line, answers.
        `used_seconds` of the deadline have already passed.
        """
        until = self._clock() + self._deadline_seconds - RESERVE_SECONDS - used_seconds
        tally = _Tally()
        heard, alert = self._warned(heard)
        if alert.is_fixed:
            return self._quiet(heard, alert, tally)
        for place, engine in enumerate(self._engines):
            left = until - self._clock()
            if left < WORTH_ASKING_SECONDS:
                tally.silent.append(f"{engine.name}: no time left")
                continue
            is_last = place == len(self._engines) - 1
            seconds = left if is_last else max(left * SHARE, WORTH_ASKING_SECONDS)
            answer = self._asked(engine, heard, seconds, tally)
            if answer is not None:
                return self._ready(answer, tally, below)
        if alert.is_serious:
            return self._quiet(heard, alert, tally)
        return self._ready(self._by_poet(heard), tally, below)

    def by_heart(self, heard: Heard, *, below: str = "") -> Reply:
        """Return a reply by `dada`, without asking a model. Never raises."""
        heard, alert = self._warned(heard)
        if alert.is_serious:
            return self._quiet(heard, alert, _Tally())
        return self._ready(self._by_poet(heard), _Tally(), below)

    def warm_up(self) -> None:
        """Load what the first reply needs, in half a second: the model for danger, and the poet's words."""
        self.by_heart(Heard(history=(), texts=("hello",), seed=""))

    @property
    def watch(self) -> Watch:
        """What hears danger."""
        return self._watch

    @property
    def summarizer(self) -> GuardedEngine | None:
        """The first engine that can write notes; None if there is none."""
        return next((engine for engine in self._engines if engine.writes), None)

    @property
    def sees(self) -> bool:
        """Whether any engine accepts pictures."""
        return any(engine.known.sees for engine in self._engines)

    def max_cost(self, heard: Heard) -> int:
        """Return the most that all engines together may cost for a reply, in millionths of a dollar.

        A second call to an engine is made only if it fits in. One kind is counted here: a picture may be refused after
        the model was paid. The exception is a model that is found to reason first: once in a process, it is asked again
        with room for its reasoning within one call.
        """
        return sum(self._most_calls(engine, heard) * engine.max_cost(heard) for engine in self._engines)

    @staticmethod
    def _most_calls(engine: GuardedEngine, heard: Heard) -> int:
        return ASKED if heard.pictures and engine.known.sees else 1

    def _asked(self, engine: GuardedEngine, heard: Heard, seconds: float, tally: _Tally) -> Reply | None:
        """Return an engine's fitted reply; None if there is none, or an error kept it from being made."""
        try:
            return self._ask(engine, heard, seconds, tally)
        except Exception as exc:  # noqa: BLE001 - raised, it would cost the reply; the next engine answers
            log.error("engine broken", engine=engine.name, **_shown(exc))  # noqa: TRY400 - a traceback may hold a text
            tally.silent.append(f"{engine.name}: {type(exc).__name__}")
            return None

    def _ask(self, engine: GuardedEngine, heard: Heard, seconds: float, tally: _Tally) -> Reply | None:
        """Return an engine's fitted reply; None if there is none, with the reason in the tally."""
        until, most = self._clock() + seconds, self.max_cost(heard)
        for _ in range(ASKED):
            try:
                answer = engine.reply(heard, seconds=until - self._clock())
            except EngineFailed as exc:
                tally.silent.append(str(exc))
                tally.cost += exc.cost
                blind = exc.refused and engine.known.sees and bool(heard.shown)
                fits = tally.cost + engine.max_cost(heard) <= most
                if not (exc.transient or blind) or not fits or until - self._clock() < WORTH_ASKING_SECONDS:
                    return None
                if blind:
                    # the engine may have refused the picture: ask again without it
                    heard = replace(heard, shown=())
                continue
            tally.cost += answer.facts["model_cost"]
            fitted = self._fit(answer, heard)
            if fitted.words:
                return fitted
            tally.silent.append(f"{engine.name}: unusable output")
            return None
        return None

    def _warned(self, heard: Heard) -> tuple[Heard, Alert]:
        """Return what was heard with its danger. Without a stored state, the history's wording tells."""
        # half of a character, which no carrier sends, cannot be encoded again
        heard = replace(heard, texts=[text.encode("utf-8", "replace").decode() for text in heard.texts])
        if heard.alert is not None:
            return heard, heard.alert
        earlier = heard.theirs
        alert = self._watch.look(heard.texts, state_of(earlier, 0), now_ms=0, earlier=earlier, person=heard.person)
        history = heard.history if alert.is_serious else without_dangers(heard.history)
        return replace(heard, history=history, alert=alert), alert

    def _quiet(self, heard: Heard, alert: Alert, tally: _Tally) -> Reply:
        """Return the fixed line. Nothing stands below it, and nothing of it is cut."""
        said = [line["content"] for line in heard.history if line["role"] == "assistant"]
        words = alert.line(said[-REMEMBERED:], resets=keywords.read(heard.said) is Keyword.RESET)
        facts = {"language": alert.language, **tally.facts()}
        return Reply(words=words, engine=self._poet.name, facts=facts, parts=(words,), alert=alert)

    def _fit(self, answer: Reply, heard: Heard) -> Reply:
        """Return a model's reply as it may be sent; without words if nothing of it may."""
        alert = heard.alert
        assert alert is not None, "danger is heard before any engine is asked"
        if gate.is_harmful(answer.words, alert):
            return replace(answer, words="")
        if alert.is_serious:
            words = gate.whole(answer.words, alert, leaks=self._who.leaks)
            return replace(answer, words=words, parts=(words,), alert=alert)
        if gate.tells_whom_to_call(answer.words, alert):
            doubt = gate.doubted(alert, answer.words)
            words = gate.whole(answer.words, doubt, leaks=self._who.leaks) or doubt.line()
            return replace(answer, words=words, parts=(words,), alert=doubt)
        words = sanitize.for_a_phone(
            answer.words,
            max_segments=self._max_segments,
            leaks=self._who.leaks,
            emoji=self._emoji,
            lower=self._who.is_lower_case,
        )
        return replace(answer, words=words, alert=alert)

    def _by_poet(self, heard: Heard) -> Reply:
        """Return the poet's reply; a plain line of its own if an error kept it from composing one."""
        try:
            reply = self._poet.reply(_with_signs(heard), seconds=RESERVE_SECONDS)
        except Exception as exc:  # noqa: BLE001 - the last line of defence: the person gets a reply all the same
            log.error("poet broken", **_shown(exc))  # noqa: TRY400 - the same
            reply = self._poet.plain(heard)
        return replace(reply, alert=heard.alert)

    def _ready(self, reply: Reply, tally: _Tally, below: str) -> Reply:
        if reply.parts:
            return replace(reply, facts={**reply.facts, **tally.facts()})
        # the segment limit includes the line: it is dropped if it leaves no room for a word of the reply
        tail = f"\n{below}" if below and segments.count(f"x\n{below}") <= self._max_segments else ""
        words = segments.trim(reply.words, self._max_segments, ending=tail)
        return replace(
            reply,
            words=words,
            facts={**reply.facts, **tally.facts()},
            parts=into_parts(words + tail, self._max_parts, max_segments=self._max_segments),
        )


def _with_signs(heard: Heard) -> Heard:
    """Return what was heard with a sign for each reaction: the poet must not play with what it quotes."""

    def plain(text: str) -> str:
        return emoji.sign_of(text) if is_reaction(text) else text

    history = [
        {**line, "content": plain(line["content"])} if line["role"] == "user" else line for line in heard.history
    ]
    return replace(heard, history=history, texts=[plain(text) for text in heard.texts])


def _shown(error: Exception) -> dict[str, str]:
    """Return the fields of a log line about an error. Its message is not among them: it may hold a text."""
    frame = extract_tb(error.__traceback__)[-1]
    return {"error": type(error).__name__, "place": f"{frame.name}:{frame.lineno}"}


def into_parts(words: str, most: int, *, max_segments: int) -> tuple[str, ...]:
    """Split `words` into at most `most` messages, in order.

    Each line becomes a message. A single line longer than one segment is split into sentences instead. The last message
    takes what is left over.

    The carrier charges each message separately, so splitting can add segments. If the messages would take more than
    `max_segments` together, fewer are made.
    """
    pieces = [line.strip() for line in words.splitlines() if line.strip()] or [words]
    between = "\n"
    if len(pieces) == 1 and segments.count(words) > 1:
        pieces, between = _SENTENCE_END.split(pieces[0]), " "
    for messages in range(min(most, len(pieces)), 1, -1):
        parts = (*pieces[: messages - 1], between.join(pieces[messages - 1 :]))
        if sum(map(segments.count, parts)) <= max_segments:
            return parts
    return (words,)
