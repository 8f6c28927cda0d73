"""Self-host or buy: the use at which a deployment of one's own costs what an API charges."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

from costcalc.catalog.read import closed_model, load_gpu, load_model
from costcalc.errors import CostcalcError
from costcalc.explore.estimate import estimate, market_prices
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.spec import ApiPrice, ModelSpec
from costcalc.predict.quantities import BreakEven
from costcalc.predict.scenario import OptionKeywords


def break_even(
    model: ModelSpec | str,
    gpu: Accelerator | str,
    *,
    against: str | None = None,
    catalog: str | None = None,
    **options: Unpack[OptionKeywords],
) -> BreakEven:
    """At which share of full use does self-hosting cost what an API charges, for the same mix of tokens?

    against: a model whose list prices to compare with, open or closed ('claude-3.5-sonnet'); by default
        the model's own.
    Raises CostcalcError where no list price or no GPU price is known, and for a part of the bill alone.
    """
    if options.get("terms", "all") != "all":
        raise CostcalcError("a list price pays for everything, not for one term of the bill", hint="leave --terms out")
    spec = load_model(model, catalog=catalog) if isinstance(model, str) else model
    machine = load_gpu(gpu, catalog=catalog) if isinstance(gpu, str) else gpu
    name, prices = _list_prices(spec, against, catalog)
    if machine.price_for(options.get("price")) is None:
        raise CostcalcError(f"no price per hour of {machine.name} is known", hint="give one with --price")
    answer = estimate(spec, machine, **options)
    return BreakEven(name, replace(answer, market=market_prices(answer, prices)))


def _list_prices(spec: ModelSpec, against: str | None, catalog: str | None) -> tuple[str, tuple[ApiPrice, ...]]:
    """Return whose list prices count, and the prices."""
    other = spec if against is None else closed_model(against, catalog) or load_model(against, catalog=catalog)
    if not other.api_prices:
        raise CostcalcError(f"no list price of {other.name} is known", hint="name a model that has one with --against")
    return other.name, other.api_prices
