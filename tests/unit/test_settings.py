"""Settings: all invalid ones are reported at once, by name and never by value."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from cat.engines import ENGINES, POET
from dadacat.cli import main
from runtime.settings import Settings, SettingsError, environment, fields_of, file_names, names, without_settings
from worker.build.cat import check_cat, memory_terms
from worker.build.prices import price_tables
from worker.retry_policy import NEXT_DAY


def test_an_empty_environment_is_a_laptop() -> None:
    settings = Settings.load({})

    assert settings.visit.double_text_policy == "coalesce"
    assert settings.engines.names == ("dada",)
    assert settings.twilio.api_base_url == "https://api.twilio.com"


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

    message = str(caught.value)
    for name in ("REDIS_URL", "DOUBLE_TEXT_POLICY", "WORKER_CONCURRENCY", "CAT_ENGINES"):
        assert name in message
    for value in ("secret-host", "sometimes", "many", "dog", "the-token"):
        assert value not in message


@pytest.mark.parametrize("seconds", ["0", "-1", "0.0004", "1e10", "inf", "nan"])
@pytest.mark.parametrize("name", ["PROBE_SECONDS", "LEASE_SECONDS", "SWEEP_PERSON_SECONDS", "MAX_AGE_SECONDS"])
def test_a_duration_is_one_that_redis_and_python_can_count(name: str, seconds: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.load({name: seconds})


def test_a_limit_of_one_duration_holds_beside_that_of_all() -> None:
    for name, seconds in {"UNKNOWN_RESEND_AFTER_SECONDS": "59", "QUIET_LIMIT_SECONDS": "301"}.items():
        with pytest.raises(SettingsError, match=name):
            Settings.load({name: seconds})


def test_no_row_is_deleted_while_its_reply_may_be_sent() -> None:
    longest = timedelta(days=7) - NEXT_DAY
    allowed = {"RETENTION_DAYS": "7", "MAX_AGE_SECONDS": str(longest.total_seconds())}
    assert Settings.load(allowed).visit.max_age_seconds == longest.total_seconds()

    for given in ({"RETENTION_DAYS": "1"}, {**allowed, "MAX_AGE_SECONDS": str(longest.total_seconds() + 1)}):
        with pytest.raises(SettingsError, match="RETENTION_DAYS must be longer than MAX_AGE_SECONDS"):
            Settings.load(given)


@pytest.mark.parametrize(("variable", "name"), file_names().items())
def test_every_setting_can_be_given_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, name: str
) -> None:
    (tmp_path / "secret").write_text(f" the value of {name}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, str(tmp_path / "secret"))

    # an empty variable is an unset one
    monkeypatch.setenv(name, "")
    assert environment()[name] == f"the value of {name}"

    monkeypatch.setenv(name, "its own")
    assert environment()[name] == "its own"


def test_files_of_settings_that_cannot_be_read_are_all_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"WHO_KEY_FILE={tmp_path}/none\nREDIS_URL_FILE={tmp_path}\n")

    with pytest.raises(SettingsError) as caught:
        environment()

    assert str(caught.value).splitlines() == [
        "REDIS_URL_FILE cannot be read: Is a directory",
        "WHO_KEY_FILE cannot be read: No such file or directory",
    ]


#: What must not be shown, in the forms whose errors a library might write.
SECRET = "s3ntinel"
FORMS = (
    SECRET,
    f"http://[{SECRET}]",
    f"redis://:{SECRET}@[x]/0",
    f"http://x{SECRET}\u2100",
    f"{SECRET}:",
    f"{SECRET},+",
)


@pytest.mark.parametrize("name", names())
def test_no_error_shows_the_value_of_a_setting(name: str) -> None:
    for form in FORMS:
        with pytest.raises(SettingsError) as caught:
            # one more that is wrong, so that there is an error in any case
            Settings.load({name: form, "WORKER_POOL": form})

        assert SECRET not in "".join(traceback.format_exception(caught.value))
        assert "WORKER_POOL" in str(caught.value)


def test_all_that_is_wrong_is_named_in_one_error() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(dict.fromkeys(names(), "line\nline" * 200))

    strict = {name for section in Settings.model_fields.values() for name, field in fields_of(section).items()
              if field.annotation is not str or field.metadata}  # fmt: skip
    assert strict <= {line.partition(" ")[0] for line in str(caught.value).splitlines()} | {"TWILIO_SHARED_KEYS"}


def test_a_price_file_that_cannot_be_read_is_not_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        price_tables(Settings.load({"PRICES_FILE": str(tmp_path / SECRET)}))

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("PUBLIC_URL", "https://cat.example/?x=1", "without [?] and #"),
        ("PUBLIC_URL", "https://cat.example/#f", "without [?] and #"),
        ("PUBLIC_URL", "https://cat.example/sub?", "without [?] and #"),
        ("GRAFANA_URL", "https://grafana.example/?orgId=1", "without [?] and #"),
        ("CONSOLE_URL", "https://ops.example/console", "without a path"),
        ("CONSOLE_URL", "https://ops.example/?x", "without [?] and #"),
        ("TRACE_URL", "https://jaeger.example/trace", "must hold {trace}"),
        ("TRACE_URL", "jaeger.example/{trace}", "must be an http:// or https:// address"),
    ],
)
def test_an_address_that_would_lead_elsewhere_is_refused(name: str, value: str, why: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}.*{why}"):
        Settings.load({name: value})


def test_an_address_may_have_what_its_use_leaves_room_for() -> None:
    trace = "https://grafana.example/explore?trace={trace}&orgId=1#/"

    chosen = Settings.load(
        {"TRACE_URL": trace, "CONSOLE_URL": "https://ops.example:8443/", "PUBLIC_URL": "https://cat.example/sub/"}
    )

    assert chosen.observability.trace_url == trace
    assert chosen.console.url == "https://ops.example:8443"
    assert chosen.webhook.public_url == "https://cat.example/sub"


def test_an_unknown_kind_of_engine_is_told_with_the_known_ones() -> None:
    with pytest.raises(SettingsError) as caught:
        check_cat(Settings.load({"CAT_ENGINES": "mistral:large,openai:gpt-5-mini,dada"}))

    first, second = str(caught.value).splitlines()
    assert first.startswith("CAT_ENGINES: mistral is no kind of engine")
    assert all(kind in first for kind in (POET, *ENGINES))
    assert "openai:gpt-5-mini needs OPENAI_API_KEY" in second


def test_an_empty_setting_is_an_unset_one() -> None:
    settings = Settings.load({"TWILIO_API_BASE_URL": "", "AWS_ENDPOINT_URL": "", "WORKER_CONCURRENCY": ""})

    assert settings.twilio.api_base_url == "https://api.twilio.com"
    assert settings.dynamodb.endpoint_url is None
    assert settings.worker.concurrency == 32


@pytest.mark.parametrize("value", ["inf", "nan", "1e15", "1e-9", "-1"])
def test_a_time_that_no_process_can_wait_is_refused(value: str) -> None:
    times = [
        str(field.validation_alias)
        for section in Settings.model_fields.values()
        for field in fields_of(section).values()
        if field.annotation is float
    ]

    with pytest.raises(SettingsError) as caught:
        Settings.load(dict.fromkeys(times, value))

    assert {"MEMORY_HOURS", "MAX_AGE_SECONDS", "LEASE_SECONDS", "PACE_LONG_CODE"} <= set(times)
    assert {line.partition(" ")[0].rstrip(":") for line in str(caught.value).splitlines()} == set(times)


def test_the_longest_memory_that_is_accepted_is_a_time_that_a_date_can_go_back() -> None:
    chosen = Settings.load({"MEMORY_HOURS": "876000"})

    assert datetime.now(UTC) - memory_terms(chosen).age < datetime.now(UTC)


def test_a_secrets_manager_may_keep_the_keys_of_all_engines_together() -> None:
    together = '{"OPENAI_API_KEY": "theirs", "GEMINI_API_KEY": "theirs", "ANTHROPIC_API_KEY": ""}'

    engines = Settings.load({"MODEL_KEYS": together, "GEMINI_API_KEY": "its own"}).engines

    assert [engines.api_key(kind) for kind in ("openai", "gemini", "anthropic")] == ["theirs", "its own", ""]


@pytest.mark.parametrize("value", ["the-key", '["the-key"]', '{"OPENAI_API_KEY": 7}', '"the-key"'])
def test_keys_of_engines_that_are_no_object_are_refused_unseen(value: str) -> None:
    with pytest.raises(SettingsError, match="MODEL_KEYS must be a JSON object") as caught:
        Settings.load({"MODEL_KEYS": value})

    assert "the-key" not in str(caught.value)


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

    assert settings.twilio.logins == (("SK1", "secret"),)
    assert settings.twilio.tokens == ("token", "next")
    with pytest.raises(SettingsError, match="TWILIO_API_SECRET"):
        Settings.load({"TWILIO_API_KEY": "SK1"})


def test_twilio_is_asked_for_by_name() -> None:
    with pytest.raises(SettingsError, match=r"TWILIO_ACCOUNT_SID(.|\n)*TWILIO_AUTH_TOKEN"):
        Settings.load({}).twilio.require()


def test_what_must_touch_nothing_but_itself_gets_none_of_our_settings() -> None:
    given = {
        "PATH": "/bin",
        "REDIS_URL": "redis://prod",
        "REDIS_URL_FILE": "/run/secrets/redis",
        "AWS_ENDPOINT_URL": "x",
        "AWS_PROFILE": "prod",
        "TWILIO_API_BASE_URL": "y",
    }

    assert without_settings(given) == {"PATH": "/bin"}


def test_a_budget_can_be_set_and_taken_off() -> None:
    assert Settings.load({}).budgets.model_day == 10
    assert Settings.load({"MODEL_BUDGET_DAY": "off"}).budgets.model_day is None
    assert Settings.load({"MODEL_BUDGET_DAY": ""}).budgets.model_day == 10
    assert Settings.load({"SMS_BUDGET_MONTH": "12.50"}).budgets.sms_month == 12.5
    for wrong in ("-1", "ten", "nan"):
        with pytest.raises(SettingsError, match="MODEL_BUDGET_DAY"):
            Settings.load({"MODEL_BUDGET_DAY": wrong})


def test_a_line_under_a_reply_is_one_short_line() -> None:
    with pytest.raises(SettingsError, match="FOOTER_LINE"):
        Settings.load({"FOOTER_LINE": "x" * 121})
    with pytest.raises(SettingsError, match="FIRST_CONTACT_LINE"):
        Settings.load({"FIRST_CONTACT_LINE": "one\ntwo"})
    with pytest.raises(SettingsError, match="FOOTER_EVERY needs a FOOTER_LINE"):
        Settings.load({"FOOTER_EVERY": "5"})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        ("not toml", "Expected"),
        ('[segment]\n"+1" = "cheap"', "prices in US dollars"),
        ('[segment]\n"+1" = -1', "must not be negative"),
        ('[[models]]\n[models.known]\n"x" = { in = 1 }', "model x: `in` and `out` are required"),
        ('[models]\n"x" = 1', "groups"),
        ('models = ["x"]', "known must be a table"),
        ('[[models]]\nknown = ["a"]', "known must be a table"),
        ('[[models]]\n[models.known]\n"x" = { in = nan, out = 1 }', "model x: a price must not be negative, nor above"),
        ('[[models]]\n[models.known]\n"x" = { in = 1, out = inf }', "model x: a price must not be negative, nor above"),
        (
            '[[models]]\n[models.known]\n"x" = { in = 1, out = 1' + "0" * 400 + " }",
            "model x: `in` and `out` are required",
        ),
        ("[segment]\n49 = 0.1", "49 is not the beginning of a number"),
        ('[segment]\n"+49 30" = 0.1', "is not the beginning of a number"),
        ('[segment]\n"+49" = inf', "prices in US dollars"),
        ('[segment]\n"+49" = 1001', "nor above 1,000"),
        ("[channel]\nWhatsApp = 0.1", "WhatsApp is not a channel"),
        ("channel = []", "prices in US dollars"),
        ('[segments]\n"+49" = 0.1', "it holds segments, and may hold models, segment and channel"),
    ],
)
def test_a_price_file_that_is_none_is_said_in_a_sentence(tmp_path: Path, content: str | None, why: str) -> None:
    file = tmp_path / "prices.toml"
    if content is not None:
        file.write_text(content)

    with pytest.raises(SettingsError, match=f"PRICES_FILE cannot be used: .*{why}"):
        price_tables(Settings.load({"PRICES_FILE": str(file)}))


def test_a_price_file_lies_over_what_is_shipped(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('[[models]]\n[models.known]\n"gpt-5-mini" = { in = 1, out = 2 }\n[segment]\n"+49" = 0.5\n')

    known, tariff = price_tables(Settings.load({"PRICES_FILE": str(file)}))

    assert known.of("gpt-5-mini-2025-08-07").cost(1_000_000, 0) == 1_000_000
    assert known.of("gpt-5-nano").sees
    assert known.of("never-heard-of").price_out == max(model.price_out for model in known.models.values())
    assert (tariff.cost("+4917012345", 2), tariff.cost("+15551230001", 1)) == (1_000_000, 12_800)
    assert tariff.cost("whatsapp:+4917012345", 3) == 5_000


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://127.0.0.1/0?nonsense=1", "nonsense"),
        ("redis://127.0.0.1/0?protocol=7", "protocol must be"),
        ("unix:///run/redis", "must begin with redis:// or rediss://"),
        ("redis://:s3cret/part@127.0.0.1:6379/0", "must be an address"),
        ("redis://:s3cret#part@127.0.0.1:6379/0", "must be an address"),
    ],
)
def test_a_webhook_does_not_start_with_an_address_of_redis_that_it_cannot_use(
    url: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "REDIS_URL": url, "PUBLIC_URL": "https://cat.example", "TWILIO_ACCOUNT_SID": "AC" + "be" * 16,
        "TWILIO_AUTH_TOKEN": "be" * 16, "TWILIO_PHONE_NUMBER": "+15005550006",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)

    answer = CliRunner().invoke(main, ["webhook"])

    assert answer.exit_code == 1
    assert "s3cret" not in answer.output
    assert answer.output.startswith("Error: REDIS_URL")
    assert message in answer.output


@pytest.mark.parametrize("name", ["SMS_BUDGET_PERSON_DAY", "SMS_BUDGET_DAY", "SMS_BUDGET_MONTH"])
def test_a_budget_that_pays_for_no_reply_is_refused(name: str) -> None:
    given = {"TWILIO_PHONE_NUMBER": "+15005550006", "REPLY_MAX_SEGMENTS": "3"}

    with pytest.raises(SettingsError, match=rf"{name} pays for no reply: .* about 0\.0384 USD"):
        check_cat(Settings.load({**given, name: "0.02"}))
    check_cat(Settings.load({**given, name: "0.04"}))
    check_cat(Settings.load({**given, name: "off"}))
