"""Build the clients of Twilio's API.

A process that outlives a key rotation passes a `login` that follows the rotation.
"""

from __future__ import annotations

from contextlib import suppress

from runtime import tracing
from runtime.secrets import Keys
from runtime.settings import Settings
from sms.account import TwilioAccount
from sms.credentials import Login
from sms.errors import CarrierAway
from sms.media import TwilioMedia
from sms.ports import Sender
from sms.traced import TracedSender
from sms.twilio import TwilioMessageList, TwilioSender


def twilio_message_list(chosen: Settings, login: Login | None = None) -> TwilioMessageList:
    """Return the account's list of messages."""
    return TwilioMessageList(
        account_sid=chosen.twilio.account_sid,
        login=login or _login(chosen),
        api_base_url=chosen.twilio.api_base_url,
    )


def twilio_account(chosen: Settings, login: Login | None = None) -> TwilioAccount:
    """Return the account."""
    return TwilioAccount(
        account_sid=chosen.twilio.account_sid,
        login=login or _login(chosen),
        api_base_url=chosen.twilio.api_base_url,
    )


def twilio_sender(chosen: Settings, login: Login) -> Sender:
    """Return the sender of messages, warm if Twilio can be reached."""
    sender = TwilioSender(account_sid=chosen.twilio.account_sid, login=login, api_base_url=chosen.twilio.api_base_url)
    # the official client imports its parts at their first use: half a second that no reply should wait for
    with suppress(CarrierAway):
        sender.warm()
    return TracedSender(sender) if tracing.is_on() else sender


def twilio_media(chosen: Settings, login: Login) -> TwilioMedia:
    """Return the source of pictures."""
    return TwilioMedia(login=login, api_base_url=chosen.twilio.api_base_url)


def rotating_login(keys: Keys) -> Login:
    """Return a login that follows key rotations."""
    return Login(lambda: keys.logins)


def _login(chosen: Settings) -> Login:
    return Login(lambda: chosen.twilio.logins)
