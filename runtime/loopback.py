"""Tell addresses on this machine from others: what runs here is reached through no proxy.

`http_proxy` does not exempt 127.0.0.1 by itself, and the proxy would look for the service on its own machine.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(url: str) -> bool:
    """Return whether an address, such as `http://127.0.0.1:8400/sms`, leads to this machine."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
