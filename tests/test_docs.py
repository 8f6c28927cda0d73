"""The generated documentation is up to date, complete, and reads as it should on GitHub."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from costcalc.catalog.catalog import Catalog, load_gpu, load_model
from costcalc.cli.catalog import SCHEMAS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

pytestmark = pytest.mark.skipif(not (DOCS / "generate.py").exists(), reason="documentation is made in a checkout only")


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("generate")


@pytest.fixture
def page() -> str:
    return (DOCS / "catalog.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name",
    [
        "catalog.md",
        "cli.md",
        "gallery.md",
        "planning.md",
        "simulating.md",
        "pricing.md",
        *(f"schemas/{kind}.json" for kind in SCHEMAS),
    ],
)
def test_generated_files_are_up_to_date(generate: ModuleType, name: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == generate.GENERATED[name](), "run: python docs/generate.py"


def test_the_check_names_what_is_out_of_date_and_mends_nothing(
    generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    docs = tmp_path / "docs"
    monkeypatch.setattr(generate, "DOCS", docs)
    made = {name: generate.GENERATED[name] for name in ("schemas/gpu.json", "catalog.md")}
    monkeypatch.setattr(generate, "GENERATED", made)
    monkeypatch.setattr(sys, "argv", ["generate.py"])
    assert generate.main() == 0
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    assert generate.main() == 0 and capsys.readouterr().out == ""
    (docs / "catalog.md").write_text("old")
    (docs / "schemas" / "gpu.json").unlink()
    assert generate.main() == 1
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "docs/schemas/gpu.json",
        "docs/catalog.md",
    ]
    assert (docs / "catalog.md").read_text() == "old"


def test_the_readme_and_the_catalog_page_count_the_same(page: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [models, gpus] = re.findall(r"shapes of (\d+) open models and the data sheets of (\d+) accelerators", readme)[0]
    assert f"\n{models} models with their shapes, " in page and f" and {gpus} accelerators." in page


def test_nobodys_own_catalog_gets_into_the_documentation(
    generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "deepseek-v3.yaml").write_text("broken")
    monkeypatch.setenv("COSTCALC_CATALOG", str(tmp_path))
    assert generate.GENERATED["catalog.md"]() == (DOCS / "catalog.md").read_text(encoding="utf-8")


def test_every_entry_of_the_catalog_is_listed(page: str) -> None:
    for kind in ("models", "hardware_profiles"):
        for entry in Catalog().entries(kind):  # type: ignore[arg-type]
            assert f"](../{kind}/{entry.path.name}) | `{entry.name}`" in page
    assert all(f"| {entry.model.name} |" in page for entry in Catalog().closed_models())


def test_every_price_is_listed_with_its_date(page: str) -> None:
    models = [load_model(entry.path) for entry in Catalog().entries("models")]
    listed = [price for model in models for price in model.api_prices]
    listed += [price for entry in Catalog().closed_models() for price in entry.model.api_prices]
    rents = [price for entry in Catalog().entries("hardware_profiles") for price in load_gpu(entry.path).prices]
    rows = [line for line in page.splitlines() if re.search(r" \| 20\d\d[-\d]* \| (seen|recalled|derived) \| ", line)]
    assert len(rows) == len(listed) + len(rents)


@pytest.mark.parametrize(
    ("model", "published"),
    [
        ("DeepSeek-V3", "671B / 37B"),  # DeepSeek-V3's README
        ("Llama-3.1-405B", "405.9B"),  # 405,853,388,800 parameters in the checkpoint
        ("gpt-oss-120b", "116.8B / 5.1B"),  # gpt-oss model card: 116.83B total, 5.13B active
        ("Mixtral-8x7B", "46.7B / 12.9B"),  # Mistral AI, December 2023
    ],
)
def test_published_parameters_stand_beside_those_counted(page: str, model: str, published: str) -> None:
    shapes = page.partition("\n## Accelerators\n")[0]
    [row] = [line for line in shapes.splitlines() if line.startswith(f"| [{model}](")]
    assert f"| {published} |" in row


def test_tables_have_as_many_cells_as_their_heads(page: str) -> None:
    width = 0
    for line in page.splitlines():
        if line.startswith("|"):
            cells = len(re.findall(r"(?<!\\)\|", line))
            assert width in (0, cells), line
            width = cells
        else:
            width = 0


def test_every_reference_has_its_note_and_every_note_its_reference(page: str) -> None:
    body, _, notes = page.partition("\n## Notes\n")
    defined = re.findall(r"^\[\^(\d+)\]: \S", notes, re.MULTILINE)
    assert defined == [str(number) for number in range(1, len(defined) + 1)]
    assert set(re.findall(r"\[\^(\d+)\]", body)) == set(defined)


def test_a_count_that_is_more_than_a_percent_off_says_why(page: str) -> None:
    for line in page.splitlines():
        off = re.match(r"\| \[.*?\| .*?\| .*?\| \d+ \| \S+ \| \S+ \| .*?\| ([+-]\d+\.\d%)", line)
        if off and abs(float(off[1].rstrip("%"))) > 1.05:
            assert "[^" in line, line


def test_links_lead_somewhere() -> None:
    for file in [ROOT / "README.md", *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", file.read_text(encoding="utf-8")):
            assert (file.parent / target).exists(), f"{file.name}: {target}"


def test_what_a_page_says_is_in_a_file_is_there() -> None:
    """Names behind a link to code, as in "[`cost.py`](../costcalc/engine/cost.py): `usd_per_million`"."""
    named = 0
    for file in DOCS.glob("*.md"):
        for target, names in re.findall(
            r"\]\(\.\./([\w/]+\.py)\):\s((?:`\w+`(?:,\s)?)+)", file.read_text(encoding="utf-8")
        ):
            code = (ROOT / target).read_text(encoding="utf-8")
            for name in re.findall(r"`(\w+)`", names):
                assert re.search(rf"(?m)^\s*(def|class) {name}\b", code), f"{file.name}: {name} in {target}"
                named += 1
    assert named > 60


def test_formulas_name_the_functions_that_compute_them() -> None:
    blocks = re.findall(r"\n\n((?:    .*\n)+)\n(.*)", (DOCS / "method.md").read_text(encoding="utf-8"))
    assert len(blocks) >= 8
    assert all(behind.startswith("In code: ") for _, behind in blocks), [
        block for block in blocks if "In code" not in block[1]
    ]


def test_the_site_has_every_page() -> None:
    _, _, nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")
    listed = re.findall(r": (\S+\.md)$", nav, re.MULTILINE)
    assert sorted(listed) == sorted(["index.md", *(path.name for path in DOCS.glob("*.md"))])


def test_editors_find_the_schema_that_each_yaml_file_names() -> None:
    files = [*(ROOT / "models").glob("*.yaml"), *(ROOT / "hardware_profiles").glob("*.yaml")]
    assert len(files) > 180
    for file in files:
        first = file.read_text(encoding="utf-8").partition("\n")[0]
        assert (file.parent / first.removeprefix("# yaml-language-server: $schema=")).is_file(), file.name


def test_every_command_and_option_is_documented() -> None:
    from costcalc.cli.app import COMMANDS
    from costcalc.cli.lazy import Group, load_command

    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    for name, entry in COMMANDS.items():
        for inner, each in entry.commands.items() if isinstance(entry, Group) else [("", entry)]:
            title = f"{name} {inner}".strip()
            _, found, section = page.partition(f"\n## costcalc {title}\n")
            assert found and f"(#costcalc-{title.replace(' ', '-')})" in page
            section = section.partition("\n## ")[0]
            command = load_command(inner or name, each)
            for option in [opt for param in command.params for opt in param.opts if opt.startswith("-")]:
                assert f"`{option}" in section, (title, option)
            assert all(line in section for line in each.examples)


def test_every_file_that_the_house_names_is_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text() + (ROOT / "docs" / "method.md").read_text()
    named = set(re.findall(r"`((?:costcalc|docs|tools|tests|measurements|models|hardware_profiles)/[\w./-]+)`", text))
    assert len(named) > 60
    assert not sorted(path for path in named if not (ROOT / path).exists())
