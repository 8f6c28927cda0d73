"""Hugging Face configurations become the models that the catalog has, in files of the catalog's own form."""

from __future__ import annotations

import io
import sys
import time
from datetime import date
from email.message import Message
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.error import HTTPError, URLError

import pytest
from hub_configs import CONFIGS, LLAMA, config, imported, layers, prediction

from costcalc.catalog.catalog import load_model
from costcalc.catalog.huggingface import hub as web
from costcalc.catalog.huggingface.importer import MODELINE, import_model, known_architectures, model_yaml
from costcalc.catalog.read import load_spec
from costcalc.catalog.yaml import parse_yaml
from costcalc.errors import CostcalcError
from costcalc.model.spec import ModelSpec

STORED = sorted(path.stem for path in CONFIGS.glob("*.json"))
FIELDS = (
    "family", "hidden_size", "vocab_size", "tied_embeddings", "max_context", "position_embeddings", "norm_bias",
    "norms_per_sublayer", "parallel_block", "residual_streams", "other_parameters", "precision", "total_parameters",
    "active_parameters",
)  # fmt: skip
UNTIED = "the class ties embeddings and LM head, of which the checkpoint stores two copies"
ROWS = "the class keeps 64 rows for images that the text model alone does without"
UNSAID = "recalled in the catalog; the configuration does not say"
DIFFERENT = {
    ("falcon-7b", "tied_embeddings"): UNTIED,
    ("falcon-7b", "total_parameters"): UNTIED,
    ("falcon-40b", "tied_embeddings"): UNTIED,
    ("falcon-40b", "total_parameters"): UNTIED,
    ("gemma-3-4b", "vocab_size"): ROWS,
    ("gemma-3-4b", "total_parameters"): ROWS,
    ("gemma-3-4b", "active_parameters"): ROWS,
    ("gemma-3-27b", "vocab_size"): ROWS,
    ("gemma-3-27b", "total_parameters"): ROWS,
    ("gemma-3-27b", "active_parameters"): ROWS,
    ("command-r-plus", "precision"): "the checkpoint is in fp16, which GPUs of today run like bf16",
    ("olmo-2-7b", "precision"): "the checkpoint is in fp32, and is run in bf16",
    ("mimo-v2-flash", "mtp"): UNSAID,
    ("qwen3-next-80b-a3b", "mtp"): UNSAID,
}


@pytest.mark.parametrize("name", STORED)
def test_a_stored_configuration_gives_the_model_of_the_catalog(name: str) -> None:
    read, known = import_model(str(CONFIGS / f"{name}.json")).spec, load_model(name)
    assert layers(read) == layers(known)
    pairs = {field: (getattr(read, field), getattr(known, field)) for field in FIELDS}
    pairs["mtp"] = (prediction(read), prediction(known))
    found = {field: pair for field, pair in pairs.items() if pair[0] != pair[1] and (name, field) not in DIFFERENT}
    assert not found


def test_every_family_that_was_asked_for_is_stored() -> None:
    assert len(STORED) >= 50


@pytest.mark.parametrize("name", STORED)
def test_the_text_is_a_file_of_the_catalog(name: str, tmp_path: Path) -> None:
    made = import_model(str(CONFIGS / f"{name}.json"), name=name, today=date(2026, 11, 23))
    lines = made.text.splitlines()
    assert lines[0] == MODELINE
    assert max(map(len, lines)) <= 110
    path = tmp_path / f"{name}.yaml"
    path.write_text(made.text)
    assert load_spec(ModelSpec, path, "model") == made.spec
    (source,) = made.spec.sources
    assert (source.what, source.date, source.provenance) == ("shape", "2026-11-23", "seen")
    assert made.spec.published is None
    assert made.spec.notes


def test_a_folder_names_the_model(tmp_path: Path) -> None:
    folder = tmp_path / "Llama-3.1-8B"
    folder.mkdir()
    spec = imported(folder, LLAMA).spec
    assert spec.name == "Llama-3.1-8B"
    assert spec.sources[0].source == "Llama-3.1-8B/config.json"


