"""Every headline number as formula, numbers put in, result and source, down to each op of a step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from costcalc.engine.latency import OpTime, flop_share, hottest_rank, padding
from costcalc.engine.ops import COMMUNICATION, Batch, Op, decode_batch, prefill_batch, step_ops
from costcalc.engine.parallelism import Chosen
from costcalc.engine.step import Step, prediction_layers
from costcalc.fields import Number
from costcalc.model.attention.mla import LatentAttention
from costcalc.predict.predict import Prediction
from costcalc.predict.quantities import DemandResult, Estimate, Formula, ranges_of
from costcalc.predict.scenario import Scenario
from costcalc.units import format_bytes, format_count, format_rate, format_seconds, format_usd

_INPUT = "cost.usd_per_million_input_tokens"
_BLENDED = "cost.usd_per_million_blended_tokens"


def explain(scenario: Scenario, chosen: Chosen, result: Estimate, at: Prediction) -> Estimate:
    """The result with its explanation.

    chosen: the deployment. at: the engine's own numbers for it.
    """
    if scenario.recompute:
        return result
    found = (
        *_cost(result),
        *serving_formulas(scenario, chosen, result),
        *_load(scenario, result),
        *_memory(scenario, chosen, result),
        *_decode(scenario, chosen, result, at),
        *_prefill(scenario, chosen, result, at),
        *_cache(scenario, result),
    )
    if result.demand:
        found += (*explain_demand(scenario, result.demand, result.deployment.usd_per_gpu_hour),)
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
    if formula.quantity == _BLENDED or factors is None:
        return replace(formula, value_range=limits, range_source=f"those of input and output; {what}")
    low, high = factors
    of = "prefill times" if of_prefill else "decode times"
    source = f"{of} × {low:.3g} to × {high:.3g}: {what}"
    return replace(formula, value_range=limits, range_source=source)


def _load(q: Scenario, r: Estimate) -> list[Formula]:
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


def _cache(q: Scenario, r: Estimate) -> list[Formula]:
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


def _memory(q: Scenario, chosen: Chosen, r: Estimate) -> list[Formula]:
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
            f"{format_bytes(r.kv_cache.bytes_per_sequence)} in all; {int(chosen.deployment.layout.data)} ranks",
            m.max_sequences,
            "sequences",
            "docs/method.md, memory",
        ),
    ]


def _decode(q: Scenario, chosen: Chosen, r: Estimate, at: Prediction) -> list[Formula]:
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


def _step(q: Scenario, chosen: Chosen, r: Estimate, at: Prediction) -> Formula:
    w = r.workload
    assert r.decode.step_time_s is not None
    constants = q.constants.provenance.source if q.calibrated else "all efficiencies 1"
    batch = decode_batch(w.batch, w.context_tokens, chosen.deployment.layout, w.draft_tokens + 1)
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


def _prefill(q: Scenario, chosen: Chosen, r: Estimate, at: Prediction) -> list[Formula]:
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


# Where the time of a pass comes from, op by op: bytes, FLOPs, efficiencies, and what they amount to.


ROOFLINE = "Williams et al. 2009; efficiencies: docs/method.md"


def op_formulas(scenario: Scenario, chosen: Chosen, batch: Batch, step: Step, path: str) -> tuple[Formula, ...]:
    """Return the time of every op of a pass, longest first, and of what no op explains.

    chosen: the deployment. batch: what passes through the layers. step: the pass, timed.
    path: what stands before the names of the ops, as in 'decode.step_time_s'.
    """
    q = scenario
    works = step_ops(q.model, chosen.deployment.layout, q.formats, batch)
    if len(works) != len(step.ops):  # a term of the bill keeps some of them
        return ()
    timed = [(work, op) for work, op in zip(works, step.ops, strict=True) if float(op.seconds) > 0]
    timed.sort(key=lambda pair: -float(pair[1].seconds))
    found = [_op(q, work, op, path) for work, op in timed]
    return (*found, *_besides(q, batch, step, path))


def _op(q: Scenario, work: Op, op: OpTime, path: str) -> Formula:
    calls = _calls(work.layers)
    if work.kind in COMMUNICATION:
        formula = "calls × (bytes over the links / (share × their bandwidth) + latency)"
        each = format_seconds(float(op.seconds / work.layers), 3)
        numbers = f"{calls}{each} for {format_bytes(float(work.bytes), 3)} of {_gpus(work)}"
        numbers += f", at {q.efficiency.link:.3g} of the links' bandwidth"
    else:
        formula, numbers = _roofline(q, work)
        numbers = f"{calls}({numbers})" if calls else numbers
    return Formula(f"{path}.{work.op}", work.op, formula, numbers, float(op.seconds), "s", ROOFLINE)


def _roofline(q: Scenario, work: Op) -> tuple[str, str]:
    """The formula of an op that computes, and the numbers put in, both for one layer."""
    e, machine = q.efficiency, q.machine
    touched = pairs = 1.0
    if work.kind == "experts" and e.hottest_rank:
        pairs, touched = map(float, hottest_rank(work.routed, work.held, work.ranks, e.hottest_rank))
    passes = e.elementwise_passes if work.kind == "elementwise" and q.calibrated else 1.0
    memory = _term(
        format_bytes(float(work.bytes) * passes, 3), touched, e.share(e.bandwidth, work.kind),
        format_rate(float(machine.memory_bandwidth), "B/s", 3),
    )  # fmt: skip
    compute = _term(
        format_rate(float(work.flops), "FLOP", 3), pairs * float(np.asarray(padding(work, e))), flop_share(work, e),
        format_rate(float(machine.peak(work.precision)), "FLOP/s", 3),
    )  # fmt: skip
    norm = e.norms.get(work.kind, np.inf)
    parts, terms = [memory], ["bytes / (e_b × bandwidth)"]
    if float(np.max(work.flops)) > 0:
        parts, terms = [memory, compute], [*terms, "FLOPs / (e_f × peak)"]
    added = float(np.asarray(work.routed)) * e.routed_seconds
    added += e.quantize_seconds.get(work.weights, 0.0) if work.kind == "gemm" else 0.0
    if added:
        extra = "permuting" if work.kind == "experts" else "quantizing"
        return f"{_joined(terms, norm)} + {extra}", f"{_joined(parts, norm)} + {format_seconds(added, 3)}"
    return _joined(terms, norm), _joined(parts, norm)


def _term(amount: str, times: float, share: float, peak: str) -> str:
    more = "" if f"{times:.3g}" == "1" else f" × {times:.3g}"
    return f"{amount}{more} / {peak}" if share == 1 else f"{amount}{more} / ({share:.3g} × {peak})"


def _joined(terms: Sequence[str], norm: float) -> str:
    """Terms that overlap perfectly, not at all, or in between."""
    if len(terms) == 1:
        return terms[0]
    if np.isinf(norm):
        return f"max({', '.join(terms)})"
    if norm == 1:
        return " + ".join(terms)
    return f"[{' + '.join(f'({term})^{norm:g}' for term in terms)}]^(1/{norm:g})"


def _calls(layers: object) -> str:
    count = float(np.asarray(layers))
    return "" if count == 1 else f"{count:g} × "


def _gpus(work: Op) -> str:
    ranks = int(np.asarray(work.ranks))
    return f"each of {ranks:,} GPUs"


def _besides(q: Scenario, batch: Batch, step: Step, path: str) -> Iterator[Formula]:
    """What engines add to a pass, and what hides behind its ops."""
    overhead, hidden = float(np.asarray(step.overhead_seconds)), float(np.asarray(step.hidden_seconds))
    if step.drafting:
        formula = "drafts × (prediction layers / layers × (a step without drafts - LM head) + LM head + host)"
        share = f"{prediction_layers(q.model)} / {q.model.num_layers}"
        numbers = f"{q.drafts} × ({share} × a step of one token per sequence + LM head"
        numbers += f" + {format_seconds(q.efficiency.draft_seconds, 3)})"
        seconds = float(np.asarray(step.drafting.seconds))
        yield Formula(f"{path}.drafting", "drafting", formula, numbers, seconds, "s", "docs/method.md")
    if overhead > 0:
        numbers = " + ".join(_overheads(q, batch))
        formula = "layers × what an engine adds to each, and to each sequence"
        yield Formula(f"{path}.engine overhead", "engine overhead", formula, numbers, overhead, "s", "docs/method.md")
    if hidden > 0:
        formula = "- min(all-to-all, share × computing time): two halves of the batch take turns"
        yield Formula(
            f"{path}.hidden", "all-to-all that hides behind the others", formula,
            f"share {q.efficiency.overlap:.3g}", -hidden, "s", "DeepSeek-V3, 2412.19437, 3.2.3",
        )  # fmt: skip


def _overheads(q: Scenario, batch: Batch) -> Iterator[str]:
    e, model = q.efficiency, q.model
    experts = sum(n for n, layer in model.feedforward_layers() if layer.routed(model.hidden_size))
    latent = sum(n for n, layer in model.attention_layers() if isinstance(layer, LatentAttention))
    counted: list[tuple[float, str, Number]] = [
        (model.num_layers, "layers", e.layer_seconds),
        (experts, "expert layers", e.expert_layer_seconds),
        (latent, "MLA layers", e.latent_layer_seconds),
    ]
    if batch.prefill:
        counted += [
            (model.num_layers, "layers of prefill", e.prefill_layer_seconds),
            (experts, "expert layers of prefill", e.prefill_expert_layer_seconds),
        ]
    else:
        counted.append((float(np.asarray(batch.sequences)), "sequences", e.sequence_seconds))
    for count, what, each in counted:
        if count and float(np.asarray(each)):
            yield f"{count:g} {what} × {format_seconds(float(np.asarray(each)), 3)}"


# How the times and rates that users see come about, as formulas with the numbers put in.


def serving_formulas(q: Scenario, chosen: Chosen, r: Estimate) -> list[Formula]:
    """Return the formulas of times and rates under load; none where only terms of the bill were counted.

    q: the question. chosen: the deployment. r: its estimate.
    """
    s, d = r.serving, r.decode
    if s.time_per_output_token_s is None or r.prefill.time_s is None or d.step_time_s is None:
        return []
    w = r.workload
    formula, numbers = "step / tokens per step", f"{format_seconds(d.step_time_s)} / {w.tokens_per_step:.4g}"
    source = "pools of their own: decode waits for no prefill"
    if not w.disaggregated:
        joined = (s.time_per_output_token_s - d.step_time_s / w.tokens_per_step) * w.output_tokens
        each = joined / (w.batch - 1) if w.batch > 1 else 0.0
        formula += " + (batch - 1) / output × what a prompt takes from the running ones"
        numbers += f" + {w.batch - 1} / {w.output_tokens:,.10g} × {format_seconds(each)}"
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
    return [*_rates(r), pace, _first_token(q, chosen, r)]


def _rates(r: Estimate) -> list[Formula]:
    """Output tokens that are served, of a GPU and of a user."""
    s, d, w, machine = r.serving, r.decode, r.workload, r.deployment
    assert s.output_tokens_per_s_per_gpu is not None and s.tokens_per_s_per_user is not None
    assert s.prefill_share is not None and d.tokens_per_s is not None
    decoding = w.output_tokens * machine.replicas / d.tokens_per_s
    interference = decoding * s.prefill_share / (1 - s.prefill_share)
    return [
        Formula(
            "serving.output_tokens_per_s_per_gpu",
            "Output tokens of a GPU, the prefills of their prompts included",
            "replicas × output tokens / (time of a replica for a prompt + for its output tokens) / GPUs",
            f"{machine.replicas} × {w.output_tokens:,.10g} / "
            f"({format_seconds(interference)} + {format_seconds(decoding)}) / {machine.gpus}",
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


def _first_token(q: Scenario, chosen: Chosen, r: Estimate) -> Formula:
    s, p, d = r.serving, r.prefill, r.decode
    assert s.time_to_first_token_s is not None and p.time_s is not None and d.step_time_s is not None
    engine = q.constants.engine(q.backend) if q.backend else None
    startup = float(engine.startup) if engine else 0.0
    steps = 0.0
    if not q.options.disaggregated:
        balance = engine.balance_steps if engine and int(chosen.deployment.layout.data) > 1 else 0.0
        steps = engine.admission_steps + balance if engine else 0.5
    queue = max(0.0, s.time_to_first_token_s - startup - steps * d.step_time_s - p.time_s)
    return Formula(
        "serving.time_to_first_token_s",
        "Time to first token",
        "start-up of a request + steps until it is admitted × step + its prefill + wait for the prefills ahead",
        f"{format_seconds(startup, 3)} + {steps:.4g} × {format_seconds(d.step_time_s)} + {format_seconds(p.time_s)} + "
        f"{format_seconds(queue if queue > 1e-9 else 0.0)}",
        s.time_to_first_token_s,
        "s",
        "a queue with one server in a closed loop: Reiser and Lavenberg 1980 (docs/method.md)",
    )


def explain_demand(q: Scenario, found: DemandResult, usd_per_hour: float | None) -> list[Formula]:
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
