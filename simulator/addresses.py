"""Addresses of the application's webhooks and media."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urljoin, urlsplit, urlunsplit

#: Twilio's limit of a callback's address (https://www.twilio.com/docs/api/errors/21609, read 2026-11).
MOST_CHARACTERS: Final = 4000
#: Characters that no host has (https://url.spec.whatwg.org/#forbidden-domain-code-point, read 2026-11).
_NO_HOST: Final = re.compile(r"[%<>\\^|]")


def is_web(url: str) -> bool:
    """Return whether `url` is a complete http or https address."""
    if len(url) > MOST_CHARACTERS or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(host) and not _NO_HOST.search(host) and port != 0


def absolute(base: str, target: str) -> str:
    """Return `target`, read relative to `base`; empty if it is no address."""
    try:
        return urljoin(base, target)
    except ValueError:
        return ""


def without_fragment(url: str) -> str:
    """Return a URL without its fragment, which holds retry rules and is not sent."""
    return urlunsplit(urlsplit(url)._replace(fragment=""))


def without_password(url: str) -> str:
    """Return a URL with its password hidden."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")))
