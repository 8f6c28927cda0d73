"""Every headline number as formula, numbers put in, result and source: dollars, memory, and those of explain_times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import ceil, floor, prod

from costcalc.engine.memory import (
    cache_bytes_per_sequence_per_gpu,
    held_bytes_per_sequence,
    host_cache_bytes_per_sequence,
    host_sequences,
    host_weights_bytes,
    layer_cache_bytes_read,
    memory_share,
    reserve_bytes,
)
from costcalc.engine.parallelism import Chosen
from costcalc.predict.explain_times import (
    MOST_DIGITS,
    decode_formulas,
    digits_of_a_rest,
    plain,
    prefill_formulas,
    serving_formulas,
)
from costcalc.predict.predict import UNBOUNDED, Prediction
from costcalc.predict.quantities import ranges_of
from costcalc.predict.results import DemandResult, Estimate, Formula
from costcalc.predict.scenario import Scenario
from costcalc.units import SHOWN_IN, format_bytes, format_count, format_price, format_rate, format_seconds, format_usd

_INPUT = "cost.usd_per_million_input_tokens"
_BLENDED = "cost.usd_per_million_blended_tokens"
_REQUEST = "cost.usd_per_request"


def explain(scenario: Scenario, chosen: Chosen, result: Estimate, at: Prediction) -> Estimate:
    """The result with its explanation.

    chosen: the deployment. at: the engine's own numbers for it.
    """
    if scenario.recompute:
        return result
    found = (
        *_cost(result, at),
        *serving_formulas(result, at),
        *_load(scenario, result),
        *_memory(scenario, chosen, result),
        *decode_formulas(scenario, result, at),
        *prefill_formulas(chosen, result, at),
        *_cache(scenario, result),
    )
    if result.demand:
        found += (*_demand(scenario, result, result.demand),)
    return replace(result, explanation=tuple(_ranged(scenario, result, each) for each in found))


def _ranged(q: Scenario, r: Estimate, formula: Formula) -> Formula:
    """The formula with the range of its value, and where that comes from."""
    part, _, name = formula.quantity.partition(".")
    limits = getattr(getattr(r, part), f"{name}_range", None)
    if limits is None:
        return formula
    spread = ranges_of(q)
    of_prefill = formula.quantity in ("prefill.time_s", "serving.time_to_first_token_s", _INPUT)
    factors = spread.prefill if of_prefill else spread.decode
    what = "observed over predicted, at 10% and 90% of the points left out of the fit"
    if formula.quantity in (_BLENDED, _REQUEST) or factors is None:
        return replace(formula, value_range=limits, range_source=f"those of input and output; {what}")
    low, high = factors
    of = "prefill times" if of_prefill else "decode times"
    source = f"{of} × {low:.3g} to × {high:.3g}: {what}"
    return replace(formula, value_range=limits, range_source=source)


def _load(q: Scenario, r: Estimate) -> list[Formula]:
    """How many users at once, and why so many."""
    formula = "sequences of one replica, as asked for"
    if q.options.load_told:
        formula = "sequences of one replica that decode at once under this load, on average"
    elif not q.options.batch and q.options.terms == "all":
        limit, tpot = format_seconds(q.tpot_limit), format_seconds(r.serving.time_per_output_token_s)
        formula = f"of the batches that fit, up to {r.memory.max_sequences:,}, and keep the time per output token "
        formula += f"under {limit}, the one of lowest cost; at this one it is {tpot}"
    batch = r.workload.batch
    return [Formula("workload.batch", "Users at once", formula, f"{batch:.10g}", batch, "sequences", "docs/method.md")]


def _cache(q: Scenario, r: Estimate) -> list[Formula]:
    kv, layers = r.kv_cache, q.model.attention_layers()
    kinds = " + ".join(f"{count} {layer.describe()}" for count, layer in layers)
    grown = [(count, float(layer.growth_bytes(q.formats.cache))) for count, layer in layers]
    context = r.workload.context_tokens
    read = [(count, float(layer_cache_bytes_read(layer, q.formats, context))) for count, layer in layers]
    return [
        Formula(
            "kv_cache.bytes_per_token",
            "Cache that one more token adds",
            f"sum over layers of (elements cached per token × bytes per element): {kinds}",
            " + ".join(f"{count} × {each:,.10g} B" for count, each in grown),
            kv.bytes_per_token,
            "B/token",
            "MHA/GQA/MQA: 2·K·d_h elements (Shazeer 2019; Ainslie et al. 2023); MLA: r + d_r (DeepSeek-V2, 2405.04434)",
        ),
        Formula(
            "kv_cache.bytes_read_per_token",
            "Cache read for one output token",
            f"sum over layers of the bytes of visible tokens, at {context:,.10g} tokens of context: {kinds}",
            " + ".join(f"{count} × {format_bytes(each)}" for count, each in read),
            kv.bytes_read_per_token,
            "B/token",
            "Erdil 2025, epoch.ai/gradient-updates",
        ),
    ]


def _memory(q: Scenario, chosen: Chosen, r: Estimate) -> list[Formula]:
    return [
        *_host(q, chosen, r),
        _pool(q, chosen, r),
        Formula(
            "memory.max_sequences",
            "Sequences that fit at full length",
            *_sequences(q, chosen, r),
            r.memory.max_sequences,
            "sequences",
            "docs/method.md, memory",
        ),
    ]


def _host(q: Scenario, chosen: Chosen, r: Estimate) -> Iterator[Formula]:
    if r.memory.host_bytes is None:
        return
    given = q.model, chosen.deployment.layout, q.formats
    weights, each = float(host_weights_bytes(*given)), float(host_cache_bytes_per_sequence(*given, q.full_length))
    yield Formula(
        "memory.host_bytes",
        "Weights and cache in host memory",
        "weights there + batch × the cache that a sequence has there",
        f"{format_bytes(weights)} + {r.workload.batch:.10g} × {format_bytes(each)}",
        r.memory.host_bytes,
        "B",
        "docs/method.md, host memory",
    )


def _pool(q: Scenario, chosen: Chosen, r: Estimate) -> Formula:
    m, layers, layout = r.memory, 1 + float(q.budget.prediction), chosen.deployment.layout
    given = float(memory_share(q.machine, layout, q.budget))
    kept = float(reserve_bytes(q.model, q.machine, layout, q.budget))
    digits = digits_of_a_rest(m.capacity_bytes_per_gpu, m.kv_pool_bytes_per_gpu)
    share, weights = format_count(given, digits), format_bytes(m.weights_bytes_per_gpu, digits)
    capacity, reserve = format_bytes(m.capacity_bytes_per_gpu, digits), format_bytes(kept, digits)
    formula, numbers = "capacity × memory utilization - workspace - weights", f"{capacity} × {share} - {reserve}"
    if q.budget.of_free:
        formula, numbers = "capacity - workspace - weights", f"{capacity} - {reserve}"
    numbers += f" - {weights}"
    more = format_count(layers, digits)
    if q.drafts:  # the layers that draft hold weights, and a part of the cache
        formula, numbers = f"{formula} × (1 + share of layers that draft)", f"{numbers} × {more}"
    if q.budget.of_free:
        formula, numbers = f"({formula}) × memory utilization", f"({numbers}) × {share}"
    if q.drafts:
        formula, numbers = f"({formula}) / (1 + share of layers that draft)", f"({numbers}) / {more}"
    return Formula(
        "memory.kv_pool_bytes_per_gpu",
        "Memory left for the cache on each GPU",
        formula if m.kv_pool_bytes_per_gpu else f"at least 0: {formula}",
        numbers if m.kv_pool_bytes_per_gpu else f"max({numbers}, 0 B)",
        m.kv_pool_bytes_per_gpu,
        "B",
        "weights by layout: experts over all GPUs of a stage, matrices over tensor ranks (docs/method.md)",
    )


def _sequences(q: Scenario, chosen: Chosen, r: Estimate) -> tuple[str, str]:
    """Formula and numbers of the sequences that fit: into the GPUs' memory, or the host's where that holds fewer."""
    layout, pool, most = chosen.deployment.layout, r.memory.kv_pool_bytes_per_gpu, r.memory.max_sequences
    each = float(held_bytes_per_sequence(q.model, q.machine, layout, q.formats, q.full_length, q.budget))
    told = f"a sequence of {q.full_length:,.10g} tokens"
    if each > (1 + 1e-9) * float(cache_bytes_per_sequence_per_gpu(q.model, layout, q.formats, q.full_length)):
        told += ", in blocks as the engine holds it, windows with the tokens of steps in flight"
    formula = f"floor(pool / cache on a rank of {told}) × attention-data ranks"
    room = r.memory.host_capacity_bytes
    if room is not None and most == host_sequences(q.model, q.machine, layout, q.formats, q.full_length):
        pool = room - float(host_weights_bytes(q.model, layout, q.formats))
        each = float(host_cache_bytes_per_sequence(q.model, layout, q.formats, q.full_length))
        formula = f"floor((host memory - weights there) / cache there of {q.full_length:,.10g} tokens)"
    if not each or most >= UNBOUNDED:
        return formula, format_count(most)
    ranks = int(layout.attention_dp)
    digits = _digits_of_a_whole(most // ranks, floor, pool, each)
    return formula, f"floor({format_bytes(pool, digits)} / {format_bytes(each, digits)}) × {ranks}"


def _digits_of_a_whole(whole: int, rounded: Callable[[float], int], amount: float, *divisors: float) -> int:
    """Digits that leave `amount` over all `divisors`, rounded, the `whole` number that it is."""
    for digits in range(4, MOST_DIGITS):
        ratio, *rest = (float(f"{each:.{digits - 1}e}") for each in (amount, *divisors))
        if rounded(ratio / prod(rest)) == whole:
            return digits
    return MOST_DIGITS


def _cost(r: Estimate, at: Prediction) -> list[Formula]:
    c, n = r.cost, r.deployment.gpus
    usd = r.deployment.usd_per_gpu_hour
    if usd is None:
        return []
    share = "" if r.deployment.utilization == 1 else f" / {r.deployment.utilization:g}"
    bill = "GPUs × $/h / 3600 / (tokens/s) / utilization × 1e6"
    w, pool, served = r.workload, r.serving.prefill_gpus, r.serving.output_tokens_per_s
    rows: list[tuple[str, float, float | None, float | None, str]]
    if pool is None or served is None:
        entering, took = r.deployment.replicas * w.input_tokens / plain(at.billed), "running requests"
        leaving = r.deployment.replicas * plain(at.billed_tokens_per_s(w.output_tokens))
        rows = [("output", n, leaving, c.usd_per_million_output_tokens, "decode's GPU time only")]
        rows += [("input", n, entering, c.usd_per_million_input_tokens, f"GPU time that a prompt takes from {took}")]
    else:  # each pool is paid for all that both serve
        entering = served * w.input_tokens / w.output_tokens
        rows = [("output", n, served, c.usd_per_million_output_tokens, "the pool that decodes, at what both serve")]
        rows += [
            ("input", pool, entering, c.usd_per_million_input_tokens, "the pool that prefills, at what both serve")
        ]
    found = [_price(r, usd)]
    found += [
        Formula(
            f"cost.usd_per_million_{name}_tokens",
            f"Dollars per million {name} tokens",
            bill,
            f"{format_count(gpus)} × {format_price(usd)} / 3600 / {format_rate(rate, 'tokens/s')}{share} × 1e6",
            value,
            "$/M",
            source,
        )
        for name, gpus, rate, value, source in rows
        if value is not None and rate is not None
    ]
    blended = c.usd_per_million_blended_tokens
    if blended is not None and c.usd_per_million_input_tokens and c.usd_per_million_output_tokens:
        found.append(
            Formula(
                "cost.usd_per_million_blended_tokens",
                "Dollars per million tokens of a request",
                "(input $ × input tokens + output $ × output tokens) / all tokens",
                f"({_usd(c.usd_per_million_input_tokens)} × {w.input_tokens:,.10g} + "
                f"{_usd(c.usd_per_million_output_tokens)} × {w.output_tokens:,.10g}) / "
                f"{w.input_tokens + w.output_tokens:,.10g}",
                blended,
                "$/M",
                "GPU time of prompts and decode steps over all tokens of a request",
            )
        )
        found.append(
            Formula(
                _REQUEST,
                "Dollars per request",
                "blended $ × (input tokens + output tokens) / 1e6",
                f"{_usd(blended)} × ({w.input_tokens:,.10g} + {w.output_tokens:,.10g}) / 1e6",
                blended * (w.input_tokens + w.output_tokens) / 1e6,
                "$",
                "a prompt and its answer",
            )
        )
    return found


def _price(r: Estimate, usd: float) -> Formula:
    d = r.deployment
    offer = ", ".join(filter(None, (d.price_kind, d.price_provider, d.price_date)))
    how = "median of the lowest price of each provider" if (d.price_provider or "").startswith("median") else "listed"
    return Formula(
        "deployment.usd_per_gpu_hour",
        "Dollars per GPU and hour",
        f"{how}: {offer}" if offer else "given",
        format_price(usd),
        usd,
        "$/h",
        d.price_source or "--price",
    )


def _usd(value: float) -> str:
    """Dollars with the four digits that a product of them takes, where whole cents would be too few."""
    shown = SHOWN_IN.get()
    amount = value * shown.per_usd
    precise = f"{shown.sign}{amount:.3f}"
    return precise if 1 <= amount < 10 and not precise.endswith("0") else format_usd(value, 4)


def _demand(q: Scenario, r: Estimate, found: DemandResult) -> list[Formula]:
    """Return how the GPUs and the dollars of a demand come about.

    q: the question. r: the estimate of the deployment. found: what the demand takes of such deployments.
    """
    assert r.serving.output_tokens_per_s is not None
    share, replica = q.options.utilization, r.serving.output_tokens_per_s / r.deployment.replicas
    asked = found.output_tokens_per_s
    digits = _digits_of_a_whole(found.replicas, ceil, asked, replica, share)
    used = "" if share == 1 else f" × {format_count(share, digits)}"
    words = "ceil(output tokens/s asked for / (output tokens/s of a replica, prefills included, × utilization))"
    numbers = f"ceil({format_rate(asked, 'tokens/s', digits)} / ({format_rate(replica, 'tokens/s', digits)}{used}))"
    if found.users is not None:
        words, batch = "ceil(users / batch of a replica)", r.workload.batch
        numbers = f"ceil({format_count(found.users)} / {format_count(batch)})"
    formulas = [
        Formula(
            "demand.replicas",
            "Replicas that the demand takes",
            words,
            numbers,
            found.replicas,
            "replicas",
            "docs/method.md, demand",
        )
    ]
    price = r.deployment.usd_per_gpu_hour
    if found.usd_per_month is not None and price is not None:
        formulas.append(
            Formula(
                "demand.usd_per_month",
                "Dollars of the demand per month",
                "GPUs of all replicas, and of a pool for prefill, × $/h × 730 h",
                f"{format_count(found.gpus)} × {format_price(price)} × 730",
                found.usd_per_month,
                "$/month",
                "730 hours are a twelfth of a year",
            )
        )
    if found.usd_per_user_month is not None and found.usd_per_month is not None:
        formulas.append(
            Formula(
                "demand.usd_per_user_month",
                "Dollars per user and month",
                "dollars per month / users at once",
                f"{_usd(found.usd_per_month)} / {format_count(found.users)}",
                found.usd_per_user_month,
                "$/month",
                "docs/method.md, demand",
            )
        )
    return formulas
