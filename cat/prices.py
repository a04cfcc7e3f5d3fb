"""Facts of models: their price, whether they accept pictures, and whether they reason first.

The facts are data, in `cat/prices.toml`. Amounts are in millionths of a US dollar, as in `runtime.money`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from cat import data

#: Bytes of text per token. A token is about four characters of English
#: (https://help.openai.com/en/articles/4936856), between three and four of German, French and Spanish, and two and a
#: half with Claude's newer tokenizer. The lowest value makes an estimate rather too high than too low.
BYTES_A_TOKEN: Final = 2.5
#: The entry of a price file that applies to models without an entry of their own.
UNKNOWN: Final = "unknown"
#: Suffixes of releases of one model: a date, and Bedrock's versions. With any other suffix it may be another model
#: at another price.
_RELEASE: Final = re.compile(r"(?:[-@](?:20\d{6}|20\d\d-\d\d-\d\d))?(?:-v\d+)?(?::\d+)?$")
#: The vendor's name in front of a model's behind a gateway, such as `openai/` or `openrouter/openai/`.
_VENDORS: Final = re.compile(r"^(?:[\w.-]+/)+")
#: More tokens than any model accepts. A server that reports a higher count is wrong, so the count is ignored.
MOST_TOKENS: Final = 10**8
#: A dollar for each token. A price above it is a mistake, and the sums of budgets would not hold it.
HIGHEST_PRICE: Final = 1_000_000
#: Tokens that the protocol adds to each message.
TOKENS_A_MESSAGE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The facts of one model."""

    #: US dollars per million tokens, which equals millionths of a dollar per token.
    price_in: float
    price_out: float
    #: The model accepts pictures.
    sees: bool = False
    #: The model spends tokens on reasoning before its first word, so its token limit must be larger.
    thinks: bool = False
    #: The model is too small to make sense, or to understand danger.
    small: bool = False

    def cost(self, tokens_in: int, tokens_out: int) -> int:
        """Return the cost of these tokens in millionths of a dollar, rounded up."""
        return math.ceil(tokens_in * self.price_in + tokens_out * self.price_out)


#: A model that is free, accepts no pictures and does not reason first.
FREE: Final = Model(price_in=0, price_out=0)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Models by name."""

    models: Mapping[str, Model]

    def entry(self, name: str) -> str | None:
        """Return the name under which a model is entered, or None if it has no entry.

        A dated release has the entry of its model, and so has its name behind a gateway: `gpt-5-mini-2025-08-07` and
        `openai/gpt-5-mini` are entered as `gpt-5-mini`.
        """
        bare = _VENDORS.sub("", name)
        forms = (name, _RELEASE.sub("", name), bare, _RELEASE.sub("", bare))
        return next((form for form in forms if form in self.models), None)

    def doubt(self, name: str) -> str:
        """Return why the price of a model may be another, as a sentence; empty if it is known."""
        entry = self.entry(name)
        if entry is None:
            assumed = UNKNOWN if UNKNOWN in self.models else "the most expensive model"
            return f"no price of {name} is known; it is charged like {assumed}"
        if _VENDORS.match(name) and not _VENDORS.match(entry):
            return f"{name} is charged like {entry} at its maker; the gateway may ask for more"
        return ""

    def of(self, name: str) -> Model:
        """Return the facts of a model by its name.

        A model without an entry gets the entry `unknown`, or else the highest prices in the catalogue.
        """
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
        """Read groups of models; a later group overrides an earlier one.

        Raises `ValueError` if the input has another form.
        """
        models: dict[str, Model] = {}
        groups = given.get("models", [])
        if not isinstance(groups, list):
            raise ValueError(  # noqa: TRY004 - the value comes from a file
                "models must be groups, [[models]], each with a table [models.known]"
            )
        for group in groups:
            for name, facts in _known(group).items():
                models[name] = _model(name, facts)
        return cls(models)

    def over(self, other: Catalogue) -> Catalogue:
        """Return both catalogues merged; an entry of this one overrides the other's."""
        return Catalogue({**other.models, **self.models})


def _known(group: Any) -> Mapping[str, Any]:  # Any: TOML's own types
    known = group.get("known", {}) if isinstance(group, dict) else None
    if not isinstance(known, dict):
        raise ValueError("in a group, [[models]], known must be a table, [models.known]")  # noqa: TRY004 - of a file
    return known


def _model(name: str, facts: Any) -> Model:  # Any: TOML's own types
    try:
        model = Model(
            price_in=float(facts["in"]),
            price_out=float(facts["out"]),
            sees=bool(facts.get("sees", False)),
            thinks=bool(facts.get("thinks", False)),
            small=bool(facts.get("small", False)),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as exc:
        raise ValueError(f"model {name}: `in` and `out` are required, in US dollars per million tokens") from exc
    # NaN is in no range
    if not (0 <= model.price_in <= HIGHEST_PRICE and 0 <= model.price_out <= HIGHEST_PRICE):
        raise ValueError(f"model {name}: a price must not be negative, nor above {HIGHEST_PRICE:,}")
    return model


def shipped() -> Catalogue:
    """Return the catalogue that comes with DadaCat."""
    return Catalogue.parse(data.table("prices.toml"))


def tokens(words: Iterable[str]) -> int:
    """Estimate the tokens of a list of messages; the estimate is rather too high."""
    return sum(math.ceil(len(text.encode("utf-8", "replace")) / BYTES_A_TOKEN) + TOKENS_A_MESSAGE for text in words)


def counted(tokens_in: object, tokens_out: object) -> dict[str, int]:
    """Return the token counts that a server reports as facts of a reply; drop implausible ones."""
    counts = {"tokens_in": tokens_in, "tokens_out": tokens_out}
    return {name: count for name, count in counts.items() if isinstance(count, int) and 0 <= count <= MOST_TOKENS}
