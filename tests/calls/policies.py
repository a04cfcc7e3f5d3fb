"""What the policies of `deploy/aws/services.yaml` allow each process, against what was called.

python -m tests.calls.policies FOLDER      print the differences; end with 1 if there is one
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.calls import recorder
from tests.calls.recorder import Call

AWS = Path(__file__).resolve().parent.parent.parent / "deploy" / "aws"
#: The role that each deployed process has; none of them has a second one.
ROLES = {
    "webhook": "WebhookRole",
    "worker": "WorkerRole",
    "beat": "BeatRole",
    "flower": "BeatRole",
    "operator": "OperatorRole",
}
#: What a process does only where no stack has made the tables; without the permission it goes on.
OF_THE_STACK = {"dynamodb:CreateTable", "dynamodb:UpdateTimeToLive"}
#: Services whose calls are made by the product; a collector writes logs.
PRODUCT = ("dynamodb:", "bedrock:")


def template(name: str) -> Any:  # Any: CloudFormation's own shapes
    """Return a template; a tag such as `!Ref x` becomes `{"Ref": "x"}`."""
    return yaml.load((AWS / name).read_text(), Loader=_Loader)  # noqa: S506 - a safe loader, below


def allowed() -> set[Call]:
    """Return what each process may call."""
    resources = template("services.yaml")["Resources"]
    return {
        Call(process, action, resource)
        for process, role in ROLES.items()
        for policy in resources[role]["Properties"].get("Policies", ())
        for statement in policy["PolicyDocument"]["Statement"]
        for action, resource in _permissions(statement)
        if action.startswith(PRODUCT)
    }


def not_allowed(calls: set[Call]) -> set[Call]:
    """Return the calls of deployed processes that no policy allows."""
    deployed = {call for call in calls if call.role in ROLES and call.action not in OF_THE_STACK}
    return deployed - allowed()


def not_used(calls: set[Call]) -> set[Call]:
    """Return the permissions that no process used."""
    return allowed() - calls


def _permissions(statement: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "Fn::If" in statement:
        statement = statement["Fn::If"][1]
    actions, resources = statement["Action"], statement["Resource"]
    for resource in resources if isinstance(resources, list) else [resources]:
        for action in [actions] if isinstance(actions, str) else actions:
            yield action, _resource(json.dumps(resource))


def _resource(written: str) -> str:
    """Return the recorder's name of a resource."""
    name = next((name for name in ("conversations", "messages") if f"dadacat-{name}" in written), "")
    index = re.search(r"/index/[^\"]+", written)
    return name + (index[0] if index else "") or ("models" if "BedrockModels" in written else written)


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's tags too."""

    def tagged(self, tag: str, node: yaml.ScalarNode | yaml.SequenceNode | yaml.MappingNode) -> dict[str, Any]:
        """Return a tag in its long form."""
        value: Any = (
            self.construct_scalar(node) if isinstance(node, yaml.ScalarNode)
            else self.construct_sequence(node, deep=True) if isinstance(node, yaml.SequenceNode)
            else self.construct_mapping(node, deep=True)
        )  # fmt: skip
        if tag == "GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _Loader.tagged)


def main(folder: Path) -> int:
    """Print how policies and calls differ; return the exit code."""
    calls = recorder.read(folder)
    lines = [f"no policy allows: {' '.join(call)}" for call in sorted(not_allowed(calls))]
    lines += [f"no process used: {' '.join(call)}" for call in sorted(not_used(calls))]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
