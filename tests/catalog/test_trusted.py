"""What costcalc ships is read without being checked again, and gives the very same specifications."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import costcalc
from costcalc.catalog import check as trusted
from costcalc.catalog import read as load
from costcalc.catalog.check import validate
from costcalc.catalog.files import CLOSED_MODELS, head_of, names_in
from costcalc.catalog.names import normal_name
from costcalc.catalog.read import KERNELS, MEMORY, SERVING
from costcalc.catalog.yaml import parse_yaml, read_text
from costcalc.errors import CostcalcError
from costcalc.fields import Spec
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.efficiency import KernelEfficiency, ServingEfficiency
from costcalc.hardware.engines import EngineMemories
from costcalc.model.spec import ClosedModels, ModelSpec

ROOT = Path(__file__).parents[2]
V3, H100 = ROOT / "models" / "deepseek-v3.yaml", ROOT / "hardware_profiles" / "h100-sxm.yaml"
SHIPPED: list[tuple[type[Spec], Path]] = [
    *((ClosedModels if path.name == CLOSED_MODELS else ModelSpec, path) for path in (ROOT / "models").glob("*.yaml")),
    *((Accelerator, path) for path in (ROOT / "hardware_profiles").glob("*.yaml")),
    (EngineMemories, ROOT / MEMORY),
    (KernelEfficiency, ROOT / KERNELS),
    (ServingEfficiency, ROOT / SERVING),
]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The classes that were read and not checked."""
    classes: list[str] = []
    read: Any = trusted.read

    def counting(spec: Any, data: Any) -> Any:
        classes.append(spec.__name__)
        return read(spec, data)

    monkeypatch.setattr(load, "read", counting)
    return classes


@pytest.mark.parametrize(("spec", "path"), SHIPPED, ids=lambda value: getattr(value, "stem", ""))
def test_reading_gives_what_checking_gives(spec: type[Spec], path: Path) -> None:
    data, positions = parse_yaml(read_text(path), path)
    read, checked = trusted.read(spec, data), validate(spec, data, positions, path)
    assert read == checked
    assert repr(read) == repr(checked)  # which tells 5 from 5.0 and a list from a tuple


def test_every_file_that_ships_is_listed() -> None:
    listed = {tuple(line.split()[1:3]) for line in read_text(trusted.CHECKED).splitlines() if line[0] != "#"}
    assert listed == {(spec.__name__, path.relative_to(ROOT).as_posix()) for spec, path in SHIPPED}


def test_listed_names_are_those_that_the_files_answer_to() -> None:
    assert trusted.stems_listed("v3") == ["deepseek-v3"] and trusted.stems_listed("h100") == ["h100-sxm"]
    assert trusted.stems_listed("nothing") == []
    for spec, path in SHIPPED:
        for name in names_in(head_of(path)) if spec in (ModelSpec, Accelerator) else ():
            assert path.stem in trusted.stems_listed(normal_name(name))


def test_a_file_that_ships_is_read_and_one_letter_off_is_checked(reads: list[str], tmp_path: Path) -> None:
    assert load.load_model("v3") == load.load_model("v3", check=True)
    assert reads == ["ModelSpec"]
    path = tmp_path / "v3.yaml"
    path.write_text(read_text(V3).replace("num_attention_heads: 128", "num_attention_heads: 1.5"), encoding="utf-8")
    with pytest.raises(CostcalcError, match=r"v3\.yaml:16:26: attention\.mla\.num_attention_heads: expected an int"):
        costcalc.load_model(path)
    assert reads == ["ModelSpec"]


def test_what_is_set_is_checked(reads: list[str]) -> None:
    assert costcalc.load_gpu("h100", overrides={"memory": "96 GB"}).memory == 96e9
    with pytest.raises(CostcalcError, match=r"--set gpu\.memory: 'lots' is not a size"):
        costcalc.load_gpu("h100", overrides={"memory": "lots"})
    assert not reads


def test_a_model_is_no_gpu(reads: list[str]) -> None:
    with pytest.raises(CostcalcError, match="this is a model file"):
        costcalc.load_gpu(V3)
    with pytest.raises(CostcalcError, match="this is an accelerator file"):
        costcalc.load_model(H100)
    assert not reads


def test_without_the_list_everything_is_checked(
    reads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = costcalc.load_gpu("h100")
    assert reads == ["Accelerator"]
    monkeypatch.setattr(trusted, "CHECKED", tmp_path / "none.txt")
    assert costcalc.load_gpu("h100") == read
    assert reads == ["Accelerator"]
