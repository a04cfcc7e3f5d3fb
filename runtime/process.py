"""What every process of ours sets for itself at its start."""

from __future__ import annotations

import os
import resource
from typing import Final

#: No process here needs more. Some libraries walk through every descriptor that the limit allows.
MOST_FILES: Final = 65_536
#: What is written holds numbers and texts: only its owner may read it.
PRIVATE: Final = 0o077


def prepare() -> int:
    """Keep new files private and raise the limit of open files; return that limit."""
    os.umask(PRIVATE)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return most if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most
