"""Results for other programs: the JSON contract and its schema, CSV, and the schemas of the documentation."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from schemacheck import complaints

import costcalc
from costcalc.catalog.catalog import Catalog
from costcalc.catalog.files import CLOSED_MODELS, packaged_root
from costcalc.catalog.yaml import load_yaml
from costcalc.cli import main
from costcalc.cli.catalog import SCHEMAS, schema_named
from costcalc.predict.results import BreakEven, Comparison, Estimate
from costcalc.report.export.files import as_csv, as_json, csv_rows, flattened, steady_columns
from costcalc.report.export.schema import schema_of

ROOT = Path(__file__).parents[2]


def numbers(tree: Any) -> Iterator[float]:
    """Yield every number of a tree."""
    if isinstance(tree, dict):
        for each in tree.values():
            yield from numbers(each)
    elif isinstance(tree, list):
        for each in tree:
            yield from numbers(each)
    elif isinstance(tree, float):
        yield tree


def test_json_is_the_tree(estimate: Estimate) -> None:
    tree = json.loads(as_json(estimate.to_dict()))
    assert tree == json.loads(json.dumps(estimate.to_dict()))
    assert tree["cost"]["usd_per_million_output_tokens_range"] == [0.68, 0.99]
    assert "usd_per_million_blended_tokens_range" not in tree["cost"]
    assert tree["cost"]["usd_per_million_blended_tokens"] is None


def test_json_has_no_numbers_that_json_lacks() -> None:
    assert json.loads(as_json({"a": math.nan, "b": [math.inf, 1.5], "c": (-math.inf,)})) == {
        "a": None,
        "b": [None, 1.5],
        "c": [None],
    }


def test_results_keep_their_schema(estimate: Estimate, comparison: Comparison) -> None:
    schema = schema_of("result")
    for result, name in ((estimate, "Estimate"), (comparison, "Comparison"), (BreakEven("x", estimate), "BreakEven")):
        tree = json.loads(as_json(result.to_dict()))
        assert complaints(tree, schema) == []
        assert complaints(tree, {**schema, "anyOf": [{"$ref": f"#/$defs/{name}"}]}) == []
    broken = estimate.to_dict()
    del broken["decode"]["step_time_s"]
    broken["workload"]["batch"] = "many"
    assert len(complaints(broken, {"$ref": "#/$defs/Estimate", "$defs": schema["$defs"]})) == 2


# The contract: these names and no others may be relied on, so none of them may go.
CONTRACT = {
    "model": {"name": str, "parameters": {"total": float, "active": float}},
    "deployment": {
        **dict.fromkeys(("gpu",), str),
        **dict.fromkeys(
            ("gpus", "tensor_parallel", "pipeline_parallel", "expert_parallel", "attention_data_parallel"), int
        ),
        "precision": dict.fromkeys(("weights", "kv_cache", "activations"), str),
        "usd_per_gpu_hour": float,
    },
    "workload": {
        "batch": int,
        "input_tokens": (int, float),
        "output_tokens": (int, float),
        "context_tokens": (int, float),
    },
    "kv_cache": dict.fromkeys(("bytes_per_token", "bytes_per_token_per_gpu", "bytes_per_sequence"), (int, float)),
    "memory": {
        "fits": bool,
        "weights_bytes_per_gpu": float,
        "kv_pool_bytes_per_gpu": float,
        "max_sequences": int,
    },
    "prefill": {"time_s": float, "tokens_per_s": (int, float)},
    "decode": {
        **dict.fromkeys(("step_time_s", "tokens_per_s", "tokens_per_s_per_gpu", "tokens_per_s_per_user"), (int, float)),
        "bound_by": str,
    },
    "cost": dict.fromkeys(
        (
            "usd_per_million_output_tokens",
            "usd_per_million_input_tokens",
            "usd_per_million_blended_tokens",
        ),
        (float, type(None)),
    ),
    "breakdown": [{"op": str, "flops": (int, float), "bytes": (int, float), "time_s": float, "bound_by": str}],
}


def missing(tree: Any, contract: Any, where: str = "") -> list[str]:
    """Return what a tree lacks of the contract."""
    if isinstance(contract, dict):
        found = [f"{where}.{name}" for name in contract if name not in tree]
        return found + [
            x for name in contract if name in tree for x in missing(tree[name], contract[name], f"{where}.{name}")
        ]
    if isinstance(contract, list):
        return [] if tree and not missing(tree[0], contract[0], where) else [where]
    return [] if isinstance(tree, contract) else [f"{where} is {tree!r}"]


def test_the_contract_is_kept(estimate: Estimate, comparison: Comparison) -> None:
    assert missing(estimate.to_dict(), CONTRACT) == []
    tree = comparison.to_dict()
    assert [each["variant"] for each in tree["rows"]] == ["MLA", "MQA", "MHA"]
    assert missing(tree["rows"][0], CONTRACT) == []


def test_csv_has_a_column_for_each_number(estimate: Estimate, comparison: Comparison) -> None:
    [only] = csv.DictReader(io.StringIO(as_csv(csv_rows(estimate))))
    assert float(only["decode.step_time_s"]) == 0.0358
    assert float(only["cost.usd_per_million_output_tokens_range.low"]) == 0.68
    assert float(only["breakdown.routed experts.time_s"]) == 0.020
    assert only["cost.usd_per_million_blended_tokens"] == "" and only["memory.fits"] == "true"
    assert not any(name.startswith(("assumptions", "notes", "explanation")) for name in only)
    # Every number of the tree stands in exactly one column.
    shown = {name: value for name, value in flattened(estimate.to_dict()) if isinstance(value, float)}
    assert len(shown) == len(list(numbers(estimate.to_dict()))) - len(list(numbers(estimate.to_dict()["explanation"])))
    assert all(float(only[name]) == value for name, value in shown.items())
    rows = list(csv.DictReader(io.StringIO(as_csv(csv_rows(comparison)))))
    assert [each["variant"] for each in rows] == ["MLA", "MQA", "MHA"]
    assert rows[2]["decode.step_time_s"] == "" and rows[2]["breakdown.routed experts.time_s"] == ""


def test_the_columns_of_csv_are_the_same_for_every_model_but_for_its_ops_and_list_prices() -> None:
    steady = steady_columns(Estimate)
    assert len(steady) == len(set(steady)) and not any(name.startswith(("breakdown", "market")) for name in steady)
    for model, gpu, options in (
        ("deepseek-v3", "h100", {"demand": "1B tokens/day"}),
        ("llama-3.1-8b", "a40", {"efficiency": "ideal"}),
        ("gpt-3", "h100", {"terms": "kv"}),
    ):
        answer = costcalc.estimate(model, gpu, **options)
        head, line = list(csv.reader(io.StringIO(as_csv(csv_rows(answer)))))
        assert head[: len(steady)] == steady and len(head) == len(line)
        assert all(name.startswith(("breakdown.", "market.")) for name in head[len(steady) :])
    compared = costcalc.compare_models(["llama-3.1-8b", "deepseek-v3"], "h100")
    head = as_csv(csv_rows(compared)).splitlines()[0].split(",")
    assert head[: len(steady) + 1] == ["variant", *steady]


def test_csv_quotes_what_needs_it() -> None:
    assert as_csv([{"a": 'x, "y"', "b": None}, {"b": 1, "c": math.nan}]) == 'a,b,c\n"x, ""y""",,\n,1,\n'


