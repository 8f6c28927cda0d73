"""How a benchmark was run, where that changes what it measures: as its columns say, else as is known of its source."""

from __future__ import annotations

from dataclasses import dataclass

from costcalc.measured.load import Row

DRAWN_LENGTH = 0.9
"""InferenceX draws lengths from 0.8 to 1.0 of the nominal ones."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Of one run."""

    mean_length: float = 1.0  # of prompts and answers, over the nominal one
    means: bool = False  # times are means over a run, not medians
    equal_lengths: bool = True  # all requests have the nominal length
    streamed: bool = False  # first tokens wait for a batch of tokens to stream
    reused: bool = False  # prompts repeat, and a prefix cache holds them


def conditions_of(row: Row, backend: str) -> Conditions:
    """The conditions of a closed loop; docs/accuracy.md tells the rules by source.

    backend: the serving engine, by its name among the constants.
    """
    source = str(row.get("source") or "")
    drawn = "InferenceX" in source
    # Prompts of 4,000 tokens whose first token takes 0.11 s at 128 requests were not computed again: inferred.
    repeated = "gap-analysis" in source and backend == "vllm" and not row.get("date")
    statistic = str(row.get("statistic") or "").lower()
    return Conditions(
        mean_length=row.get("mean_length") or (DRAWN_LENGTH if drawn else 1.0),
        means=statistic == "mean" if statistic else "silicon_sample" in source,
        equal_lengths=_said(row, "equal_lengths", not drawn),
        streamed=_said(row, "streamed", drawn and _streams_in_batches(row)),
        reused=_said(row, "prompts_reused", repeated),
    )


def _said(row: Row, column: str, otherwise: bool) -> bool:
    value = row.get(column)
    return otherwise if value is None else bool(value)


def _streams_in_batches(row: Row) -> bool:
    # InferenceX's TensorRT-LLM recipes of 2025 stream every twentieth token at equal lengths below 8 GPUs.
    return str(row.get("framework")) == "trtllm" and row["isl"] == row["osl"] and (row.get("tp") or 1) < 8
