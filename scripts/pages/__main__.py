"""Write the pages into docs/reference: `python -m scripts.pages`. A test holds each against the code."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from operations import settings_page
from scripts.pages import commands, events, metrics, tables

REFERENCE: Final = Path(__file__).parents[2] / "docs" / "reference"
PAGES: Final = {
    "commands": commands.markdown,
    "events": events.markdown,
    "metrics": metrics.markdown,
    "settings": settings_page.markdown,
    "tables": tables.markdown,
}

if __name__ == "__main__":
    for name, markdown in PAGES.items():
        (REFERENCE / f"{name}.md").write_text(markdown())
