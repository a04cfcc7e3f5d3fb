"""The Prometheus metric of what operators do: attempts to log in to the console."""

from __future__ import annotations

from typing import Final

from runtime.metrics import counter

LOGINS: Final = counter(
    "dadacat_console_logins",
    "Attempts to log in to the console: done, refused, limited.",
    outcome=("done", "refused", "limited"),
)
