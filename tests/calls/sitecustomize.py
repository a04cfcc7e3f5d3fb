"""Record the calls to AWS of a process that a test starts.

Python imports this module at the start of the process.
Its folder is on PYTHONPATH while tests run; the variable `DADACAT_CALLS` names the folder for the records.
"""

from __future__ import annotations

import os
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

CLIENT = "botocore.client"


class _Recording(Loader):
    """Load botocore's client, then have its calls recorded."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        # by its file: a child of multiprocessing has its parent's path by now, in which this folder is not
        here = spec_from_file_location("recorder", Path(__file__).with_name("recorder.py"))
        assert here is not None
        assert here.loader is not None
        here.loader.exec_module(recorder := module_from_spec(here))
        recorder.install(module)


class _Finder(MetaPathFinder):
    """Find botocore's client only: a process that makes no call must not pay for importing botocore."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # Any: importlib's
        del target
        spec = PathFinder.find_spec(fullname, path) if fullname == CLIENT else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Recording(spec.loader)
        return spec


if os.environ.get("DADACAT_CALLS"):
    sys.meta_path.insert(0, _Finder())
