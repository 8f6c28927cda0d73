"""Every headline number as formula, numbers put in, result and source, down to each op of a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import ceil, floor, log10, prod

import numpy as np

from costcalc.engine.memory import (
    held_bytes_per_sequence,
    host_cache_bytes_per_sequence,
    host_sequences,
    host_weights_bytes,
    layer_cache_bytes_read,
    memory_share,
    reserve_bytes,
)
from costcalc.engine.op_times import OpTime
from costcalc.engine.parallelism import Chosen
from costcalc.engine.roofline import Addition, Term
from costcalc.engine.step import Step
from costcalc.predict.predict import UNBOUNDED, Prediction
from costcalc.predict.quantities import DemandResult, Estimate, Formula, OpResult, breakdown_of, ranges_of
from costcalc.predict.scenario import Scenario
from costcalc.units import SHOWN_IN, format_bytes, format_count, format_rate, format_seconds, format_usd

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
        *_decode(scenario, result, at),
        *_prefill(chosen, result, at),
        *_cache(scenario, result),
    )
    if result.demand:
        found += (*demand_formulas(scenario, result, result.demand),)
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
    digits = _digits_of_a_rest(m.capacity_bytes_per_gpu, m.kv_pool_bytes_per_gpu)
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
    formula = f"floor(pool / cache on a rank of a sequence of {q.full_length:,.10g} tokens) × attention-data ranks"
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


MOST_DIGITS = 15


def _digits_of_a_rest(whole: float, rest: float) -> int:
    """Digits that make the difference of terms as large as `whole` right to four."""
    return min(4 + max(0, ceil(log10(whole / rest))), MOST_DIGITS) if 0 < rest < whole else 4


def _digits_of_a_whole(whole: int, rounded: Callable[[float], int], amount: float, *divisors: float) -> int:
    """Digits that leave `amount` over all `divisors`, rounded, the `whole` number that it is."""
    for digits in range(4, MOST_DIGITS):
        ratio, *rest = (float(f"{each:.{digits - 1}e}") for each in (amount, *divisors))
        if rounded(ratio / prod(rest)) == whole:
            return digits
    return MOST_DIGITS


def _decode(q: Scenario, r: Estimate, at: Prediction) -> list[Formula]:
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
    return [_step(q, r, at), bound, *_decode_rates(r)]


def _step(q: Scenario, r: Estimate, at: Prediction) -> Formula:
    assert r.decode.step_time_s is not None
    constants = q.constants.provenance.source if q.calibrated else "all efficiencies 1"
    return Formula(
        "decode.step_time_s",
        "One decode step",
        "sum over ops of layers × [bytes / (share × bandwidth) and FLOPs × padding / (share × peak), joined] "
        "+ links + overheads",
        _sum_of_ops(r.breakdown),
        r.decode.step_time_s,
        "s",
        f"roofline: Williams et al. 2009; constants: {constants}",
        parts=parts_of(at.step, "decode.step_time_s"),
    )


def _sum_of_ops(ops: Sequence[OpResult]) -> str:
    return " + ".join(f"{op.op} {format_seconds(op.time_s)}" for op in ops)


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
            f"{r.deployment.replicas} × {w.batch:.10g} × {passed} / {step}",
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


def _prefill(chosen: Chosen, r: Estimate, at: Prediction) -> list[Formula]:
    p, w = r.prefill, r.workload
    if p.time_s is None:
        return []
    cached = w.input_tokens * w.cached_share
    behind = f" behind {cached:,.10g} cached" if cached else ""
    return [
        Formula(
            "prefill.time_s",
            "A pass of prefill with a prompt on every rank",
            f"the same sum over ops, for all T = {w.input_tokens - cached:,.10g} tokens of each of "
            f"{format_count(_plain(at.prefill_prompts))} prompts at once{behind}: "
            f"2·P_active·T + causal attention FLOPs, P_active = {format_count(r.model.parameters.active)}",
            _sum_of_ops(breakdown_of(at.prefill, chosen.deployment.layout)),
            p.time_s,
            "s",
            "Pope et al. 2022 (2211.05102)",
            parts=parts_of(at.prefill, "prefill.time_s"),
        )
    ]


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
        entering, took = r.deployment.replicas * w.input_tokens / _plain(at.billed), "running requests"
        leaving = r.deployment.replicas * _plain(at.billed_tokens_per_s(w.output_tokens))
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
            f"{format_count(gpus)} × {_usd(usd)} / 3600 / {format_rate(rate, 'tokens/s')}{share} × 1e6",
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
        _usd(usd),
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


# Where the time of a pass comes from, op by op: the terms and additions that the engine timed it by.


ROOFLINE = "Williams et al. 2009; efficiencies: docs/method.md"
_WORDS = {
    "memory": ("bytes", "bandwidth"),
    "compute": ("FLOPs", "peak"),
    "link": ("bytes over the link", "its bandwidth"),
    "network": ("bytes over the network", "its bandwidth"),
    "exponentials": ("exponentials", "their rate"),
}
"""What a term is made of, by its name: the amount and the peak."""


def parts_of(step: Step, path: str) -> tuple[Formula, ...]:
    """Return the time of every op of a pass, longest first, and of what no op explains.

    step: the pass, timed. path: what stands before the names of the ops, as in 'decode.step_time_s'.
    """
    timed = sorted((op for op in step.ops if float(op.seconds) > 0), key=lambda op: -float(op.seconds))
    return (*(_op(op, path, ROOFLINE) for op in timed), *_besides(step, path))


def _op(op: OpTime, path: str, source: str) -> Formula:
    """The time of one op: calls × (terms, joined, + additions)."""
    terms = [term for term in op.terms if _some(term.seconds)]
    added = [each for each in op.additions if _some(each.seconds)]
    formula = [
        _joined([_words(term) for term in terms], _plain(op.norm)),
        *(_words(each) if isinstance(each, Term) else each.name for each in added),
    ]
    numbers = [_joined([_numbers(term) for term in terms], _plain(op.norm)), *map(_added, added)]
    calls = format_count(_plain(op.calls))
    return Formula(
        f"{path}.{op.op}", op.op, _times("" if calls == "1" else "calls", formula),
        _times("" if calls == "1" else calls, numbers), float(op.seconds), "s", source,
    )  # fmt: skip


def _plain(number: object) -> float:
    return float(np.asarray(number).item())


def _some(number: object) -> bool:
    return _plain(number) > 0


def _times(calls: str, summands: Sequence[str]) -> str:
    """So many times a sum, in parentheses where it needs them."""
    told = " + ".join(filter(None, summands))
    if not calls:
        return told
    return f"{calls} × ({told})" if " + " in told or " / " in told else f"{calls} × {told}"


def _words(term: Term) -> str:
    if term.name == "latency":
        return "latencies"
    amount, peak = _WORDS[term.name]
    more = "" if _shown_factor(term) is None else " × factor"
    return f"{amount}{more} / (share × {peak})" if _plain(term.share) != 1 else f"{amount}{more} / {peak}"


def _numbers(term: Term) -> str:
    factor = _shown_factor(term)
    if term.name == "latency":
        return f"{format_count(_plain(term.amount))} × {format_seconds(1 / _plain(term.peak))}"
    amount = format_rate(_plain(term.amount), term.unit) + ("" if factor is None else f" × {factor}")
    peak, share = format_rate(_plain(term.peak), f"{term.unit}/s"), _plain(term.share)
    return f"{amount} / {peak}" if share == 1 else f"{amount} / ({format_count(share)} × {peak})"


def _shown_factor(term: Term) -> str | None:
    """The factor, unless it makes no difference."""
    factor = format_count(_plain(term.factor))
    return None if factor == "1" else factor


def _added(addition: Addition | Term) -> str:
    if isinstance(addition, Term):
        return _numbers(addition)
    count, each = format_count(_plain(addition.count)), format_seconds(_plain(addition.seconds_each))
    return f"{addition.name} {each}" if count == "1" else f"{count} {addition.name} × {each}"


def _joined(terms: Sequence[str], norm: float) -> str:
    """Terms that overlap perfectly, not at all, or in between."""
    if len(terms) < 2:
        return "".join(terms)
    if np.isinf(norm):
        return f"max({', '.join(terms)})"
    if norm == 1:
        return " + ".join(terms)
    return f"[{' + '.join(f'({term})^{norm:g}' for term in terms)}]^(1/{norm:g})"


def _besides(step: Step, path: str) -> Iterator[Formula]:
    """What engines add to a pass, and what hides behind its ops."""
    if step.drafting:
        drafting = _op(step.drafting, path, "docs/method.md")
        formula = "drafts × (prediction layers × (a step without drafts - LM head) / layers + LM head + sampling)"
        yield replace(drafting, formula=formula)
    overhead = _plain(step.overhead_seconds)
    if overhead > 0:
        formula = "layers × what an engine adds to each, and to each sequence"
        numbers = " + ".join(_added(each) for each in step.overhead if _some(each.seconds))
        yield Formula(f"{path}.engine overhead", "engine overhead", formula, numbers, overhead, "s", "docs/method.md")
    hidden = step.hidden
    if _some(hidden.seconds):
        sent, busy = format_seconds(_plain(hidden.sent)), format_seconds(_plain(hidden.busy))
        share = "" if _plain(hidden.share) == 1 else f"{format_count(_plain(hidden.share))} × "
        yield Formula(
            f"{path}.hidden", "all-to-all that hides behind the others",
            "- min(all-to-all, share × computing time): two halves of the batch take turns",
            f"-min({sent}, {share}{busy})", -_plain(hidden.seconds), "s", "DeepSeek-V3, 2412.19437, 3.2.3",
        )  # fmt: skip
    if _some(step.waiting_seconds):
        host, waiting = _plain(step.host), _plain(step.waiting_seconds)
        digits = _digits_of_a_rest(host, waiting)
        yield Formula(
            f"{path}.waiting for the host", "waiting for the host",
            "what the server's process takes for the sequences of a rank, beyond what the GPUs take",
            f"{format_seconds(host, digits)} - {format_seconds(_plain(step.gpu_seconds), digits)}",
            waiting, "s", "docs/method.md",
        )  # fmt: skip
    if _some(step.ageing_seconds):
        yield Formula(
            f"{path}.older engine", "older engine", "what an engine of that month takes more of a step × the step",
            f"{format_count(_plain(step.slower) - 1)} × {format_seconds(_plain(step.current_seconds))}",
            _plain(step.ageing_seconds), "s", "docs/accuracy.md",
        )  # fmt: skip


# How the times and rates that users see come about, as formulas with the numbers put in.


def serving_formulas(r: Estimate, at: Prediction) -> list[Formula]:
    """Return the formulas of times and rates under load; none where only terms of the bill were counted.

    r: the estimate. at: the engine's own numbers for it.
    """
    s, d = r.serving, r.decode
    if s.time_per_output_token_s is None or r.prefill.time_s is None or d.step_time_s is None:
        return []
    w = r.workload
    formula, numbers = "step / tokens per step", f"{format_seconds(d.step_time_s)} / {w.tokens_per_step:.4g}"
    source = "pools of their own: decode waits for no prefill"
    if at.static:
        source = "a batch that begins together waits for no prefill"
    elif not w.disaggregated:
        taken = format_seconds(_plain(at.interference))
        formula += " + (batch - 1) / output × what a prompt takes from the running ones"
        numbers += f" + {w.batch - 1:.10g} / {w.output_tokens:.10g} × {taken}"
        source = "closed loop: every finished request is followed by another (docs/method.md)"
    pace = Formula(
        "serving.time_per_output_token_s",
        "Time between a user's tokens while others' prompts are prefilled",
        formula,
        numbers,
        s.time_per_output_token_s,
        "s",
        source,
    )
    return [*_rates(r, at), pace, _first_token(r, at)]


def _rates(r: Estimate, at: Prediction) -> list[Formula]:
    """Output tokens that are served, of a GPU and of a user."""
    s, w, machine = r.serving, r.workload, r.deployment
    assert s.output_tokens_per_s_per_gpu is not None and s.tokens_per_s_per_user is not None
    prompt, decoding = _plain(at.interference), w.output_tokens / _plain(at.decode_tokens_per_s())
    formula = "replicas × output tokens / (time of a replica for a prompt + for its output tokens) / GPUs"
    tokens = f"{w.output_tokens:.10g}"
    if at.static:
        formula = "replicas × batch × output tokens / (prefill of the batch + time of its output tokens) / GPUs"
        tokens = f"{w.batch:.10g} × {tokens}"
        prompt, decoding = _plain(at.prefill.seconds), w.output_tokens / _plain(at.user_tokens_per_s())
    numbers = (
        f"{machine.replicas} × {tokens} / ({format_seconds(prompt)} + {format_seconds(decoding)}) / {machine.gpus}"
    )
    if s.prefill_gpus is not None and s.output_tokens_per_s is not None:
        formula = "output tokens of both pools, as many as the slower one allows, / GPUs of both"
        numbers = (
            f"{format_rate(s.output_tokens_per_s, 'tokens/s')} / ({machine.gpus} + {format_count(s.prefill_gpus)})"
        )
    return [
        Formula(
            "serving.output_tokens_per_s_per_gpu",
            "Output tokens of a GPU, the prefills of their prompts included",
            formula,
            numbers,
            s.output_tokens_per_s_per_gpu,
            "tokens/s",
            "every request brings its prompt; of both pools where they are apart (docs/method.md)",
        ),
        Formula(
            "serving.tokens_per_s_per_user",
            "Output tokens of one user",
            "1 / time per output token",
            f"1 / {format_seconds(s.time_per_output_token_s)}",
            s.tokens_per_s_per_user,
            "tokens/s",
            "definition",
        ),
    ]


def _first_token(r: Estimate, at: Prediction) -> Formula:
    s, p = r.serving, r.prefill
    assert s.time_to_first_token_s is not None and p.time_s is not None
    formula = "start-up + steps until it is admitted, prompts in them × their time + its prefill + wait for others"
    steps, step = format_count(_plain(at.admission_steps)), _plain(at.time_per_output_token * at.accepted)
    numbers = f"{format_seconds(_plain(at.startup))} + {steps} × {format_seconds(step)} + "
    numbers += f"{format_seconds(_plain(at.joining))} + {format_seconds(_plain(at.wait))}"
    if at.static:
        formula, numbers = "prefill of the whole batch", format_seconds(p.time_s)
    return Formula(
        "serving.time_to_first_token_s",
        "Time to first token",
        formula,
        numbers,
        s.time_to_first_token_s,
        "s",
        "a queue with one server in a closed loop: Reiser and Lavenberg 1980 (docs/method.md)",
    )


def demand_formulas(q: Scenario, r: Estimate, found: DemandResult) -> list[Formula]:
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
                f"{format_count(found.gpus)} × {_usd(price)} × 730",
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
