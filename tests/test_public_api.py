"""What `import costcalc` promises: the names, where they come from, and that they cost nothing until used."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import costcalc

ROOT = Path(__file__).parents[1]
VERBS = [name for name in costcalc.__all__ if inspect.isfunction(getattr(costcalc, name))]


def imported_for_type_checkers() -> dict[str, str]:
    """Names that `costcalc/__init__.py` imports under TYPE_CHECKING, with their modules."""
    tree = ast.parse(Path(inspect.getfile(costcalc)).read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.name: str(node.module)
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_the_list_is_what_is_there() -> None:
    assert costcalc.__all__ == sorted(costcalc.__all__)
    assert dir(costcalc) == costcalc.__all__
    for name in costcalc.__all__:
        assert getattr(costcalc, name).__name__ == name


def test_type_checkers_see_the_same_names() -> None:
    seen = imported_for_type_checkers()
    assert sorted(seen) == costcalc.__all__
    for name, module in seen.items():
        assert getattr(costcalc, name).__module__ == module


def test_the_main_verbs_are_public() -> None:
    assert {"load_model", "load_gpu", "estimate", "compare_attention", "compare_models", "compare_gpus"} <= set(VERBS)
    assert {"Estimate", "Comparison", "ModelSpec", "Accelerator", "CostcalcError"} <= set(costcalc.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'estimat'"):
        costcalc.estimat  # noqa: B018


@pytest.mark.parametrize("name", VERBS)
def test_public_functions_are_documented_and_typed(name: str) -> None:
    function = getattr(costcalc, name)
    assert function.__doc__ and function.__doc__.splitlines()[0].endswith((".", "?"))
    signature = inspect.signature(function)
    assert signature.return_annotation is not signature.empty
    assert all(parameter.annotation is not parameter.empty for parameter in signature.parameters.values())


def test_importing_costs_nothing() -> None:
    code = "import sys, costcalc; print([m for m in ('numpy', 'pydantic', 'yaml', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_is_the_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert costcalc.__version__ == project["version"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {costcalc.__version__}" in changes


def test_the_readmes_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out
