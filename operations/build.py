"""Build what an operator uses, from the settings: the same for a command and for a page."""

from __future__ import annotations

from datetime import timedelta

from inbox import payloads
from inbox.ports import Inbox
from journal.store import Journal
from operations.forget import Eraser
from operations.held import HeldReplies
from runtime.settings import Settings
from sms.account import TwilioAccount
from worker.build.twilio import twilio_message_list
from worker.lease import LeaseKeeper


def held_replies(chosen: Settings, journal: Journal, inbox: Inbox) -> HeldReplies:
    """Return the replies in doubt."""
    return HeldReplies(
        journal=journal,
        inbox=inbox,
        message_list=twilio_message_list(chosen),
        validity=timedelta(seconds=chosen.delivery.validity_seconds),
    )


def eraser(chosen: Settings, journal: Journal, inbox: Inbox, account: TwilioAccount | None) -> Eraser:
    """Return what forgets people; without an `account`, Twilio keeps its copies."""
    return Eraser(
        journal=journal,
        inbox=inbox,
        leases=LeaseKeeper(inbox.leases, every_seconds=chosen.visit.lease_renew_seconds),
        account=account,
        who=lambda person: payloads.who(person, chosen.who_key),
        numbers=chosen.twilio.addresses,
        per_number=chosen.people.per_number,
    )
