"""Cross-validation of serving: models, GPUs and rows predicted by fits that have not seen them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from costcalc.measured.model import Array
from costcalc.measured.serving_fit import QUANTITIES, Measured, fit_serving, quantities
from costcalc.measured.serving_group import ServingGroup
from costcalc.measured.serving_predict import predict_group, split_pools
from costcalc.specs.serving import ServingEfficiency

FOLDS = 5
"""Of the rows left out where GPU and model are known."""
LEFT_OUT = ("in_sample", "rows_left_out", "model_left_out", "gpu_left_out")


@dataclass(frozen=True, slots=True)
class ServingResiduals:
    """ln(predicted / measured): by what was left out, quantity and row; nan where nothing was measured."""

    constants: ServingEfficiency
    groups: tuple[ServingGroup, ...]
    off: dict[str, Array]  # of LEFT_OUT: (quantity, row)


def cross_validate_serving(
    groups: Sequence[ServingGroup], measured: Sequence[Measured], start: ServingEfficiency, rows: int
) -> ServingResiduals:
    """Fit all rows, and predict every model, every GPU and every fifth row by fits without them.

    groups, measured: of `rows` rows of a file, with pools not yet split. start: constants to begin with.
    """
    split = [split_pools(group, start) for group in groups]
    fitted = fit_serving(split, measured, start)
    split = [split_pools(group, fitted) for group in groups]
    fitted = fit_serving(split, measured, fitted, rounds=1)
    labels: dict[str, Callable[[ServingGroup], Array]] = {
        "rows_left_out": lambda group: (group.index * 7919 % FOLDS).astype(str),  # scattered, and the same each time
        "model_left_out": lambda group: np.full(len(group), group.model.name),
        "gpu_left_out": lambda group: group.gpu,
    }
    off = {"in_sample": _off(split, measured, fitted, rows)}
    for name, label in labels.items():
        keys = [label(group) for group in split]
        off[name] = np.full((len(QUANTITIES), rows), np.nan)
        for member in sorted({str(key) for each in keys for key in each}):
            inside = [each == member for each in keys]
            seen = [(g.take(~i), m.take(~i)) for g, m, i in zip(split, measured, inside, strict=True) if not i.all()]
            without = fit_serving([g for g, _ in seen], [m for _, m in seen], fitted, rounds=1, steps=3)
            left = [(g.take(i), m.take(i)) for g, m, i in zip(split, measured, inside, strict=True) if i.any()]
            found = _off([g for g, _ in left], [m for _, m in left], without, rows)
            off[name] = np.where(np.isfinite(found), found, off[name])
    return ServingResiduals(fitted, tuple(split), off)


def _off(
    groups: Sequence[ServingGroup], measured: Sequence[Measured], constants: ServingEfficiency, rows: int
) -> Array:
    off = np.full((len(QUANTITIES), rows), np.nan)
    for group, seen in zip(groups, measured, strict=True):
        found, _ = predict_group(group, constants)
        target = np.stack([seen.tpot, seen.ttft, seen.tokens_per_s_gpu])
        off[:, group.index] = np.log(quantities(group, found)) - np.log(target)
    return off
