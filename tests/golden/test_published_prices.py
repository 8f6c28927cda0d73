"""List prices and costs of ownership as published stand in the catalog."""

from __future__ import annotations

import pytest
from published import CASES, ids

import costcalc
from costcalc.catalog.catalog import Catalog

LISTED = {
    "price-claude-3.5-sonnet": ("claude-3.5-sonnet", "Anthropic"),
    "price-gpt-4o": ("gpt-4o", "OpenAI"),
    "price-ds-chat-2025": ("v3", "DeepSeek"),
    "price-ds-reasoner": ("r1", "DeepSeek"),
    "price-405b-together": ("llama-3.1-405b", "Together AI"),
    "price-70b-together": ("llama-3.1-70b", "Together AI"),
    "price-v3-fireworks": ("v3", "Fireworks AI"),
}
OWNED = {"tco-h100": "h100", "tco-b200": "b200"}


@pytest.mark.parametrize("name", LISTED)
def test_list_price_is_in_the_catalog(name: str) -> None:
    model, provider = LISTED[name]
    prices = (Catalog().closed_model(model) or costcalc.load_model(model)).api_prices
    found = [[p.input_usd_per_million, p.output_usd_per_million] for p in prices if p.provider == provider]
    assert CASES[name]["expected"] in found


@pytest.mark.parametrize("name", OWNED)
def test_cost_of_ownership_is_in_the_catalog(name: str) -> None:
    prices = costcalc.load_gpu(OWNED[name]).prices
    owned = [p.usd_per_gpu_hour for p in prices if p.kind == "owned" and "hyperscaler" in f"{p.provider} {p.note}"]
    assert CASES[name]["expected"] in owned


def test_every_list_price_is_looked_up() -> None:
    assert set(ids("list_price")) == LISTED.keys() | OWNED.keys()
