"""Every headline number as formula, numbers put in, result and source."""

from __future__ import annotations

from dataclasses import replace

from costcalc.engine.work import decode_batch, prefill_batch
from costcalc.explore.evaluate import Evaluation
from costcalc.explore.explain_ops import op_formulas
from costcalc.explore.explain_serving import serving_formulas
from costcalc.explore.plan import Plan
from costcalc.explore.question import Question
from costcalc.explore.ranges import ranges_of
from costcalc.explore.result import Estimate, Formula
from costcalc.readable import format_bytes, format_count, format_rate, format_seconds, format_usd

_INPUT = "cost.usd_per_million_input_tokens"
_BLENDED = "cost.usd_per_million_blended_tokens"


def explain(question: Question, chosen: Plan, result: Estimate, at: Evaluation) -> Estimate:
    """The result with its explanation.

    chosen: the deployment. at: the engine's own numbers for it.
    """
    if question.recompute:
        return result
    found = (
        *_cost(result),
        *serving_formulas(question, chosen, result),
        *_load(question, result),
        *_memory(question, chosen, result),
        *_decode(question, chosen, result, at),
        *_prefill(question, chosen, result, at),
        *_cache(question, result),
    )
    if result.demand:
        from costcalc.explore.demand import explain_demand

        found += (*explain_demand(question, result.demand, result.deployment.usd_per_gpu_hour),)
    return replace(result, explanation=tuple(_ranged(question, result, each) for each in found))


def _ranged(q: Question, r: Estimate, formula: Formula) -> Formula:
    """The formula with the range of its value, and where that comes from."""
    part, _, name = formula.quantity.partition(".")
    limits = getattr(getattr(r, part), f"{name}_range", None)
    if limits is None:
        return formula
    spread = ranges_of(q)
    of_prefill = formula.quantity in ("prefill.time_s", "serving.time_to_first_token_s", _INPUT)
    factors = spread.prefill if of_prefill else spread.decode
    what = "observed over predicted, at 10% and 90% of the points left out of the fit"
    if formula.quantity == _BLENDED or factors is None:
        return replace(formula, value_range=limits, range_source=f"those of input and output; {what}")
    low, high = factors
    of = "prefill times" if of_prefill else "decode times"
    source = f"{of} × {low:.3g} to × {high:.3g}: {what}"
    return replace(formula, value_range=limits, range_source=source)


def _load(q: Question, r: Estimate) -> list[Formula]:
    """How many users at once, and why so many."""
    if q.options.batch or q.options.terms != "all":
        formula, numbers = "as asked for", f"{r.workload.batch:,} sequences of one replica"
    else:
        formula = "of the batches that fit and keep the time per output token under a limit, the one of lowest cost"
        limit, tpot = format_seconds(q.tpot_limit), format_seconds(r.serving.time_per_output_token_s)
        numbers = f"limit {limit}, at this batch {tpot}; {r.memory.max_sequences:,} fit"
    return [
        Formula("workload.batch", "Users at once", formula, numbers, r.workload.batch, "sequences", "docs/method.md")
    ]


def _cache(q: Question, r: Estimate) -> list[Formula]:
    per_layer = []
    for count, layer in q.model.attention_layers():
        per_layer.append(f"{count} × {float(layer.growth_bytes(q.formats.cache)):,.10g} B ({layer.describe()})")
    kv = r.kv_cache
    return [
        Formula(
            "kv_cache.bytes_per_token",
            "Cache that one more token adds",
            "sum over layers of (elements cached per token × bytes per element)",
            " + ".join(per_layer),
            kv.bytes_per_token,
            "B/token",
            "MHA/GQA/MQA: 2·K·d_h elements (Shazeer 2019; Ainslie et al. 2023); MLA: r + d_r (DeepSeek-V2, 2405.04434)",
        ),
        Formula(
            "kv_cache.bytes_read_per_token",
            "Cache read for one output token",
            "bytes of all visible tokens of one sequence, all layers",
            f"at {r.workload.context_tokens:,.10g} tokens of context",
            kv.bytes_read_per_token,
            "B/token",
            "Erdil 2025, epoch.ai/gradient-updates",
        ),
    ]


