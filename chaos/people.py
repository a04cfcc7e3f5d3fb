"""The people who text during a run, and their texts."""

from __future__ import annotations

import time
from typing import Final

from chaos.auditor import SentText
from chaos.outside import Outside

#: How long to wait until an inserted text is in the inbox.
TEXT_SECONDS: Final = 3.0


class People:
    """Sends texts, and remembers those that the carrier took."""

    def __init__(self, outside: Outside) -> None:
        self.texts: list[SentText] = []
        self._outside = outside
        self._new = 0

    def new_person(self) -> str:
        """Return the number of a person who has not texted yet."""
        self._new += 1
        return f"+1556{self._new:07d}"

    def forget_texts(self) -> None:
        """Forget the texts that were sent: they are accounted for."""
        self.texts.clear()

    def send(self, person: str, body: str) -> None:
        """Send a text; one that the carrier refuses does not count."""
        sid = self._outside.text(person, body)
        if sid:
            self.texts.append(SentText(sid=sid, person=person))

    def send_another(self, person: str) -> bool:
        """Send another text of the same person, and wait until it is accepted."""
        self.send(person, "and another thing")
        deadline = time.monotonic() + TEXT_SECONDS
        while time.monotonic() < deadline:
            if self._outside.waits(person):
                return True
            time.sleep(0.01)
        return False
