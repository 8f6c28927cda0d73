"""Fit the efficiencies of hardware_profiles/efficiency/ to what measurements/ holds, and show their errors.

python tools/fit.py kernels|serving|energy DATE writes the file of that name there. Serving takes over an
hour of CPU, cross-validated, and some of what it holds from kernels.yaml: fit that first. Afterwards: python
docs/generate.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from costcalc.catalog.catalog import Catalog
from costcalc.hardware.efficiency import FitError
from costcalc.validation.files import shipped_measurements
from costcalc.validation.kernels.fit import KERNEL_KINDS, fit, kernels_yaml
from costcalc.validation.serving.energy import energy_yaml, fit_energy
from costcalc.validation.serving.fit import LEFT_OUT, fit_serving_rows, serving_yaml
from costcalc.validation.serving.score import as_serving_row

EFFICIENCY = Path(__file__).parent.parent / "hardware_profiles" / "efficiency"
SOURCES = {
    "decode_attention": "aiconfigurator-core 0.12.0",
    "prefill_attention": "aiconfigurator-core 0.12.0",
    "gemm": "aiconfigurator-core 0.12.0 and vidur",
    "moe": "aiconfigurator-core 0.12.0",
    "comm": "aiconfigurator-core 0.12.0 and vidur",
    "e2e": "TensorRT-LLM documentation, Splitwise, InferenceX, aiconfigurator",
}


def fit_kernels(date: str) -> str:
    """Fit the curves of all kernels; return kernels.yaml."""
    entries = {}
    for kind in KERNEL_KINDS:
        rows = shipped_measurements(kind).rows
        entries |= fit(kind, rows, source=f"measurements/{kind}.csv: {SOURCES[kind]}", date=date)
    for op, entry in entries.items():
        record = entry["fit"]
        left = ((name, FitError(**record[name])) for name in ("in_sample", "shape_left_out", "gpu_left_out"))
        print(_line(op, record["points"], left))
    return kernels_yaml(entries)


def fit_serving(date: str) -> str:
    """Fit the constants of serving; return serving.yaml."""
    rows, field = shipped_measurements("e2e").rows, shipped_measurements("field").rows
    single = [as_serving_row(row) for row in field]
    source = f"measurements/e2e.csv: {SOURCES['e2e']}; measurements/field.csv"
    constants = fit_serving_rows(rows, single, source=source, date=date)
    for name, found in constants.errors.items():
        print(_line(name, found.points, ((each, error) for each in LEFT_OUT if (error := getattr(found, each)))))
    return serving_yaml(constants)


def fit_the_energy(date: str) -> str:
    """Fit what GPUs draw; return energy.yaml."""
    found = fit_energy(shipped_measurements("power").rows, Catalog(), date=date)
    print(_line("energy", found.points, found.errors.items()))
    return energy_yaml(found)


def _line(name: str, points: int, errors: Iterable[tuple[str, FitError]]) -> str:
    shown = (f"{each} {error.median_ape:.1%} (mean {error.mape:.1%})" for each, error in errors)
    return f"{name:22} {points:4} points: {', '.join(shown)}"


if __name__ == "__main__":
    fits = {"kernels": fit_kernels, "serving": fit_serving, "energy": fit_the_energy}
    if len(sys.argv) != 3 or sys.argv[1] not in fits:
        sys.exit(__doc__)
    written = fits[sys.argv[1]](sys.argv[2])
    (EFFICIENCY / f"{sys.argv[1]}.yaml").write_text(written, encoding="utf-8")
