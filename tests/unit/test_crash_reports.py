"""An error is reported by its name and its place; what a person sent stays here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from runtime import observe
from runtime.settings import Settings, SettingsError
from tests.builders import ANN
from tests.collectors import Collector, collector
from tests.conftest import ROOT

WORD = "xyzzyplugh"
#: A process that logs an error, fails with one in a thread, and dies of one; each holds a number and a word, which are
#: not in its source: a report shows the lines of it.
PROCESS = """
import sys
import threading
from runtime import logs, observe
from runtime.errors import Away
from runtime.settings import Settings, environment

variables = environment()
chosen = Settings.load(variables)
observe.start("worker", chosen, variables)
logs.configure("worker")
log = logs.get("worker")

word, ann = sys.argv[1:]

def fails(body):
    person = ann
    raise KeyError(f"{body} of {person}")

try:
    fails(word)
except KeyError:
    log.exception("request failed", path="/sms", body=word)
try:
    raise Away("redis cannot be reached: TimeoutError")
except Away as exc:
    log.error("away", exc_info=exc)
log.error("turn settled", sid="SM1", state="DEAD", reason=f"{word} of {ann}")
log.warning("parked", who="w")
thread = threading.Thread(target=fails, args=(word,))
thread.start()
thread.join()
fails(word)
"""


@pytest.fixture(scope="module")
def reported() -> Iterator[Collector]:
    with collector() as kept:
        ended = subprocess.run(
            [sys.executable, "-c", PROCESS, WORD, ANN],
            cwd=ROOT, env={"SENTRY_DSN": kept.dsn}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 1, ended.stderr
        yield kept


def test_each_error_is_one_report_with_its_name_and_ids(reported: Collector) -> None:
    reports = reported.reports()

    assert [report["tags"].get("event") for report in reports] == ["request failed", "away", "turn settled", None, None]
    assert {report["tags"]["role"] for report in reports} == {"worker"}
    assert reports[2]["message"] == "turn settled"
    assert (reports[2]["tags"]["sid"], reports[2]["tags"]["state"]) == ("SM1", "DEAD")


def test_a_report_says_where_the_error_was(reported: Collector) -> None:
    [error] = reported.reports()[0]["exception"]["values"]

    assert error["type"] == "KeyError"
    assert error["stacktrace"]["frames"][-1]["function"] == "fails"


def test_the_message_of_an_error_that_may_be_shown_is_reported(reported: Collector) -> None:
    values: list[Any] = [report["exception"]["values"][-1].get("value") for report in reported.reports()[:2]]

    assert values == [None, "redis cannot be reached: TimeoutError"]


def test_a_wrong_address_is_a_sentence_that_does_not_show_it() -> None:
    with pytest.raises(SettingsError, match="SENTRY_DSN is not the address of a project") as said:
        observe.start("worker", Settings.load({"SENTRY_DSN": f"https://{WORD}"}), {})

    assert WORD not in str(said.value)


def test_neither_a_number_nor_a_text_leaves(reported: Collector) -> None:
    everything = reported.everything()

    assert "KeyError" in everything
    assert WORD not in everything
    assert ANN[1:] not in everything
