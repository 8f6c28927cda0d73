"""Which price per GPU-hour an answer charges: default, median of providers, or as given."""

from __future__ import annotations

from collections.abc import Iterable

from costcalc.explore.result import DeploymentResult
from costcalc.show.numbers import usd

_MEDIAN = "median"


def price_terms(machine: DeploymentResult) -> str:
    """Return what a price is, such as 'default of its profile: on-demand, 2025-01-17'; nothing where none is known.

    machine: the deployment that is charged it.
    """
    if machine.usd_per_gpu_hour is None:
        return ""
    if machine.price_kind is None:
        return "as given"
    if (machine.price_source or "").startswith("--set"):
        return f"{machine.price_kind}, as set by --set"
    told = ", ".join(filter(None, (machine.price_kind, machine.price_provider, machine.price_date)))
    return told if machine.price_provider else f"default of its profile: {told}"


def price_basis(machines: Iterable[DeploymentResult]) -> str:
    """Return the price that all are charged and its terms, or what the prices have in common.

    machines: the deployments.
    """
    priced = [each for each in machines if each.usd_per_gpu_hour is not None]
    offers = {(each.usd_per_gpu_hour, price_terms(each)) for each in priced}
    if not offers:
        return "no price per GPU-hour is known"
    if len(offers) == 1:
        [(price, terms)] = offers
        return f"{usd(price)} per GPU-hour, {terms}"
    kinds = sorted({each.price_kind or "as given" for each in priced})
    if len(kinds) > 1:
        return f"prices per GPU-hour of different kinds: {', '.join(kinds)}"
    providers = {each.price_provider or "" for each in priced}
    if "" in providers:
        return "each GPU at the default price of its profile" if kinds != ["as given"] else "prices as given"
    whose = "median of providers" if any(each.startswith(_MEDIAN) for each in providers) else " or ".join(providers)
    return f"{kinds[0]} prices per GPU-hour, {whose}"
