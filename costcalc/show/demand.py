"""What a demand takes, as a block of an estimate."""

from __future__ import annotations

from collections.abc import Iterator

from costcalc.explore.result import Estimate
from costcalc.readable import counted, format_count, format_percent, format_rate
from costcalc.show.blocks import Block, Column, Grid, Line
from costcalc.show.numbers import usd


def demand(result: Estimate) -> Iterator[Block]:
    """Yield the GPUs and the dollars that the demand asked for takes, where one was.

    result: the estimate.
    """
    found = result.demand
    if found is None:
        return
    machine = result.deployment
    each = (machine.gpus - machine.idle_gpus) // machine.replicas
    pool = found.gpus - each * found.replicas
    asked = f"{format_rate(found.requests_per_s, '', 3).strip()} requests/s, "
    asked += f"{format_count(found.output_tokens_per_s, 4)} output tokens/s"
    replicas = f"{counted(found.replicas, 'replica')} of {counted(each, 'GPU')}"
    replicas += f" and {pool:,} for prefill" if pool else ""
    use = "" if machine.utilization == 1 else f" at {format_percent(machine.utilization)} utilization"
    rows = [
        ("Asked for", asked),
        ("It takes", f"{found.gpus:,} GPUs: {replicas}, {format_percent(found.load, 2)} of what they can serve{use}"),
        ("It costs", f"{usd(found.usd_per_hour)} per hour, {usd(found.usd_per_month)} per month of 730 hours"),
    ]
    yield Line("Demand", "heading")
    yield Grid((Column(), Column()), rows)
    yield Line()
