"""Serving measurements: names and formats that sources use, bounds, ranges, and errors on the shipped rows."""

import json
import shlex

import numpy as np
import pytest

from costcalc.catalog.catalog import Catalog
from costcalc.cli import main
from costcalc.hardware.efficiency import UNTUNED
from costcalc.validation.files import Row, shipped_measurements
from costcalc.validation.serving.fit import PARAMETERS, fit_serving, serving_yaml, values_of, with_values
from costcalc.validation.serving.rows import find_model, serving_groups, serving_row
from costcalc.validation.serving.score import LABELS, as_serving_row, measured_of, resolve, score_serving, serving_class

ROWS = shipped_measurements("e2e").rows

CATALOG = Catalog()


def row(**changes: object) -> Row:
    base: Row = {
        "gpu": "H200-SXM-141GB", "n_gpus": 8.0, "model": "Llama-3.1-70B", "dtype": "fp8", "kv_dtype": "fp8",
        "framework": "vllm", "version": "", "tp": 8.0, "pp": 1.0, "ep": 1.0, "dp_attn": 1.0, "isl": 1024.0,
        "osl": 1024.0, "concurrency": 64.0, "ttft_ms": 300.0, "tpot_ms": 20.0, "out_tok_s_gpu": None, "suspect": "",
        "kind": "online fixed concurrency", "spec": "none", "disagg": 0.0, "date": "", "source": "own measurements",
    }  # fmt: skip
    return {**base, **changes}


@pytest.fixture(scope="module")
def scored() -> list[Row]:
    return score_serving(ROWS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Llama-3.3-70B", "Llama-3.3-70B"),
        ("Qwen3-235B-A22B", "Qwen3-235B-A22B"),
        ("gpt-oss-120b", "gpt-oss-120b"),
        ("DeepSeek-R1-0528", "DeepSeek-R1"),
        ("Llama-3.1-405B-Instruct-FP8", "Llama-3.1-405B"),
        ("nvidia/Qwen3-30B-A3B-FP4", "Qwen3-30B-A3B"),
        ("Mistral-7B", "Mistral-7B-v0.3"),
    ],
)
def test_checkpoints_are_found_by_what_sources_call_them(name: str, expected: str) -> None:
    assert find_model(name, CATALOG).name == expected


@pytest.mark.parametrize(
    ("changes", "weights", "experts", "computed"),
    [
        # nvidia/DeepSeek-R1-FP4 and amd/DeepSeek-R1-MXFP4 quantize the experts; the native release is block-scaled.
        ({"model": "DeepSeek-R1", "dtype": "nvfp4", "gpu": "B200"}, "bf16", "nvfp4", "fp4"),
        ({"model": "DeepSeek-R1", "dtype": "mxfp4", "gpu": "MI355X"}, "fp8_block", "mxfp4", "fp4"),
        ({"model": "DeepSeek-R1", "dtype": "fp8"}, "fp8_block", "fp8_block", "fp8"),
        ({"model": "MiniMax-M2.5", "dtype": "fp8"}, "fp8_block", "fp8_block", "fp8"),
        # OpenAI ships gpt-oss with MXFP4 experts and bf16 attention; Hopper multiplies them in 16 bits.
        ({"model": "gpt-oss-120b", "dtype": "mxfp4"}, "bf16", "mxfp4", "bf16"),
        # Llama and Qwen3 are quantized in all linear layers.
        ({"model": "Llama-3.1-70B", "dtype": "nvfp4", "gpu": "B200"}, "nvfp4", "nvfp4", "fp4"),
        ({"model": "Qwen3-30B-A3B", "dtype": "nvfp4", "gpu": "B200"}, "nvfp4", "nvfp4", "fp4"),
        ({"model": "Llama-3.1-70B", "dtype": "fp16", "gpu": "A100-SXM4-80GB"}, "fp16", "fp16", "fp16"),
    ],
)
def test_formats_mean_what_checkpoints_hold(
    changes: dict[str, object], weights: str, experts: str, computed: str
) -> None:
    formats = serving_row(row(**changes), CATALOG).scenario.formats
    assert (formats.weights.name, formats.experts.name, formats.experts_compute) == (weights, experts, computed)


def test_a_width_that_heads_cannot_be_cut_to_is_attention_data_parallelism() -> None:
    asked = serving_row(row(model="DeepSeek-R1", dtype="fp8", gpu="GB200", n_gpus=144.0, tp=72.0, disagg=1.0), CATALOG)
    layout = asked.deployment.layout
    assert (layout.tp, layout.attention_dp, layout.ep) == (1, 72, 72)


def test_drawn_lengths_are_shorter_than_nominal() -> None:
    drawn = serving_row(row(source="SemiAnalysis InferenceX"), CATALOG).scenario
    assert (drawn.input_tokens, drawn.output_tokens) == pytest.approx((921.6, 921.6))
    assert serving_row(row(), CATALOG).scenario.input_tokens == 1024


def test_every_shipped_row_is_predicted(scored: list[Row]) -> None:
    assert all(np.isfinite(each["predicted"]) and each["predicted"] > 0 for each in scored)
    assert sum(bool(each["excluded"]) for each in scored) <= 7  # whose pools were not recorded


def test_no_prediction_beats_the_roofline(scored: list[Row]) -> None:
    for each in scored:
        if each["quantity"] == "out_tok_s_gpu":
            assert each["predicted"] <= each["ideal"] * 1.0001
        else:
            assert each["predicted"] >= each["ideal"] * 0.9999


