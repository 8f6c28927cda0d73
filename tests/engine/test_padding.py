"""Rows that tiles add to what is asked for, against counting tiles."""

import numpy as np
import pytest

from costcalc.catalog.catalog import Catalog
from costcalc.engine.op_times import IDEAL, Efficiency, padding
from costcalc.engine.ops import Op

TILED = Efficiency(expert_tiles={"other": 64, "weight_only": 16})


def experts(rows: float, weights: str = "fp8", precision: str = "fp8") -> Op:
    return Op("routed experts", "experts", 1, 1.0, 1.0, precision=precision, weights=weights, rows=rows)


@pytest.mark.parametrize("rows", [1, 8, 32])
def test_an_expert_with_few_tokens_computes_one_tile(rows: int) -> None:
    # ceil(rows / 64) is 1 for all of them: 64 rows are computed.
    assert padding(experts(rows), TILED) * rows == pytest.approx(64)


@pytest.mark.parametrize("mean", [4, 30, 63, 100, 500])
def test_tokens_at_random_fill_as_many_tiles_on_average(mean: int) -> None:
    drawn = np.random.default_rng(7).poisson(mean, 20_000)
    tiles = 64 * np.ceil(drawn / 64)
    assert padding(experts(mean), TILED) * mean == pytest.approx(tiles.mean(), rel=0.1)


def test_many_tokens_compute_half_a_tile_more_on_average() -> None:
    rows = np.arange(2048, 4096)
    counted = np.mean(64 * np.ceil(rows / 64) - rows)
    added = np.mean([(padding(experts(int(n)), TILED) - 1) * n for n in rows])
    assert added == pytest.approx(counted, abs=1)


def test_unpacked_weights_go_by_marlins_tile() -> None:
    # Marlin's blocks have 16 rows where an expert has few tokens (vLLM, csrc/moe/marlin_moe_wna16).
    assert padding(experts(4, "mxfp4", "bf16"), TILED) == pytest.approx(4)
    assert padding(experts(4, "nvfp4", "fp4"), TILED) == pytest.approx(16)


def test_the_bound_pads_nothing() -> None:
    assert padding(experts(1), IDEAL) == 1
    assert Catalog().serving_efficiency().expert_tiles["other"] == 64
