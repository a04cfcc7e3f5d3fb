"""The templates of `deploy/aws` and the manifests of `deploy/k8s` say what the code says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.client
import pytest
import yaml

from conversation import schema
from conversation.permissions import check_permissions
from conversation.storage import DynamoDBStorage
from local.programs import WORKER_STOP_SECONDS
from runtime.settings import names as setting_names
from tests.calls import policies, recorder
from tests.conftest import ROOT

K8S = ROOT / "deploy" / "k8s"
DATA = policies.template("data.yaml")["Resources"]
SERVICES = policies.template("services.yaml")["Resources"]
TASKS = {
    name: SERVICES[f"{name}Task"]["Properties"]["ContainerDefinitions"][0] for name in ("Webhook", "Worker", "Beat")
}
OBJECTS: list[dict[str, Any]] = [
    found for file in sorted(K8S.glob("*/**/*.yaml")) for found in yaml.safe_load_all(file.read_text()) if found
]
PODS = {
    found["metadata"]["name"]: found["spec"]["template"]["spec"]
    for found in OBJECTS
    if found["kind"] in ("Deployment", "StatefulSet")
}
KEYS = (
    "KeySchema",
    "AttributeDefinitions",
    "LocalSecondaryIndexes",
    "GlobalSecondaryIndexes",
    "BillingMode",
    "TableName",
)


@pytest.mark.parametrize(
    ("table", "definition"), [("Conversations", schema.conversations()), ("Messages", schema.messages())]
)
def test_a_table_is_the_codes_table_and_cannot_be_lost(table: str, definition: dict[str, Any]) -> None:
    resource = DATA[table]
    properties = resource["Properties"]

    assert {name: properties[name] for name in KEYS if name in properties} == definition
    assert properties["TimeToLiveSpecification"] == {"AttributeName": schema.EXPIRES, "Enabled": True}
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["SSESpecification"]["SSEEnabled"] is True
    assert properties["DeletionProtectionEnabled"] is True
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"


def test_a_worker_tries_at_its_start_what_its_policy_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: set[tuple[str, str]] = set()

    def call(_: Any, operation: str, request: Any) -> dict[str, Any]:  # Any: botocore's own
        tried.update(recorder.checked("dynamodb", operation, request))
        return {"Table": {"TableStatus": schema.ACTIVE}, "Attributes": {}, "Items": [], "Responses": {}}

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", call)

    check_permissions(DynamoDBStorage(endpoint_url="http://127.0.0.1:1"))

    assert tried == {
        (action, resource)
        for role, action, resource in policies.allowed()
        if role == "worker" and action.startswith("dynamodb:")
    }


def test_a_call_without_a_permission_and_a_permission_without_a_call_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    added = recorder.Call("beat", "dynamodb:Scan", "messages")
    unused = recorder.Call("worker", "dynamodb:GetItem", "messages")
    calls = (policies.allowed() - {unused}) | {added}
    (tmp_path / "of a process").write_text("".join(f"{' '.join(call)}\n" for call in calls))

    assert policies.main(tmp_path) == 1
    assert capsys.readouterr().out.splitlines() == [
        "no policy allows: beat dynamodb:Scan messages",
        "no process used: worker dynamodb:GetItem messages",
    ]


@pytest.mark.parametrize("process", ["webhook", "beat", "flower"])
def test_a_process_that_reads_no_table_may_not(process: str) -> None:
    assert {call for call in policies.allowed() if call.role == process} == set()


def test_only_the_queries_of_the_code_may_use_an_index() -> None:
    indexes = {call.resource for call in policies.allowed() if "/index/" in call.resource}

    assert indexes == {f"messages/index/{name}" for name in (schema.BY_ARRIVAL, schema.UNSETTLED)}


def test_a_worker_has_time_for_the_turns_in_hand() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["worker"]["stop_grace_period"]

    assert int(compose.removesuffix("s")) > WORKER_STOP_SECONDS
    assert TASKS["Worker"]["StopTimeout"] > WORKER_STOP_SECONDS
    assert PODS["worker"]["terminationGracePeriodSeconds"] > WORKER_STOP_SECONDS
    unit = (ROOT / "deploy" / "systemd" / "dadacat-worker@.service").read_text()
    assert int(re.findall(r"TimeoutStopSec=(\d+)", unit)[0]) > WORKER_STOP_SECONDS


def test_a_service_is_made_after_what_attaches_its_targets_to_the_load_balancer() -> None:
    """ECS refuses a target group that no listener and no rule forwards to."""
    targets = {
        name: {entry["TargetGroupArn"]["Ref"] for entry in service["Properties"].get("LoadBalancers", ())}
        for name, service in SERVICES.items()
        if service["Type"] == "AWS::ECS::Service"
    }
    attached = {name: {_forwarded(SERVICES[first]) for first in _waits_for(SERVICES[name])} for name in targets}

    assert any(targets.values())
    assert {name: wanted - attached[name] for name, wanted in targets.items() if wanted - attached[name]} == {}


def _waits_for(resource: dict[str, Any]) -> list[str]:
    first = resource.get("DependsOn", [])
    return [first] if isinstance(first, str) else first


def _forwarded(resource: dict[str, Any]) -> str:
    properties = resource["Properties"]
    [action] = properties.get("Actions") or properties.get("DefaultActions") or [{}]
    return str(action.get("TargetGroupArn", {}).get("Ref", ""))


@pytest.mark.parametrize("name", ["data.yaml", "services.yaml", "rotation.yaml"])
def test_a_template_does_not_change_by_itself(name: str) -> None:
    """CloudFormation looks up an SSM parameter at each update; a newer image replaces an instance."""
    template = policies.template(name)

    assert [key for key, given in template["Parameters"].items() if given["Type"].startswith("AWS::SSM")] == []
    assert re.findall(r"resolve:ssm[^}]*|[:/]latest\b", json.dumps(template)) == []
    assert "Default" not in template["Parameters"].get("RedisImage", {})


def test_no_update_of_the_data_replaces_or_deletes_what_it_has() -> None:
    [allowed, denied] = json.loads((ROOT / "deploy/aws/data.policy.json").read_text())["Statement"]

    assert (allowed["Effect"], allowed["Action"], allowed["Resource"]) == ("Allow", "Update:*", "*")
    assert (denied["Effect"], set(denied["Action"])) == ("Deny", {"Update:Replace", "Update:Delete"})
    assert denied["Resource"] == denied["Principal"] == "*"
    # it says nothing of a stack that is deleted
    assert DATA["RedisDisk"]["DeletionPolicy"] == DATA["RedisDisk"]["UpdateReplacePolicy"] == "Snapshot"


def test_every_setting_that_is_given_exists() -> None:
    given = {entry["Name"] for task in TASKS.values() for entry in (*task["Environment"], *task["Secrets"])}
    literals = [
        line for found in OBJECTS for group in found.get("configMapGenerator", ()) for line in group["literals"]
    ]
    given |= {line.partition("=")[0] for line in literals}
    containers = [container for pod in PODS.values() for container in pod["containers"]]
    given |= {entry["name"] for container in containers for entry in container.get("env", ())}

    assert given - set(setting_names()) == set()


def test_a_secret_goes_only_where_it_is_used() -> None:
    secrets = {name: {entry["Name"] for entry in task["Secrets"]} for name, task in TASKS.items()}
    twilio = {"TWILIO_AUTH_TOKEN", "TWILIO_AUTH_TOKEN_SECONDARY"}

    assert secrets["Beat"] == {"REDIS_URL"}
    assert secrets["Webhook"] == {"REDIS_URL", "WHO_KEY", *twilio}
    assert secrets["Worker"] == {"REDIS_URL", "WHO_KEY", *twilio, "MODEL_KEYS"}
    mounted = {name: {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
               for name, pod in PODS.items()}  # fmt: skip
    assert mounted == {
        "webhook": {"twilio"}, "worker": {"twilio"}, "beat": set(), "console": {"twilio"}, "redis": {"redis"},
    }  # fmt: skip
    of_names = {name: set(_secrets(pod["containers"][0])) for name, pod in PODS.items()}
    assert of_names == {
        "webhook": {"redis", "people"}, "worker": {"redis", "people", "models", "aws"}, "beat": {"redis"},
        "console": {"redis", "people", "console", "aws"}, "redis": set(),
    }  # fmt: skip


def _secrets(container: dict[str, Any]) -> Iterator[str]:
    for source in container.get("envFrom", ()):
        if "secretRef" in source:
            yield source["secretRef"]["name"]
    for entry in container.get("env", ()):
        if "valueFrom" in entry:
            yield entry["valueFrom"]["secretKeyRef"]["name"]


def test_every_process_of_the_cluster_is_confined_and_reaches_what_it_needs() -> None:
    policies = [found for found in OBJECTS if found["kind"] == "NetworkPolicy"]
    processes = PODS.keys() - {"redis"}

    for name in processes:
        security = PODS[name]["containers"][0]["securityContext"]
        assert security == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert PODS[name]["automountServiceAccountToken"] is False
    assert _chosen(policies, "names-and-redis") == _chosen(policies, "metrics") == processes
    assert _chosen(policies, "outside") == {"worker", "console"}
    [redis] = [found for found in policies if found["metadata"]["name"] == "redis"]
    assert set(redis["spec"]["ingress"][0]["from"][0]["podSelector"]["matchExpressions"][0]["values"]) == processes


def _chosen(policies: list[dict[str, Any]], name: str) -> set[str]:
    [policy] = [found for found in policies if found["metadata"]["name"] == name]
    return set(policy["spec"]["podSelector"]["matchExpressions"][0]["values"])


def test_the_console_is_published_nowhere_in_a_cluster() -> None:
    """Only `kubectl port-forward` leads to its pages; Prometheus reads its metrics."""
    published = [found["spec"] for found in OBJECTS if found["kind"] == "Ingress"]
    policies = [found["spec"] for found in OBJECTS if found["kind"] == "NetworkPolicy"]
    opened = [port["port"] for policy in policies for rule in policy.get("ingress", ()) for port in rule["ports"]]

    assert "console" not in json.dumps(published)
    assert 8405 not in opened


@pytest.mark.parametrize("process", ["webhook", "worker", "beat"])
def test_a_process_is_judged_by_its_progress_where_it_can_hang(process: str) -> None:
    container = PODS[process]["containers"][0]
    task = TASKS[process.capitalize()]
    # a webhook says 503 on /readyz while Redis is away; a restart would not help
    path = "/livez" if process == "webhook" else "/readyz"

    assert container["livenessProbe"]["httpGet"]["path"] == path
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert path in task["HealthCheck"]["Command"][-1]


def test_workers_are_scaled_by_metrics_that_exist() -> None:
    listed = set(re.findall(r"`(dadacat_\w+)`", (ROOT / "docs/reference/metrics.md").read_text()))
    scaler = next(found for found in OBJECTS if found["kind"] == "ScaledObject")
    queries = [trigger["metadata"]["query"] for trigger in scaler["spec"]["triggers"]]
    used = set(re.findall(r"dadacat_\w+", " ".join(queries) + json.dumps(SERVICES["TextsWait"])))

    assert {"dadacat_oldest_waiting_seconds"} < used
    assert used <= listed


def test_marks_of_a_pod_outlive_its_containers() -> None:
    volumes = {volume["name"]: volume for volume in PODS["worker"]["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in PODS["worker"]["containers"][0]["volumeMounts"]}
    given = {entry["name"]: entry.get("value") for entry in PODS["worker"]["containers"][0]["env"]}

    assert given["SEND_MARKS_DIR"] == mounts["marks"]
    assert volumes["marks"]["emptyDir"]["medium"] == "Memory"


def test_a_process_may_write_where_its_task_mounts_a_volume() -> None:
    mounted = {mount["ContainerPath"] for task in TASKS.values() for mount in task["MountPoints"]}

    declared = re.findall(r"^VOLUME (\S+)", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    assert mounted == set(declared)
