"""Hear the kind of a text by its meaning, where no pattern of the poet hears one.

Its sentence vector, the one by which danger was heard in it, is compared with those of texts whose kind is known.
`meant.npz` holds them in eight bits; `python -m benchmarks.meant bake` writes it.
"""

from __future__ import annotations

import threading
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from cat.danger import patterns, vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Score from which a kind is heard; chosen by reading what is heard in texts that no kind was written for.
HEARD_SCORE: Final = 0.18
#: Score from which a kind is taken instead of the happening that a pattern heard.
SURE_SCORE: Final = 0.5
_ONE: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class Known:
    """The texts of known kinds: their vectors and the centre, and what each adds to each kind's score."""

    kinds: Sequence[str]
    centre: NDArray[np.float32]
    known: NDArray[np.float32]
    adds: NDArray[np.float32]

    def best(self, of_text: NDArray[np.float32], among: Container[str]) -> tuple[str, float]:
        """Return the likeliest of these kinds of a text with this vector, and its score."""
        near = vectors.likeness(of_text - self.centre, self.known)
        found = vectors.scores(near, self.adds).tolist()
        return max(
            ((kind, score) for kind, score in zip(self.kinds, found, strict=True) if kind in among),
            key=lambda pair: pair[1],
            default=("", 0.0),
        )


def hear(text: str, among: Container[str], *, sure: bool = False) -> str:
    """Return the kind that a text means, one of these; empty if it cannot be told.

    `sure`: only if it is hardly in doubt. The first call loads the model.
    """
    of_text = vectors.vector(patterns.normal(text))
    if of_text is None:
        return ""
    with _ONE:
        known = _known()
    kind, score = known.best(of_text, among)
    return kind if score >= (SURE_SCORE if sure else HEARD_SCORE) else ""


@cache
def _known() -> Known:
    import numpy  # noqa: ICN001, PLC0415 - a webhook never needs it

    with files("cat").joinpath("meant.npz").open("rb") as file, numpy.load(file) as baked:
        known = baked["known"].astype(numpy.float32) * baked["scale"]
        return Known(baked["kinds"].tolist(), baked["centre"], known, baked["adds"].astype(numpy.float32))
