"""Check everything that an installation depends on: `dadacat doctor`.

Each finding says in a sentence what is wrong and what to do about it. Every check has a few seconds.
All checks run at the same time, so that together they take no longer than the slowest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
import redis
import requests
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from cat import engines, sanitize
from cat.engines.dialect import said_in
from cat.engines.errors import Rejected, Unreached
from cat.engines.guarded import GuardedEngine
from cat.errors import EngineFailed
from cat.ports import Heard
from conversation import schema
from inbox import keys
from inbox.stopped import Stopped, described
from operations import connect
from operations.alarms import ALARMS, RUNBOOK
from operations.connect import Change
from runtime.money import dollars
from runtime.settings import TWILIO_API, RedisSettings, Settings
from sms import signature
from sms.errors import CarrierAway, Refused
from worker.build.cat import build_engine
from worker.build.inbox import circuit
from worker.build.prices import price_tables
from worker.build.twilio import twilio_account

#: Time limit of one check.
CHECK_SECONDS: Final = 6.0
#: Time limit of the one call to each engine; all engines are asked at the same time.
ENGINE_SECONDS: Final = 12.0
#: Checks with more time.
SLOWER_CHECKS: Final = {"engines": ENGINE_SECONDS + 3.0}
#: The text that an engine is asked to answer.
PROBE: Final = Heard(history=[], texts=["hello, cat. are you there?"], seed="doctor")
TIMEOUT_SECONDS: Final = 3.0
#: Clocks that differ by more break leases, ages and the signatures of requests to AWS.
CLOCK_SECONDS: Final = 5.0
PING_SECONDS: Final = 1.5
#: As in the webhook: a text that waits for longer needs the operator.
STUCK_SECONDS: Final = 120.0
#: The first version with `SET ... NX GET`, which takes a lease.
OLDEST_REDIS: Final = (7, 0)


class Level(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of a check: where, what, and what to do about it."""

    where: str
    level: Level
    what: str
    remedy: str = ""


#: A finding before `examine` adds where it was made: level, what, remedy.
Result = tuple[Level, str, str]
Check = Callable[[Settings], Iterator[Result]]


def ok(what: str) -> Result:
    """Return the result of a check that found nothing wrong."""
    return Level.OK, what, ""


def warning(what: str, remedy: str) -> Result:
    """Return a result that needs no action at once."""
    return Level.WARNING, what, remedy


def wrong(what: str, remedy: str) -> Result:
    """Return a result that keeps texts from being answered."""
    return Level.WRONG, what, remedy


def examine(chosen: Settings) -> list[Finding]:
    """Run all checks and return their findings; each engine is asked once, at its price."""
    with ThreadPoolExecutor(len(CHECKS), thread_name_prefix="doctor") as pool:
        # the thread itself reads the generator to its end
        futures = {where: pool.submit(lambda check: list(check(chosen)), check) for where, check in CHECKS.items()}
        started_at = time.monotonic()
        findings: list[Finding] = []
        for where, future in futures.items():
            limit = SLOWER_CHECKS.get(where, CHECK_SECONDS)
            try:
                results = future.result(timeout=max(0.0, started_at + limit - time.monotonic()))
            except FutureTimeoutError:
                remedy = "check whether a firewall or router on the way drops packets"
                results = [wrong(f"no answer in {limit:.0f} s", remedy)]
            findings += [Finding(where=where, level=level, what=what, remedy=do) for level, what, do in results]
        return findings


def _compose(chosen: Settings) -> Iterator[Result]:
    """Notice a project of compose here, whose services only its containers reach."""
    if Path("docker-compose.yml").exists() and chosen.redis.url == RedisSettings.model_fields["url"].default:
        what = "this folder has a compose project, and REDIS_URL is not set"
        yield warning(what, "if DadaCat runs under compose: docker compose exec worker dadacat doctor")


def _settings(chosen: Settings) -> Iterator[Result]:
    yield ok(f"are valid; DadaCat {version('dadacat')}")
    if not chosen.twilio.numbers and not chosen.twilio.messaging_service_sid:
        what = "none of our numbers is named: texts to every number of the account are answered"
        yield warning(what, "set TWILIO_PHONE_NUMBER")


