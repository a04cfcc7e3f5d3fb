"""Keys change while a process runs, without a restart.

During the change the webhook accepts what the old key signed and what the new key signed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from twilio.http.response import Response

from runtime.secrets import Keys
from runtime.settings import Settings, SettingsError
from sms import signature
from sms.credentials import Login
from sms.signature import Key, Validator
from webhook.build import signing

SID = "AC" + "1" * 32
FORM = {"From": "+15551230001", "Body": "hello"}
URL = "https://cat.example"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def chosen(**given: str) -> Settings:
    return Settings.load({"TWILIO_ACCOUNT_SID": SID, **given})


def accepted(keys: Callable[[], Sequence[Key]], secret: str, algorithm: str = "sha1") -> bool:
    signed = signature.sign(secret, f"{URL}/sms", FORM, algorithm=algorithm)  # type: ignore[arg-type]
    return Validator(URL, keys).accepts("/sms", FORM, signed)


def test_a_mounted_secret_is_read_anew_when_it_changes(tmp_path: Path) -> None:
    file, clock = tmp_path / "tokens", Clock()
    file.write_text("old\n")
    settings = chosen(TWILIO_AUTH_TOKEN_FILE=str(file))
    keys = Keys(settings, dict, clock=clock)
    may_sign = signing(settings, keys)
    assert (accepted(may_sign, "old"), accepted(may_sign, "new")) == (True, False)

    file.write_text("old\nnew\n")
    clock.now = 1.5
    assert (accepted(may_sign, "old"), accepted(may_sign, "new")) == (True, True)
    assert keys.logins == ((SID, "old"), (SID, "new"))

    # an orchestrator replaces the file by another one of the same name
    other = tmp_path / "other"
    other.write_text("new\n")
    other.replace(file)
    clock.now = 3.0
    assert (accepted(may_sign, "old"), accepted(may_sign, "new")) == (False, True)


def test_a_secret_that_is_gone_for_a_moment_leaves_what_is_known(tmp_path: Path) -> None:
    file, clock = tmp_path / "tokens", Clock()
    file.write_text("old")
    keys = Keys(chosen(TWILIO_AUTH_TOKEN_FILE=str(file)), dict, clock=clock)
    file.unlink()
    clock.now = 2.0

    assert keys.tokens == ("old",)
    file.write_text("new")
    clock.now = 4.0
    assert keys.tokens == ("new",)


def test_at_a_hangup_the_settings_are_read_anew_and_wrong_ones_are_not_taken() -> None:
    given = {"TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": "old"}
    keys = Keys(Settings.load(given), lambda: given)

    given |= {"TWILIO_AUTH_TOKEN_SECONDARY": "new"}
    assert list(keys.tokens) == ["old"]
    keys.reload()
    assert list(keys.tokens) == ["old", "new"]

    given["TWILIO_AUTH_TOKEN_SECONDARY"] = "third"
    keys.hang_up()
    assert list(keys.tokens) == ["old", "third"]
    given |= {"TWILIO_AUTH_TOKEN_SECONDARY": "new"}
    keys.hang_up()
    assert keys.logins[1] == (SID, "new")

    given["TWILIO_AUTH_TOKEN"] = given["TWILIO_AUTH_TOKEN_SECONDARY"] = ""
    keys.reload()
    assert list(keys.tokens) == ["old", "new"]


@pytest.mark.parametrize(
    ("how", "token", "shared"),
    [("tokens", True, False), ("shared-keys", False, True), ("both", True, True)],
)
def test_what_may_sign_is_pinned_by_configuration(how: str, *, token: bool, shared: bool) -> None:
    settings = chosen(TWILIO_AUTH_TOKEN="t", TWILIO_SHARED_KEYS="k1, k2", WEBHOOK_SIGNING=how)
    may_sign = signing(settings, Keys(settings, dict))

    assert accepted(may_sign, "t") is token
    assert [accepted(may_sign, key, "sha256") for key in ("k1", "k2")] == [shared, shared]
    # a key is not accepted with the algorithm of the other kind
    assert not accepted(may_sign, "t", "sha256")
    assert not accepted(may_sign, "k1")


def test_what_cannot_sign_is_told() -> None:
    with pytest.raises(SettingsError, match="TWILIO_SHARED_KEYS is empty"):
        chosen(TWILIO_AUTH_TOKEN="t", WEBHOOK_SIGNING="both")
    with pytest.raises(SettingsError, match="TWILIO_AUTH_TOKEN_FILE holds no token"):
        chosen(TWILIO_AUTH_TOKEN_FILE="/nowhere/at/all").twilio.require()


def test_the_login_that_was_let_in_goes_first() -> None:
    login = Login(lambda: [("AC", "old"), ("AC", "new")])

    answer = login.ask(lambda pair: Response(401 if pair[1] == "old" else 201, ""))

    assert answer.status_code == 201
    assert login.first == ("AC", "new")
    assert list(login) == [("AC", "new"), ("AC", "old")]
