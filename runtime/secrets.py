"""Hold the account's tokens and shared keys, which may change while a process runs.

They are read again when the token file changes, or at a SIGHUP. A key rotation therefore needs no restart:
put the next token beside the current one, promote it at Twilio, then remove the old one.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from runtime import logs
from runtime.settings import Settings, SettingsError

#: The token file is checked at most this often.
LOOK_SECONDS: Final = 1.0

log = logs.get("keys")


class Keys:
    """The keys of a process; `read` returns the environment and `.env` as they are now."""

    def __init__(
        self, chosen: Settings, read: Callable[[], Mapping[str, str]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._chosen = chosen
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        self._seen = self._mark()
        self._looked = clock()
        self._tokens, self._shared_keys = chosen.twilio.tokens, chosen.twilio.shared_keys
        self._hung_up = False

    @property
    def tokens(self) -> tuple[str, ...]:
        """The account's auth tokens, at most a second old."""
        self._heed_hangup()
        path = self._chosen.twilio.auth_token_file
        if path and self._clock() - self._looked >= LOOK_SECONDS:
            with self._lock:
                self._looked = self._clock()
                mark = self._mark()
                if mark != self._seen:
                    # while the file is being replaced, or is gone, the known tokens stay
                    self._tokens, self._seen = self._chosen.twilio.tokens or self._tokens, mark
                    log.info("tokens read anew", count=len(self._tokens))
        return self._tokens

    @property
    def shared_keys(self) -> tuple[str, ...]:
        """The shared keys."""
        self._heed_hangup()
        return self._shared_keys

    @property
    def logins(self) -> tuple[tuple[str, str], ...]:
        """User names and passwords for Twilio's API, such as `(("AC…", "token"),)`."""
        tokens = self.tokens
        return self._chosen.twilio.logins_with(tokens)

    def hang_up(self) -> None:
        """Have the settings read again at the next access.

        A signal may come at any moment, so its handler only sets this flag.
        """
        self._hung_up = True

    def _heed_hangup(self) -> None:
        if self._hung_up:
            self._hung_up = False
            self.reload()

    def reload(self) -> None:
        """Read the settings again; if they are invalid, keep the known keys."""
        try:
            fresh = Settings.load(self._read())
            fresh.twilio.require()
        except SettingsError as exc:
            log.error("settings not read anew", reason=str(exc))  # noqa: TRY400 - the reason says it all
            return
        with self._lock:
            self._chosen, self._tokens, self._shared_keys = fresh, fresh.twilio.tokens, fresh.twilio.shared_keys
            self._seen = self._mark()
        log.info("keys read anew", tokens=len(self._tokens), shared=len(self._shared_keys))

    def _mark(self) -> tuple[int, int, int]:
        try:
            status = Path(self._chosen.twilio.auth_token_file or os.devnull).stat()
        except OSError:
            return (0, 0, 0)
        return (status.st_mtime_ns, status.st_size, status.st_ino)


def reload_on_hangup(keys: Keys) -> None:
    """Read the keys again at each SIGHUP.

    Outside the main thread this does nothing, because only the main thread can catch signals.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGHUP, lambda *_: keys.hang_up())
