"""Check everything that an installation depends on: `dadacat doctor`.

Each finding says in a sentence what is wrong and what to do about it. Every check has a few seconds.
All checks run at the same time, so that together they take no longer than the slowest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
import redis
import requests
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from conversation import schema
from inbox import connection, keys
from operations import connect
from runtime.settings import TWILIO_API, Settings
from sms import signature
from sms.account import Refused
from sms.errors import CarrierAway
from worker import wiring

#: Time limit of one check, and of all checks together.
CHECK_SECONDS: Final = 6.0
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


Findings = Iterator[Finding]


def examine(chosen: Settings) -> list[Finding]:
    """Run all checks and return their findings."""
    checks: Mapping[str, Callable[[Settings], Findings]] = {
        "settings": _settings, "redis": _redis, "dynamodb": _dynamodb, "twilio": _twilio, "webhook": _webhook,
        "workers": _workers, "engines": _engines,
    }  # fmt: skip
    with ThreadPoolExecutor(len(checks), thread_name_prefix="doctor") as pool:
        futures = {where: pool.submit(_listed, check, chosen) for where, check in checks.items()}
        deadline = time.monotonic() + CHECK_SECONDS
        findings: list[Finding] = []
        for where, future in futures.items():
            try:
                findings += future.result(timeout=max(0.0, deadline - time.monotonic()))
            except FutureTimeoutError:
                findings.append(
                    Finding(
                        where=where,
                        level=Level.WRONG,
                        what=f"no answer in {CHECK_SECONDS:.0f} s",
                        remedy="check whether a firewall or router on the way drops packets",
                    )
                )
        return findings


def _listed(check: Callable[[Settings], Findings], chosen: Settings) -> list[Finding]:
    return list(check(chosen))


def _settings(chosen: Settings) -> Findings:
    yield Finding(where="settings", level=Level.OK, what=f"are valid; DadaCat {version('dadacat')}")
    if not chosen.numbers and not chosen.twilio_messaging_service_sid:
        yield Finding(
            where="settings",
            level=Level.WARNING,
            what="none of our numbers is named: texts to every number of the account are answered",
            remedy="set TWILIO_PHONE_NUMBER",
        )


def _redis_client(chosen: Settings) -> redis.Redis:
    return connection.connect(chosen.redis_url, socket_timeout=TIMEOUT_SECONDS)


def _redis(chosen: Settings) -> Findings:
    where = "redis"
    client = _redis_client(chosen)
    try:
        yield from _of_redis(client)
    except redis.AuthenticationError:
        yield Finding(
            where=where,
            level=Level.WRONG,
            what="Redis refuses the login",
            remedy="put user and password into REDIS_URL: redis://user:password@host:6379/0",
        )
    except (redis.ConnectionError, redis.TimeoutError) as exc:
        address = urlsplit(chosen.redis_url)
        yield Finding(
            where=where,
            level=Level.WRONG,
            what=f"nothing answers at {address.hostname}:{address.port or 6379} ({type(exc).__name__})",
            remedy="start Redis, or set REDIS_URL",
        )
    finally:
        client.close()


def _of_redis(client: redis.Redis) -> Findings:
    where = "redis"
    info: Any = client.info()
    server = str(info.get("redis_version", "0"))
    fine = True
    if tuple(int(part) for part in server.split(".")[:2]) < OLDEST_REDIS:
        fine = False
        yield Finding(
            where=where,
            level=Level.WRONG,
            what=f"its version is {server}",
            remedy="install at least Redis 7 or Valkey 7.2",
        )
    if info.get("cluster_enabled"):
        fine = False
        yield Finding(
            where=where,
            level=Level.WRONG,
            what="it is a cluster, which Celery's transport does not support",
            remedy="use a single server",
        )
    for name, good, level, what, remedy in _REDIS_SETTINGS:
        value = _configured(client, name)
        if value not in (None, good):
            fine = False
            yield Finding(where=where, level=level, what=f"{name} is {value}: {what}", remedy=remedy)
    seconds, _ = client.time()
    difference = abs(int(seconds) - time.time())
    if difference > CLOCK_SECONDS:
        fine = False
        yield _clock(where, difference)
    if fine:
        yield Finding(where=where, level=Level.OK, what=f"answers and stores durably; version {server}")


#: Name, right value, severity of another value, its consequence, and the remedy.
_REDIS_SETTINGS: Final = (
    (
        "appendonly", "yes", Level.WRONG, "texts acknowledged to Twilio are lost when Redis restarts",
        "redis-cli config set appendonly yes, and the same in its configuration file",
    ),
    (
        "appendfsync", "always", Level.WARNING, "a power cut loses up to a second of acknowledged texts",
        "redis-cli config set appendfsync always, and the same in its configuration file",
    ),
    (
        "maxmemory-policy", "noeviction", Level.WRONG, "Redis deletes texts when memory is short",
        "redis-cli config set maxmemory-policy noeviction, and the same in its configuration file",
    ),
)  # fmt: skip


def _configured(client: redis.Redis, name: str) -> str | None:
    """Return a setting of the server; None if the server hides it, as many hosted ones do."""
    try:
        settings: Any = client.config_get(name)
    except redis.ResponseError:
        return None
    value = settings.get(name) if isinstance(settings, dict) else None
    return value.decode() if isinstance(value, bytes) else value


def _clock(where: str, difference: float) -> Finding:
    return Finding(
        where=where,
        level=Level.WRONG,
        what=f"its clock differs from this machine's by {difference:.0f} s",
        remedy="set the clock of this machine, or of the other one, by NTP (timedatectl set-ntp true)",
    )


def _dynamodb(chosen: Settings) -> Findings:
    where = "dynamodb"
    client = boto3.session.Session().client(
        "dynamodb",
        region_name=chosen.aws_region,
        endpoint_url=chosen.aws_endpoint_url,
        config=Config(
            connect_timeout=TIMEOUT_SECONDS,
            read_timeout=TIMEOUT_SECONDS,
            retries={"total_max_attempts": 1, "mode": "standard"},
        ),
    )
    tables = (
        schema.conversations(chosen.dynamodb_table_name),
        schema.messages(chosen.dynamodb_messages_table_name),
    )
    try:
        for table in tables:
            yield from _table(client, table)
            if chosen.retention_days:
                yield from _expiry(client, table["TableName"])
    except NoCredentialsError:
        yield Finding(
            where=where,
            level=Level.WRONG,
            what="there are no AWS credentials",
            remedy="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role",
        )
    except ClientError as exc:
        code = exc.response.get("Error", {}).get("Code", "")
        yield Finding(
            where=where,
            level=Level.WRONG,
            what=f"the tables cannot be described: {code}",
            remedy="grant dynamodb:DescribeTable on both tables, or use other credentials",
        )
    except (BotoCoreError, ValueError) as exc:
        place = chosen.aws_endpoint_url or f"DynamoDB in {chosen.aws_region}"
        yield Finding(
            where=where,
            level=Level.WRONG,
            what=f"{place} does not answer ({type(exc).__name__})",
            remedy="set AWS_ENDPOINT_URL to the address of DynamoDB, or leave it empty for AWS itself",
        )
    finally:
        client.close()


def _table(client: Any, wanted: Any) -> Findings:  # Any: boto3's own shapes
    where, name = "dynamodb", wanted["TableName"]
    try:
        table = client.describe_table(TableName=name)["Table"]
    except client.exceptions.ResourceNotFoundException:
        yield Finding(
            where=where,
            level=Level.WARNING,
            what=f"there is no table {name}",
            remedy="the first worker creates it, with permission for dynamodb:CreateTable; "
            "or set DYNAMODB_TABLE_NAME and DYNAMODB_MESSAGES_TABLE_NAME",
        )
        return
    keys = [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]]
    if keys != [(key["AttributeName"], key["KeyType"]) for key in wanted["KeySchema"]]:
        yield Finding(
            where=where,
            level=Level.WRONG,
            what=f"{name} is a table of another application: its key is {', '.join(key for key, _ in keys)}",
            remedy="name another table in DYNAMODB_TABLE_NAME or DYNAMODB_MESSAGES_TABLE_NAME; "
            "the first start creates it",
        )
        return
    for kind in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
        missing = {index["IndexName"] for index in wanted.get(kind, ())} - {
            index["IndexName"] for index in table.get(kind, ())
        }
        if missing:
            yield Finding(
                where=where,
                level=Level.WRONG,
                what=f"{name} has no index {', '.join(sorted(missing))}",
                remedy="a local index can only be created with its table: export, delete the table, "
                "start a worker, which creates it again, and import",
            )
            return
    if table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED") == "PROVISIONED" and table.get(
        "ProvisionedThroughput", {}
    ).get("WriteCapacityUnits"):
        yield Finding(
            where=where,
            level=Level.WARNING,
            what=f"{name} has a fixed capacity: a burst of texts is throttled and waits",
            remedy=f"aws dynamodb update-table --table-name {name} --billing-mode PAY_PER_REQUEST",
        )
        return
    yield Finding(where=where, level=Level.OK, what=f"{name} exists, with its indexes")


def _expiry(client: Any, name: str) -> Findings:  # Any: boto3's own shapes
    ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if ttl.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING") or ttl.get("AttributeName") != "expires":
        yield Finding(
            where="dynamodb",
            level=Level.WRONG,
            what=f"RETENTION_DAYS is set, but {name} deletes nothing",
            remedy=f"aws dynamodb update-time-to-live --table-name {name} "
            "--time-to-live-specification Enabled=true,AttributeName=expires",
        )


def _twilio(chosen: Settings) -> Findings:
    where = "twilio"
    twilio = wiring.account(chosen)
    try:
        status, date = twilio.status()
        if status != "active":
            yield Finding(
                where=where,
                level=Level.WRONG,
                what=f"the account is {status or 'in an unknown state'}",
                remedy="see Twilio's console",
            )
            return
        yield Finding(where=where, level=Level.OK, what="the login is valid and the account is active")
        difference = abs((date - datetime.now(UTC)).total_seconds()) if date else 0
        if difference > CLOCK_SECONDS:
            yield _clock(where, difference)
        for change in connect.changes(chosen, twilio):
            if change.stands is None:
                yield Finding(
                    where=where,
                    level=Level.WRONG,
                    what=f"{change.number} is not a number of this account",
                    remedy="set TWILIO_PHONE_NUMBER to a number of this account, in E.164 form",
                )
            elif change.is_needed:
                yield Finding(
                    where=where,
                    level=Level.WRONG,
                    what=f"texts to {change.number} are posted to {change.stands.url or 'nowhere'}",
                    remedy="dadacat connect",
                )
            else:
                yield Finding(where=where, level=Level.OK, what=f"texts to {change.number} are posted to us")
    except Refused as exc:
        key = "TWILIO_API_KEY and TWILIO_API_SECRET are" if chosen.twilio_api_key else "TWILIO_AUTH_TOKEN is"
        what = f"{key} not this account's" if exc.status == HTTPStatus.UNAUTHORIZED else str(exc)
        yield Finding(
            where=where,
            level=Level.WRONG,
            what=what,
            remedy="Twilio's console shows the right values under Account info",
        )
    except CarrierAway as exc:
        yield Finding(
            where=where,
            level=Level.WRONG,
            what=f"{chosen.twilio_api_base_url}: {exc}",
            remedy="check whether this machine can reach it, and check TWILIO_API_BASE_URL",
        )
    finally:
        twilio.close()


def _webhook(chosen: Settings) -> Findings:
    """Check that the public address leads to our webhook, and that it accepts what our token signs."""
    where, url = "webhook", chosen.public_url
    if chosen.twilio_api_base_url == TWILIO_API and urlsplit(url).scheme != "https":
        yield Finding(
            where=where,
            level=Level.WARNING,
            what=f"PUBLIC_URL is {url}: Twilio cannot call this machine, or only without encryption",
            remedy="give the webhook a public https address and set PUBLIC_URL to it",
        )
    try:
        alive = requests.get(f"{url}/livez", timeout=TIMEOUT_SECONDS, allow_redirects=False)
        # a text to another account: the webhook checks its signature first, and stores nothing of it
        form = {
            "AccountSid": "AC" + "0" * 32,
            "MessageSid": "SM" + "0" * 32,
            "From": "+15550000000",
            "To": "+15550000000",
        }
        headers = {"X-Twilio-Signature": _signed(chosen, f"{url}/sms", form)}
        answer = requests.post(f"{url}/sms", data=form, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    except requests.RequestException as exc:
        yield Finding(
            where=where,
            level=Level.WRONG,
            what=f"{url} does not answer ({type(exc).__name__})",
            remedy="start dadacat webhook, and check that PUBLIC_URL leads to it",
        )
        return
    if alive.status_code != HTTPStatus.OK or alive.content.strip() != b"alive":
        yield Finding(
            where=where,
            level=Level.WRONG,
            what=f"{url} leads to something that is not our webhook (HTTP {alive.status_code})",
            remedy="set PUBLIC_URL to the webhook's final address, without a redirect",
        )
    elif answer.status_code == HTTPStatus.FORBIDDEN:
        yield Finding(
            where=where,
            level=Level.WRONG,
            what="it refuses requests signed with our token",
            remedy="give the webhook the same TWILIO_AUTH_TOKEN and PUBLIC_URL as here; "
            "PUBLIC_URL must be exactly the address that Twilio calls",
        )
    else:
        yield Finding(where=where, level=Level.OK, what=f"{url} answers and accepts Twilio's signature")


def _signed(chosen: Settings, url: str, form: Mapping[str, str]) -> str:
    if chosen.webhook_signing == "shared-keys":
        return signature.sign(chosen.shared_keys[0], url, form, algorithm="sha256")
    return signature.sign(chosen.tokens[0], url, form)


def _workers(chosen: Settings) -> Findings:
    """Check that workers answer, that no text waits for too long, and that replies are sent."""
    from celery import Celery  # noqa: PLC0415 - slow to import; the other checks need not wait

    where = "workers"
    client = _redis_client(chosen)
    try:
        waiting: Any = client.zrange(keys.WAITING, 0, 0, withscores=True)
        seconds, _ = client.time()
        stopped: Any = client.hget(keys.CIRCUIT, "reason")
        # a worker that does not answer in this time is fully busy, or absent
        with Celery(broker=chosen.redis_url, set_as_current=False) as app:
            workers = app.control.ping(timeout=PING_SECONDS)
    except Exception as exc:  # noqa: BLE001 - any error of kombu's transport; the redis check reports it
        yield Finding(
            where=where,
            level=Level.WARNING,
            what=f"cannot be asked without Redis ({type(exc).__name__})",
            remedy="see the finding on redis",
        )
        return
    finally:
        client.close()
    age = max(0.0, int(seconds) - waiting[0][1] / 1000) if waiting else 0.0
    if stopped:
        yield Finding(
            where=where,
            level=Level.WRONG,
            what=f"nothing is sent: {stopped.decode()}",
            remedy="repair the account; within half a minute a probe closes the circuit breaker again",
        )
    if not workers:
        yield Finding(
            where=where,
            level=Level.WRONG,
            what=f"no worker answers{f', and a text has waited for {age:.0f} s' if age else ''}",
            remedy="start dadacat worker",
        )
    elif age > STUCK_SECONDS:
        yield Finding(
            where=where,
            level=Level.WRONG,
            what=f"{len(workers)} answer, and a text has waited for {age:.0f} s",
            remedy="see dadacat dead-letters list, and the workers' logs",
        )
    else:
        yield Finding(
            where=where, level=Level.OK, what=f"{len(workers)} answer; the oldest text has waited for {age:.0f} s"
        )


def _engines(chosen: Settings) -> Findings:
    """Check that the server of the models accepts the key, with a request that costs nothing."""
    where = "engines"
    yield Finding(
        where=where,
        level=Level.OK,
        what=f"{', '.join(chosen.engine_names) or 'dada'}; dada answers if all of them fail",
    )
    if not any(name.startswith("openai:") for name in chosen.engine_names):
        return
    base = chosen.openai_base_url or "https://api.openai.com/v1"
    try:
        answer = requests.get(
            f"{base}/models",
            headers={"Authorization": f"Bearer {chosen.openai_api_key or 'none'}"},
            timeout=TIMEOUT_SECONDS,
        )
    except requests.RequestException as exc:
        yield Finding(
            where=where,
            level=Level.WRONG,
            what=f"{base} does not answer ({type(exc).__name__}); meanwhile dada answers",
            remedy="check OPENAI_BASE_URL",
        )
        return
    if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        yield Finding(
            where=where,
            level=Level.WRONG,
            what="OPENAI_API_KEY is not accepted; meanwhile dada answers",
            remedy="set OPENAI_API_KEY to a valid key",
        )
