"""The one place that reads settings and puts the webhook together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from redis.exceptions import RedisError

from runtime import logs
from runtime.secrets import Keys, reload_on_hangup
from runtime.settings import Settings, SettingsError, environment
from sms.signature import Key, Validator
from webhook.app import Ours, WebhookApp, create_app
from webhook.door import RedisDoor

#: A text that has waited for longer than this waits for a person to look.
STUCK_AFTER_SECONDS: Final = 120.0


def signing(chosen: Settings, keys: Keys) -> Callable[[], Sequence[Key]]:
    """What may have signed a request, at the moment of each."""
    by_token, by_key = chosen.twilio.webhook_signing != "shared-keys", chosen.twilio.webhook_signing != "tokens"

    @lru_cache(maxsize=1)
    def made(secrets: tuple[str, ...], shared: tuple[str, ...]) -> tuple[Key, ...]:
        return (*map(Key, secrets), *(Key(key, "sha256") for key in shared))

    return lambda: made(keys.tokens if by_token else (), keys.shared_keys if by_key else ())


def door(chosen: Settings) -> RedisDoor:
    """Where texts are kept. Raises `SettingsError` for an address with an option that redis-py does not know, or not with that value."""
    try:
        return RedisDoor(chosen.redis.url, who_key=chosen.who_key, per_number=chosen.people.per_number)
    except (TypeError, ValueError, RedisError) as exc:
        raise SettingsError(f"REDIS_URL: {exc}") from None


def app() -> WebhookApp:
    """The webhook as the environment describes it. Raises `SettingsError`."""
    chosen = Settings.load(environment())
    chosen.twilio.require()
    logs.configure("webhook", form=chosen.logs.format, level=chosen.logs.level)
    keys = Keys(chosen, environment)
    reload_on_hangup(keys)
    return create_app(
        validator=Validator(chosen.webhook.public_url, signing(chosen, keys)),
        ours=Ours(
            account_sid=chosen.twilio.account_sid,
            numbers=frozenset(chosen.twilio.numbers),
            messaging_service_sid=chosen.twilio.messaging_service_sid,
        ),
        door=door(chosen),
        stuck_after_seconds=STUCK_AFTER_SECONDS,
    )
