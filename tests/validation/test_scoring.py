"""Scores: the accuracy that is claimed, no row dropped in silence, and a fit that is up to date."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from costcalc.catalog.catalog import Catalog
from costcalc.errors import CostcalcError
from costcalc.validation.files import load_measurements, shipped_measurements
from costcalc.validation.kernels.fit import KERNEL_KINDS, cross_validate, fit
from costcalc.validation.score import binomial_interval, parameters_of, score, summary

TARGETS = {
    "decode_grouped": 0.09,
    "decode_latent": 0.095,
    "prefill": 0.12,
    "gemm": 0.09,
    "experts": 0.15,
    "collective": 0.12,
    "custom_all_reduce": 0.12,
}
"""Median errors that are to be reached with every GPU left out of the fit in turn."""


@pytest.mark.parametrize("kind", KERNEL_KINDS)
def test_errors_with_every_gpu_left_out(kind):
    for residuals in cross_validate(kind, shipped_measurements(kind).rows):
        error = float(np.median(np.abs(np.expm1(residuals.gpu_left_out))))
        assert error <= TARGETS.get(residuals.kernel.model.op, 0.5), residuals.kernel.model.op


@pytest.mark.parametrize("kind", KERNEL_KINDS)
def test_the_shipped_fit_is_that_of_the_shipped_measurements(kind):
    efficiency = Catalog().kernel_efficiency()
    for op, entry in fit(kind, shipped_measurements(kind).rows, source="-", date="2026").items():
        shipped = getattr(efficiency, op)
        assert shipped.fit.points == entry["fit"]["points"]
        assert shipped.fit.gpu_left_out.median_ape == pytest.approx(
            entry["fit"]["gpu_left_out"]["median_ape"], abs=0.01
        )
        for name, value in asdict(shipped.parameters).items():
            fitted = entry["parameters"][name]
            fitted = float(fitted.removesuffix(" us")) * 1e-6 if isinstance(fitted, str) else fitted
            assert value == pytest.approx(fitted, rel=0.02)


@pytest.mark.parametrize("kind", KERNEL_KINDS)
def test_every_shipped_row_is_predicted_and_its_range_is_sound(kind):
    rows = shipped_measurements(kind).rows
    scored = score(kind, rows)
    assert len(scored) == len(rows)
    for row in scored:
        assert 0 < row["ideal"] <= row["predicted"] * (1 + 1e-9)
        assert row["ideal"] <= row["low"] * (1 + 1e-9) and row["low"] <= row["predicted"] * 1.1 < row["high"] * 1.1
    total = summary(scored)
    assert total["n"] + sum(total["excluded"].values()) == len(rows)
    assert total["coverage"] is not None and total["coverage"] >= 0.75
    assert total["median_ape"] is not None and total["median_ape"] < 0.1
    assert total["ideal_median_ape"] is not None and total["ideal_median_ape"] > 0.35


def scored_gemm(tmp_path, *lines):
    path = tmp_path / "rows.csv"
    path.write_text("gpu,dtype,m,n,k,ms,note\n" + "\n".join(lines) + "\n")
    return score("gemm", load_measurements(path).rows)


def test_rows_that_cannot_be_predicted_are_named(tmp_path):
    unknown, odd = scored_gemm(tmp_path, "H900,bf16,1,64,64,1,", "H100,ternary,1,64,64,1,")
    assert unknown["predicted"] is None and "unknown GPU 'H900'" in unknown["excluded"]
    assert odd["predicted"] is None and "unknown number type 'ternary'" in odd["excluded"]
    total = summary([unknown, odd])
    assert total["n"] == 0 and len(total["excluded"]) == 2 and total["median_ape"] is None


def test_rows_that_may_not_be_scored_are_predicted_all_the_same(tmp_path):
    warm, noted, empty, good = scored_gemm(
        tmp_path,
        "H100,bf16,1,8192,8192,0.001,",
        "H100,bf16,1,8192,8192,0.05,cache-warm",
        "H100,bf16,1,8192,8192,,",
        "H100,bf16,1,8192,8192,0.05,",
    )
    assert "faster than the roofline" in warm["excluded"] and noted["excluded"] == "cache-warm"
    assert empty["excluded"] == "not measured" and empty["ape"] is None and good["excluded"] == ""
    assert warm["predicted"] == noted["predicted"] == empty["predicted"] == good["predicted"]


def test_an_unseen_gpu_has_a_wider_range_and_an_unseen_family_the_widest(tmp_path):
    known, family, nothing = scored_gemm(
        tmp_path, "H100,bf16,64,8192,8192,1,", "H20,bf16,64,8192,8192,1,", "MI300X,bf16,64,8192,8192,1,"
    )
    width = [row["high"] / row["predicted"] for row in (known, family, nothing)]
    assert width[0] <= width[1] * 1.05 < width[2]


def test_a_stack_without_a_tuned_kernel_is_known_as_such(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(
        "gpu,kind,framework,kv_dtype,batch,context,q_heads,kv_heads,head_dim,ms\n"
        "A100,MLA,trtllm,bfloat16,4,16384,64,1,576,2\nH100,MLA,trtllm,bfloat16,4,16384,64,1,576,2\n"
    )
    old, new = score("decode_attention", load_measurements(path).rows)
    assert "a fall-back" in old["excluded"] and new["excluded"] == ""


def test_an_unknown_kind():
    with pytest.raises(CostcalcError, match="did you mean 'gemm'"):
        score("gems", [])


def test_a_few_own_points_move_the_shipped_fit_towards_them():
    efficiency = Catalog().kernel_efficiency()
    around = {"gemm": parameters_of(efficiency.gemm)}
    rows = [row for row in shipped_measurements("gemm").rows if row["gpu"] == "h100-sxm"][:12]
    slower = [{**row, "ms": row["ms"] * 1.3} for row in rows]
    base, own = (fit("gemm", each, source="own", date="2026", around=around)["gemm"] for each in (rows, slower))
    assert own["fit"]["points"] == 12 and own["fit"]["gpus"] == ["h100-sxm"]
    assert own["parameters"]["bandwidth"] < base["parameters"]["bandwidth"]
    assert own["fit"]["in_sample"]["median_ape"] < 0.2


def test_nothing_to_fit_is_no_fit():
    row = shipped_measurements("gemm").rows[0]
    assert fit("gemm", [{**row, "ms": None}], source="-", date="2026") == {}


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_of_a_share_are_the_published_ones(successes: int, trials: int, low: float, high: float) -> None:
    # Newcombe 1998 (Statistics in Medicine 17, 857-872), table I, method 3: the score method of Wilson.
    assert binomial_interval(successes, trials) == pytest.approx((low, high), abs=6e-5)
