"""An estimate in one sentence: who is served, how fast, for how much, what binds, and what the list price leaves."""

from __future__ import annotations

import re
from collections.abc import Iterator

from costcalc.predict.results import Estimate
from costcalc.report.market import newest
from costcalc.report.page import quantity, seconds, speed, users
from costcalc.units import NOTHING, SHOWN_IN, format_percent, format_rate, format_usd

_MAKERS, _LINES = "NVIDIA|AMD|Intel|Google|AWS|Huawei", "GeForce|Tesla|Radeon(?= RX| Inst)|Instinct"
BLENDED, OUTPUT = "cost.usd_per_million_blended_tokens", "cost.usd_per_million_output_tokens"


def verdict(estimate: Estimate) -> str:
    """Return an estimate in one sentence, without what is not known.

    Dollars are per million tokens by the mix of the workload, of a demand those of its fleet; the list price is the
    lowest of the newest ones, at the same mix, and leaves a margin of it, or a loss.
    """
    gpus = machines(estimate.deployment.gpus, estimate.deployment.gpu)
    if estimate.decode.step_time_s is None:
        return f"{estimate.model.name} does not fit on {gpus}"
    if estimate.serving.tokens_per_s_per_user is None:
        what = f"A term of the bill alone: {_dollars(estimate, OUTPUT)} per million output tokens on {gpus}"
        return "; ".join([what, *_binds(estimate)])
    return "".join([*_missed(estimate), "; ".join([_served(estimate), *_binds(estimate), *_sold(estimate)])])


def machines(count: int, name: str) -> str:
    """Return GPUs in short, such as '16 H100s', '1 RTX 4090' or '2 × RTX 3060 Ti'.

    name: of the accelerator, as in 'NVIDIA H100 SXM5 80GB', with what was changed in it behind a comma.
    """
    name, _, changed = name.partition(", ")
    more = f" ({changed})" if changed else ""
    short = re.sub(r"\s*(\(.*\)|\b(\d+GB|SXM\d*|PCIe)\b)", "", name)
    short = re.sub(rf"^({_MAKERS}) +(({_LINES}) +)*", "", short)
    if count == 1:
        return f"1 {short}{more}"
    return f"{count:,} {short}s{more}" if re.search(r"[0-9A-Z]$", short) else f"{count:,} × {short}{more}"


def _missed(estimate: Estimate) -> Iterator[str]:
    """What is said first of limits of time that are not kept."""
    limits, serving = estimate.limits, estimate.serving
    if limits.kept is not False:
        return
    named = {"time_per_output_token_s": "per token", "time_to_first_token_s": "to the first"}
    pairs = [(getattr(serving, name), getattr(limits, name), of) for name, of in named.items()]
    broken = [f"{seconds(limit)} {of}" for reached, limit, of in pairs if limit is not None and reached > limit]
    yield f"Not within {' and '.join(broken)}: "


def _served(estimate: Estimate) -> str:
    """Who is served by which GPUs, how fast and for how much."""
    machine, demand, pool = estimate.deployment, estimate.demand, estimate.serving.prefill_gpus
    count = machine.gpus if demand is None else demand.gpus
    gpus = machines(count, machine.gpu)
    if pool and demand is None:
        gpus += f", with {pool:,.3g} more for prefill,"
    asked = estimate.workload.batch * machine.replicas if demand is None else demand.users
    if asked is not None:
        mean = "" if float(asked).is_integer() else "a mean of "
        who = f"{mean}{users(asked)} user{'' if asked == 1 else 's'}"
    else:
        who = f"{format_rate(demand.requests_per_s, '', 3).strip()} requests/s" if demand else ""
    each = " each" if asked != 1 else ""
    full = estimate.serving.tokens_per_s_per_user  # of a replica that holds as many as it may
    reached = demand.tokens_per_s_per_user if demand is not None and demand.tokens_per_s_per_user else full
    rate = f"at {speed(reached)} tok/s{each}"
    verb = "serves" if count == 1 and not pool else "serve"
    return f"{gpus} {verb} {who} {rate}{_price(estimate)}"


def _price(estimate: Estimate) -> str:
    if (demand := estimate.demand) is not None and demand.usd_per_month is not None:
        month, tokens = format_usd(demand.usd_per_month), format_usd(demand.usd_per_million_tokens)
        return f" for {month} a month, {tokens} per million tokens"
    told = _dollars(estimate, BLENDED)
    return f" for {told} per million tokens" if told else "; no price is known"


def _dollars(estimate: Estimate, path: str) -> str:
    """A number of dollars with its range, which needs no sign of its own: '$1.42 [1.14–2.91]'."""
    cost = quantity(path, estimate)
    limits = cost.range.replace(SHOWN_IN.get().sign, "")
    return "" if cost.text == NOTHING else f"{cost.text} {limits}".rstrip()


def _binds(estimate: Estimate) -> Iterator[str]:
    if estimate.decode.bound_by:
        yield f"{estimate.decode.bound_by} binds"


def _sold(estimate: Estimate) -> Iterator[str]:
    """The lowest list price, and what selling at it leaves."""
    priced = [each for each in newest(estimate.market) if each.blended_usd_per_million]
    asked = min(priced, key=lambda each: each.blended_usd_per_million, default=None)
    if asked is not None:
        left = "" if asked.margin is None else f": {margin_told(asked.margin)}"
        yield f"list price {format_usd(asked.blended_usd_per_million)} ({asked.provider}){left}"


def margin_told(margin: float) -> str:
    """Return what selling at a price leaves: 'a margin of 21%' of the price, or 'a loss of 21% of the cost'.

    margin: (price - cost) / price.
    """
    if margin < 0:
        return f"a loss of {format_percent(margin / (margin - 1), 2)} of the cost"
    return f"a margin of {format_percent(margin, 2)}"
