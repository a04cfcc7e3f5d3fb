"""Every command that the documents show exists, and was run by a test or is marked as not run."""

from __future__ import annotations

import re

import click
import pytest

from dadacat.cli import main
from tests import documents
from tests.conftest import ROOT
from tests.documents import Shown

#: Commands of blocks that other tests and CI run, by their beginning; and the file that does.
RUN_ELSEWHERE = {
    "scripts/install": ".ci/run",
    "scripts/up": "tests/scenarios/test_documents.py",
    "docker compose": "deploy/try-compose.sh",
    "deploy/compose/backup": "deploy/try-compose.sh",
    "deploy/compose/restore": "deploy/try-compose.sh",
    "deploy/compose/make-secrets": "deploy/try-compose.sh",
}

#: What is typed for what a page names.
PLACEHOLDERS = {"N": "1", "FILE": "/dev/null"}


def _objection(words: list[str]) -> str:
    """Parse a command of `dadacat` as the command line does, without running it; return what is wrong with it."""
    command: click.Command = main
    context = main.make_context("dadacat", [*words], resilient_parsing=True)
    while isinstance(command, click.Group) and words:
        found = command.get_command(context, words[0])
        if found is None:
            return f"no command {words[0]}"
        command, words = found, words[1:]
    if not words:  # a sentence may name a group, or a command without its arguments
        return ""
    try:
        command.make_context(command.name, [PLACEHOLDERS.get(word, word) for word in words], parent=context)
    except click.UsageError as exc:
        # a sentence may name an option without its value
        return "" if exc.message.endswith("requires an argument.") else exc.format_message()
    return ""


@pytest.mark.filterwarnings("ignore::ImportWarning")
def test_a_command_of_ours_is_one() -> None:
    ours = [
        (shown, words[1:])
        for shown in (*documents.shown(), *documents.spans())
        for words in shown.programs
        if words[0] == "dadacat"
    ]

    assert {str(shown): said for shown, words in ours if (said := _objection(words))} == {}
    assert len(ours) > 100


def test_a_script_that_is_shown_is_there() -> None:
    scripts = {shown.programs[0][0] for shown in documents.shown() if "/" in shown.programs[0][0]}

    assert [script for script in scripts if not script.startswith("/") and not (ROOT / script).is_file()] == []


def test_a_command_in_a_block_is_run_or_marked() -> None:
    def is_run(shown: Shown) -> bool:
        return shown.programs[0][0] in documents.TYPED or any(map(shown.command.startswith, RUN_ELSEWHERE))

    assert [str(shown) for shown in documents.shown() if not shown.marked and not is_run(shown)] == []


def test_what_runs_a_command_names_it() -> None:
    for command, file in RUN_ELSEWHERE.items():
        assert all(word in (ROOT / file).read_text() for word in command.split()), command


def test_a_block_of_another_language_holds_no_command() -> None:
    programs = "dadacat|curl|docker|pip|python|python3|aws|kubectl|systemctl|redis-cli|apt-get"
    begins = re.compile(rf"\s*(?:\$ |export |eval |scripts/|(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?(?:{programs}) )")

    assert [page for page, block in documents.others() if any(map(begins.match, block.splitlines()))] == []
