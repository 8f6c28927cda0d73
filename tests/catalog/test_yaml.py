"""Catalog files are read as strict YAML 1.2, and each mistake is one line that points at its place."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from costcalc.catalog.check import place
from costcalc.catalog.yaml import load_yaml, parse_yaml, resolve_scalar
from costcalc.errors import CostcalcError

# From YAML 1.2.2: example 10.3 and the tables of section 10.3.2; and what YAML 1.1 made of the rest.
SCALARS: list[tuple[str, Any]] = [
    ("null", None), ("Null", None), ("NULL", None), ("~", None), ("", None),
    ("true", True), ("True", True), ("TRUE", True), ("false", False), ("False", False), ("FALSE", False),
    ("0", 0), ("3", 3), ("-19", -19), ("+12", 12), ("0x3A", 58),
    ("0.", 0.0), ("-0.0", -0.0), (".5", 0.5), ("+12e03", 12000.0), ("-2E+05", -200000.0),
    ("3.35e12", 3.35e12),
    ("1e6", 1e6), ("2.50", 2.5),
    ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"), ("N", "N"),
    ("12:30:45", "12:30:45"), ("190:20:30.15", "190:20:30.15"), ("2024-12-26", "2024-12-26"),
    ("2024-12", "2024-12"), ("2001-12-14t21:59:43.10-05:00", "2001-12-14t21:59:43.10-05:00"),
    ("0o14", "0o14"), ("017", "017"), ("0b101", "0b101"), ("1_000", "1_000"), ("1,000", "1,000"),
    ("80 GB", "80 GB"), ("3.3TB/s", "3.3TB/s"), ("$2/h", "$2/h"), ("nan", "nan"), ("inf", "inf"),
    ("tRue", "tRue"), ("nUll", "nUll"), (".", "."), ("-", "-"), ("1e", "1e"), ("1.2.3", "1.2.3"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_plain_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    read = resolve_scalar(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("text", [text for text, _ in SCALARS if text not in {"-", ""}])
def test_quoted_scalars_are_text(text: str) -> None:
    assert parse_yaml(f"a: '{text}'\nb: \"{text}\"", "x.yaml")[0] == {"a": text, "b": text}


def test_data_and_positions() -> None:
    text = "# a comment\nname: X\nlink:\n  bandwidth: 3.35e12\n  ports: [1, {a: b}]\nnotes:\n- one\n- |\n  two\n"
    data, positions = parse_yaml(text, "x.yaml")
    assert data == {
        "name": "X",
        "link": {"bandwidth": 3.35e12, "ports": [1, {"a": "b"}]},
        "notes": ["one", "two\n"],
    }
    assert positions["link",] == (3, 1)
    assert positions["link", "bandwidth"] == (4, 3)
    assert positions.of_value(("link", "bandwidth")) == (4, 14)
    assert positions.of_value(("link", "ports", 1, "a")) == (5, 18)
    assert positions["notes", 1] == (8, 3)
    # What the file leaves out is nearest to the group around it.
    assert positions.of_value(("link", "absent")) == (4, 3)
    assert positions.of_key(("absent",)) == (1, 1)


def test_keys_are_text() -> None:
    assert parse_yaml("8: a\ntrue: b\nno: c\n2024-12: d", "x.yaml")[0] == {
        "8": "a", "true": "b", "no": "c", "2024-12": "d",
    }  # fmt: skip


def test_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: X\r\nsize: 5\r\n")
    assert load_yaml(path)[0] == {"name": "X", "size": 5}


DEEP_FLOW = "a: " + "[" * 40 + "]" * 40
DEEP_BLOCK = "\n".join(" " * depth + "a:" for depth in range(40)) + " 1"
BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]"
MALFORMED: list[tuple[str, str]] = [
    ("", "x.yaml: the file is empty"),
    ("# only a comment\n", "x.yaml: the file is empty"),
    ("---\n", "x.yaml:2:1: expected a mapping, got a single value"),
    ("just text", "x.yaml:1:1: expected a mapping, got a single value"),
    ("42", "x.yaml:1:1: expected a mapping, got a single value"),
    ("- a\n- b", "x.yaml:1:1: expected a mapping, got a list"),
    ("[1, 2]", "x.yaml:1:1: expected a mapping, got a list"),
    ("a: 1\nb: 2\na: 3", "x.yaml:3:1: duplicate key 'a' (first on line 1)"),
    ("a: {b: 1, b: 2}", "x.yaml:1:11: duplicate key 'b' (first on line 1)"),
    ("l:\n  - x: 1\n    x: 2", "x.yaml:3:5: duplicate key 'x' (first on line 2)"),
    ("a: 1\n'a': 2", "x.yaml:2:1: duplicate key 'a' (first on line 1)"),
    (BOMB, "x.yaml:1:4: the anchor '&a' is not allowed"),
    ("a: &a\n  b: *a", "x.yaml:1:4: the anchor '&a' is not allowed"),
    ("a: &x 1", "x.yaml:1:4: the anchor '&x' is not allowed"),
    ("a: *x", "x.yaml:1:4: the alias '*x' is not allowed"),
    ("base:\n  x: 1\n<<: {y: 2}", "x.yaml:3:1: the merge key '<<' is not allowed"),
    ("&k a: 1", "x.yaml:1:1: a key must have no anchor and no tag"),
    ("!!str a: 1", "x.yaml:1:1: a key must have no anchor and no tag"),
    ("a: !!int '5'", "x.yaml:1:4: the tag 'tag:yaml.org,2002:int' is not allowed"),
    (
        "a: !!python/object/apply:os.system ['ls']",
        "the tag 'tag:yaml.org,2002:python/object/apply:os.system'",
    ),
    ("a: !mine {b: 1}", "x.yaml:1:4: the tag '!mine' is not allowed"),
    ("a: ! 5", "x.yaml:1:4: the tag '!' is not allowed"),
    ("a: 1\n---\nb: 2", "x.yaml:2:1: a second document starts here"),
    ("a: 1\n...\n---\n", "x.yaml:3:1: a second document starts here"),
    (DEEP_FLOW, "nested deeper than 32 levels"),
    (DEEP_BLOCK, "nested deeper than 32 levels"),
    ("a: " + "[" * 100_000, "nested deeper than 32 levels"),
    ("a: .nan", "x.yaml:1:4: '.nan' is not a finite number; write null for what is unknown"),
    ("a: -.INF", "x.yaml:1:4: '-.INF' is not a finite number"),
    ("a: [1, .inf]", "x.yaml:1:8: '.inf' is not a finite number"),
    ("a: 1e999", "x.yaml:1:4: '1e999' is too large for a number"),
    ("a: " + "9" * 5000, "x.yaml:1:4: the number '999"),
    ("a: 0." + "1" * 60, "has too many digits"),
    ("? [a, b]\n: 1", "x.yaml:1:3: a key must be plain text"),
    ("? {a: b}\n: 1", "x.yaml:1:3: a key must be plain text"),
    ("? \n: 1", "x.yaml:1:2: a key is empty"),
    ("'': 1", "x.yaml:1:1: a key is empty"),
    ("a: b: c", "x.yaml:1:5: not YAML: mapping values are not allowed"),
    ("name: X: y", "put text that holds ': ' in quotes"),
    ("a: 1\n b: 2", "x.yaml:2:3: not YAML: mapping values are not allowed"),
    ("a: 1\nb", "not YAML: while scanning a simple key"),
    ("a:\n\t- b", "x.yaml:2:1: not YAML: while scanning for the next token"),
    ("a: 1\n\tb: 2", "indent with spaces, not tabs"),
    ("a: [1, 2", "not YAML: while parsing a flow sequence"),
    ("a: [1,\nb: 2", "not YAML"),
    ("a: {b: 1", "check the brackets and commas"),
    ("a: ]", "x.yaml:1:4: not YAML"),
    ("a: 'open", "close the quotes"),
    ('a: "open', "close the quotes"),
    ('a: "\\q"', "not YAML: while parsing a quoted scalar"),
    ("a: @home", "x.yaml:1:4: not YAML"),
    ("a: `x`", "put text that starts with this character in quotes"),
    ("a: %x", "put text that starts with this character in quotes"),
    ("a: 1\n- b", "x.yaml:2:1: not YAML"),
    ("- a\nb: 1", "expected a mapping, got a list"),
    ("a:\n    b: 1\n  c: 2", "x.yaml:3:3: not YAML"),
    ("a: \x07", "x.yaml:1:4: not YAML: a control character"),
    ("a: 1\nb: é\x1b[31m", "x.yaml:2:5: not YAML: a control character"),
    ("a: \ud800", "x.yaml:1:4: not YAML: a control character"),
    ("a: >\n  x\n b: 1", "x.yaml:3:2: not YAML"),
]


@pytest.mark.parametrize(("text", "fragment"), MALFORMED)
def test_malformed_yaml_is_one_line_with_its_place(text: str, fragment: str) -> None:
    with pytest.raises(CostcalcError) as caught:
        parse_yaml(text, "x.yaml")
    line = str(caught.value)
    assert fragment in line
    assert line.startswith("x.yaml:")
    assert line.isprintable()


def test_there_are_enough_malformed_files() -> None:
    assert len({text for text, _ in MALFORMED}) >= 40


@pytest.mark.parametrize(("text", "fragment"), MALFORMED)
def test_the_loader_without_the_c_library_refuses_the_same(
    text: str, fragment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if len(text) > 50_000:
        pytest.skip("the scanner in Python is slow on this one")
    monkeypatch.setattr("costcalc.catalog.yaml._Loader", yaml.SafeLoader)
    with pytest.raises(CostcalcError) as caught:
        parse_yaml(text, "x.yaml")
    # The two scanners word and place their own complaints differently.
    if "not YAML" not in str(caught.value):
        assert fragment in str(caught.value)


BROKEN_FILES = [
    (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "a binary file, not text"),
    (b"name: \x00", "a binary file, not text"),
    ("name: X".encode("utf-16"), "UTF-16 text, not UTF-8"),
    (b"name: X\nnote: caf\xe9\n", "x.yaml:2:10: not UTF-8 text; save the file as UTF-8"),
    (b"\xff\xfe", "x.yaml:1:1: not UTF-8 text"),
    (b"a: 1\n#" + b"x" * 1_000_000, "larger than 1 MB"),
    (b"a: [" + b"1," * 100_000 + b"]", "x.yaml:1:40001: more than 20,000 values"),
]


@pytest.mark.parametrize(("content", "fragment"), BROKEN_FILES)
def test_broken_files(content: bytes, fragment: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(CostcalcError) as caught:
        load_yaml(path)
    assert fragment in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(CostcalcError, match="no such file"):
        load_yaml(tmp_path / "missing.yaml")
    with pytest.raises(CostcalcError, match="this is a folder"):
        load_yaml(tmp_path)
    with pytest.raises(CostcalcError, match="cannot read this file"):
        load_yaml(tmp_path / ("x" * 5000))
    (tmp_path / "file").touch()
    with pytest.raises(CostcalcError, match="cannot read this file"):
        load_yaml(tmp_path / "file" / "x.yaml")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the platform has no named pipes")
def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.yaml")
    with pytest.raises(CostcalcError, match="not a regular file"):
        load_yaml(tmp_path / "x.yaml")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is closed to this user")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.touch(mode=0o000)
    with pytest.raises(CostcalcError, match="no permission"):
        load_yaml(path)


def test_permission_denied_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.yaml"
    path.touch()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(CostcalcError, match="no permission to read this file"):
        load_yaml(path)


def test_places_inside_the_current_folder_are_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert place(tmp_path / "models" / "x.yaml", (12, 3)) == f"{Path('models', 'x.yaml')}:12:3"
    assert place(tmp_path.parent / "x.yaml") == str(tmp_path.parent / "x.yaml")


JSON_LIKE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(-1e300, 1e300)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), JSON_LIKE, min_size=1, max_size=5), st.booleans())
def test_what_pyyaml_writes_is_read_back(data: dict[str, Any], flow: bool) -> None:
    # Quoted, because PyYAML writes by YAML 1.1 and leaves text such as '1e5' bare.
    class Quoting(yaml.SafeDumper):
        pass

    Quoting.ignore_aliases = lambda *_: True  # type: ignore[method-assign, assignment]
    Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, '"'))
    text = yaml.dump(data, Dumper=Quoting, default_flow_style=flow, allow_unicode=False)
    assert parse_yaml(text, "x.yaml")[0] == data


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        data, _ = parse_yaml(text, "x.yaml")
    except CostcalcError as error:
        assert str(error).startswith("x.yaml")
        assert str(error).isprintable()
    else:
        assert isinstance(data, dict)
