"""A telephone of the simulator's, at a terminal: a text goes out, and the reply comes back."""

from __future__ import annotations

import time
from typing import Any, Final

import httpx

from dadacat.operate import BadRequest
from dadacat.settings import TWILIO_API, Settings

#: The simulator is on this machine.
TIMEOUT_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.1


def text(chosen: Settings, person: str, to: str, body: str, *, seconds: float) -> tuple[str, str | None]:
    """Send a text from a telephone; its sid, and the first reply that comes within a time, or None. Raises `BadRequest`."""
    if chosen.twilio_api_base_url == TWILIO_API:
        raise BadRequest(
            "on the real network a text comes from a telephone; TWILIO_API_BASE_URL names a simulator, as under dadacat up"
        )
    number = to or next(iter(chosen.numbers), "")
    if not number:
        raise BadRequest("which of our numbers? --to, or TWILIO_PHONE_NUMBER")
    login = chosen.api_logins[0]
    listed = f"/2010-04-01/Accounts/{chosen.twilio_account_sid}/Messages.json"
    with httpx.Client(base_url=chosen.twilio_api_base_url, auth=login, timeout=TIMEOUT_SECONDS) as network:

        def received() -> list[dict[str, Any]]:  # Any: Twilio's JSON
            answer = network.get(listed, params={"To": person, "PageSize": "50"}).raise_for_status()
            found: list[dict[str, Any]] = answer.json()["messages"]
            return found

        try:
            known = {message["sid"] for message in received()}
            answer = network.post("/phone/texts", json={"from": person, "to": number, "body": body})
            if not answer.is_success:
                raise BadRequest(f"the simulator does not take it: {answer.text.strip()[:200]}")
            sid = str(answer.json()["sid"])
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                # newest first, as Twilio lists them
                fresh = [message for message in received() if message["sid"] not in known]
                if fresh:
                    return sid, str(fresh[-1]["body"])
                time.sleep(POLL_SECONDS)
        except (httpx.HTTPError, KeyError) as exc:
            raise BadRequest(f"no simulator at {chosen.twilio_api_base_url}: {type(exc).__name__}") from None
    return sid, None