def _redis_client(chosen: Settings) -> redis.Redis:
    return redis.Redis.from_url(
        chosen.redis.url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
    )


def _redis(chosen: Settings) -> Iterator[Result]:
    try:
        with closing(_redis_client(chosen)) as client:
            info: Any = client.info()
            server = str(info.get("redis_version", "0"))
            problems = list(_redis_problems(client, info, server))
            yield from problems or [ok(f"answers and stores durably; version {server}")]
    except redis.AuthenticationError:
        yield wrong(
            "Redis refuses the login", "put user and password into REDIS_URL: redis://user:password@host:6379/0"
        )
    except (redis.ConnectionError, redis.TimeoutError) as exc:
        address = urlsplit(chosen.redis.url)
        what = f"nothing answers at {address.hostname}:{address.port or 6379} ({type(exc).__name__})"
        yield wrong(what, "start Redis, or set REDIS_URL")


def _redis_problems(client: redis.Redis, info: Mapping[str, Any], server: str) -> Iterator[Result]:
    if tuple(int(part) for part in server.split(".")[:2]) < OLDEST_REDIS:
        yield wrong(f"its version is {server}", "install at least Redis 7 or Valkey 7.2")
    if info.get("cluster_enabled"):
        yield wrong("it is a cluster, which Celery's transport does not support", "use a single server")
    for name, good, level, consequence in _REDIS_SETTINGS:
        value = _configured(client, name)
        if value not in (None, good):
            remedy = f"redis-cli config set {name} {good}, and the same in its configuration file"
            yield level, f"{name} is {value}: {consequence}", remedy
    seconds, _ = client.time()
    yield from _clock(int(seconds) - time.time())


#: Name, right value, severity of another value, and its consequence.
_REDIS_SETTINGS: Final = (
    ("appendonly", "yes", Level.WRONG, "texts acknowledged to Twilio are lost when Redis restarts"),
    ("appendfsync", "always", Level.WARNING, "a power cut loses up to a second of acknowledged texts"),
    ("maxmemory-policy", "noeviction", Level.WRONG, "Redis deletes texts when memory is short"),
)


def _configured(client: redis.Redis, name: str) -> str | None:
    """Return a setting of the server; None if the server hides it, as many hosted ones do."""
    try:
        settings: Any = client.config_get(name)
    except redis.ResponseError:
        return None
    value = settings.get(name) if isinstance(settings, dict) else None
    return value.decode() if isinstance(value, bytes) else value


def _clock(difference: float) -> Iterator[Result]:
    if abs(difference) > CLOCK_SECONDS:
        what = f"its clock differs from this machine's by {abs(difference):.0f} s"
        yield wrong(what, "set the clock of this machine, or of the other one, by NTP (timedatectl set-ntp true)")


