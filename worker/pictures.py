"""Fetch the pictures that came with texts, for a model that sees."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from cat.attachments import described
from cat.ports import Picture
from sms.errors import CarrierAway
from sms.messages import InboundSms
from sms.ports import MediaSource

#: How many pictures of one turn a model is shown, and how long all of them may take to fetch, inside the deadline.
PICTURES_SHOWN: Final = 3
PICTURES_SECONDS: Final = 6.0
#: What models that see accept, as OpenAI and Bedrock document it alike.
SEEN: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})


def count(texts: Sequence[InboundSms]) -> int:
    """Return how many pictures came with the texts."""
    return sum(one.content_type.startswith("image/") for text in texts for one in text.media)


def things(texts: Sequence[InboundSms]) -> list[str]:
    """Return what came with the texts, in words such as `(a voice note)`."""
    return [described(one) for text in texts for one in text.media]


def fetch(source: MediaSource, texts: Sequence[InboundSms]) -> list[Picture]:
    """Return the pictures of the texts; what cannot be fetched in time is left out."""
    until = time.monotonic() + PICTURES_SECONDS
    pictures: list[Picture] = []
    media = [one for text in texts for one in text.media if one.content_type in SEEN]
    for one in media[:PICTURES_SHOWN]:
        left = until - time.monotonic()
        if left <= 0:
            break
        with suppress(CarrierAway):
            fetched = source.fetch(one, seconds=left)
            if fetched.content_type in SEEN:
                pictures.append(Picture(content_type=fetched.content_type, data=fetched.data))
    return pictures