def test_no_number_is_rounded_on_its_way_out(estimate: Estimate) -> None:
    third = replace(estimate, decode=replace(estimate.decode, step_time_s=1 / 3))
    assert json.loads(as_json(third.to_dict()))["decode"]["step_time_s"] == 1 / 3
    [only] = csv.DictReader(io.StringIO(as_csv(csv_rows(third))))
    assert float(only["decode.step_time_s"]) == 1 / 3


@pytest.mark.parametrize(
    ("schema", "paths"),
    [
        ("model", Catalog().paths("models")),
        ("gpu", Catalog().paths("hardware_profiles")),
        ("closed_models", [packaged_root() / "models" / CLOSED_MODELS]),
    ],
    ids=["models", "gpus", "closed models"],
)
def test_catalog_files_keep_the_schema_that_editors_use(schema: str, paths: list[Path]) -> None:
    rules = schema_of(schema)
    for path in paths:
        data, _ = load_yaml(path)
        assert complaints(data, rules) == []


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_schemas_of_the_documentation_are_current(kind: str) -> None:
    published = ROOT / "docs" / "schemas" / f"{kind}.json"
    if not published.parent.is_dir():
        pytest.skip("no documentation here")
    assert published.read_text(encoding="utf-8") == as_json(schema_named(kind)), "run python docs/generate.py"


