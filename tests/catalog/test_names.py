"""Names of the whole catalog: what people type means one thing, whichever way they spell it."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from typing import Any

import pytest

from costcalc.catalog.catalog import Catalog, load_gpu, load_model
from costcalc.catalog.names import squeezed
from costcalc.errors import CostcalcError
from costcalc.model.spec import ModelSpec

DATE = re.compile(r"\d{4}(-\d{2}){0,2}")


@cache
def models() -> dict[str, ModelSpec]:
    return {entry.name: load_model(entry.path) for entry in Catalog().entries("models")}


def test_a_name_belongs_to_one_model_or_accelerator_hyphens_or_not() -> None:
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for entry in Catalog().entries("models"):
        for name in (entry.name, models()[entry.name].name, *entry.aliases):
            owners[squeezed(name)].add(f"model {entry.name}")
    for entry in Catalog().entries("hardware_profiles"):
        for name in (entry.name, load_gpu(entry.path).name, *entry.aliases):
            owners[squeezed(name)].add(f"gpu {entry.name}")
    for closed in Catalog().closed_models():
        for name in closed.model.names:
            owners[squeezed(name)].add(f"closed {closed.model.name}")
    assert {name: who for name, who in owners.items() if len(who) > 1} == {}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("rtx4090", "rtx-4090"),
        ("RTX 4090", "rtx-4090"),
        ("NVIDIA H100 SXM5 80GB", "h100-sxm"),  # as an answer names it
        ("gaudi-3", "gaudi3"),
        ("a-100", "a100-80gb-sxm"),
        ("v5e", "tpu-v5e"),
    ],
)
def test_accelerators_as_people_type_them(typed: str, meant: str) -> None:
    assert Catalog().find("hardware_profiles", typed).stem == meant


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("meta-llama/Llama-3.1-70B-Instruct", "llama-3.1-70b"),
        ("Qwen/Qwen3-32B-FP8", "qwen3-32b"),
        ("deepseek-ai/DeepSeek-V3-0324", "deepseek-v3"),
        ("Qwen3-235B-A22B-Instruct-2507", "qwen3-235b-a22b"),
        ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "llama-3.3-70b"),
        ("nvidia/DeepSeek-R1-0528-FP4", "deepseek-r1"),
        ("Qwen/Qwen3-30B-A3B-Thinking-2507", "qwen3-30b-a3b"),
        ("Qwen3-Coder-Next-80B-A3B", "qwen3-coder-next"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen3-coder-30b-a3b"),
        ("Qwen/Qwen3-VL-8B-Thinking", "qwen3-vl-8b"),
        ("zai-org/GLM-5.3-FP8", "glm-5.3-fp8"),
        ("mistralai/Mistral-Small-3.2-24B-Instruct-2506", "mistral-small-3-24b"),
        ("mistralai/Devstral-Small-2507", "mistral-small-3-24b"),
        ("mistralai/Ministral-3-14B-Instruct-2512", "ministral-3-14b"),
        ("baidu/ERNIE-4.5-21B-A3B-Thinking", "ernie-4.5-21b-a3b"),
        ("nvidia/Llama-3_3-Nemotron-Super-49B-v1_5", "llama-3.3-nemotron-super-49b"),
        ("google/gemma-4-E4B-it", "gemma-4-e4b"),
    ],
)
def test_models_as_hubs_name_them(typed: str, meant: str) -> None:
    assert Catalog().find("models", typed).stem == meant


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("qwen3:8b", "qwen3-8b"),
        ("llama3.1:8b", "llama-3.1-8b"),
        ("gpt-oss:20b", "gpt-oss-20b"),
        ("gemma3:27b", "gemma-3-27b"),
        ("qwen3-coder:30b", "qwen3-coder-30b-a3b"),
        ("deepseek-r1:14b", "qwen2.5-14b"),
        ("phi4:latest", "phi-4"),
    ],
)
def test_models_as_ollama_names_them(typed: str, meant: str) -> None:
    assert Catalog().find("models", typed).stem == meant
    assert load_model(typed).caveats  # its checkpoints are quantized, those here are not


def test_a_checkpoint_of_another_format_says_so() -> None:
    found = load_model("Qwen/Qwen3-32B-FP8")
    assert "taken for qwen3-32b, with weights in fp8" in found.caveats[0] and found.precision.weights == "fp8"
    assert load_model("Qwen/Qwen3-32B").caveats == ()
    assert load_model("meta-llama/Llama-3.1-405B").caveats == ()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("H100-SXM5-80GB", "h100-sxm"), ("nvidia-h200", "h200-sxm"), ("AMD Instinct MI300X 192GB", "mi300x")],
)
def test_accelerators_as_clouds_name_them(typed: str, meant: str) -> None:
    assert Catalog().find("hardware_profiles", typed).stem == meant


@pytest.mark.parametrize(
    ("kind", "typed", "suggested"),
    [
        ("models", "qwen3-7b", "qwen3-8b"),  # not qwen2.5-7b, nor qwen3-1.7b
        ("models", "gemma-3-28b", "gemma-3-27b"),
        ("models", "someone/qwen3-33b", "qwen3-32b"),
    ],
)
def test_hints_stay_in_the_family_and_near_in_size(kind: Any, typed: str, suggested: str) -> None:
    with pytest.raises(CostcalcError, match=f"did you mean (one of )?'?{re.escape(suggested)}"):
        Catalog().find(kind, typed)


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("llama-4", "llama-4-maverick, llama-4-scout"),
        ("deepseek-v4", "deepseek-v4-flash, deepseek-v4-pro"),
        ("gemma-3", "gemma-3-12b, gemma-3-1b, gemma-3-27b, gemma-3-4b"),
        ("llama-3.1-405", "'llama-3.1-405b'"),
    ],
)
def test_the_start_of_a_name_lists_what_begins_so(typed: str, suggested: str) -> None:
    with pytest.raises(CostcalcError, match=f"did you mean .*{re.escape(suggested)}"):
        Catalog().find("models", typed)


def test_shown_names_are_file_names_with_capitals() -> None:
    odd = {name for name, spec in models().items() if spec.name.casefold() != name}
    assert odd == {"command-r-plus", "muse-spark-open"}  # 'Command-R+' is no file name; the other is shorter


def test_dates_are_dates_and_no_price_is_older_than_its_model() -> None:
    for name, spec in models().items():
        dates = [each.date for each in spec.api_prices] + [each.date or "" for each in spec.sources]
        assert spec.released and all(DATE.fullmatch(each) for each in [*dates, spec.released]), name
        assert all(price.date[:4] >= spec.released[:4] for price in spec.api_prices), name
    for entry in Catalog().entries("hardware_profiles"):
        released = load_gpu(entry.path).released
        assert released and DATE.fullmatch(released), entry.name


def test_list_prices_are_dear_out_and_cheap_cached() -> None:
    listed = [price for spec in models().values() for price in spec.api_prices]
    listed += [price for entry in Catalog().closed_models() for price in entry.model.api_prices]
    for price in listed:
        assert 0 < price.input_usd_per_million <= price.output_usd_per_million
        assert (price.cached_input_usd_per_million or 0) <= price.input_usd_per_million