def test_a_name_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "some_config.json").write_text((CONFIGS / "gpt-oss-120b.json").read_text())
    assert import_model(str(tmp_path / "some_config.json")).spec.name == "some"
    assert import_model(str(tmp_path / "some_config.json"), name="Mine: 'a' # b").spec.name == "Mine: 'a' # b"


def test_what_is_derived_is_said(tmp_path: Path) -> None:
    spec = imported(tmp_path, LLAMA).spec
    assert spec.attention["gqa"].head_dim == 128  # type: ignore[union-attr]
    assert "head_dim is hidden_size / num_attention_heads, as the model's code derives it." in spec.notes


def test_class_defaults_that_stand_in_are_listed() -> None:
    notes = import_model(str(CONFIGS / "gemma-3-4b.json")).spec.notes
    (said,) = (note for note in notes if "defaults of its class" in note)
    for default in ("num_attention_heads 8", "num_key_value_heads 4", "vocab_size 262208"):
        assert default in said


def test_the_language_model_inside_another_is_read_alone() -> None:
    notes = import_model(str(CONFIGS / "llama-4-scout.json")).spec.notes
    assert "The text model; the vision tower is not counted." in notes


def test_a_window_as_long_as_the_context_is_none(tmp_path: Path) -> None:
    data = config("phi-3.5-mini")
    assert {layer.kind for layer in imported(tmp_path, data).spec.attention.values()} == {"grouped"}  # type: ignore[union-attr]
    # microsoft/Phi-3-mini-4k-instruct config.json: a window of 2047 in a context of 4096.
    narrow = imported(tmp_path, data | {"max_position_embeddings": 4096, "sliding_window": 2047}).spec
    assert narrow.attention["sliding"].window == 2047  # type: ignore[union-attr]


def test_settings_of_no_meaning_here_are_left_alone(tmp_path: Path) -> None:
    # nvidia/Nemotron-H-56B-Base-8K writes an infinity, which Python's json reads beside the standard.
    data = config("nemotron-h-56b") | {"time_step_limit": [0.0, float("inf")], "id2label": {"0": "é\ud800"}}
    assert imported(tmp_path, data).spec.num_layers == 118


def test_a_wrapper_that_is_not_known_is_named(tmp_path: Path) -> None:
    # mistralai/Mistral-Small-3.1-24B-Instruct-2503 and mistralai/Ministral-3-3B: a language model inside Mistral3.
    inner = {key: value for key, value in LLAMA.items() if key != "architectures"} | {"model_type": "ministral3"}
    made = imported(tmp_path, {"architectures": ["Mistral3ForConditionalGeneration"], "text_config": inner}).spec
    told = "Only the language model inside 'Mistral3ForConditionalGeneration' is read"
    assert f"{told}, which is a Ministral3ForCausalLM." in made.notes


def test_the_documentation_names_every_architecture() -> None:
    text = (Path(__file__).parents[2] / "docs" / "import.md").read_text()
    assert [name for name in known_architectures() if f"`{name}`" not in text] == []


WORDS = ("no", "1e5", "0x10", "- a", "a: b", "x #y", '"', "\\", "é", "\x07", "a  b", "2026-11", "", " a", "a:", "[a]")


@pytest.mark.parametrize("word", WORDS)
def test_any_text_survives_the_file(word: str) -> None:
    long = f"{word} {'and more of it ' * 12}{word}"
    data, _ = parse_yaml(model_yaml({"name": word, "aliases": [word, "b"], "notes": [word, long, {"a": long}]}), "x")
    assert data == {"name": word, "aliases": [word, "b"], "notes": [word, long, {"a": long}]}


def hub(cached: dict[str, Path]) -> Any:
    """Return a stand-in for the huggingface_hub library."""
    module: Any = ModuleType("huggingface_hub")
    module.try_to_load_from_cache = lambda _, file: str(cached[file]) if file in cached else None
    return module


def test_a_hub_id_is_read_from_the_local_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub({"config.json": CONFIGS / "llama-3.1-8b.json"}))
    spec = import_model("meta-llama/Llama-3.1-8B").spec
    assert (spec.name, spec.hf_id) == ("Llama-3.1-8B", "meta-llama/Llama-3.1-8B")


