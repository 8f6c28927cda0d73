"""Self-host or buy: the use at which GPUs of one's own cost what APIs charge, and what to ask for their tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from costcalc.catalog.catalog import Catalog, catalog_of
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.explore.estimate import answer, cost_scale, market_price
from costcalc.explore.sizing import deployment_for
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.prices import squashed
from costcalc.model.spec import ApiPrice, ModelSpec
from costcalc.predict.readers import quantity, read_as
from costcalc.predict.results import BreakEven, Estimate, MarketPrice
from costcalc.predict.scenario import asked

ALL = "all"
TIERS = ("standard", "batch")
MOST_USD = 1e6
_SHARE = quantity("ratio", 0, 1, high_too=False)
_USD = quantity("count", 0, MOST_USD)

Offer = tuple[str, ApiPrice]
"""Whose model, and what is asked for its tokens."""


@np.errstate(all="ignore")
def breakeven(
    model: ModelSpec | str | Path,
    gpu: Accelerator | str | Path,
    *,
    against: str | Sequence[str] | None = None,
    tier: str = "standard",
    discount: Any = None,
    sell: str | None = None,
    margin: Any = None,
    catalog: Catalog | str | Path | None = None,
    **options: Any,
) -> BreakEven:
    """At which share of full use does self-hosting cost what APIs charge, for the same mix of tokens?

    against: one or several of: a model whose list prices to compare with, open or closed ('claude-3.5-sonnet'); a
        provider of the model's own ('together'); 'all' of them, which is the default; prices of one's own as
        '0.27/1.10' or '0.27/1.10/0.07', of input, output and cached input [$/M].
    tier: standard, or batch for what answers within a day cost. discount: off all these prices [share].
    sell: what is asked for the deployment's own tokens, written like prices [$/M]. margin: instead, what has to be left
        of it above the cost [share]; both prices then follow from the costs, with a demand from those of its fleet.
    catalog, and the others: as of `costcalc.estimate`.
    Raises CostcalcError where no list price or no GPU price is known, and for a part of the bill alone.
    """
    folders = catalog_of(catalog)
    scenario = asked(model, gpu, options, folders)
    if scenario.options.terms != "all":
        raise CostcalcError("a list price pays for everything, not for one term of the bill", hint="leave --terms out")
    asking = _offers(scenario.model, against, folders)
    kept = _of_tier(asking, tier)
    lacking = dict.fromkeys(price.provider for name, price in asking if (name, price) not in kept)
    offers = [(name, _at(price, tier, discount)) for name, price in kept]
    if scenario.price is None:
        raise CostcalcError(f"no price per hour of {scenario.gpu.name} is known", hint="give one with --price")
    found = answer(scenario, deployment_for(scenario))
    own = scenario.model.name
    market = tuple(replace(market_price(found, price), model=None if name == own else name) for name, price in offers)
    names = ", ".join(dict.fromkeys(name for name, _ in offers))
    if lacking:
        found = replace(
            found, notes=(*found.notes, f"Left out, for no batch price of it is known: {', '.join(lacking)}.")
        )
    return BreakEven(names, replace(found, market=market), _sale(found, sell, margin))


def _offers(spec: ModelSpec, against: object, catalog: Catalog) -> list[Offer]:
    """Whose list prices count, and the prices."""
    several = [ALL] if against is None else against.split(",") if isinstance(against, str) else against
    if not isinstance(several, list | tuple) or not several:
        raise CostcalcError(f"{shown(against)} is no model's name", where="against")
    found: list[Offer] = []
    for each in several:
        if not isinstance(each, str):
            raise CostcalcError(f"{shown(each)} is no model's name", where="against")
        found += _named(spec, each.strip(), catalog)
    return list(dict.fromkeys(found))


def _named(spec: ModelSpec, word: str, catalog: Catalog) -> list[Offer]:
    if re.fullmatch(r"\$?[0-9.]+(/\$?[0-9.]+){1,2}", word):
        return [(spec.name, _typed(word, "against"))]
    own = [(spec.name, price) for price in spec.api_prices]
    if word.lower() != ALL:
        by = [offer for offer in own if squashed(offer[1].provider).startswith(squashed(word) or "-")]
        if by:
            return by
        try:
            other = catalog.closed_model(word) or catalog.unchanged().model(word)
        except CostcalcError as error:
            providers = {price.provider.lower(): price.provider for _, price in own}
            near = did_you_mean(word.lower(), providers)
            raise CostcalcError(error.message, where=error.where, hint=near or error.hint) from None
        own = [(other.name, price) for price in other.api_prices]
    name = spec.name if word.lower() == ALL else other.name
    if not own:
        raise CostcalcError(f"no list price of {name} is known", hint="name a model that has one with --against")
    return own


def _typed(text: str, where: str) -> ApiPrice:
    """Prices of input, output and cached input as typed [$/M]."""
    dollars = [read_as(_USD, part.strip().removeprefix("$"), where) for part in text.split("/")]
    if len(dollars) not in (2, 3):
        hint = "write $/M of input and output, as in 0.6/2.2, and of cached input where it differs"
        raise CostcalcError(f"{shown(text)} is no list of prices", where=where, hint=hint)
    cached = dollars[2] if len(dollars) == 3 else None
    return ApiPrice(
        provider=text, input_usd_per_million=dollars[0], cached_input_usd_per_million=cached,
        output_usd_per_million=dollars[1], date="", source="as typed", provenance="derived",
    )  # fmt: skip


def _of_tier(offers: Sequence[Offer], tier: str) -> list[Offer]:
    """The offers that a tier has; raises CostcalcError where none has it."""
    if tier not in TIERS:
        raise CostcalcError(f"{shown(tier)} is unknown", where="tier", hint=did_you_mean(tier, TIERS) or "or batch")
    kept = [offer for offer in offers if tier == "standard" or offer[1].batch or offer[1].source == "as typed"]
    if not kept:
        names = ", ".join(dict.fromkeys(name for name, _ in offers))
        hint = "say what it takes off with --discount 50%"
        raise CostcalcError(f"no batch price of {names} is known", where="tier", hint=hint)
    return kept


def _at(price: ApiPrice, tier: str, discount: Any) -> ApiPrice:
    """A list price at a tier, less a discount."""
    left = 1 - read_as(_SHARE, discount or 0, "discount")
    asks = price.batch if tier == "batch" and price.batch else price
    cached = asks.cached_input_usd_per_million
    return replace(
        price,
        input_usd_per_million=asks.input_usd_per_million * left,
        cached_input_usd_per_million=None if cached is None else cached * left,
        output_usd_per_million=asks.output_usd_per_million * left,
        source=f"{price.source}, batch tier" if asks is not price else price.source,
        batch=None,
    )


def _sale(found: Estimate, sell: str | None, margin: Any) -> MarketPrice | None:
    """What is asked for the deployment's own tokens, against its cost."""
    if sell is None and margin is None:
        return None
    if sell is not None:
        if margin is not None:
            raise CostcalcError("the price is told too", where="margin", hint="one of them follows from the other")
        price = _typed(str(sell), "sell")
    else:
        kept = read_as(_SHARE, margin, "margin")
        # A cached token is a part of the input's cost: fresh and cached ones are asked the same.
        into, out = found.cost.usd_per_million_input_tokens, found.cost.usd_per_million_output_tokens
        asked_of_cost = cost_scale(found) / (1 - kept)
        price = ApiPrice(
            provider="asked", input_usd_per_million=(into or 0.0) * asked_of_cost,
            output_usd_per_million=(out or 0.0) * asked_of_cost, date="", source="as typed", provenance="derived",
        )  # fmt: skip
    return market_price(found, replace(price, provider="asked of users"))