def _memory(q: Question, chosen: Plan, r: Estimate) -> list[Formula]:
    m = r.memory
    usable, layers = (
        m.capacity_bytes_per_gpu * float(q.budget.utilization) - q.budget.reserve,
        1 + float(q.budget.prediction),
    )
    formula = "capacity × memory utilization - workspace - weights"
    numbers = f"{format_bytes(m.capacity_bytes_per_gpu)} × {q.budget.utilization:g} - {format_bytes(q.budget.reserve)}"
    numbers += f" - {format_bytes(m.weights_bytes_per_gpu)}"
    if q.drafts:  # the layers that draft hold weights, and a part of the cache
        formula = f"({formula} × (1 + share of layers that draft)) / (1 + share)"
        numbers = f"({numbers} × {layers:.5g}) / {layers:.5g}"
    pool = (usable - m.weights_bytes_per_gpu * layers) / layers
    return [
        Formula(
            "memory.kv_pool_bytes_per_gpu",
            "Memory left for the cache on each GPU",
            formula,
            f"{numbers} = {format_bytes(pool)}",
            m.kv_pool_bytes_per_gpu,
            "B",
            "weights by layout: experts over all GPUs of a stage, matrices over tensor ranks (docs/method.md)",
        ),
        Formula(
            "memory.max_sequences",
            "Sequences that fit at full length",
            "floor(pool / cache of one sequence on a rank) × attention-data ranks",
            f"pool {format_bytes(m.kv_pool_bytes_per_gpu)}; a sequence of {q.full_length:,.10g} tokens holds "
            f"{format_bytes(r.kv_cache.bytes_per_sequence)} in all; {int(chosen.spread.layout.data)} ranks",
            m.max_sequences,
            "sequences",
            "docs/method.md, memory",
        ),
    ]


def _decode(q: Question, chosen: Plan, r: Estimate, at: Evaluation) -> list[Formula]:
    assert r.decode.bound_by is not None
    bound = Formula(
        "decode.bound_by",
        "What most of a step's time is spent on",
        "the largest sum over ops: of those that wait for memory, arithmetic, links, or the engine",
        _by_bound(r),
        r.decode.bound_by,
        "by time",
        "roofline: Williams et al. 2009",
    )
    return [_step(q, chosen, r, at), bound, *_decode_rates(r)]


def _step(q: Question, chosen: Plan, r: Estimate, at: Evaluation) -> Formula:
    w = r.workload
    assert r.decode.step_time_s is not None
    constants = q.constants.provenance.source if q.calibrated else "all efficiencies 1"
    batch = decode_batch(w.batch, w.context_tokens, chosen.spread.layout, w.draft_tokens + 1)
    return Formula(
        "decode.step_time_s",
        "One decode step",
        "sum over ops of layers × [bytes / (share × bandwidth) and FLOPs × padding / (share × peak), joined] "
        "+ links + overheads",
        " + ".join(f"{op.op} {format_seconds(op.time_s, 3)}" for op in r.breakdown),
        r.decode.step_time_s,
        "s",
        f"roofline: Williams et al. 2009; constants: {constants}",
        parts=op_formulas(q, chosen, batch, at.step, "decode.step_time_s"),
    )