def _dynamodb(chosen: Settings) -> Iterator[Result]:
    config = Config(
        connect_timeout=TIMEOUT_SECONDS,
        read_timeout=TIMEOUT_SECONDS,
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    tables = (
        schema.conversations(chosen.dynamodb.conversations_table),
        schema.messages(chosen.dynamodb.messages_table),
    )
    try:
        session = boto3.session.Session()
        with closing(
            session.client(
                "dynamodb", region_name=chosen.dynamodb.region, endpoint_url=chosen.dynamodb.endpoint_url, config=config
            )
        ) as client:
            for table in tables:
                yield _table(client, table)
                if chosen.dynamodb.retention_days:
                    yield from _expiry(client, table["TableName"])
    except NoCredentialsError:
        remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role"
        yield wrong("there are no AWS credentials", remedy)
    except ClientError as exc:
        code = exc.response.get("Error", {}).get("Code", "")
        remedy = "grant dynamodb:DescribeTable on both tables, or use other credentials"
        yield wrong(f"the tables cannot be described: {code}", remedy)
    except (BotoCoreError, ValueError) as exc:
        place = chosen.dynamodb.endpoint_url or f"DynamoDB in {chosen.dynamodb.region}"
        remedy = "set AWS_ENDPOINT_URL to the address of DynamoDB, or leave it empty for AWS itself"
        yield wrong(f"{place} does not answer ({type(exc).__name__})", remedy)


def _table(client: Any, wanted: Any) -> Result:  # Any: boto3's own shapes
    name = wanted["TableName"]
    try:
        table = client.describe_table(TableName=name)["Table"]
    except client.exceptions.ResourceNotFoundException:
        return warning(
            f"there is no table {name}",
            "the first worker creates it, with permission for dynamodb:CreateTable; "
            "or set DYNAMODB_TABLE_NAME and DYNAMODB_MESSAGES_TABLE_NAME",
        )
    if _keys(table) != _keys(wanted):
        return wrong(
            f"{name} is a table of another application: its key is {', '.join(key for key, _ in _keys(table))}",
            "name another table in DYNAMODB_TABLE_NAME or DYNAMODB_MESSAGES_TABLE_NAME; the first start creates it",
        )
    missing = _indexes(wanted) - _indexes(table)
    if missing:
        return wrong(
            f"{name} has no index {', '.join(sorted(missing))}",
            "a local index can only be created with its table: export, delete the table, "
            "start a worker, which creates it again, and import",
        )
    billing = table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED")
    if billing == "PROVISIONED" and table.get("ProvisionedThroughput", {}).get("WriteCapacityUnits"):
        return warning(
            f"{name} has a fixed capacity: a burst of texts is throttled and waits",
            f"aws dynamodb update-table --table-name {name} --billing-mode PAY_PER_REQUEST",
        )
    return ok(f"{name} exists, with its indexes")


def _keys(table: Any) -> list[tuple[str, str]]:  # Any: boto3's own shapes
    return [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]]


def _indexes(table: Any) -> set[str]:  # Any: boto3's own shapes
    kinds = ("LocalSecondaryIndexes", "GlobalSecondaryIndexes")
    return {index["IndexName"] for kind in kinds for index in table.get(kind, ())}


def _expiry(client: Any, name: str) -> Iterator[Result]:  # Any: boto3's own shapes
    ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if ttl.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING") or ttl.get("AttributeName") != "expires":
        yield wrong(
            f"RETENTION_DAYS is set, but {name} deletes nothing",
            f"aws dynamodb update-time-to-live --table-name {name} "
            "--time-to-live-specification Enabled=true,AttributeName=expires",
        )


#: https://www.twilio.com/docs/usage/trials (read 2026-11-29)
_TRIAL: Final = (
    "it is a trial account: Twilio delivers replies only to verified people, from the number assigned to each, "
    "in few segments, with a line of its own before them, and not many a day"
)


def _twilio(chosen: Settings) -> Iterator[Result]:
    try:
        with closing(twilio_account(chosen)) as twilio:
            status, date = twilio.status()
            if status != "active":
                yield wrong(f"the account is {status or 'in an unknown state'}", "see Twilio's console")
                return
            yield ok("the login is valid and the account is active")
            if twilio.is_trial():
                yield warning(_TRIAL, "verify your number in its console and set REPLY_MAX_SEGMENTS=1, or upgrade")
            if date:
                yield from _clock((date - datetime.now(UTC)).total_seconds())
            yield from map(_number, connect.changes(chosen, twilio))
    except Refused as exc:
        key = "TWILIO_API_KEY and TWILIO_API_SECRET are" if chosen.twilio.api_key else "TWILIO_AUTH_TOKEN is"
        what = f"{key} not this account's" if exc.status == HTTPStatus.UNAUTHORIZED else str(exc)
        yield wrong(what, "Twilio's console shows the right values under Account info")
    except CarrierAway as exc:
        remedy = "check whether this machine can reach it, and check TWILIO_API_BASE_URL"
        yield wrong(f"{chosen.twilio.api_base_url}: {exc}", remedy)


def _number(change: Change) -> Result:
    if change.stands is None:
        remedy = "set TWILIO_PHONE_NUMBER to a number of this account, in E.164 form"
        return wrong(f"{change.number} is not a number of this account", remedy)
    if change.is_needed:
        return wrong(f"texts to {change.number} are posted to {change.stands.url or 'nowhere'}", "dadacat connect")
    return ok(f"texts to {change.number} are posted to us")


