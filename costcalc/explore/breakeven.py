"""Self-host or buy: the use at which a deployment of one's own costs what an API charges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from costcalc.catalog.catalog import Catalog, catalog_of
from costcalc.errors import CostcalcError, shown
from costcalc.explore.estimate import answer, market_prices
from costcalc.explore.search import choose_deployment
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.spec import ApiPrice, ModelSpec
from costcalc.predict.quantities import BreakEven
from costcalc.predict.scenario import asked


@np.errstate(all="ignore")
def break_even(
    model: ModelSpec | str | Path,
    gpu: Accelerator | str | Path,
    *,
    against: str | None = None,
    catalog: Catalog | str | Path | None = None,
    **options: Any,
) -> BreakEven:
    """At which share of full use does self-hosting cost what an API charges, for the same mix of tokens?

    against: a model whose list prices to compare with, open or closed ('claude-3.5-sonnet'); by default
        the model's own. The others: as of `costcalc.estimate`.
    Raises CostcalcError where no list price or no GPU price is known, and for a part of the bill alone.
    """
    folders = catalog_of(catalog)
    scenario = asked(model, gpu, options, folders)
    if scenario.options.terms != "all":
        raise CostcalcError("a list price pays for everything, not for one term of the bill", hint="leave --terms out")
    name, prices = _list_prices(scenario.model, against, folders)
    if scenario.gpu.price_for(scenario.options.price) is None:
        raise CostcalcError(f"no price per hour of {scenario.gpu.name} is known", hint="give one with --price")
    found = answer(scenario, choose_deployment(scenario))
    return BreakEven(name, replace(found, market=market_prices(found, prices)))


def _list_prices(spec: ModelSpec, against: object, catalog: Catalog) -> tuple[str, tuple[ApiPrice, ...]]:
    """Return whose list prices count, and the prices."""
    if against is not None and not isinstance(against, str):
        raise CostcalcError(f"{shown(against)} is no model's name", where="against")
    other = spec if against is None else catalog.closed_model(against) or catalog.unchanged().model(against)
    if not other.api_prices:
        raise CostcalcError(f"no list price of {other.name} is known", hint="name a model that has one with --against")
    return other.name, other.api_prices
