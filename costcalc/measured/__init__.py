"""Measurements: read, predict, score and fit; the engine's numbers against the world's."""

from costcalc.measured.columns import KINDS
from costcalc.measured.load import Measurements, load_measurements, shipped_measurements
from costcalc.measured.record import fit, kernels_yaml
from costcalc.measured.scoring import Summary, score, summary
from costcalc.measured.serving_record import fit_serving_rows, serving_yaml

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
