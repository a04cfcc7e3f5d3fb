"""TwilioSender: one POST, one outcome: sent, not created, or unknown. TwilioMessageList lists.

Twilio's create-message call has no idempotency key, so this file decides between "proven not created" and "unknown".

- Proof of "not created": no byte was written (`NotWritten`), Twilio answered with a status that it documents as never
  processed (4xx and 429).
- Unknown is everything else after the first byte was written, without a readable success: 5xx, a read timeout, a
  reset, an answer without a sid.

The official client sends and lists, over `sms/http.py`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote

from sms import codes
from sms.addresses import in_e164
from sms.credentials import Login
from sms.errors import CarrierAway, NotFound, NotWritten, Refused, Unreadable
from sms.http import LIST_PAGE, READ_TIMEOUT_SECONDS, OneAttemptClient, account_at, readable
from sms.messages import COUNT, Media, MessageSid
from sms.ports import ErrorClass, Listed, Listing, NotCreated, OutboundSms, Outcome, Sent, Unknown, Verdict

#: Most pages of the list: a million texts between two reads are a mistake.
LIST_PAGES: Final = 1000
#: A connection idle for longer may be closed at the other end; a harmless request tests it before a claim.
WARM_FOR_SECONDS: Final = 20.0
_EVER: Final = datetime.min.replace(tzinfo=UTC)


class TwilioSender:
    """Sends through Twilio's REST API, or a compatible server at `api_base_url`.

    Each thread has its own connection. `login` is an account's SID and token, or an API key and its secret.
    """

    def __init__(
        self, *, account_sid: str, login: Login, api_base_url: str, read_seconds: float = READ_TIMEOUT_SECONDS
    ) -> None:
        self._account_sid = account_sid
        self._login = login
        self._api_base_url = api_base_url
        self._read_seconds = read_seconds
        self._mine = threading.local()

    def warm(self) -> None:
        """Make sure that a connection is open; a recently used one counts as open.

        Raises `CarrierAway` if Twilio cannot be reached.
        """
        http, account = self._line()
        if time.monotonic() - http.answered_at < WARM_FOR_SECONDS:
            return
        try:
            with readable():
                account.fetch()
        except (Refused, Unreadable):
            return  # any answer came over an open connection

    def send(self, message: OutboundSms, *, may_begin: Callable[[], bool]) -> Outcome:
        """Request `message` once; a second call would make a second message."""
        http, account = self._line()
        http.may_begin = may_begin
        try:
            with readable():
                created = account.messages.create(**_fields(message))
        except NotWritten as exc:
            return NotCreated(verdict=Verdict(error_class=ErrorClass.TRY_AGAIN, code=None, means=str(exc)))
        except Refused as exc:
            return _outcome(exc)
        except CarrierAway as exc:
            return Unknown(reason=str(exc))
        finally:
            http.may_begin = lambda: True
        if not isinstance(created.sid, str) or not created.sid:
            return Unknown(reason="Twilio's answer has no sid")
        return Sent(
            sid=MessageSid(created.sid),
            status=str(created.status or "queued"),
            segments=_segments(created.num_segments),
        )

    def _line(self) -> tuple[OneAttemptClient, Any]:  # Any: the official client has no types
        if not hasattr(self._mine, "http"):
            http = OneAttemptClient(login=self._login, api_base_url=self._api_base_url, read_seconds=self._read_seconds)
            self._mine.account = account_at(http, self._account_sid)
            self._mine.http = http
        return self._mine.http, self._mine.account


class TwilioMessageList:
    """Reads Twilio's message list page by page. Parameters are those of `TwilioSender`."""

    def __init__(self, *, account_sid: str, login: Login, api_base_url: str) -> None:
        self._home = api_base_url.rstrip("/")
        http = OneAttemptClient(login=login, api_base_url=api_base_url)
        self._messages = account_at(http, account_sid).messages

    def sent_to(self, person: str, *, for_the_last: timedelta) -> Listing:
        """List the messages to a person that were created within this time.

        The query has no filter on `DateSent`: it is null until a message is sent, so a filter would hide the message.
        """
        return self._read(lambda read_at: read_at - for_the_last, to=person)

    def sent_from(self, number: str, *, since: datetime) -> Listing:
        """List the messages sent from one of our numbers since this time.

        A message that is not sent yet has no `DateSent`; a later call lists it.
        """
        return self._read(lambda _: _EVER, from_=number, date_sent_after=since)

    def received_by(self, number: str, *, since: datetime | None) -> Listing:
        """List the texts to one of our numbers; with `since=None` only read Twilio's clock."""
        if since is None:
            with readable():
                _, read_at = self._page(to=number, page_size=1)
            return Listing(messages=(), read_at=read_at)
        return self._read(lambda _: since, to=number, date_sent_after=since)

    def one(self, sid: MessageSid) -> Listing:
        """List one message; the listing is empty if Twilio does not have it."""
        try:
            with readable():
                answer = self._messages(quote(sid, safe="")).fetch_with_http_info()
                return self._listing([answer.data], parsedate_to_datetime(answer.headers["date"]))
        except NotFound:
            return Listing(messages=(), read_at=datetime.now(UTC))

    def pictures(self, sid: MessageSid) -> tuple[Media, ...]:
        """List the pictures that came with a text."""
        with readable():
            return tuple(map(self._picture, self._messages(sid).media.list()))

    def _read(self, oldest: Callable[[datetime], datetime], **query: object) -> Listing:
        """Follow the pages, newest first, until a message was created before `oldest` of the time of reading."""
        read: list[Any] = []  # Any: the official client has no types
        with readable():
            page, read_at = self._page(page_size=LIST_PAGE, **query)
            since = oldest(read_at)
            for _ in range(LIST_PAGES):
                entries = list(page)
                kept = [entry for entry in entries if not _is_before(entry, since)]
                read += kept
                page = page.next_page() if len(kept) == len(entries) else None
                if page is None:
                    return self._listing(read, read_at)
        # a shortened list would pass for a complete one, and the rest would never be read
        raise CarrierAway(f"Twilio's list is longer than {LIST_PAGES} pages")

    def _listing(self, entries: Sequence[Any], read_at: datetime) -> Listing:
        """Return the entries that can be read, and the sids of the others."""
        messages: list[Listed] = []
        unreadable: list[MessageSid] = []
        for entry in entries:
            try:
                messages.append(self._listed(entry))
            except (ValueError, TypeError, AttributeError):
                unreadable.append(MessageSid(str(entry.sid)))
        return Listing(messages=tuple(messages), read_at=read_at, unreadable=tuple(unreadable))

    def _page(self, **query: object) -> tuple[Any, datetime]:  # Any: the official client has no types
        answer = self._messages.page_with_http_info(**query)
        return answer.data, parsedate_to_datetime(answer.headers["date"])

    def _listed(self, entry: Any) -> Listed:  # Any: the official client has no types
        inbound = entry.direction == "inbound"
        if not isinstance(entry.date_created, datetime):
            raise TypeError("a message without a time")
        return Listed(
            sid=MessageSid(entry.sid),
            to=in_e164(entry.to or ""),
            sender=in_e164(entry.from_ or ""),
            body=entry.body or "",
            status=entry.status or "",
            inbound=inbound,
            created=entry.date_created,
            error_code=entry.error_code,
            segments=_segments(entry.num_segments),
            price=entry.price,
            price_unit=entry.price_unit or "",
            pictures=int(entry.num_media or 0) if inbound else 0,
        )

    def _picture(self, entry: Any) -> Media:  # Any: the official client has no types
        return Media(url=self._home + entry.uri.removesuffix(".json"), content_type=entry.content_type)


def _is_before(entry: Any, since: datetime) -> bool:  # Any: the official client has no types
    """Whether a message is older; an entry without a time is not."""
    return isinstance(entry.date_created, datetime) and entry.date_created < since


def _fields(message: OutboundSms) -> dict[str, object]:
    service = message.messaging_service_sid
    sender = {"messaging_service_sid": service} if service else {"from_": message.sender}
    return {
        "to": message.to,
        **sender,
        "body": message.body,
        "status_callback": message.status_callback,
        "validity_period": message.validity_seconds,
    }


def _outcome(refusal: Refused) -> Outcome:
    verdict = codes.of_answer(refusal.status, refusal.code)
    if verdict.error_class is ErrorClass.UNKNOWN:
        row = None if refusal.code is None else codes.row_of(refusal.code)
        return Unknown(reason=verdict.means, alarming=verdict.alarming, verdict=row)
    return NotCreated(verdict=verdict, retry_after=refusal.retry_after)


def _segments(count: object) -> int:
    digits = str(count or "")
    return int(digits) if COUNT.fullmatch(digits) else 0
