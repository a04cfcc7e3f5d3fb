"""The page that shows the full story of one message. The road view links to it."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Final

from runtime.visible import visible
from simulator.store import Message

#: Verdicts of a message of which only the network is known.
UNKNOWN: Final = "The journal knows nothing of this message, or cannot be read."
NO_JOURNAL: Final = "This simulator was started without --journal, so only the network's own view is known."

Story = Mapping[str, Any]  # Any: JSON


def page(message: Message, story: Story) -> str:
    """Render the page; a story that is not known has only a `verdict`."""
    title = f"the story of {escape(message.sid)}"
    cost = f"<p class='hint'>{escape(story['cost'])}</p>" if story.get("cost") else ""
    state = f" <small>{escape(story['state'])}</small>" if "state" in story else ""
    rows = "\n".join(_rows(story))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="stylesheet" href="/phone/page/base.css">
<link rel="stylesheet" href="/phone/page/phone.css">
</head>
<body class="story">
<header class="top"><h1>{title}{state}</h1><a href="/phone">back to the telephones</a></header>
<main>
<p class="said" dir="auto">{escape(message.body)}</p>
<p class="verdict">{escape(story["verdict"])}</p>
{cost}
<table>
<thead><tr><th scope="col">since arrival</th><th scope="col">event</th><th scope="col">details</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</main>
</body>
</html>
"""


def of_network(messages: Sequence[Message], *, has_journal: bool) -> Story:
    """Return the story of messages as far as the network saw it."""
    start = messages[0].created
    passed = sorted(
        ((when, name, message) for message in messages for name, when in message.stations), key=itemgetter(0)
    )
    return {
        "verdict": UNKNOWN if has_journal else NO_JOURNAL,
        "events": [
            {
                "at": datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds"),
                "since": when - start,
                "what": name,
                "details": f"{message.sid} {message.sender} to {message.recipient}",
            }
            for when, name, message in passed
        ],
    }


def _rows(story: Story) -> Iterator[str]:
    for event in story.get("events", ()):
        yield (
            f"<tr><td><time datetime='{escape(event['at'])}'>{event['since']:+.3f} s</time></td>"
            f"<td>{escape(event['what'])}</td><td>{escape(event['details'])}</td></tr>"
        )


def escape(text: str) -> str:
    """Return `text` for a page: hidden characters written out, and nothing in it is markup."""
    return html.escape(visible(text))
