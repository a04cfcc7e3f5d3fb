"""Alarms, dashboards and runbook say the same; Prometheus's own tool evaluates every alarm."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

import worker.metrics  # noqa: F401 - declares the metrics of workers and beat
from chaos.tree import free_base
from dadacat.cli import main as dadacat
from local.errors import CannotStart
from local.plan import Plan, UpOptions, make_plan
from operations import alarms, doctor
from operations.alarms import ALARMS, Alarm
from operations.doctor import Level
from runtime.metrics import REGISTRY
from runtime.settings import Settings
from scripts import dashboards
from tests import promtool
from tests.conftest import ROOT
from tests.servers import a_server, send
from worker.limits import LIMITS

FOLDER = ROOT / "deploy/observability"
RUNBOOK = (ROOT / alarms.RUNBOOK).read_text()
#: Of Prometheus itself, and of its client library.
NOT_OURS = {"ALERTS", "process_cpu_seconds_total", "process_resident_memory_bytes"}

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="there is no promtool: on Debian, apt-get install prometheus"
)


def names() -> set[str]:
    """Return the name of each series of ours."""
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "gauge": [""]}
    ours = [metric for metric in REGISTRY.collect() if metric.name.startswith("dadacat_")]
    return {f"{metric.name}{suffix}" for metric in ours for suffix in suffixes[metric.type]}


def asked(queries: Iterable[str]) -> set[str]:
    """Return the series that some queries name."""
    return {name for query in queries for name in re.findall(r"\b(?:dadacat_\w+|process_\w+_\w+|ALERTS)\b", query)}


def test_the_rules_are_the_code() -> None:
    page = (FOLDER / "alarms.yml").read_text()

    assert page == alarms.main([]), "run: python -m operations.alarms > deploy/observability/alarms.yml"


@pytest.mark.parametrize("page", dashboards.PAGES, ids=lambda page: page.uid)
def test_a_dashboard_is_the_code(page: dashboards.Page) -> None:
    stored = (dashboards.FOLDER / f"{page.uid}.json").read_text()

    assert stored == dashboards.built(page), "run: python scripts/dashboards.py"


def test_there_is_no_other_dashboard() -> None:
    assert {path.stem for path in dashboards.FOLDER.iterdir()} == {page.uid for page in dashboards.PAGES}


def test_every_metric_that_is_asked_for_exists() -> None:
    queries = [*dashboards.queries(), *(alarm.expression() for alarm in ALARMS)]

    assert asked(queries) - names() - NOT_OURS == set()


def test_every_metric_has_a_description_and_no_label_of_a_person() -> None:
    ours = [metric for metric in REGISTRY.collect() if metric.name.startswith("dadacat_")]
    labels = {label for metric in ours for each in metric.samples for label in each.labels}

    assert [metric.name for metric in ours if len(metric.documentation) < 10] == []
    assert labels <= {
        "alarm", "engine", "kind", "le", "outcome", "path", "period", "process", "reason", "scope", "state", "status",
        "tier", "what",
    }  # fmt: skip


@pytest.mark.parametrize("metric", [metric for metric in REGISTRY.collect() if metric.name.startswith("dadacat_")])
def test_a_counter_of_known_labels_begins_at_0(metric: object) -> None:
    """Prometheus sees no increase of a series that begins at 1."""
    begun = {"dadacat_engine_failures"}  # each worker begins those of its own engines
    name, kind = metric.name, metric.type  # type: ignore[attr-defined]  # prometheus_client's Metric

    assert kind != "counter" or metric.samples or name in begun, name  # type: ignore[attr-defined]  # the same


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm.name)
def test_what_an_alarm_counts_begins_at_0(alarm: Alarm) -> None:
    """Prometheus sees no increase of a series that begins at 65, as a storm between two scrapes does."""
    samples = [sample for metric in REGISTRY.collect() for sample in metric.samples]
    for name, matchers in re.findall(r"(?:increase|rate)\((\w+)(?:\{(.*?)\})?\[", alarm.expression()):
        if name == "dadacat_engine_failures_total":
            continue  # each worker begins those of its own engines
        alternatives = [
            [(label, value) for value in values.split("|")]
            for label, values in re.findall(r'(\w+)=~?"([^"]*)"', matchers)
        ]
        for wanted in product(*alternatives):
            begun = [
                sample
                for sample in samples
                if sample.name == name and all(re.fullmatch(value, sample.labels[label]) for label, value in wanted)
            ]
            assert begun, (name, wanted)


def test_every_limit_is_counted_from_0() -> None:
    counted = {sample.labels.get("reason") for metric in REGISTRY.collect() for sample in metric.samples}

    assert {f"over the limit: {limit}" for limit in LIMITS} <= counted


# Alertmanager

ALERTMANAGER = FOLDER / "alertmanager.yml"


def chosen(matchers: Iterable[str]) -> set[str]:
    """Return the alarms that some matchers of `alertname` name."""
    named = [re.fullmatch(r'alertname=~?"([\w|]+)"', matcher) for matcher in matchers]
    return {name for match in named if match is not None for name in match[1].split("|")}


def test_no_alarm_is_muted_by_the_time_of_day() -> None:
    """Alertmanager does not keep what it mutes: an alarm that ends at night would never be sent."""
    route = yaml.safe_load(ALERTMANAGER.read_text())["route"]

    muted = {"active_time_intervals", "mute_time_intervals"}
    assert [each for each in (route, *route["routes"]) if muted & each.keys()] == []


def test_an_alarm_is_silenced_by_one_that_reaches_its_reader_too() -> None:
    severity = {alarm.name: alarm.severity for alarm in ALARMS}
    rules = yaml.safe_load(ALERTMANAGER.read_text())["inhibit_rules"]
    pairs = [
        (source, target)
        for rule in rules
        for source in chosen(rule["source_matchers"])
        for target in chosen(rule["target_matchers"])
    ]

    assert len(pairs) > 10
    assert {name for pair in pairs for name in pair} <= severity.keys()
    assert [pair for pair in pairs if severity[pair[1]] == "page" and severity[pair[0]] != "page"] == []
    # none silences itself, or another that silences it
    assert [pair for pair in pairs if pair[0] == pair[1] or pair[::-1] in pairs] == []


@pytest.mark.skipif(shutil.which("amtool") is None, reason="no amtool: apt-get install prometheus-alertmanager")
@pytest.mark.parametrize(("severity", "reader"), [("page", "pager"), ("ticket", "tickets"), ("info", "interested")])
def test_alertmanager_sends_each_severity_to_its_reader(severity: str, reader: str) -> None:
    def amtool(*arguments: str) -> str:
        return subprocess.run(["amtool", *arguments], capture_output=True, text=True, check=True).stdout.strip()

    amtool("check-config", str(ALERTMANAGER))
    assert amtool("config", "routes", "test", f"--config.file={ALERTMANAGER}", f"severity={severity}") == reader


# The runbook


def section(anchor: str) -> str:
    """Return a section of the runbook; empty if it has none."""
    for part in re.split(r"^## ", RUNBOOK, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        if re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") == anchor:
            return body
    return ""


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm.name)
def test_an_alarm_leads_to_what_is_looked_at_and_typed(alarm: Alarm) -> None:
    body = section(alarm.section)

    assert f"`{alarm.name}`" in body.partition("\n\n")[0] + body, f"the runbook has no section {alarm.section}"
    assert "```sh" in body
    assert "**Look:**" in body
    assert "**Type:**" in body


def test_the_runbook_names_no_alarm_that_is_not_there() -> None:
    listed = {name for line in re.findall(r"^Alarms?: (.+)$", RUNBOOK, re.MULTILINE) for name in line.split("`")[1::2]}

    assert listed == {alarm.name for alarm in ALARMS}


def test_what_the_runbook_tells_to_type_exists() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", RUNBOOK, re.DOTALL)
    typed = [line.split() for block in blocks for line in block.splitlines() if line.startswith("dadacat ")]

    assert len(typed) > 20
    for _, name, *words in typed:
        command = dadacat.commands[name]
        command = getattr(command, "commands", {}).get(words[0], command) if words else command
        options = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= options, (name, words)


def test_the_metrics_in_the_runbook_exist() -> None:
    assert asked([RUNBOOK]) - names() == set()


def test_what_the_runbook_says_was_tried_is_a_test() -> None:
    tried = re.findall(r"`(tests/\S+\.py)::(\w+)`", RUNBOOK)

    assert len(tried) > 15
    assert [name for path, name in tried if f"def {name}(" not in (ROOT / path).read_text()] == []


def test_every_symptom_of_the_runbook_was_tried() -> None:
    symptoms = re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE)
    tried = re.findall(r"^\| ([^|`]+) \|[^|]+\| `tests/", section("what-was-tried"), re.MULTILINE)

    assert {symptom for cell in tried for symptom in cell.split("; ")} == set(symptoms) - {"What was tried"}


# Prometheus's own tool


@needs_promtool
def test_prometheus_accepts_the_rules_and_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "faster.yml").write_text(alarms.rules(faster=37.0))

    for kind, path in (
        ("rules", FOLDER / "alarms.yml"),
        ("rules", tmp_path / "faster.yml"),
        ("config", FOLDER / "prometheus.yml"),
    ):
        checked = subprocess.run(["promtool", "check", kind, path], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert f"{len(ALARMS)} rules found" in checked.stdout


#: Samples come every 15 s. All is well for ten minutes, then it is not for half an hour, then it is well again.
def gauge(value: float, well: float = 0) -> str:
    return f"{well}x40 {value}x119 {well}x600"


def counter(value: int) -> str:
    return f"0x40 {value}x720"


@dataclass(frozen=True)
class Case:
    """What Prometheus is given, and the labels of the alarms that then fire."""

    series: Mapping[str, str]
    labels: tuple[Mapping[str, str], ...] = ({},)


CASES = {
    "OldestTextTooOld": Case({"dadacat_oldest_waiting_seconds": gauge(130)}),
    "RepliesSlow": Case(
        {
            'dadacat_reply_seconds_bucket{le="20"}': "0+1x40 40x119 40+1x600",
            'dadacat_reply_seconds_bucket{le="40"}': "0+1x40 40x119 40+1x600",
            'dadacat_reply_seconds_bucket{le="+Inf"}': "0+1x760",
        }
    ),
    "NoWorker": Case({'dadacat_process_ready{process="worker"}': gauge(0, well=1)}),
    "NoBeat": Case({'dadacat_process_ready{process="beat"}': gauge(0, well=1)}),
    "NoWebhook": Case({'dadacat_process_ready{process="webhook"}': gauge(0, well=1)}),
    "TextsNotStored": Case({'dadacat_webhook_requests_total{path="/sms",status="503"}': counter(1)}),
    "RedisAway": Case({'dadacat_redis_up{instance="a"}': gauge(0, well=1), 'dadacat_redis_up{instance="b"}': "1x760"}),
    "RedisNotDurable": Case({"dadacat_redis_appendonly": gauge(0, well=1)}),
    "RedisNearlyFull": Case(
        {"dadacat_redis_memory_bytes": gauge(85, well=20), "dadacat_redis_memory_limit_bytes": "100x760"}
    ),
    "SendingStopped": Case({'dadacat_stopped{scope="sender"}': gauge(1)}, ({"scope": "sender"},)),
    "PeopleStopped": Case({'dadacat_stopped{scope="destination"}': gauge(1)}),
    "MessagesUndelivered": Case(
        {
            'dadacat_statuses_total{status="undelivered"}': counter(20),
            'dadacat_statuses_total{status="delivered"}': counter(60),
        }
    ),
    "RepliesHeld": Case({"dadacat_held_parts": gauge(1)}),
    "DeadLetters": Case({"dadacat_dead_letters": gauge(1)}),
    "ItemsSetAside": Case({"dadacat_set_aside_items": gauge(1)}),
    "WebhooksLost": Case({'dadacat_repaired_total{kind="missed late"}': counter(5)}),
    "RepairsRising": Case({'dadacat_repaired_total{kind="unfinished"}': counter(40)}),
    "SentAfterStop": Case({"dadacat_sent_after_stop": gauge(1)}),
    "BudgetNear": Case(
        {
            'dadacat_spent_dollars{kind="sms",period="day"}': gauge(9),
            'dadacat_budget_dollars{kind="sms",period="day"}': "10x760",
        },
        ({"kind": "model", "period": "month"}, {"kind": "sms", "period": "day"}),
    ),
    "BudgetReached": Case(
        {
            'dadacat_spent_dollars{kind="model",period="month"}': gauge(9.9),
            'dadacat_budget_dollars{kind="model",period="month"}': "10x760",
            'dadacat_budget_refusals_total{kind="model"}': "0x40 0+1x119 119x600",
        },
        ({"kind": "model"},),
    ),
    "LimitStorm": Case({'dadacat_turns_total{state="SILENT",reason="over the limit: texts a minute"}': counter(80)}),
    "LoopHeard": Case({'dadacat_alarms_total{alarm="loop"}': counter(1)}),
    "SignatureFailures": Case({'dadacat_webhook_requests_total{path="/sms",status="403"}': counter(30)}),
    "WakeUpsPile": Case({"dadacat_wake_up_tasks": gauge(600)}),
    "DangerHeard": Case({'dadacat_dangers_total{tier="certain"}': counter(1)}, ({"tier": "certain"},)),
    "EngineSilent": Case({'dadacat_engine_failures_total{engine="openai:x"}': counter(9)}, ({"engine": "openai:x"},)),
    "StoreDenied": Case({'dadacat_alarms_total{alarm="refused"}': counter(1)}),
    "StoreAway": Case({'dadacat_away_total{what="store"}': counter(9)}),
    "TwilioAway": Case(
        {
            'dadacat_away_total{what="carrier"}': counter(9),
            'dadacat_parts_total{state="UNKNOWN",scope="message"}': "0x760",
        }
    ),
    "CarrierObjects": Case({'dadacat_alarms_total{alarm="strange"}': counter(1)}),
    "ProofContradicted": Case({'dadacat_alarms_total{alarm="contradicted"}': counter(1)}),
}


def test_every_alarm_has_a_case() -> None:
    assert set(CASES) == {alarm.name for alarm in ALARMS}


@needs_promtool
def test_every_alarm_is_silent_then_fires_then_is_silent_again(tmp_path: Path) -> None:
    """All in one run: none may fire because of what is another's."""
    (tmp_path / "alarms.yml").write_text(alarms.rules())
    series = {name: values for case in CASES.values() for name, values in case.series.items()}
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [expected for alarm in ALARMS for expected in expectations(alarm, CASES[alarm.name])],
    }
    whole = {"rule_files": ["alarms.yml"], "evaluation_interval": "15s", "tests": [test]}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(whole))

    tested = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "tests.yml"], capture_output=True, text=True, check=False
    )

    assert tested.returncode == 0, tested.stdout + tested.stderr


