"""What does a token cost on this hardware, how many users fit, and why: one answer, complete."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from costcalc.catalog.catalog import Catalog, catalog_of
from costcalc.engine.cost import blended_usd_per_million, break_even_utilization
from costcalc.engine.memory import (
    cache_bytes_per_sequence,
    cache_bytes_per_token,
    cache_bytes_per_token_per_gpu,
    cache_bytes_read,
    fixed_cache_bytes_per_sequence,
    host_cache_bytes_per_sequence,
    host_weights_bytes,
    weights_bytes_per_gpu,
)
from costcalc.engine.parallelism import Chosen, Deployment, DoesNotFit, layout_name
from costcalc.explore.assumptions import assumptions_of, notes_of, settings_of
from costcalc.explore.ladder import Ladder
from costcalc.explore.sizing import demand_of, deployment_for
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.owning import owned
from costcalc.hardware.prices import PriceChoice, age_in_months, range_of_kind
from costcalc.model.attention.gqa import GroupedAttention
from costcalc.model.spec import ApiPrice, ModelSpec
from costcalc.predict.breakdown import breakdown_of, step_bound
from costcalc.predict.energy import kwh_of_a_month
from costcalc.predict.explain import explain
from costcalc.predict.options import command_of
from costcalc.predict.predict import Prediction, capacity, predict
from costcalc.predict.quantities import Answered, group_of, numbers_of
from costcalc.predict.results import (
    HOURS_OF_A_MONTH,
    NO_ENERGY,
    CostResult,
    DecodeResult,
    DemandResult,
    DeploymentResult,
    EnergyResult,
    Estimate,
    KvCacheResult,
    LimitsResult,
    MarketPrice,
    MemoryResult,
    ModelResult,
    Parameters,
    PrecisionResult,
    PrefillResult,
    Range,
    ServingResult,
    WorkloadResult,
)
from costcalc.predict.scenario import Scenario, asked, counted, owner_of, scenario_of
from costcalc.units import format_percent, format_usd


@np.errstate(all="ignore")  # what leaves the range of floats is infinite, or nothing
def estimate(
    model: ModelSpec | str | Path,
    gpu: Accelerator | str | Path,
    *,
    catalog: Catalog | str | Path | None = None,
    **options: Any,
) -> Estimate:
    """Estimate what `model` costs on `gpu`; whatever is left out is chosen, and the choice is said.

    model, gpu: specifications, or names, aliases or paths of the catalog.
    catalog: a catalog, or a folder of models/ and hardware_profiles/ that is looked at first.
    options: by the names in `costcalc.predict.options.OPTIONS`, read as the command line reads them: degrees of
        parallelism, batch [sequences], context, input_tokens and output_tokens [tokens], cached [share], weights,
        kv_cache and activations (formats), price [$/GPU-hour or words], utilization [share], tpot and ttft [s], demand
        ('50 requests/s'), drafts [tokens], acceptance [share], disaggregated, efficiency, backend, terms, mla ...
    Raises CostcalcError for names, values and layouts that cannot be, and where nothing fits.
    """
    folders = catalog_of(catalog)
    scenario = asked(model, gpu, options, folders)
    chosen = deployment_for(scenario)
    found = replace(answer(scenario, chosen), command=_command(scenario, model, gpu, folders))
    found = replace(found, notes=(*found.notes, *_cheaper_apart(scenario, chosen, found)))
    return found.on(scenario.gpu, Ladder(scenario, chosen.deployment.layout))


CHEAPER = 0.9
"""Of the GPUs of a demand, from which down pools apart are told: less is within what whole workers round up to."""


def _cheaper_apart(q: Scenario, chosen: Chosen, found: Estimate) -> Iterator[str]:
    """The note that a demand takes fewer GPUs where prompts have a pool of their own, and how many."""
    here, options = found.demand, q.options
    if here is None or q.disaggregated or options.load_told or options.offloads:
        return
    apart = scenario_of(q.model, q.gpu, replace(options, disaggregated=True), q.constants)
    try:
        other = deployment_for(apart)
    except DoesNotFit:
        return
    at = predict(apart, other.deployment.layout, other.batch, other.deployment.replicas)
    serving = numbers_alone(apart, other, at).serving
    there = demand_of(apart, other.deployment, other.batch, serving, apart.price_at)
    if there is None or there.gpus > CHEAPER * here.gpus or (chosen.keeps_limits and not other.keeps_limits):
        return
    month = "" if there.usd_per_month is None else f" and {format_usd(there.usd_per_month)} a month"
    fewer = format_percent(1 - there.gpus / here.gpus, 2)
    yield (
        f"Prompts hold up decode: with a pool of their own the demand takes {there.gpus:,} GPUs{month}, {fewer} less. "
        "--disaggregated asks for it; costcalc plan replays both."
    )


def _command(q: Scenario, model: object, gpu: object, catalog: Catalog) -> str | None:
    """The command that asks for an estimate, where names do: a specification that was passed may have no file."""
    if not isinstance(model, str | Path) or not isinstance(gpu, str | Path):
        return None
    name, _ = counted(gpu, {})
    return command_of(str(model), str(name), q.options.told, catalog.typed())


def answer(scenario: Scenario, chosen: Chosen) -> Estimate:
    """Evaluate a planned deployment into the result tree."""
    q, layout, batch = scenario, chosen.deployment.layout, chosen.batch
    at = predict(q, layout, batch, chosen.deployment.replicas)
    price = q.price
    result = numbers_alone(q, chosen, at)
    result = replace(
        result,
        breakdown=breakdown_of(at.step, layout),
        assumptions=assumptions_of(q, chosen, price),
        notes=notes_of(q, chosen, at, price, result.cost.usd_per_million_blended_tokens),
        limits=_limits(q, chosen),
    )
    result = replace(result, demand=demand_of(q, chosen.deployment, chosen.batch, result.serving, q.price_at))
    if q.options.terms == "all":
        result = replace(result, market=tuple(market_price(result, each) for each in q.model.api_prices))
    result = replace(result, energy=_of_the_demand(q, result))
    return explain(q, chosen, result, at)


def numbers_alone(q: Scenario, chosen: Chosen, at: Prediction) -> Estimate:
    """The result tree without what is said of its numbers.

    at: the prediction of the deployment.
    """
    price, deployment = q.price, chosen.deployment
    usd_per_hour = price.usd_per_gpu_hour if price else None
    numbers = numbers_of(Answered(q, deployment.replicas, deployment.gpus, at, usd_per_hour, q.options.utilization))
    listed = range_of_kind(price.kind, q.gpu.prices) if price and price.kind else None
    return Estimate(
        model=ModelResult(
            q.model.name,
            Parameters(q.model.total_parameters, q.model.active_parameters),
            q.model.attention_name,
            q.model.num_layers,
            _kv_heads(q.model),
        ),
        deployment=_deployment(q, chosen, price, listed),
        workload=WorkloadResult(
            chosen.batch,
            float(q.input_tokens),
            float(q.output_tokens),
            float(q.decode_context),
            q.options.cached,
            int(q.drafts),
            float(at.accepted),
            q.options.disaggregated,
        ),
        kv_cache=_cache(q, chosen),
        memory=_memory(q, chosen),
        prefill=PrefillResult(**group_of(numbers, "prefill")),
        decode=DecodeResult(**group_of(numbers, "decode"), bound_by=step_bound(at.step)),
        serving=ServingResult(**group_of(numbers, "serving")),
        cost=_at_list_prices(CostResult(**group_of(numbers, "cost")), usd_per_hour, listed),
        breakdown=(),
        energy=EnergyResult(**group_of(numbers, "energy")),
    )


def _kv_heads(model: ModelSpec) -> int | None:
    """KV heads of the layers whose query heads share them, where all have as many."""
    grouped = [layer for layer in model.attention.values() if isinstance(layer, GroupedAttention)]
    found = {each.num_key_value_heads for each in grouped if each.num_key_value_heads < each.num_attention_heads}
    return found.pop() if len(found) == 1 else None


def _at_list_prices(cost: CostResult, usd_per_hour: float | None, listed: Range | None) -> CostResult:
    """Costs with what the lowest and the highest list price [$/h] make of them: they are proportional to the price."""
    if listed is None or not usd_per_hour:
        return cost
    names = [f"usd_per_million_{of}_tokens" for of in ("output", "input", "blended")]
    told: dict[str, Any] = {}
    for name in names:
        if (value := getattr(cost, name)) is not None:
            told[f"{name}_price_range"] = _times(listed, value / usd_per_hour)
    return replace(cost, **told)


def _deployment(q: Scenario, chosen: Chosen, price: PriceChoice | None, listed: Range | None) -> DeploymentResult:
    layout = chosen.deployment.layout
    return DeploymentResult(
        gpu=q.gpu.name,
        gpus=chosen.deployment.gpus,
        replicas=chosen.deployment.replicas,
        tensor_parallel=int(layout.tp),
        pipeline_parallel=int(layout.pp),
        expert_parallel=int(layout.ep),
        attention_data_parallel=int(layout.attention_dp),
        context_parallel=int(layout.cp),
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
        price_age_months=age_in_months(price.date) if price and price.date else None,
        price_range=listed,
        owned=owned(q.gpu, owner_of(q.options, q.constants.of_owning)) if price and price.computed else None,
        utilization=q.options.utilization,
        efficiency=q.options.efficiency,
        backend=q.backend,
        layout=layout_name(chosen.deployment),
        idle_gpus=chosen.deployment.idle,
        settings=settings_of(q.options),
    )


def _limits(q: Scenario, chosen: Chosen) -> LimitsResult:
    o = q.options
    if o.terms != "all" or (not chosen.batch_chosen and o.tpot is None and o.ttft is None):
        return LimitsResult()
    return LimitsResult(q.tpot_limit if chosen.batch_chosen else o.tpot, o.ttft, chosen.keeps_limits)


def unanswered(scenario: Scenario, tried: Deployment) -> Estimate:
    """The tree of a deployment that does not fit: cache and memory, but no times, rates or costs."""
    result = answer(scenario, Chosen(tried, scenario.options.batch or 1))
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
        energy=NO_ENERGY,
        breakdown=(),
        explanation=(),
    )


def _cache(q: Scenario, chosen: Chosen) -> KvCacheResult:
    if q.recompute:
        return KvCacheResult(0.0, 0.0, 0.0, 0.0)
    return KvCacheResult(
        cache_bytes_per_token(q.model, q.formats),
        float(cache_bytes_per_token_per_gpu(q.model, chosen.deployment.layout, q.formats)),
        float(cache_bytes_per_sequence(q.model, q.formats, q.full_length)),
        float(cache_bytes_read(q.model, q.formats, q.decode_context)),
        fixed_cache_bytes_per_sequence(q.model, q.formats.cache),
    )


def _memory(q: Scenario, chosen: Chosen) -> MemoryResult:
    layout = chosen.deployment.layout
    pool, most = capacity(q, layout)
    weights = float(weights_bytes_per_gpu(q.model, layout, q.formats))
    found = MemoryResult(
        most >= (1 if q.options.load_told else chosen.batch), float(q.machine.memory), weights, max(pool, 0.0), most
    )
    if q.machine.host is None:
        return found
    each = host_cache_bytes_per_sequence(q.model, layout, q.formats, q.full_length)
    held = float(host_weights_bytes(q.model, layout, q.formats) + chosen.batch * each)
    layers, experts = q.options.gpu_layers, q.options.offload_experts
    if experts is not None:
        experts = q.model.num_layers if isinstance(experts, str) else min(experts, q.model.num_layers)
    return replace(
        found,
        host_bytes=held,
        host_capacity_bytes=q.machine.host.memory,
        gpu_layers=None if layers is None else int(layers),
        host_expert_layers=experts,
    )


# List prices beside the cost of an estimate, at the same mix of tokens.


def market_price(answer: Estimate, price: ApiPrice) -> MarketPrice:
    """A list price at the workload's mix of cached, fresh and output tokens, against the cost.

    Of a demand, ratio and margin are against what its whole fleet costs, and a month is the demand's.
    """
    w, cost, demand = answer.workload, answer.cost.usd_per_million_blended_tokens, answer.demand
    cached = price.cached_input_usd_per_million
    hit = price.input_usd_per_million if cached is None else cached
    entered = hit * w.cached_share + price.input_usd_per_million * (1 - w.cached_share)
    blended = float(blended_usd_per_million(entered, price.output_usd_per_million, w.input_tokens, w.output_tokens))
    # The costs already carry the utilization assumed; at full use they are that share of it.
    use, limits = answer.deployment.utilization, answer.cost.usd_per_million_blended_tokens_range
    hourly, idle = answer.gpus_paid * (answer.deployment.usd_per_gpu_hour or 0.0), answer.deployment.paid_idle

    def even(at: float) -> float:
        return float(break_even_utilization(at * use, blended, use, idle))

    share = even(cost) if cost is not None and blended else None
    hourly *= 1 if share is None else idle + (1 - idle) * share / use
    paid, scale = cost_served(answer), cost_scale(answer)
    requests = demand.requests_per_s * paid / blended if demand and paid is not None and blended else None
    return MarketPrice(
        provider=price.provider,
        input_usd_per_million=price.input_usd_per_million,
        cached_input_usd_per_million=cached,
        output_usd_per_million=price.output_usd_per_million,
        blended_usd_per_million=blended,
        price_over_cost=blended / paid if paid else None,
        margin=1 - paid / blended if paid is not None and blended else None,
        break_even_utilization=share,
        date=price.date or None,
        source=price.source,
        note=price.note,
        break_even_utilization_range=(even(limits[0]), even(limits[1])) if limits and blended else None,
        # There the API charges what the GPUs cost anyway.
        break_even_tokens_per_day=24 * hourly / blended * 1e6 if share is not None and share <= 1 else None,
        margin_range=(1 - scale * limits[1] / blended, 1 - scale * limits[0] / blended) if limits and blended else None,
        usd_per_month_at_demand=None if demand is None else blended * _tokens_of_a_month(answer, demand) / 1e6,
        break_even_requests_per_s=_within(answer, requests),
    )


def cost_served(answer: Estimate) -> float | None:
    """What a million tokens cost [$/M]: of a demand over its whole fleet, busy or not, else at the use assumed."""
    demand = answer.demand
    return answer.cost.usd_per_million_blended_tokens if demand is None else demand.usd_per_million_tokens


def cost_scale(answer: Estimate) -> float:
    """How often the cost at the use assumed is that of what is served: above 1 where a demand's fleet idles."""
    cost, served = answer.cost.usd_per_million_blended_tokens, cost_served(answer)
    return served / cost if cost and served is not None else 1.0


