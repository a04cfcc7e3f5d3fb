"""What is known of models: what they cost, whether they see, and whether they think before they speak. Facts are data: `cat/catalogue.toml`.

Money is counted as `dadacat.money` counts it.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Self

#: A token is about four characters of English (https://help.openai.com/en/articles/4936856), between three and four of German, French and
#: Spanish, and two and a half with Claude's newer tokenizer: taken as that, so that an estimate is rather too high.
BYTES_A_TOKEN: Final = 2.5
#: Under this name a price file says what is assumed of a model that it does not name.
UNKNOWN: Final = "unknown"
#: How releases of one model differ: a date, and Bedrock's versions. Any other ending may be another model at another price.
_RELEASE: Final = re.compile(r"(?:[-@](?:20\d{6}|20\d\d-\d\d-\d\d))?(?:-v\d+)?(?::\d+)?$")
#: More than any model takes: a server that says so has not counted.
MOST_TOKENS: Final = 10**8
#: What the protocol puts around each message, in tokens.
TOKENS_A_MESSAGE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What is known of one model."""

    #: US dollars a million tokens, which is millionths of a dollar a token.
    price_in: float
    price_out: float
    #: Takes pictures.
    sees: bool = False
    #: Spends tokens on thinking before its first word, and has to be given some.
    thinks: bool = False

    def cost(self, tokens_in: int, tokens_out: int) -> int:
        """What so many tokens cost, in millionths of a dollar, rounded up."""
        return math.ceil(tokens_in * self.price_in + tokens_out * self.price_out)


#: Costs nothing, sees nothing, speaks at once.
FREE: Final = Model(price_in=0, price_out=0)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Models by name."""

    models: Mapping[str, Model]

    def entry(self, name: str) -> str | None:
        """Under which name a model stands here: its own, or that of which it is a dated release; None: nobody has entered it."""
        if name in self.models:
            return name
        undated = _RELEASE.sub("", name)
        return undated if undated in self.models else None

    def of(self, name: str) -> Model:
        """What is known of a model by its name; of one that nobody has entered it is assumed that it costs what the dearest does."""
        entry = self.entry(name)
        if entry is None and UNKNOWN in self.models:
            entry = UNKNOWN
        if entry is not None:
            return self.models[entry]
        return Model(
            price_in=max((model.price_in for model in self.models.values()), default=0),
            price_out=max((model.price_out for model in self.models.values()), default=0),
        )

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Self:  # Any: TOML's own types
        """Read groups of models, later ones over earlier. Raises `ValueError` for what is no such table."""
        models: dict[str, Model] = {}
        groups = given.get("models", [])
        if not isinstance(groups, list):
            raise ValueError("models are groups, [[models]], each with a table [models.known]")  # noqa: TRY004 - it is a value in a file
        for group in groups:
            for name, facts in group.get("known", {}).items():
                models[name] = _model(name, facts)
        return cls(models)

    def over(self, other: Catalogue) -> Catalogue:
        """This catalogue laid over another: what stands in both is taken from this one."""
        return Catalogue({**other.models, **self.models})


def _model(name: str, facts: Any) -> Model:  # Any: TOML's own types
    try:
        model = Model(
            price_in=float(facts["in"]),
            price_out=float(facts["out"]),
            sees=bool(facts.get("sees", False)),
            thinks=bool(facts.get("thinks", False)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise ValueError(f"model {name}: wants in and out, US dollars a million tokens") from exc
    if min(model.price_in, model.price_out) < 0:
        raise ValueError(f"model {name}: a price is not negative")
    return model


def shipped() -> Catalogue:
    """What comes with DadaCat."""
    return Catalogue.parse(tomllib.loads(files("cat").joinpath("catalogue.toml").read_text()))


def tokens(words: Iterable[str]) -> int:
    """About how many tokens a list of messages takes; rather more than fewer."""
    return sum(math.ceil(len(text.encode("utf-8", "replace")) / BYTES_A_TOKEN) + TOKENS_A_MESSAGE for text in words)


def counted(tokens_in: object, tokens_out: object) -> dict[str, int]:
    """What a server says that it took, as a reply's facts; what is no count is left away."""
    said = {"tokens_in": tokens_in, "tokens_out": tokens_out}
    return {name: count for name, count in said.items() if isinstance(count, int) and 0 <= count <= MOST_TOKENS}