def expectations(alarm: Alarm, case: Case) -> Iterator[dict[str, object]]:
    """Yield what is expected of an alarm before, during and after the trouble."""
    fired = [fires(alarm, labels) for labels in case.labels]
    for at, alerts in (("9m", []), ("35m" if alarm.for_seconds else "11m", fired), ("120m", [])):
        yield {"eval_time": at, "alertname": alarm.name, "exp_alerts": alerts}


def fires(alarm: Alarm, labels: Mapping[str, str]) -> dict[str, object]:
    summary = re.sub(r"{{ \$labels\.(\w+) }}", lambda found: labels[found.group(1)], alarm.summary)
    return {
        "exp_labels": {"severity": alarm.severity, **labels},
        "exp_annotations": {"summary": summary, "runbook": f"{alarms.RUNBOOK}#{alarm.section}"},
    }


@needs_promtool
def test_a_process_that_has_measured_nothing_yet_raises_no_alarm(tmp_path: Path) -> None:
    """In a process of its own: other tests have set gauges of this one."""
    program = """
import prometheus_client, worker.metrics, operations.metrics, runtime.metrics
print(prometheus_client.generate_latest(runtime.metrics.REGISTRY).decode())
"""
    page = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    families = {family.name: family for family in text_string_to_metric_families(page)}
    gauges = [family for name, family in families.items() if family.type == "gauge" and name.startswith("dadacat_")]
    measured = [sample.name for family in gauges for sample in family.samples if not math.isnan(sample.value)]
    assert (len(gauges) > 10, measured) == (True, [])
    # no process says that it is ready
    assert promtool.firing({"new": page}, tmp_path) == {"NoWorker", "NoBeat", "NoWebhook"}


