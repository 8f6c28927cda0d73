"""Files that say only what is different: what they take from another entry, and how their mistakes are told."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

import costcalc
from costcalc.catalog.catalog import load_gpu, load_model
from costcalc.cli import main
from costcalc.errors import CostcalcError

CONTRACT = """extends: h100-sxm
price:
  usd_per_gpu_hour: 1.85
  kind: reserved
  source: our contract
  date: "2026-10"
"""


@pytest.fixture
def overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "hardware_profiles").mkdir()
    return tmp_path


def gpu(overlay: Path, name: str, text: str) -> Path:
    path = overlay / "hardware_profiles" / f"{name}.yaml"
    path.write_text(text)
    return path


def test_a_price_of_ones_own_takes_six_lines(overlay: Path) -> None:
    gpu(overlay, "h100-sxm", CONTRACT)
    own, shipped = load_gpu("h100", catalog=overlay), load_gpu("h100")
    price = own.price_for()
    assert price and (price.usd_per_gpu_hour, price.kind, price.source) == (1.85, "reserved", "our contract")
    assert own.price and own.price.note is None  # nothing of the article's price is left
    assert (own.name, own.aliases, own.peak_flops, own.prices) == (
        shipped.name, shipped.aliases, shipped.peak_flops, shipped.prices,
    )  # fmt: skip
    [told] = own.caveats
    assert told == "'h100' is hardware_profiles/h100-sxm.yaml here, not the h100-sxm that costcalc ships."
    assert told in costcalc.estimate("llama-3.1-8b", "h100", catalog=str(overlay), batch=8).notes


def test_an_entry_of_another_name_keeps_its_own(overlay: Path) -> None:
    listed = "prices:\n  - {provider: Us, kind: spot, usd_per_gpu_hour: 0.5, date: '2026-10', source: x}\n"
    gpu(overlay, "big-hopper", f"extends: h100\nmemory: 160 GB\nmemory_reported: null\nruntime_memory: null\n{listed}")
    found = load_gpu("big-hopper", catalog=overlay)
    assert (found.name, found.aliases, found.usable_memory) == ("big-hopper", (), 160e9)
    assert found.caveats == ()
    assert [each.provider for each in found.prices] == ["Us"] and found.price is None  # nobody lets such a machine
    assert load_gpu("h100", catalog=overlay).name == "NVIDIA H100 SXM5 80GB"


def test_groups_are_joined_key_by_key(overlay: Path) -> None:
    (overlay / "models" / "v3-fp4.yaml").write_text("extends: v3\nprecision: {experts: nvfp4}\nmax_context: 65536\n")
    own, shipped = load_model("v3-fp4", catalog=overlay), load_model("v3")
    assert (own.precision.weights, own.precision.experts) == ("fp8_block", "nvfp4")
    assert own.max_context == 65536 and own.total_parameters == shipped.total_parameters
    assert own.hf_id is None


def test_a_layer_of_another_kind_is_replaced_as_a_whole(overlay: Path) -> None:
    layer = "{kind: grouped, num_attention_heads: 128, num_key_value_heads: 8, head_dim: 128}"
    (overlay / "models" / "v3-gqa.yaml").write_text(f"extends: v3\nattention:\n  mla: {layer}\n")
    assert load_model("v3-gqa", catalog=overlay).attention_name == "GQA-8"


def test_what_a_variant_leaves_as_it_is_keeps_its_sources(overlay: Path, capfd: pytest.CaptureFixture[str]) -> None:
    # NVIDIA H100 96GB, as in GH200-class boards: memory and one peak differ from the H100 of the catalog.
    changed = "extends: h100-sxm\nmemory: 96 GB\nmemory_reported: null\nruntime_memory: null\n"
    changed += "peak_flops: {fp8: 1900 TFLOP/s}\n"
    source = "sources:\n  - {fields: [memory, peak_flops.fp8], source: our data sheet, date: '2026-11', "
    path = gpu(overlay, "h100-96gb", f"{changed}{source}provenance: seen}}\n")
    assert main(["gpus", "check", str(path)]) == 0
    own, shipped = load_gpu(str(path)), load_gpu("h100-sxm")
    assert own.sources[0].source == "our data sheet"
    kept = {field for each in own.sources[1:] for field in each.fields}
    assert "memory_bandwidth" in kept and "power" in kept
    assert not {"memory", "peak_flops", "peak_flops.fp8"} & kept
    assert {each.source for each in own.sources[1:]} <= {each.source for each in shipped.sources}
    # What is changed needs a source of its own, and nothing else does.
    capfd.readouterr()
    assert main(["gpus", "check", str(gpu(overlay, "unsourced", changed))]) == 2
    told = capfd.readouterr().err.splitlines()
    assert [line.split(": ")[2] for line in told] == ["memory", "peak_flops.fp8"]
    assert told[0].startswith("error: hardware_profiles/unsourced.yaml:2:")
    # A price has its source beside it.
    assert main(["gpus", "check", str(gpu(overlay, "ours", CONTRACT))]) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: h101\n", "x.yaml:1:10: extends: unknown GPU 'h101'; did you mean 'h100-sxm'?"),
        ("extends: 4\n", "x.yaml:1:10: extends: expected the name of an entry, got 4"),
        ("extends: x\n", "x.yaml:1:10: extends: unknown GPU 'x'"),
        ("extends: ./x.yaml\n", "x.yaml:1:10: './x.yaml' leads back to this file"),
        ("extends: ./absent.yaml\n", "absent.yaml: no such file"),
        ("name: x\nextends: l4\npower: 700 parsecs\n", "x.yaml:3:8: power: '700 parsecs' is not a power"),
        ("extends: l4\nnodesize: 3\n", "x.yaml:2:1: nodesize: unknown key; did you mean 'node_size'?"),
        # What the base has does not go with what is set: the line that brought it in is named.
        ("extends: l4\npeak_flops: null\n", "x.yaml:2:13: peak_flops: expected a mapping"),
    ],
)
def test_mistakes_have_a_line(text: str, message: str, overlay: Path) -> None:
    path = gpu(overlay, "x", text)
    with pytest.raises(CostcalcError) as caught:
        load_gpu(path)
    assert message in str(caught.value)


def test_a_price_that_is_set_loses_the_source_of_another() -> None:
    for name in ("h100", "h200"):  # with a price of its own, and without
        choice = load_gpu(name, overrides={"price.usd_per_gpu_hour": "3"}).price_for()
        assert choice and choice.usd_per_gpu_hour == 3
        assert (choice.source, choice.date) == ("--set gpu.price.usd_per_gpu_hour", date.today().isoformat())
    kept = load_gpu("h100", overrides={"price.usd_per_gpu_hour": "3", "price.source": "a quote"}).price_for()
    assert kept and kept.source == "a quote"


def test_memory_that_is_set_counts() -> None:
    machine = load_gpu("h100", overrides={"memory": "40 GB"})
    assert machine.usable_memory == 40e9
    assert machine.caveats == ("--set gpu.memory: memory_reported, 81559 MiB, is of the card as sold and left out.",)
    both: dict[str, Any] = {"memory": "40 GB", "memory_reported": "39 GB"}
    assert load_gpu("h100", overrides=both).usable_memory == 39e9


def test_the_share_that_metal_gives_the_gpu_stays() -> None:
    # 75% of unified memory: of an M3 Max with 64 GB, recommendedMaxWorkingSetSize is 48 GiB.
    machine = load_gpu("m3-max", overrides={"memory": "64 GB"})
    assert machine.usable_memory == pytest.approx(48 * 2**30)
    assert machine.caveats == (
        "--set gpu.memory: memory_reported, what the system lets the GPU have, stays 96 GiB of 128 GB.",
    )
    assert load_gpu("m3-max", overrides={"memory": "64 GB", "memory_reported": "60 GB"}).usable_memory == 60e9
    with pytest.raises(CostcalcError, match=r"memory: .much. is not a size"):
        load_gpu("m3-max", overrides={"memory": "much"})


def test_a_price_set_by_hand_stands_in_a_comparison() -> None:
    machines = [load_gpu(name, overrides={"price.usd_per_gpu_hour": "3"}) for name in ("h100", "h200")]
    found = costcalc.compare_gpus(machines, "llama-3.1-8b", batch=8)
    assert [row.estimate.deployment.usd_per_gpu_hour for row in found.rows] == [3, 3]


@pytest.mark.parametrize(
    ("load", "file", "message"),
    [
        (load_model, "hardware_profiles/l4.yaml", "this is an accelerator file; name it with --gpu"),
        (load_gpu, "models/phi-4.yaml", "this is a model file; name it with --model"),
    ],
)
def test_files_of_the_other_kind_say_so(load: Any, file: str, message: str) -> None:
    from costcalc.catalog.files import packaged_root

    with pytest.raises(CostcalcError, match=message):
        load(packaged_root() / file)


def test_a_configuration_of_the_hub_is_imported_or_refused_where_it_lacks(overlay: Path) -> None:
    (overlay / "config.json").write_text('{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}')
    with pytest.raises(CostcalcError, match=r"num_hidden_layers: is missing"):
        load_model("config.json")
    (overlay / "config.yaml").write_text((overlay / "config.json").read_text())
    with pytest.raises(CostcalcError, match=r"Hugging Face configuration; .* costcalc models import config.yaml -o"):
        load_model("./config.yaml")


def test_what_others_ask_for_a_gpu_is_not_the_price_of_another(overlay: Path) -> None:
    own = "price: {usd_per_gpu_hour: 5, kind: on-demand, source: our quote, date: '2026-11'}\n"
    gpu(overlay, "ours", f"extends: h100\n{own}")
    assert load_gpu("ours", catalog=overlay).prices == ()
    assert costcalc.estimate("llama-3.1-8b", "ours", catalog=overlay).deployment.price_range is None
    gpu(overlay, "faster", "extends: h100\nmemory_bandwidth: 4 TB/s\n")
    found = load_gpu("faster", catalog=overlay)
    assert (found.price, found.prices) == (None, ())
    gpu(overlay, "renamed", "extends: h100\nnotes: [of rack 4]\n")
    assert load_gpu("renamed", catalog=overlay).prices == load_gpu("h100").prices
    # Derived in Python, it keeps the price that was charged, and says whose that is; one of its own stands alone.
    base = load_gpu("h100")
    derived = base.derive(memory_bandwidth="4 TB/s")
    kept, charged = derived.price_for(), base.price_for()
    assert kept is not None and charged is not None and kept.usd_per_gpu_hour == charged.usd_per_gpu_hour
    assert derived.prices == () and any(f"The price is that of {base.name}" in each for each in derived.caveats)
    assert base.derive({"price.usd_per_gpu_hour": 5}).prices == ()
    with pytest.raises(CostcalcError, match=r"price: expected a mapping, got 5; set a key of it, as price\.usd_per"):
        base.derive(price=5)
