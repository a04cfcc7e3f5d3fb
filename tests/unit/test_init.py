"""`dadacat init` writes valid settings, or writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from dotenv import dotenv_values

from dadacat.cli import main
from operations import init
from runtime.settings import Settings

SID = "AC" + "1" * 32
RIGHT = [
    "--account-sid", SID, "--auth-token", "t0ken", "--number", "+15005550006",
    "--public-url", "https://cat.example.org", "--engines", "dada", "--no-check",
]  # fmt: skip


def run(folder: Path, *more: str, answers: str = "", options: list[str] | None = None) -> tuple[int, str]:
    arguments = ["init", "--file", str(folder / ".env"), *(RIGHT if options is None else options), *more]
    result = CliRunner().invoke(main, arguments, input=answers)
    return result.exit_code, result.output


def test_what_is_written_is_what_was_answered(tmp_path: Path) -> None:
    assert run(tmp_path)[0] == 0

    file = tmp_path / ".env"
    assert file.stat().st_mode & 0o777 == 0o600
    values = {name: value or "" for name, value in dotenv_values(file).items()}
    chosen = Settings.load(values)
    assert (chosen.twilio.account_sid, chosen.twilio.tokens, chosen.twilio.numbers) == (
        SID,
        ("t0ken",),
        ("+15005550006",),
    )
    # Twilio itself, not the simulator
    assert values["TWILIO_API_BASE_URL"] == "https://api.twilio.com"
    assert chosen.flower.basic_auth.startswith("cat:")


def test_what_is_not_given_is_asked_for_and_a_secret_is_not_shown(tmp_path: Path) -> None:
    code, output = run(tmp_path, answers=f"{SID}\nt0ken\n+15005550006\n", options=["--no-check"])

    assert code == 0, output
    assert "t0ken" not in output
    assert dotenv_values(tmp_path / ".env")["TWILIO_AUTH_TOKEN"] == "t0ken"


def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MINE=1\n")

    code, output = run(tmp_path)
    assert (code, (tmp_path / ".env").read_text()) == (1, "MINE=1\n")
    assert "--force" in output

    assert run(tmp_path, "--force")[0] == 0
    assert "MINE" not in (tmp_path / ".env").read_text()
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_what_is_wrong_is_told_by_name_and_nothing_is_written(tmp_path: Path) -> None:
    code, output = run(tmp_path, "--number", "five five five", "--public-url", "cat.example.org")

    assert code == 1
    assert "TWILIO_PHONE_NUMBER" in output
    assert "PUBLIC_URL" in output
    assert "nothing was written" in output
    assert list(tmp_path.iterdir()) == []


def test_where_twilio_does_not_let_us_in_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_API_BASE_URL", "http://127.0.0.1:1")
    code, output = run(tmp_path, options=[option for option in RIGHT if option != "--no-check"])

    assert code == 1
    assert "cannot be reached" in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["plain", "with space", "it's", 'say "hi"', "back\\slash", "a#b", "$HOME", "=", "ü"])
def test_any_value_comes_back_as_it_went(tmp_path: Path, value: str) -> None:
    init.write(tmp_path / ".env", {"NAME": value})

    assert dotenv_values(tmp_path / ".env")["NAME"] == value
