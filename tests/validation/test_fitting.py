"""The fit: planted parameters found again, outliers borne, and priors that hold where data do not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from costcalc.engine.latency.kernels import curve_of
from costcalc.validation.kernels.fit import fit_kernel
from costcalc.validation.kernels.rows import DECODE, KernelParameters, KernelRows

TRUTH = KernelParameters(
    {"launch": 9e-6, "bandwidth": 0.8, "flops": 0.5}, {"family": {"hopper": {"flops": 1.2}, "ada": {"flops": 0.8}}}
)


def planted(count=120, seed=0, noise=0.0):
    generator = np.random.default_rng(seed)
    features = {
        "bytes": 10 ** generator.uniform(6, 10, count),
        "flops": 10 ** generator.uniform(8.5, 12.5, count),
        "tile_flops": np.zeros(count),
        "sm_count": np.full(count, 132.0),
        "bandwidth": np.full(count, 3.35e12),
        "peak": np.full(count, 989e12),
        "family": generator.choice(["hopper", "ada"], count),
        "kernel": np.full(count, ""),
    }
    model = DECODE["decode_grouped"]
    rows = KernelRows(model, np.arange(count), features)
    times = model.seconds(features, curve_of(model.curve, TRUTH.values, TRUTH.multipliers, features))
    return rows, times * np.exp(noise * generator.standard_normal(count))


def loose(rows):
    """The same kernel with priors that do not bind."""
    model = rows.model
    priors = {name: dataclasses.replace(prior, spread=10.0) for name, prior in model.priors.items()}
    levels = tuple(dataclasses.replace(level, spread=1.0) for level in model.levels)
    return KernelRows(dataclasses.replace(model, priors=priors, levels=levels), rows.index, rows.features)


def test_planted_parameters_are_found():
    rows, times = planted(noise=0.02)
    found = fit_kernel(loose(rows), times)
    assert found.values["launch"] == pytest.approx(9e-6, rel=0.03)
    for family in ("hopper", "ada"):
        product = found.values["flops"] * found.multipliers["family"][family]["flops"]
        assert product == pytest.approx(0.5 * TRUTH.multipliers["family"][family]["flops"], rel=0.03)


def test_a_tenth_of_wild_points_hardly_moves_it():
    rows, times = planted(noise=0.02)
    wild = times.copy()
    wild[::10] *= 8
    clean, spoilt = fit_kernel(loose(rows), times), fit_kernel(loose(rows), wild)
    for name in ("launch", "flops"):
        assert spoilt.values[name] == pytest.approx(clean.values[name], rel=0.1)


def test_without_evidence_the_priors_stand():
    rows, times = planted(count=1)
    found = fit_kernel(rows, times)
    for name, prior in rows.model.priors.items():
        assert abs(np.log(found.values[name] / prior.value)) < 2.5 * prior.spread
    one = found.multipliers["family"][str(rows.features["family"][0])]["bandwidth"]
    assert one == pytest.approx(1.0, abs=0.2)


def test_the_fit_is_the_same_every_time():
    rows, times = planted(noise=0.1)
    assert fit_kernel(rows, times) == fit_kernel(rows, times)
