"""The settings: read once and validated at start, in nested sections.

One error lists every invalid setting by name; a setting's value is never shown.

The reference in `docs/reference/settings.md` is generated from `sections` by `dadacat settings --markdown`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from dotenv import dotenv_values
from pydantic import ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from runtime.settings.sections import (
    BudgetsSettings,
    ConsoleSettings,
    DeliverySettings,
    DynamoDBSettings,
    EnginesSettings,
    FlowerSettings,
    LimitsSettings,
    LogsSettings,
    MemorySettings,
    MetricsSettings,
    ObservabilitySettings,
    PeopleSettings,
    ReconcileSettings,
    RedisSettings,
    RepliesSettings,
    SettingsError,
    SimulatorSettings,
    TwilioSettings,
    VisitSettings,
    WebhookSettings,
    WorkerSettings,
)

__all__ = ["Settings", "SettingsError", "environment", "fields_of", "file_names", "names", "without_settings"]


class BySection(PydanticBaseSettingsSource):
    """Give each section the variables that its settings name; an empty variable is an unset one."""

    def __init__(self, settings_cls: type[BaseSettings], variables: Mapping[str, str]) -> None:
        super().__init__(settings_cls)
        self._variables = variables

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[dict[str, str], str, bool]:
        """Return the section's variables."""
        names = fields_of(field)
        return {name: value for name in names if (value := self._variables.get(name))}, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the variables of all sections."""
        return {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}


class Settings(BaseSettings):
    """All settings. Each is set by a variable of the environment, such as `REDIS_URL`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, case_sensitive=True)

    twilio: TwilioSettings
    webhook: WebhookSettings
    redis: RedisSettings
    dynamodb: DynamoDBSettings
    engines: EnginesSettings
    replies: RepliesSettings
    memory: MemorySettings
    people: PeopleSettings
    visit: VisitSettings
    limits: LimitsSettings
    budgets: BudgetsSettings
    delivery: DeliverySettings
    reconcile: ReconcileSettings
    worker: WorkerSettings
    logs: LogsSettings
    metrics: MetricsSettings
    observability: ObservabilitySettings
    flower: FlowerSettings
    console: ConsoleSettings
    simulator: SimulatorSettings

    @model_validator(mode="after")
    def _agree(self) -> Self:
        resends = self.delivery.unknown_policy == "resend"
        if resends and self.delivery.unknown_resend_after_seconds >= self.visit.max_age_seconds:
            raise ValueError("UNKNOWN_RESEND_AFTER_SECONDS must be less than MAX_AGE_SECONDS")
        kept = timedelta(days=self.dynamodb.retention_days)
        if kept and kept < timedelta(days=1, seconds=self.visit.max_age_seconds):
            # a row that is deleted while its reply may still be sent is a reply that may be sent twice
            raise ValueError("RETENTION_DAYS must be longer than MAX_AGE_SECONDS and a day for a second try")
        return self

    @classmethod
    def load(cls, variables: Mapping[str, str]) -> Self:
        """Read settings from `variables`, such as `environment()`.

        Raises `SettingsError`, which names every invalid setting and shows no value.
        """
        try:
            return cls(variables=variables)
        except ValidationError as exc:
            raise SettingsError("\n".join(_sentence(error) for error in exc.errors(include_input=False))) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the variables that `load` is given, so that a command can complete them and a test choose them."""
        del env_settings, dotenv_settings, file_secret_settings
        return (BySection(settings_cls, init_settings()["variables"]),)

    @property
    def who_key(self) -> bytes:
        """The key of the hash that hides numbers, the same in every process of an installation."""
        return hashlib.blake2b((self.people.who_key or f"dadacat:{self.twilio.account_sid}").encode()).digest()


def _sentence(error: Mapping[str, Any]) -> str:  # Any: pydantic's own shapes
    message = str(error["msg"]).removeprefix("Value error, ")
    # the location is the section, then the setting; a check of a whole section names the settings itself
    name = error["loc"][1] if len(error["loc"]) > 1 else ""
    return f"{name} {message[:1].lower()}{message[1:]}" if name else message


def fields_of(section: FieldInfo) -> dict[str, FieldInfo]:
    """Return a section's settings by their names in the environment."""
    model: Any = section.annotation  # Any: one of the classes above
    return {str(field.validation_alias): field for field in model.model_fields.values()}


def names() -> tuple[str, ...]:
    """Return the name of every setting, such as `REDIS_URL`."""
    return tuple(name for section in Settings.model_fields.values() for name in fields_of(section))


def file_names() -> dict[str, str]:
    """Return the variables that name files, such as `REDIS_URL_FILE`, and the setting of each."""
    known = names()
    return {f"{name}_FILE": name for name in known if f"{name}_FILE" not in known}


def without_settings(given: Mapping[str, str]) -> dict[str, str]:
    """Return `given` without our settings, AWS's and OpenTelemetry's.

    For a process tree that must reach no service but its own.
    The tree must also run in a folder without `.env`, because `.env` supplies what the environment lacks.
    """
    ours = {*names(), *file_names()}
    return {name: value for name, value in given.items() if name not in ours and not name.startswith(("AWS_", "OTEL_"))}


def environment() -> Mapping[str, str]:
    """Return the process's environment, completed by `.env` in this directory and by files of secrets.

    Raises `SettingsError` if a file that a variable such as `REDIS_URL_FILE` names cannot be read.
    """
    from_file = {name: value for name, value in dotenv_values(Path(".env")).items() if value is not None}
    given = {**from_file, **os.environ}
    secrets, unreadable = {}, []
    for variable, name in file_names().items():
        if given.get(variable) and not given.get(name):
            try:
                secrets[name] = Path(given[variable]).read_text().strip()
            except (OSError, UnicodeDecodeError) as exc:
                unreadable.append(f"{variable} cannot be read: {getattr(exc, 'strerror', None) or 'no UTF-8'}")
    if unreadable:
        raise SettingsError("\n".join(unreadable))
    return {**given, **secrets}
