"""One webhook for all short attacks: what each of them leaves behind would show in the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.webhooks import Webhook, a_webhook

#: What `--request-seconds` is set to.
REQUEST_SECONDS = 2.0


@pytest.fixture(scope="session")
def attacked(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    folder = tmp_path_factory.mktemp("webhook")
    with a_webhook(redis_url, folder, request_seconds=REQUEST_SECONDS, files=1024) as webhook:
        yield webhook


@pytest.fixture
def webhook(attacked: Webhook, redis_client: redis.Redis) -> Webhook:
    redis_client.flushall()
    return attacked
