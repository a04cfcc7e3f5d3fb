"""No class and no port is large, and no import leads back to where it came from."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.architecture.test_code import TRACKED
from tests.architecture.test_worker import PACKAGES
from tests.conftest import ROOT

#: A class with more methods has more than one subject.
MOST_METHODS = 16
#: A port with more verbs has more than one consumer.
MOST_VERBS = 8


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {
    _module(path): ast.parse(path.read_text())
    for path in TRACKED
    if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in {*PACKAGES, "benchmarks"}
}


def _methods(node: ast.ClassDef) -> int:
    return sum(isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) for item in node.body)


def _is_port(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield every statement that can run; what only a type checker reads cannot."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from _statements(node)


def _imported(tree: ast.AST) -> set[str]:
    """Return the modules of ours that a module imports, at its top or in a function."""
    found: set[str] = set()
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= named & MODULES.keys() if named <= MODULES.keys() else {node.module, *named}
    return found & MODULES.keys()


IMPORTS = {name: _imported(tree) - {name} for name, tree in MODULES.items()}


@pytest.mark.parametrize("name", MODULES)
def test_a_class_fits_in_a_head(name: str) -> None:
    classes = [node for node in ast.walk(MODULES[name]) if isinstance(node, ast.ClassDef)]

    assert [node.name for node in classes if _methods(node) > MOST_METHODS] == []
    assert [node.name for node in classes if _is_port(node) and _methods(node) > MOST_VERBS] == []


def test_no_module_imports_one_that_imports_it() -> None:
    assert len(list(TopologicalSorter(IMPORTS).static_order())) == len(MODULES)


def test_no_package_imports_one_that_imports_it() -> None:
    packages: dict[str, set[str]] = {}
    for name, imported in IMPORTS.items():
        package = name.partition(".")[0]
        packages.setdefault(package, set()).update({other.partition(".")[0] for other in imported} - {package})

    # raises CycleError, which names the packages of a cycle
    assert len(list(TopologicalSorter(packages).static_order())) == len(packages) == len(PACKAGES) + 1
