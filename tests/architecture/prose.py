"""Find the prose of a file: comments, docstrings and documents, each with its line."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

#: Pronouns that hide the actor. Write the webhook, the worker, the operator, the carrier, the person or the caller.
BANNED: Final = re.compile(
    r"\b(whoever|whomever|somebody|nobody|everybody|anybody|he|him|his|himself)\b", re.IGNORECASE
)
SUMMARY_CHARACTERS: Final = 100
LINE_CHARACTERS: Final = 120

_POINTER: Final = re.compile(r"See `[\w.]+`\.?\s*\Z")


class Prose(NamedTuple):
    """A stretch of text that a reader reads, and the line on which it begins."""

    line: int
    text: str


def comments(path: Path, text: str) -> Iterator[Prose]:
    """Every comment of a `.py`, `.lua` or shell file."""
    if path.suffix == ".py":
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield Prose(token.start[0], token.string)
        return
    marker = "--" if path.suffix == ".lua" else "#"
    for number, line in enumerate(text.splitlines(), 1):
        _, found, comment = line.partition(marker)
        if found:
            yield Prose(number, comment)


def docstrings(text: str) -> Iterator[Prose]:
    """Every docstring of a Python file: of the module, its classes and its functions."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring is not None:
                body = node.body[0]
                yield Prose(body.lineno, docstring)


def everything(path: Path) -> list[Prose]:
    """All prose of a file; of a Markdown page every line."""
    text = path.read_text()
    if path.suffix == ".md":
        return [Prose(number, line) for number, line in enumerate(text.splitlines(), 1)]
    found = list(comments(path, text))
    return [*found, *docstrings(text)] if path.suffix == ".py" else found


def banned_words(path: Path) -> list[str]:
    """Each use of a banned word, as `line: word`."""
    return [
        f"{prose.line + prose.text[: match.start()].count(chr(10))}: {match[0]}"
        for prose in everything(path)
        for match in BANNED.finditer(prose.text)
    ]


def long_summaries(path: Path) -> list[str]:
    """Docstrings whose first line is longer than `SUMMARY_CHARACTERS`, as `line: length`."""
    lengths = [(prose.line, len(prose.text.partition("\n")[0])) for prose in docstrings(path.read_text())]
    return [f"{line}: {length} characters" for line, length in lengths if length > SUMMARY_CHARACTERS]


def pointers(path: Path) -> list[str]:
    """Docstrings that only say where another docstring stands, as `line: text`."""
    return [f"{prose.line}: {prose.text}" for prose in docstrings(path.read_text()) if _POINTER.match(prose.text)]


def long_lines(path: Path) -> list[str]:
    """Lines longer than `LINE_CHARACTERS`, as `line: length`."""
    lines = enumerate(path.read_text().splitlines(), 1)
    return [f"{number}: {len(line)} characters" for number, line in lines if len(line) > LINE_CHARACTERS]
