"""TwilioMedia: fetches the pictures of a text from Twilio.

Twilio keeps a picture until it is deleted, and names its URL in the webhook
(https://www.twilio.com/docs/messaging/api/media-resource). An account may require a login for that URL. The answer
redirects to the host that stores the bytes, which needs no login. Requests go to Twilio's hosts only.

The official client reads what Twilio knows about a picture, never its bytes. So urllib3 fetches them, which, like
`sms/http.py`, reads neither proxies nor `.netrc` from the environment.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Final
from urllib.parse import urljoin, urlsplit

from urllib3 import BaseHTTPResponse, PoolManager, Timeout
from urllib3.exceptions import HTTPError

from sms.credentials import Login
from sms.errors import CarrierAway
from sms.http import CONNECT_TIMEOUT_SECONDS, authorization, tls
from sms.messages import Media
from sms.ports import Fetched

#: Twilio accepts no larger media (https://www.twilio.com/docs/messaging/guides/accepted-mime-types).
MOST_BYTES: Final = 5 * 1024 * 1024
#: The reply waits for the picture. A server that sends nothing for this long is abandoned.
READ_TIMEOUT_SECONDS: Final = 5.0
#: Requests per picture: to Twilio's API, to the host that stores the bytes, and one more.
REDIRECTS: Final = 3
_CHUNK: Final = 64 * 1024
#: Connections to a host that are kept open: a worker's threads share them.
_KEPT: Final = 4
#: Suffixes of the hosts to which Twilio's API may redirect.
_LEADS_TO: Final = (".twilio.com", ".twiliocdn.com", ".amazonaws.com")


class TwilioMedia:
    """Fetches pictures by the URLs in Twilio's webhooks."""

    def __init__(self, *, login: Login, api_base_url: str) -> None:
        self._login = login
        self._home = urlsplit(api_base_url)
        self._pools = PoolManager(maxsize=_KEPT, retries=False, ssl_context=tls())

    def fetch(self, media: Media, *, seconds: float) -> Fetched:
        """Fetch a picture. Raises `CarrierAway`, also if its URL is not valid."""
        until = time.monotonic() + seconds
        url = media.url
        try:
            for _ in range(REDIRECTS):
                left = until - time.monotonic()
                if left <= 0:
                    raise CarrierAway("the picture takes too long")
                at_home = self._is_home(url)
                if not at_home and not self._is_known(url):
                    raise CarrierAway("the picture is on a host that is not allowed")
                with self._pools.request(
                    "GET",
                    url,
                    headers=authorization(self._login.first) if at_home else None,
                    preload_content=False,
                    redirect=False,
                    timeout=Timeout(connect=min(CONNECT_TIMEOUT_SECONDS, left), read=min(READ_TIMEOUT_SECONDS, left)),
                ) as answer:
                    location = answer.get_redirect_location()
                    if location:
                        url = urljoin(url, location)
                        continue
                    if answer.status >= HTTPStatus.BAD_REQUEST:
                        raise CarrierAway(f"the picture cannot be fetched: HTTP {answer.status}")
                    kind = answer.headers.get("content-type", media.content_type).partition(";")[0].strip().lower()
                    return Fetched(content_type=kind, data=_read(answer, until))
        except (HTTPError, ValueError) as exc:
            raise CarrierAway(f"the picture cannot be fetched: {type(exc).__name__}") from exc
        raise CarrierAway("the picture has too many redirects")

    def _is_home(self, url: str) -> bool:
        parts = urlsplit(url)
        return (parts.scheme, parts.netloc) == (self._home.scheme, self._home.netloc)

    def _is_known(self, url: str) -> bool:
        parts = urlsplit(url)
        return parts.scheme == "https" and (parts.hostname or "").endswith(_LEADS_TO)


def _read(answer: BaseHTTPResponse, until: float) -> bytes:
    data = bytearray()
    # `read1` returns what has arrived; to wait for a whole chunk would let a slow server exceed the deadline
    while chunk := answer.read1(_CHUNK, decode_content=True):
        data += chunk
        if len(data) > MOST_BYTES:
            raise CarrierAway("the picture is larger than Twilio accepts")
        if time.monotonic() > until:
            raise CarrierAway("the picture takes too long")
    return bytes(data)