def _webhook(chosen: Settings) -> Iterator[Result]:
    """Check that the public address leads to our webhook, and that it accepts what our token signs."""
    url = chosen.webhook.public_url
    if chosen.twilio.api_base_url == TWILIO_API and urlsplit(url).scheme != "https":
        yield warning(
            f"PUBLIC_URL is {url}: Twilio cannot call this machine, or only without encryption",
            "give the webhook a public https address and set PUBLIC_URL to it",
        )
    try:
        answer = _ask_webhook(chosen)
    except requests.RequestException as exc:
        remedy = "start dadacat webhook, and check that PUBLIC_URL leads to it"
        yield wrong(f"{url} does not answer ({type(exc).__name__})", remedy)
        return
    if answer.status_code == HTTPStatus.FORBIDDEN and b"signature" in answer.content:
        yield wrong(
            "it refuses requests signed with our token",
            "give the webhook the same TWILIO_AUTH_TOKEN and PUBLIC_URL as here; "
            "PUBLIC_URL must be exactly the address that Twilio calls",
        )
    elif answer.status_code != HTTPStatus.OK or answer.content.strip() != b"alive":
        what = f"{url} leads to something that is not our webhook (HTTP {answer.status_code})"
        yield wrong(what, "set PUBLIC_URL to the webhook's final address, without a redirect")
    else:
        yield ok(f"{url} answers and accepts Twilio's signature")


def _ask_webhook(chosen: Settings) -> requests.Response:
    """Ask the webhook, with a signature, whether it lives: nothing is stored or logged."""
    url = f"{chosen.webhook.public_url}/livez"
    if chosen.twilio.webhook_signing == "shared-keys":
        signed = signature.sign(chosen.twilio.shared_keys[0], url, {}, algorithm="sha256")
    else:
        signed = signature.sign(chosen.twilio.tokens[0], url, {})
    headers = {"X-Twilio-Signature": signed}
    return requests.get(url, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False)


def _workers(chosen: Settings) -> Iterator[Result]:
    """Check that workers answer, that no text waits for too long, and that replies are sent."""
    from celery import Celery  # noqa: PLC0415 - slow to import; the other checks need not wait

    try:
        with closing(_redis_client(chosen)) as client:
            waiting: Any = client.zrange(keys.WAITING, 0, 0, withscores=True)
            seconds, _ = client.time()
            stopped = circuit(chosen, client).stopped()
        # a worker that does not answer in this time is fully busy, or absent
        with Celery(broker=chosen.redis.url, set_as_current=False) as app:
            workers = app.control.ping(timeout=PING_SECONDS)
    except Exception as exc:  # noqa: BLE001 - any error of kombu's transport; the redis check reports it
        yield warning(f"cannot be asked without Redis ({type(exc).__name__})", "see the finding on redis")
        return
    age = max(0.0, int(seconds) - waiting[0][1] / 1000) if waiting else 0.0
    yield from _stopped(stopped, probe_seconds=chosen.delivery.probe_seconds)
    if not workers:
        waits = f", and a text has waited for {age:.0f} s" if age else ""
        yield wrong(f"no worker answers{waits}", "start dadacat worker")
    elif age > STUCK_SECONDS:
        what = f"{len(workers)} answer, and a text has waited for {age:.0f} s"
        yield wrong(what, "see dadacat dead-letters list, and the workers' logs")
    else:
        yield ok(f"{len(workers)} answer; the oldest text has waited for {age:.0f} s")


def _stopped(stopped: Sequence[Stopped], *, probe_seconds: float) -> Iterator[Result]:
    """Report what Twilio refuses: for all, for a sender, for a channel, or for single people."""
    wide = [stop for stop in stopped if stop.scope != "destination"]
    alone = [stop for stop in stopped if stop.scope == "destination"]
    for sentence in described(wide):
        remedy = f"repair it at Twilio: one reply tries it every {probe_seconds:.0f} s, or later if only time mends it"
        yield wrong(sentence, remedy)
    for sentence in described(alone):
        yield warning(sentence, "no other person waits for it; dadacat explain shows the story of a reply")


