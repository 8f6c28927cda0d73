"""How a benchmark was run, where that changes what it measures: as its columns say, else as is known of its source."""

from __future__ import annotations

import math
from dataclasses import dataclass

from costcalc.dates import read_date
from costcalc.measured.load import Row
from costcalc.measured.recipes import held_steps, is_inferencex

DRAWN_LENGTH = 0.9
"""InferenceX draws lengths from 0.8 to 1.0 of the nominal ones."""

_MID_MONTH = 15


@dataclass(frozen=True, slots=True)
class Conditions:
    """Of one run."""

    mean_length: float = 1.0  # of prompts and answers, over the nominal one
    means: bool = False  # times are means over a run, not medians
    equal_lengths: bool = True  # all requests have the nominal length
    held_steps: float = 0.0  # decode steps for which the scheduler leaves a request unseen
    month: float = math.nan  # of the run, counted from year 0; nan where its date is not known
    reused: bool = False  # prompts repeat, and a prefix cache holds them


def conditions_of(row: Row, backend: str, architecture: str = "") -> Conditions:
    """The conditions of a closed loop; docs/accuracy.md tells the rules by source.

    backend: the serving engine, by its name among the constants. architecture: of the GPU.
    """
    source = str(row.get("source") or "")
    drawn = is_inferencex(row)
    # Prompts of 4,000 tokens whose first token takes 0.11 s at 128 requests were not computed again: inferred.
    repeated = "gap-analysis" in source and backend == "vllm" and not row.get("date")
    statistic = str(row.get("statistic") or "").lower()
    told = row.get("held_steps")
    return Conditions(
        mean_length=row.get("mean_length") or (DRAWN_LENGTH if drawn else 1.0),
        means=statistic == "mean" if statistic else "silicon_sample" in source,
        equal_lengths=_said(row, "equal_lengths", not drawn),
        held_steps=held_steps(row, backend, architecture) if told is None else told,
        month=month_of(str(row.get("date") or "")),
        reused=_said(row, "prompts_reused", repeated),
    )


def month_of(date: str) -> float:
    """Months from year 0 to a date of the form YYYY-MM or YYYY-MM-DD; nan where it is of no such form."""
    year, month, day = read_date(date) or (0, None, None)
    return math.nan if month is None else 12 * year + month - 1 + ((day or _MID_MONTH) - 1) / 30


def _said(row: Row, column: str, otherwise: bool) -> bool:
    value = row.get(column)
    return otherwise if value is None else bool(value)
