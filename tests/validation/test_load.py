"""Files of measurements: read as they are published, and every mistake told in one line."""

from __future__ import annotations

import pytest

from costcalc.errors import CostcalcError
from costcalc.validation.files import KINDS, load_measurements, shipped_measurements

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
        if kind == "power":  # of one source, which its first line names
            assert row["run"]
            continue
        assert (row["source"] and row["date"] != "") or kind == "e2e"
        assert kind == "field" or row["licence"] in ("Apache-2.0", "MIT", "facts")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file holds no rows"),
        ("# only a comment\n", "the file holds no rows"),
        (GEMM, "a header and no rows"),
        ("a,b\n1,2\n", "fit no kind of measurement; say which it is with --kind: decode_attention"),
        (GEMM.replace("m,", "m,m,"), "'m' stands twice"),
        (GEMM + '"L4,fp8,1,8,8,1,,\n', "not CSV"),
        (b"gpu\x00,m\n", "a binary file"),
        (b"gpu,\xff\n", "not UTF-8"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line_with_its_place(tmp_path, text, message):
    with pytest.raises(CostcalcError) as error:
        load_measurements(write(tmp_path, text))
    assert message in str(error.value) and "\n" not in str(error.value) and "rows.csv" in str(error.value)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("L4,fp8,1,8,8,1", "line 4: 6 fields where the header names 8"),
        ("L4,fp8,1,8,8,1,,,x", "line 4: 9 fields where the header names 8"),
        ("L4,fp8,one,8,8,1,,", "line 4: m is not a number: 'one'"),
        ("L4,fp8,,8,8,1,,", "line 4: m is empty"),
        ("L4,fp8,NA,8,8,1,,", "line 4: m is empty: 'NA'"),
        ("L4,fp8,N/A,8,8,1,,", "line 4: m is empty: 'N/A'"),
        ("L4,fp8,null,8,8,1,,", "line 4: m is empty: 'null'"),
        ("L4,fp8,-,8,8,1,,", "line 4: m is empty: '-'"),
        ("L4,fp8,nan,8,8,1,,", "line 4: m is empty: 'nan'"),
        ("L4,fp8,inf,8,8,1,,", "line 4: m is beyond all reason: 'inf'"),
        ("L4,fp8,1e300,8,8,1,,", "line 4: m is beyond all reason: '1e300'"),
        ("L4,fp8,0,8,8,1,,", "line 4: m must be above 0, got '0'"),
        ("L4,fp8,-3,8,8,1,,", "line 4: m must be above 0, got '-3'"),
        ("L4,fp8,1,8,8,inf,,", "line 4: ms is beyond all reason: 'inf'"),
        ("L4,fp8,1,8,8,OOM,,", "line 4: ms is not a number: 'OOM'"),
        (",fp8,1,8,8,1,,", "line 4: gpu is empty"),
        ("L4,n/a,1,8,8,1,,", "line 4: dtype is empty: 'n/a'"),
    ],
)
def test_a_row_that_cannot_be_used_is_kept_with_its_line_and_column(tmp_path, row, reason):
    found = load_measurements(write(tmp_path, f"# a comment\n{GEMM}L4,fp8,1,8,8,1,,\n{row}\nL4,fp8,2,8,8,1,,\n"))
    assert [each["m"] for each in found.rows] == [1, 2] and found.lines == (3, 5)
    (unusable,) = found.unusable
    assert (unusable.line, unusable.reason) == (4, reason) and unusable.given["n"] == 8


def test_numbers_as_people_write_them(tmp_path):
    found = load_measurements(write(tmp_path, GEMM + 'L4,fp8,"1,024",8.0, 1e3 ,NA,-,\n'))
    (row,) = found.rows
    assert (row["m"], row["n"], row["k"], row["ms"], row["note"]) == (1024, 8, 1000, None, "")


@pytest.mark.parametrize("separator", [";", "\t"])
def test_semicolons_and_tabs_separate_too(tmp_path, separator):
    text = (GEMM + "H100,bf16,1,8192,8192,0.0479,,a\n").replace(",", separator)
    found = load_measurements(write(tmp_path, text))
    assert found.kind == "gemm" and found.rows[0]["ms"] == 0.0479
    # Where semicolons separate, a comma divides decimals in half of the world, and thousands in the other.
    found = load_measurements(write(tmp_path, text.replace("0.0479", "1,250")))
    assert found.unusable[0].reason == "line 2: ms is not a number: '1,250'"


def test_rows_are_given_back_as_the_file_has_them(tmp_path):
    header, rows = (
        "gpu,dtype,m,n,k,ms,version,run,colour",
        ("H100,fp8,32,8,8,0.50,0.10,7,red", "H100,fp8,1e3,8,8,,1.0,8,"),
    )
    found = load_measurements(write(tmp_path, "\n".join([header, *rows]) + "\n"))
    first, second = found.given
    assert list(first) == header.split(",")
    assert first["m"] == 32 and isinstance(first["m"], int) and first["ms"] == 0.5 and first["version"] == "0.10"
    assert (first["run"], first["colour"], second["m"], second["ms"]) == (7, "red", 1000.0, None)


def test_columns_that_a_spreadsheet_leaves_empty_at_the_end_do_no_harm(tmp_path):
    found = load_measurements(write(tmp_path, "gpu,dtype,m,n,k,ms,,\nL4,fp8,1,8,8,1,,\n"))
    assert len(found.rows) == 1 and not found.unusable


def test_a_missing_column_names_the_one_meant(tmp_path):
    path = write(tmp_path, "gpu,dtypes,m,n,k,ms\nL4,fp8,1,8,8,1\n")
    with pytest.raises(CostcalcError, match=r"'dtype' is missing; is 'dtypes' meant"):
        load_measurements(path, "gemm")


def test_without_a_kind_the_nearest_one_is_named_with_what_it_lacks(tmp_path):
    path = write(tmp_path, "gpu,kind,kv_dtype,batch,context,q_heads,head_dim,ms\nH100,GQA,bf16,1,1,8,128,1\n")
    with pytest.raises(CostcalcError, match=r"the nearest, decode_attention, lacks: kv_heads$"):
        load_measurements(path)
    # q_heads is spelled much like kv_heads, and means something else already.
    with pytest.raises(CostcalcError, match=r"'kv_heads' is missing; decode_attention needs: kv_heads$"):
        load_measurements(path, "decode_attention")
    path = write(tmp_path, "gpu,kind,kv_dtype,batch,contexts,q_heads,num_kv_heads,head_dim,ms\nH100,GQA,,,,,,,\n")
    with pytest.raises(CostcalcError, match="perhaps meant: 'contexts' for 'context', 'num_kv_heads' for 'kv_heads'"):
        load_measurements(path)


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