# doctor, and `dadacat up --observe`


def said_of(states: Mapping[str, str] | None, more: Sequence[Mapping[str, str]] = ()) -> list[tuple[Level, str, str]]:
    """Return what doctor says of a Prometheus whose alarms have these states, and that has `more` rules."""
    rules = [{"name": name, "state": state} for name, state in (states or {}).items()] + [*more]
    body = {"data": {"groups": [{"rules": rules}]}} if states is not None else {"error": "not found"}

    with a_server(lambda asked: send(asked, json.dumps(body).encode())) as url:
        return list(doctor.CHECKS["alarms"](Settings.load({"PROMETHEUS_URL": url})))


def test_doctor_says_which_alarms_fire_and_where_to_read_on() -> None:
    quiet = {alarm.name: "inactive" for alarm in ALARMS}

    [(level, what, _)] = said_of(quiet)
    assert (level, what) == (Level.OK, f"Prometheus has all {len(ALARMS)}, and none fires")

    [(level, what, remedy)] = said_of({**quiet, "RepliesHeld": "firing"})
    assert (level, what) == (Level.WARNING, "RepliesHeld fires")
    assert remedy == "see docs/how-to/runbook.md#replies-are-held"


def test_doctor_understands_a_prometheus_that_others_use_too() -> None:
    quiet = {alarm.name: "inactive" for alarm in ALARMS}
    recording = {"type": "recording", "name": "job:up:sum", "query": "sum(up)", "health": "ok"}
    theirs = {"type": "alerting", "name": "RedisAway", "state": "inactive"}

    [(level, what, _)] = said_of({**quiet, "RedisAway": "firing"}, [recording, theirs])

    assert (level, what) == (Level.WARNING, "RedisAway fires")


