"""Decide which processes a tree runs, on which ports, and with which environment."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from local import console_login, programs, prometheus
from local.errors import CannotStart
from local.programs import Program
from runtime.private_files import kept
from runtime.settings import Settings

#: A service that the environment names must accept a connection within this time.
CONNECT_SECONDS: Final = 5.0
#: Distance of each port from the port base.
PLACES: Final = {
    "webhook": 0,
    "simulator": 1,
    "flower": 2,
    "redis": 3,
    "dynamodb": 4,
    "console": 5,
    "model": 6,
    "prometheus": 7,
}
#: The same for the metrics of the console, of beat, and of the first worker.
CONSOLE_METRICS: Final = 8
BEAT_METRICS: Final = 9
WORKER_METRICS: Final = 10
LAST_PORT: Final = 65_535
#: The engine name of the small model.
LOCAL_MODEL: Final = "local"

#: Account and number in the simulator, unless the environment names others.
ACCOUNT_SID: Final = "AC" + "dada" * 8
NUMBER: Final = "+15005550006"

#: The names of the services that this tree runs itself, the port of each name, and the environment of a process.
Names = Collection[str]
Ports = Mapping[str, int]
Environment = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The processes that `up` runs, and the lines that it prints."""

    #: The programs of a group start together; all answer before the next group starts.
    groups: Sequence[Sequence[Program]]
    urls: Sequence[tuple[str, str]]
    #: The environment of every process.
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """The options of `up`."""

    port_base: int
    data: Path
    workers: int
    #: Use the tables of the AWS account that boto3 finds.
    aws: bool = False
    #: Generate replies with a small model on this machine.
    model: bool = False
    #: Run Prometheus beside the tree, if the environment names none.
    observe: bool = False
    #: Which of `console` and `flower` not to run.
    without: frozenset[str] = frozenset()


def make_plan(given: Mapping[str, str], options: UpOptions) -> Plan:
    """Decide which processes run on which ports.

    Raises `CannotStart`, for example if a port is taken, and `SettingsError`.
    """
    own = own_services(given, options)
    ports = {name: options.port_base + place for name, place in PLACES.items()}
    at = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    _require_services(given, _needed(options, {name: ports[name] for name in own}))
    (options.data / "run").mkdir(parents=True, exist_ok=True)
    env = _environment(given, options, own, at)
    chosen = Settings.load(env)
    chosen.twilio.require()
    return Plan(
        groups=[make(options, own, ports, env) for make in (_stores, _processes, _observers)],
        urls=list(_urls(chosen, options, own, at)),
        environment=env,
    )


def _needed(options: UpOptions, own: Ports) -> Ports:
    """Return every port that a process of this tree opens, the lowest first, by what needs it."""
    metrics = {"beat": BEAT_METRICS} | {
        f"worker-{number + 1}": WORKER_METRICS + number for number in range(options.workers)
    }
    metrics |= {"console": CONSOLE_METRICS} if "console" in own else {}
    needed = {**own, **{f"the metrics of {name}": options.port_base + place for name, place in metrics.items()}}
    return dict(sorted(needed.items(), key=lambda named: named[1]))


def _require_services(given: Mapping[str, str], needed: Ports) -> None:
    """Raise `CannotStart` if a port of ours is taken, or a service of the environment cannot be used."""
    for name, port in needed.items():
        _require_free(name, port)
    for name in ("REDIS_URL", "AWS_ENDPOINT_URL", "TWILIO_API_BASE_URL"):
        if given.get(name):
            _require_answer(name, given[name])
    if "dynamodb" not in needed:
        _require_credentials(given)


def _stores(options: UpOptions, own: Names, ports: Ports, env: Environment) -> list[Program]:
    stores = []
    if "redis" in own:
        stores.append(programs.redis(ports["redis"], options.data / "redis", env))
    if "dynamodb" in own:
        stores.append(programs.dynamodb(ports["dynamodb"], options.data / "dynamodb", env))
    if "model" in own:
        stores.append(programs.model(ports["model"], env))
    return stores


def _processes(options: UpOptions, own: Names, ports: Ports, env: Environment) -> list[Program]:
    def measured(place: int) -> Environment:
        return {**env, "METRICS_PORT": str(options.port_base + place)}

    run, beat = options.data / "run", options.port_base + BEAT_METRICS
    console = programs.http("console", ports["console"], "/readyz", measured(CONSOLE_METRICS))
    simulator = programs.http("simulator", ports["simulator"], "/phone/state", env, "--journal")
    return [
        *([simulator] if "simulator" in own else []),
        programs.http("webhook", ports["webhook"], "/readyz", env),
        *(programs.worker(number + 1, run, measured(WORKER_METRICS + number)) for number in range(options.workers)),
        programs.dadacat("beat", [], measured(BEAT_METRICS), answers=lambda: programs.http_answers(beat, "/livez")),
        *([console] if "console" in own else []),
    ]


def _observers(options: UpOptions, own: Names, ports: Ports, env: Environment) -> list[Program]:
    # Flower asks for the workers when it starts, so the workers start first
    observers = [programs.http("flower", ports["flower"], "/healthcheck", env)] if "flower" in own else []
    if "prometheus" not in own:
        return observers
    targets = {
        "webhook": [ports["webhook"]],
        "worker": [options.port_base + WORKER_METRICS + number for number in range(options.workers)],
        "beat": [options.port_base + BEAT_METRICS],
        "console": [options.port_base + CONSOLE_METRICS] if "console" in own else [],
    }
    return [*observers, prometheus.program(ports["prometheus"], options.data / "prometheus", targets, env)]


