"""Build the webhook from the settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from redis.exceptions import RedisError

from inbox import payloads, wakeup
from inbox.state import STUCK_AFTER_SECONDS
from runtime import logs
from runtime.secrets import Keys, reload_on_hangup
from runtime.settings import Settings, SettingsError, environment
from sms.recipient import Recipient
from sms.signature import Key, Validator
from webhook import ingest
from webhook.app import BODY_SECONDS, Application, WebhookApp


def signing(chosen: Settings, keys: Keys) -> Callable[[], Sequence[Key]]:
    """Return a function that lists the keys that may have signed a request now."""

    def listed() -> Sequence[Key]:
        secrets = keys.tokens if chosen.twilio.webhook_signing != "shared-keys" else ()
        shared = keys.shared_keys if chosen.twilio.webhook_signing != "tokens" else ()
        return [*map(Key, secrets), *(Key(key, "sha256") for key in shared)]

    return listed


def build_ingest(chosen: Settings) -> ingest.Ingest:
    """Return the way into the inbox. Raises `SettingsError` if redis-py refuses the URL."""
    try:
        client = ingest.connect(chosen.redis.url)
    except (TypeError, ValueError, RedisError) as exc:
        raise SettingsError(f"REDIS_URL: {exc}") from None
    return ingest.Ingest(client, who_key=chosen.who_key, per_number=chosen.people.per_number)


def app(*, body_seconds: float = BODY_SECONDS) -> Application:
    """Return the webhook as the environment describes it. Raises `SettingsError`."""
    chosen = Settings.load(variables := environment())
    chosen.twilio.require()
    logs.configure("webhook", form=chosen.logs.format, level=chosen.logs.level)
    # Celery is imported and builds the messages now, not at the first text
    wakeup.message(payloads.ANSWER_TASK, "")
    wakeup.message(payloads.RECEIPTS_TASK)
    reload_on_hangup(keys := Keys(chosen, environment))
    application = WebhookApp(
        validator=Validator(chosen.webhook.public_url, signing(chosen, keys)),
        recipient=Recipient(
            account_sid=chosen.twilio.account_sid,
            numbers=frozenset(chosen.twilio.numbers),
            messaging_service_sid=chosen.twilio.messaging_service_sid,
        ),
        ingest=build_ingest(chosen),
        stuck_after_seconds=STUCK_AFTER_SECONDS,
        body_seconds=body_seconds,
    )
    if chosen.logs.sentry_dsn or any(name.startswith("OTEL_") for name in variables):
        from runtime import observe  # noqa: PLC0415 - only where it is asked for

        return observe.webhook(application, chosen, variables)
    return application