def test_doctor_misses_alarms_and_a_prometheus() -> None:
    assert said_of({})[0][1] == "Prometheus has not the alarms OldestTextTooOld, RepliesSlow, NoWorker and others"
    assert "does not answer as Prometheus does" in said_of(None)[0][1]
    [(_, what, _)] = doctor.CHECKS["alarms"](Settings.load({"PROMETHEUS_URL": "http://127.0.0.1:9"}))
    assert "does not answer as Prometheus does" in what
    assert list(doctor.CHECKS["alarms"](Settings.load({}))) == []


def plan(folder: Path, **given: str) -> Plan:
    options = UpOptions(port_base=free_base(14), data=folder, workers=2, observe=True)
    return make_plan({"PATH": os.environ["PATH"], **given}, options)


def test_without_prometheus_observe_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(CannotStart, match="Prometheus is not installed: on Debian, apt-get install prometheus"):
        plan(tmp_path)


@needs_promtool
def test_observe_reads_every_process_with_all_alarms(tmp_path: Path) -> None:
    made = plan(tmp_path)
    [last] = [program for group in made.groups for program in group if program.name == "prometheus"]
    base = int(dict(made.urls)["webhook"].rpartition(":")[2])
    configured = yaml.safe_load((tmp_path / "prometheus/prometheus.yml").read_text())
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in configured["scrape_configs"]}

    assert made.urls[-1] == ("prometheus", f"http://127.0.0.1:{base + 7}")
    assert made.environment["PROMETHEUS_URL"] == f"http://127.0.0.1:{base + 7}"
    assert targets == {
        "webhook": [f"127.0.0.1:{base}"],
        "worker": [f"127.0.0.1:{base + 10}", f"127.0.0.1:{base + 11}"],
        "beat": [f"127.0.0.1:{base + 9}"],
        "console": [f"127.0.0.1:{base + 8}"],
    }
    assert not {"TWILIO_AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY"} & set(last.environment)
    checked = subprocess.run(
        ["promtool", "check", "config", tmp_path / "prometheus/prometheus.yml"], capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_a_prometheus_that_the_environment_names_is_not_started(tmp_path: Path) -> None:
    made = plan(tmp_path, PROMETHEUS_URL="http://127.0.0.1:9090")

    assert "prometheus" not in [program.name for group in made.groups for program in group]
    assert made.urls[-1] == ("prometheus", "http://127.0.0.1:9090")