def _urls(chosen: Settings, options: UpOptions, own: Names, at: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the addresses that `up` prints, by name."""
    yield "webhook", chosen.webhook.public_url
    if "simulator" in own:
        yield "phone", f"{at['simulator']}/phone"
    yield "twilio", chosen.twilio.api_base_url
    if "flower" in own:
        yield "flower", at["flower"].replace("//", f"//{chosen.flower.basic_auth}@")
    yield "redis", _without_password(chosen.redis.url)
    yield "dynamodb", chosen.dynamodb.endpoint_url or f"https://dynamodb.{chosen.dynamodb.region}.amazonaws.com"
    if "console" in own:
        yield "console", console_login.in_address(chosen, at["console"], options.data / "run")
    if "model" in own:
        yield "model", f"{at['model']}/v1"
    if options.observe and chosen.observability.prometheus_url:
        yield "prometheus", chosen.observability.prometheus_url


def own_services(given: Mapping[str, str], options: UpOptions) -> set[str]:
    """Return the processes that need a port here: those whose address the environment does not name."""
    own = {"webhook", "flower", "console"} - options.without
    own |= set() if given.get("TWILIO_API_BASE_URL") else {"simulator"}
    own |= set() if given.get("REDIS_URL") else {"redis"}
    own |= set() if given.get("AWS_ENDPOINT_URL") or options.aws else {"dynamodb"}
    own |= {"prometheus"} if options.observe and not given.get("PROMETHEUS_URL") else set()
    return own | ({"model"} if options.model else set())


def _environment(
    given: Mapping[str, str], options: UpOptions, own: Collection[str], at: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of every process: the given one, and the addresses of the others."""
    env = dict(given)
    env["PYTHONUNBUFFERED"] = "1"
    run = options.data / "run"
    _set_default(env, "TWILIO_ACCOUNT_SID", ACCOUNT_SID)
    if "simulator" in own:
        _set_default(env, "TWILIO_AUTH_TOKEN", kept(run / "auth-token", secrets.token_hex(16)))
    _set_default(env, "SEND_MARKS_DIR", str(run / "marks"))
    if "console" in own:
        _set_default(env, "CONSOLE_URL", at["console"])
        _set_default(env, "CONSOLE_LOGINS_FILE", console_login.kept(run))
    if "flower" in own:
        _set_default(env, "FLOWER_URL", at["flower"])
        _set_default(env, "FLOWER_BASIC_AUTH", f"cat:{kept(run / 'flower-password', secrets.token_hex(9))}")
        _set_default(env, "FLOWER_DB", str(options.data.absolute() / "flower" / "tasks"))
    if "redis" in own:
        env["REDIS_URL"] = f"{at['redis'].replace('http', 'redis')}/0"
    if "dynamodb" in own:
        env["AWS_ENDPOINT_URL"] = at["dynamodb"]
        _set_default(env, "AWS_ACCESS_KEY_ID", "local")
        _set_default(env, "AWS_SECRET_ACCESS_KEY", "local")
    if "simulator" in own:
        env["TWILIO_API_BASE_URL"] = at["simulator"]
        env["PUBLIC_URL"] = at["webhook"]
        if "console" in own:
            env["CONSOLE_URL"] = at["console"]
        env["SIMULATOR_DATA"] = str(options.data / "simulator" / "network.sqlite")
        _set_default(env, "TWILIO_PHONE_NUMBER", NUMBER)
    if "model" in own:
        env["CAT_ENGINES"], env["OPENAI_BASE_URL"] = f"openai:{LOCAL_MODEL}", f"{at['model']}/v1"
    if "prometheus" in own:
        env["PROMETHEUS_URL"] = at["prometheus"]
    _set_default(env, "PUBLIC_URL", at["webhook"])
    return env


def _require_free(name: str, port: int) -> None:
    if port > LAST_PORT:
        raise CannotStart(f"there is no port {port}, which {name} needs; choose lower ports with --port-base")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise CannotStart(
                f"port {port}, which {name} needs, is taken; choose other ports with --port-base"
            ) from None


def _require_answer(name: str, url: str) -> None:
    """Raise `CannotStart` if a real service that the environment names accepts no connection."""
    try:
        parts, given = urlsplit(url), urlsplit(url).port
    except ValueError:
        return  # not an address: loading the settings reports it, and does not show it
    port = given or {"redis": 6379, "rediss": 6379, "http": 80, "https": 443}.get(parts.scheme)
    if not parts.hostname or port is None:
        return  # not an address: loading the settings reports it
    try:
        socket.create_connection((parts.hostname, port), timeout=CONNECT_SECONDS).close()
    except OSError as exc:
        raise CannotStart(f"{name} names a service that does not answer: {exc.strerror or exc}") from exc


def _require_credentials(given: Mapping[str, str]) -> None:
    """Raise `CannotStart` if boto3 will find no credentials for the tables."""
    import boto3  # noqa: PLC0415 - only a tree on AWS's tables needs it

    if given.get("AWS_ACCESS_KEY_ID") or given.get("AWS_PROFILE"):
        return  # of `.env`, for example, which boto3 does not read here
    if boto3.session.Session().get_credentials() is None:
        raise CannotStart(
            "there are no AWS credentials for DynamoDB: "
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run aws configure"
        )


def _without_password(url: str) -> str:
    """Return an address as it may be printed."""
    parts = urlsplit(url)
    if parts.password is None and not parts.query:
        return url
    host = parts.netloc.rpartition("@")[2]
    login = f"{parts.username or ''}:***@" if parts.password is not None else ""
    return urlunsplit(parts._replace(netloc=f"{login}{host}", query=""))


def _set_default(env: dict[str, str], name: str, value: str) -> None:
    if not env.get(name) and value:
        env[name] = value
