"""The ASGI entry point: `uvicorn simulator.asgi:app`."""

from __future__ import annotations

from simulator import wiring

app = wiring.app()
