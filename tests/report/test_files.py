"""Files appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from costcalc.errors import CostcalcError
from costcalc.report.export.files import new_file


def names(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


def test_a_file_appears_when_the_work_is_done(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    with new_file(str(path), "--output") as file:
        assert file is not None
        file.write_text("×\n")
        assert not path.exists()
    assert path.read_bytes() == "×\n".encode()
    assert names(tmp_path) == ["out.txt"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_file(str(tmp_path / "out.txt"), "--output") as file:
        assert file is not None
        file.write_text("half of it")
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_an_old_file_stays_until_then_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")
    path.chmod(0o640)
    with new_file(str(path), "--output") as file:
        assert file is not None
        file.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and path.stat().st_mode & 0o777 == 0o640


def test_a_new_file_has_the_mode_that_any_new_file_has(tmp_path: Path) -> None:
    (tmp_path / "usual").write_text("")
    with new_file(str(tmp_path / "ours"), "--output"):
        pass
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("name", ["no/folder/out.txt", ".", "", "a\0b.txt", "x" * 300 + ".txt", "/dev/null"])
def test_what_cannot_be_written_is_refused_first(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CostcalcError, match=r"^--output: ") as caught, new_file(name, "--output"):
        pytest.fail("the work began")
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []


def test_no_name_is_no_file() -> None:
    with new_file(None, "--output") as file:
        assert file is None
