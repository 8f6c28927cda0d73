"""What a check finds in files that can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from costcalc.cli import main
from costcalc.report.catalog import template

MODEL, GPU = template("model"), template("gpu")
_PRICE = GPU[GPU.index("# price:") : GPU.index("# prices:")]
PRICED = GPU.replace(_PRICE, _PRICE.replace("# ", "", 1).replace("\n# ", "\n"))


def found(kind: str, text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> list[str]:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    code = main([kind, "check", str(file)])
    printed = capfd.readouterr()
    assert code == (2 if printed.err else 0)
    return [line.removeprefix(f"error: {file}:") for line in printed.err.splitlines()]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('released: "2026-11"', "released: yesterday", "released: 'yesterday' is no date"),
        ('released: "2026-11"', "released: 2026-13", "released: '2026-13' is no date"),
        ('released: "2026-11"', "released: 2026-11-31", "released: '2026-11-31' is no date"),
        ("  dense:\n", "  spare: {kind: dense, intermediate_size: 4}\n  dense:\n", "feedforward.spare: no layer is of"),
        ("total: 8.03B", "total: 80B", "published.total: the shape gives -90.0% of it"),
        (
            "attention: gqa, feed",
            "attention: gqq, feed",
            "layers.0.attention: 'gqq' is not defined under",
        ),
    ],
)
def test_models(old: str, new: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert old in MODEL
    [line] = found("models", MODEL.replace(old, new), tmp_path, capfd)
    number, column, text = line.split(":", 2)
    assert text.strip().startswith(message) and column.isdigit()
    wrong = new.splitlines()[0]
    assert wrong in MODEL.replace(old, new).splitlines()[int(number) - 1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('date: "2026-11-23"\n# prices', 'date: "2026-99-99"\n# prices', "price.date: '2026-99-99' is no date"),
        ('date: "2026-11-23"\n# prices', 'date: "2099-01-01"\n# prices', "price.date: 2099-01-01 is in the future"),
        ("# fp8: 1980 TFLOP/s", "fp8: 19.8 TFLOP/s", "peak_flops.fp8: 19.8 TFLOP/s is less than in bf16"),
        (
            "architecture: hopper",
            "architecture: hoper",
            "architecture: no entry of the catalog is 'hoper'; did",
        ),
    ],
)
def test_gpus(old: str, new: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert old in PRICED
    [line] = found("gpus", PRICED.replace(old, new), tmp_path, capfd)
    assert line.split(":", 2)[2].strip().startswith(message)


def test_memory_that_drivers_do_not_report(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = found("gpus", GPU.replace("# memory_reported: 97871 MiB", "memory_reported: 10 MB"), tmp_path, capfd)
    assert len(lines) == 2  # no source, and far off
    assert "memory_reported: 10 MB is far from the 96 GB of memory" in lines[1]


def test_a_family_of_its_own_is_no_mistake(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert found("gpus", GPU.replace("architecture: hopper ", "architecture: quantum"), tmp_path, capfd) == []
