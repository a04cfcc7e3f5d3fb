"""Every name in Redis stands once, in `inbox/keys.py` or `inbox/worker_keys.py`."""

from __future__ import annotations

import ast
import inspect
import re

import pytest

from inbox import keys, worker_keys
from tests.architecture.test_code import TRACKED
from tests.conftest import ROOT

NAMED = {**vars(keys), **vars(worker_keys)}
NAMES = {value for name, value in NAMED.items() if name.isupper() and isinstance(value, str)}
#: What stands before the first colon of a name, such as `inbox`.
PREFIXES = {
    function("x").partition(":")[0]
    for function in NAMED.values()
    if inspect.isfunction(function) and isinstance(function("x"), str)
} | {name.partition(":")[0] for name in NAMES if ":" in name}
_KEY = re.compile(rf"(?:{'|'.join(sorted(PREFIXES))}):(?:\S|$)")
#: A first argument of these is a key: they are methods of a Redis client.
COMMANDS = {
    "brpop", "delete", "exists", "expire", "get", "hdel", "hexists", "hget", "hgetall", "hmget", "hset", "hsetnx",
    "llen", "lpush", "lrange", "set", "xack", "xadd", "xdel", "xlen", "xrange", "zadd", "zcard", "zrange", "zrem",
}  # fmt: skip
#: Names that are ordinary words: only as the key of a command do they name a key.
WORDS = {"agenda", "circuit", "epoch", "people", "receipts", "waiting"}
KEYS = ("inbox/keys.py", "inbox/worker_keys.py")
HERE = {*KEYS, "tests/architecture/test_keys.py"}


def spelled_out(source: str) -> list[str]:
    """Find names of Redis in string literals, as `line: literal`; docstrings are no names."""
    tree = ast.parse(source)
    documents = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    literals = [
        (node, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents
    ]
    arguments = {
        id(node.args[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in COMMANDS
        and node.args
    }
    return [
        f"{node.lineno}: {value}"
        for node, value in literals
        if _KEY.match(value) or value in NAMES - WORDS or (value in WORDS and id(node) in arguments)
    ]


@pytest.mark.parametrize(
    "source",
    ['f"inbox:{who}"', '"lease:#reconcile"', '"doorbells"', 'client.zcard("waiting")', '"visit:*"', '"purse:epoch"'],
)
def test_a_name_that_is_spelled_out_is_found(source: str) -> None:
    assert spelled_out(f"x = {source}") != []


@pytest.mark.parametrize("source", ['"""inbox:<who> holds texts."""', 'x = "waiting"', 'x = "rate: a number"'])
def test_ordinary_words_are_not(source: str) -> None:
    assert spelled_out(source) == []


def test_no_name_is_spelled_out_elsewhere() -> None:
    python = [path for path in TRACKED if path.suffix == ".py" and path.relative_to(ROOT).as_posix() not in HERE]

    assert {str(path.relative_to(ROOT)): found for path in python if (found := spelled_out(path.read_text()))} == {}


@pytest.mark.parametrize("file", KEYS)
def test_every_name_says_what_it_is(file: str) -> None:
    lines = (ROOT / file).read_text().splitlines()

    for number, line in enumerate(lines):
        if re.match(r"[A-Z_]+: Final = ", line):
            assert lines[number - 1].startswith("#: "), line
