"""`--set` replaces values of a file before it is validated, and its mistakes name the option."""

import copy
from dataclasses import asdict, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from costcalc.catalog.catalog import load_gpu, load_model
from costcalc.catalog.check import Positions
from costcalc.catalog.read import apply_overrides, load_spec, split_overrides
from costcalc.errors import CostcalcError
from costcalc.fields import Bandwidth, ByKind, Bytes, Size, Spec


class Grouped(Spec):
    kind: Literal["grouped"]
    num_key_value_heads: Size
    head_dim: Size = 128


class Window(Spec):
    kind: Literal["window"]
    window: Size


class Link(Spec):
    bandwidth: Bandwidth
    technology: str = "-"


class Machine(Spec):
    name: str
    memory: Bytes
    memory_bandwidth: Bandwidth
    cache: Bytes | None = None
    link: Link | None = None
    peaks: dict[str, float] = field(default_factory=dict)
    attention: dict[str, Annotated[Grouped | Window, ByKind()]] = field(default_factory=dict)
    layers: tuple[dict[str, int], ...] = ()
    aliases: tuple[str, ...] = ()


TEXT = """name: X
memory: 80 GB
memory_bandwidth: 3.35 TB/s
peaks: {bf16: 1.0e+15}
attention:
  full: {kind: grouped, num_key_value_heads: 64}
  near: {kind: window, window: 128}
layers: [{count: 1}, {count: 60}]
aliases: [a, b]
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.yaml"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize(
    ("path", "text", "read"),
    [
        ("memory_bandwidth", "3.3TB/s", lambda m: m.memory_bandwidth == 3.3e12),
        ("memory_bandwidth", "3.3e12", lambda m: m.memory_bandwidth == 3.3e12),
        ("name", "'42'", lambda m: m.name == "42"),
        ("name", "a=b", lambda m: m.name == "a=b"),
        ("cache", "50 MB", lambda m: m.cache == 50e6),
        ("cache", "null", lambda m: m.cache is None),
        ("link.bandwidth", "900 GB/s", lambda m: m.link.bandwidth == 900e9),
        ("peaks.bf16", "2e15", lambda m: m.peaks == {"bf16": 2e15}),
        ("peaks.fp8", "2e15", lambda m: m.peaks == {"bf16": 1e15, "fp8": 2e15}),
        ("attention.full.num_key_value_heads", "8", lambda m: m.attention["full"].num_key_value_heads == 8),
        ("attention.full.head_dim", "64", lambda m: m.attention["full"].head_dim == 64),
        ("attention.near.window", "4000", lambda m: m.attention["near"].window == 4000),
        ("layers.1.count", "30", lambda m: [layer["count"] for layer in m.layers] == [1, 30]),
        ("aliases.0", "z", lambda m: m.aliases == ("z", "b")),
    ],
)
def test_a_value_is_replaced(path: str, text: str, read: Any, file: Path) -> None:
    assert read(load_spec(Machine, file, "gpu", {path: text}))


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        ("memry", "1", "--set gpu.memry: unknown key; did you mean 'gpu.memory'?"),
        (
            "memry_bandwidth",
            "1",
            "--set gpu.memry_bandwidth: unknown key; did you mean 'gpu.memory_bandwidth'?",
        ),
        ("lnk", "1", "--set gpu.lnk: unknown key; did you mean 'gpu.link'?"),
        ("zzzzzzzzzzzzzzzzzz", "1", "--set gpu.zzzzzzzzzzzzzzzzzz: unknown key; valid keys: name, memory,"),
        ("attention.ful.head_dim", "1", "unknown key; did you mean 'gpu.attention.full.head_dim'?"),
        ("attention.near.windw", "1", "unknown key; did you mean 'gpu.attention.near.window'?"),
        # A key of another variant than the one that the file has.
        ("attention.near.head_dim", "1", "--set gpu.attention.near.head_dim: unknown key"),
        ("layers.2.count", "1", "unknown key; did you mean 'gpu.layers.1.count'?"),
        ("layers.-1.count", "1", "unknown key; did you mean 'gpu.layers.1.count'?"),
        ("layers.x.count", "1", "unknown key; did you mean 'gpu.layers."),
        ("name.first", "1", "--set gpu.name.first: unknown key"),
        ("memory", "", "--set gpu.memory: the value is missing; write null for what is unknown"),
        ("memory", "lots", "--set gpu.memory: 'lots' is not a size in bytes; write it like '80 GB'"),
        ("memory", "80", "--set gpu.memory: 80 is not a size in bytes: the unit is missing"),
        ("memory", "-80 GB", "--set gpu.memory: '-80 GB' is not a size in bytes: it is negative"),
        ("memory", ".nan", "--set gpu.memory: '.nan' is not a finite number"),
        ("memory", "nan", "--set gpu.memory: 'nan' is not a size in bytes: it is not a finite number"),
        ("memory", "1e999", "--set gpu.memory: '1e999' is too large for a number"),
        ("memory", "null", "--set gpu.memory: nothing (null) is not a size in bytes"),
        ("name", "42", "--set gpu.name: expected text, got 42; put it in quotes"),
        (
            "attention",
            "1",
            "--set gpu.attention: this is a group of keys, not a value; set a value in it, such as",
        ),
        ("attention.full", "1", "such as gpu.attention.full.kind"),
        ("layers", "1", "such as gpu.layers.0"),
        ("attention.full.kind", "grupd", "--set gpu.attention.full.kind: unknown kind 'grupd'; did you mean"),
        ("attention.full.num_key_value_heads", "0", "must be greater than 0, got 0"),
        ("attention.new", "1", "--set gpu.attention.new: expected a mapping, got 1"),
        ("peaks.fp8", "fast", "--set gpu.peaks.fp8: expected a number, got 'fast'"),
    ],
)
def test_mistakes_name_the_option(path: str, text: str, line: str, file: Path) -> None:
    with pytest.raises(CostcalcError) as caught:
        load_spec(Machine, file, "gpu", {path: text})
    told = str(caught.value)
    assert line in told
    assert told.startswith(f"--set gpu.{path}: ")
    assert told.isprintable()


def test_mistakes_of_the_file_still_name_the_file(file: Path) -> None:
    file.write_text(TEXT.replace("80 GB", "80 bananas"))
    with pytest.raises(CostcalcError, match=r"^x\.yaml:2:9: memory: '80 bananas' is not a size in bytes"):
        load_spec(Machine, file, "gpu", {"name": "Y"})


def test_a_group_that_the_file_leaves_out_is_still_complete(file: Path) -> None:
    with pytest.raises(CostcalcError, match=r"link\.bandwidth: this key is missing"):
        load_spec(Machine, file, "gpu", {"link.technology": "NVLink"})


def test_the_data_given_is_left_as_it_is() -> None:
    data = {"link": {"bandwidth": 1}}
    before = copy.deepcopy(data)
    changed = apply_overrides(data, {"link.bandwidth": "2"}, prefix="gpu", spec=Machine, positions=Positions())
    assert changed == {"link": {"bandwidth": 2}}
    assert data == before


def test_options_are_split_by_target() -> None:
    texts = ["gpu.memory_bandwidth=3.3TB/s", " model.hidden_size = 8 ", "gpu.name=a=b"]
    assert split_overrides(texts) == {
        "model": {"hidden_size": "8"},
        "gpu": {"memory_bandwidth": "3.3TB/s", "name": "a=b"},
    }
    assert split_overrides([]) == {"model": {}, "gpu": {}}


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        (["gpu.memory"], "--set gpu.memory: the value is missing; write it like --set gpu.memory_bandwidth="),
        ([""], "--set ''"),
        (["=5"], "a path starts with 'model.' or 'gpu.', not ''"),
        (["memory=5 GB"], "--set memory: a path starts with 'model.' or 'gpu.', not 'memory'"),
        (["gpus.memory=5 GB"], "not 'gpus'; did you mean 'gpu'?"),
        (["gpu=5"], "--set gpu: the path is not complete; write it like --set gpu.name=value"),
        (["gpu.=5"], "the path is not complete"),
        (["gpu.a..b=5"], "--set gpu.a..b: the path is not complete"),
        (["gpu.a=1", "gpu.a=2"], "--set gpu.a: this is set twice; keep one"),
    ],
)
def test_options_that_cannot_be_split(texts: list[str], line: str) -> None:
    with pytest.raises(CostcalcError) as caught:
        split_overrides(texts)
    assert line in str(caught.value)


MODEL = """name: Tiny
aliases: [t]
hidden_size: 64
vocab_size: 100
attention:
  full: {kind: grouped, num_attention_heads: 8, num_key_value_heads: 2, head_dim: 8}
