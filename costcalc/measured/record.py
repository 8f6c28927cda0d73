"""A fit with its record: errors in sample and left out, ranges, and the YAML that keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from costcalc.measured.crossval import CrossValidated, Residuals, cross_validate
from costcalc.measured.load import Row
from costcalc.measured.model import Array, KernelParameters
from costcalc.specs.efficiency import FitError, MachineFit
from costcalc.specs.serving import Quantiles

LOW, HIGH = 0.1, 0.9
"""Quantiles of the left-out residuals that a range spans: 80%."""
_TIMES = ("launch", "quantize_launch", "latency")


def fit(
    kind: str,
    rows: Sequence[Row],
    *,
    source: str,
    date: str,
    around: Mapping[str, KernelParameters] | None = None,
) -> dict[str, dict[str, Any]]:
    """Fit the kernels of one kind; return their curves with errors and ranges, ready for KernelEfficiency.

    kind: of kernel measurement. rows: the points; those excluded by rule are not used.
    source: where the points come from. date: of the fit, '2026-11-23'.
    around: an earlier fit by op to stay close to, as for a few points of one machine; else the priors.
    """
    result = cross_validate(kind, rows, around)
    return {residuals.kernel.model.op: _entry(result, residuals, source, date) for residuals in result.residuals}


def kernels_yaml(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the text of kernels.yaml that holds fitted curves by op."""
    lines = [
        "# Efficiency of single kernels, written by the fit of measurements/ (see docs/accuracy.md).",
        "# A parameter is the global value times the multipliers of the row's family, kernel, precision ...;",
        "# members that are not listed keep 1. Shares are capped at 1, so that no time beats the roofline.",
        "# ranges: observed over predicted, at 10% and 90% of points left out of the fit.",
    ]
    for op, entry in entries.items():
        lines.append(f"{op}:")
        lines.append(f"  parameters: {_flow(entry['parameters'])}")
        if entry["multipliers"]:
            lines.append("  multipliers:")
            for level, members in entry["multipliers"].items():
                lines.append(f"    {level}:")
                lines += [f"      {member}: {_flow(factors)}" for member, factors in members.items()]
        lines.append("  fit:")
        lines += [f"    {key}: {_flow(value)}" for key, value in entry["fit"].items()]
    return "\n".join(lines) + "\n"


def machines_yaml(machines: Mapping[str, Mapping[str, MachineFit]]) -> str:
    """Return the text of machines.yaml that holds what was found on machines.

    machines: fits by GPU and kernel.
    """
    lines = [
        "# Efficiency of machines that were measured, written by `costcalc calibrate`: factors on the parameters of",
        "# the shipped hardware_profiles/efficiency/kernels.yaml. Used from hardware_profiles/efficiency/machines.yaml",
        "# in a catalog of your own: --catalog DIR, COSTCALC_CATALOG, or the configuration folder of costcalc.",
        "# gpu_left_out: error of the shipped fit on the same points; shape_left_out: of every shape without its own.",
        "machines:",
    ]
    for gpu, fits in machines.items():
        lines.append(f"  {gpu}:")
        for op, machine in fits.items():
            lines += [f"    {op}:", f"      factors: {_flow(machine.factors)}", "      fit:"]
            record = asdict(machine.fit)
            lines += [f"        {key}: {_flow(value)}" for key, value in record.items()]
    return "\n".join(lines) + "\n"


def _entry(result: CrossValidated, residuals: Residuals, source: str, date: str) -> dict[str, Any]:
    known = result.parameters[residuals.kernel.model.op]
    return {
        "parameters": {name: _shown(name, value) for name, value in known.values.items()},
        "multipliers": _multipliers(known),
        "fit": {
            "points": len(residuals.kernel),
            "gpus": sorted({str(name) for name in residuals.kernel.features["gpu"]}),
            "source": source,
            "date": date,
            "in_sample": asdict(fit_error(residuals.in_sample)),
            "gpu_left_out": asdict(fit_error(residuals.gpu_left_out)),
            "shape_left_out": asdict(fit_error(residuals.shape_left_out)),
            "ranges": {
                "known": asdict(residual_range(residuals.shape_left_out)),
                "unseen": asdict(residual_range(residuals.gpu_left_out)),
            },
        },
    }


def _multipliers(known: KernelParameters) -> dict[str, dict[str, dict[str, float]]]:
    return {
        level: {
            member: {name: float(f"{factor:.3g}") for name, factor in factors.items()}
            for member, factors in members.items()
        }
        for level, members in known.multipliers.items()
    }


def fit_error(residuals: Array) -> FitError:
    """Return the errors of residuals ln(predicted / measured)."""
    off = np.abs(np.expm1(residuals))
    return FitError(
        median_ape=round(float(np.median(off)), 3),
        mape=round(float(off.mean()), 3),
        bias=round(float(np.median(residuals)), 3),
    )


def residual_range(residuals: Array) -> Quantiles:
    """Return observed over predicted at LOW and HIGH, a little wider for few points.

    residuals: ln(predicted / measured).
    """
    spare = 1 / (len(residuals) + 1)
    low, high = np.quantile(-residuals, [max(LOW - spare, 0.0), min(HIGH + spare, 1.0)])
    return Quantiles(low=round(float(np.exp(min(low, -0.02))), 3), high=round(float(np.exp(max(high, 0.02))), 3))


def _shown(name: str, value: float) -> float | str:
    return f"{value * 1e6:.3g} us" if name in _TIMES else float(f"{value:.3g}")


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and (any(mark in value for mark in ",:#[]{}'") or value[:1].isdigit()):
        return value if value.endswith(" us") else "'" + value.replace("'", "''") + "'"
    return f"{value:.10g}" if isinstance(value, float) else str(value)