def test_ranges_hold_four_in_five(scored: list[Row]) -> None:
    for label in {each["op_class"] for each in scored}:
        part = [each for each in scored if each["op_class"] == label and not each["excluded"]]
        inside = [each["low"] <= each[each["quantity"]] <= each["high"] for each in part]
        assert 0.75 <= np.mean(inside) <= 0.9, label


def test_errors_are_those_that_the_record_states(scored: list[Row]) -> None:
    # Classes as documented are of single results, those that were measured as times per token or to the first one.
    single = [
        each
        for each in score_serving([as_serving_row(row) for row in shipped_measurements("field").rows])
        if each["quantity"] != "out_tok_s_gpu"
    ]
    for name, record in Catalog().serving_efficiency().errors.items():
        rows = single if name.endswith(UNTUNED) else scored
        part = [each["ape"] for each in rows if each["op_class"] == LABELS[name] and not each["excluded"]]
        if name not in ("prefill", "prefill_pools"):  # which stand beside the rows of other classes
            assert len(part) == record.points, name
            assert np.median(part) == pytest.approx(record.in_sample.median_ape, abs=0.02), name


def test_the_roofline_alone_is_half_of_what_dense_models_measure(scored: list[Row]) -> None:
    # efficiency.md: 57% off, 0.43 of the real time per output token.
    part = [each for each in scored if each["op_class"] == LABELS["decode"]]
    assert np.median([each["ideal"] / each["tpot_ms"] for each in part]) == pytest.approx(0.43, abs=0.06)


def test_rows_that_cannot_be_are_named() -> None:
    found = score_serving(
        [
            row(tpot_ms=0.5),
            row(model="no-such-model"),
            row(concurrency=None),
            row(suspect="clock"),
            row(model="Llama-3.1-405B", dtype="bf16", n_gpus=1.0, tp=1.0),
            row(dtype="fp7"),
        ],
    )
    reasons = [each["excluded"] for each in found]
    assert reasons[0] == ""  # shown and counted: the bound is doubted before the row
    assert "faster than the roofline" in found[0]["warning"]
    assert "unknown model" in reasons[1]
    assert "concurrency is empty" in reasons[2]
    assert reasons[3] == "suspect: clock"
    assert reasons[4] == "the weights do not fit at tp 1: taken as 8; a replica of 8 GPUs on 1"
    assert "unknown number type 'fp7'" in reasons[5]


def test_unseen_machines_and_models_have_wider_ranges() -> None:
    known, model, machine, family = score_serving([row(), row(model="Qwen2.5-72B"), row(gpu="H20"), row(gpu="Gaudi3")])

    def width(each: Row) -> float:
        return float(np.log(each["high"] / each["predicted"]))

    assert width(known) < width(model) == pytest.approx(width(machine))
    assert width(family) > width(machine)


def test_the_fit_finds_constants_again_from_its_own_predictions() -> None:
    constants = Catalog().serving_efficiency()
    rows = [each for each in ROWS if each["model"] == "Llama-3.1-70B" and each["gpu"] == "h200-sxm"]
    cases, index, _ = resolve(rows)
    slower = np.array(["vllm.layer" in each.path for each in PARAMETERS])
    truth = with_values(constants, values_of(constants) + 0.1 * slower)
    groups, layers = serving_groups(cases, index), []
    for each in (constants, truth):
        synthetic = [
            {**row, row["quantity"]: row["predicted"], "ttft_ms": row.get("ttft_ms_predicted")}
            for row in score_serving(rows, each)
        ]
        measured = [measured_of(synthetic, group) for group in groups]
        layers.append(fit_serving(groups, measured, constants, rounds=1, steps=3).backends["vllm"].layer)
    assert layers[1] > layers[0] * 1.05


def test_the_written_constants_read_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    from costcalc.catalog.read import load_spec
    from costcalc.hardware.efficiency import ServingEfficiency

    constants = Catalog().serving_efficiency()
    path = tmp_path_factory.mktemp("catalog") / "serving.yaml"
    path.write_text(serving_yaml(constants))
    again = load_spec(ServingEfficiency, path, "efficiency")
    np.testing.assert_allclose(values_of(again), values_of(constants), atol=5e-3)
    assert again.ranges == constants.ranges
    assert again.errors == constants.errors


def test_what_is_scored_is_what_is_printed(scored: list[Row], capsys: pytest.CaptureFixture[str]) -> None:
    """Rows of every class, asked again with the command that stands beside each."""
    asked = [each for each in scored if each["command"]]
    chosen = {id(each): each for each in asked[:: len(asked) // 200]}
    for label in {each["op_class"] for each in asked}:
        chosen |= {id(each): each for each in [each for each in asked if each["op_class"] == label][:5]}
    for each in chosen.values():
        assert main([*shlex.split(each["command"])[1:], "--format", "json"]) == 0
        serving = json.loads(capsys.readouterr().out)["serving"]
        printed = {
            "tpot_ms": (serving["time_per_output_token_s"], 1e3),
            "ttft_ms": (serving["time_to_first_token_s"], 1e3),
            "out_tok_s_gpu": (serving["output_tokens_per_s_per_gpu"], 1.0),
        }
        value, unit = printed[each["quantity"]]
        assert value * unit == pytest.approx(each["predicted"], rel=1e-9), each["command"]
        if each["quantity"] == "tpot_ms":
            assert serving["time_to_first_token_s"] * 1e3 == pytest.approx(each["ttft_ms_predicted"], rel=1e-9)


def test_classes_have_labels() -> None:
    cases, _, _ = resolve(ROWS)
    assert {serving_class(case) for case in cases} <= LABELS.keys()
