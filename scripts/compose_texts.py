"""Text the cat from telephones of the simulator, and count the replies.

`deploy/try-compose.sh` runs it in the simulator's container, as `python -`.

python - send FIRST PEOPLE EACH SECONDS    telephones FIRST … send EACH texts each, spread over SECONDS
python - wait SECONDS                      until every text has one reply; exit code 1 if not, or if one has two
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any

NETWORK = "http://127.0.0.1:8401"
#: Words that the cat answers like any others.
WORDS = ("hello", "what do you see", "tell me about the moon")


def ask(path: str, body: dict[str, Any] | None = None) -> Any:  # Any: JSON
    """Return the network's answer."""
    data = json.dumps(body).encode() if body is not None else None
    # its own address
    request = urllib.request.Request(f"{NETWORK}{path}", data, {"content-type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        return json.load(answer)


def send(first: int, people: int, each: int, seconds: float) -> int:
    """Send texts at an even pace."""
    numbers = [f"+1555124{first + place:04}" for place in range(people)]
    for number in numbers:
        ask("/phone/phones", {"number": number, "name": number})
    for turn in range(each):
        for number in numbers:
            ask("/phone/texts", {"from": number, "body": f"{WORDS[turn % len(WORDS)]} {turn + 1}"})
            time.sleep(seconds / (people * each))
    print(f"{people * each} texts of {people} people sent")
    return 0


def wait(seconds: float) -> int:
    """Wait until each telephone has as many replies as it sent texts."""
    deadline = time.monotonic() + seconds
    while True:
        texts = replies = missing = doubled = 0
        for phone in ask("/phone/state")["phones"]:
            sent = sum(message["mine"] for message in phone["messages"])
            got = len(phone["messages"]) - sent
            texts, replies = texts + sent, replies + got
            missing, doubled = missing + max(0, sent - got), doubled + max(0, got - sent)
        if doubled or not missing or time.monotonic() > deadline:
            break
        time.sleep(1)
    print(f"{texts} texts, {replies} replies, {missing} missing, {doubled} doubled")
    return 1 if missing or doubled else 0


if __name__ == "__main__":
    verb, numbers = sys.argv[1], [int(word) for word in sys.argv[2:]]
    sys.exit(send(*numbers) if verb == "send" else wait(*numbers))
