"""Build the price tables."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from cat import prices as model_prices
from cat.prices import Catalogue
from runtime.money import MICRO, dollars
from runtime.settings import Settings, SettingsError
from sms import prices as message_prices
from sms.prices import Tariff


@cache
def price_tables(chosen: Settings) -> tuple[Catalogue, Tariff]:
    """Return the price tables, overridden by the operator's own file.

    Raises `SettingsError` for a file that cannot be read.
    """
    known, tariff = model_prices.shipped(), message_prices.shipped()
    if chosen.budgets.prices_file:
        try:
            given = tomllib.loads(Path(chosen.budgets.prices_file).read_text())
            _require_known(given)
            known = Catalogue.parse(given).over(known)
            tariff = Tariff.parse(given).over(tariff)
        except OSError as exc:
            # the whole message would show the file's name, which is the setting's value
            raise SettingsError(f"PRICES_FILE cannot be used: {exc.strerror}") from None
        except (UnicodeDecodeError, ValueError) as exc:
            raise SettingsError(f"PRICES_FILE cannot be used: {exc}") from None
    return known, tariff


def _require_known(given: Mapping[str, object]) -> None:
    """Raise `ValueError` for a table that no price is read from, such as a misspelled one."""
    if unknown := sorted(given.keys() - {"models", "segment", "channel"}):
        raise ValueError(f"it holds {unknown[0]}, and may hold models, segment and channel")


def check_message_budgets(chosen: Settings) -> None:
    """Raise `SettingsError` for a cap below the price of a reply of the greatest length."""
    _, tariff = price_tables(chosen)
    ours = next((number for number in chosen.twilio.numbers if number.startswith("+")), "+")
    segments = chosen.replies.max_segments
    reply = tariff.cost(ours, segments)
    caps = {
        "SMS_BUDGET_PERSON_DAY": chosen.budgets.sms_person_day,
        "SMS_BUDGET_DAY": chosen.budgets.sms_day,
        "SMS_BUDGET_MONTH": chosen.budgets.sms_month,
    }
    price = f"a reply of REPLY_MAX_SEGMENTS ({segments}) costs about {dollars(reply)} USD"
    if small := [name for name, cap in caps.items() if cap is not None and cap * MICRO < reply]:
        raise SettingsError("\n".join(f"{name} pays for no reply: {price}" for name in small))
