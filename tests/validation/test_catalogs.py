"""What measurements name is looked up in the catalog of the moment, not in that of an earlier answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from costcalc.catalog.catalog import Catalog
from costcalc.validation.files import find_gpu
from costcalc.validation.serving.rows import find_model


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two working folders, with a catalog in each that calls other things by the same names."""
    for name in ("here", "there"):
        catalog = tmp_path / name / "own"
        for kind, entry, base in (("models", "mine", "llama-3.1-8b"), ("hardware_profiles", "card", "h100-sxm")):
            (catalog / kind).mkdir(parents=True)
            (catalog / kind / f"{entry}.yaml").write_text(f"extends: {base}\nname: {entry} of {name}\n")
    return tmp_path / "here", tmp_path / "there"


def test_another_catalog_has_other_things(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        own = Catalog(folder / "own")
        assert find_model("mine", own).name == f"mine of {folder.name}"
        assert find_gpu("card", own)[1].name == f"card of {folder.name}"


def test_another_working_folder_has_other_things(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSTCALC_CATALOG", "own")
    for folder in folders:
        monkeypatch.chdir(folder)
        assert find_model("mine", Catalog()).name == f"mine of {folder.name}"
        assert find_gpu("card", Catalog())[1].name == f"card of {folder.name}"
        assert find_model("own/models/mine.yaml", Catalog()).name == f"mine of {folder.name}"
