"""What does a token cost on this hardware, how many users fit, and why: one answer, complete."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

from costcalc.catalog.load import load_gpu, load_model
from costcalc.catalog.paths import searched_first
from costcalc.engine.cost import blended_usd_per_million, usd_per_million
from costcalc.engine.memory import (
    cache_bytes_per_sequence,
    cache_bytes_per_token,
    cache_bytes_per_token_per_gpu,
    cache_bytes_read,
    fixed_cache_bytes_per_sequence,
    weights_bytes_per_gpu,
)
from costcalc.explore.assumptions import assumptions_of, notes_of
from costcalc.explore.breakdown import breakdown_of, step_bound
from costcalc.explore.evaluate import Evaluation, capacity, evaluate
from costcalc.explore.explain import explain
from costcalc.explore.layouts import Spread, layout_name
from costcalc.explore.market import market_prices
from costcalc.explore.options import OptionKeywords
from costcalc.explore.plan import Plan, plan
from costcalc.explore.question import Options, Question, ask
from costcalc.explore.ranges import Spread80, inverse, ranges_of, scaled
from costcalc.explore.result import (
    CostResult,
    DecodeResult,
    DeploymentResult,
    Estimate,
    KvCacheResult,
    LimitsResult,
    MemoryResult,
    ModelResult,
    Parameters,
    PrecisionResult,
    PrefillResult,
    ServingResult,
    WorkloadResult,
)
from costcalc.specs.accelerator import Accelerator
from costcalc.specs.model import ModelSpec
from costcalc.specs.prices import PriceChoice


def estimate(
    model: ModelSpec | str,
    gpu: Accelerator | str,
    *,
    catalog: str | None = None,
    **options: Unpack[OptionKeywords],
) -> Estimate:
    """Estimate what `model` costs on `gpu`; whatever is left out is chosen, and the choice is said.

    model, gpu: specifications, or names, aliases or paths of the catalog.
    catalog: a folder of models/ and hardware_profiles/ that is looked at first.
    options: those of `costcalc.explore.options.OptionKeywords`: degrees of parallelism, batch [sequences],
        context, input_tokens and output_tokens [tokens], cached [share], weights, kv_cache and activations
        (formats), price [$/GPU-hour or words], utilization [share], tpot and ttft [s], demand ('50 requests/s'),
        drafts [tokens], acceptance [share], disaggregated, efficiency, backend, terms, mla.
    Raises CostcalcError for names, values and layouts that cannot be, and where nothing fits.
    """
    with searched_first(catalog):
        spec = load_model(model) if isinstance(model, str) else model
        machine = load_gpu(gpu) if isinstance(gpu, str) else gpu
        question = ask(spec, machine, Options(**options))
        return answer(question, plan(question))


def answer(question: Question, chosen: Plan) -> Estimate:
    """Evaluate a planned deployment into the result tree."""
    q, layout, batch = question, chosen.spread.layout, chosen.batch
    at = evaluate(q, layout, batch)
    price = q.gpu.price_for(q.options.price)
    usd_per_hour = price.usd_per_gpu_hour if price else None
    ranges = ranges_of(q)
    cost = _cost(q, chosen, at, usd_per_hour, ranges)
    result = Estimate(
        model=ModelResult(
            q.model.name,
            Parameters(q.model.total_parameters, q.model.active_parameters),
            q.model.attention_name,
            q.model.num_layers,
        ),
        deployment=_deployment(q, chosen, price),
        workload=WorkloadResult(
            batch,
            float(q.input_tokens),
            q.output_tokens,
            float(q.decode_context),
            q.options.cached,
            q.drafts,
            float(at.accepted),
            q.options.disaggregated,
        ),
        kv_cache=_cache(q, chosen),
        memory=_memory(q, chosen),
        prefill=_prefill(q, chosen, at, ranges),
        decode=_decode(chosen, at, ranges),
        serving=_serving(q, chosen, at, ranges),
        cost=cost,
        breakdown=breakdown_of(at.step, layout),
        assumptions=assumptions_of(q, chosen, price),
        notes=notes_of(q, chosen, at, price, cost.usd_per_million_blended_tokens),
        limits=_limits(q, chosen),
    )
    if q.options.terms == "all":
        result = replace(result, market=market_prices(result, q.model.api_prices))
    else:  # prefill and its interference are no part of these terms
        result = replace(result, prefill=PrefillResult(None, None), serving=ServingResult(None, None, None, None))
    if q.options.demand is not None:
        from costcalc.explore.demand import demand_of

        result = replace(result, demand=demand_of(q, chosen.spread, result.serving, usd_per_hour))
    return explain(q, chosen, result, at)


def _deployment(q: Question, chosen: Plan, price: PriceChoice | None) -> DeploymentResult:
    layout = chosen.spread.layout
    return DeploymentResult(
        gpu=q.gpu.name,
        gpus=chosen.spread.gpus,
        replicas=chosen.spread.replicas,
        tensor_parallel=int(layout.tensor),
        pipeline_parallel=int(layout.pipeline),
        expert_parallel=int(layout.expert),
        attention_data_parallel=int(layout.data),
        precision=PrecisionResult(
            q.weights_name,
            q.formats.cache.name,
            q.formats.compute,
        ),
        usd_per_gpu_hour=price.usd_per_gpu_hour if price else None,
        price_source=price.source if price else None,
        price_kind=price.kind if price else None,
        price_provider=price.provider if price else None,
        price_date=price.date if price else None,
        utilization=q.options.utilization,
        efficiency=q.options.efficiency,
        backend=q.backend,
        layout=layout_name(chosen.spread),
        idle_gpus=chosen.spread.idle,
    )


def _limits(q: Question, chosen: Plan) -> LimitsResult:
    o = q.options
    if o.terms != "all" or (not chosen.batch_chosen and o.tpot is None and o.ttft is None):
        return LimitsResult()
    return LimitsResult(q.tpot_limit if chosen.batch_chosen else o.tpot, o.ttft, chosen.keeps_limits)


def unanswered(question: Question, tried: Spread) -> Estimate:
    """The tree of a deployment that does not fit: cache and memory, but no times, rates or costs."""
    result = answer(question, Plan(tried, question.options.batch or 1))
    return replace(
        result,
        memory=replace(result.memory, fits=False),
        limits=LimitsResult(),
        demand=None,
        notes=(),
        prefill=PrefillResult(None, None),
        decode=DecodeResult(None, None, None, None, None),
        serving=ServingResult(None, None, None, None),
        cost=CostResult(None, None, None),
        breakdown=(),
        explanation=(),
    )


def _cache(q: Question, chosen: Plan) -> KvCacheResult:
    if q.recompute:
        return KvCacheResult(0.0, 0.0, 0.0, 0.0)
    return KvCacheResult(
        cache_bytes_per_token(q.model, q.formats),
        float(cache_bytes_per_token_per_gpu(q.model, chosen.spread.layout, q.formats)),
        float(cache_bytes_per_sequence(q.model, q.formats, q.full_length)),
        float(cache_bytes_read(q.model, q.formats, q.decode_context)),
        fixed_cache_bytes_per_sequence(q.model, q.formats.cache),
    )


def _memory(q: Question, chosen: Plan) -> MemoryResult:
    layout = chosen.spread.layout
    pool, most = capacity(q, layout)
    weights = float(weights_bytes_per_gpu(q.model, layout, q.formats))
    return MemoryResult(most >= chosen.batch, float(q.machine.memory), weights, max(pool, 0.0), most)


def _prefill(q: Question, chosen: Plan, at: Evaluation, ranges: Spread80) -> PrefillResult:
    seconds = float(at.prefill.seconds)
    rate = float(at.prefill_tokens_per_s(q.input_tokens)) * chosen.spread.replicas
    return PrefillResult(seconds, rate, scaled(seconds, ranges.prefill), scaled(rate, inverse(ranges.prefill)))


def _decode(chosen: Plan, at: Evaluation, ranges: Spread80) -> DecodeResult:
    seconds = float(at.step.seconds)
    rate = float(at.decode_tokens_per_s()) * chosen.spread.replicas
    per_gpu, per_user = rate / chosen.spread.gpus, float(at.user_tokens_per_s())
    faster = inverse(ranges.decode)
    return DecodeResult(
        seconds,
        rate,
        per_gpu,
        per_user,
        step_bound(at.step),
        scaled(seconds, ranges.decode),
        scaled(rate, faster),
        scaled(per_gpu, faster),
        scaled(per_user, faster),
    )


def _serving(q: Question, chosen: Plan, at: Evaluation, ranges: Spread80) -> ServingResult:
    ttft, tpot = float(at.time_to_first_token), float(at.time_per_output_token)
    spread, faster = chosen.spread, inverse(ranges.decode)
    per_gpu = float(at.served_tokens_per_s(q.output_tokens)) * spread.replicas / spread.gpus
    pool = spread.gpus * float(at.prefill_per_decode(q.output_tokens)) if q.options.disaggregated else None
    in_all = per_gpu * (spread.gpus + (pool or 0.0))
    return ServingResult(
        ttft,
        tpot,
        per_gpu,
        float(at.prefill_share(q.output_tokens)),
        in_all,
        1 / tpot,
        pool,
        scaled(ttft, ranges.prefill),
        scaled(tpot, ranges.decode),
        scaled(per_gpu, faster),
        scaled(in_all, faster),
        scaled(1 / tpot, faster),
    )


def _cost(q: Question, chosen: Plan, at: Evaluation, usd: float | None, ranges: Spread80) -> CostResult:
    if usd is None:
        return CostResult(None, None, None)
    gpus, replicas, use = chosen.spread.gpus, chosen.spread.replicas, q.options.utilization
    output = float(usd_per_million(gpus, usd, at.decode_tokens_per_s() * replicas, use))
    if q.options.terms != "all":  # prefill reads no cache and is no part of these terms
        return CostResult(output, None, None, scaled(output, ranges.decode))
    entered = float(usd_per_million(gpus, usd, at.prefill_tokens_per_s(q.input_tokens) * replicas, use))
    blended = float(blended_usd_per_million(entered, output, q.input_tokens, q.output_tokens))
    out_range, in_range = scaled(output, ranges.decode), scaled(entered, ranges.prefill)
    blended_range = None
    if out_range and in_range:
        low, high = (
            float(blended_usd_per_million(i, o, q.input_tokens, q.output_tokens))
            for i, o in zip(in_range, out_range, strict=True)
        )
        blended_range = (low, high)
    return CostResult(output, entered, blended, out_range, in_range, blended_range)
