"""Prompts on a pool of their own, so that what is compared is decoding: when unasked, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from costcalc.predict.options import WEIGHED, Options
from costcalc.predict.results import Assumption, Row
from costcalc.predict.scenario import Scenario
from costcalc.units import format_percent

PREFILL_DECIDES = 1 / 3
"""Share of the GPU time of a request from which on prompts weigh about as much as the reads of a cache: a third each,
with weights and overheads."""


def of_contexts(q: Scenario, lengths: Sequence[float]) -> bool:
    """Whether contexts [tokens] are asked about: of a table, or one."""
    return bool(lengths) or q.options.context is not None


def as_told(questions: Sequence[Scenario], lengths: Sequence[float]) -> Sequence[Scenario]:
    """The questions of a comparison: of decoding alone, where prompts are told to have a pool of their own."""
    return [decoding_alone(q, lengths) if q.disaggregated else q for q in questions]


def freed_of_prompts(
    questions: Sequence[Scenario], lengths: Sequence[float], given: Mapping[str, Any], share: float
) -> tuple[Sequence[Scenario], float | None]:
    """The questions as they are asked where prompts of contexts that are asked about decide every row, themselves where
    they do not, and the share to tell where prompts have a pool of their own unasked.

    share: the largest of a row's GPU time that prompts take in one pool.
    """
    freed = [_freed(q, lengths, given, share) for q in questions]
    if all(new is old for new, old in zip(freed, questions, strict=True)):
        return questions, None
    return freed, share if freed[0].disaggregated and not questions[0].disaggregated else None


def said_of_prompts(rows: list[Row], asked: Options, share: float | None) -> tuple[list[Row], list[str]]:
    """The rows, which say among their defaults where prompts have a pool of their own unasked, and a note on prompts.

    share: of the GPU time that prompts would take in one pool, where they have their own unasked.
    """
    rows = rows if share is None else [_said_apart(row, share) for row in rows]
    return rows, [*_prefill(rows, asked, share)]


def most_prefill(rows: Sequence[Row]) -> float:
    """The largest share of a row's GPU time that its prompts take."""
    return max((row.estimate.serving.prefill_share or 0.0 for row in rows), default=0.0)


def _may_be_apart(q: Scenario, lengths: Sequence[float], given: Mapping[str, Any]) -> bool:
    """Whether prompts may get a pool of their own unasked: a context is asked about, and that they are as long, and
    stand in its way, is nobody's wish."""
    told = {"disaggregated", "input_tokens"} & {name for name, value in given.items() if value is not None}
    return (
        of_contexts(q, lengths)
        and not told
        and q.options.terms == "all"
        and not (q.options.load_told or q.options.offloads)
    )


def _freed(q: Scenario, lengths: Sequence[float], given: Mapping[str, Any], share: float) -> Scenario:
    """The question as it is asked where prompts decide it: decoding alone, or, where they stay in the pool of answers
    by wish, with ranks that share a cache's tokens weighed; itself where they do not.

    share: the largest of a row's GPU time that prompts take.
    """
    if share < PREFILL_DECIDES:
        return q
    if _may_be_apart(q, lengths, given):
        return decoding_alone(q, lengths)
    free = q.options.context_parallel is None and not q.disaggregated and q.options.terms == "all"
    return replace(q, options=replace(q.options, context_parallel=WEIGHED)) if of_contexts(q, lengths) and free else q


def decoding_alone(q: Scenario, lengths: Sequence[float]) -> Scenario:
    """The question of decoding alone, as at its longest context: with prompts on a pool of their own, and ranks that
    share a cache's tokens weighed."""
    if q.options.terms != "all":
        return q
    q = q.with_prompts_apart()
    options = replace(q.options, context_parallel=q.options.context_parallel or WEIGHED)
    if lengths:
        options, q = replace(options, context=max(lengths)), q.at(max(lengths))
    return replace(q, options=options, decode_alone=True)


def _said_apart(row: Row, share: float) -> Row:
    """A row that says among its defaults that prompts have a pool of their own, for the share that they would take."""
    why = f"in one, prompts take up to {format_percent(share, 2)} of a row's GPU time"
    told = (Assumption("pools", "prefill apart", why, "--pools one"), *row.estimate.assumptions)
    return replace(row, estimate=replace(row.estimate, assumptions=told))


def _prefill(rows: Sequence[Row], given: Options, share: float | None = None) -> Iterator[str]:
    """What isolates attention's reads where prefill is most of the GPU time of a row, or what was done about it.

    share: of the GPU time that prompts would take in one pool, where they have their own unasked.
    """
    if given.terms != "all":
        return
    if given.disaggregated:
        why = "" if share is None else f"In one pool they take up to {format_percent(share, 2)} of a row's GPU time, "
        why += "and their chunks hold up decode: --pools one asks for that." if why else ""
        yield f"Prompts have GPUs of their own; layout and batch are those that decode most cheaply. {why}".rstrip()
        if len({row.estimate.deployment.layout for row in rows if row.note is None}) > 1 and not _worker_told(given):
            yield (
                "Workers that prefill have the layout in which their row decodes, and TTFT and $/M in are of it: "
                "--pools apart with --prefill-tp, --prefill-dp or --prefill-ep gives all rows one."
            )
    elif (most := most_prefill(rows)) >= PREFILL_DECIDES:
        yield (
            f"Prefill takes up to {format_percent(most, 2)} of a row's GPU time, and its chunks hold up decode: "
            "--pools apart puts it on a pool of its own, and --terms kv counts the reads of the cache alone."
        )


def _worker_told(given: Options) -> bool:
    """Whether the layout of workers that prefill was typed."""
    return any(each is not None for each in (given.prefill_tp, given.prefill_dp, given.prefill_ep))
