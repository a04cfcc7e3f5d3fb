"""Start traces and reports of errors, each only if it is asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from runtime import logs, tracing
from runtime.settings import Settings, SettingsError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

#: What each needs, and the extra of this package that installs it.
_TRACES: Final = "OpenTelemetry's variables ask for traces, which need other libraries: pip install 'dadacat[otel]'"
_REPORTS: Final = "SENTRY_DSN needs another library: pip install 'dadacat[sentry]'"


def webhook(application: ASGIApp, chosen: Settings, variables: Mapping[str, str]) -> ASGIApp:
    """Return the application, observed as far as it is asked for. Raises `SettingsError`."""
    start("webhook", chosen, variables)
    if not tracing.is_on():
        return application
    from runtime.traced_asgi import Traced  # noqa: PLC0415 - an extra

    return Traced(application)


def start(role: str, chosen: Settings, variables: Mapping[str, str]) -> None:
    """Start both, as far as they are asked for, and the logs. Raises `SettingsError`."""
    # both libraries read the environment alone, and their variables may stand in `.env`
    for name, value in variables.items():
        if name.startswith(("OTEL_", "SENTRY_")):
            os.environ.setdefault(name, value)
    if is_traced(variables):
        try:
            from runtime import otel  # noqa: PLC0415 - an extra
        except ImportError as exc:
            raise SettingsError(_TRACES) from exc
        try:
            otel.configure(role, variables)
        except otel.NoExporter as exc:
            raise SettingsError(str(exc)) from exc
    if chosen.logs.sentry_dsn:
        try:
            from runtime import crash_reports  # noqa: PLC0415 - an extra
        except ImportError as exc:
            raise SettingsError(_REPORTS) from exc
        try:
            logs.also(crash_reports.configure(role, chosen.logs.sentry_dsn))
        except ValueError:  # its message would show the value
            raise SettingsError("SENTRY_DSN is not the address of a project, such as https://key@host/1") from None
    logs.configure(role, form=chosen.logs.format, level=chosen.logs.level)


def end() -> None:
    """Send what is buffered, where Python's own end is skipped, as by a child of a pool."""
    if tracing.is_on():
        from runtime import otel  # noqa: PLC0415 - an extra

        otel.flush()


def is_traced(variables: Mapping[str, str]) -> bool:
    """Return whether OpenTelemetry's own variables ask for traces."""
    if variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if exporter := variables.get("OTEL_TRACES_EXPORTER"):
        return exporter.strip() != "none"
    return any(variables.get(f"OTEL_EXPORTER_OTLP_{name}") for name in ("ENDPOINT", "TRACES_ENDPOINT"))
