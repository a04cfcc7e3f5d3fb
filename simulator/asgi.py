"""The ASGI entry point: `uvicorn simulator.asgi:app`."""

from __future__ import annotations

from runtime.process import prepare
from simulator import wiring
from simulator.app import create_app

prepare()
app = create_app(wiring.build_network())
