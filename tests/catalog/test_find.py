"""Catalog files are found by name, alias or path, the user's own before the packaged ones."""

import os
import sys
from pathlib import Path

import pytest

from costcalc.catalog import files as paths
from costcalc.catalog.catalog import Catalog
from costcalc.catalog.files import Kind, catalog_roots, config_folder, packaged_root, read_aliases
from costcalc.errors import CostcalcError


def write(root: Path, kind: Kind, name: str, head: str = "") -> Path:
    path = root / kind / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# a schema\nname: {name}\n{head}")
    return path


@pytest.fixture(autouse=True)
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small packaged catalog, in a world without other ones."""
    root = tmp_path / "packaged"
    write(
        root,
        "models",
        "deepseek-v3.yaml",
        "aliases: [v3, DeepSeek_V3 Base]\nhf_id: deepseek-ai/DeepSeek-V3\n",
    )
    write(root, "models", "deepseek-v4-pro.yaml", "aliases: [v4]\n")
    llama = write(root, "models", "llama-3.1-8b.yaml", "aliases: ['l8', \"llama\"]  # short ones\n")
    llama.write_text(llama.read_text().replace("name: llama-3.1-8b.yaml", "name: 'The Llama'  # on cards"))
    write(root, "hardware_profiles", "h100-sxm.yaml", "aliases: [h100]\n")
    write(root, "hardware_profiles", "b200.yaml")
    monkeypatch.setattr("costcalc.catalog.files.packaged_root", lambda: root)
    monkeypatch.setattr("costcalc.catalog.files.config_folder", lambda: None)
    monkeypatch.delenv("COSTCALC_CATALOG", raising=False)
    monkeypatch.chdir(tmp_path)
    return root


@pytest.mark.parametrize(
    ("kind", "name", "file"),
    [
        ("models", "deepseek-v3", "deepseek-v3.yaml"),
        ("models", "DeepSeek-V3", "deepseek-v3.yaml"),
        ("models", " deepseek v3 ", "deepseek-v3.yaml"),
        ("models", "deepseek_v3", "deepseek-v3.yaml"),
        ("models", "v3", "deepseek-v3.yaml"),
        ("models", "V3", "deepseek-v3.yaml"),
        ("models", "deepseek-v3-base", "deepseek-v3.yaml"),
        ("models", "deepseek-ai/DeepSeek-V3", "deepseek-v3.yaml"),
        ("models", "deepseek-ai/deepseek-v3", "deepseek-v3.yaml"),
        ("models", "llama-3.1-8b", "llama-3.1-8b.yaml"),
        ("models", "l8", "llama-3.1-8b.yaml"),
        ("models", "llama", "llama-3.1-8b.yaml"),
        ("hardware_profiles", "h100", "h100-sxm.yaml"),
        ("hardware_profiles", "B200", "b200.yaml"),
        # Hyphens forgotten or made up, and the name that a card shows.
        ("hardware_profiles", "H-100", "h100-sxm.yaml"),
        ("hardware_profiles", "h100sxm", "h100-sxm.yaml"),
        ("models", "deepseekv3", "deepseek-v3.yaml"),
        ("models", "The Llama", "llama-3.1-8b.yaml"),
    ],
)
def test_names_and_aliases(kind: Kind, name: str, file: str, packaged: Path) -> None:
    assert Catalog().find(kind, name) == packaged / kind / file


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "mine.yaml"
    own.touch()
    assert Catalog().find("models", "mine.yaml") == Path("mine.yaml")
    assert Catalog().find("models", "./mine.yaml") == Path("mine.yaml")
    assert Catalog().find("models", str(own)) == own
    assert Catalog().find("models", own) == own
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert Catalog().find("models", "~/mine.yaml") == own


@pytest.mark.parametrize(
    ("kind", "name", "line"),
    [
        (
            "models",
            "v4x",
            "unknown model 'v4x'; did you mean 'deepseek-v4-pro'? list them with: costcalc models",
        ),
        ("models", "deepsek-v3", "unknown model 'deepsek-v3'; did you mean 'deepseek-v3'? list them with:"),
        ("models", "deepseek", "unknown model 'deepseek'; did you mean one of deepseek-v3, deepseek-v4-pro? list them"),
        ("models", "my-llama-3.1-8b-finetuned-2", "unknown model 'my-llama-3.1-8b-finetuned-2'; did you mean 'llama-"),
        ("models", "gpt-9", "unknown model 'gpt-9'; list them with: costcalc models"),
        ("models", "h100", "unknown model 'h100'"),
        ("models", "", "the name of the model is empty; list them with: costcalc models"),
        ("models", "  ", "the name of the model is empty"),
        ("models", "../models/deepseek-v3", "no such file: '../models/deepseek-v3'"),
        ("models", "..", "unknown model '..'"),
        ("models", "a\0b", "unknown model 'a\\x00b'"),
        ("models", "a\0b.yaml", "no such file: 'a\\x00b.yaml'"),
        ("models", "x" * 5000, "unknown model 'xxx"),
        ("models", "*", "unknown model '*'"),
        ("hardware_profiles", "", "the name of the GPU is empty; list them with: costcalc gpus"),
        (
            "hardware_profiles",
            "h10",
            "unknown GPU 'h10'; did you mean 'h100-sxm'? list them with: costcalc gpus",
        ),
        (
            "hardware_profiles",
            "missing.yaml",
            "no such file: 'missing.yaml'; name a GPU or an existing YAML file",
        ),
        ("hardware_profiles", "no/such/x.yml", "no such file: 'no/such/x.yml'"),
    ],
)
def test_unknown_names_suggest_the_nearest(kind: Kind, name: str, line: str) -> None:
    with pytest.raises(CostcalcError) as caught:
        Catalog().find(kind, name)
    assert str(caught.value).startswith(line)
    assert str(caught.value).isprintable()


def test_a_missing_file_suggests_the_one_beside_it(tmp_path: Path) -> None:
    (tmp_path / "my-model.yaml").touch()
    with pytest.raises(CostcalcError, match=r"no such file: 'my-modle.yaml'; did you mean 'my-model.yaml'\?"):
        Catalog().find("models", "my-modle.yaml")


def test_an_overlay_comes_first_and_shadows_by_name(tmp_path: Path, packaged: Path) -> None:
    overlay = tmp_path / "overlay"
    mine = write(overlay, "hardware_profiles", "H100_SXM.yaml")
    other = write(overlay, "hardware_profiles", "special.yml", "aliases:\n  - b200\n  - 'odd one' # note\n")
    assert Catalog(overlay).find("hardware_profiles", "h100-sxm") == mine
    assert Catalog(overlay).find("hardware_profiles", "h100") == mine  # an alias of the file that it shadows
    assert Catalog(overlay).find("hardware_profiles", "b200") == other
    assert Catalog(overlay).find("hardware_profiles", "odd-one") == other
    assert Catalog().find("hardware_profiles", "h100-sxm") == packaged / "hardware_profiles" / "h100-sxm.yaml"
    assert Catalog(overlay).paths("hardware_profiles") == [
        packaged / "hardware_profiles" / "b200.yaml",
        mine,
        other,
    ]


def test_precedence_of_roots(tmp_path: Path, packaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roots = {name: tmp_path / name for name in ("option", "first", "second", "personal")}
    for root in roots.values():
        write(root, "models", "x.yaml")
    monkeypatch.setenv("COSTCALC_CATALOG", f"{roots['first']}{os.pathsep}{roots['second']}{os.pathsep}")
    monkeypatch.setattr("costcalc.catalog.files.config_folder", lambda: roots["personal"])
    assert catalog_roots(str(roots["option"])) == [*roots.values(), packaged]
    assert Catalog(roots["option"]).find("models", "x") == roots["option"] / "models" / "x.yaml"
    assert Catalog().find("models", "x") == roots["first"] / "models" / "x.yaml"


def test_a_personal_folder_that_does_not_exist_is_no_matter(
    tmp_path: Path, packaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("costcalc.catalog.files.config_folder", lambda: tmp_path / "absent")
    assert catalog_roots() == [packaged]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("absent", "no such folder: 'absent'"),
        ("file", "not a folder: 'file'"),
        ("empty", "'empty' holds neither models/ nor hardware_profiles/; name the folder above them"),
        ("a\0b", "no such folder: 'a\\x00b'"),
    ],
)
def test_a_named_folder_must_be_a_catalog(
    name: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(CostcalcError) as caught:
        catalog_roots(name)
    assert str(caught.value) == f"catalog: {line}"
    if "\0" not in name:
        monkeypatch.setenv("COSTCALC_CATALOG", name)
        with pytest.raises(CostcalcError) as caught:
            Catalog().find("models", "v3")
        assert str(caught.value) == f"COSTCALC_CATALOG: {line}"


def test_an_empty_catalog_option_is_refused() -> None:
    with pytest.raises(CostcalcError, match="catalog: the folder's name is empty"):
        catalog_roots("")


@pytest.mark.parametrize(
    ("head", "aliases"),
    [
        ("aliases: [a, b]\n", ("a", "b")),
        ("aliases: ['a b', \"c\"]\n", ("a b", "c")),
        ("aliases: [a,\n  b]\n", ("a", "b")),
        ("aliases: []\n", ()),
        ("aliases:\n- a\n-   b # note\nother: [x]\n", ("a", "b")),
        ("aliases:\n  - a\n", ("a",)),
        ("note: x\n", ()),
        ("  aliases: [nested]\n", ()),
        ("hf_id: org/Name\n", ("org/Name",)),
        ("aliases: [a]\nhf_id: 'org/Name' # x\n", ("a", "org/Name")),
        ("aliases: [a]\nhf_id: null\n", ("a",)),
        ("x: " + "y" * 3000 + "\naliases: [too, late]\n", ()),
    ],
)
def test_aliases_are_read_from_the_head_of_a_file(head: str, aliases: tuple[str, ...], tmp_path: Path) -> None:
    assert read_aliases(write(tmp_path, "models", "x.yaml", head)) == aliases


def test_files_that_cannot_be_read_have_no_aliases(tmp_path: Path) -> None:
    assert read_aliases(tmp_path / "absent.yaml") == ()
    assert read_aliases(tmp_path) == ()
    (tmp_path / "binary.yaml").write_bytes(bytes(range(256)))
    assert read_aliases(tmp_path / "binary.yaml") == ()


def test_finding_a_name_reads_no_file(monkeypatch: pytest.MonkeyPatch, packaged: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr(Path, "open", refuse)
    assert Catalog().find("models", "deepseek-v3") == packaged / "models" / "deepseek-v3.yaml"


def test_entries_list_each_name_once(packaged: Path) -> None:
    (packaged / "models" / ".hidden.yaml").touch()
    (packaged / "models" / "notes.txt").touch()
    entries = Catalog().entries("models")
    assert [entry.name for entry in entries] == ["deepseek-v3", "deepseek-v4-pro", "llama-3.1-8b"]
    assert entries[0].aliases == ("v3", "DeepSeek_V3 Base", "deepseek-ai/DeepSeek-V3")


def test_a_checkout_is_its_own_catalog() -> None:
    root = packaged_root()
    assert (root / "models").is_dir()
    assert (root / "hardware_profiles").is_dir()


@pytest.mark.parametrize(
    ("platform", "variables", "parts"),
    [
        ("linux", {"HOME": "/h"}, ("/h", ".config", "costcalc")),
        ("linux", {"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, ("/x", "costcalc")),
        ("linux", {"HOME": "/h", "XDG_CONFIG_HOME": "relative"}, ("/h", ".config", "costcalc")),
        ("darwin", {"HOME": "/h"}, ("/h", "Library", "Application Support", "costcalc")),
        ("win32", {"APPDATA": "/roaming"}, ("/roaming", "costcalc")),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="the paths are those of POSIX")
def test_config_folder_of_each_platform(
    platform: str, variables: dict[str, str], parts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(paths.sys, "platform", platform)
    assert config_folder() == Path(*parts)


def test_windows_without_a_profile_has_no_config_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APPDATA", raising=False)
    monkeypatch.setattr(paths.sys, "platform", "win32")
    assert config_folder() is None