def _engines(chosen: Settings) -> Iterator[Result]:
    """Ask each engine for one reply."""
    yield ok(f"{', '.join(chosen.engines.names) or engines.POET}; dada answers if all of them fail")
    names = [name for name in chosen.engines.names if name != engines.POET]
    for problem in engines.problems(names, chosen.engines):
        yield wrong(problem, "see docs/reference/settings.md")
    buildable = [name for name in names if not list(engines.problems([name], chosen.engines))]
    if not buildable:
        return
    with ThreadPoolExecutor(len(buildable), thread_name_prefix="engine") as pool:
        for findings in pool.map(lambda name: list(_engine(chosen, name)), buildable):
            yield from findings


def _engine(chosen: Settings, name: str) -> Iterator[Result]:
    catalogue, _ = price_tables(chosen)
    if doubt := catalogue.doubt(name.partition(":")[2]):
        yield warning(doubt, "name its price in the file of PRICES_FILE")
    if catalogue.of(name.partition(":")[2]).small:
        what = f"{name} is a small model: it says little that makes sense, and does not understand who is in danger"
        yield warning(what, "use it to try the road of a text; let dada or a larger model answer people")
    with ThreadPoolExecutor(1) as call, closing(build_engine(chosen, name)) as engine:
        guarded = GuardedEngine(engine, catalogue.of(name.partition(":")[2]), call)
        try:
            reply = guarded.reply(PROBE, seconds=ENGINE_SECONDS)
        except EngineFailed as exc:
            yield _silent(name, exc)
            return
    cost = dollars(int(reply.facts["model_cost"]), 6)
    refuses = f"; it refuses {', '.join(engine.refuses)}" if engine.refuses else ""
    yield ok(f"{name} answers in {reply.facts['model_ms'] / 1000:.1f} s{refuses}; this call cost {cost} USD")
    if not sanitize.for_a_phone(reply.words, max_segments=chosen.replies.max_segments):
        yield warning(f"{name} answered with nothing that can be sent", "choose another model; meanwhile dada answers")


def _silent(name: str, exc: EngineFailed) -> Result:
    """Return what it means that an engine gave no reply."""
    key, address = engines.ENGINES[name.partition(":")[0]].settings
    cost = f", at most {dollars(exc.cost)} USD" if exc.cost else ""
    cause = exc.__cause__
    if isinstance(cause, Rejected) and cause.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return wrong(f"{key} is not accepted ({exc}); meanwhile dada answers", f"set {key} to a valid key")
    if isinstance(cause, Rejected):
        what = f"{exc}: {' '.join(said_in(cause.body).split())[:200]}; meanwhile dada answers"
        return wrong(what, "check the model's name, and see what its server says")
    if isinstance(cause, Unreached):
        return wrong(f"the server of {name} does not answer ({exc}{cost}); meanwhile dada answers", f"check {address}")
    return wrong(f"{exc}{cost}; meanwhile dada answers", f"check the model's name and {address}")


def _alarms(chosen: Settings) -> Iterator[Result]:
    """Ask Prometheus, if one is named, whether it has our alarms and which of them fire."""
    url = chosen.observability.prometheus_url
    if url is None:
        return
    try:
        answer = requests.get(f"{url}/api/v1/rules", timeout=TIMEOUT_SECONDS)
        states = {rule["name"]: rule["state"] for group in answer.json()["data"]["groups"] for rule in group["rules"]}
    except (requests.RequestException, ValueError, KeyError, TypeError) as exc:
        yield warning(f"{url} does not answer as Prometheus does ({type(exc).__name__})", "check PROMETHEUS_URL")
        return
    missing = [alarm.name for alarm in ALARMS if alarm.name not in states]
    if missing:
        what = f"Prometheus has not the alarms {', '.join(missing[:3])}{' and others' if missing[3:] else ''}"
        yield warning(what, "give it deploy/observability/alarms.yml")
    firing = [alarm for alarm in ALARMS if states.get(alarm.name) == "firing"]
    for alarm in firing:
        yield warning(f"{alarm.name} fires", f"see {RUNBOOK}#{alarm.section}")
    if not missing and not firing:
        yield ok(f"Prometheus has all {len(ALARMS)}, and none fires")


CHECKS: Final[Mapping[str, Check]] = {
    "settings": _settings,
    "compose": _compose,
    "redis": _redis,
    "dynamodb": _dynamodb,
    "twilio": _twilio,
    "webhook": _webhook,
    "workers": _workers,
    "engines": _engines,
    "alarms": _alarms,
}
