"""The ASGI application, for any server: `webhook.asgi:app`."""

from __future__ import annotations

from webhook import build

app = build.app()
