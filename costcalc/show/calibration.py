"""What a calibration found as a page: the error before and after it, and what it changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import expm1, log
from typing import Any

from costcalc.measured.groups import Validation
from costcalc.measured.own import OwnFit
from costcalc.readable import NOTHING
from costcalc.show.accuracy import listed, percent, signed
from costcalc.show.blocks import Block, Column, Grid, Line
from costcalc.show.numbers import DASH
from costcalc.specs.measured import MeasuredEfficiency

LEGEND = (
    "before: median error of the shipped fit on these points, and its bias; after: of the fit on them; left out: of "
    "every shape, or fifth of the runs, by a fit without it, which is what to expect of others; range: measured over "
    "predicted in 80% of cases. Factors are on the parameters of the shipped fit, those that change most first: few "
    "points move them little, and there are none where what was left out was predicted worse with them than without."
)
_ERRORS = ("in_sample", "gpu_left_out", "shape_left_out")
MOST_FACTORS = 6
"""Parameters that a table names."""
SHOWN_FACTOR = 0.02
"""Change of a parameter [ln] below which a table leaves it out."""


def calibration_page(
    fits: Sequence[OwnFit],
    notes: Sequence[str] = (),
    reached: Mapping[str, MeasuredEfficiency] | None = None,
    scored: Validation | None = None,
) -> list[Block]:
    """Return what a calibration found as a page.

    fits: by machine and kernel. notes: what else to say. reached: what GPUs reached, by name.
    scored: the points, of which those that could not be used are listed.
    """
    columns = (
        Column("", role="value"),
        Column("what"),
        Column("n", right=True),
        Column("before", right=True),
        Column("bias", right=True, keep=2),
        Column("after", right=True, role="headline"),
        Column("left out", right=True),
        Column("80% range", role="dim", keep=1),
        Column("factors", role="dim", keep=3, wrap=True),
    )
    page: list[Block] = [Line("Calibrated on your measurements", "title"), Line()]
    page += [Grid(columns, list(_rows(fits))), Line(), Line(LEGEND, "dim", wrap=True), Line()]
    for gpu, found in (reached or {}).items():
        page += [Line(f"What estimates of {gpu} are scaled by", "heading")]
        page += [*(Line(text, wrap=True, indent=2) for text in reached_lines(found)), Line()]
    page += listed("Left out", scored.excluded()) if scored is not None else []
    return page + [Line(note, wrap=True) for note in notes]


def calibration_rows(fits: Sequence[OwnFit]) -> list[dict[str, Any]]:
    """Return what a calibration found as plain dictionaries, one for each machine and kernel.

    fits: by machine and kernel; biases as `costcalc validate` has them: median of predicted over measured, less 1.
    """
    rows = []
    for each in fits:
        tree = asdict(each.fit)
        for name in _ERRORS:
            tree["fit"][name]["bias"] = expm1(tree["fit"][name]["bias"])
        rows.append({"gpu": each.gpu, "op": each.op, "op_class": each.label, **tree})
    return rows


def reached_lines(efficiency: MeasuredEfficiency) -> list[str]:
    """Return what a machine reached of its data sheet, in sentences.

    efficiency: as measured.
    """
    lines = []
    if efficiency.bandwidth is not None:
        lines.append(f"Copies reach {percent(efficiency.bandwidth)} of the data sheet's memory bandwidth.")
    named = [("Products of few rows", "memory bandwidth", efficiency.weights)]
    named += [(f"Large {name} products", "dense peak", found) for name, found in efficiency.flops.items()]
    named += [("Fused experts", "roofline", efficiency.experts)]
    named += [("Kernels of decode attention", "memory bandwidth", efficiency.attention)]
    named += [("Kernels of prefill attention", "dense peak", efficiency.prefill)]
    named += [("Large messages", "links' bandwidth", efficiency.links)]
    for what, of, found in named:
        if found is not None:
            lines.append(f"{what} reach {percent(found.share)} of the {of}: {found.speed:.2f} of what is expected.")
    if efficiency.latency is not None:
        lines.append(f"Small messages are {efficiency.latency:.2f} times as fast as expected.")
    return lines


def _rows(fits: Sequence[OwnFit]) -> Iterator[tuple[str, ...]]:
    """Cells of every fit; factors that several classes share stand beside the first of them."""
    told: Mapping[str, float] = {}
    for each in fits:
        factors = each.fit.factors
        yield _cells(each, "as above" if factors and factors == told else _factors(factors))
        told = factors


def _factors(factors: Mapping[str, float]) -> str:
    """Factors in words, those that change most first."""
    order = sorted(factors.items(), key=lambda item: -abs(log(item[1])))
    shown = [f"{name} {factor:.3g}" for name, factor in order if abs(log(factor)) >= SHOWN_FACTOR]
    more = [f"{len(shown) - MOST_FACTORS} more"] if len(shown) > MOST_FACTORS else []
    return ", ".join([*shown[:MOST_FACTORS], *more]) or NOTHING


def _cells(each: OwnFit, factors: str) -> tuple[str, ...]:
    record = each.fit.fit
    known = record.ranges.known
    return (
        each.gpu,
        each.label,
        str(record.points),
        percent(record.gpu_left_out.median_ape),
        signed(expm1(record.gpu_left_out.bias)),
        percent(record.in_sample.median_ape),
        percent(record.shape_left_out.median_ape),
        f"[{known.low:.2g}{DASH}{known.high:.2g}]",
        factors,
    )
