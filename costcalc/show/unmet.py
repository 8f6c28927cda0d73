"""Limits of time that an answer does not keep: by how much, and what comes nearest."""

from __future__ import annotations

from collections.abc import Iterator

from costcalc.explore.result import Estimate
from costcalc.readable import counted, format_percent
from costcalc.show.blocks import Block, Line
from costcalc.show.numbers import seconds, times

_NEAR = 2.0
"""A limit that is broken by less than this factor is told by the percentage."""


def unmet(result: Estimate) -> Iterator[Block]:
    """Yield what an estimate breaks of its limits, and what it is all the same; nothing where it keeps them.

    result: the estimate.
    """
    if result.limits.kept is not False:
        return
    yield Line(f"Limit not met: {', and '.join(_broken(result))}.", "bad", wrap=True, indent=2)
    yield Line(_nearest(result), wrap=True, indent=2)
    yield Line()


def _broken(result: Estimate) -> Iterator[str]:
    serving, limits = result.serving, result.limits
    for name, reached, limit in (
        ("time per output token", serving.time_per_output_token_s, limits.time_per_output_token_s),
        ("time to first token", serving.time_to_first_token_s, limits.time_to_first_token_s),
    ):
        if reached is None or limit is None or reached <= limit:
            continue
        ratio = reached / limit
        over = f"{times(ratio)} the limit" if ratio >= _NEAR else f"{format_percent(ratio - 1, 2)} over the limit"
        yield f"{name} is {seconds(reached)}, {over} of {seconds(limit)}"


def _nearest(result: Estimate) -> str:
    """What was chosen is what comes nearest; what was asked for may stand in the way."""
    chosen = {each.name for each in result.assumptions}
    machine, batch = result.deployment, result.workload.batch
    users = f"{counted(batch, 'user')} at once"
    if machine.replicas > 1:
        users += " on each replica"
    asked = [option for name, option in (("batch", "--batch"), ("layout", "the layout")) if name not in chosen]
    if "batch" not in chosen:
        return f"This is what was asked for, {users}; leave {' and '.join(asked)} out to get the nearest to it."
    weighed = "No batch and no layout that was weighed keeps it" if "layout" in chosen else "No batch keeps it"
    more = "" if "gpus" in chosen else "; another --gpus may come nearer"
    return f"{weighed}. This is the nearest: {users}, {machine.layout}{more}. The dollars are its own."
