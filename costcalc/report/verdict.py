"""An estimate in one sentence: who is served, how fast, for how much, what binds, and what the list price leaves."""

from __future__ import annotations

from costcalc.predict.quantities import Estimate
from costcalc.report.estimate import newest
from costcalc.report.page import quantity, users
from costcalc.units import NOTHING, format_percent, format_usd


def verdict(estimate: Estimate) -> str:
    """Return an estimate in one sentence, without what is not known."""
    machine, load = estimate.deployment, estimate.workload
    gpus = f"{machine.gpus:,} × {machine.gpu}"
    if not estimate.memory.fits:
        return f"{estimate.model.name} does not fit on {gpus}."
    speed, cost = (
        quantity(path, estimate) for path in ("serving.tokens_per_s_per_user", "cost.usd_per_million_blended_tokens")
    )
    people = load.batch * machine.replicas
    said = f"{gpus} serve{'' if machine.gpus > 1 else 's'} {users(people)} user{'' if people == 1 else 's'}"
    said += f" at {speed.text} tok/s each" if speed.text != NOTHING else ""
    said += f" for {cost.text} {cost.range}".rstrip() + " per million tokens" if cost.text != NOTHING else ""
    parts = [said]
    if estimate.decode.bound_by:
        parts.append(f"{estimate.decode.bound_by} binds")
    priced = [each for each in newest(estimate.market) if each.blended_usd_per_million and each.price_over_cost]
    if priced:
        least = min(priced, key=lambda each: each.blended_usd_per_million or 0.0)
        left = gain_or_loss(least.price_over_cost or 0.0)
        parts.append(f"list price {format_usd(least.blended_usd_per_million)} ({least.provider}): {left}")
    return f"{'; '.join(parts)}."


def gain_or_loss(price_over_cost: float) -> str:
    """Return what selling at a price leaves of each dollar of cost: 'a loss of 21%'."""
    over = price_over_cost - 1
    return f"a {'gain' if over > 0 else 'loss'} of {format_percent(abs(over), 2)}"
