"""`uvicorn webhook.asgi:app`."""

from __future__ import annotations

from webhook import processes, wiring

processes.end_with_supervisor()
app = wiring.app()
