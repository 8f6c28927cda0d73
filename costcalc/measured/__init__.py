"""Measurements: read, predict, score and fit; the engine's numbers against the world's."""

from costcalc.measured.columns import KINDS
from costcalc.measured.load import Measurements, load_measurements, shipped_measurements
from costcalc.measured.record import fit, kernels_yaml
from costcalc.measured.scoring import Summary, score, summary

__all__ = [
    "KINDS",
    "Measurements",
    "Summary",
    "fit",
    "kernels_yaml",
    "load_measurements",
    "score",
    "shipped_measurements",
    "summary",
]
