"""How many GPUs a demand takes: replicas of the deployment that was chosen, each at its batch."""

from __future__ import annotations

from math import ceil

from costcalc.explore.layouts import Spread
from costcalc.explore.question import Question
from costcalc.explore.result import DemandResult, Formula, ServingResult
from costcalc.readable import format_count, format_rate, format_usd

HOURS_PER_MONTH = 730.0


def demand_of(q: Question, spread: Spread, serving: ServingResult, usd_per_hour: float | None) -> DemandResult | None:
    """What the demand asked for takes of replicas like those of `spread`, or None where none was asked for.

    serving: of the deployment, at the batch of one replica. usd_per_hour: price of a GPU [$/h].
    """
    if q.options.demand is None or serving.output_tokens_per_s is None:
        return None
    from costcalc.rates import parse_demand

    asked = parse_demand(q.options.demand)
    requests = asked.per_second if asked.of == "requests" else asked.per_second / q.output_tokens
    replica = serving.output_tokens_per_s / spread.replicas * q.options.utilization
    tokens = requests * q.output_tokens
    # A hair of rounding must not buy a replica.
    replicas = max(1, ceil(tokens / replica * (1 - 1e-9)))
    # A pool of its own prefills for all replicas together.
    pool = ceil(replicas * (serving.prefill_gpus or 0.0) / spread.replicas)
    gpus = replicas * int(spread.layout.gpus) + pool
    hourly = None if usd_per_hour is None else gpus * usd_per_hour
    return DemandResult(
        requests,
        tokens,
        replicas,
        gpus,
        tokens / (replica * replicas),
        hourly,
        None if hourly is None else hourly * HOURS_PER_MONTH,
    )


def explain_demand(q: Question, found: DemandResult, usd_per_hour: float | None) -> list[Formula]:
    """How the GPUs and the dollars of a demand come about."""
    share = "" if q.options.utilization == 1 else f" × {q.options.utilization:g}"
    each = found.output_tokens_per_s / found.load / found.replicas / q.options.utilization
    formulas = [
        Formula(
            "demand.replicas",
            "Replicas that the demand takes",
            "ceil(output tokens/s asked for / (output tokens/s of a replica, prefills included, × utilization))",
            f"ceil({format_rate(found.output_tokens_per_s, 'tokens/s')} / ({format_rate(each, 'tokens/s')}{share}))",
            found.replicas,
            "replicas",
            "docs/method.md, demand",
        )
    ]
    if found.usd_per_month is not None:
        formulas.append(
            Formula(
                "demand.usd_per_month",
                "Dollars of the demand per month",
                "GPUs of all replicas, and of a pool for prefill, × $/h × 730 h",
                f"{format_count(found.gpus)} × {format_usd(usd_per_hour)} × 730",
                found.usd_per_month,
                "$/month",
                "730 hours are a twelfth of a year",
            )
        )
    return formulas
