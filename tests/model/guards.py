"""Take out one condition of a write, or one guard of a script, and find where it decides.

A condition of several operands is taken out as a whole, and each operand by itself. It is named by the method that
writes, the row, and the attributes that it compares, such as `Turns.retry in#: tries`.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial, reduce
from pathlib import Path
from typing import Any, Final

from boto3.dynamodb.conditions import AttributeBase, ConditionBase

from chaos.days.wire import SCRIPTS, purpose
from conversation import schema
from conversation.errors import ConditionFailed
from conversation.memory_table import MemoryTables
from conversation.table import Check, Delete, Row, Update

_ROOT: Final = Path(__file__).parents[2]
_WRITERS: Final = (str(_ROOT / "journal"), str(_ROOT / "conversation"))
#: Files of `conversation` that write for others.
_HELPERS: Final = ("memory_table.py", "contention.py", "table.py")


class Unguarded(MemoryTables):
    """Tables that leave out the conditions `without`, and note which they meet and which decide."""

    def __init__(self, *without: str) -> None:
        super().__init__(schema.conversations(), schema.messages())
        self._without = without
        self.met: set[str] = set()
        #: Conditions without which a write would have been carried out that was refused.
        self.decisive: set[str] = set()

    def update(self, update: Update) -> Row:
        """Update a row, perhaps without a condition."""
        return super().update(replace(update, when=self._condition(update, _writer("update", update))))

    def delete(self, delete: Delete) -> None:
        """Delete a row, perhaps without a condition."""
        super().delete(replace(delete, when=self._condition(delete, _writer("delete", delete))))

    def transact(self, *writes: Update | Check) -> None:
        """Carry out the writes, perhaps without a condition of one of them."""
        writer = _writer("transact", *writes)
        everything = f"{writer}: everything"
        self.met.add(everything)
        if not all(write.when is None or self._holds(write, write.when) for write in writes):
            self.decisive.add(everything)
        left: list[Update | Check] = []
        for write in writes:
            condition = None if everything in self._without else self._condition(write, writer)
            if isinstance(write, Update):  # noqa: SIM114 - the types differ
                left.append(replace(write, when=condition))
            elif condition is not None:
                left.append(replace(write, when=condition))
        super().transact(*left)

    def _condition(self, write: Update | Check | Delete, writer: str) -> ConditionBase | None:
        """Return a write's condition, perhaps without a part of it; note whether its parts decide."""
        if write.when is None:
            return None
        operands = list(_operands(write.when))
        writer = f"{writer} {_row(write)}"
        parts = {f"{writer}: {_attributes(operand)}": [operand] for operand in operands}
        if len(operands) > 1:
            parts[f"{writer}: all"] = operands
        self.met |= parts.keys()
        if not self._holds(write, write.when):
            rests = {name: _all_of(operands, but=part) for name, part in parts.items()}
            self.decisive |= {name for name, rest in rests.items() if rest is None or self._holds(write, rest)}
        missing = [operand for name in self._without for operand in parts.get(name, ())]
        return _all_of(operands, but=missing) if missing else write.when

    def _holds(self, write: Update | Check | Delete, condition: ConditionBase) -> bool:
        try:
            super().transact(Check(table=write.table, key=write.key, when=condition))
        except ConditionFailed:
            return False
        return True


def _all_of(operands: Sequence[ConditionBase], *, but: Sequence[ConditionBase]) -> ConditionBase | None:
    left = [operand for operand in operands if not any(operand is other for other in but)]
    return reduce(lambda a, b: a & b, left) if left else None


def _operands(condition: ConditionBase) -> Iterator[ConditionBase]:
    expression = condition.get_expression()
    if expression["operator"] != "AND":
        yield condition
        return
    for operand in expression["values"]:
        yield from _operands(operand)


def _attributes(condition: ConditionBase) -> str:
    """Return the names of the attributes that a condition compares, such as `rank/state`."""

    def names(value: Any) -> Iterator[str]:  # Any: a condition, an attribute or a value
        if isinstance(value, AttributeBase):
            yield value.name
        elif isinstance(value, ConditionBase):
            for inner in value.get_expression()["values"]:
                yield from names(inner)

    return "/".join(dict.fromkeys(names(condition)))


def _row(write: Update | Check | Delete) -> str:
    key = write.key.get("message_key")
    return "item" if key is None else key[: key.find("#") + 1] or "watermark"


