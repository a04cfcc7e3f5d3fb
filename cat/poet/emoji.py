"""What a text of emoji alone shows: one of a few families."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: Characters by family. The first character that belongs to one decides.
FAMILIES: Final[Mapping[str, str]] = {
    "cry": "😢😭🥺😿😞😔☹🙁😥😓💧😟😣😖",
    "laugh": "😂🤣😆😹😄😁😅😀😃🙂😊☺😝😜🤪",
    "heart": "❤🧡💛💚💙💜🖤🤍💕💖💗💓💞💘💝😍🥰😘😻💋🤗♥",
    "food": "🍕🍔🍟🌭🍎🍌🍇🍓🍑🍒🥭🍍🥑🥕🌽🥐🍞🥖🧀🥚🍳🥞🥓🍗🍖🌮🌯🥗🍝🍜🍣🍤🍙🍚🍛🍦🍨🍩🍪🎂🍰🧁🍫🍬🍭☕🍵🥛🍺🍻🍷🐟",
    "weather": "☀🌞⛅☁🌧⛈🌩❄⛄☃🌨💨🌪🌈☔🌂🌊🌙🌛⭐🌟✨☔⚡",
    "animal": "🐱🐈😺😸🐶🐕🐭🐁🐹🐰🦊🐻🐼🐨🐯🦁🐮🐷🐸🐵🐔🐧🐦🐤🦆🦉🐴🦄🐝🐛🦋🐌🐞🐢🐍🐙🐠🐬🐳🦈🐘🦒🐾",
    "party": "🎉🎊🥳🎈🎁🪅🎆🎇🍾🥂💃🕺🎶🎵🏆",
    "wave": "👋✋🖐🤚🙌👍👌🤝🙏👏",
    "rage": "😠😡🤬😤👿💢🖕👎🙄😒",
    "sleep": "😴💤🛌😪🥱🌃🛏",
    "sick": "🤒🤕🤢🤮🤧😷🥴😵",
    "cool": "😎🕶🤓🧐😏🤠",
}


def family_of(text: str) -> str:
    """Return the family of the first emoji that belongs to one, such as `cry`; empty if none does."""
    for character in text:
        for family, members in FAMILIES.items():
            if character in members and character not in "\ufe0f\u200d":
                return family
    return ""
