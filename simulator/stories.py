"""What the application knows of a text: the port of the road view and of the story page.

The network alone knows only what passed through it. `dadacat simulator --journal` brings an implementation that reads
the application's journal; `uvicorn simulator.asgi:app` has none.
"""

from __future__ import annotations

from typing import Any, Protocol


class Stories(Protocol):
    """The stories of texts, as plain JSON.

    `sid`, `state`, `reason`, `tries`, `engine`
    `times`    station to seconds since 1970, such as `{"opened": 1764446233.2}`
    `parts`    the messages of the reply, each `{"sid", "state", "reason"}`
    `verdict`, `cost`   sentences for a reader
    `events`   oldest first, each `{"at", "since", "what", "details"}`; `since`: seconds since the first event
    """

    def of_text(self, person: str, number: str, sid: str) -> dict[str, Any] | None:  # Any: JSON
        """Return the story of a text that `person` sent to `number`; None if it is unknown or cannot be read."""

    def of_reply(self, person: str, number: str, sid: str) -> dict[str, Any] | None:  # Any: JSON
        """Return the story of the text to which the message `sid`, sent to `person`, is a reply."""
