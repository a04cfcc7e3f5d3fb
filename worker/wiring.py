"""The one place that reads settings and puts a worker together."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import random
import socket
import threading
import time
import tomllib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

import redis
from celery import Celery

from cat import prices as model_prices
from cat import recall
from cat.chain import Cat
from cat.engines.guarded import SPARE_CALLS
from cat.ports import Engine, Reply
from cat.prices import Catalogue
from conversation.journal import Part, Turn, TurnState
from conversation.ports import Journal
from conversation.storage import DynamoDBStorage
from inbox import connection, payloads
from inbox.budget import Caps
from inbox.circuit import RedisCircuit
from inbox.inbox import on_redis
from inbox.payloads import Who
from inbox.ports import Inbox
from inbox.quota import RedisQuota
from inbox.rates import RedisLimits
from runtime import logs, metrics
from runtime.money import MICRO
from runtime.secrets import Keys
from runtime.settings import Settings, SettingsError, environment
from sms import prices as message_prices
from sms.account import TwilioAccount
from sms.errors import CarrierAway
from sms.login import Login
from sms.media import TwilioMedia
from sms.messages import DeliveryReport
from sms.prices import Tariff
from sms.twilio import TwilioLedger, TwilioSender
from worker import broker
from worker.budget import Budget
from worker.config import celery_settings
from worker.counting import Counting
from worker.delivery import Alarm, Delivery, Terms
from worker.delivery_failures import DeliveryFailures, Told
from worker.limits import Limiter, Pace, Rates
from worker.memories import Memories
from worker.receipts import Receipts
from worker.reconcile import Reconciler
from worker.reconcile import Terms as ReconcileTerms
from worker.turn import House, Noted, Visits, VisitSettings
from worker.visit import LeaseKeeper, Visit

#: A number may be ahead of its pace by so much: what comes together need not go one by one.
PACE_AHEAD_MS: Final = 1000
#: A reply waits for its number's pace with its worker; longer than this, and it is looked at again later. Longer than the sweep's pause, so that
#: whoever is woken by it finds the queue not yet empty; shorter than what a worker is given to stop.
PACE_WAIT_MS: Final = 20_000

#: Connections to the tables beside one for each conversation: the reconciler's and the receipts'.
SPARE_CONNECTIONS: Final = 16

log = logs.get("worker")


class _Flag:
    """Is set once and never cleared. The children that a prefork pool forks share it; there is no lock that a killed one could leave locked."""

    def __init__(self) -> None:
        self._value = multiprocessing.RawValue(ctypes.c_bool, False)

    def set(self) -> None:
        """Set it."""
        self._value.value = True

    def is_set(self) -> bool:
        """Whether it is set."""
        return bool(self._value.value)


#: Set when the process is asked to stop: visits end after the turn in hand.
stopping = _Flag()


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Everything that the tasks call."""

    visits: Visits
    receipts: Receipts
    reconciler: Reconciler
    leases: LeaseKeeper
    memories: Memories
    budget: Budget
    inbox: Inbox


@cache
def settings() -> Settings:
    """The settings of this process. Raises `SettingsError`."""
    return Settings.load(environment())


@cache
def keys() -> Keys:
    """The keys of this process, which may change while it runs."""
    return Keys(settings(), environment)


def celery_app() -> Celery:
    """Celery, configured; it connects to nothing yet."""
    chosen = settings()
    broker.install()
    app = Celery("dadacat", include=["worker.tasks"])
    app.steps["consumer"].add(broker.EventsInBatches)
    app.conf.update(
        celery_settings(
            redis_url=chosen.redis_url,
            pool=chosen.worker_pool,
            concurrency=chosen.worker_concurrency,
            sweep_interval=timedelta(seconds=chosen.sweep_interval_seconds),
            reconcile_interval=timedelta(seconds=chosen.reconcile_interval_seconds),
        )
    )
    return app


