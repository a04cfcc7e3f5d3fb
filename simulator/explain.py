"""The page that shows the full story of one message from the journal. The road view links to it."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from conversation.errors import ConversationError
from journal import story
from journal.story import Rows, Story
from simulator.store import Message
from sms.messages import user_of


def of(message: Message, rows: Rows) -> Story | None:
    """Return the story of a message; None if the journal has no row of it or cannot be read."""
    inbound = message.direction == "inbound"
    person, number = (message.sender, message.recipient) if inbound else (message.recipient, message.sender)
    try:
        turn = story.turn_of(rows, person, message.sid) or story.turn_of(
            rows, user_of(person, number, per_number=True), message.sid
        )
        return story.tell(rows, turn) if turn is not None else None
    except ConversationError:
        return None


def page(message: Message, told: Story | None) -> str:
    """Render the page; `told` is None if the journal has no story of this message."""
    title = f"the story of {escape(message.sid)}"
    body = "\n".join(_rows(told)) if told is not None else ""
    verdict = told.verdict if told is not None else "The journal has no row of this message, or cannot be read."
    cost = f"<p class='hint'>{escape(told.cost)}</p>" if told is not None and told.cost else ""
    state = f" <small>{escape(told.state)}</small>" if told is not None else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="stylesheet" href="/phone/page/phone.css">
</head>
<body class="story">
<header class="top"><h1>{title}{state}</h1><a href="/phone">back to the telephones</a></header>
<main>
<p class="said" dir="auto">{escape(message.body)}</p>
<p class="verdict">{escape(verdict)}</p>
{cost}
<table>
<thead><tr><th scope="col">since arrival</th><th scope="col">event</th><th scope="col">details</th></tr></thead>
<tbody>
{body}
</tbody>
</table>
</main>
</body>
</html>
"""


def _rows(record: Story) -> Iterator[str]:
    for since, event in record.timed():
        yield (
            f"<tr><td><time datetime='{escape(event.at)}'>{since:+.3f} s</time></td><td>{escape(event.what)}</td>"
            f"<td>{escape(story.as_words(event.detail))}</td></tr>"
        )