feedforward:
  dense: {kind: dense, intermediate_size: 128}
layers:
  - {count: 2, attention: full, feedforward: dense}
"""
GPU = """name: Small
aliases: [s]
vendor: none
architecture: other
memory: 80 GB
memory_type: HBM
memory_bandwidth: 3.35 TB/s
peak_flops: {bf16: 989 TFLOP/s}
node_size: 8
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    for kind, name, text in (("models", "tiny.yaml", MODEL), ("hardware_profiles", "small.yaml", GPU)):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / name).write_text(text)
    return tmp_path


def test_models_and_gpus_are_loaded_by_alias_with_overrides(catalog: Path) -> None:
    model = load_model("t", catalog=catalog, overrides={"attention.full.num_key_value_heads": "8"})
    assert (model.name, model.hidden_size) == ("Tiny", 64)
    assert asdict(model.attention["full"])["num_key_value_heads"] == 8
    gpu = load_gpu("S", catalog=catalog, overrides={"memory_bandwidth": "3.3TB/s"})
    assert (gpu.name, gpu.memory, gpu.memory_bandwidth) == ("Small", 80e9, 3.3e12)


def test_a_wrong_file_is_told_with_its_place(catalog: Path) -> None:
    path = catalog / "models" / "tiny.yaml"
    path.write_text(MODEL.replace("num_attention_heads", "num_attention_heds"))
    with pytest.raises(CostcalcError) as caught:
        load_model("tiny", catalog=catalog)
    assert str(caught.value) == (
        f"{path}:6:25: attention.full.num_attention_heds: unknown key; did you mean 'num_attention_heads'?"
    )
