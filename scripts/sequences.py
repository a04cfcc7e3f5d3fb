"""Draw the sequence diagrams of the protocol into docs/images, as SVG: `python scripts/sequences.py`.

A line of a diagram is a message (`webhook -> Redis: text`), its answer (`Redis --> webhook: stored`), a note at one
process (`worker: think`), or its death (`worker dies`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

IMAGES: Final = Path(__file__).parent.parent / "docs" / "images"
#: Pixels between two processes, between two lines, and around everything.
COLUMN, ROW, MARGIN = 160, 34, 20
#: From left to right.
PROCESSES: Final = ("Twilio", "webhook", "Redis", "worker", "neighbour", "DynamoDB")
#: Width of a letter, for the box around a note.
LETTER: Final = 6.6

DIAGRAMS: Final = {
    "sequence-reply": """
        Twilio -> webhook: POST /sms, signed
        webhook -> Redis: text and wake-up task
        Redis --> webhook: on disk
        webhook --> Twilio: 200
        Redis -> worker: wake-up task
        worker -> Redis: lease
        worker -> DynamoDB: open: raise the fence
        worker -> DynamoDB: file the text
        worker: think
        worker -> DynamoDB: persist the reply
        worker -> DynamoDB: claim: SENDING
        worker -> Twilio: POST Messages
        Twilio --> worker: 201, sid
        worker -> DynamoDB: bind: SENT
        worker -> Redis: close, lease back
        Twilio -> webhook: status callback
    """,
    "sequence-killed": """
        worker: mark: CLAIMING
        worker -> DynamoDB: claim: SENDING
        worker dies
        neighbour: mark not BEGUN: never sent
        neighbour -> DynamoDB: raise the fence
        neighbour -> DynamoDB: SENDING to RETRY
        neighbour -> Redis: due now, lease back
        Redis -> neighbour: wake-up task
        neighbour -> DynamoDB: claim: a new attempt
        neighbour -> Twilio: POST Messages, the first
        Twilio --> neighbour: 201, sid
        neighbour -> DynamoDB: bind: SENT
    """,
    "sequence-answer-lost": """
        worker -> DynamoDB: claim: SENDING
        worker -> Twilio: POST Messages
        Twilio: takes the message
        worker: no answer in time
        worker -> DynamoDB: bind: UNKNOWN
        Twilio -> webhook: status callback
        webhook -> Redis: report
        Redis -> worker: report
        worker -> DynamoDB: UNKNOWN to SENT
    """,
    "sequence-paused": """
        worker -> Redis: lease
        worker -> DynamoDB: open: fence 7
        worker: halted, lease expires
        neighbour -> Redis: lease
        neighbour -> DynamoDB: open: fence 8
        neighbour -> DynamoDB: persist, claim
        neighbour -> Twilio: POST Messages
        worker: goes on
        worker -> DynamoDB: persist: fence 7
        DynamoDB --> worker: refused
        worker: leaves without a word
    """,
}
_MESSAGE: Final = re.compile(r"(\w+) (-->|->) (\w+): (.+)")
_NOTE: Final = re.compile(r"(\w+): (.+)")
_STYLE: Final = """
text { font: 12px system-ui, sans-serif; fill: #222; text-anchor: middle }
.name { font-weight: 600 }
line, rect, path { stroke: #667; fill: none }
.life { stroke-dasharray: 2 4 }
.answer { stroke-dasharray: 5 4 }
.note { fill: #eef; stroke: #99b }
.death { stroke: #c22; stroke-width: 2.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #dde } line, rect, path { stroke: #99a } .note { fill: #2a2a3c } .death { stroke: #f66 }
}
""".strip()


@dataclass(frozen=True)
class Diagram:
    """The lines of a diagram."""

    lines: list[str]

    @property
    def columns(self) -> dict[str, int]:
        """Return the middle of each process's column."""
        names = [name for name in PROCESSES if any(re.search(rf"(?:^|> ){name}\b", line) for line in self.lines)]
        return {name: MARGIN + COLUMN // 2 + COLUMN * number for number, name in enumerate(names)}

    def svg(self) -> str:
        """Return the picture."""
        columns, bottom = self.columns, MARGIN + ROW * (len(self.lines) + 1)
        width, height = 2 * MARGIN + COLUMN * len(columns), bottom + MARGIN
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escape('; '.join(self.lines))}</title>",
            f"<style>{_STYLE}</style>",
        ]
        for name, x in columns.items():
            parts.append(f'<text class="name" x="{x}" y="{MARGIN}">{name}</text>')
            parts.append(f'<line class="life" x1="{x}" y1="{MARGIN + 8}" x2="{x}" y2="{bottom}"/>')
        for number, line in enumerate(self.lines, start=1):
            parts += _drawn(line, columns, MARGIN + ROW * number)
        return "\n".join([*parts, "</svg>", ""])


def _drawn(line: str, columns: dict[str, int], y: int) -> list[str]:
    if message := _MESSAGE.fullmatch(line):
        sender, arrow, receiver, words = message.groups()
        begin, end = columns[sender], columns[receiver]
        head = 6 if end > begin else -6
        kind = ' class="answer"' if arrow == "-->" else ""
        return [
            f'<text x="{(begin + end) / 2}" y="{y + 6}">{escape(words)}</text>',
            f'<line{kind} x1="{begin}" y1="{y + 12}" x2="{end}" y2="{y + 12}"/>',
            f'<path d="M{end - head} {y + 8} L{end} {y + 12} L{end - head} {y + 16}"/>',
        ]
    if note := _NOTE.fullmatch(line):
        name, words = note.groups()
        x, width = columns[name], LETTER * len(words) + 16
        return [
            f'<rect class="note" x="{x - width / 2:.0f}" y="{y - 4}" width="{width:.0f}" height="20" rx="4"/>',
            f'<text x="{x}" y="{y + 10}">{escape(words)}</text>',
        ]
    x = columns[line.removesuffix(" dies")]
    return [f'<path class="death" d="M{x - 8} {y - 2} l16 16 m0 -16 l-16 16"/>']


def pictures() -> dict[str, str]:
    """Return each picture by its file's name."""
    return {
        f"{name}.svg": Diagram([line.strip() for line in lines.strip().splitlines()]).svg()
        for name, lines in DIAGRAMS.items()
    }


if __name__ == "__main__":
    for name, picture in pictures().items():
        (IMAGES / name).write_text(picture)
