"""The ASGI entry point: `uvicorn simulator.asgi:app`."""

from __future__ import annotations

from runtime.process import prepare
from simulator import wiring

prepare()
app = wiring.app()
