"""Every headline number as formula, numbers put in, result and source."""

from __future__ import annotations

from dataclasses import replace

from costcalc.explore.plan import Plan
from costcalc.explore.question import Question
from costcalc.explore.result import Estimate, Formula
from costcalc.readable import format_bytes, format_count, format_rate, format_seconds, format_usd


def explain(question: Question, chosen: Plan, result: Estimate) -> Estimate:
    """The result with its explanation."""
    if question.recompute:
        return result
    found = (
        *_cache(question, result),
        *_memory(question, chosen, result),
        *_decode(question, result),
        *_prefill(result),
        *_serving(result),
        *_cost(result),
    )
    return replace(result, explanation=found)


def _cache(q: Question, r: Estimate) -> list[Formula]:
    per_layer = []
    for count, layer in q.model.attention_layers():
        per_layer.append(f"{count} x {float(layer.growth_bytes(q.formats.cache)):,.10g} B ({layer.describe()})")
    kv = r.kv_cache
    return [
        Formula(
            "kv_cache.bytes_per_token",
            "Cache that one more token adds",
            "sum over layers of (elements cached per token x bytes per element)",
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
    usable = m.capacity_bytes_per_gpu * q.budget.utilization - q.budget.reserve
    return [
        Formula(
            "memory.kv_pool_bytes_per_gpu",
            "Memory left for the cache on each GPU",
            "capacity x memory utilization - workspace - weights",
            f"{format_bytes(m.capacity_bytes_per_gpu)} x {q.budget.utilization:g} - {format_bytes(q.budget.reserve)}"
            f" - {format_bytes(m.weights_bytes_per_gpu)} = {format_bytes(usable - m.weights_bytes_per_gpu)}",
            m.kv_pool_bytes_per_gpu,
            "B",
            "weights by layout: experts over all GPUs of a stage, matrices over tensor ranks (docs/method.md)",
        ),
        Formula(
            "memory.max_sequences",
            "Sequences that fit at full length",
            "floor(pool / cache of one sequence on a rank) x attention-data ranks",
            f"pool {format_bytes(m.kv_pool_bytes_per_gpu)}; a sequence of {q.full_length:,.10g} tokens holds "
            f"{format_bytes(r.kv_cache.bytes_per_sequence)} in all; {int(chosen.spread.layout.data)} ranks",
            m.max_sequences,
            "sequences",
            "docs/method.md, memory",
        ),
    ]


def _decode(q: Question, r: Estimate) -> list[Formula]:
    d = r.decode
    assert d.step_time_s is not None and d.tokens_per_s is not None and d.tokens_per_s_per_user is not None
    ops = " + ".join(f"{op.op} {format_seconds(op.time_s)}" for op in r.breakdown)
    how = "max(bytes / BW, FLOPs / F)" if not q.calibrated else "bytes / (e_b BW) + FLOPs / (e_f F)"
    return [
        Formula(
            "decode.step_time_s",
            "One decode step",
            f"sum over ops of layers x [{how}] + communication + overheads",
            ops,
            d.step_time_s,
            "s",
            "roofline: Williams et al. 2009; constants: "
            + (q.constants.provenance.source if q.calibrated else "all 1"),
        ),
        Formula(
            "decode.tokens_per_s",
            "Output tokens of all GPUs while decoding",
            "replicas x batch x tokens per step / step time",
            f"{r.deployment.replicas} x {r.workload.batch} x {r.workload.tokens_per_step:.4g} / "
            f"{format_seconds(d.step_time_s)}",
            d.tokens_per_s,
            "tokens/s",
            "definition",
        ),
        Formula(
            "decode.tokens_per_s_per_user",
            "Output tokens of one user while decoding",
            "tokens per step / step time",
            f"{r.workload.tokens_per_step:.4g} / {format_seconds(d.step_time_s)}",
            d.tokens_per_s_per_user,
            "tokens/s",
            "definition",
        ),
    ]


def _prefill(r: Estimate) -> list[Formula]:
    p, w = r.prefill, r.workload
    if p.time_s is None:
        return []
    fresh = w.input_tokens * (1 - w.cached_share)
    return [
        Formula(
            "prefill.time_s",
            "Prefill of one prompt",
            "the same sum over ops, for all prompt tokens at once: 2·P_active·T + causal attention FLOPs",
            f"T = {fresh:,.10g} tokens, P_active = {format_count(r.model.parameters.active)}",
            p.time_s,
            "s",
            "Pope et al. 2022 (2211.05102)",
        )
    ]


def _serving(r: Estimate) -> list[Formula]:
    s, d = r.serving, r.decode
    if s.time_per_output_token_s is None or r.prefill.time_s is None or d.step_time_s is None:
        return []
    w = r.workload
    formula, numbers = "step / tokens per step", f"{format_seconds(d.step_time_s)} / {w.tokens_per_step:.4g}"
    source = "pools of their own: decode waits for no prefill"
    if not w.disaggregated:
        joined = (s.time_per_output_token_s - d.step_time_s / w.tokens_per_step) * w.output_tokens
        each = joined / (w.batch - 1) if w.batch > 1 else 0.0
        formula += " + (batch - 1) / output x what a prompt takes from the running ones"
        numbers += f" + {w.batch - 1} / {w.output_tokens:,.10g} x {format_seconds(each)}"
        source = "closed loop: every finished request is followed by another (docs/method.md)"
    found = Formula(
        "serving.time_per_output_token_s",
        "Time between a user's tokens while others' prompts are prefilled",
        formula,
        numbers,
        s.time_per_output_token_s,
        "s",
        source,
    )
    return [found]


def _cost(r: Estimate) -> list[Formula]:
    c, n = r.cost, r.deployment.gpus
    usd = r.deployment.usd_per_gpu_hour
    if usd is None:
        return []
    share = "" if r.deployment.utilization == 1 else f" / {r.deployment.utilization:g}"
    bill = "GPUs x $/h / 3600 / (tokens/s) / utilization x 1e6"
    found = [
        Formula(
            f"cost.usd_per_million_{name}_tokens",
            f"Dollars per million {name} tokens",
            bill,
            f"{n} x {format_usd(usd)} / 3600 / {format_rate(rate, 'tokens/s')}{share} x 1e6",
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
                "(input $ x input tokens + output $ x output tokens) / all tokens",
                f"({format_usd(c.usd_per_million_input_tokens)} x {w.input_tokens:,.10g} + "
                f"{format_usd(c.usd_per_million_output_tokens)} x {w.output_tokens:,.10g}) / "
                f"{w.input_tokens + w.output_tokens:,.10g}",
                blended,
                "$/M",
                "all GPU time over all tokens",
            )
        )
    return found
