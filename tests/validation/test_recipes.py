"""What InferenceX's public recipes set, as its scripts say (github.com/SemiAnalysisAI/InferenceX, benchmarks/)."""

import math

import pytest

from costcalc.catalog.catalog import Catalog
from costcalc.errors import CostcalcError
from costcalc.predict.scenario import month_of
from costcalc.validation.files import Row
from costcalc.validation.serving.rows import condition, serving_row

CATALOG = Catalog()


def row(**changes: object) -> Row:
    base: Row = {
        "gpu": "b200-sxm", "n_gpus": 8.0, "model": "DeepSeek-R1", "dtype": "fp8", "kv_dtype": "fp8",
        "framework": "sglang", "version": "", "tp": 8.0, "pp": 1.0, "ep": 1.0, "dp_attn": 1.0, "isl": 1024.0,
        "osl": 1024.0, "concurrency": 64.0, "ttft_ms": 300.0, "tpot_ms": 20.0, "out_tok_s_gpu": None, "suspect": "",
        "kind": "online fixed concurrency", "spec": "", "disagg": 0.0, "date": "2026-05-20",
        "source": "SemiAnalysis InferenceX public benchmark API",
    }  # fmt: skip
    return {**base, **changes}


def test_a_row_may_say_how_many_tokens_are_drafted():
    assert serving_row(row(spec="mtp"), CATALOG).scenario.drafts == 1
    assert serving_row(row(spec="mtp1"), CATALOG).scenario.drafts == 1
    assert serving_row(row(spec="none"), CATALOG).scenario.drafts == 0
    with pytest.raises(CostcalcError, match="drafts 99999 tokens"):
        serving_row(row(spec="mtp99999"), CATALOG)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 15),  # dsr1_fp8_b200.sh: --scheduler-recv-interval 30 from 16 requests
        ({"concurrency": 8.0}, 5),  # 10 below
        ({"gpu": "h200-sxm"}, 0),  # dsr1_fp8_h200.sh has no such option
        ({"source": "measurements of our own"}, 0),
        (
            {"framework": "trtllm", "tp": 4.0, "model": "Llama-3.3-70B"},
            20,
        ),  # 70b_fp8_h200_trt_slurm.sh: batch_wait_timeout_iters: 20
        ({"framework": "trtllm", "tp": 4.0, "osl": 8192.0}, 0),
        ({"polling": 7.0}, 7),
    ],
)
def test_requests_are_held_for_the_steps_of_the_recipe(changes, expected):
    assert serving_row(row(**changes), CATALOG).scenario.load.polling_steps == expected


def test_recipes_are_those_of_inferencex_alone():
    assert condition(row(gpu="b200"), "polling") == 15
    assert condition(row(source="somebody else"), "polling") is None


def test_months_are_counted_from_dates():
    assert month_of("2026-06-01") == 12 * 2026 + 5
    assert month_of("2026-07") - month_of("2026-06") == 1
    assert all(math.isnan(month_of(text)) for text in ("", "v0.17", "2026-13", "2026-02-32"))
    [warning] = serving_row(row(date="yesterday"), CATALOG).warnings
    assert warning == "date 'yesterday' is not YYYY-MM-DD: taken as not known"
    assert serving_row(row(), CATALOG).warnings == ()
