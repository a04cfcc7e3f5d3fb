"""No secret has a default, and the simulator's token never counts at Twilio."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from runtime.settings import Settings, SettingsError
from runtime.settings.sections import PUBLISHED_TOKEN, TWILIO_API
from simulator import wiring
from worker.build import flower

ACCOUNT = {"TWILIO_ACCOUNT_SID": "AC" + "1" * 32}
SIMULATOR = "http://simulator:8401"


@pytest.mark.parametrize("address", [TWILIO_API, SIMULATOR])
@pytest.mark.parametrize("name", ["TWILIO_AUTH_TOKEN", "TWILIO_AUTH_TOKEN_SECONDARY", "TWILIO_AUTH_TOKEN_FILE"])
def test_the_published_token_never_counts(tmp_path: Path, name: str, address: str) -> None:
    (tmp_path / "token").write_text(f"{PUBLISHED_TOKEN}\n")
    given = str(tmp_path / "token") if name.endswith("FILE") else PUBLISHED_TOKEN
    twilio = Settings.load({**ACCOUNT, "TWILIO_API_BASE_URL": address, name: given}).twilio

    assert twilio.tokens == ()
    assert twilio.logins == ()
    with pytest.raises(SettingsError, match="published"):
        twilio.require()


def test_a_missing_token_is_said_beside_an_api_key_or_a_token_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="TWILIO_AUTH_TOKEN is missing"):
        Settings.load({**ACCOUNT, "TWILIO_API_KEY": "SK1", "TWILIO_API_SECRET": "s"}).twilio.require()
    with pytest.raises(SettingsError, match="TWILIO_AUTH_TOKEN_FILE holds no token"):
        Settings.load(
            {**ACCOUNT, "TWILIO_AUTH_TOKEN_FILE": str(tmp_path / "none"), "TWILIO_AUTH_TOKEN": "t"}
        ).twilio.require()


@pytest.mark.parametrize(
    ("address", "counts"),
    [
        (SIMULATOR, True),
        ("http://127.0.0.1:8401", True),
        ("https://twilio.com.example.org", True),
        (TWILIO_API, False),
        ("https://API.Twilio.com:443", False),
        ("https://api.dublin.ie1.twilio.com", False),
        ("", False),
    ],
)
def test_the_simulators_token_counts_at_the_simulator_only(tmp_path: Path, address: str, *, counts: bool) -> None:
    (tmp_path / "token").write_text("of the simulator\n")
    given = {**ACCOUNT, "TWILIO_API_BASE_URL": address, "SIMULATOR_TOKEN_FILE": str(tmp_path / "token")}

    assert Settings.load(given).twilio.tokens == (("of the simulator",) if counts else ())
    assert Settings.load({**given, "TWILIO_AUTH_TOKEN": "given"}).twilio.tokens == ("given",)


def test_the_simulator_makes_a_token_of_its_own_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    for name, value in {
        **ACCOUNT, "TWILIO_API_BASE_URL": SIMULATOR, "SIMULATOR_TOKEN_FILE": str(file),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    wiring.build_network().switchboard.store.close()
    token = file.read_text()
    wiring.build_network().switchboard.store.close()

    assert file.read_text() == token
    assert len(token) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_flower_makes_a_login_of_its_own_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWER_BASIC_AUTH", "")
    chosen = Settings.load({"FLOWER_BASIC_AUTH_FILE": str(tmp_path / "login")})

    flower.prepare(["flower"], chosen)
    login = (tmp_path / "login").read_text()
    flower.prepare(["flower"], chosen)

    assert (tmp_path / "login").read_text() == login
    assert len(login.removeprefix("cat:")) >= 16
    with pytest.raises(SystemExit, match="FLOWER_BASIC_AUTH is missing"):
        flower.prepare(["flower"], Settings.load({}))
