"""What can go wrong at the door."""

from __future__ import annotations


class DoorClosed(Exception):
    """Redis did not confirm: whether the text was kept is unknown, so Twilio must bring it again."""
