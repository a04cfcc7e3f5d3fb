"""The ASGI application, for any server: `webhook.asgi:app`."""

from __future__ import annotations

from runtime.process import prepare
from webhook import build

prepare()
app = build.app()
