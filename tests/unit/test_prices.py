"""Each price has a source, and none is wrong by a power of ten."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files

import pytest

from cat import prices as model_prices
from sms import prices as message_prices


def test_every_group_of_models_names_its_source() -> None:
    groups = tomllib.loads(files("cat").joinpath("prices.toml").read_text())["models"]

    assert all(group["source"] for group in groups)
    assert all(re.search(r"20\d\d", group["source"]) for group in groups[:-1])


def test_prices_of_models_are_plausible() -> None:
    known = model_prices.shipped().models

    assert len(known) > 40
    for name, model in known.items():
        assert 0 <= model.price_in <= model.price_out <= 100, name


def test_prices_of_messages_are_plausible() -> None:
    shipped = message_prices.shipped()

    for begin, price in shipped.segment.items():
        assert re.fullmatch(r"\+\d{0,4}", begin)
        assert 5_000 <= price <= 500_000, begin


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("gpt-5-mini", "gpt-5-mini"),
        ("gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("gpt-5.4-nano-2026-03-17", "gpt-5.4-nano"),
        ("gpt-50", None),
        ("gpt-5-pro", None),
        ("gpt-5-chat-latest", None),
        ("gpt-5-mini-high", None),
        ("anthropic.claude-sonnet-5-20260801-v1:0", "anthropic.claude-sonnet-5"),
        ("us.anthropic.claude-haiku-5-5-v1:0", "us.anthropic.claude-haiku-5-5"),
        ("somebody-elses", None),
    ],
)
def test_a_model_is_found_by_its_name_or_its_beginning(name: str, entry: str | None) -> None:
    assert model_prices.shipped().entry(name) == entry


def test_what_no_one_has_entered_is_taken_to_cost_what_the_dearest_does() -> None:
    shipped = model_prices.shipped()
    assumed = shipped.of("gpt-5-pro")

    assert assumed.price_in == max(model.price_in for model in shipped.models.values())
    assert assumed.price_out == max(model.price_out for model in shipped.models.values())
    assert not assumed.thinks
    mine = model_prices.Catalogue.parse({"models": [{"known": {"unknown": {"in": 0, "out": 0}}}]}).over(shipped)
    assert mine.of("llama3:8b").cost(10**6, 10**6) == 0


def test_islands_that_share_a_prefix_with_the_united_states_are_not_charged_like_them() -> None:
    shipped = message_prices.shipped()

    for area in (
        "242",
        "268",
        "284",
        "345",
        "441",
        "473",
        "649",
        "658",
        "664",
        "721",
        "758",
        "767",
        "784",
        "809",
        "868",
        "869",
        "876",
    ):
        assert shipped.cost(f"+1{area}5550001", 1) > 10 * shipped.cost("+12125550001", 1), area


def test_a_longer_beginning_goes_before_a_shorter() -> None:
    shipped = message_prices.shipped()

    assert shipped.cost("+17875550001", 1) > shipped.cost("+12125550001", 1)
    assert shipped.cost("+8501234", 1) == shipped.segment["+"]
    assert shipped.cost("+12125550001", 3) == 3 * shipped.cost("+12125550001", 1)


def test_an_estimate_of_tokens_is_rather_too_high() -> None:
    # 82 characters, 24 tokens with o200k_base (https://openai.com/index/hello-gpt-4o, 2024-05-13)
    sentence = "Hello, my name is GPT-4o. I'm a new type of language model, it's nice to meet you!"

    assert 24 < model_prices.tokens([sentence]) < 48
