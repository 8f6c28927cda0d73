"""Input that cannot be used: exit code 2, one helpful line on stderr, nothing on stdout, no file left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from costcalc.cli import main

V3 = ["estimate", "--model", "v3", "--gpu", "h100"]
ATTENTION = ["compare", "attention", "--model", "v3", "--gpu", "h100"]
SWEEP = ["sweep", "--model", "v3", "--gpu", "h100"]
FRONTIER = ["frontier", "--model", "v3", "--gpu", "h100"]

# What is typed, and words that the line must have: what is wrong, where, or how to mend it.
COMMAND_LINES: list[tuple[list[str], str]] = [
    # commands and options that do not exist
    (["estimat"], "did you mean 'estimate'?"),
    (["compare"], "see costcalc compare --help"),
    (["compare", "atention"], "did you mean 'attention'?"),
    (["models", "no-such-thing"], "TEXT: nothing matches 'no-such-thing'"),
    (["gpus", "chek"], "did you mean 'check'?"),
    (["--versoin"], "did you mean '--version'?"),
    ([*V3, "--modle", "x"], "did you mean '--model'?"),
    ([*V3, "--ouput", "x"], "did you mean '--output'?"),
    ([*V3, "--batchsize", "8"], "did you mean '--batch'?"),
    ([*V3, "--kv-cache", "fp8"], "did you mean '--kv'?"),
    ([*V3, "--gpu-memory-utilization", "0.9"], "did you mean '--memory-utilization'?"),
    ([*V3, "--nope"], "unknown option '--nope'; see costcalc estimate --help"),
    ([*V3, "--foo"], "unknown option '--foo'; see costcalc estimate --help"),
    (["estimate", "--model", "mistake", "--gpu", "h100"], "unknown model 'mistake'; list them with: costcalc models"),
    ([*V3, "--set", "gpu.xx=1"], "peak_flops, ...; all of them: costcalc schema gpu"),
    ([*V3, "-z"], "unknown option '-z'"),
    ([*V3, "--tp"], "--tp: the value is missing"),
    ([*V3, "--plot=1"], "--plot"),
    (["estimate", "v3", "h100"], "named by --model and --gpu"),
    ([*V3, "extra"], "unexpected argument 'extra'"),
    # what is missing
    (["estimate"], "--model and --gpu are missing"),
    (["estimate", "--gpu", "h100"], "--model is missing; name one, such as --model v3"),
    (["estimate", "--model", "v3"], "list them with: costcalc gpus"),
    (["compare", "attention", "--gpu", "h100"], "--model is missing"),
    (["compare", "models", "--gpu", "h100"], "MODEL is missing"),
    (["compare", "gpus", "--model", "v3"], "GPU is missing"),
    (["models", "show"], "NAME is missing"),
    (["gpus", "show"], "NAME is missing"),
    (["schema"], "WHAT is missing"),
    (["breakeven", "--model", "v3"], "--gpu is missing"),
    # names
    (["estimate", "--model", "deepseek-v33", "--gpu", "h100"], "did you mean 'deepseek-v3'?"),
    (["estimate", "--model", "", "--gpu", "h100"], "the name of the model is empty"),
    (["estimate", "--model", "no such model at all", "--gpu", "h100"], "list them with: costcalc models"),
    (["estimate", "--model", "v3", "--gpu", "h10"], "unknown GPU 'h10'"),
    (["estimate", "--model", "v3", "--gpu", ""], "--gpu: the machine is empty"),
    (["estimate", "--model", "v3", "--gpu", "0xh100"], "a whole number from 1"),
    (["estimate", "--model", "v3", "--gpu", "-8xh100"], "a whole number from 1"),
    (["estimate", "--model", "v3", "--gpu", "1.5xh100"], "a whole number from 1"),
    (["estimate", "--model", "v3", "--gpu", "8x"], "write it like 'h100' or '8xh100'"),
    (["compare", "models", "v3", "lama-3.1-8b", "--gpu", "h100"], "did you mean 'llama-3.1-8b'?"),
    (["compare", "gpus", "h100", "b20", "--model", "v3"], "unknown GPU 'b20'"),
    (["models", "show", "qwen2.5-27b"], "unknown model 'qwen2.5-27b'"),
    (["gpus", "show", "h1000"], "unknown GPU 'h1000'"),
    (["breakeven", "--model", "v3", "--gpu", "h100", "--against", "nobody-1"], "unknown model 'nobody-1'"),
    # numbers
    *[([*V3, "--batch", text], "--batch: ") for text in ("0", "-1", "1.5", "nan", "inf", "1e99", "abc", "")],
    ([*V3, "--batch", "1T"], "--batch: '1T' is out of range"),
    *[([*V3, "--gpus", text], "--gpus: ") for text in ("0", "-8", "3.5", "nan", "eight", "1e12")],
    *[([*V3, option, "0"], f"{option}: expected a positive integer") for option in ("--tp", "--pp", "--ep", "--dp")],
    *[([*V3, "--context", text], "--context: ") for text in ("0", "-4096", "nan", "inf", "1e30", "100q")],
    ([*V3, "--context", "0.5"], "it must be at least 1"),
    *[([*V3, "--input", text], "--input: ") for text in ("0", "-1", "NaN", "four")],
    *[([*V3, "--output", text], "--output: ") for text in ("0", "-1", "nan", "1e12", "lots")],
    *[([*V3, "--cached", text], "--cached: ") for text in ("1", "100%", "-10%", "1.5", "half")],
    *[([*V3, "--utilization", text], "--utilization: ") for text in ("0", "120%", "-0.5", "inf", "full")],
    ([*V3, "--memory-utilization", "0%"], "--memory-utilization: "),
    ([*V3, "--memory-utilization", "7"], "at most 1 (100%)"),
    ([*V3, "--tpot", "50"], "the unit is missing"),
    ([*V3, "--tpot", "0ms"], "--tpot: '0ms'"),
    ([*V3, "--tpot", "-5ms"], "it is negative"),
    ([*V3, "--tpot", "fast"], "write it like '50 ms'"),
    ([*V3, "--tpot", "30 days"], "--tpot: '30 days' is out of range"),
    ([*V3, "--ttft", "2"], "--ttft: '2'"),
    ([*V3, "--ttft", "0s"], "--ttft: '0s'"),
    ([*V3, "--demand", "50"], "--demand: '50' is not a demand; write it like '50 requests/s'"),
    ([*V3, "--demand", "-1 rps"], "--demand: "),
    ([*V3, "--demand", "1B tokens"], "--demand: "),
    ([*V3, "--price", "-2"], "--price: '-2'"),
    ([*V3, "--price", "nan"], "not a finite number"),
    ([*V3, "--price", "$1e300/h"], "beyond all reason"),
    ([*V3, "--price", "spto"], "did you mean 'spot'?"),
    ([*V3, "--price", ""], "the price is empty"),
    # words
    ([*V3, "--weights", "fp7"], "--weights: unknown number type 'fp7'; did you mean 'fp8'?"),
    ([*V3, "--kv", "bf61"], "did you mean 'bf16'?"),
    ([*V3, "--activations", "fp9"], "--activations: "),
    ([*V3, "--efficiency", "calibrate"], "did you mean 'calibrated'?"),
    ([*V3, "--terms", "kvs"], "did you mean 'kv'?"),
    ([*V3, "--mla", "absorb"], "did you mean 'absorbed'?"),
    ([*V3, "--backend", "vlm"], "did you mean 'vllm'?"),
    (["estimate", "--model", "gpt-3", "--gpu", "h100", "--mla", "absorbed"], "has no latent attention"),
    # deployments that cannot be
    ([*V3, "--tp", "3"], "--tp 3 does not divide the 128 attention heads"),
    ([*V3, "--gpus", "8", "--tp", "16"], "is not a multiple of"),
    ([*V3, "--gpus", "16", "--ep", "5"], "--ep 5 does not divide"),
    ([*V3, "--gpus", "128", "--pp", "128"], "exceeds the 61 layers"),
    ([*V3, "--gpus", "1"], "does not fit on 1 ×"),
    (["estimate", "--model", "v3", "--gpu", "8xh100"], "--gpus 16 would fit"),
    (["estimate", "--model", "v3", "--gpu", "8xh100", "--gpus", "16"], "--gpus: 16 contradicts '8xh100'"),
    # --set and --catalog
    ([*V3, "--set", "memory=80GB"], "starts with 'model.' or 'gpu.'"),
    ([*V3, "--set", "gpu.memory"], "the value is missing"),
    ([*V3, "--set", "gpu.memroy=80GB"], "did you mean 'gpu.memory'?"),
    ([*V3, "--set", "gpu.memory=80"], "the unit is missing"),
    ([*V3, "--set", "gpu.memory_bandwidth=nan"], "--set gpu.memory_bandwidth"),
    ([*V3, "--set", "gpu.memory_bandwidth=3.3TB"], "--set gpu.memory_bandwidth"),
    ([*V3, "--set", "model.hidden_size=-1"], "must be greater than 0"),
    ([*V3, "--set", "model.hidden_size=wide"], "--set model.hidden_size"),
    ([*V3, "--set", "gpu.price=2", "--set", "gpu.price=3"], "set twice"),
    ([*V3, "--catalog", "nowhere"], "--catalog: no such folder"),
    ([*V3, "--catalog", "."], "neither models/ nor hardware_profiles/"),
    # output
    ([*V3, "--format", "yaml"], "--format: 'yaml' is unknown"),
    ([*V3, "--output", "out.xlsx"], "end it in .json, .csv, .md, .tex or .txt"),
    ([*V3, "--output-file", "out"], "unknown ending"),
    ([*V3, "--output", "no/such/folder/out.json"], "there is no folder"),
    ([*V3, "--output", "a.json", "--format", "csv"], "--format: csv contradicts the ending of 'a.json'; end the file"),
    ([*V3, "-o", "a.md", "-f", "json"], "end the file in .json, or leave --format out"),
    (["models", "--output", "list.csv", "--format", "json"], "contradicts the ending of 'list.csv'"),
    ([*V3, "--acceptance", "50%"], "--acceptance: there are no drafts to accept; say with --drafts"),
    ([*V3, "--output", "a.json", "--output", "b.json"], "given twice"),
    ([*V3, "--output", "512", "--output-tokens", "1024"], "given twice"),
    ([*V3, "--output-file", "/proc/out.json"], "cannot write '/proc/out.json'"),
    ([*V3, "--chart", "chart.gif"], "end it in .png, .svg or .pdf"),
    ([*V3, "--chart", "no/such/folder/chart.png"], "there is no folder"),
    ([*V3, "--chart-kind", "roofline"], "add --chart"),
    ([*V3, "--chart", "chart.png", "--chart-kind", "pie"], "one of: roofline, time"),
    ([*V3, "--chart-theme", "dark"], "--chart-theme: there is no chart to draw"),
    ([*V3, "--chart", "chart.png", "--chart-theme", "drak"], "--chart-theme: 'drak' is unknown; did you mean 'dark'?"),
    ([*V3, "--chart", "chart.png", "--gpus", "1"], "does not fit"),
    ([*V3, "--output", "out.json", "--gpus", "1"], "does not fit"),
    ([*ATTENTION, "--contexts", "4k,x"], "--contexts: 'x'"),
    ([*ATTENTION, "--contexts", ""], "--contexts: "),
    ([*ATTENTION, "--contexts", "4k", "--context", "8k"], "keep one of them"),
    # sweeps
    ([*SWEEP], "nothing is swept; give a list or a range"),
    ([*SWEEP, "--batch", "1,0"], "--batch: expected a positive integer, got '0'"),
    ([*SWEEP, "--batch", "1:8"], "--batch: '1:8' is no range; write it like"),
    ([*SWEEP, "--batch", "1:9:x1"], "--batch: '1:9:x1' never ends"),
    ([*SWEEP, "--batch", "1,auto"], "leave 'auto' out of the list"),
    ([*SWEEP, "--context", "128,000"], "--context: '128,000' has a value '000'; commas stand between values"),
    ([*SWEEP, "--context", "1:1000000:1"], "--context: more than 10,000 values"),
    ([*SWEEP, "--price", "1,nobody"], "--price: no price of NVIDIA H100 SXM5 80GB fits 'nobody'"),
    ([*SWEEP, "--price", "1:nan:1"], "--price: 'nan' is not a price"),
    ([*SWEEP, "--utilization", "50%,120%"], "--utilization: '120%'"),
    ([*SWEEP, "--memory-bandwidth", "3,4"], "--memory-bandwidth: '3' is not a bandwidth: the unit is missing"),
    ([*SWEEP, "--batch", "auto"], "nothing is swept"),
    ([*SWEEP, "--gpus", "16", "--tp", "1,3"], "--tp 3 does not divide"),
    ([*SWEEP, "--gpus", "8", "--batch", "4096,8192"], "does not fit on 8"),
    (["sweep", "-m", "v3", "-g", "8xh100", "--gpus", "8,16"], "--gpus: '8,16' contradicts '8xh100'"),
    ([*SWEEP, "--batch", "1,2", "--chart", "a.gif"], "end it in .png, .svg or .pdf"),
    ([*SWEEP, "--batch", "1,2", "--chart", "a.png", "--chart-kind", "pie"], "one of: cost, throughput, speed, wait"),
    ([*SWEEP, "--batch", "1,2", "--terms", "kv", "--chart", "a.png"], "nothing to draw"),
    # one value, and a file
    ([*V3, "--context", "4k", "--input", "8k"], "--context: 4,000 tokens do not hold the prompt of 8,000"),
    ([*SWEEP, "--context", "4k,32k", "--input", "8k"], "--context: 4,000 tokens do not hold the prompt of 8,000"),
    ([*SWEEP, "--batch", "1,2", "--tpot", "10ms,20ms"], "--tpot: '10ms,20ms' are several values; give one"),
    ([*V3, "--batch", "1,2"], "--batch: '1,2' are several values; costcalc sweep takes several of it"),
    ([*V3, "-o", "/tmp"], "--output-file: '/tmp' is a folder; name a file in it, as in /tmp/answer.json"),
    ([*V3, "--chart", "charts/"], "--chart: 'charts/' is a folder; name a file in it, as in charts/answer.png"),
    ([*V3, "--cpu-offload-gb", "24GX"], "--cpu-offload-gb: '24GX' is not a size"),
    # what fits
    (["capacity", "-m", "v3"], "--gpu is missing"),
    (["capacity", "-g", "h100", "--max", "context"], "--model: no model is named"),
    (["capacity", "-m", "v3", "-g", "h100", "--max", "bit"], "--max: 'bit' is unknown; did you mean 'bits'?"),
    (["capacity", "-m", "v3", "-g", "h100"], "does not fit on 1 × NVIDIA H100"),
    (
        ["capacity", "-m", "v3", "-g", "8xh200", "--max", "batch", "--batch", "4"],
        "--batch: the batch is what is asked for",
    ),
    (
        ["capacity", "-m", "qwq-32b", "-g", "h100", "--chart", "a.png", "--chart-kind", "speed"],
        "--chart-kind: there is one answer, and nothing",
    ),
    # frontiers
    (["frontier"], "--model and --gpu are missing"),
    (["frontier", "-m", "v3"], "--gpu is missing"),
    (["frontier", "-m", "v3,v33", "-g", "h100"], "unknown model 'v33'"),
    ([*FRONTIER, "--tpot", "1us"], "--tpot: no configuration of DeepSeek-V3 on NVIDIA H100 SXM5 80GB keeps it"),
    ([*FRONTIER, "--max-gpus", "8"], "--max-gpus: DeepSeek-V3 on NVIDIA H100 SXM5 80GB takes 16 GPUs; allow 16"),
    ([*FRONTIER, "--max-gpus", "few"], "--max-gpus: "),
    ([*FRONTIER, "--pools", "two"], "--pools: 'two' is unknown; one of: one, apart, both"),
    ([*FRONTIER, "--pools", "both", "--disaggregated"], "--pools: --disaggregated is given too"),
    ([*FRONTIER, "--concurrency", "8"], "--concurrency: a frontier has every batch instead"),
    ([*FRONTIER, "--explain"], "--explain: a frontier has no formulas of its own"),
    ([*FRONTIER, "--weights", "fp8,fp7"], "--weights: "),
    ([*FRONTIER, "--chart", "a.png", "--chart-kind", "pie"], "one of: throughput, cost"),
    # lists of the catalog
    (["models", "--sort", "size"], "--sort: 'size' is unknown"),
    (["models", "--family", "llamma"], "did you mean 'llama'?"),
    (["models", "--attention", "mlaa"], "--attention: nothing matches"),
    (["models", "list", "zzz"], "nothing matches 'zzz'"),
    (["models", "--format", "xml"], "--format: 'xml'"),
    (["models", "--output", "list.xls"], "unknown ending"),
    (["models", "new", "--output", "model.txt"], "end it in .yaml"),
    (["gpus", "--vendor", "nvidai"], "did you mean 'nvidia'?"),
    (["gpus", "--sort", "speed"], "--sort: 'speed'"),
    (["models", "check", "missing.yaml"], "no such file"),
    (["schema", "modle"], "did you mean 'model'?"),
]

HEAD = "name: X\nhidden_size: 64\nvocab_size: 100\n"
ATTENTION_YAML = "attention:\n  a: {kind: grouped, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 16}\n"
REST = (
    "feedforward:\n  f: {kind: dense, intermediate_size: 128}\nlayers:\n  - {count: 2, attention: a, feedforward: f}\n"
)
GPU = (
    "name: G\nvendor: nvidia\narchitecture: hopper\nmemory: 80 GB\nmemory_type: HBM\nmemory_bandwidth: 3 TB/s\n"
    "peak_flops: {bf16: 900 TFLOP/s}\nnode_size: 8\n"
)
BOMB = "a: &a [1, 1]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
)

# The content of a file, the option that it is given to, and words that the line must have.
FILES: list[tuple[str, bytes, str, str]] = [
    ("empty", b"", "--model", "the file is empty"),
    ("list", b"- a\n- b\n", "--model", "expected a mapping"),
    ("word", b"llama\n", "--model", "expected a mapping"),
    ("tab", b"name: X\n\tfoo: 1\n", "--model", "bad.yaml:2:"),
    ("unclosed", b"name: [X\n", "--model", "bad.yaml:"),
    ("binary", bytes(range(256)), "--model", "bad.yaml"),
    ("latin-1", "name: Modèle\n".encode("latin-1"), "--model", "UTF-8"),
    ("bomb", BOMB.encode(), "--model", "is not allowed"),
    ("alias", b"name: &n X\nfamily: *n\n", "--model", "is not allowed"),
    ("tag", b"name: !!python/object/apply:os.system [ls]\n", "--model", "is not allowed"),
    ("two documents", (HEAD + "---\nname: Y\n").encode(), "--model", "second document"),
    ("duplicate key", (HEAD + "hidden_size: 65\n").encode(), "--model", "duplicate key 'hidden_size'"),
    ("unknown key", (HEAD + ATTENTION_YAML + REST + "hiden: 1\n").encode(), "--model", "unknown key"),
    ("missing key", HEAD.encode(), "--model", "this key is missing"),
    ("negative", (HEAD.replace("64", "-64") + ATTENTION_YAML + REST).encode(), "--model", "hidden_size"),
    ("fraction", (HEAD.replace("64", "64.5") + ATTENTION_YAML + REST).encode(), "--model", "hidden_size"),
    ("text for a number", (HEAD.replace("64", "wide") + ATTENTION_YAML + REST).encode(), "--model", "hidden_size"),
    ("not a number", (HEAD.replace("64", ".nan") + ATTENTION_YAML + REST).encode(), "--model", "not a finite number"),
    ("infinite", (HEAD.replace("64", ".inf") + ATTENTION_YAML + REST).encode(), "--model", "not a finite number"),
    ("absurd", (HEAD.replace("64", "1" + "0" * 60) + ATTENTION_YAML + REST).encode(), "--model", "too many digits"),
    ("unknown kind", (HEAD + ATTENTION_YAML.replace("grouped", "groupd") + REST).encode(), "--model", "'grouped'"),
    (
        "unknown label",
        (HEAD + ATTENTION_YAML + REST.replace("attention: a", "attention: b")).encode(),
        "--model",
        "'b'",
    ),
    ("null layer", (HEAD + ATTENTION_YAML + REST.replace("count: 2", "count: null")).encode(), "--model", "count"),
    ("no layers", (HEAD + ATTENTION_YAML + REST.partition("layers")[0] + "layers: []\n").encode(), "--model", "layers"),
    ("heads", (HEAD + ATTENTION_YAML.replace("heads: 2", "heads: 3") + REST).encode(), "--model", "bad.yaml"),
    ("deep", ("a: " + "[" * 200 + "]" * 200 + "\n").encode(), "--model", "nested deeper"),
    ("huge", b"# " + b"x" * 2_000_000 + b"\n", "--model", "bad.yaml"),
    ("gpu without memory", GPU.replace("memory: 80 GB\n", "").encode(), "--gpu", "memory"),
    ("gpu memory without unit", GPU.replace("80 GB", "80").encode(), "--gpu", "the unit is missing"),
    ("gpu memory in seconds", GPU.replace("80 GB", "80 ms").encode(), "--gpu", "memory"),
    ("gpu negative bandwidth", GPU.replace("3 TB/s", "-3 TB/s").encode(), "--gpu", "it is negative"),
    ("gpu without peaks", GPU.replace("{bf16: 900 TFLOP/s}", "{}").encode(), "--gpu", "at least one precision"),
    ("gpu unknown peak", GPU.replace("bf16", "bf15").encode(), "--gpu", "did you mean 'bf16'?"),
    ("gpu yaml 1.1 words", GPU.replace("node_size: 8", "node_size: yes").encode(), "--gpu", "node_size"),
    ("gpu zero nodes", GPU.replace("node_size: 8", "node_size: 0").encode(), "--gpu", "node_size"),
]


def refused(capfd: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """Run a command that must fail, and return its one line."""
    code = main(arguments)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ") and printed.err.endswith("\n")
    assert printed.err.count("\n") == 1, printed.err
    assert code == 2
    assert "Traceback" not in printed.err and "unexpected " not in printed.err.replace("unexpected argument", "")
    return printed.err


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


LONG = [part * 8000 for part in ("xxxxx", "gpu.a.", "99999", "4q,", "a/", "-qqqq")] + [f"gpu.{'a.' * 20_000}a=1"]
ECHOING = [
    *([*V3, f"--{option}"] for option in ("set", "price", "backend", "weights", "tpot", "batch", "chart")),
    ["estimate", "--gpu", "h100", "--model"],
    [*ATTENTION, "--contexts"],
    ["models", "show"],
    ["models", "import"],
    ["validate", "--data"],
    ["calibrate", "--from"],
    [],
]


@pytest.mark.parametrize("typed", LONG, ids=[each[:4] for each in LONG])
@pytest.mark.parametrize("command", ECHOING, ids=" ".join)
def test_what_was_typed_is_echoed_in_a_few_words(
    command: list[str], typed: str, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*command, typed]) == 2
    told = capfd.readouterr()
    assert told.out == "" and told.err.count("\n") == 1
    assert len(told.err) < 600


@pytest.mark.parametrize(("arguments", "words"), COMMAND_LINES, ids=lambda each: " ".join(each)[:60] or "nothing")
def test_a_bad_command_line(
    arguments: list[str], words: str, empty_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(capfd, arguments)
    assert list(empty_folder.iterdir()) == []


@pytest.mark.parametrize(("content", "option", "words"), [each[1:] for each in FILES], ids=[each[0] for each in FILES])
def test_a_bad_file(
    content: bytes, option: str, words: str, empty_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (empty_folder / "bad.yaml").write_bytes(content)
    other = ["--gpu", "h100"] if option == "--model" else ["--model", "v3"]
    line = refused(capfd, ["estimate", option, "./bad.yaml", *other, "--output", "out.json"])
    assert words in line and "bad.yaml" in line
    assert [each.name for each in empty_folder.iterdir()] == ["bad.yaml"]


def test_there_are_as_many_as_promised() -> None:
    distinct = {tuple(arguments) for arguments, _ in COMMAND_LINES} | {content for _, content, _, _ in FILES}
    assert len(distinct) == len(COMMAND_LINES) + len(FILES) >= 150


@pytest.mark.parametrize("name", ["missing.yaml", "folder.yaml", "pipe.yaml", "loop.yaml"])
def test_what_is_no_file(name: str, empty_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    if name == "folder.yaml":
        (empty_folder / name).mkdir()
    elif name == "pipe.yaml":
        os.mkfifo(empty_folder / name)
    elif name == "loop.yaml":
        (empty_folder / name).symlink_to(name)
    assert name in refused(capfd, ["estimate", "--model", f"./{name}", "--gpu", "h100"])


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads and writes everything")
def test_files_without_permission(empty_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (empty_folder / "secret.yaml").write_text("name: X\n")
    (empty_folder / "secret.yaml").chmod(0)
    assert "secret.yaml" in refused(capfd, ["estimate", "--model", "./secret.yaml", "--gpu", "h100"])
    empty_folder.chmod(0o500)
    assert "permission denied" in refused(capfd, [*V3, "--output", "out.json"])


def test_every_broken_file_of_a_check_is_named(empty_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (empty_folder / "one.yaml").write_text(HEAD)
    (empty_folder / "two.yaml").write_text(HEAD + ATTENTION_YAML + REST)
    (empty_folder / "three.yaml").write_text("- x\n")
    assert main(["models", "check", "one.yaml", "two.yaml", "three.yaml"]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    # Every mistake of a file has a line of its own; the second file is valid, but names no source.
    files = [line.split(":")[1].strip() for line in lines]
    assert list(dict.fromkeys(files)) == ["one.yaml", "two.yaml", "three.yaml"] and files.count("one.yaml") > 1
    assert not any("more)" in line for line in lines)
    assert "no source is named" in lines[files.index("two.yaml")]


def test_a_file_that_exists_survives_a_failure(empty_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    kept = empty_folder / "out.json"
    kept.write_text("precious")
    refused(capfd, [*V3, "--gpus", "1", "--output", "out.json"])
    assert kept.read_text() == "precious"
    assert [each.name for each in empty_folder.iterdir()] == ["out.json"]


@pytest.mark.parametrize("values", ["1,,2", "1,2,", ",1"])
def test_a_gap_in_a_list_is_refused(values: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "-m", "llama-3.1-8b", "-g", "h100", "--batch", values]) == 2
    streams = capfd.readouterr()
    assert streams.out == "" and streams.err.count("\n") == 1 and "--batch" in streams.err
