"""Ctrl-C ends a program that is starting without a traceback, with the code that a shell expects."""

from __future__ import annotations

import signal
import socket
import subprocess

import pytest

from tests.conftest import SLOWER
from tests.integration.test_worker_start import DADACAT, settings

#: What a shell reports of a program that SIGINT ended.
INTERRUPTED = 128 + signal.SIGINT

pytestmark = pytest.mark.usefixtures("ctrl_c")


@pytest.mark.parametrize(
    "program", ["beat", pytest.param("webhook", marks=pytest.mark.long), pytest.param("worker", marks=pytest.mark.long)]
)
def test_a_program_that_waits_for_redis_at_its_start_can_be_interrupted(program: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60 * SLOWER)
        environment = settings(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", "http://127.0.0.1:9")
        process = subprocess.Popen(
            [DADACAT, program], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            with silent.accept()[0]:
                process.send_signal(signal.SIGINT)
                said, _ = process.communicate(timeout=60 * SLOWER)
        finally:
            process.kill()

    assert process.returncode == INTERRUPTED, said
    assert "Traceback" not in said
