"""`dadacat doctor`: a check that hangs costs no more than its time."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler

from operations import doctor
from runtime.settings import Settings
from tests.conftest import SLOWER
from tests.servers import a_server

ALL_BUT_THE_WEBHOOK = frozenset(doctor.CHECKS) - {"webhook"}


def test_a_check_that_hangs_is_not_waited_for() -> None:
    over = threading.Event()

    def drip(asked: BaseHTTPRequestHandler) -> None:
        # each byte comes in time, the answer never ends
        asked.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not over.wait(0.05):
            asked.wfile.write(b".")

    with a_server(drip) as url:
        started_at = time.monotonic()
        findings = doctor.examine(
            Settings.load({"PUBLIC_URL": url, "TWILIO_AUTH_TOKEN": "secret"}),
            leaving_out=ALL_BUT_THE_WEBHOOK,
            check_seconds=0.5,
        )
        took = time.monotonic() - started_at
        left = [thread for thread in threading.enumerate() if thread.name == "doctor"]
        over.set()

    assert "no answer in" in findings[-1].what
    assert took < 3 * SLOWER
    assert left
    assert all(thread.daemon for thread in left), "the process waits for the check when it ends"
