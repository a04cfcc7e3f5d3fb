"""Check the webhook's public address."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urlsplit

import httpx

from operations.doctor.findings import TIMEOUT_SECONDS, Result, ok, warning, wrong
from runtime.loopback import is_loopback
from runtime.settings import Settings
from runtime.settings.sections import TWILIO_API
from sms import signature


def check(chosen: Settings) -> Iterator[Result]:
    """Check that the public address leads to our webhook, and that it accepts what our token signs."""
    url = chosen.webhook.public_url
    if chosen.twilio.api_base_url == TWILIO_API and urlsplit(url).scheme != "https":
        yield warning(
            f"PUBLIC_URL is {url}: Twilio cannot call this machine, or only without encryption",
            "give the webhook a public https address and set PUBLIC_URL to it",
        )
    try:
        answer = _ask(chosen)
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
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


def _ask(chosen: Settings) -> httpx.Response:
    """Ask the webhook, with a signature, whether it lives: nothing is stored or logged."""
    url = f"{chosen.webhook.public_url}/livez"
    if chosen.twilio.webhook_signing == "shared-keys":
        signed = signature.sign(chosen.twilio.shared_keys[0], url, {}, algorithm="sha256")
    else:
        signed = signature.sign(chosen.twilio.tokens[0], url, {})
    headers = {"X-Twilio-Signature": signed}
    return httpx.get(url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=not is_loopback(url))
