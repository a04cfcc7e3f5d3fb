"""Read the answer of a webhook: the messages that it asks for, and where the next document is.

Error codes and limits are Twilio's: https://www.twilio.com/docs/api/errors, one page for each code, and
https://www.twilio.com/docs/messaging/twiml (read 2026-11).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from simulator import addresses
from sms.addresses import is_dialable
from sms.messages import MAX_BODY_CHARACTERS, MAX_MEDIA

#: The largest document.
MOST_BYTES: Final = 64 * 1024
#: Messages that the documents of one text may send.
MOST_REPLIES: Final = 10
#: Documents that the redirects of one text may lead to.
MOST_DOCUMENTS: Final = 50

TITLES: Final[Mapping[int, str]] = {
    11200: "HTTP retrieval failure",
    11205: "HTTP connection failure",
    11750: "TwiML response body too large",
    12100: "Document parse failure",
    12300: "Invalid Content-Type",
    14101: 'Invalid "To" attribute',
    14103: "Message Invalid Body",
    14104: "Message method attribute invalid",
    14106: "Message Reply TwiML document retrieval limit reached",
    14109: "TwiML Reply message limit exceeded",
    14110: "Invalid Verb for Message Reply",
    21266: "The 'To' and 'From' numbers cannot be the same",
    21606: "The 'From' phone number is not a valid message-capable Twilio phone number",
    21610: "Attempt to send to unsubscribed recipient",
    21609: "The 'StatusCallback' URL is not a valid URL",
    21620: "Invalid media URL(s)",
    21910: "The 'From' and 'To' addresses are of different channels",
}

_XML: Final = frozenset({"text/xml", "application/xml", "text/html"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """A message that a document sends. `to` and `sender` are empty where the text decides."""

    body: str
    media_urls: tuple[str, ...] = ()
    to: str = ""
    sender: str = ""
    status_callback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """The next document."""

    url: str
    method: str


@dataclass(frozen=True, slots=True)
class Warned:
    """A verb that is not carried out; the rest of the document is."""

    code: int


class UnusableTwiml(Exception):
    """A document that cannot be carried out, with Twilio's code. The number's fallback URL is tried next."""

    def __init__(self, code: int) -> None:
        super().__init__(TITLES[code])
        self.code = code


def read(document: bytes, content_type: str, *, url: str) -> list[Send | Redirect | Warned]:
    """Return the verbs of a document, up to the first redirect. Raises `UnusableTwiml`.

    `url`: where the document came from; addresses in it may be relative.
    """
    if len(document) > MOST_BYTES:
        raise UnusableTwiml(11750)
    if not document.strip():
        return []
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/plain":
        return [_checked(Send(body=document.decode(errors="replace").strip()))]
    if kind not in _XML:
        raise UnusableTwiml(12300)
    try:
        root = ET.fromstring(document)  # noqa: S314 - expat limits how far entities expand
    except (ET.ParseError, ValueError, LookupError):  # the last two: an encoding that it does not know
        raise UnusableTwiml(12100) from None
    if root.tag != "Response":
        raise UnusableTwiml(12100)
    return list(_up_to_redirect(root, url))


def _up_to_redirect(root: ET.Element, url: str) -> Iterator[Send | Redirect | Warned]:
    for element in root:
        if element.tag == "Redirect":
            yield _redirect(element, url)
            return
        yield _message(element, url) if element.tag in {"Message", "Sms"} else Warned(14110)


def _redirect(element: ET.Element, url: str) -> Redirect | Warned:
    method = element.get("method", "POST").upper()
    if method not in {"GET", "POST"}:
        return Warned(14104)
    target = addresses.absolute(url, (element.text or "").strip())
    return Redirect(url=target, method=method) if addresses.is_web(target) else Warned(11200)


def _message(element: ET.Element, url: str) -> Send | Warned:
    bodies = [noun for noun in element if noun.tag == "Body"]
    words = ["".join(noun.itertext()) for noun in bodies] or [
        element.text or "",
        *(noun.tail or "" for noun in element),
    ]
    given = element.get("statusCallback", "")
    callback = addresses.absolute(url, given) if given else ""
    if given and not addresses.is_web(callback):
        return Warned(21609)
    return _checked(
        Send(
            body="".join(words).strip(),
            media_urls=tuple(
                addresses.absolute(url, (noun.text or "").strip()) for noun in element if noun.tag == "Media"
            ),
            to=element.get("to", ""),
            sender=element.get("from", ""),
            status_callback=callback,
        )
    )


def _checked(send: Send) -> Send | Warned:
    if not send.body and not send.media_urls:
        return Warned(14103)
    if len(send.body) > MAX_BODY_CHARACTERS or len(send.media_urls) > MAX_MEDIA:
        return Warned(14103)
    if send.to and not is_dialable(send.to, short_codes=True):
        return Warned(14101)
    if not all(map(addresses.is_web, send.media_urls)):
        return Warned(21620)
    return send
