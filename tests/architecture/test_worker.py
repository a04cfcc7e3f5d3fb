"""The worker's parts know few others, and a default of a setting stands once."""

from __future__ import annotations

import ast
import importlib
import inspect
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runtime.settings import SettingsError
from tests.conftest import ROOT

PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
WORKER = sorted((ROOT / "worker").rglob("*.py"))
MOST_NAMES = 20
#: Files that are about to be split.
NOT_YET: set[str] = set()
#: Parameters whose defaults are no setting's. The specification's usage example names no table.
NOT_SETTINGS = {
    ("DynamoDBStorage", "table_name"),
    ("DynamoDBStorage", "connections"),
    ("Cat", "calls"),
}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _first_party_names(path: Path) -> list[str]:
    imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if (node.module or "").partition(".")[0] in PACKAGES]
    return [f"{node.module}.{alias.name}" for node in ours for alias in node.names]


@pytest.mark.parametrize("path", [path for path in WORKER if _name(path) not in NOT_YET], ids=_name)
def test_no_file_knows_more_than_twenty_names_of_ours(path: Path) -> None:
    assert len(_first_party_names(path)) <= MOST_NAMES


def _filled(path: Path) -> Iterator[tuple[str, inspect.Parameter]]:
    """Yield each parameter of ours that a factory fills, and the name of what is called."""
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
        called: Any = getattr(module, call.func.id, None) if isinstance(call.func, ast.Name) else None
        if not str(getattr(called, "__module__", "")).startswith(tuple(PACKAGES)) or called is SettingsError:
            continue
        parameters = inspect.signature(called).parameters
        named = [argument.arg for argument in call.keywords if argument.arg in parameters]
        for name in [*list(parameters)[: len(call.args)], *filter(None, named)]:
            yield called.__name__, parameters[name]


def test_what_a_factory_fills_has_no_default_of_its_own() -> None:
    filled = [pair for path in sorted((ROOT / "worker/build").glob("*.py")) for pair in _filled(path)]
    # what is left out may be no limit, no line and no list
    twice = {
        (called, parameter.name)
        for called, parameter in filled
        if isinstance(parameter.default, int | float | str | timedelta | tuple) and parameter.default
    }

    assert len(filled) > 100
    assert twice - NOT_SETTINGS == set()
