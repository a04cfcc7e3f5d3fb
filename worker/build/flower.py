"""Prepare Flower: its login, its file, what it forgets, and how it shows a task.

Flower reads its own variables (`FLOWER_…`, https://flower.readthedocs.io/en/latest/config.html). Those that the
operator set win over what stands here.
"""

from __future__ import annotations

import ast
import os
import secrets
from pathlib import Path
from typing import Any, Final

from runtime.private_files import kept
from runtime.settings import Settings

#: A worker that has been silent for so long is gone: a deployment gives its successor another name.
PURGE_SECONDS: Final = 600
#: Tasks that are kept, the newest; the page takes longer to draw with more.
MOST_TASKS: Final = 10_000
#: How often the tasks are written to the file. Flower stands still meanwhile, for a tenth of a second.
SAVE_MILLISECONDS: Final = 60_000
#: The columns of the page of tasks.
COLUMNS: Final = "name,args,state,received,runtime,worker,uuid"


def prepare(arguments: list[str], chosen: Settings) -> None:
    """Set what Flower needs, if `arguments` start it. Without a login, the process ends with a sentence."""
    if "flower" not in arguments:
        return
    # Flower reads its own environment; the login may have come from .env
    os.environ["FLOWER_BASIC_AUTH"] = _login(chosen)
    for name, value in _variables(chosen).items():
        os.environ.setdefault(f"FLOWER_{name}", value)
    _close_metrics()
    from tornado.options import options  # noqa: PLC0415 - only Flower's process needs it

    options.format_task = readable


def _login(chosen: Settings) -> str:
    login, file = chosen.flower.basic_auth, chosen.flower.basic_auth_file
    if not login and file:
        login = kept(Path(file), f"cat:{secrets.token_urlsafe(12)}")
    if not login:
        raise SystemExit(
            "FLOWER_BASIC_AUTH is missing: Flower shows who is served and can stop workers, so it wants a login"
        )
    return login


def _variables(chosen: Settings) -> dict[str, str]:
    kept_in = chosen.flower.db
    if kept_in:
        Path(kept_in).parent.mkdir(parents=True, exist_ok=True)
    return {
        "PURGE_OFFLINE_WORKERS": str(PURGE_SECONDS),
        "MAX_TASKS": str(MOST_TASKS),
        "TASKS_COLUMNS": COLUMNS,
        **({"DB": kept_in, "PERSISTENT": "true", "STATE_SAVE_INTERVAL": str(SAVE_MILLISECONDS)} if kept_in else {}),
    }


def _close_metrics() -> None:
    """Put Flower's `/metrics` behind its login: they name every worker and task."""
    from flower import urls  # noqa: PLC0415 - only Flower's process needs it
    from flower.views.monitor import Metrics  # noqa: PLC0415
    from tornado.web import authenticated  # noqa: PLC0415

    class ClosedMetrics(Metrics):  # type: ignore[misc]  # Flower has no types
        """Flower's metrics, for those who log in."""

        @authenticated
        async def get(self) -> None:
            await super().get()

    # the first that fits a path answers
    urls.handlers.insert(0, (r"/metrics", ClosedMetrics))


def readable(task: Any) -> Any:  # Any: Celery's own record of a task
    """Show the person of a task, who is an argument such as `('3f2a…',)`, without the brackets."""
    try:
        [person] = ast.literal_eval(task.args)
    except (ValueError, SyntaxError, TypeError):
        return task
    task.args = f"person {person}"
    return task