def test_sweeps_keep_their_schema() -> None:
    from costcalc.explore.spaces.sweep import CELL

    schema = schema_of("sweep")
    for options in ({"batch": [1, 4096]}, {"memory_bandwidth": ["1TB/s", "2TB/s"], "efficiency": "ideal"}):
        sweep = costcalc.sweep("llama-3.1-8b", "h100", gpus=1, **options)
        tree = json.loads(as_json(sweep.to_dict()))
        assert complaints(tree, schema) == []
        told = {
            group: [name for name in part if not name.endswith("_range")] for group, part in tree["rows"][0].items()
        }
        expected = {group: list(names) for group, names in CELL.items()}
        if "batch" in options:
            expected["deployment"].remove("memory_bandwidth")
        assert told == expected
    tree["rows"][0]["cost"]["usd_per_million_output_tokens"] = "$1"
    assert complaints(tree, schema)


def test_a_sweep_as_csv_has_a_line_for_every_cell() -> None:
    sweep = costcalc.sweep("llama-3.1-8b", "h100", batch=[1, 4096], price=[1, 2], gpus=1)
    lines = list(csv.DictReader(io.StringIO(as_csv(csv_rows(sweep)))))
    assert [(line["workload.batch"], line["memory.fits"]) for line in lines] == [
        ("1", "true"), ("1", "true"), ("4096", "false"), ("4096", "false"),
    ]  # fmt: skip
    assert float(lines[1]["cost.usd_per_million_output_tokens"]) > 0
    assert lines[2]["cost.usd_per_million_output_tokens"] == "" == lines[2]["decode.bound_by"]


def test_validations_keep_their_schema() -> None:
    from costcalc.validation.files import shipped_measurements
    from costcalc.validation.score import validate

    schema = schema_of("validation")
    tree = json.loads(as_json(validate([shipped_measurements("moe")]).to_dict()))
    assert complaints(tree, schema) == []
    assert tree["rows"]
    del tree["rows"][0]["predicted"]
    assert complaints(tree, schema)


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (["models", "list"], "models-list"),
        (["models", "list", "--closed"], "models-list"),
        (["models", "show", "v3"], "models-show"),
        (["models", "show", "deepseek-v4-pro"], "models-show"),
        (["models", "show", "gpt-4o"], "models-show"),
        (["gpus", "list"], "gpus-list"),
        (["gpus", "show", "h100"], "gpus-show"),
        (["gpus", "show", "a40"], "gpus-show"),
    ],
)
def test_lists_and_entries_keep_their_schema(command: list[str], kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--format", "json"]) == 0
    tree, rules = json.loads(capsys.readouterr().out), schema_of(kind)
    assert complaints(tree, rules) == []


def test_a_file_that_extends_another_satisfies_the_schema_of_editors() -> None:
    rules = schema_of("gpu")
    assert complaints({"extends": "h100-sxm", "power": "350 W"}, rules) == []
    assert complaints({"power": "350 W"}, rules) != []
