"""Every command that the documents show exists, and was run by a test or is marked as not run."""

from __future__ import annotations

import json
import re

import click
import pytest

import cat.prices
import sms.prices
from benchmarks import simulate
from dadacat.cli import main
from runtime.money import MICRO
from scripts import sequences
from tests import documents
from tests.conftest import ROOT

#: What is typed for what a page names.
PLACEHOLDERS = {"N": "1", "FILE": "/dev/null"}
#: A folder that a command makes.
MADE = "deploy/compose/secrets"


def _objection(words: list[str]) -> str:
    """Parse a command of `dadacat` without running it; return what is wrong with it."""
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
        # leaving the context closes the files that it opened
        with command.make_context(command.name, [PLACEHOLDERS.get(word, word) for word in words], parent=context):
            return ""
    except click.UsageError as exc:
        # a sentence may name an option without its value
        return "" if exc.message.endswith("requires an argument.") else exc.format_message()


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


def test_a_path_that_a_sentence_names_is_there() -> None:
    named = {path for page in documents.PAGES for path in documents.PATH.findall(page.read_text())}
    missing = [path for path in sorted(named) if not (ROOT / path).exists()]

    assert [path for path in missing if not path.startswith(MADE)] == []
    assert len(named) > 50


def test_every_page_is_in_an_index() -> None:
    site, decisions = (ROOT / "zensical.toml").read_text(), (ROOT / "docs/decisions/README.md").read_text()
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in documents.PAGES if (ROOT / "docs") in page.parents}

    assert [
        page
        for page in sorted(pages)
        if f'"{page}"' not in site and f"({page.removeprefix('decisions/')})" not in decisions
    ] == []


def test_a_command_in_a_block_is_run_or_marked() -> None:
    left = [shown for shown in documents.shown() if not (shown.marked or shown.run_elsewhere or shown.typed)]

    assert [str(shown) for shown in left] == []


def test_what_runs_a_command_names_it() -> None:
    for command, (file, words) in documents.RUN_ELSEWHERE.items():
        assert words in (ROOT / file).read_text(), command


def test_a_command_that_is_run_elsewhere_is_shown() -> None:
    shown = [each.command.removeprefix(".venv/bin/") for each in documents.shown()]

    assert [command for command in documents.RUN_ELSEWHERE if not any(each.startswith(command) for each in shown)] == []


def test_a_block_of_another_language_holds_no_command() -> None:
    programs = "dadacat|curl|docker|pip|python|python3|aws|kubectl|systemctl|redis-cli|apt-get"
    begins = re.compile(rf"\s*(?:\$ |export |eval |scripts/|(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?(?:{programs}) )")

    assert [page for page, block in documents.others() if any(map(begins.match, block.splitlines()))] == []


def test_the_diagrams_are_those_of_their_script() -> None:
    assert {name: (sequences.IMAGES / name).read_text() for name in sequences.pictures()} == sequences.pictures()


def test_the_costs_are_those_of_the_code() -> None:
    page, vendors = (ROOT / "docs/explanation/costs.md").read_text(), simulate.Vendors()
    growth = json.loads((ROOT / "docs/benchmarks/growth.json").read_text())["samples"]
    units = growth["write units a turn, 1,000 texts"]["ours"][0]
    segment = {prefix: sms.prices.shipped().segment[prefix] / MICRO for prefix in ("+1", "+44", "+33", "+49", "+")}
    model = cat.prices.shipped().of("gpt-5-mini").cost(vendors.turn_in, vendors.turn_out) / MICRO
    store = units * vendors.write_units / simulate.MILLION

    assert [f"{price:.4f}" for price in segment.values() if f"| {price:.4f} |" not in page] == []
    assert f"{vendors.turn_in:,} tokens in and {vendors.turn_out} out" in page
    assert f"{units} write units on demand | {store:.6f} |" in page
    assert f"| {vendors.text} |" in page
    assert f"| {model:.6f} |" in page
    assert f"**{vendors.text + segment['+1'] + model + store:.4f}**" in page
