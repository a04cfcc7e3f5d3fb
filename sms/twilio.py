"""TwilioSender: one POST, one outcome: sent, not created, or unknown. TwilioLedger reads the list.

Twilio's create-message call has no idempotency key, so this file decides between "proven not created" and "unknown".

- Proof of "not created": the connection was never made, or Twilio answered with a status that it documents as never
  processed (4xx and 429).
- Unknown is everything else after the first byte was written, without a readable success: 5xx, a read timeout, a
  reset, an answer without a sid.

The official client is used with explicit timeouts and without retries.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NameResolutionError, NewConnectionError, SSLError
from urllib3.util import Retry

from sms import codes
from sms.errors import CarrierAway
from sms.login import Login
from sms.messages import Media, MessageSid, OutboundSms
from sms.ports import ErrorClass, Listed, Listing, NotCreated, Outcome, Sent, Unknown

#: A TCP and TLS handshake across an ocean takes a few hundred milliseconds. After three seconds Twilio is away.
CONNECT_TIMEOUT_SECONDS: Final = 3.0
#: Twilio answers in well under a second. Ten seconds leave room for a slow day and end before a lease of 20 s.
READ_TIMEOUT_SECONDS: Final = 10.0
#: Entries per page of the list (Twilio's maximum), and most pages: a million texts between two reads are a mistake.
LIST_PAGE: Final = 1000
LIST_PAGES: Final = 1000
#: A connection idle for longer may be closed at the other end; a harmless request tests it before a claim.
WARM_FOR_SECONDS: Final = 20.0


def new_session() -> requests.Session:
    """Return a session for one thread that never retries."""
    session = requests.Session()
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=Retry(0, read=False))
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    # a proxy or a .netrc of the environment would silently change the destination or the account of a request
    session.trust_env = False
    return session


class _TimedClient(TwilioHttpClient):  # type: ignore[misc]  # the official client has no types
    """The official HTTP client with both timeouts set, no retries, and headers kept for `Retry-After`."""

    def __init__(self) -> None:
        super().__init__(timeout=READ_TIMEOUT_SECONDS)
        self.session = new_session()
        self.last_headers: dict[str, str] = {}
        self.may_begin: Callable[[], bool] = lambda: True
        self.last_used = float("-inf")

    def request(  # noqa: PLR0913 - the official client's own signature
        self,
        method: str,
        url: str,
        params: dict[str, object] | None = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ARG002 - constants are used instead
        allow_redirects: bool = False,  # noqa: ARG002, FBT001, FBT002 - a redirect of a POST would lose or repeat it
    ) -> Response:
        if not self.may_begin():
            raise _TooLateError
        answer = self.session.request(
            method.upper(),
            url,
            params=params,  # type: ignore[arg-type]  # the client's own untyped dictionary
            data=data,
            headers=headers,
            auth=auth,
            timeout=(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS),
            allow_redirects=False,
        )
        self.last_used = time.monotonic()
        self.last_headers = {name.lower(): value for name, value in answer.headers.items()}
        return Response(answer.status_code, answer.text, answer.headers)


class _TooLateError(Exception):
    """The claim is too old to write the first byte."""


class TwilioSender:
    """Sends through Twilio's REST API, or a compatible server at `api_base_url`.

    `login` is an account's SID and token, or an API key and its secret.
    """

    def __init__(self, *, account_sid: str, login: Login, api_base_url: str) -> None:
        self._account_sid = account_sid
        self._login = login
        self._api_base_url = api_base_url.rstrip("/")
        self._mine = threading.local()

    def warm(self) -> None:
        """Make sure that a connection is open; a recently used one counts as open.

        Raises `CarrierAway` if Twilio cannot be reached.
        """
        http = self._http()
        if time.monotonic() - http.last_used < WARM_FOR_SECONDS:
            return
        client = self._client()
        client.username, client.password = self._login.first
        try:
            client.api.v2010.accounts(self._account_sid).fetch()
        except (requests.ConnectionError, requests.Timeout) as exc:
            raise CarrierAway(f"Twilio cannot be reached: {type(exc).__name__}") from exc
        except Exception as exc:
            if not http.last_headers:
                raise CarrierAway(f"the connection to Twilio failed: {type(exc).__name__}") from exc

    def send(self, message: OutboundSms, *, may_begin: Callable[[], bool]) -> Outcome:
        """Request `message` once; a second call would make a second message."""
        http = self._http()
        http.may_begin, http.last_headers = may_begin, {}
        try:
            # a refused login (401) made no message, and the other token may be the valid one
            answer = self._login.ask(
                lambda pair: http.request(
                    "POST",
                    f"{self._api_base_url}/2010-04-01/Accounts/{self._account_sid}/Messages.json",
                    data=_fields(message),
                    headers={"Accept": "application/json"},
                    auth=pair,
                )
            )
        except _TooLateError:
            return NotCreated(error_class=ErrorClass.TRY_AGAIN, code=None, reason="claim too old to send")
        except requests.RequestException as exc:
            if _never_written(exc):
                return NotCreated(
                    error_class=ErrorClass.TRY_AGAIN, code=None, reason=f"not connected: {type(exc).__name__}"
                )
            return Unknown(reason=f"no answer: {type(exc).__name__}")
        finally:
            http.may_begin = lambda: True
        return _outcome(answer.status_code, answer.text, http.last_headers)

    def _client(self) -> Client:
        client = getattr(self._mine, "client", None)
        if client is None:
            client = Client(*self._login.first, self._account_sid, http_client=_TimedClient())
            client.api.base_url = self._api_base_url
            self._mine.client = client
        assert isinstance(client, Client)
        return client

    def _http(self) -> _TimedClient:
        http = self._client().http_client
        assert isinstance(http, _TimedClient)
        return http


class TwilioLedger:
    """Reads Twilio's message list page by page. Parameters are those of `TwilioSender`."""

    def __init__(self, *, account_sid: str, login: Login, api_base_url: str) -> None:
        self._account_sid = account_sid
        self._login = login
        self._api_base_url = api_base_url.rstrip("/")
        self._http = _TimedClient()
        # one connection, one reader at a time: the reconciler is not time-critical
        self._lock = threading.Lock()

    def sent_to(self, person: str, *, for_the_last: timedelta) -> Listing:
        """List the messages to a person that were created within this time.

        The query has no filter on `DateSent`: it is null until a message is sent, so a filter would hide the message.
        """
        with self._lock:
            return self._read({"To": person}, lambda age: age <= for_the_last)

    def sent_from(self, number: str, *, since: datetime) -> Listing:
        """List the messages sent from one of our numbers since this time.

        A message that is not sent yet has no `DateSent`; a later call lists it.
        """
        with self._lock:
            return self._read({"From": number, "DateSent>": _moment(since)}, lambda _: True)

    def received_by(self, number: str, *, since: datetime | None) -> Listing:
        """List the texts to one of our numbers; with `since=None` only read Twilio's clock."""
        with self._lock:
            if since is None:
                return self._read({"To": number, "PageSize": "1"}, lambda _: False)
            return self._read({"To": number, "DateSent>": _moment(since)}, lambda _: True, since=since)

    def person_of(self, sid: str) -> str | None:
        """Return the person's address in a message: the sender of an inbound one, else the recipient.

        None if Twilio has no such message. Raises `CarrierAway`.
        """
        with self._lock:
            try:
                entry, _ = self._get(
                    f"/2010-04-01/Accounts/{self._account_sid}/Messages/{quote(sid, safe='')}.json", {}
                )
            except CarrierAway as exc:
                if "404" in str(exc):
                    return None
                raise
        person = entry.get("from") if entry.get("direction") == "inbound" else entry.get("to")
        return str(person) if person else None

    def _read(
        self, query: dict[str, str], wanted: Callable[[timedelta], bool], *, since: datetime | None = None
    ) -> Listing:
        """Follow the pages, newest first, until an entry is not wanted."""
        page, read_at = self._get(
            f"/2010-04-01/Accounts/{self._account_sid}/Messages.json", {"PageSize": str(LIST_PAGE), **query}
        )
        messages: list[Listed] = []
        for _ in range(LIST_PAGES):
            entries = [self._listed(entry) for entry in page.get("messages", ())]
            kept = [
                entry
                for entry in entries
                if wanted(read_at - entry.created) and (since is None or entry.created >= since)
            ]
            messages += kept
            if len(kept) < len(entries) or not page.get("next_page_uri"):
                break
            page, _ = self._get(page["next_page_uri"], {})
        else:
            # a shortened list would pass for a complete one, and the rest would never be read
            raise CarrierAway(f"Twilio's list is longer than {LIST_PAGES} pages")
        return Listing(messages=tuple(messages), read_at=read_at)

    def _get(self, path: str, query: dict[str, str]) -> tuple[dict[str, Any], datetime]:
        try:
            answer = self._login.ask(
                lambda pair: self._http.request(
                    "GET",
                    self._api_base_url + path,
                    params=dict(query),
                    headers={"Accept": "application/json"},
                    auth=pair,
                )
            )
        except requests.RequestException as exc:
            raise CarrierAway(f"Twilio's list cannot be read: {type(exc).__name__}") from exc
        if answer.status_code != HTTPStatus.OK:
            raise CarrierAway(f"Twilio's list cannot be read: HTTP {answer.status_code}")
        try:
            read_at = parsedate_to_datetime(self._http.last_headers["date"])
        except (KeyError, ValueError) as exc:
            raise CarrierAway("Twilio's list has no date") from exc
        return _json(answer.text), read_at

    def _listed(self, entry: dict[str, Any]) -> Listed:
        pictures = entry.get("num_media") not in (None, "0")
        return Listed(
            sid=MessageSid(entry["sid"]),
            to=entry["to"] or "",
            sender=entry["from"] or "",
            body=entry["body"] or "",
            status=entry["status"] or "",
            inbound=entry["direction"] == "inbound",
            created=parsedate_to_datetime(entry["date_created"]),
            error_code=entry.get("error_code"),
            segments=_segments(entry),
            price=entry.get("price"),
            price_unit=entry.get("price_unit") or "",
            media=self._media(entry["sid"]) if pictures and entry["direction"] == "inbound" else (),
        )

    def _media(self, sid: str) -> tuple[Media, ...]:
        page, _ = self._get(f"/2010-04-01/Accounts/{self._account_sid}/Messages/{sid}/Media.json", {})
        return tuple(
            Media(url=self._api_base_url + item["uri"].removesuffix(".json"), content_type=item["content_type"])
            for item in page.get("media_list", ())
        )


