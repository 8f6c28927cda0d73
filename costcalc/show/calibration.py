"""What a calibration found as a page: the error before and after it, and what it changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from costcalc.measured.own import OwnFit
from costcalc.readable import NOTHING
from costcalc.show.accuracy import percent, signed
from costcalc.show.blocks import Block, Column, Grid, Line
from costcalc.show.numbers import DASH
from costcalc.specs.measured import MeasuredEfficiency

LEGEND = (
    "before: median error of the shipped fit on these points, and its bias; after: of the fit on them; left out: of "
    "every shape, or fifth of the runs, by a fit without it, which is what to expect of others; range: measured over "
    "predicted in 80% of cases. Factors are on the parameters of the shipped fit: few points move them little, and "
    "there are none where what was left out was predicted worse with them than without."
)


def calibration_page(fits: Sequence[OwnFit], notes: Sequence[str] = ()) -> list[Block]:
    """Return what a calibration found as a page.

    fits: by machine and kernel. notes: what else to say.
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
        Column("factors", role="dim", keep=3),
    )
    page: list[Block] = [Line("Calibrated on your measurements", "title"), Line()]
    page += [Grid(columns, [_cells(each) for each in fits]), Line(), Line(LEGEND, "dim", wrap=True), Line()]
    return page + [Line(note, wrap=True) for note in notes]


def calibration_rows(fits: Sequence[OwnFit]) -> list[dict[str, Any]]:
    """Return what a calibration found as plain dictionaries, one for each machine and kernel.

    fits: by machine and kernel.
    """
    return [{"gpu": each.gpu, "op": each.op, "op_class": each.label, **asdict(each.fit)} for each in fits]


def reached_lines(efficiency: MeasuredEfficiency) -> list[str]:
    """Return what a machine reached of its data sheet, in sentences.

    efficiency: as measured.
    """
    lines = []
    if efficiency.bandwidth is not None:
        lines.append(f"Copies reach {percent(efficiency.bandwidth)} of the data sheet's memory bandwidth.")
    named = [("Products of few rows", "memory bandwidth", efficiency.weights)]
    named += [("Decode attention", "memory bandwidth", efficiency.attention)]
    named += [(f"Large {name} products", "dense peak", found) for name, found in efficiency.flops.items()]
    for what, of, found in named:
        if found is not None:
            lines.append(f"{what} reach {percent(found.share)} of the {of}: {found.speed:.2f} of what is expected.")
    return lines


def _cells(each: OwnFit) -> tuple[str, ...]:
    record = each.fit.fit
    known = record.ranges.known
    factors = ", ".join(f"{name} {factor:g}" for name, factor in each.fit.factors.items())
    return (
        each.gpu,
        each.label,
        str(record.points),
        percent(record.gpu_left_out.median_ape),
        signed(record.gpu_left_out.bias),
        percent(record.in_sample.median_ape),
        percent(record.shape_left_out.median_ape),
        f"[{known.low:.2g}{DASH}{known.high:.2g}]",
        factors or NOTHING,
    )