def _decode_rates(r: Estimate) -> list[Formula]:
    """Output tokens while decoding, of all GPUs, of one and of a user."""
    d, w = r.decode, r.workload
    assert d.tokens_per_s is not None and d.tokens_per_s_per_gpu is not None and d.tokens_per_s_per_user is not None
    step, passed = format_seconds(d.step_time_s), f"{w.tokens_per_step:.4g}"
    return [
        Formula(
            "decode.tokens_per_s",
            "Output tokens of all GPUs while decoding",
            "replicas × batch × tokens per step / step time",
            f"{r.deployment.replicas} × {w.batch} × {passed} / {step}",
            d.tokens_per_s,
            "tokens/s",
            "definition",
        ),
        Formula(
            "decode.tokens_per_s_per_gpu",
            "Output tokens of a GPU while decoding",
            "output tokens of all GPUs / GPUs",
            f"{format_rate(d.tokens_per_s, 'tokens/s')} / {r.deployment.gpus}",
            d.tokens_per_s_per_gpu,
            "tokens/s",
            "definition",
        ),
        Formula(
            "decode.tokens_per_s_per_user",
            "Output tokens of one user while decoding",
            "tokens per step / step time",
            f"{passed} / {step}",
            d.tokens_per_s_per_user,
            "tokens/s",
            "definition",
        ),
    ]


def _by_bound(r: Estimate) -> str:
    totals: dict[str, float] = {}
    for op in r.breakdown:
        totals[op.bound_by] = totals.get(op.bound_by, 0.0) + op.time_s
    ranked = sorted(totals.items(), key=lambda each: -each[1])
    return ", ".join(f"{name} {format_seconds(seconds, 3)}" for name, seconds in ranked)


def _prefill(q: Question, chosen: Plan, r: Estimate, at: Evaluation) -> list[Formula]:
    p, w = r.prefill, r.workload
    if p.time_s is None:
        return []
    cached = w.input_tokens * w.cached_share
    fresh = w.input_tokens - cached
    behind = f" behind {cached:,.10g} cached" if cached else ""
    parts = op_formulas(q, chosen, prefill_batch(fresh, cached), at.prefill, "prefill.time_s")
    return [
        Formula(
            "prefill.time_s",
            "Prefill of one prompt",
            "the same sum over ops, for all prompt tokens at once: 2·P_active·T + causal attention FLOPs",
            f"T = {fresh:,.10g} tokens{behind}, P_active = {format_count(r.model.parameters.active)}",
            p.time_s,
            "s",
            "Pope et al. 2022 (2211.05102)",
            parts=parts,
        )
    ]


def _cost(r: Estimate) -> list[Formula]:
    c, n = r.cost, r.deployment.gpus
    usd = r.deployment.usd_per_gpu_hour
    if usd is None:
        return []
    share = "" if r.deployment.utilization == 1 else f" / {r.deployment.utilization:g}"
    bill = "GPUs × $/h / 3600 / (tokens/s) / utilization × 1e6"
    found = [_price(r, usd)]
    found += [
        Formula(
            f"cost.usd_per_million_{name}_tokens",
            f"Dollars per million {name} tokens",
            bill,
            f"{n} × {format_usd(usd)} / 3600 / {format_rate(rate, 'tokens/s')}{share} × 1e6",
            value,
            "$/M",
            source,
        )
        for name, rate, value, source in (
            ("output", r.decode.tokens_per_s, c.usd_per_million_output_tokens, "decode's GPU time only"),
            ("input", r.prefill.tokens_per_s, c.usd_per_million_input_tokens, "prefill's GPU time only"),
        )
        if value is not None and rate is not None
    ]
    blended = c.usd_per_million_blended_tokens
    if blended is not None and c.usd_per_million_input_tokens and c.usd_per_million_output_tokens:
        w = r.workload
        found.append(
            Formula(
                "cost.usd_per_million_blended_tokens",
                "Dollars per million tokens of a request",
                "(input $ × input tokens + output $ × output tokens) / all tokens",
                f"({format_usd(c.usd_per_million_input_tokens)} × {w.input_tokens:,.10g} + "
                f"{format_usd(c.usd_per_million_output_tokens)} × {w.output_tokens:,.10g}) / "
                f"{w.input_tokens + w.output_tokens:,.10g}",
                blended,
                "$/M",
                "GPU time of prefill passes and decode steps over all tokens of a request",
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
        how if offer else "given",
        offer or format_usd(usd),
        usd,
        "$/h",
        d.price_source or "--price",
    )
