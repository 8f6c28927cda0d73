"""The first lines of an estimate: dollars, speeds, users and what bounds them."""

from __future__ import annotations

from collections.abc import Iterator

from costcalc.explore.result import CostResult, Estimate
from costcalc.readable import NOTHING, format_count, format_percent
from costcalc.show.blocks import Block, Column, Grid, Line, Role
from costcalc.show.numbers import dollars_span, seconds, span, speed, usd
from costcalc.show.parts import marked

Row = tuple[str, str, str, str]


def headline(result: Estimate) -> Iterator[Block]:
    """Yield the dollars, speeds, users and bound of an estimate, and what its brackets mean.

    result: the estimate.
    """
    rows = [*_money(result.cost), *_speeds(result)]
    if is_term(result):
        # A term of the bill has no prefill: what was not asked for is left out, rather than shown as unknown.
        rows = [row for row in rows if row[1] != NOTHING]
        rows.append(("Batch", marked(result, "batch", f"{result.workload.batch:,}"), "", ""))
    else:
        rows.append(("Users at once", marked(result, "batch", f"{result.workload.batch:,}"), "", _room(result)))
    rows.append(("Bound by", result.decode.bound_by or NOTHING, "", _why(result)))
    columns = (Column(), Column(right=True), Column(role="dim"), Column(role="dim", keep=1, wrap=True))
    roles: dict[tuple[int, int], Role] = {
        (number, 1): "headline" if row[0].startswith("$") else "value" for number, row in enumerate(rows)
    }
    yield Grid(columns, rows, roles)
    if any(row[2] for row in rows):
        yield Line("In brackets: the range that holds in 8 of 10 cases.", "dim", indent=2)
    if result.decode.step_time_s is not None and not is_term(result):
        yield Line(_decoding_alone(result), "dim", indent=2, wrap=True)
    yield Line()


def is_term(result: Estimate) -> bool:
    """Whether reads of the cache or the weights alone were counted."""
    return result.prefill.time_s is None and result.decode.step_time_s is not None


def _money(cost: CostResult) -> list[Row]:
    return [
        (
            "$ per M output tokens",
            usd(cost.usd_per_million_output_tokens),
            dollars_span(cost.usd_per_million_output_tokens_range),
            "GPU time of decoding",
        ),
        (
            "$ per M input tokens",
            usd(cost.usd_per_million_input_tokens),
            dollars_span(cost.usd_per_million_input_tokens_range),
            "GPU time of prefill",
        ),
        (
            "$ per M tokens, blended",
            usd(cost.usd_per_million_blended_tokens),
            dollars_span(cost.usd_per_million_blended_tokens_range),
            "passes of prefill and steps of decode, by this mix",
        ),
    ]


def _speeds(result: Estimate) -> list[Row]:
    decode, serving, gpus = result.decode, result.serving, result.deployment.gpus
    if is_term(result):
        pace = ("Tokens/s per user", decode.tokens_per_s_per_user, decode.tokens_per_s_per_user_range, "")
        whole = (decode.tokens_per_s_per_gpu, decode.tokens_per_s_per_gpu_range, f"{speed(decode.tokens_per_s)} in all")
    else:
        served = "of both pools" if result.workload.disaggregated else "served, prefills included"
        in_all = f"; {speed(serving.output_tokens_per_s)} in all" if gpus > 1 or serving.prefill_gpus else ""
        whole = (serving.output_tokens_per_s_per_gpu, serving.output_tokens_per_s_per_gpu_range, served + in_all)
        pace = (
            "Tokens/s per user",
            serving.tokens_per_s_per_user,
            serving.tokens_per_s_per_user_range,
            "1 / time per output token",
        )
    return [
        ("Tokens/s per GPU", speed(whole[0]), span(whole[1], speed), whole[2]),
        (pace[0], speed(pace[1]), span(pace[2], speed), pace[3]),
        (
            "Time per output token",
            seconds(serving.time_per_output_token_s),
            span(serving.time_per_output_token_s_range, seconds),
            "prefills run elsewhere" if result.workload.disaggregated else "with prefills in between",
        ),
        (
            "Time to first token",
            seconds(serving.time_to_first_token_s),
            span(serving.time_to_first_token_s_range, seconds),
            f"{format_count(result.workload.input_tokens)} tokens in",
        ),
    ]


def _decoding_alone(result: Estimate) -> str:
    """What a step yields while no prompt is prefilled: more than a service does, so never the headline."""
    decode = result.decode
    when = "The decode pool alone" if result.workload.disaggregated else "Decoding alone, while no prompt is prefilled"
    return (
        f"{when}: {speed(decode.tokens_per_s_per_gpu)} tokens/s per GPU, "
        f"{speed(decode.tokens_per_s_per_user)} per user; a step takes {seconds(decode.step_time_s)}."
    )


def _room(result: Estimate) -> str:
    most, replicas = result.memory.max_sequences, result.deployment.replicas
    if not result.memory.fits:
        return "the model does not fit"
    if replicas == 1:
        return f"of {most:,} that fit"
    return f"of {most:,} that fit one of {replicas:,} replicas: {result.workload.batch * replicas:,} in all"


def _why(result: Estimate) -> str:
    """What the bound takes of a step, and the op that takes most of it."""
    bound = [op for op in result.breakdown if op.bound_by == result.decode.bound_by]
    longest = max(bound, key=lambda op: op.time_s, default=None)
    if longest is None:
        return ""
    share = format_percent(sum(op.time_s for op in bound) / step_seconds(result), 2)
    if len(bound) == 1:
        return f"{share} of a step: {longest.op}"
    return f"{share} of a step; {longest.op} {format_percent(longest.time_s / step_seconds(result), 2)}"


def step_seconds(result: Estimate) -> float:
    """Return the time of all ops of a decode step [s], 1 where there are none.

    result: the estimate.
    """
    return sum(op.time_s for op in result.breakdown) or 1.0
