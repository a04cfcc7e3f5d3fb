"""Put the text of a turn back into the inbox, so that the next visit carries the turn on."""

from __future__ import annotations

from inbox.ports import Texts
from journal.model import Turn
from sms.addresses import address_of
from sms.messages import InboundSms, Media, MessageSid


def put_back(texts: Texts, turn: Turn | None) -> bool:
    """Put a turn's text back; False, and nothing changed, if it waits already.

    It goes to the conversation in which its row stands, whatever the setting says by now. A turn that is gone, or was
    never readable, has no text.
    """
    if turn is None or turn.is_unreadable:
        return False
    return texts.accept(text_of(turn), user_id=turn.user_id)


def text_of(turn: Turn) -> InboundSms:
    """Return a turn's text in the form in which it goes back into the inbox."""
    return InboundSms(
        sid=MessageSid(turn.sid),
        sender=address_of(turn.user_id),
        to=turn.to,
        body=turn.content,
        media=tuple(Media(url=item["url"], content_type=item["content_type"]) for item in turn.facts.get("media", ())),
        messaging_service_sid=turn.messaging_service_sid,
        opt_out_type=turn.opt_out_type,
        repaired=True,
    )
