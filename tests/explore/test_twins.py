"""The same model with another attention: built by stated rules, compared on one deployment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import costcalc
from costcalc.errors import CostcalcError
from costcalc.explore.search import TIE
from costcalc.model.attention.gqa import GroupedAttention, LowRankAttention
from costcalc.model.attention.mla import LatentAttention
from costcalc.model.spec import ModelSpec
from costcalc.model.variants import VARIANTS, AttentionVariant, attention_variants
from costcalc.report.comparison import comparison_page
from costcalc.report.estimate import pool_size
from costcalc.report.page import plain_page


def twins_of(name: str, *variants: str) -> dict[str, AttentionVariant]:
    return {twin.variant: twin for twin in attention_variants(costcalc.load_model(name), variants)[0]}


def cached_elements(model: ModelSpec) -> float:
    """Elements cached per token in the layers that were replaced."""
    answer = costcalc.estimate(model, "h100", terms="kv", kv_cache="bf16")
    return answer.kv_cache.bytes_per_token / 2


def the_layer(twin: AttentionVariant) -> GroupedAttention | LatentAttention:
    (layer,) = {type(a): a for _, a in twin.model.attention_layers()}.values()
    assert isinstance(layer, GroupedAttention | LatentAttention)
    return layer


def test_twins_of_deepseek_v3_keep_heads_and_take_the_value_dim() -> None:
    twins = twins_of("v3")
    expected = {"MHA": 128, "GQA-32": 32, "GQA-16": 16, "GQA-8": 8, "MQA": 1}
    for name, kv_heads in expected.items():
        layer = the_layer(twins[name])
        assert isinstance(layer, GroupedAttention)
        assert (layer.num_attention_heads, layer.num_key_value_heads) == (128, kv_heads)
        assert layer.head_dim == layer.value_dim == 128
        # All layers, keys and values of 128 elements a head.
        assert cached_elements(twins[name].model) == 61 * 2 * kv_heads * 128
    for name in ("MLA absorbed", "Low rank"):
        assert cached_elements(twins[name].model) == 61 * 576
    # Heads of 128 + 64 for keys and 128 for values, where a runtime caches them expanded.
    assert cached_elements(twins["MLA expanded"].model) == 61 * 128 * 320
    assert list(twins) == [*expected, "MLA absorbed", "MLA expanded", "Low rank", "No cache"]


def test_parameters_of_twins_by_hand() -> None:
    # DeepSeek-V3's layers of 187.1M attention parameters, replaced by q, k, v and o of 128 heads of 128.
    model = costcalc.load_model("v3")
    own = sum(count * layer.parameters(7168) for count, layer in model.attention_layers())
    for name, twin in twins_of("v3").items():
        layer = the_layer(twin)
        if isinstance(layer, GroupedAttention):
            heads = 2 * layer.num_attention_heads * layer.head_dim + 2 * layer.num_key_value_heads * layer.head_dim
            assert twin.model.total_parameters == pytest.approx(model.total_parameters - own + 61 * 7168 * heads), name
        else:
            assert twin.model.total_parameters == model.total_parameters, name


def test_the_control_keeps_heads_and_narrows_them_to_the_latents_size() -> None:
    # 576 cached elements over 2 x 128 heads leave each a width of 2.25.
    layer = the_layer(twins_of("v3")["Low rank"])
    assert isinstance(layer, LowRankAttention)
    assert (layer.num_attention_heads, layer.num_key_value_heads, layer.head_dim) == (128, 128, 2.25)


def test_a_model_without_a_latent_takes_deepseek_v2s_proportions() -> None:
    # arXiv 2405.04434, 2.1.4: d_c = 4 d_h and d_r = d_h / 2, the cache of GQA with 2.25 groups.
    twins = twins_of("llama-3.1-70b")
    layer = the_layer(twins["MLA absorbed"])
    assert isinstance(layer, LatentAttention)
    assert (layer.kv_lora_rank, layer.qk_rope_head_dim, layer.v_head_dim) == (512, 64, 128)
    assert cached_elements(twins["MLA absorbed"].model) == 2.25 * cached_elements(twins["MQA"].model)
    # The model's own attention, 8 KV heads for 64, is among its twins.
    assert twins["GQA-8"].model.total_parameters == costcalc.load_model("llama-3.1-70b").total_parameters


def test_groups_that_do_not_divide_are_left_out() -> None:
    # 40 heads: groups of 4 and 8 query heads, none of 16; and 3 KV heads are no share of them.
    assert [name for name in twins_of("llama-2-13b") if name.startswith("GQA")] == ["GQA-10", "GQA-5"]
    twins, left_out = attention_variants(costcalc.load_model("llama-2-13b"), ["gqa:8", "gqa:3"])
    assert [twin.variant for twin in twins] == ["GQA-8"]
    assert left_out == ["gqa:3 is left out: 40 heads of Llama-2-13B cannot share 3 KV heads evenly"]
    with pytest.raises(CostcalcError, match="none of them can be built on Llama-2-13B: gqa:3 is left out"):
        attention_variants(costcalc.load_model("llama-2-13b"), ["gqa:3"])


def test_variants_of_ones_own_cache_what_papers_say() -> None:
    # Elements per token and layer: GQA 2·K·d_h; MLA d_c + d_r (arXiv 2405.04434, table 1). Llama-3.1-70B: 80 layers.
    names = ("gqa:16", "GQA-8", "mla:256", "mla:512/32", "window:4k", "window:4k/4", "kda:3/4", "linear:1/1")
    twins = twins_of("llama-3.1-70b", *names)
    own = 2 * 8 * 128
    expected = {
        "GQA-16": 80 * 2 * 16 * 128, "GQA-8": 80 * own, "MLA 256": 80 * (256 + 64), "MLA 512/32": 80 * (512 + 32),
        "SWA 4,000": 0, "SWA 4,000/4": 20 * own, "KDA 3/4": 20 * own, "Linear 1/1": 0,
    }  # fmt: skip
    assert {name: cached_elements(twin.model) for name, twin in twins.items()} == expected


def test_layers_are_mixed_in_the_order_of_papers() -> None:
    # Kimi Linear (arXiv 2510.26692): three KDA layers, then a full one.
    model = twins_of("llama-3.1-70b", "kda:3/4")["KDA 3/4"].model
    kinds = [model.attention[group.attention[0]].kind for group in model.layers for _ in range(group.count)]
    assert kinds == ["kda", "kda", "kda", "grouped"] * 20
    # DeepSeek-V3 has 61 layers of two makes: 15 runs of four, and one more.
    model = twins_of("v3", "kda:3/4")["KDA 3/4"].model
    assert model.num_layers == 61
    assert sum(count for count, layer in model.attention_layers() if layer.kind == "kda") == 46


def test_sparse_attention_on_deepseek_v3_is_deepseek_v3_2() -> None:
    # DeepSeek-V3.2-Exp continues V3.1 with an indexer and its top 2,048 tokens.
    [twin] = twins_of("v3", "dsa:2048").values()
    assert twin.model.attention_name == costcalc.load_model("deepseek-v3.2").attention_name
    assert twin.model.total_parameters == pytest.approx(costcalc.load_model("deepseek-v3.2").total_parameters)


def test_the_first_variant_named_is_the_reference() -> None:
    found = costcalc.compare_attention("v3", "h100", variants=["mla", "gqa:8", "gqa:7", "mla"], context=32_000)
    assert [row.variant for row in found.rows] == ["MLA absorbed", "GQA-8"]
    assert found.rows[0].cost_ratio == 1 and found.rows[1].cache_ratio == 576 / (2 * 8 * 128)
    assert "gqa:7 is left out: 128 heads of DeepSeek-V3 cannot share 7 KV heads evenly" in found.notes
    curves = costcalc.attention_curves("v3", "h100", variants=["mla", "gqa:8"]).curves
    assert [curve.variant for curve in curves] == ["MLA absorbed", "GQA-8"]


@pytest.mark.parametrize("name", ["v3", "llama-3.1-8b", "qwen3-next-80b-a3b", "gpt-oss-120b", "deepseek-v3.2"])
def test_every_variant_is_built_and_named_once(name: str) -> None:
    twins, left_out = attention_variants(costcalc.load_model(name), VARIANTS)
    assert len(twins) + len(left_out) == len(VARIANTS)
    for twin in twins:
        layers = costcalc.load_model(name).num_layers
        assert twin.model.num_layers == layers and twin.rule


def test_a_limit_of_time_and_what_prefill_takes_are_told() -> None:
    short, long = (
        costcalc.compare_attention("v3", "h100", context=context, disaggregated=False) for context in (4096, 65_536)
    )
    assert short.title.endswith("attention replaced, prefill and decode in one pool, under 50 ms per token")
    assert not any("Prefill takes" in note for note in short.notes)
    [told] = [note for note in long.notes if "Prefill takes" in note]
    assert "--pools apart" in told and "--terms kv" in told
    most = max(row.estimate.serving.prefill_share or 0.0 for row in long.rows)
    assert f"up to {most:.0%}" in told
    apart = costcalc.compare_attention("v3", "h100", context=65_536, disaggregated=True, variants=["mla", "mqa"])
    assert not any("Prefill takes" in note or "control" in note for note in apart.notes)
    assert costcalc.compare_attention("v3", "h100", batch=16).title.endswith("attention replaced")
    assert "Low rank and No cache are controls of cost" in " ".join(short.notes)


@pytest.mark.parametrize(
    "compared",
    [
        lambda **given: costcalc.compare_models(["llama-3.1-70b", "gpt-oss-120b"], "h100", **given),
        lambda **given: costcalc.compare_gpus(["h100", "h200"], "llama-3.1-70b", **given),
        lambda **given: costcalc.compare_attention("llama-3.1-70b", "h100", variants=["gqa:8", "mla"], **given),
    ],
)
def test_all_comparisons_keep_prompts_apart_by_one_rule(compared: Callable[..., costcalc.Comparison]) -> None:
    # A list is decided as a whole, by its longest context: rows of a table stay comparable along it.
    auto, one, apart = (compared(contexts=["4k", "64k"], **way) for way in ({}, PLAIN, {"disaggregated": True}))
    assert ", prefill on a pool of its own, under 50 ms per token" in auto.title
    assert ", prefill and decode in one pool, under 50 ms per token" in one.title
    assert [row.estimate.cost for row in auto.rows] == [row.estimate.cost for row in apart.rows]
    assert {row.estimate.workload.disaggregated for row in one.rows} == {False}
    assert any("--pools one asks for that" in note for note in auto.notes)
    assert any("--pools apart puts it on a pool" in note for note in one.notes)
    assert {each.override for row in auto.rows for each in row.estimate.assumptions if each.name == "pools"} == {
        "--pools one"
    }
    page = plain_page(comparison_page(auto))
    pool = auto.rows[0].estimate.serving.prefill_gpus or 0.0
    assert f"{auto.rows[0].estimate.deployment.gpus} + {pool_size(pool)}" in page or "for prefill in every row" in page
    assert "$/M out and decode tok/s GPU are of those that decode" in page
    unasked = compared()
    assert not any(row.estimate.workload.disaggregated for row in unasked.rows) and "pool" not in unasked.title


@pytest.mark.parametrize(
    ("model", "variant", "period"), [("gpt-oss-120b", "window:128/2", 2), ("gemma-3-27b", "window:1024/6", 6)]
)
def test_windows_of_a_model_that_ships_them_are_its_own(model: str, variant: str, period: int) -> None:
    # gpt-oss alternates windows of 128 with full layers; Gemma 3 has 5 local layers of 1,024 to a global one.
    found = costcalc.compare_attention(model, "h100", variants=[variant], context=32_000)
    assert found.rows[0].estimate.kv_cache == replace(
        costcalc.estimate(model, "h100", context=32_000).kv_cache,
        bytes_per_token_per_gpu=found.rows[0].estimate.kv_cache.bytes_per_token_per_gpu,
    )
    assert any(f"1 layer in {period} full" in note for note in found.notes)
    plain = costcalc.compare_attention(model, "h100", variants=["mqa"], context=32_000)
    assert any(f"replace its windows, too: --variants {variant} has them" in note for note in plain.notes)
    assert not any("--variants" in note for note in found.notes)


PLAIN = {"disaggregated": False}
LADDER = ["gqa:32", "gqa:16", "gqa:8", "mla", "mqa"]
"""Variants of DeepSeek-V3 by the bytes that they cache of a token, most first."""


def test_at_long_contexts_prompts_have_a_pool_of_their_own_in_every_row() -> None:
    # What is asked about is decoding at a context: prompts as long as it are a default, and must not decide.
    found = costcalc.compare_attention("v3", "h100", context="128k", variants=LADDER)
    assert found.title.endswith("attention replaced, prefill on a pool of its own, under 50 ms per token")
    assert all(row.estimate.workload.disaggregated for row in found.rows)
    [told] = [each for each in found.rows[0].estimate.assumptions if each.name == "pools"]
    assert told.override == "--pools one" and "of a row's GPU time" in told.why
    assert any("--pools one" in note for note in found.notes)
    costs = [row.estimate.cost.usd_per_million_output_tokens or 0.0 for row in found.rows]
    caches = [row.estimate.kv_cache.bytes_per_token for row in found.rows]
    assert caches == sorted(caches, reverse=True) and costs == sorted(costs, reverse=True)
    curves = costcalc.attention_curves("v3", "h100", context="128k", variants=LADDER).curves
    drawn = [
        curve.numbers["cost.usd_per_million_output_tokens"][list(curve.contexts).index(128_000)] for curve in curves
    ]
    assert drawn == pytest.approx(costs)


@pytest.mark.parametrize(
    "told", [{"context": "4k"}, {"input_tokens": "64k"}, {"context": "64k", "disaggregated": False}, {"terms": "kv"}]
)
def test_elsewhere_prompts_stay_in_the_one_pool(told: dict[str, Any]) -> None:
    found = costcalc.compare_attention("v3", "h100", variants=["mla", "mqa"], **told)
    assert not any(row.estimate.workload.disaggregated for row in found.rows)
    assert ("prefill and decode in one pool" in found.title) is ("context" in told)
    assert "of its own" not in found.title


def test_at_a_million_tokens_ranks_share_the_latent() -> None:
    # A latent is copied to every rank of a tensor-parallel group; vLLM's --decode-context-parallel-size splits it.
    found = costcalc.compare_attention("v3", "h100", context="1M", variants=["mla", "gqa:8"], gpus=16)
    mla, grouped = (row.estimate for row in found.rows)
    assert mla.deployment.context_parallel == mla.deployment.tensor_parallel == 8
    assert grouped.deployment.context_parallel == 1  # its 8 heads lie on a rank each
    whole = costcalc.compare_attention("v3", "h100", context="1M", variants=["mla"], gpus=24, context_parallel=1)
    assert mla.memory.max_sequences > whole.rows[0].estimate.memory.max_sequences


@pytest.mark.parametrize("apart", [False, True])
def test_weighed_context_parallelism_is_the_best_of_all_degrees(apart: bool) -> None:
    def seconds(degree: int | str) -> float:
        given = {"gpus": 8, "context": "64k", "disaggregated": apart, "context_parallel": degree}
        return costcalc.estimate("v3", "h200", **given).cost.usd_per_million_blended_tokens or 0.0

    best = min(seconds(degree) for degree in (1, 2, 4, 8))
    assert 0 < seconds("auto") <= best * TIE


def test_states_stay_as_they_are() -> None:
    # A hybrid keeps its recurrent layers: only layers that cache keys and values per token are replaced.
    model = costcalc.load_model("qwen3-next-80b-a3b")
    kinds = {label: layer.kind for label, layer in model.attention.items()}
    for twin in attention_variants(model)[0]:
        for label, kind in kinds.items():
            if kind == "gated_deltanet":
                assert twin.model.attention[label] == model.attention[label]


def test_a_model_that_caches_nothing_has_no_twins() -> None:
    model = costcalc.load_model("qwen3-next-80b-a3b")
    layers = tuple(g for g in model.layers if all(model.attention[x].kind == "gated_deltanet" for x in g.attention))
    assert layers
    with pytest.raises(CostcalcError, match="no attention whose keys and values could be replaced"):
        attention_variants(replace(model, layers=layers))


@pytest.fixture(scope="module")
def compared() -> costcalc.Comparison:
    return costcalc.compare_attention("v3", "h100", contexts=(4096, 32_768))


def test_grouping_divides_the_cache_by_exactly_the_group(compared: costcalc.Comparison) -> None:
    ratios = {row.variant: row.cache_ratio for row in compared.rows}
    for group in (4, 8, 16):
        assert ratios[f"GQA-{128 // group} @ 4,096"] == group
    assert ratios["MQA @ 4,096"] == 128
    assert ratios["MLA absorbed @ 4,096"] == pytest.approx(2 * 128 * 128 / 576)  # 56.9
    assert ratios["MHA @ 4,096"] == 1
    assert ratios["No cache @ 4,096"] is None


def test_every_variant_stands_on_the_same_gpus_at_every_context(compared: costcalc.Comparison) -> None:
    assert {row.estimate.deployment.gpus for row in compared.rows} == {16}
    assert {row.estimate.workload.context_tokens for row in compared.rows} == {4096, 32_768}
    assert compared.contexts == (4096, 32_768)
    assert len(compared.rows) == 2 * 9


def test_costs_are_related_to_the_first_row_of_their_context(compared: costcalc.Comparison) -> None:
    costs = {row.variant: row.estimate.cost.usd_per_million_output_tokens or 0.0 for row in compared.rows}
    for row in compared.rows:
        reference = costs["MHA @" + row.variant.partition("@")[2]]
        assert row.cost_ratio == pytest.approx(costs[row.variant] / reference)


def test_no_cache_is_the_dearest(compared: costcalc.Comparison) -> None:
    # Why caches exist: every token would prefill its whole context again.
    for context in ("4,096", "32,768"):
        rows = [row for row in compared.rows if row.variant.endswith(f"@ {context}")]
        dearest = max(rows, key=lambda row: row.estimate.cost.usd_per_million_output_tokens or 0)
        assert dearest.variant == f"No cache @ {context}"
        assert dearest.estimate.kv_cache.bytes_per_token == 0


def test_notes_say_the_rule_and_the_parameters(compared: costcalc.Comparison) -> None:
    notes = "\n".join(compared.notes)
    assert "Low rank: 128 heads × 2.25" in notes
    assert "MHA: 128 heads × 128; 688.3B parameters" in notes


def test_a_variant_that_does_not_fit_says_so_and_has_no_price() -> None:
    # MHA would cache 4 MB a token: 64 sequences of 32k tokens take 8.4 TB, 16 GPUs have 1.2.
    rows = costcalc.compare_attention("v3", "h100", contexts=(32_768,), batch=64).rows
    found = {row.variant: row for row in rows}
    assert found["MHA"].estimate.memory.fits is False
    assert found["MHA"].estimate.cost.usd_per_million_output_tokens is None
    assert found["MHA"].note is not None and "does not fit" in found["MHA"].note
    assert found["MLA absorbed"].estimate.memory.fits


def test_models_and_gpus_are_compared_with_the_first() -> None:
    models = costcalc.compare_models(["llama-3.1-8b", "llama-3.1-70b"], "h100").rows
    assert [row.variant for row in models] == ["Llama-3.1-8B", "Llama-3.1-70B"]
    # 32 against 80 layers of the same 8 KV heads.
    assert models[1].cache_ratio == 32 / 80
    gpus = costcalc.compare_gpus(["h100", "h200"], "llama-3.1-8b").rows
    assert [row.estimate.deployment.gpu for row in gpus] == ["NVIDIA H100 SXM5 80GB", "NVIDIA H200 SXM 141GB"]


def test_a_comparison_as_a_dictionary_has_rows_of_whole_trees() -> None:
    tree = costcalc.compare_models(["llama-3.1-8b"], "h100").to_dict()
    assert tree["rows"][0]["variant"] == "Llama-3.1-8B"
    assert tree["rows"][0]["decode"]["tokens_per_s"] > 0


def test_variants_without_copies_to_share_run_without_context_parallelism() -> None:
    # MHA's heads are divided, each on one rank; MQA's one head and a latent are on all of them (vLLM's --dcp-size).
    found = costcalc.compare_attention("v3", "h200", gpus=8, tensor_parallel=8, context_parallel=2)
    layouts = {row.variant: row.estimate.deployment.context_parallel for row in found.rows if row.note is None}
    assert layouts["MQA"] == layouts["MLA absorbed"] == 2
    alone = {name for name, degree in layouts.items() if degree == 1}
    assert {"MHA", "No cache"} & layouts.keys() <= alone
    [note] = [each for each in found.notes if each.startswith("Without --cp 2, as no ranks of these layouts hold")]
    assert "MHA" in note and "MQA" not in note
    curves = costcalc.attention_curves("v3", "h200", gpus=8, tensor_parallel=8, context_parallel=2)
    assert len(curves.curves) == len(found.rows)
    # Nor where the model itself is one of them.
    assert costcalc.compare_attention("llama-2-7b", "h100", gpus=4, context_parallel=4).rows


def test_what_decides_a_batch_and_what_all_rows_take_are_told() -> None:
    """A batch as large as what fits is marked, replicas are counted together, and one note says what fits them all."""
    found = costcalc.compare_attention(
        "llama-3.1-70b", "h100", variants=["mha", "gqa:8", "gqa:4", "mqa"], context="4k", ttft="2s"
    )
    assert found.title.endswith("under 50 ms per token and 2 s to the first one")
    page = plain_page(comparison_page(found))
    lines = {row.variant: next(each for each in page.splitlines() if f" {row.variant} " in each) for row in found.rows}
    for row in found.rows:
        at, held = row.estimate.deployment, row.estimate.memory.max_sequences
        batch, full = int(row.estimate.workload.batch), row.estimate.workload.batch == held
        assert f" {batch * at.replicas}°{'‡' * full}" in lines[row.variant]
    assert {row.estimate.deployment.replicas for row in found.rows} == {1, 2}
    assert "of all replicas of a row together" in page and "‡ as many as fit" in page
    short = costcalc.compare_attention("v3", "h200", variants=["mha", "gqa:8", "mla"], context="128k")
    needs = [row.needs_gpus for row in short.rows if row.note]
    assert needs and short.notes[-1] == f"All rows fit with --gpus {max(filter(None, needs))}."
    wider = costcalc.compare_attention("v3", "h200", variants=["mha", "gqa:8", "mla"], context="128k", gpus=needs[0])
    assert not [row for row in wider.rows if row.note]


def test_a_variant_has_the_chances_of_a_model_of_its_own() -> None:
    """Two comparisons of the same two say the same: a variant's errors are no more shared than those of a model."""
    base = costcalc.load_model("llama-3.1-70b")
    twins, _ = attention_variants(base, ("gqa:8", "gqa:4"))
    own = [replace(twin.model, name=twin.variant, measured_as=None) for twin in twins]
    asked: dict[str, Any] = {"gpus": 8, "context": "4k", "disaggregated": False}
    variants = costcalc.compare_attention(base, "h100", variants=["gqa:8", "gqa:4"], **asked)
    models = costcalc.compare_models([twins[0].model, own[1]], "h100", **asked)
    assert variants.rows[1].cost_ratio == models.rows[1].cost_ratio
    assert variants.rows[1].chance_cheaper is not None
    assert variants.rows[1].chance_cheaper == models.rows[1].chance_cheaper
