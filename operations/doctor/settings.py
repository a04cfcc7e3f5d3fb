"""Check the settings, and which project this folder is."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from operations.doctor.findings import Result, ok, warning
from runtime.settings import Settings
from runtime.settings.sections import RedisSettings


def check_compose(chosen: Settings) -> Iterator[Result]:
    """Notice a project of compose here, whose services only its containers reach."""
    if Path("docker-compose.yml").exists() and chosen.redis.url == RedisSettings.model_fields["url"].default:
        what = "this folder has a compose project, and REDIS_URL is not set"
        yield warning(what, "if DadaCat runs under compose: docker compose exec worker dadacat doctor")


def check(chosen: Settings) -> Iterator[Result]:
    """Check the settings themselves."""
    yield ok(f"are valid; DadaCat {version('dadacat')}")
    if not chosen.twilio.numbers and not chosen.twilio.messaging_service_sid:
        what = "none of our numbers is named: texts to every number of the account are answered"
        yield warning(what, "set TWILIO_PHONE_NUMBER")
