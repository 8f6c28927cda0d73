"""What people type for models and GPUs: parts of names, folders with a config.json; and options given twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import costcalc
from costcalc.catalog.catalog import Catalog, load_model
from costcalc.catalog.files import known_architectures
from costcalc.cli import main
from costcalc.cli.parameters import CHART_KINDS
from costcalc.errors import CostcalcError
from costcalc.units import parse_machine

CONFIG = json.loads((Path(__file__).parents[1] / "catalog" / "configs" / "qwen3-0.6b.json").read_text())
"""As published: https://huggingface.co/Qwen/Qwen3-0.6B/blob/main/config.json"""


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "Qwen3-0.6B"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


@pytest.mark.parametrize(
    ("typed", "meant", "said"),
    [
        ("llama-70b", "llama-3.3-70b", "the newest of llama-2-70b, llama-3-70b, llama-3.1-70b, llama-3.3-70b"),
        ("qwen 3 8b", "qwen3-8b", None),
        ("qwen 8b", "qwen3-8b", "taken for qwen3-8b"),
        ("Gemma 27B", "gemma-3-27b", "the newest of gemma-2-27b, gemma-3-27b"),
        ("nemotron ultra", "nemotron-3-ultra-550b-a55b", "taken for nemotron-3-ultra-550b-a55b"),
    ],
)
def test_part_of_a_models_name_is_taken_where_it_is_clear_and_said(typed: str, meant: str, said: str | None) -> None:
    assert Catalog().find("models", typed).stem == meant
    caveats = " ".join(load_model(typed).caveats)
    assert caveats == "" if said is None else said in caveats


@pytest.mark.parametrize("typed", ["qwen", "deepseek", "mistral small", "llama-4", "70b", "8b", "my llama-70b"])
def test_names_of_several_things_are_never_picked_from(typed: str) -> None:
    with pytest.raises(CostcalcError, match="unknown model"):
        Catalog().find("models", typed)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("7900xtx", "rx-7900-xtx"), ("7900 xtx", "rx-7900-xtx"), ("9070xt", "rx-9070-xt"), ("4090", "rtx-4090"),
     ("h100", "h100-sxm"), ("strix", "strix-halo"), ("pro 6000", "rtx-pro-6000")],
)  # fmt: skip
def test_gpus_by_a_part_of_their_names(typed: str, meant: str) -> None:
    assert parse_machine(typed) == (None, typed)
    assert Catalog().find("hardware_profiles", typed).stem == meant


def test_a_folder_with_a_configuration_is_a_model(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (checkpoint, checkpoint / "config.json"):
        assert main(["estimate", "-m", str(path), "-g", "l40s", "-f", "json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["model"]["parameters"]["total"] == load_model("qwen3-0.6b").total_parameters
        assert any(note.startswith("Imported from ") for note in found["notes"])
    changed = load_model(checkpoint, overrides={"vocab_size": "1000"})
    assert (changed.vocab_size, changed.name) == (1000, "Qwen3-0.6B")


def test_a_folder_without_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CostcalcError, match=r"there is no config\.json in this folder"):
        load_model(tmp_path)


def test_a_model_that_fits_one_card_of_a_server_stays_on_it() -> None:
    assert costcalc.estimate("llama-3.1-8b", "l40s").deployment.gpus == 1
    assert costcalc.estimate("qwen3-8b", "l40s", weights="fp8").deployment.gpus == 1


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (["--batch", "1", "--batch", "2"], "--batch"),
        (["-m", "r1"], "--model"),
        (["--tp", "2", "--tp", "2"], "--tp"),
        (["-f", "json", "--format", "csv"], "--format"),
    ],
)
def test_an_option_of_one_value_is_given_once(words: list[str], flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", "-m", "v3", "-g", "h100", *words]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", f"error: {flag}: it is given twice; keep one\n")


@pytest.mark.parametrize(
    ("words", "some", "none"),
    [
        (["models", "qwen3.5"], "qwen3.5-27b", "qwen3-8b"),
        (["models", "kda"], "kimi-k3", "llama-3-8b"),
        (["gpus", "amd"], "mi300x", "h100-sxm"),
        (["gpus", "hopper"], "h200-sxm", "b200-sxm"),
    ],
)
def test_a_word_behind_models_and_gpus_lists_what_matches(
    words: list[str], some: str, none: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "-f", "json"]) == 0
    found = {each["id"] for each in json.loads(capsys.readouterr().out)}
    assert some in found
    assert none not in found


def test_a_command_that_is_misspelt_is_no_search(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "chek"]) == 2
    assert capsys.readouterr().err == "error: unknown command 'chek'; did you mean 'check'?\n"


def test_a_variant_of_other_weights_is_not_held_to_its_parents_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "short.yaml"
    file.write_text("extends: llama-3.1-8b\nlayers:\n  - {count: 16, attention: gqa, feedforward: dense}\n")
    assert main(["models", "check", str(file)]) == 0
    assert load_model(file).published is None
    file.write_text("extends: llama-3.1-8b\nprecision: {weights: fp8}\n")
    assert load_model(file).published == load_model("llama-3.1-8b").published
    capsys.readouterr()
    file.write_text(
        "extends: llama-3.1-8b\nlayers:\n  - {count: 16, attention: gqa, feedforward: dense}\n"
        "published: {total: 8B, source: card, provenance: seen}\n"
    )
    assert main(["models", "check", str(file)]) == 2
    assert "published.total: the shape gives" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["kda", "latent", "mamba2", "sliding", "gated-deltanet", "compressed"])
def test_a_model_is_begun_with_any_attention(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    assert main(["models", "new", "--attention", kind, "-o", str(file)]) == 0
    assert main(["models", "check", str(file)]) == 0
    [layer] = load_model(file).attention.values()
    assert layer.kind == kind.replace("-", "_")


def test_an_unknown_attention_names_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "new", "--attention", "holographic"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "block_sparse, chunked" in told.err


def test_a_new_gpu_names_the_architectures_and_asks_for_what_is_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new.yaml"
    assert main(["gpus", "new", "-o", str(file)]) == 0
    assert main(["gpus", "check", str(file)]) == 0
    text = file.read_text()
    assert all(name in text for name in known_architectures())
    asked = yaml.safe_load(text)
    needed = {"name", "vendor", "architecture", "memory", "memory_type", "memory_bandwidth", "peak_flops", "node_size"}
    assert asked.keys() == needed | {"sources"}
    capsys.readouterr()
    assert main(["estimate", "-m", "llama-3.1-8b", "-g", str(file), "--price", "2"]) == 0


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("costcalc estimate --gpu h100", {"h100", "h100-sxm", "h100-pcie"}),
        ("costcalc estimate --model v3", {"v3"}),
        ("costcalc estimate --weights int", {"int4", "int8"}),
        ("costcalc estimate --kv q", {"q8_0", "q4_0"}),
        ("costcalc estimate --price s", {"spot"}),
        ("costcalc estimate --backend s", {"sglang"}),
        ("costcalc estimate --emit ll", {"llama.cpp"}),
        ("costcalc estimate --format j", {"json"}),
        ("costcalc estimate --chart-kind r", {"roofline"}),
        ("costcalc sweep --chart-kind s", {"speed"}),
        ("costcalc estimate --mla a", {"absorbed"}),
        ("costcalc estimate --batch a", {"auto"}),
    ],
)
def test_shells_complete_words(
    words: str, completed: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_COSTCALC_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    with pytest.raises(SystemExit):
        main([])
    assert completed <= {*capsys.readouterr().out.split()}


def test_every_command_with_charts_has_its_kinds() -> None:
    assert all(CHART_KINDS.values())
