"""The `dadacat` command with its imports done: a command costs a fork instead of a second of imports.

It reads one line of JSON per command: arguments, environment, folder, and the files for its output. Each command runs
in its own process, from the same entry point as the installed command. Its exit code is written as a line to standard
output. Process trees are started with the installed command.
"""

from __future__ import annotations

import json
import os
import signal
import sys

import conversation.storage  # noqa: F401 - imported once, before the forks
import operations.conversations  # noqa: F401
import worker.build.worker  # noqa: F401
from dadacat.cli import main

#: Timeout of a command; none takes as long, even on a busy machine.
SECONDS = 300


def run(asked: dict[str, object]) -> int:
    """Run one command in its own process; return its exit code."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)
    code = 1
    try:
        # A command that hangs is killed, which its exit code shows.
        signal.alarm(SECONDS)
        os.environ.clear()
        os.environ.update(asked["env"])  # type: ignore[call-overload]  # a line of the test's own
        os.chdir(str(asked["cwd"]))
        for place, stream in (("stdout", 1), ("stderr", 2)):
            file = os.open(str(asked[place]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv = ["dadacat", *asked["arguments"]]  # type: ignore[misc]
        main()
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter would
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(f"{run(json.loads(line))}\n")
        sys.stdout.flush()