def missing(address: str) -> HTTPError:
    """What the hub answers of a file that it does not have, read to its end."""
    answer = HTTPError(address, 404, "", Message(), None)
    answer.close()
    return answer


def test_a_hub_id_is_fetched_only_online(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def read(address: str) -> bytes | Exception:
        asked.append(address)
        content = (CONFIGS / "llama-3.1-8b.json").read_bytes()
        return content if address.endswith("/config.json") else missing(address)

    monkeypatch.setitem(sys.modules, "huggingface_hub", hub({}))
    monkeypatch.setattr(web, "_read", read)
    with pytest.raises(CostcalcError, match="not in the local cache of the hub; add --online"):
        import_model("meta-llama/Llama-3.1-8B")
    assert asked == []
    made = import_model("meta-llama/Llama-3.1-8B", online=True)
    place = "https://huggingface.co/meta-llama/Llama-3.1-8B/resolve/main/"
    assert (made.spec.num_layers, made.spec.hf_id) == (32, "meta-llama/Llama-3.1-8B")
    assert made.fetched == (f"{place}config.json",) and asked == [f"{place}config.json", f"{place}hf_quant_config.json"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (missing("x"), "the model has no such file"),
        (URLError("no route to host"), "no route to host"),
        (b"x" * 8_000_001, "it is larger than 8 MB"),
        (b"\xff\xfe\xff", "invalid start byte"),
    ],
)
def test_what_the_hub_cannot_give_is_told_in_one_line(
    answer: bytes | Exception, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "_read", lambda _: answer)
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    with pytest.raises(
        CostcalcError, match=rf"^cannot fetch https://mirror.example/a/b/resolve/main/config.json: .*{told}"
    ):
        import_model("a/b", online=True)


@pytest.mark.parametrize("endpoint", ["http://huggingface.co", "file:///etc", "//x", "x", "https://", "https://u:p@x"])
def test_only_https_is_fetched(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(CostcalcError, match=r"HF_ENDPOINT: .* is no https address"):
        import_model("a/b", online=True)


def test_a_fetch_ends_however_slowly_bytes_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "FETCH_SECONDS", 0.2)
    monkeypatch.setattr(web, "_read", lambda _: time.sleep(5))
    with pytest.raises(CostcalcError, match="it is not there after"):
        import_model("a/b", online=True)


@pytest.mark.parametrize("tail", ["", "/", "/blob/main/config.json", "/resolve/main/config.json?download=true"])
def test_the_address_of_a_page_is_a_hub_id(tail: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub({"config.json": CONFIGS / "llama-3.1-8b.json"}))
    spec = import_model(f"https://huggingface.co/meta-llama/Llama-3.1-8B{tail}").spec
    assert spec.hf_id == "meta-llama/Llama-3.1-8B"
    with pytest.raises(CostcalcError, match=r"is not on huggingface\.co; download its config\.json"):
        import_model("https://example.com/a/b")


def test_a_configuration_is_read_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = SimpleNamespace(buffer=io.BytesIO((CONFIGS / "llama-3.1-8b.json").read_bytes()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert import_model("-", name="Mine").spec.name == "Mine"
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"{")))
    with pytest.raises(CostcalcError, match="stdin:1:2: not JSON"):
        import_model("-")


def test_weights_kept_in_32_bits_are_loaded_in_16(tmp_path: Path) -> None:
    made = imported(tmp_path, LLAMA | {"torch_dtype": "float32"}).spec
    assert (made.precision.weights, made.precision.head, made.precision.kv_cache) == ("bf16", "bf16", "bf16")
    assert any("keeps weights in fp32; engines load them in 16 bits" in note for note in made.notes)


def test_the_hub_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CostcalcError, match="add --online to fetch its config"):
        import_model("meta-llama/Llama-3.1-8B")


def test_a_snapshot_of_the_cache_knows_its_id(tmp_path: Path) -> None:
    folder = tmp_path / "models--Qwen--Qwen3-8B" / "snapshots" / "abc"
    folder.mkdir(parents=True)
    spec = imported(folder, config("qwen3-0.6b")).spec
    assert (spec.name, spec.hf_id) == ("Qwen3-8B", "Qwen/Qwen3-8B")
