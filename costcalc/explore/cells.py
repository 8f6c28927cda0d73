"""Every number of an estimate at every cell of a grid: the engine's equations on arrays, by one call."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from costcalc.engine.cost import blended_usd_per_million, usd_per_million
from costcalc.engine.memory import kv_pool_bytes_per_gpu
from costcalc.explore.breakdown import step_bounds
from costcalc.explore.evaluate import Evaluation, evaluate, sequences_held
from costcalc.explore.layouts import Spread
from costcalc.explore.question import Question
from costcalc.explore.ranges import inverse, ranges_of
from costcalc.explore.result import Range

Array = NDArray[Any]


def cells_of(question: Question, spread: Spread, batch: Array, price: Array, use: Array) -> dict[str, Array]:
    """Return the numbers of an estimate by their paths in its tree, as arrays that broadcast.

    question: with arrays for lengths and bandwidth, if you like. spread: the deployment. batch: [sequences] of one
    replica. price: [$/GPU-hour], NaN where unknown. use: share of the paid hours.
    """
    q, layout = question, spread.layout
    at = evaluate(q, layout, batch)
    pool = float(kv_pool_bytes_per_gpu(q.model, q.machine, layout, q.formats, q.budget))
    held = np.asarray(sequences_held(q, layout, pool, q.full_length))
    fits = held >= batch
    found = {**_workload(q, spread, batch, price, use), "memory.fits": fits, "memory.max_sequences": held.astype(int)}
    numbers = {**_speeds(q, spread, at), **_costs(q, spread, at, price, use)}
    if q.options.terms == "all":  # of a term of the bill nobody asks whether it fits
        numbers = {path: np.where(fits, value, np.nan) for path, value in numbers.items()}
    bound = np.broadcast_to(step_bounds(at.step), np.broadcast_shapes(np.shape(batch), np.shape(at.step.seconds)))
    nobody: Any = None
    return {**found, **numbers, "decode.bound_by": np.where(fits | (q.options.terms != "all"), bound, nobody)}


def _workload(q: Question, spread: Spread, batch: Array, price: Array, use: Array) -> dict[str, Array]:
    layout = spread.layout
    degrees = {
        "gpus": spread.gpus,
        "replicas": spread.replicas,
        "tensor_parallel": layout.tensor,
        "pipeline_parallel": layout.pipeline,
        "expert_parallel": layout.expert,
        "attention_data_parallel": layout.data,
    }
    return {
        **{f"deployment.{name}": np.asarray(value) for name, value in degrees.items()},
        "deployment.memory_bandwidth": np.asarray(q.machine.memory_bandwidth),
        "deployment.usd_per_gpu_hour": price,
        "deployment.utilization": use,
        "workload.batch": batch,
        "workload.input_tokens": np.asarray(q.input_tokens),
        "workload.output_tokens": np.asarray(q.output_tokens),
        "workload.context_tokens": np.asarray(q.decode_context),
    }


def _speeds(q: Question, spread: Spread, at: Evaluation) -> dict[str, Array]:
    ranges = ranges_of(q)
    faster, sooner = inverse(ranges.decode), ranges.prefill
    rate = np.asarray(at.decode_tokens_per_s()) * spread.replicas
    served = np.asarray(at.served_tokens_per_s(q.output_tokens)) * spread.replicas
    nothing = np.nan if q.options.terms != "all" else 1.0  # prefill is no part of a term of the bill
    return {
        **_ranged("prefill.time_s", np.asarray(at.prefill.seconds) * nothing, sooner),
        **_ranged("decode.step_time_s", np.asarray(at.step.seconds), ranges.decode),
        **_ranged("decode.tokens_per_s", rate, faster),
        **_ranged("decode.tokens_per_s_per_gpu", rate / spread.gpus, faster),
        **_ranged("decode.tokens_per_s_per_user", np.asarray(at.user_tokens_per_s()), faster),
        **_ranged("serving.time_to_first_token_s", np.asarray(at.time_to_first_token) * nothing, sooner),
        **_ranged("serving.time_per_output_token_s", np.asarray(at.time_per_output_token) * nothing, ranges.decode),
        **_ranged("serving.tokens_per_s_per_user", nothing / np.asarray(at.time_per_output_token), faster),
        **_ranged("serving.output_tokens_per_s_per_gpu", served / spread.gpus * nothing, faster),
    }


def _costs(q: Question, spread: Spread, at: Evaluation, price: Array, use: Array) -> dict[str, Array]:
    ranges = ranges_of(q)
    nothing = np.nan if q.options.terms != "all" else 1.0
    leaving = at.decode_tokens_per_s() * spread.replicas
    entering = at.prefill_tokens_per_s(q.input_tokens) * spread.replicas
    output = np.asarray(usd_per_million(spread.gpus, price, leaving, use))
    entered = np.asarray(usd_per_million(spread.gpus, price, entering, use)) * nothing
    found = {
        **_ranged("cost.usd_per_million_output_tokens", output, ranges.decode),
        **_ranged("cost.usd_per_million_input_tokens", entered, ranges.prefill),
    }
    found["cost.usd_per_million_blended_tokens"] = np.asarray(
        blended_usd_per_million(entered, output, q.input_tokens, q.output_tokens)
    )
    if ranges.decode and ranges.prefill:
        for side, out, into in zip((".low", ".high"), ranges.decode, ranges.prefill, strict=True):
            blended = blended_usd_per_million(entered * into, output * out, q.input_tokens, q.output_tokens)
            found[f"cost.usd_per_million_blended_tokens_range{side}"] = np.asarray(blended)
    return found


def _ranged(path: str, values: Array, spread: Range | None) -> dict[str, Array]:
    if spread is None:
        return {path: values}
    return {path: values, f"{path}_range.low": values * spread[0], f"{path}_range.high": values * spread[1]}
