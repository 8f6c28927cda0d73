"""Files of measurements: read as they are published, and every mistake told in one line."""

from __future__ import annotations

import pytest

from costcalc.errors import CostcalcError
from costcalc.measured import KINDS, load_measurements, shipped_measurements

GEMM = "gpu,dtype,m,n,k,ms,note,source\n"


def write(tmp_path, text, name="rows.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_comments_blank_lines_quotes_and_empty_fields(tmp_path):
    text = f'# a comment\n\n{GEMM}# another\nH100,bf16,1,8192,8192,0.0479,,"a, b"\n\nL4,fp8,1,8,8,,,\n'
    found = load_measurements(write(tmp_path, text))
    assert found.kind == "gemm" and found.lines == (5, 7)
    assert found.rows[0]["source"] == "a, b" and found.rows[0]["ms"] == 0.0479 and found.rows[0]["m"] == 1
    assert found.rows[1]["ms"] is None and found.rows[1]["suspect"] == ""


def test_a_byte_order_mark_and_windows_line_ends(tmp_path):
    text = b"\xef\xbb\xbf" + GEMM.replace("\n", "\r\n").encode() + b"L4,fp8,1,8,8,1,,\r\n"
    assert len(load_measurements(write(tmp_path, text)).rows) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_shipped_kind_is_recognized_and_named_with_its_source(kind):
    found = shipped_measurements(kind)
    assert load_measurements(found.path).kind == kind
    for row in found.rows:
        assert (row["source"] and row["date"] != "") or kind == "e2e"
        assert row["licence"] in ("Apache-2.0", "MIT", "facts")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file holds no rows"),
        ("# only a comment\n", "the file holds no rows"),
        (GEMM, "a header and no rows"),
        ("gpu,dtype,m,n\nL4,fp8,1,8\n", "fit no kind of measurement"),
        (GEMM.replace("m,", "m,m,"), "'m' stands twice"),
        (GEMM + "L4,fp8,1,8,8,1\n", ":2:1: 6 fields where the header names 8"),
        (GEMM + "L4,fp8,one,8,8,1,,\n", ":2:1: m is not a number: 'one'"),
        (GEMM + "L4,fp8,,8,8,1,,\n", ":2:1: m is empty"),
        (GEMM + "L4,fp8,nan,8,8,1,,\n", "m must be above 0"),
        (GEMM + "L4,fp8,-3,8,8,1,,\n", "m must be above 0"),
        (GEMM + "L4,fp8,1,8,8,inf,,\n", "ms must be at least 0"),
        (GEMM + ",fp8,1,8,8,1,,\n", "gpu is empty"),
        (GEMM + '"L4,fp8,1,8,8,1,,\n', "not CSV"),
        (b"gpu\x00,m\n", "a binary file"),
        (b"gpu,\xff\n", "not UTF-8"),
    ],
)
def test_every_mistake_is_one_line_with_its_place(tmp_path, text, message):
    with pytest.raises(CostcalcError) as error:
        load_measurements(write(tmp_path, text))
    assert message in str(error.value) and "\n" not in str(error.value) and "rows.csv" in str(error.value)


def test_a_missing_column_names_the_one_meant(tmp_path):
    path = write(tmp_path, "gpu,dtypes,m,n,k,ms\nL4,fp8,1,8,8,1\n")
    with pytest.raises(CostcalcError, match=r"'dtype' is missing; is 'dtypes' meant"):
        load_measurements(path, "gemm")


def test_a_file_without_what_was_measured(tmp_path):
    path = write(tmp_path, "gpu,dtype,m,n,k\nL4,fp8,1,8,8\n")
    with pytest.raises(CostcalcError, match="no column of what was measured: ms"):
        load_measurements(path)


def test_an_unknown_kind_names_the_nearest(tmp_path):
    with pytest.raises(CostcalcError, match="did you mean 'gemm'"):
        load_measurements(write(tmp_path, GEMM), "gem")


def test_no_such_file(tmp_path):
    with pytest.raises(CostcalcError, match="no such file"):
        load_measurements(tmp_path / "nothing.csv")
