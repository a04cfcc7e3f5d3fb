"""TwilioAlbum: the pictures that came with a text, fetched from where Twilio keeps them.

Twilio keeps a picture until somebody deletes it, and names it in the webhook (https://www.twilio.com/docs/messaging/api/media-resource). An
account may require a login for it; the answer leads on to where the bytes lie, which wants none. Nobody but Twilio's own hosts is ever asked.
"""

from __future__ import annotations

import threading
import time
from typing import Final
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError

from sms.errors import CarrierAway
from sms.login import Login
from sms.messages import Media
from sms.ports import Fetched
from sms.twilio import CONNECT_TIMEOUT_SECONDS, new_session

#: Twilio takes no larger media (https://www.twilio.com/docs/messaging/guides/accepted-mime-types).
MOST_BYTES: Final = 5 * 1024 * 1024
#: A server that is silent for longer keeps a reply waiting.
READ_TIMEOUT_SECONDS: Final = 5.0
#: From Twilio's API to where the bytes lie, and once more.
REDIRECTS: Final = 3
_CHUNK: Final = 64 * 1024
#: Hosts to which Twilio's API leads on; nobody else's are asked.
_LEADS_TO: Final = (".twilio.com", ".twiliocdn.com", ".amazonaws.com")


class TwilioAlbum:
    """Fetches pictures as Twilio's webhooks name them."""

    def __init__(self, *, login: Login, api_base_url: str) -> None:
        self._login = login
        self._home = urlsplit(api_base_url)
        self._mine = threading.local()

    def fetch(self, media: Media, *, seconds: float) -> Fetched:
        """See `sms.ports.Album.fetch`. An address that is none is nowhere."""
        until = time.monotonic() + seconds
        url = media.url
        try:
            for _ in range(REDIRECTS):
                left = until - time.monotonic()
                if left <= 0:
                    raise CarrierAway("the picture takes too long")
                at_home = self._is_home(url)
                if not at_home and not self._is_known(url):
                    raise CarrierAway("the picture lies with a stranger")
                with self._session().get(
                    url,
                    auth=self._login.first if at_home else None,
                    stream=True,
                    allow_redirects=False,
                    timeout=(min(CONNECT_TIMEOUT_SECONDS, left), min(READ_TIMEOUT_SECONDS, left)),
                ) as answer:
                    if answer.is_redirect:
                        url = urljoin(url, answer.headers["location"])
                        continue
                    if not answer.ok:
                        raise CarrierAway(f"the picture is not to be had: {answer.status_code}")
                    kind = answer.headers.get("content-type", media.content_type).partition(";")[0].strip().lower()
                    return Fetched(content_type=kind, data=_read(answer, until))
        except (requests.RequestException, HTTPError, ValueError) as exc:
            raise CarrierAway(f"the picture cannot be fetched: {type(exc).__name__}") from exc
        raise CarrierAway("the picture leads round in circles")

    def _is_home(self, url: str) -> bool:
        parts = urlsplit(url)
        return (parts.scheme, parts.netloc) == (self._home.scheme, self._home.netloc)

    def _is_known(self, url: str) -> bool:
        parts = urlsplit(url)
        return parts.scheme == "https" and (parts.hostname or "").endswith(_LEADS_TO)

    def _session(self) -> requests.Session:
        """One a thread: sessions are not safe to share."""
        if not hasattr(self._mine, "session"):
            self._mine.session = new_session()
        found: requests.Session = self._mine.session
        return found


def _read(answer: requests.Response, until: float) -> bytes:
    data = bytearray()
    # what has come, as it comes: to wait for a whole chunk would be to wait for as long as a trickling server likes
    while chunk := answer.raw.read1(_CHUNK, decode_content=True):
        data += chunk
        if len(data) > MOST_BYTES:
            raise CarrierAway("the picture is larger than Twilio takes")
        if time.monotonic() > until:
            raise CarrierAway("the picture takes too long")
    return bytes(data)