def guard_flower(arguments: list[str]) -> None:
    """Let Flower not start without a login, by whichever command: it shows who is served and can stop workers."""
    if "flower" not in arguments:
        return
    login = settings().flower_basic_auth
    if not login:
        raise SystemExit(
            "FLOWER_BASIC_AUTH is missing: Flower shows who is served and can stop workers, so it wants a login"
        )
    # Flower reads its own environment; the login may have come from .env
    os.environ["FLOWER_BASIC_AUTH"] = login


def engines(chosen: Settings) -> list[Engine]:
    """The engines that `CAT_ENGINES` names, without the poet, who is always there."""
    found: list[Engine] = []
    known, _ = prices(chosen)
    for name in chosen.engine_names:
        kind, _, model = name.partition(":")
        if kind != "dada" and known.entry(model) is None:
            log.warning("no price is known of this model; one is assumed, PRICES_FILE tells a better", engine=name)
        if kind == "openai":
            # OpenAI's library takes longer to import than all the rest of a worker
            from cat.engines.openai import ChatModel  # noqa: PLC0415 - only where it is asked for

            found.append(
                ChatModel(
                    model,
                    api_key=chosen.openai_api_key or "none",
                    base_url=chosen.openai_base_url,
                    known=known.of(model),
                )
            )
        elif kind == "bedrock":
            from cat.engines.bedrock import BedrockModel  # noqa: PLC0415 - only where it is asked for

            found.append(
                BedrockModel(
                    model,
                    region_name=chosen.aws_region,
                    endpoint_url=chosen.bedrock_endpoint_url,
                    known=known.of(model),
                )
            )
    return found


def cat(chosen: Settings) -> Cat:
    """The cat, with the engines that the settings name."""
    known, _ = prices(chosen)
    return Cat(
        engines(chosen),
        deadline_seconds=chosen.reply_deadline_seconds,
        max_segments=chosen.reply_max_segments,
        max_parts=chosen.reply_max_parts,
        emoji=chosen.reply_emoji,
        catalogue=known,
        # a conversation whose engine waited for another's call would lose its time to it
        calls=chosen.worker_concurrency + SPARE_CALLS,
    )


def memory_terms(chosen: Settings) -> recall.Terms:
    """How much of a conversation the settings let a model see."""
    return recall.Terms(tokens=chosen.memory_tokens, age=timedelta(hours=chosen.memory_hours))


@cache
def prices(chosen: Settings) -> tuple[Catalogue, Tariff]:
    """The price tables, with the operator's own file laid over them. Raises `SettingsError` for a file that cannot be read."""
    known, tariff = model_prices.shipped(), message_prices.shipped()
    if chosen.prices_file:
        try:
            given = tomllib.loads(Path(chosen.prices_file).read_text())
            known = Catalogue.parse(given).over(known)
            tariff = Tariff.parse(given).over(tariff)
        except (OSError, UnicodeDecodeError, ValueError) as exc:
            raise SettingsError(f"PRICES_FILE cannot be used: {exc}") from None
    return known, tariff


def budget(chosen: Settings, client: redis.Redis, inbox: Inbox, storage: DynamoDBStorage) -> Budget:
    """What may be spent; where nothing is capped that could cost anything, Redis is hardly ever asked."""
    _, tariff = prices(chosen)
    models = _caps(chosen.model_budget_person_day, chosen.model_budget_day, chosen.model_budget_month)
    messages = _caps(chosen.sms_budget_person_day, chosen.sms_budget_day, chosen.sms_budget_month)
    purse = RedisQuota(client, models=models, messages=messages)
    counting = Counting(
        purse,
        storage,
        who=lambda person: payloads.who(person, chosen.who_key_bytes),
        ask=inbox.agenda.request_count,
        begun=lambda: log.warning("what was spent is counted again: redis was empty"),
    )
    counts = messages.are_there or (models.are_there and chosen.engine_names != ("dada",))
    return Budget(
        counting if counts else None,
        tariff,
        max_segments=chosen.reply_max_segments,
        max_parts=chosen.reply_max_parts,
        uncounted=purse.forget,
    )