def _within(answer: Estimate, requests: float | None) -> float | None:
    """A rate of requests [1/s] where the fleet of the demand can serve it when never idle, else None."""
    demand, rate = answer.demand, answer.serving.output_tokens_per_s
    if demand is None or requests is None or rate is None:
        return None
    most = rate / answer.deployment.replicas * demand.replicas / answer.workload.output_tokens
    return requests if requests <= most else None


def _tokens_of_a_month(answer: Estimate, demand: DemandResult) -> float:
    """Tokens of a demand in a month of 730 hours, in and out."""
    load = answer.workload
    return demand.requests_per_s * (load.input_tokens + load.output_tokens) * 3600 * HOURS_OF_A_MONTH


def _times(limits: Range, factor: float) -> Range:
    return limits[0] * factor, limits[1] * factor


def _of_the_demand(q: Scenario, result: Estimate) -> EnergyResult:
    """The energy of an estimate, whose month is that of the demand where one was told."""
    found, demand = result.energy, result.demand
    if demand is None or found.watts_per_gpu is None or not found.kwh_per_month:
        return found
    busy = demand.load * q.options.utilization
    factor = float(kwh_of_a_month(q, demand.gpus, found.watts_per_gpu, busy)) / found.kwh_per_month
    told: dict[str, Any] = {}
    for name in ("kwh_per_month", "kg_co2_per_month"):
        told[name] = getattr(found, name) * factor
        limits = getattr(found, f"{name}_range")
        told[f"{name}_range"] = _times(limits, factor) if limits else None
    return replace(found, **told)
