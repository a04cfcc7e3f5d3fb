"""What a worker and beat answer at METRICS_PORT."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from chaos.tree import free_port
from runtime import exposition
from worker import metrics
from worker.heartbeat import Heartbeat


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.read().decode()


def test_a_process_shows_its_metrics_that_it_lives_and_why_it_is_not_ready() -> None:
    reasons = ["no heartbeat for 40 s", ""]
    port = free_port()
    exposition.serve("127.0.0.1", port, reasons[0].__str__, refresh=lambda: metrics.WAITING_PEOPLE.set(17))
    metrics.PARTS.labels(state="SENT", scope="message").inc()

    status, page = get(port, "/metrics")
    assert status == 200
    assert 'dadacat_parts_total{scope="message",state="SENT"}' in page
    assert "dadacat_waiting_people 17.0" in page
    assert get(port, "/livez") == (200, "alive\n")
    assert get(port, "/readyz") == (503, "no heartbeat for 40 s\n")
    assert get(port, "/anything")[0] == 404


def test_a_port_that_is_taken_is_named() -> None:
    port = free_port()
    exposition.serve("127.0.0.1", port, str, refresh=lambda: None)

    with pytest.raises(exposition.PortTaken, match=f"METRICS_PORT {port}: "):
        exposition.serve("127.0.0.1", port, str, refresh=lambda: None)
    assert get(port, "/readyz") == (200, "ready\n")


def test_a_process_is_in_trouble_before_its_first_beat_and_long_after_its_last() -> None:
    patient, impatient = Heartbeat("heartbeat", 60.0), Heartbeat("heartbeat", -1.0)
    assert patient.trouble() == "no heartbeat yet"

    patient.beat(signal=None, sender=None)
    impatient.beat()

    assert patient.trouble() == ""
    assert impatient.trouble() == "no heartbeat for 0 s"
