"""Words for what came with a text and is no text: a model reads them in round brackets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from sms.messages import PLACE, Media

#: By the beginning of the content type; anything else is a file.
_WORDS: Final[Mapping[str, str]] = {
    "image/": "(a picture)",
    "audio/": "(a voice note)",
    "video/": "(a video)",
    "text/vcard": "(a contact card)",
    "text/x-vcard": "(a contact card)",
    "text/directory": "(a contact card)",
}


def described(media: Media) -> str:
    """Return what came with a text, such as `(a voice note)`."""
    if media.content_type == PLACE:
        name = unquote(media.url.partition("?q=")[2])
        return f"(a place on the map: {name})" if name else "(a place on the map)"
    return next((words for begin, words in _WORDS.items() if media.content_type.startswith(begin)), "(a file)")
