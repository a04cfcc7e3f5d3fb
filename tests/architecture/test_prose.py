"""The language of the code and of the documents: plain, short, with the actor named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture import prose
from tests.architecture.test_code import TRACKED
from tests.conftest import ROOT

#: What the cat says, and how it shall say it.
THE_CATS_OWN = {"docs/gallery.md", "cat/persona.md", "cat/persona.py", "cat/gallery.py"}
#: Tests with tables of data, one row a line.
TEXTS = ("dada", "danger", "danger_patterns", "keywords", "tongue")
TABLES = {"tests/hostile.py", *(f"tests/unit/test_{name}.py" for name in TEXTS)}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _is_shell(path: Path) -> bool:
    if path.suffix == "":
        return path.read_bytes().startswith(b"#!/usr/bin/env bash")
    return path.suffix == ".sh"


def _of_kind(*suffixes: str) -> list[Path]:
    return [path for path in TRACKED if path.suffix in suffixes or (".sh" in suffixes and _is_shell(path))]


def _spared(name: str, *lists: set[str]) -> bool:
    return any(name == spared or name.startswith(f"{spared}/") for entry in lists for spared in entry)


READ = [path for path in _of_kind(".py", ".lua", ".sh", ".md") if not _spared(_name(path), THE_CATS_OWN)]
PYTHON = [path for path in _of_kind(".py") if not _spared(_name(path))]
CODE = [path for path in _of_kind(".py", ".lua", ".sh") if not _spared(_name(path), TABLES)]


@pytest.mark.parametrize("path", READ, ids=_name)
def test_the_actor_is_named(path: Path) -> None:
    assert prose.banned_words(path) == []


@pytest.mark.parametrize("path", PYTHON, ids=_name)
def test_a_summary_fits_a_line(path: Path) -> None:
    assert prose.long_summaries(path) == []


@pytest.mark.parametrize("path", PYTHON, ids=_name)
def test_a_docstring_says_what_it_documents(path: Path) -> None:
    assert prose.pointers(path) == []


@pytest.mark.parametrize("path", CODE, ids=_name)
def test_a_line_fits_a_screen(path: Path) -> None:
    assert prose.long_lines(path) == []
