"""Each event has a constant name and a meaning, and the page of events is the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.pages import events
from tests.conftest import ROOT


def test_the_events_reference_is_the_code() -> None:
    assert (ROOT / "docs/reference/events.md").read_text() == events.markdown()


@pytest.mark.parametrize("call", ['log.info(f"sent {body}")', 'log.error("an event that no page describes")'])
def test_an_event_that_the_page_cannot_describe_is_named(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "new.py"
    module.write_text(f'log = logs.get("worker")\n{call}\n')
    monkeypatch.setattr(events, "ROOT", tmp_path)

    with pytest.raises(events.Undescribed, match=r"new\.py:2"):
        list(events._in(module))
