"""`dadacat init` writes valid settings, or writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from dotenv import dotenv_values

from dadacat.cli import main
from operations import init
from runtime.settings import Settings, SettingsError

SID = "AC" + "1" * 32
TOKEN = "c0ffee" * 5 + "00"
RIGHT = [
    "--account-sid", SID, "--auth-token", TOKEN, "--number", "+15005550006",
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
        (TOKEN,),
        ("+15005550006",),
    )
    # Twilio itself, not the simulator
    assert values["TWILIO_API_BASE_URL"] == "https://api.twilio.com"
    assert chosen.flower.basic_auth.startswith("cat:")


def test_what_is_not_given_is_asked_for_and_a_secret_is_not_shown(tmp_path: Path) -> None:
    code, output = run(
        tmp_path, answers=f"{SID}\n{TOKEN}\n+1 (500) 555-0006\nhttps://cat.example.org\n", options=["--no-check"]
    )

    assert code == 0, output
    assert TOKEN not in output
    values = dotenv_values(tmp_path / ".env")
    assert values["TWILIO_AUTH_TOKEN"] == TOKEN
    assert values["TWILIO_PHONE_NUMBER"] == "+15005550006"
    # the local store, for trials; AWS has to be asked for
    assert "AWS_ENDPOINT_URL" not in values


def test_no_public_address_is_invented(tmp_path: Path) -> None:
    without = [part for part in RIGHT if part not in ("--public-url", "https://cat.example.org")]

    code, output = run(tmp_path, options=without)

    assert code == 2
    assert "--public-url is missing" in output
    assert list(tmp_path.iterdir()) == []


def test_a_store_on_aws_is_written_as_such(tmp_path: Path) -> None:
    assert run(tmp_path, "--store", "aws")[0] == 0

    # present and empty: neither `dadacat up` nor compose uses a local store
    assert dotenv_values(tmp_path / ".env")["AWS_ENDPOINT_URL"] == ""


@pytest.mark.parametrize(
    ("option", "value", "name"),
    [
        ("--account-sid", "AC123", "TWILIO_ACCOUNT_SID"),
        ("--account-sid", "SK" + "1" * 32, "TWILIO_ACCOUNT_SID"),
        ("--auth-token", "x", "TWILIO_AUTH_TOKEN"),
        ("--number", "555", "TWILIO_PHONE_NUMBER"),
        ("--number", "5005550006", "TWILIO_PHONE_NUMBER"),
        ("--number", "", "TWILIO_PHONE_NUMBER"),
    ],
)
def test_the_shape_of_an_answer_is_checked_without_twilio(tmp_path: Path, option: str, value: str, name: str) -> None:
    code, output = run(tmp_path, option, value)

    assert code == 1
    assert name in output
    assert list(tmp_path.iterdir()) == []


class Account:
    """An account that owns one number."""

    def status(self) -> tuple[str, None]:
        return "active", None

    def number(self, number: str) -> object:
        return object() if number == "+15005550006" else None


def test_a_number_of_another_account_is_refused() -> None:
    given = {"TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": TOKEN, "PUBLIC_URL": "https://cat.example.org"}
    ours = init.complete({**given, "TWILIO_PHONE_NUMBER": "+15005550006,72345"})
    other = init.complete({**given, "TWILIO_PHONE_NUMBER": "+15005550006,+15005550007"})

    init.check_account(Settings.load(ours), Account())
    with pytest.raises(SettingsError, match=r"\+15005550007 is not a number of this account"):
        init.check_account(Settings.load(other), Account())


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
