"""Which of two measured runs was cheaper, and how often the chance that was stated came true."""

from __future__ import annotations

from collections.abc import Sequence
from math import erf
from typing import NamedTuple

import numpy as np

from costcalc.catalog.catalog import Catalog
from costcalc.fields import Array
from costcalc.predict.odds import combination, deviation, deviation_between
from costcalc.validation.files import Row
from costcalc.validation.serving.score import resolve, score_serving

SURE = 0.5, 0.6, 0.7, 0.8, 0.9, 1.0
"""Chances of the one that is predicted to be cheaper, between which pairs are counted together."""


class Tenth(NamedTuple):
    """Pairs whose stated chances are alike."""

    stated: float  # mean
    observed: float  # share of pairs of which the one predicted to be cheaper was
    pairs: int


class Pairs(NamedTuple):
    """Two runs of one quantity each: by number, the chance that the first was cheaper, and whether it was."""

    first: Array
    second: Array
    chance: Array
    cheaper: Array


def pairs_of(rows: Sequence[Row], catalog: Catalog | None = None) -> Pairs:
    """Return all pairs of rows of one quantity, times with times and rates with rates.

    rows: of serving measurements; those that are not scored make no pair.
    """
    catalog = catalog or Catalog()
    constants = catalog.serving_efficiency()
    scored = score_serving(rows, constants, catalog)
    cases, index, _ = resolve(rows, constants, catalog)
    kept = [(at, case) for at, case in zip(index, cases, strict=True) if not scored[at]["excluded"]]
    quantity = np.array([str(scored[at]["quantity"]) for at, _ in kept])
    # What GPUs cost a token: the time that it takes, or one over the rate.
    sign = np.where(quantity == "out_tok_s_gpu", -1.0, 1.0)
    predicted = sign * np.log([float(scored[at]["predicted"]) for at, _ in kept])
    measured = sign * np.log([float(rows[at][str(scored[at]["quantity"])]) for at, _ in kept])
    spread = np.array([deviation(case.scenario) for _, case in kept])
    numbers: dict[object, int] = {}
    same = np.array([numbers.setdefault(combination(case.scenario), len(numbers)) for _, case in kept])
    first, second = np.triu_indices(len(kept), 1)
    comparable = (quantity[first] == quantity[second]) & (measured[first] != measured[second])
    first, second = first[comparable], second[comparable]
    apart = np.asarray(deviation_between(spread[first], spread[second], same[first] == same[second]))
    chance = (1 + np.array([erf(x) for x in (predicted[second] - predicted[first]) / apart / np.sqrt(2)])) / 2
    at = np.array([number for number, _ in kept])
    return Pairs(at[first], at[second], chance, measured[first] < measured[second])


def tenths(pairs: Pairs, kept: Array | None = None) -> list[Tenth]:
    """Return how often the chances stated came true, from even ones to sure ones.

    kept: which pairs are counted; all where None.
    """
    chance, cheaper = (each if kept is None else each[kept] for each in (pairs.chance, pairs.cheaper))
    sure = np.maximum(chance, 1 - chance)
    right = np.where(chance >= 0.5, cheaper, ~cheaper)
    place = np.clip(np.searchsorted(SURE, sure, side="right") - 1, 0, len(SURE) - 2)
    return [
        Tenth(float(sure[place == at].mean()), float(right[place == at].mean()), int((place == at).sum()))
        for at in range(len(SURE) - 1)
        if (place == at).any()
    ]
