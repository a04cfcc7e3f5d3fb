"""The pages and actions of the console, a module for each subject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.responses import Response

from console.request import ConsoleRequest


@dataclass(frozen=True, slots=True)
class Page:
    """A page that changes nothing, for every operator who has logged in."""

    path: str
    answer: Callable[[ConsoleRequest], Response]
