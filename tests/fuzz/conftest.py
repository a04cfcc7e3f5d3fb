"""`pytest -m long` runs the same properties with many more examples."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

#: Examples of each property in a long run; by default Hypothesis tries a hundred.
MANY = 3_000
HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    settings.register_profile("many", max_examples=MANY, deadline=None)
    if config.option.markexpr == "long":
        settings.load_profile("many")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the long run choose these tests."""
    if config.option.markexpr == "long":
        for item in items:
            if item.path.parent == HERE:
                item.add_marker(pytest.mark.long)
                item.add_marker(pytest.mark.timeout(3600))
