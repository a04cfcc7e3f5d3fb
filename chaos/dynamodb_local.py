"""Amazon's DynamoDB Local in place of the embedded store.

Its claims take longer, so more is in flight at a kill. Each developer fetches it:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DynamoDBLocal.html
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

JAR: Final = "DynamoDBLocal.jar"


class DynamoDBLocal:
    """One server, with its data in a folder of the run.

    Raises `FileNotFoundError` without jar or Java.
    """

    def __init__(self, home: Path, port: int, data: Path) -> None:
        java = shutil.which("java")
        if java is None or not (home / JAR).exists():
            raise FileNotFoundError(f"{JAR} in {home}, or java")
        data.mkdir(parents=True)
        self.url = f"http://127.0.0.1:{port}"
        command = [java, f"-Djava.library.path={home / 'DynamoDBLocal_lib'}", "-jar", str(home / JAR)]
        command += ["-port", str(port), "-sharedDb", "-dbPath", str(data), "-disableTelemetry"]
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            command, cwd=data, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    @property
    def environment(self) -> Mapping[str, str]:
        """Return what a process tree needs to use it."""
        return {"AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}

    def stop(self) -> None:
        """Stop the server."""
        self.process.terminate()
        self.process.wait(30)
