"""Use a telephone of the simulator from the terminal: send a text and wait for the reply."""

from __future__ import annotations

import time
from typing import Any, Final

import httpx

from operations.errors import BadRequest
from runtime.settings import TWILIO_API, Settings

#: The simulator is on this machine.
TIMEOUT_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.1


def text(chosen: Settings, person: str, to: str, body: str, *, seconds: float) -> tuple[str, str | None]:
    """Send a text from a telephone; return its sid and the first reply. Raises `BadRequest`.

    The reply is None if none comes within `seconds`.
    """
    if chosen.twilio.api_base_url == TWILIO_API:
        raise BadRequest(
            "only the simulator has telephones to text from: "
            "set TWILIO_API_BASE_URL to a simulator, or start one with dadacat up"
        )
    number = to or next(iter(chosen.twilio.numbers), "")
    if not number:
        raise BadRequest("no number to text: give --to, or set TWILIO_PHONE_NUMBER")
    login = chosen.twilio.logins[0]
    path = f"/2010-04-01/Accounts/{chosen.twilio.account_sid}/Messages.json"
    with httpx.Client(base_url=chosen.twilio.api_base_url, auth=login, timeout=TIMEOUT_SECONDS) as network:

        def received() -> list[dict[str, Any]]:  # Any: Twilio's JSON
            answer = network.get(path, params={"To": person, "PageSize": "50"}).raise_for_status()
            messages: list[dict[str, Any]] = answer.json()["messages"]
            return messages

        try:
            known = {message["sid"] for message in received()}
            answer = network.post("/phone/texts", json={"from": person, "to": number, "body": body})
            if not answer.is_success:
                raise BadRequest(f"the simulator refuses the text: {answer.text.strip()[:200]}")
            sid = str(answer.json()["sid"])
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                # Twilio lists the newest first
                replies = [message for message in received() if message["sid"] not in known]
                if replies:
                    return sid, str(replies[-1]["body"])
                time.sleep(POLL_SECONDS)
        except (httpx.HTTPError, KeyError) as exc:
            raise BadRequest(f"no simulator answers at {chosen.twilio.api_base_url}: {type(exc).__name__}") from None
    return sid, None
