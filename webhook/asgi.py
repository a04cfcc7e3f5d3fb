"""`uvicorn webhook.asgi:app`."""

from __future__ import annotations

from webhook import wiring

app = wiring.app()
