"""Build the price tables."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from cat import prices as model_prices
from cat.prices import Catalogue
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
            known = Catalogue.parse(given).over(known)
            tariff = Tariff.parse(given).over(tariff)
        except OSError as exc:
            # the whole message would show the file's name, which is the setting's value
            raise SettingsError(f"PRICES_FILE cannot be used: {exc.strerror}") from None
        except (UnicodeDecodeError, ValueError) as exc:
            raise SettingsError(f"PRICES_FILE cannot be used: {exc}") from None
    return known, tariff