def limiter(chosen: Settings, client: redis.Redis) -> Limiter:
    """Who judges what is too much."""
    rates = Rates(
        texts_per_minute=chosen.limit_texts_per_minute,
        texts_per_day=chosen.limit_texts_per_day,
        identical_per_hour=chosen.limit_identical_per_hour,
        turns_per_minute=chosen.limit_turns_per_minute,
        turns_per_hour=chosen.limit_turns_per_hour,
        replies_per_30_seconds=chosen.limit_replies_per_30_seconds,
        replies_per_hour=chosen.limit_replies_per_hour,
        loop=chosen.loop_replies,
    )
    return Limiter(RedisLimits(client) if chosen.limits == "on" else None, rates)


def pace(chosen: Settings, client: redis.Redis) -> Callable[[Part], int]:
    """In how many milliseconds it is a part's turn to leave its number; Redis is not asked where nothing is paced."""
    paces = Pace(long_code=chosen.pace_long_code, toll_free=chosen.pace_toll_free, short_code=chosen.pace_short_code)
    limits = RedisLimits(client)

    def wait_ms(part: Part) -> int:
        per_second = paces.of(part.sender)
        if not per_second:
            return 0
        takes_ms = int((part.expected or 1) * 1000 / per_second)
        return limits.pace(part.sender, takes_ms=takes_ms, ahead_ms=PACE_AHEAD_MS, most_ms=PACE_WAIT_MS)

    return wait_ms


def _caps(person: float | None, day: float | None, month: float | None) -> Caps:
    in_millionths = [None if cap is None else round(cap * MICRO) for cap in (person, day, month)]
    return Caps(person=in_millionths[0], day=in_millionths[1], month=in_millionths[2])


def memories_of(chosen: Settings, thinker: Cat, storage: Journal) -> Callable[[str], None]:
    """Who brings a person's memory up to date here and now, for somebody at a terminal: at no budget, and without Redis."""
    _, tariff = prices(chosen)
    here = Memories(lambda: datetime.now(UTC), storage, Budget(None, tariff), thinker.summarizer, memory_terms(chosen))
    return lambda person: here.bring_up_to_date(payloads.who(person, chosen.who_key_bytes), person)


_building = threading.Lock()


def worker() -> Worker:
    """This process's worker, built at the first call. Raises `SettingsError`."""
    with _building:
        return _built()


def rebuild() -> None:
    """Forget what was built: connections must not be shared with the process that this one was forked from."""
    _built.cache_clear()


