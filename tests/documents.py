"""The commands that the documents show, as their reader would type them.

A block that begins with three backticks and `sh` holds commands, and no other block does. A command that no test runs
says `not run` in its comment or in its block's title.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOT_RUN = "not run"
#: A block: its indentation, its language, the rest of its first line, and what is in it.
BLOCK = re.compile(r"^( *)```(\w*)([^\n]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
#: A command of ours within a sentence.
SPAN = re.compile(r"`((?:[A-Z_]+=\S+ )?(?:\.venv/bin/)?dadacat [^`]+)`")
#: A file or folder of the repository within a sentence, without what follows it, such as the name of a test.
PATH = re.compile(r"`((?:\.ci|\.github|benchmarks|deploy|docs|scripts|tests)/[\w./-]+)")
#: Commands that other tests and CI run, by their beginning; and the file that does, with the words that stand there.
RUN_ELSEWHERE = {
    "scripts/install": (".ci/run", "scripts/install"),
    "scripts/up": ("tests/scenarios/test_documents.py", "scripts/up"),
    "dadacat init": ("tests/unit/test_init.py", '"init"'),
    "docker compose up --build --detach --wait": ("deploy/try-compose.sh", "compose up --detach --wait"),
    "docker compose exec worker dadacat doctor": ("deploy/try-compose.sh", "compose exec -T worker dadacat doctor"),
    "docker compose up --detach --no-recreate --scale": ("deploy/try-compose.sh", "--no-recreate --scale"),
    "docker compose ps --all worker": ("deploy/try-compose.sh", "compose ps --all worker"),
    "docker compose logs --tail 20 worker": ("deploy/try-compose.sh", "compose logs --tail 20 worker"),
    "docker compose -f deploy/compose/compose.yaml": ("deploy/try-compose.sh", "deploy/compose/production.yml"),
    "deploy/compose/backup": ("deploy/try-compose.sh", "deploy/compose/backup"),
    "deploy/compose/restore": ("deploy/try-compose.sh", "deploy/compose/restore"),
    "deploy/compose/make-secrets": ("deploy/try-compose.sh", "deploy/compose/make-secrets"),
}
#: The programs that tests/scenarios/test_documents.py runs, with the arguments that a block shows.
TYPED = {"dadacat", "curl", "redis-cli", "scripts/codes", "eval", "python"}
#: What separates commands on one line.
BETWEEN = ("&&", ";", "|")


@dataclass(frozen=True)
class Shown:
    """A command in a document."""

    page: str
    line: int
    #: Without its comment; several lines are one.
    command: str
    marked: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.command}"

    @property
    def run_elsewhere(self) -> bool:
        """Return whether another test or CI runs it."""
        return any(map(self.command.removeprefix(".venv/bin/").startswith, RUN_ELSEWHERE))

    @property
    def typed(self) -> bool:
        """Return whether tests/scenarios/test_documents.py types it."""
        return not self.marked and not self.run_elsewhere and self.programs[0][0] in TYPED

    @property
    def programs(self) -> list[list[str]]:
        """Return the words of each program that the command starts, without variables that are set before it."""
        words = shlex.shlex(self.command, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        programs: list[list[str]] = [[]]
        for word in words:
            if word in BETWEEN:
                programs.append([])
            elif word == ">":
                break  # the file is no argument
            elif programs[-1] or not re.match(r"[A-Z_]+=", word):
                programs[-1].append(word.removeprefix(".venv/bin/"))
        return [program for program in programs if program]


def shown() -> Iterator[Shown]:
    """Yield every command of every block."""
    for page in PAGES:
        text = page.read_text()
        for block in BLOCK.finditer(text):
            if block[2] == "sh":
                yield from _commands(page, text.count("\n", 0, block.start(4)) + 1, block[4], NOT_RUN in block[3])


def others() -> Iterator[tuple[str, str]]:
    """Yield the page and the text of every block that holds no commands."""
    for page in PAGES:
        for block in BLOCK.finditer(page.read_text()):
            if block[2] != "sh":
                yield page.relative_to(ROOT).as_posix(), block[4]


def spans() -> Iterator[Shown]:
    """Yield the commands of ours that stand within sentences."""
    for page in PAGES:
        text = page.read_text()
        for span in SPAN.finditer(text):
            line = text.count("\n", 0, span.start()) + 1
            yield Shown(page.relative_to(ROOT).as_posix(), line, re.sub(r"<(\w+)>", r"\1", span[1]), marked=False)


def _commands(page: Path, first: int, block: str, marked: bool) -> Iterator[Shown]:  # noqa: FBT001 - one caller
    begun = ""
    for number, line in enumerate(block.splitlines(), start=first):
        command, comment = _without_comment(line.strip())
        if command.endswith("\\"):
            begun += command.removesuffix("\\")
            continue
        if begun + command:
            name = page.relative_to(ROOT).as_posix()
            yield Shown(name, number, begun + command, marked or NOT_RUN in comment)
        begun = ""


def _without_comment(line: str) -> tuple[str, str]:
    """Split a line into its command and its comment."""
    for at in (match.start() for match in re.finditer(r"(?:^|(?<=\s))#", line)):
        if line[:at].count("'") % 2 == 0 and line[:at].count('"') % 2 == 0:
            return line[:at].strip(), line[at:]
    return line, ""