def _fields(message: OutboundSms) -> dict[str, object]:
    sender = (
        {"MessagingServiceSid": message.messaging_service_sid}
        if message.messaging_service_sid
        else {"From": message.sender}
    )
    return {
        "To": message.to,
        **sender,
        "Body": message.body,
        "StatusCallback": message.status_callback,
        "ValidityPeriod": str(message.validity_seconds),
    }


def _outcome(status: int, text: str, headers: dict[str, str]) -> Outcome:
    body = _json(text)
    if status in (HTTPStatus.OK, HTTPStatus.CREATED):
        sid = body.get("sid")
        if isinstance(sid, str) and sid:
            return Sent(sid=MessageSid(sid), status=str(body.get("status", "queued")), segments=_segments(body))
        return Unknown(reason=f"HTTP {status} without a sid")
    code = body.get("code")
    code = code if isinstance(code, int) else None
    error_class = codes.classify(status, code)
    reason = codes.meaning(code) if code is not None else f"HTTP {status}"
    alarming = codes.is_alarming(status, code)
    if error_class is ErrorClass.UNKNOWN:
        return Unknown(reason=reason, alarming=alarming)
    return NotCreated(
        error_class=error_class, code=code, reason=reason, retry_after=_retry_after(headers), alarming=alarming
    )


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _segments(entry: dict[str, Any]) -> int:  # Any: Twilio's answer
    digits = str(entry.get("num_segments") or "")
    return int(digits) if digits.isdigit() else 0


def _json(text: str) -> dict[str, Any]:  # Any: Twilio's answer, looked at field by field
    try:
        body = json.loads(text)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _retry_after(headers: dict[str, str]) -> timedelta | None:
    value = headers.get("retry-after", "")
    return timedelta(seconds=int(value)) if value.isdigit() else None


def _never_written(exc: requests.RequestException) -> bool:
    """Return whether the connection was never made, so that no byte of the request was sent."""
    if isinstance(exc, requests.exceptions.ConnectTimeout):
        return True
    cause = exc.args[0] if exc.args else None
    if isinstance(cause, MaxRetryError):
        cause = cause.reason
    if isinstance(cause, SSLError):  # urllib3 also wraps read errors in it: only a refused certificate is proof
        return bool(cause.args) and isinstance(cause.args[0], ssl.SSLCertVerificationError)
    return isinstance(cause, NewConnectionError | ConnectTimeoutError | NameResolutionError)
