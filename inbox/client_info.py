"""What a connection tells Redis of its process; `inbox.processes` reads it back."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Final

from redis.driver_info import DriverInfo

#: What precedes a process's role in the names of its connections.
PROCESS: Final = "dadacat-"


def driver(role: str) -> DriverInfo:
    """Return the name of the connections of a process such as `worker`: with its version and id."""
    return DriverInfo().add_upstream_driver(f"{PROCESS}{role}", f"{version('dadacat')}+{os.getpid()}")