def _writer(operation: str, *writes: Update | Check | Delete) -> str:
    """Return the method of `journal` or `conversation` that makes the write, such as `Turns.retry`."""
    frame = inspect.currentframe()
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(_WRITERS) and not path.endswith(_HELPERS):
            return frame.f_code.co_qualname.partition(".<locals>")[0]
        frame = frame.f_back
    # only the journal and the conversation store write, and this is one that lands after its caller has gone on
    name = purpose(operation, writes)
    return _WRITER_OF.get(name, f"late {name}")


#: What a write of a worker is for to the method that makes it.
_WRITER_OF: Final = {
    "open": "FencedConversations.open",
    "opt": "FencedConversations._set",
    "file": "Turns.file",
    "retry": "Turns.retry",
    "persist": "Turns.persist",
    "settle": "Turns.settle",
    "claim": "Outbox.claim",
    "bind": "Outbox._updated",
    "report": "Outbox.report",
    "prove": "Outbox.prove_unsent",
    "try again": "Outbox.send_again",
}


def writers() -> set[str]:
    """Return every method of `journal` and `conversation` that writes, by reading their source."""
    found: set[str] = set()
    for folder in _WRITERS:
        for path in Path(folder).glob("*.py"):
            if path.name not in _HELPERS:
                found |= set(_methods_that_write(ast.parse(path.read_text())))
    return found


def _methods_that_write(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        for method in node.body if isinstance(node, ast.ClassDef) else ():
            called = {ast.unparse(call.func) for call in ast.walk(method) if isinstance(call, ast.Call)}
            operations = {f"{tables}.{name}" for tables in ("self._tables", "self.tables") for name in _OPERATIONS}
            if called & (operations | {"holds", "wins"}):
                assert isinstance(node, ast.ClassDef)
                assert isinstance(method, ast.FunctionDef)
                yield f"{node.name}.{method.name}"


_OPERATIONS: Final = ("update", "delete", "transact")
#: What a script tests before it does something, and what makes a command conditional.
_TEST: Final = re.compile(r"(?<=\bif )(?!.*\bif ).+?(?= then\b)")
_OPTION: Final = re.compile(r"'(ZADD|SET|HSETNX)'(?:, [^,()]+(?:\([^()]*\))?)*?, '(NX|LT)'|'(HSETNX)'")
#: Notes each test that holds, and each conditional command that changes nothing.
_NOTES: Final = """local real = redis
local function note(name, held) if held then real.call('SADD', 'guards', name) end return held end
local redis = {call = function(command, ...)
  local answer = real.call(command, ...)
  for _, word in ipairs({command == 'HSETNX' and command or '', ...}) do
    if word == 'NX' or word == 'LT' or word == 'HSETNX' then
      note(SCRIPT .. ': ' .. command .. (word == command and '' or ' ' .. word), not answer or answer == 0)
    end
  end
  return answer
end} """


def script_guards() -> dict[str, dict[str, str]]:
    """Return for each guard of a script, such as `take: SET NX`, the script without it."""
    edits: dict[str, dict[str, str]] = {}
    for name, code in _code():
        for test in _TEST.finditer(code):
            _take_out(edits, name, f"if {test[0]}", test.span(), "nil")
        for option in _OPTION.finditer(code):
            command, word = option[1] or option[3], option[2]
            begin, end = option.span(2 if word else 3)
            # the option goes with the comma before it; the command without one changes its name
            begin, end, instead = (begin - 3, end + 1, "") if word else (begin - 1, end + 1, "'HSET'")
            _take_out(edits, name, f"{command} {word}" if word else command, (begin, end), instead)
    return edits


def noting_scripts() -> dict[str, str]:
    """Return all scripts, changed so that they add to the set `guards` each guard that decides something."""
    noting: dict[str, str] = {}
    for name, code in _code():
        noting[name] = _NOTES.replace("SCRIPT", _quoted(name)) + _TEST.sub(partial(_noted, name), code)
    return noting


def _code() -> Iterator[tuple[str, str]]:
    """Yield each script's name and its source with blanks for comments."""
    for name, source in SCRIPTS.items():
        yield name, re.sub(r"^ *--.*$", lambda comment: " " * len(comment[0]), source, flags=re.MULTILINE)


def _noted(name: str, test: re.Match[str]) -> str:
    return f"note({_quoted(f'{name}: if {test[0]}')}, {test[0]})"


def _quoted(text: str) -> str:
    return f"[==[{text}]==]"


def _take_out(edits: dict[str, dict[str, str]], name: str, guard: str, span: tuple[int, int], instead: str) -> None:
    # a guard that stands twice is taken out twice; padding keeps the places of the others
    source = edits.get(f"{name}: {guard}", SCRIPTS)[name]
    begin, end = span
    edits[f"{name}: {guard}"] = {name: source[:begin] + instead.ljust(end - begin) + source[end:]}
