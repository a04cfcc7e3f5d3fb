"""The ASGI entry point, for any server: `uvicorn console.asgi:app`."""

from __future__ import annotations

from console import build
from runtime.process import prepare

prepare()
app = build.app()
