"""Record which process calls what at AWS: a line for each role, IAM action and resource.

A call is translated into the actions that IAM checks, a transaction into those of its elements
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html).
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

#: The commands that a deployment runs as processes; every other command is an operator's.
PROCESSES = ("webhook", "worker", "beat", "flower", "simulator", "chaos", "up")
#: In a test's own process the outermost package tells which process would run the code.
PACKAGES = {
    "worker": "worker",
    "cat": "worker",
    "webhook": "webhook",
    "console": "operator",
    "operations": "operator",
    "dadacat": "operator",
    "simulator": "simulator",
    "chaos": "chaos",
    "local": "up",
}
#: A worker tries each of its operations at its start. That does not show that it needs them.
TRYING = "check_permissions"
ELEMENTS = {"Update": "UpdateItem", "ConditionCheck": "ConditionCheckItem", "Put": "PutItem", "Delete": "DeleteItem"}


class Call(NamedTuple):
    """What IAM checks, and for which process."""

    role: str
    action: str
    #: Such as `messages` or `messages/index/by_arrival`.
    resource: str


def install(client: ModuleType) -> Callable[..., Any]:
    """Record the calls of every client of this process; return what made them before."""
    call: Callable[..., Any] = client.BaseClient._make_api_call
    folder = Path(os.environ["DADACAT_CALLS"])
    own = folder / f"{os.getpid()}-{uuid.uuid4().hex}"
    seen: set[Call] = set()

    def recorded(self: Any, operation: str, request: Mapping[str, Any]) -> Any:  # Any: botocore's own
        role = _role()
        for action, resource in checked(self.meta.service_model.service_name, operation, request):
            made = Call(role, action, resource)
            if role and made not in seen:
                seen.add(made)
                with own.open("a") as file:
                    file.write(" ".join(made) + "\n")
        return call(self, operation, request)

    client.BaseClient._make_api_call = recorded
    return call


@contextmanager
def recording(client: ModuleType) -> Iterator[None]:
    """Record the calls that this process makes in the block."""
    call = install(client)
    yield
    client.BaseClient._make_api_call = call


def read(folder: Path) -> set[Call]:
    """Return all calls that were recorded in a folder."""
    return {Call(*line.split()) for file in folder.iterdir() for line in file.read_text().splitlines()}


def checked(service: str, operation: str, request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the actions that IAM checks for one call, each with its resource."""
    match service, operation:
        case "dynamodb", "TransactWriteItems":
            for item in request["TransactItems"]:
                for kind, element in item.items():
                    yield f"dynamodb:{ELEMENTS[kind]}", _table(element["TableName"])
        case "dynamodb", "BatchGetItem" | "BatchWriteItem":
            for name in request["RequestItems"]:
                yield f"dynamodb:{operation}", _table(name)
        case "dynamodb", _ if "TableName" in request:
            index = f"/index/{request['IndexName']}" if "IndexName" in request else ""
            yield f"dynamodb:{operation}", _table(request["TableName"]) + index
        case "bedrock-runtime", "Converse":
            yield "bedrock:InvokeModel", "models"
        case _:
            yield f"{service}:{operation}", "*"


def _table(name: str) -> str:
    """Return which table has this name; tests call the journal's `...Messages` or `...M`."""
    return "messages" if "Messages" in name or name.endswith("M") else "conversations"


def _role() -> str:
    """Return this process's role; empty if a test itself makes the call, or a worker tries."""
    frames = list(_frames())
    if any(function == TRYING for _, function in frames):
        return ""
    command, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    if command == "dadacat" and arguments:
        return arguments[0] if arguments[0] in PROCESSES else "operator"
    if command == "celery":
        return next((name for name in PROCESSES if name in arguments), "")
    return next((PACKAGES[package] for package, _ in reversed(frames) if package in PACKAGES), "")


def _frames() -> Iterator[tuple[str, str]]:
    """Yield the package and the function of each caller, innermost first."""
    frame = sys._getframe(1)
    while frame is not None:
        yield str(frame.f_globals.get("__name__", "")).partition(".")[0], frame.f_code.co_name
        frame = frame.f_back  # type: ignore[assignment]  # None at the outermost