@cache
def _built() -> Worker:
    chosen = settings()
    chosen.require_twilio()
    client = redis_client(chosen)
    inbox = inbox_on(client, chosen)
    storage = store(chosen)
    storage.ensure_tables()
    login = Login(lambda: keys().logins)
    sender = TwilioSender(account_sid=chosen.twilio_account_sid, login=login, api_base_url=chosen.twilio_api_base_url)
    # the official client imports its parts at their first use: half a second that no reply should wait for
    with suppress(CarrierAway):
        sender.warm()
    delivery = Delivery(
        storage,
        sender,
        circuit_on(client, chosen),
        Terms(
            public_url=chosen.public_url,
            validity_seconds=chosen.sms_validity_seconds,
            patience_seconds=chosen.unknown_patience_seconds,
            max_age_seconds=chosen.max_age_seconds,
        ),
        rng=random.Random(),  # noqa: S311 - jitter, not cryptography
        noted=_part,
        alarm=_alarm,
        pace=pace(chosen, client),
    )
    thinker, purse, terms = cat(chosen), budget(chosen, client, inbox, storage), memory_terms(chosen)
    leases = LeaseKeeper(inbox.leases, every_seconds=chosen.lease_renew_seconds, on_error=_renewal_failed)
    visits = Visits(
        House(
            inbox=inbox,
            journal=storage,
            cat=thinker,
            budget=purse,
            delivery=delivery,
            limiter=limiter(chosen, client),
            album=TwilioMedia(login=login, api_base_url=chosen.twilio_api_base_url),
            leases=leases,
            worker=f"{socket.gethostname()}:{os.getpid()}",
            mark=lambda sid: payloads.who(sid, chosen.who_key_bytes),
        ),
        VisitSettings(
            policy=chosen.double_text_policy,
            quiet_window_seconds=chosen.quiet_window_seconds,
            quiet_limit_seconds=chosen.quiet_limit_seconds,
            max_age_seconds=chosen.max_age_seconds,
            own_numbers=frozenset(chosen.numbers),
            memory=terms,
            first_contact=chosen.first_contact_line,
            footer=chosen.footer_line,
            footer_every=chosen.footer_every,
            help_line="" if chosen.help_line == "off" else chosen.help_line,
            short_codes=chosen.answer_short_codes == "on",
            countries=chosen.country_codes,
        ),
        noted=Noted(turn=_turn, thought=_thought, parked=_parked),
        stopping=stopping.is_set,
    )
    after = aftermath(chosen, client, inbox, storage)
    return Worker(
        visits=visits,
        receipts=Receipts(
            inbox, storage, after, who_key=chosen.who_key_bytes, per_number=chosen.per_number, noted=_receipt
        ),
        reconciler=reconciler(chosen, client, inbox, storage, login),
        leases=leases,
        memories=Memories(inbox.clock.now, storage, purse, thinker.summarizer, terms, noted=_remembered),
        budget=purse,
        inbox=inbox,
    )


def store(chosen: Settings) -> DynamoDBStorage:
    """The tables that the settings name."""
    return DynamoDBStorage(
        chosen.dynamodb_table_name,
        messages_table_name=chosen.dynamodb_messages_table_name,
        endpoint_url=chosen.aws_endpoint_url,
        region_name=chosen.aws_region,
        retention=timedelta(days=chosen.retention_days) if chosen.retention_days else None,
        connections=chosen.worker_concurrency + SPARE_CONNECTIONS,
    )


def ledger(chosen: Settings, login: Login | None = None) -> TwilioLedger:
    """Twilio's list, as the settings name it; `login`: of a process that outlives a rotation."""
    return TwilioLedger(
        account_sid=chosen.twilio_account_sid,
        login=login or Login(lambda: chosen.api_logins),
        api_base_url=chosen.twilio_api_base_url,
    )


def account(chosen: Settings, login: Login | None = None) -> TwilioAccount:
    """The account, as the settings name it; `login`: of a process that outlives a rotation."""
    return TwilioAccount(
        account_sid=chosen.twilio_account_sid,
        login=login or Login(lambda: chosen.api_logins),
        api_base_url=chosen.twilio_api_base_url,
    )


def redis_client(chosen: Settings) -> redis.Redis:
    """Redis, with a connection for every thread and its blocking reads."""
    return connection.connect(chosen.redis_url, max_connections=chosen.worker_concurrency * 2 + 8)


def inbox_on(client: redis.Redis, chosen: Settings) -> Inbox:
    """The inbox, with the leases that the settings ask for."""
    return on_redis(
        client,
        who_key=chosen.who_key_bytes,
        lease=timedelta(seconds=chosen.lease_seconds),
        wake_again=timedelta(seconds=chosen.sweep_person_seconds),
        per_number=chosen.per_number,
    )


def reconciler(
    chosen: Settings, client: redis.Redis, inbox: Inbox, storage: DynamoDBStorage, login: Login | None = None
) -> Reconciler:
    """Who looks for what was lost; `login`: of a process that outlives a rotation."""
    return Reconciler(
        inbox,
        storage,
        ledger(chosen, login),
        aftermath(chosen, client, inbox, storage),
        ReconcileTerms(
            validity=timedelta(seconds=chosen.sms_validity_seconds),
            numbers=chosen.addresses,
            per_number=chosen.per_number,
            who=lambda person: payloads.who(person, chosen.who_key_bytes),
            unsettled_after=timedelta(seconds=chosen.unsettled_after_seconds),
            redact=account(chosen, login).redact if chosen.redact_after_delivery == "on" else None,
        ),
        noted=_repaired,
    )


