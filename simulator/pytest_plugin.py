"""A pytest fixture with the telephone network.

A project asks for it in its `conftest.py`: `pytest_plugins = ["simulator.pytest_plugin"]`. It is no `pytest11` entry
point, because that would load it in every test run of the environment.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulator.testing import Simulator


@pytest.fixture
def telephone_network() -> Iterator[Simulator]:
    """Run a network for one test. Its number has no webhook: set one with `set_webhook`."""
    with Simulator() as network:
        yield network
