"""Where the output goes: pipes, terminals, narrow encodings, closed readers, full disks, signals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "costcalc"]
ESTIMATE = [*COMMAND, "estimate", "--model", "llama-3.1-8b", "--gpu", "h100"]
COMPARE = [*COMMAND, "compare", "attention", "--model", "v3", "--gpu", "h100"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals and signals")


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, capture_output=True, env={**os.environ, **environment}, check=False)


def on_a_terminal(command: list[str], columns: int, **environment: str) -> str:
    """Run a command on a pseudo-terminal and return what it prints."""
    import pty

    leader, follower = pty.openpty()
    settings = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), **environment}
    with subprocess.Popen(command, stdout=follower, stderr=follower, env=settings) as process:
        os.close(follower)
        output = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # Linux ends a terminal with an error
                break
            if not part:
                break
            output += part
        assert process.wait() == 0
    os.close(leader)
    return output.decode()


def visible(text: str) -> list[str]:
    """Return lines as they are seen, without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r", "").splitlines()


def test_a_pipe_gets_plain_text_however_narrow() -> None:
    wide, narrow = run(ESTIMATE, COLUMNS="200"), run(ESTIMATE, COLUMNS="40")
    assert wide.returncode == narrow.returncode == 0
    assert wide.stdout == narrow.stdout
    assert b"\x1b" not in wide.stdout and "…" not in wide.stdout.decode()


@pytest.mark.parametrize("command", [ESTIMATE, COMPARE], ids=["estimate", "compare"])
@pytest.mark.parametrize("columns", [80, 100, 160])
def test_a_terminal_is_filled_and_not_overrun(command: list[str], columns: int) -> None:
    output = on_a_terminal(command, columns)
    assert "\x1b[" in output
    assert max(map(len, visible(output))) <= columns
    assert "…" not in output and "..." not in output


def test_no_digit_is_lost_on_a_narrow_terminal() -> None:
    def dollars(lines: list[str]) -> set[str]:
        return set(re.findall(r"\$[0-9.,]+", "\n".join(lines[:8])))

    assert dollars(visible(on_a_terminal(ESTIMATE, 40))) <= dollars(visible(on_a_terminal(ESTIMATE, 200)))
    assert dollars(visible(on_a_terminal(ESTIMATE, 40)))


def test_no_color_is_honoured() -> None:
    def colours(output: str) -> list[str]:
        codes = [code for found in re.findall(r"\x1b\[([0-9;]*)m", output) for code in found.split(";")]
        return [code for code in codes if re.fullmatch(r"(3|4|9|10)[0-8]", code)]

    plain = on_a_terminal(ESTIMATE, 100, NO_COLOR="1")
    assert colours(on_a_terminal(ESTIMATE, 100)) and not colours(plain)
    assert "\x1b[1m" in plain  # no colour


def test_a_dumb_terminal_gets_plain_text() -> None:
    assert "\x1b" not in on_a_terminal(ESTIMATE, 100, TERM="dumb")


@pytest.mark.parametrize("arguments", [["--plot"], ["--explain"], ["--format", "markdown"], ["--format", "json"]])
def test_ascii_output_has_lookalikes(arguments: list[str]) -> None:
    full = run([*COMPARE, *arguments], PYTHONIOENCODING="utf-8")
    plain = run([*COMPARE, *arguments], PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
    assert plain.returncode == 0 and not plain.stderr
    assert plain.stdout.isascii()
    # No sign without a look-alike, and every column where it was.
    assert plain.stdout.count(b"?") == full.stdout.count(b"?")
    assert list(map(len, plain.stdout.decode().splitlines())) == list(map(len, full.stdout.decode().splitlines()))


def test_ascii_errors_have_lookalikes() -> None:
    result = run([*ESTIMATE, "--batch", "é"], PYTHONIOENCODING="ascii", LC_ALL="C")
    assert result.returncode == 2
    assert result.stderr.startswith(b"error: --batch") and result.stderr.count(b"\n") == 1


def test_a_reader_that_leaves_is_no_error() -> None:
    command = " ".join(COMPARE)
    result = subprocess.run(f"{command} --explain | head -n 1", shell=True, capture_output=True, text=True, check=True)
    assert result.stdout.count("\n") == 1 and not result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_told_in_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(ESTIMATE, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == "error: stdout: No space left on device\n"


@pytest.mark.parametrize("arguments", ["estimate -m llama-3.1-8b -g h100", "models", "schema result", "--help"])
def test_a_closed_stdout_is_told_in_one_line(arguments: str) -> None:
    result = subprocess.run(f"{' '.join(COMMAND)} {arguments} >&-", shell=True, stderr=subprocess.PIPE, check=False)
    told = result.stderr.decode()
    assert (result.returncode, told.count("\n")) == (2, 1)
    assert told.startswith("error: stdout: it is closed")


def test_a_closed_stdout_is_no_hindrance_to_writing_a_file(tmp_path: Path) -> None:
    file = tmp_path / "answer.json"
    command = f"{' '.join(ESTIMATE)} -o {file} >&-"
    result = subprocess.run(command, shell=True, stderr=subprocess.PIPE, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
    assert file.read_text().startswith("{")


def test_an_error_with_both_streams_closed_is_quiet() -> None:
    command = f"{' '.join(COMMAND)} estimate -m nobody -g h100"
    assert subprocess.run(f"{command} >&- 2>&-", shell=True, check=False).returncode == 2


def test_an_interrupt_is_quiet() -> None:
    # A shell may have told all that it starts in the background to ignore interrupts: Python then sets no handler.
    code = "import signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from costcalc.cli import main\nimport costcalc.cli.app as r\n"
    code += "r.invoke = lambda _: (print('ready', flush=True), time.sleep(30))\nimport sys\nsys.exit(main([]))\n"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == b""


def test_our_own_faults_are_one_line_without_a_traceback() -> None:
    code = "import costcalc.cli.app as r\nr.invoke = lambda _: {}['x']\nimport sys\nsys.exit(r.run([]))\n"
    result = run([sys.executable, "-c", code])
    assert result.returncode == 1
    assert result.stderr == b"error: unexpected KeyError: 'x'; set COSTCALC_DEBUG=1 to see where\n"
    assert b"Traceback" in run([sys.executable, "-c", code], COSTCALC_DEBUG="1").stderr


def test_a_terminal_is_told_what_was_written_where(tmp_path: Path) -> None:
    answer, chart = tmp_path / "answer.json", tmp_path / "chart.svg"
    command = [*ESTIMATE, "-o", str(answer), "--chart", str(chart)]
    told = visible(on_a_terminal(command, 200))
    assert len(told) == 2
    assert any(re.fullmatch(rf"wrote '{re.escape(str(answer))}': JSON, [\d.]+ kB", line) for line in told)
    assert any(line.startswith(f"wrote '{chart}': a chart, ") for line in told)
    assert all(line.endswith(", in place of the one that was there") for line in visible(on_a_terminal(command, 200)))
    assert run([*ESTIMATE, "-o", str(tmp_path / "other.json")]).stderr == b""
