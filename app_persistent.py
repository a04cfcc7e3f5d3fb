"""Run everything in one process tree against the DynamoDB that AWS_ENDPOINT_URL names.

Missing tables are created. The script passes its options on to `dadacat up`: `python app_persistent.py --help`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Replace this process by `dadacat up` in the project's environment, which `scripts/up` creates."""
    dadacat = HERE / ".venv" / "bin" / "dadacat"
    if dadacat.exists():
        os.execv(dadacat, [str(dadacat), "up", *sys.argv[1:]])  # noqa: S606 - no shell is wanted
    os.execv(HERE / "scripts" / "up", ["scripts/up", *sys.argv[1:]])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
