"""All that is wrong is said at once, by name and never by value."""

from __future__ import annotations

import pytest

from dadacat.settings import Settings, SettingsError, without_settings


def test_an_empty_environment_is_a_laptop() -> None:
    settings = Settings.load({})

    assert settings.double_text_policy == "coalesce"
    assert settings.engine_names == ("dada",)
    assert settings.twilio_api_base_url == "https://api.twilio.com"


def test_everything_wrong_is_said_at_once_and_no_value() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(
            {
                "REDIS_URL": "secret-host",
                "DOUBLE_TEXT_POLICY": "sometimes",
                "WORKER_CONCURRENCY": "many",
                "CAT_ENGINES": "dog",
                "TWILIO_AUTH_TOKEN": "the-token",
            }
        )

    said = str(caught.value)
    for name in ("REDIS_URL", "DOUBLE_TEXT_POLICY", "WORKER_CONCURRENCY", "CAT_ENGINES"):
        assert name in said
    for value in ("secret-host", "sometimes", "many", "dog", "the-token"):
        assert value not in said


def test_an_empty_setting_is_an_unset_one() -> None:
    settings = Settings.load({"TWILIO_API_BASE_URL": "", "AWS_ENDPOINT_URL": "", "WORKER_CONCURRENCY": ""})

    assert settings.twilio_api_base_url == "https://api.twilio.com"
    assert settings.aws_endpoint_url is None
    assert settings.worker_concurrency == 32


def test_a_lease_must_be_renewed_in_time() -> None:
    with pytest.raises(SettingsError, match="LEASE_RENEW_SECONDS"):
        Settings.load({"LEASE_SECONDS": "4", "LEASE_RENEW_SECONDS": "3"})


def test_an_api_key_replaces_the_token_for_sending_only() -> None:
    settings = Settings.load(
        {
            "TWILIO_ACCOUNT_SID": "AC1",
            "TWILIO_AUTH_TOKEN": "token",
            "TWILIO_API_KEY": "SK1",
            "TWILIO_API_SECRET": "secret",
            "TWILIO_AUTH_TOKEN_SECONDARY": "next",
        }
    )

    assert settings.api_login == ("SK1", "secret")
    assert settings.signing_tokens == ("token", "next")
    with pytest.raises(SettingsError, match="TWILIO_API_SECRET"):
        Settings.load({"TWILIO_API_KEY": "SK1"})


def test_twilio_is_asked_for_by_name() -> None:
    with pytest.raises(SettingsError, match=r"TWILIO_ACCOUNT_SID(.|\n)*TWILIO_AUTH_TOKEN"):
        Settings.load({}).require_twilio()


def test_what_must_touch_nothing_but_itself_gets_none_of_our_settings() -> None:
    given = {
        "PATH": "/bin",
        "REDIS_URL": "redis://prod",
        "AWS_ENDPOINT_URL": "x",
        "AWS_PROFILE": "prod",
        "TWILIO_API_BASE_URL": "y",
    }

    assert without_settings(given) == {"PATH": "/bin"}
