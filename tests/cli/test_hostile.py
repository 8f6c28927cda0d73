"""Files by strangers, and what happens to a system: each ends in an answer or in one line, with nothing left behind."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
import time
import xml.dom.minidom
from pathlib import Path

import pytest

from costcalc.cli import main
from costcalc.report.export.files import cell_text

ROOT = Path(__file__).parents[2]
LLAMA = ["estimate", "-m", "llama-3.1-8b", "-g", "h100"]
MINE = ["estimate", "-m", "./f.yaml", "-g", "h100"]
GEMM = "gpu,dtype,m,n,k,ms\nh100,bf16,64,8192,8192,0.066\nh100,bf16,8192,8192,8192,1.7\n"
MOE = "gpu,dtype,tokens,hidden,inter,topk,experts,moe_tp,moe_ep,distribution,ms\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def named(name: str) -> None:
    Path("f.yaml").write_text(f'extends: llama-3.1-8b\nname: "{name}"\n')


def refused(capfd: pytest.CaptureFixture[str], words: list[str]) -> str:
    """Run a command that must be refused, and return its line."""
    began = time.process_time()
    assert main(words) == 2
    printed = capfd.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and printed.err[:-1].isprintable()
    assert time.process_time() - began < 2.0 and len(printed.err) < 2000
    return printed.err


# What comes from files, on every face. OWASP, "CSV Injection"; ECMA-48; CommonMark 0.31, section 6.3.


FACES = [[], ["--explain"], ["--plot"], ["-f", "csv"], ["-f", "markdown"], ["-f", "latex"], ["-f", "json"]]


@pytest.mark.parametrize("face", FACES, ids=lambda face: " ".join(face) or "table")
@pytest.mark.parametrize(
    "name", [r"\e]52;c;cHduZWQ=\a", r"\u202edlog", r"a\nb", r"\x9b2J"], ids=["osc", "bidi", "line", "csi"]
)
def test_a_name_commands_no_face(name: str, face: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    named(name)
    assert main([*MINE, *face]) == 0
    printed = capfd.readouterr()
    assert printed.err == ""
    assert all(line.isprintable() for line in printed.out.split("\n"))


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+cmd|x", "-2+3", "@SUM(A1)"])
def test_a_cell_is_no_formula(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    named(name)
    assert main([*MINE, "-f", "csv"]) == 0
    row = list(csv.reader(io.StringIO(capfd.readouterr().out)))[1]
    assert row[0] == f"'{name}"


def test_numbers_below_nothing_stay_numbers(capfd: pytest.CaptureFixture[str]) -> None:
    Path("f.csv").write_text(
        GEMM.replace("ms\n", "ms,note\n").replace("0.066\n", "0.066,-5\n").replace("1.7\n", "1.7,-x\n")
    )
    assert main(["validate", "--data", "f.csv", "-f", "json"]) == 0
    capfd.readouterr()
    assert [cell_text(each) for each in ("-5", "-1e-3", "-", "-x", "-inf")] == ["-5", "-1e-3", "-", "'-x", "'-inf"]


@pytest.mark.parametrize("text", ["--ttft 3s", "--pools", "--gpus N or --tp N", "--kv fp8 --context 32,768"])
def test_an_option_as_typed_is_no_formula(text: str) -> None:
    assert cell_text(text) == text


@pytest.mark.parametrize(
    "text",
    ["--HYPERLINK(1)", "--a+cmd|' /C calc'!A0", "--set x=1", "--a @SUM(A1)", "-- 2+3", "--2+3", "-ttft 3s", "--a\n=1"],
)
def test_an_option_that_computes_is_guarded(text: str) -> None:
    assert cell_text(text).startswith("'--") or cell_text(text).startswith("'-t")


def test_a_name_is_no_link_and_ends_no_row(capfd: pytest.CaptureFixture[str]) -> None:
    named("[pay](javascript:alert(1))")
    assert main([*MINE, "-f", "markdown"]) == 0
    assert "\n# [pay\\](javascript:alert(1)) on " in capfd.readouterr().out
    named(r"a\n# b|c")
    assert main(["compare", "models", "./f.yaml", "llama-3.1-8b", "-g", "1xh100", "-f", "markdown"]) == 0
    assert "| a\\\\n# b\\|c |" in capfd.readouterr().out


def test_a_source_and_a_file_name_are_shown_escaped(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = r'{what: shape, source: "\e[31m", date: "2026-11", provenance: seen}'
    Path("f.yaml").write_text(f"extends: llama-3.1-8b\nname: X\nsources: [{source}]\n")
    assert main(["models", "show", "./f.yaml"]) == 0
    assert "\\x1b[31m" in capfd.readouterr().out
    (folder / "cat/models").mkdir(parents=True)
    (folder / "cat/models/e\x1b[31m.yaml").write_text(Path("f.yaml").read_text())
    assert main(["models", "--catalog", "cat"]) == 0
    assert "\x1b" not in capfd.readouterr().out


@pytest.mark.parametrize("name", [r"\e", "日本語", "$x$ \\\\frac"])
def test_a_chart_is_whole_whatever_a_name_is_made_of(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    named(name)
    assert main([*MINE, "--chart", "c.svg", "-o", "o.txt"]) == 0
    assert capfd.readouterr() == ("", "")
    xml.dom.minidom.parse("c.svg")


# Wrong input, whatever it is.


BIG = 120_000
LINES: list[list[str]] = [
    ["validate", "--data", "a\0b"],
    ["models", "import", "c.json", "--name", "\udcff"],
    [*LLAMA, "--set", "model.name=\udcff"],
    *([*LLAMA, option, text] for option, text in (
        ("--demand", "5e-324 rps"), ("--ttft", "5e-324s"), ("--tpot", "5e-324s"), ("--utilization", "1e-320"),
        ("--price", "5e-324"), ("--output-file", "~nobody/x.json"), ("--batch", "x" * BIG), ("--weights", "x" * BIG),
    )),
    ["sweep", *LLAMA[1:], "--batch", "1:256:xnan"],
    ["sweep", *LLAMA[1:], "--batch", "1:256:xinf"],
    ["estimate", "-m", "x" * BIG, "-g", "h100"],
    ["estimate", "-m", "v3", "-g", "x" * BIG],
    ["models", "new", "-o", "a\n\x1b[31m" + "0" * 300],
    ["x" * BIG],
]  # fmt: skip


@pytest.mark.parametrize("words", LINES, ids=lambda words: " ".join(words)[:60].encode("unicode_escape").decode())
def test_a_hostile_line_is_one_line(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert "unexpected" not in refused(capfd, words)


LARGE = {
    "unknown keys": "extends: llama-3.1-8b\n" + "".join(f"k{i}: 1\n" for i in range(19_000)),
    "values": "extends: llama-3.1-8b\n" + "".join(f"k{i}: 1\n" for i in range(100_000 - 30_000)),
    "NUL": 'extends: "a/\\0b"\n',
    "long name": f"extends: llama-3.1-8b\nname: {'x' * 5000}\n",
}


@pytest.mark.parametrize("content", LARGE.values(), ids=LARGE)
def test_a_hostile_model_is_one_line(content: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("f.yaml").write_text(content)
    assert "f.yaml:" in refused(capfd, MINE)


def test_thousands_of_bad_prices_are_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "hardware_profiles/h100-sxm.yaml").read_text().partition("\nprices:")[0]
    Path("f.yaml").write_text(f"{text}\nprices:\n" + "  - {x: 1}\n" * 3000)
    assert "more)" in refused(capfd, ["gpus", "show", "./f.yaml"])


TABLES = {
    "columns": (",".join(f"c{i}" for i in range(50_000)) + "\n1\n", "more than 200 columns"),
    "names": ("gpu,dtype,m,n,k,ms\n" + "".join(f"g{i},bf16,1,1,1,1\n" for i in range(1000)), "more than 300 different"),
    "lines": (GEMM + "\n" * 20_000, "more than 10,000 lines"),
    "bytes": (GEMM + "#" * 11_000_000, "larger than 10 MB"),
    "delimiter": (GEMM.replace(",", "|"), "fields are separated by '|'"),
}


@pytest.mark.parametrize(("content", "told"), TABLES.values(), ids=TABLES)
def test_a_hostile_table_is_one_line(content: str, told: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("f.csv").write_text(content)
    assert told in refused(capfd, ["validate", "--data", "f.csv"])


@pytest.mark.parametrize("experts", ["10000000", "0.1"])
def test_a_row_of_impossible_experts_cannot_be_used(experts: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("f.csv").write_text(f"{MOE}h100,fp8_block,1536,6144,2560,8,{experts},1,1,power_law_1.2,1.38\n")
    assert main(["validate", "--data", "f.csv"]) == 0
    assert "(f.csv:2)" in capfd.readouterr().out


def test_sizes_below_one_cannot_be_used(capfd: pytest.CaptureFixture[str]) -> None:
    Path("f.csv").write_text(f"{MOE}h100,fp8_block,1e-9,6144,2560,8,8,1,1,balanced,1.38\n")
    assert main(["validate", "--data", "f.csv", "-f", "json"]) == 0
    assert "1e-09 tokens, each sent to 8 experts: one at least" in capfd.readouterr().out


def test_a_text_that_is_no_finite_number_is_refused(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place = folder / "cat/hardware_profiles/efficiency"
    place.mkdir(parents=True)
    shipped = (ROOT / "hardware_profiles/efficiency/serving.yaml").read_text()
    (place / "serving.yaml").write_text(shipped.replace("tile_rows: 1", "tile_rows: '1e999'", 1))
    assert "tile_rows: expected a finite number, got '1e999'" in refused(capfd, [*LLAMA, "--catalog", "cat"])


def test_constants_that_lack_a_key_are_told(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place = folder / "cat/hardware_profiles/efficiency"
    place.mkdir(parents=True)
    shipped = (ROOT / "hardware_profiles/efficiency/serving.yaml").read_text()
    (place / "serving.yaml").write_text(shipped.replace("\n  other: ", "\n  othr: "))
    assert "untuned: lacks the key 'other'" in refused(capfd, [*LLAMA, "--catalog", "cat"])


def test_ten_thousand_mistakes_are_told_in_a_second(capfd: pytest.CaptureFixture[str]) -> None:
    head = "gpu,model,kind,n_gpus,isl,osl,tp,concurrency,ttft_ms,framework,dtype\n"
    rows = (f"h100,llama-3.1-8b,online,{i + 3},1000,{i + 1},8,{i + 1},100,vllm,zz{i % 290}\n" for i in range(9_990))
    Path("f.csv").write_text(head + "".join(rows))
    began = time.process_time()
    assert main(["validate", "--data", "f.csv"]) == 0
    assert time.process_time() - began < 3.0  # a second, where nothing else runs
    printed = capfd.readouterr().out
    assert "6,490 rows more, for 190 other reasons: --format json says each" in printed and len(printed) < 30_000


SHIPPED = (ROOT / "hardware_profiles/h100-sxm.yaml").read_text()


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ("node_size: 8", "node_size: 0", "node_size: must be greater than 0, got 0"),
        ("vendor: nvidia", "vendor: [vidi]", "vendor: expected"),
        ("sm_count: 132", "sm_count: -32", "sm_count: must be greater than 0"),
    ],
)
def test_a_file_that_looks_like_one_that_ships_is_checked_as_any(
    was: str, now: str, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """As long as the file that ships, byte for byte the same but for one value: no file is taken on its looks."""
    forged = SHIPPED.replace(was, now, 1)
    assert forged != SHIPPED and len(forged) == len(SHIPPED)
    Path("f.yaml").write_text(forged)
    os.utime("f.yaml", (0, (ROOT / "hardware_profiles/h100-sxm.yaml").stat().st_mtime))
    for words in (["estimate", "-m", "v3", "-g", "./f.yaml"], ["gpus", "check", "f.yaml"]):
        assert told in refused(capfd, words)


def test_a_million_cells_are_told_in_rows_of_a_file_alone(capfd: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "-m", "llama-3.1-8b", "-g", "1xh100", "--batch", "1:10000:1", "--price", "0.01:1:0.01"]
    for face in (["-o", "big.json"], ["-o", "big.md"], []):
        assert "more than 100,000 cells are asked for; take fewer values" in refused(capfd, [*words, *face])
    assert list(Path().iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX pipes")
def test_a_file_that_has_nothing_to_tell_yet_is_not_waited_for(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """/proc/kmsg looks like a regular file, and a pipe like /proc/kmsg where it is said to be regular."""
    os.mkfifo("f.yaml")
    assert "not a regular file" in refused(capfd, MINE)
    monkeypatch.setattr("costcalc.catalog.yaml.stat.S_ISREG", lambda _: True)
    writer = os.open("f.yaml", os.O_RDWR)
    assert "f.yaml: the file is empty" in refused(capfd, MINE)
    os.close(writer)


# Files that are read, linked to, or already there.


def test_no_answer_is_written_over_what_it_is_made_of(capfd: pytest.CaptureFixture[str]) -> None:
    Path("in.csv").write_text(GEMM)
    assert "is read for this answer" in refused(capfd, ["validate", "--data", "in.csv", "-o", "in.csv"])
    os.link("in.csv", "other.csv")
    refused(capfd, ["validate", "--data", "in.csv", "-o", "other.csv"])
    assert Path("in.csv").read_text() == GEMM


def test_a_link_is_neither_followed_nor_replaced(capfd: pytest.CaptureFixture[str]) -> None:
    Path("real.json").write_text("x")
    Path("link.json").symlink_to("real.json")
    assert "is a link; name what it leads to" in refused(capfd, [*LLAMA, "-o", "link.json"])
    assert Path("link.json").is_symlink() and Path("real.json").read_text() == "x"


def test_what_is_replaced_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*LLAMA, "-o", "o.json"]) == 0
    assert capfd.readouterr().err == ""
    assert main([*LLAMA, "-o", "o.json"]) == 0
    assert capfd.readouterr().err == "note: 'o.json' was there before and is replaced\n"


# The system.


def costcalc(*words: str, **environment: str | None) -> subprocess.CompletedProcess[bytes]:
    settings = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    known = {name: value for name, value in settings.items() if value is not None}
    return subprocess.run([sys.executable, "-m", "costcalc", *words], capture_output=True, env=known, check=False)


def test_settings_of_matplotlib_change_no_chart() -> None:
    assert costcalc(*LLAMA, "--chart", "a.png", "-o", "o.txt").returncode == 0
    Path("matplotlibrc").write_text("text.usetex: True\nnonsense: \xff\n", encoding="latin-1")
    found = costcalc(*LLAMA, "--chart", "b.png", "-o", "p.txt", MPLBACKEND="module://nonsense", HOME=None)
    assert (found.returncode, found.stderr) == (0, b"")
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_told_without_buffers_too() -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-u", "-m", "costcalc", *LLAMA]
        settings = {**os.environ, "PYTHONPATH": str(ROOT)}
        found = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=settings, check=False)
    assert (found.returncode, found.stderr) == (2, b"error: stdout: No space left on device\n")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_leaves_nothing(name: str, folder: Path) -> None:
    words = ["sweep", "-m", "v3", "-g", "h200", "--gpus", "16", "--batch", "1:64:1", "--context", "1k:50k:1k"]
    command = [sys.executable, "-m", "costcalc", *words, "-o", "o.csv", "--chart", "c.svg"]
    settings = {**os.environ, "PYTHONPATH": str(ROOT)}
    code = f"import os, signal; signal.signal(signal.{name}, signal.SIG_DFL); os.execv({command[0]!r}, {command!r})"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, env=settings) as process:
        while not any(folder.iterdir()):
            time.sleep(0.01)
        process.send_signal(getattr(signal, name))
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait(20)) == (b"", 128 + getattr(signal, name))
    assert [*folder.iterdir()] == []


def test_closed_streams_are_told_or_do_without() -> None:
    command = f"{sys.executable} -m costcalc"
    settings = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        f"{command} models import - <&-", shell=True, stderr=subprocess.PIPE, env=settings, check=False
    )
    assert (found.returncode, found.stderr[:21]) == (2, b"error: stdin: it is c")
    Path("f.csv").write_text(GEMM.replace("h100", "x"))
    whole = f"{command} validate --data f.csv -f json 2>&-"
    found = subprocess.run(whole, shell=True, stdout=subprocess.PIPE, env=settings, check=False)
    assert found.returncode == 0 and found.stdout.startswith(b"{")


def test_calibrations_side_by_side_lose_nothing(folder: Path) -> None:
    for name in ("h100", "h200"):
        Path(f"{name}.csv").write_text(GEMM.replace("h100", name))
    settings = {**os.environ, "PYTHONPATH": str(ROOT)}
    commands = [
        [sys.executable, "-m", "costcalc", "calibrate", "--from", f"{name}.csv", "-o", "own"]
        for name in ("h100", "h200")
    ]
    for process in [subprocess.Popen(each, stdout=subprocess.DEVNULL, env=settings) for each in commands]:
        assert process.wait(60) == 0
    text = (folder / "own/hardware_profiles/efficiency/machines.yaml").read_text()
    assert "h100-sxm:" in text and "h200-sxm:" in text


@pytest.mark.parametrize(
    "words", [["--seed", "7", "--count", "150"], ["--seed", "7", "--kind", "faults", "--count", "8"]], ids=len
)
def test_the_campaign_finds_nothing(words: list[str]) -> None:
    command = [sys.executable, str(ROOT / "tools/fuzz.py"), *words]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "| faults |" in found.stdout