def aftermath(chosen: Settings, client: redis.Redis, inbox: Inbox, storage: DynamoDBStorage) -> DeliveryFailures:
    """Who draws the consequences of what failed on its way."""
    return DeliveryFailures(
        inbox,
        storage,
        circuit_on(client, chosen),
        rng=random.Random(),  # noqa: S311 - jitter, not cryptography
        max_age=timedelta(seconds=chosen.max_age_seconds),
        told=Told(second_try=_second_try, alarm=_alarm),
    )


def circuit_on(client: redis.Redis, chosen: Settings) -> RedisCircuit:
    """The switch that all workers share."""
    return RedisCircuit(client, probe_every=timedelta(seconds=chosen.probe_seconds))


def note_ready() -> None:
    """Tell the launcher, where there is one, that this worker listens."""
    ready_file = os.environ.get("DADACAT_READY_FILE")
    if ready_file:
        Path(ready_file).touch()


def note_oldest(inbox: Inbox) -> None:
    """Tell the metric how long the oldest unanswered text has waited."""
    oldest = inbox.texts.oldest_waiting_ms()
    metrics.OLDEST_WAITING_SECONDS.set((inbox.clock.now_ms() - oldest) / 1000 if oldest is not None else 0)


def _turn(visit: Visit, turn: Turn, state: TurnState, reason: str) -> None:
    metrics.TURNS.labels(state=state).inc()
    event = log.error if state is TurnState.DEAD else log.info
    event("turn settled", who=visit.lease.who, sid=turn.sid, state=str(state), reason=reason or None, fence=visit.fence)


def _thought(visit: Visit, reply: Reply, seconds: float) -> None:
    metrics.THINK_SECONDS.labels(engine=reply.engine).observe(seconds)
    if reply.facts.get("silent_engines"):
        log.warning("engines silent", who=visit.lease.who, engines=reply.facts["silent_engines"])


def _part(part: Part) -> None:
    metrics.PARTS.labels(state=part.state).inc()
    event = log.info if part.state == "SENT" else log.warning
    event(
        "part attempted", turn=part.turn, number=part.number, state=str(part.state), sid=part.sid,
        tries=part.tries, error_code=part.error_code, reason=part.reason,
    )  # fmt: skip


def _alarm(alarm: Alarm, reason: str) -> None:
    metrics.ALARMS.labels(alarm=alarm.name.lower()).inc()
    log.error(str(alarm), reason=reason)


def _second_try(part: Part) -> None:
    metrics.REPAIRED.labels(kind="sent again").inc()
    log.warning("second try", turn=part.turn, number=part.number, due=part.due)


def _remembered(who: Who, outcome: str) -> None:
    metrics.MEMORIES.labels(outcome=outcome).inc()
    log.info("memory", who=who, outcome=outcome)


def _parked(visit: Visit, why: str) -> None:
    log.info("parked", who=visit.lease.who, why=why)


def _receipt(outcome: str, report: DeliveryReport | None) -> None:
    metrics.RECEIPTS.labels(outcome=outcome).inc()
    if outcome != "bound":
        log.warning("report dropped", outcome=outcome, sid=report.sid if report else None)


def _repaired(kind: str, key: str) -> None:
    metrics.REPAIRED.labels(kind=kind).inc()
    # held: a person's reply is in doubt for good. missed late: webhooks are being lost. Somebody should look
    event = log.error if kind in {"held", "missed late"} else log.warning
    event("repaired", kind=kind, key=key)


def _renewal_failed(exc: Exception) -> None:
    log.warning("lease not renewed", error=type(exc).__name__, at=time.monotonic())
