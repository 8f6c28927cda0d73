"""Measurements: read, predict, score and fit; the engine's numbers against the world's."""

from costcalc.validation.files import KINDS, Measurements, load_measurements, shipped_measurements
from costcalc.validation.kernel_fit import fit, kernels_yaml
from costcalc.validation.score import Summary, score, summary
from costcalc.validation.serving_fit import fit_serving_rows, serving_yaml

__all__ = [
    "KINDS",
    "Measurements",
    "Summary",
    "fit",
    "fit_serving_rows",
    "kernels_yaml",
    "load_measurements",
    "score",
    "serving_yaml",
    "shipped_measurements",
    "summary",
]
