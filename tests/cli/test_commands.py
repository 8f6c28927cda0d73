"""Commands from end to end: what is typed reaches the engine, what comes back is shown or written."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from schemacheck import complaints

from costcalc.cli import main
from costcalc.cli.app import COMMANDS, START
from costcalc.cli.lazy import Command, Group
from costcalc.report.export.schema import schema_of
from costcalc.units import format_usd

Run = Callable[..., str]
RunJson = Callable[..., Any]
V3 = ("estimate", "--model", "v3", "--gpu", "h100")
LLAMA = ("estimate", "--model", "llama-3.1-8b", "--gpu", "h100")


def test_two_options_are_enough(run: Run) -> None:
    page = run(*V3)
    assert "\n\nDeepSeek-V3 on 16 × NVIDIA H100 SXM5 80GB\n" in page
    assert "70,272 B per token" in page and "100°" in page and "° 12 values taken by default: -v lists them" in page
    assert "--batch N" not in page and "--batch N" in run(*V3, "-v")


def test_the_article_in_one_command(run: Run, run_json: RunJson) -> None:
    # Erdil 2025: GPT-3's cache at 100,000 tokens of context, on H100s at $2 per hour and 3.3 TB/s.
    command = "estimate --model gpt-3 --gpu h100 --batch 1 --context 100k --price 2 --terms kv --efficiency ideal"
    words = [*command.split(), "--set", "gpu.memory_bandwidth=3.3TB/s"]
    page = run(*words)
    assert "4,718,592 B per token" in page and "reads 471.9 GB" in page and "$79.44" in page
    tree = run_json(*words)
    assert tree["kv_cache"]["bytes_per_token"] == 2 * 96 * 12288 * 2
    assert tree["cost"]["usd_per_million_output_tokens"] == pytest.approx(
        4_718_592 * 100_000 / 3.3e12 / 3600 * 2 * 1e6, rel=1e-9
    )


@pytest.mark.parametrize(
    ("options", "path", "expected"),
    [
        ("--gpus 32", "deployment.gpus", 32),
        ("--gpus 32 --tp 4 --dp 8", "deployment.tensor_parallel", 4),
        ("--gpus 32 --pp 2", "deployment.pipeline_parallel", 2),
        ("--gpus 32 --ep 32", "deployment.expert_parallel", 32),
        ("--gpus 32 --dp 16", "deployment.attention_data_parallel", 16),
        ("--batch 64", "workload.batch", 64),
        ("--context 32k", "workload.context_tokens", 32_000),
        ("--input 1,000", "workload.input_tokens", 1000),
        ("--input-tokens 2k", "workload.input_tokens", 2000),
        ("--output 500", "workload.output_tokens", 500),
        ("--output-tokens 0.5k", "workload.output_tokens", 500),
        ("--cached 60%", "workload.cached_share", 0.6),
        ("--weights int4", "deployment.precision.weights", "bf16 + int4 experts"),
        ("--kv FP8", "deployment.precision.kv_cache", "fp8"),
        ("--activations bf16", "deployment.precision.activations", "bf16"),
        ("--price 3.5", "deployment.usd_per_gpu_hour", 3.5),
        ("--price $4/h", "deployment.usd_per_gpu_hour", 4.0),
        ("--utilization 50%", "deployment.utilization", 0.5),
        ("--efficiency ideal", "deployment.efficiency", "ideal"),
        ("--backend sglang", "deployment.backend", "sglang"),
        ("--mla expanded --gpus 32", "model.attention", "MLA expanded"),
        ("--set gpu.memory=160GB --set gpu.memory_reported=160GB", "deployment.gpus", 8),
    ],
)
def test_an_option_reaches_the_answer(run_json: RunJson, options: str, path: str, expected: object) -> None:
    value = run_json(*V3, *options.split())
    for name in path.split("."):
        value = value[name]
    assert value == expected


def test_what_is_given_is_no_longer_marked(run_json: RunJson) -> None:
    names = {each["name"] for each in run_json(*V3)["assumptions"]}
    options = ["--batch", "64", "--gpus", "16", "--price", "2", "--input", "4k", "--kv", "bf16"]
    given = {each["name"] for each in run_json(*V3, *options)["assumptions"]}
    assert names - given == {"batch", "gpus", "price", "input_tokens", "kv_cache"}
    assert "batch" in {each["name"] for each in run_json(*V3, "--batch", "auto")["assumptions"]}


def test_a_counted_machine_is_the_number_of_gpus(run_json: RunJson) -> None:
    assert run_json("estimate", "--model", "v3", "--gpu", "32xh100")["deployment"]["gpus"] == 32
    assert run_json("estimate", "--model", "v3", "--gpu", "32×h100", "--gpus", "32")["deployment"]["gpus"] == 32


def test_price_by_words(run_json: RunJson) -> None:
    spot = run_json(*LLAMA, "--price", "spot")["deployment"]
    assert 0 < spot["usd_per_gpu_hour"] < 2 and spot["price_source"]


def test_output_is_a_number_or_a_file(run: Run) -> None:
    assert run(*LLAMA, "--output", "256", "--output", "out.json") == ""
    tree = json.loads(Path("out.json").read_text(encoding="utf-8"))
    assert tree["workload"]["output_tokens"] == 256
    assert [each.name for each in Path().iterdir()] == ["out.json"]


@pytest.mark.parametrize(
    ("name", "start"),
    [("a.json", "{"), ("a.csv", "model.name,"), ("a.md", "1 H100 serves"), ("a.txt", "1 H100 serves")],
)
def test_the_ending_of_the_file_is_its_format(run: Run, name: str, start: str) -> None:
    assert run(*LLAMA, "-o", name) == ""
    assert Path(name).read_text(encoding="utf-8").startswith(start)


def test_the_format_asked_for_wins_over_the_ending(run: Run) -> None:
    run(*LLAMA, "--output-file", "answer.out", "--format", "json")
    assert json.loads(Path("answer.out").read_text(encoding="utf-8"))["model"]["name"] == "Llama-3.1-8B"


def test_a_file_holds_what_stdout_would_show(run: Run) -> None:
    run(*LLAMA, "-o", "a.txt", "--explain")
    assert Path("a.txt").read_text(encoding="utf-8") == run(*LLAMA, "--explain")


@pytest.mark.parametrize("command", ["estimate", "compare attention"])
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_charts_beside_the_table(run: Run, command: str, suffix: str) -> None:
    page = run(*command.split(), "--model", "llama-3.1-8b", "--gpu", "h100", "--chart", f"chart{suffix}")
    assert "Llama-3.1-8B on" in page
    assert Path(f"chart{suffix}").stat().st_size > 5000


def test_explain_gives_formula_numbers_and_source(run: Run) -> None:
    page = run(*V3, "--explain")
    assert "How each number comes about" in page
    assert "= GPUs × $/h / 3600 / (tokens/s) / utilization × 1e6" in page
    assert "cost.usd_per_million_output_tokens; " in page


def test_plot_draws_bars(run: Run) -> None:
    assert "Decode time by op, bars logarithmic\n  " in run(*V3, "--plot")


def test_compare_attention_replaces_the_attention(run_json: RunJson) -> None:
    tree = run_json("compare", "attention", "--model", "v3", "--gpu", "h100")
    cache = {row["variant"]: row["kv_cache"]["bytes_per_token"] for row in tree["rows"]}
    # DeepSeek-V2 (2405.04434): a latent of 512 + 64 elements against 2 x 128 heads x 128, 61 layers, 2 bytes.
    assert cache["MHA"] == 61 * 2 * 128 * 128 * 2 and cache["MLA absorbed"] == 61 * 576 * 2
    assert cache["MQA"] == 61 * 2 * 128 * 2 and cache["No cache"] == 0
    assert tree["rows"][0]["cache_ratio"] == 1


def test_contexts_multiply_the_rows(run_json: RunJson) -> None:
    command = ("compare", "attention", "--model", "llama-3.1-8b", "--gpu", "h100")
    one = run_json(*command)["rows"]
    many = run_json(*command, "--contexts", "4k,32k,131,072")["rows"]
    assert len(many) == 3 * len(one)
    assert sorted({row["workload"]["context_tokens"] for row in many}) == [4000, 32_000, 131_072]


def test_compare_models_and_gpus(run_json: RunJson) -> None:
    models = run_json("compare", "models", "llama-3.1-8b", "mistral-7b-v0.3", "--gpu", "h100")["rows"]
    assert [row["variant"] for row in models] == ["Llama-3.1-8B", "Mistral-7B-v0.3"]
    gpus = run_json("compare", "gpus", "2xh100", "4xa100-80gb-sxm", "--model", "llama-3.1-8b")["rows"]
    assert [row["deployment"]["gpus"] for row in gpus] == [2, 4]
    assert models[0]["cost_ratio"] == gpus[0]["cost_ratio"] == 1


def test_breakeven_against_a_closed_model(run_json: RunJson, run: Run) -> None:
    command = ("breakeven", "--model", "v3", "--gpu", "h100", "--against", "claude-3.5-sonnet")
    tree = run_json(*command)
    [price] = tree["market"]
    # Anthropic's list price of $3 and $15, at 4 input tokens to 1 output token.
    assert price["blended_usd_per_million"] == pytest.approx((4 * 3 + 15) / 5)
    assert "Claude 3.5 Sonnet" in run(*command)


@pytest.mark.parametrize("command", [V3, ("compare", "models", "v3", "llama-3.1-8b", "--gpu", "h100")])
def test_results_keep_the_published_schema(run: Run, run_json: RunJson, command: tuple[str, ...]) -> None:
    published = json.loads(run("schema", "result"))
    assert complaints(run_json(*command), published) == []


def test_lists_of_the_catalog(run: Run, run_json: RunJson) -> None:
    assert run("models") == run("models", "list")
    models = run_json("models", "--attention", "mla", "--sort", "kv")
    assert len(models) > 5 and all("MLA" in each["attention"] for each in models)
    sizes = [each["kv_bytes_per_token"] for each in models]
    assert sizes == sorted(sizes)
    gpus = run_json("gpus", "--vendor", "amd", "--sort", "memory", "--reverse")
    assert {each["vendor"] for each in gpus} == {"amd"}
    assert [each["memory_bytes"] for each in gpus] == sorted((each["memory_bytes"] for each in gpus), reverse=True)
    [only] = run_json("models", "list", "gpt-3-175b")
    assert only["total_parameters"] == pytest.approx(175e9, rel=0.01)
    table = list(csv.DictReader(io.StringIO(run("gpus", "--format", "csv"))))
    assert len(table) >= 55 and {"id", "memory_bytes", "usd_per_gpu_hour"} <= set(table[0])


def test_what_has_no_price_stands_last_when_sorted(run_json: RunJson) -> None:
    prices = [each["usd_per_gpu_hour"] for each in run_json("gpus", "--sort", "price")]
    known = [price for price in prices if price is not None]
    assert prices == sorted(known) + [None] * (len(prices) - len(known))


def test_cards_show_every_source_and_what_is_recalled(run: Run, run_json: RunJson) -> None:
    page = run("models", "show", "v3")
    assert "671,026,404,352" in page and "aiconfigurator" in page and "seen" in page
    page = run("gpus", "show", "h100")
    assert "recalled" in page and "data sheet" in page.lower() and "CoreWeave" in page
    assert run_json("gpus", "show", "h100")["spec"]["memory_bandwidth"] == 3.35e12
    assert run_json("models", "show", "v3")["spec"]["hidden_size"] == 7168


def test_the_whole_catalog_passes_its_check(run: Run) -> None:
    assert run("models", "check").endswith(" model files and 1 list of prices: no problem\n")
    assert run("gpus", "check").endswith("accelerator files: no problem\n")


@pytest.mark.parametrize("kind", ["models", "gpus"])
def test_templates_pass_their_own_check_and_can_be_used(run: Run, kind: str) -> None:
    printed = run(kind, "new")
    assert run(kind, "new", "--output", "mine.yaml") == ""
    assert Path("mine.yaml").read_text(encoding="utf-8") == printed
    assert run(kind, "check", "mine.yaml").endswith("no problem\n")
    other = ("--gpu", "h100", "--model") if kind == "models" else ("--model", "llama-3.1-8b", "--gpu")
    page = run("estimate", *other, "./mine.yaml")
    assert ("per M output tokens" if kind == "models" else "no price is known") in page and "Tokens/s per GPU" in page


def test_a_catalog_folder_of_ones_own(run: Run, run_json: RunJson) -> None:
    Path("mine/models").mkdir(parents=True)
    Path("mine/models/house-model.yaml").write_text(run("models", "new"), encoding="utf-8")
    tree = run_json("estimate", "--catalog", "mine", "--model", "house-model", "--gpu", "h100")
    assert tree["model"]["name"] == "My-Model-8B"
    assert "house-model" in run("models", "--catalog", "mine")


@pytest.mark.parametrize("kind", ["result", "model", "gpu"])
def test_schemas_are_printed(run: Run, kind: str) -> None:
    assert json.loads(run("schema", kind)) == json.loads(json.dumps(schema_of(kind)))


def test_the_engines_of_help_and_errors_are_those_of_the_constants(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    from costcalc.catalog.catalog import Catalog
    from costcalc.cli import main
    from costcalc.cli.parameters import backend_names, matching_backends

    names = list(Catalog().serving_efficiency().engines)
    assert backend_names() == names and "atom" in names
    assert matching_backends("vl") == [name for name in names if name.startswith("vl")]
    help_text = " ".join(run("estimate", "--help").split())
    assert f"overheads are counted: {', '.join(names)};" in help_text
    assert main(["estimate", "-m", "v3", "-g", "h100", "--backend", "nobody"]) == 2
    assert f"one of {', '.join(names)}\n" in capfd.readouterr().err
    for name in names:
        shown = "the best of every engine" if name == "best" else name
        assert f"overheads of {shown}" in run("estimate", "-m", "llama-3.1-8b", "-g", "h100", "--backend", name)


def shown(entry: Command | Group) -> list[str]:
    """The command lines that help shows of a command, and of those inside of it."""
    inside = entry.commands.values() if isinstance(entry, Group) else ()
    return [*entry.examples, *(line for each in inside for line in shown(each))]


def examples() -> list[str]:
    """The command lines that help shows, without their comments and without those that need a file or a network."""
    typed = [*START, *(line for entry in COMMANDS.values() for line in shown(entry))]
    commands = [each.strip() for line in typed for each in line.partition(" #")[0].split(";")]
    files = ("import", "mine.yaml", "requests.csv", "costcalc price", "scenario.yaml")
    return [each for each in dict.fromkeys(commands) if not any(file in each for file in files)]


@pytest.mark.parametrize("line", examples())
def test_the_examples_of_help_run(run: Run, line: str) -> None:
    program, *words = shlex.split(line)
    assert program == "costcalc"
    # What goes to a file is not printed.
    assert run(*words) or "-o" in words


def test_help_shows_what_to_type_first(run: Run) -> None:
    lines = run().splitlines()
    assert "costcalc estimate --model v3 --gpu h100" in "\n".join(lines[:6])
    assert lines.index("Commands:") < lines.index("Options:")
    assert "For example:\n  costcalc sweep " in run("sweep", "--help")
    for command in ("estimate", "sweep", "compare"):
        assert max(map(len, run(command, "--help").splitlines())) <= 80


SWEEP = ("sweep", "--model", "llama-3.1-8b", "--gpu", "1xh100")


def test_a_sweep_in_every_form(run: Run) -> None:
    page = run(*SWEEP, "--batch", "1,8", "--context", "4k:16k:x2", "--price", "1,2")
    assert page.startswith("Llama-3.1-8B on 1 × NVIDIA H100 SXM5 80GB: 12 cells\n")
    assert page.count("batch 1\n") == page.count("batch 8\n") == 1
    assert page.count("16,000") == 4 and "80% range" in page and "prompts as long as the context" in page
    tree = json.loads(run(*SWEEP, "--batch", "1,8", "--format", "json"))
    assert [row["workload"]["batch"] for row in tree["rows"]] == [1, 8]
    lines = list(csv.DictReader(io.StringIO(run(*SWEEP, "--gpus", "1", "--utilization", "50%,100%", "-f", "csv"))))
    assert [float(line["deployment.utilization"]) for line in lines] == [0.5, 1.0]
    assert run(*SWEEP, "--memory-bandwidth", "2TB/s,4TB/s", "-f", "markdown").count("| 2 TB/s |") == 1
    assert "Tokens/s per GPU against batch" in run(*SWEEP, "--batch", "1:64:x2", "--plot")
    assert "How each number comes about at batch 8" in run(*SWEEP, "--batch", "1,8", "--explain")


def test_a_term_of_the_bill_is_compared_by_what_it_has(run: Run) -> None:
    attention = ("compare", "attention", "--model", "v3", "--gpu", "h100", "--terms", "kv")
    page = run(*attention, "--plot", "--chart", "term.svg")
    head = page.splitlines()[3].split()
    assert "tok/s" in head and not {"fits", "TPOT", "TTFT"} & set(head)
    assert "No cache" not in page and "against context" not in page
    chart = Path("term.svg").read_text()
    assert "a term of the bill" in chart and "against context" not in chart


def test_a_sweep_of_one_cell_is_a_table_of_one_row(run: Run) -> None:
    page = run(*SWEEP, "--batch", "8", "--chart", "cell.svg")
    assert page.startswith("Llama-3.1-8B on 1 × NVIDIA H100 SXM5 80GB: 1 cell\n") and "  batch  $/M blended" in page
    assert "fit" not in run(*SWEEP, "--batch", "8", "--terms", "kv").splitlines()[3].split()
    assert len(run(*SWEEP, "--memory-bandwidth", "3TB/s", "-f", "csv").splitlines()) == 2


def test_a_sweep_writes_its_chart_and_its_file(run: Run) -> None:
    assert run(*SWEEP, "--batch", "1:64:x2", "--context", "4k,8k", "--chart", "a.svg", "-o", "a.csv") == ""
    assert Path("a.svg").read_text().startswith("<?xml") and len(Path("a.csv").read_text().splitlines()) == 15
    run(*SWEEP, "--batch", "1:8:x2", "--chart", "wait.png", "--chart-kind", "wait")
    assert Path("wait.png").read_bytes().startswith(b"\x89PNG")


def test_a_break_even_is_drawn(run: Run) -> None:
    page = run("breakeven", "--model", "v3", "--gpu", "h100", "--plot", "--chart", "use.svg")
    assert "against how busy the GPUs are" in page and "GPUs of one's own" in page
    assert Path("use.svg").read_text().startswith("<?xml")


def test_what_fits_in_every_form(run: Run) -> None:
    bits = ("capacity", "--max", "bits", "-m", "llama-3.1-8b", "-g", "rtx-4090", "--context", "60k")
    page = run(*bits)
    assert page.startswith("The most bits of Llama-3.1-8B on 1 × NVIDIA GeForce RTX 4090, 60,000 tokens each\n")
    assert "16 bits per weight: weights bf16, KV cache fp8" in page and "\n  costcalc estimate --model llama" in page
    tree = json.loads(run(*bits, "-f", "json"))
    assert complaints(tree, schema_of("capacity")) == []
    lines = list(csv.DictReader(io.StringIO(run(*bits, "-f", "csv"))))
    assert [line["command"] for line in lines] == [row["command"] for row in tree["rows"]] and len(lines) > 4
    assert lines[0]["serving.tokens_per_s_per_user"] == str(tree["rows"][0]["serving"]["tokens_per_s_per_user"])
    assert "```sh\ncostcalc estimate --model llama-3.1-8b" in run(*bits, "-f", "markdown")
    assert run("capacity", "-m", "llama-3.1-8b", "-g", "rtx-4090", "-o", "a.json") == ""
    assert complaints(json.loads(Path("a.json").read_text()), schema_of("capacity")) == []


FRONTIER = ("frontier", "--model", "gpt-oss-120b", "--gpu", "h100,8xh200", "--pools", "both", "--tpot", "40ms")


def test_a_frontier_in_every_form(run: Run) -> None:
    page = run(*FRONTIER, "--plot")
    assert page.startswith("Frontier of gpt-oss-120b on NVIDIA H100 SXM5 80GB, NVIDIA H200 SXM 141GB\n")
    assert "80% range" in page and "pools apart" in page and "as good, as far as can be told" in page
    assert "Tokens/s per GPU against tokens/s per user" in page and "$ per M tokens, blended against" in page
    tree = json.loads(run(*FRONTIER, "-f", "json"))
    assert complaints(tree, schema_of("frontier")) == []
    lines = list(csv.DictReader(io.StringIO(run(*FRONTIER, "-f", "csv"))))
    assert len(lines) == len(tree["points"]) > 20
    assert [float(line["tokens_per_s_per_gpu"]) for line in lines] == [
        each["tokens_per_s_per_gpu"] for each in tree["points"]
    ]
    assert all(line["command"].startswith("costcalc estimate --model gpt-oss-120b --gpu h") for line in lines)
    assert "| set | tok/s user | 80% range |" in run(*FRONTIER, "-f", "markdown")


def test_a_frontier_writes_its_chart_and_its_file(run: Run) -> None:
    assert run(*FRONTIER, "--chart", "a.svg", "-o", "a.csv") == ""
    assert Path("a.svg").read_text().startswith("<?xml") and Path("a.csv").read_text().startswith("model,gpu,")
    for name in ("cost.png", "again.png"):
        run(*FRONTIER, "--chart", name, "--chart-kind", "cost")
    assert Path("cost.png").read_bytes() == Path("again.png").read_bytes()


@pytest.mark.parametrize(
    "line",
    [
        "estimate -m llama-3.1-8b -g 1xh100",
        "compare models llama-3.1-8b qwen3-8b -g 1xh100",
        "train -m llama-3.1-70b -g 2048xh100 --tokens 15T",
        "gpus own h100",
        "gpus show h100",
        "gpus list h100",
        "models list --closed",
        "models show v3",
    ],
)
def test_money_is_shown_in_a_currency_wherever_it_is_shown(run: Run, line: str) -> None:
    words = line.split()
    dollars, page = run(*words), run(*words, "--currency", "CHF=0.5")
    *shown, told = page.rstrip().splitlines()
    assert "CHF " in page and told.startswith("Money in CHF, 0.5 to the US dollar")
    # What is quoted keeps its dollars, and is said to; no sign stands for money in general.
    quoted = {amount for each in shown for amount in re.findall(r"\$[\d.,]*", each)}
    assert all(len(each) > 1 and each in dollars for each in quoted) and bool(quoted) == ("amounts with a $" in told)
    assert run(*words, "-f", "csv", "--currency", "CHF=0.5") == run(*words, "-f", "csv")


def test_a_file_of_questions_has_one_currency_or_each_its_own(run: Run) -> None:
    asked = "model: llama-3.1-8b\ngpu: 1xh100\nquestions:\n  a: {}\n  b: {currency: USD=1}\n  c: {}\n"
    Path("s.yaml").write_text(asked, encoding="utf-8")
    first, second, third = run("run", "s.yaml", "--brief", "--currency", "EUR=0.5").split("Question: ")[1:]
    assert "€ per M output" in first and "Money in EUR" in first and "$" not in first
    assert "$ per M output" in second and "€" not in second and "Money" not in second
    assert third[1:] == first[1:].rstrip() + "\n"
    alone = run("diff", "s.yaml#a", "-m llama-3.1-8b -g 2xh100", "--currency", "EUR=0.5")
    assert "Price of a GPU-hour" in alone and "€1.62" in alone and "$" not in alone


def test_a_table_for_a_paper_says_the_command_that_made_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("compare", "attention", "-m", "v3", "-g", "h100", "--variants", "mha,gqa:8,mla")
    assert run(*words, "-o", "table.tex") == ""
    text = Path("table.tex").read_text(encoding="utf-8")
    assert f"%   costcalc {' '.join(words)} -o table.tex\n" in text
    assert "    GQA-8 & 249.9 kB & 16$\\times$ & \\$" in text and "% needs \\usepackage{booktabs}\n" in text
    assert run(*words, "-f", "latex").replace(" -f latex", " -o table.tex") == text


def test_brief_shows_the_head_of_a_page_and_verbose_all_of_it(run: Run) -> None:
    head, usual, whole = (run(*V3, *more) for more in (["--brief"], [], ["--verbose"]))
    assert usual.startswith(head.rstrip()) and len(head.splitlines()) < 20 and "Deployment" not in head
    told = json.loads(run(*V3, "-v", "--format", "json"))
    assert told == json.loads(run(*V3, "--brief", "--format", "json"))
    for each in told["assumptions"]:
        assert each["why"] in whole and each["why"] not in head
    assert (
        run("train", "-m", "v3", "-g", "h800", "--tokens", "1T", "--brief").splitlines()[-1].lstrip().startswith("Doll")
    )


@pytest.mark.parametrize(
    "command",
    [
        ("compare", "gpus", "h100", "h200", "-m", "llama-3.1-8b"),
        ("compare", "attention", "-m", "llama-3.1-8b", "-g", "h100"),
        ("breakeven", "-m", "llama-3.1-8b", "-g", "h100"),
        ("capacity", "-m", "llama-3.1-8b", "-g", "h100"),
        ("sweep", "-m", "llama-3.1-8b", "-g", "h100", "--batch", "1,8"),
        ("frontier", "-m", "llama-3.1-8b", "-g", "h100", "--batch", "1,8"),
        ("sensitivity", "-m", "llama-3.1-8b", "-g", "h100"),
    ],
)
def test_every_page_has_a_head(run: Run, command: tuple[str, ...]) -> None:
    head, whole = re.sub(r"(?m)^[†°].*\n", "", run(*command, "--brief")), run(*command)
    assert whole.startswith(head.rstrip()) and 2 < len(head.splitlines()) < len(whole.splitlines())


@pytest.mark.parametrize(
    ("what", "subject"), [("gpus h100 h200", ["-m", "llama-3.1-8b"]), ("models qwen3-8b llama-3.1-8b", ["-g", "h100"])]
)
def test_every_comparison_takes_contexts(run: Run, run_json: RunJson, what: str, subject: list[str]) -> None:
    asked = ("compare", *what.split(), *subject, "--pools", "one")
    several = run_json(*asked, "--contexts", "4k,64k")["rows"]
    alone = [run_json(*asked, "--context", each)["rows"] for each in ("4k", "64k")]
    assert [row["cost"] for row in several] == [row["cost"] for rows in alone for row in rows]
    assert [row["cost_ratio"] for row in several] == [row["cost_ratio"] for rows in alone for row in rows]
    page = run(*asked, "--contexts", "4k,64k", "--brief")
    by_context = page[page.index("by tokens of context") :].splitlines()
    assert by_context[1].split() == ["4,000", "64,000"]
    shown = [format_usd(several[at]["cost"]["usd_per_million_output_tokens"]) for at in (0, 2)]
    assert by_context[3].split()[-2:] == shown
    assert "under 50 ms per token" in page


@pytest.mark.parametrize("what", ["gpus h100 h200 -m llama-3.1-8b", "models llama-3.1-8b -g h100"])
def test_pools_of_a_comparison_are_one_apart_or_found(run: Run, capfd: pytest.CaptureFixture[str], what: str) -> None:
    pages = {
        way: run("compare", *what.split(), "--context", "64k", "--brief", *more)
        for way, more in {"": (), "auto": ("--pools", "auto"), "one": ("--pools", "one")}.items()
    }
    assert pages[""] == pages["auto"] and "prefill on a pool of its own" in pages[""]
    assert "prefill on a pool" not in pages["one"] and " + " not in pages["one"].splitlines()[5]
    assert main(["compare", *what.split(), "--pools", "both"]) == 2
    assert "--pools: 'both' is unknown" in capfd.readouterr().err
    assert main(["compare", *what.split(), "--pools", "one", "--disaggregated"]) == 2
    assert "--disaggregated is given too" in capfd.readouterr().err


def test_contexts_beside_a_context_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "gpus", "h100", "h200", "-m", "v3", "--context", "4k", "--contexts", "8k,16k"]
    assert main(words) == 2 and "--contexts: --context is given too" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["table", "markdown", "latex"])
def test_the_head_of_several_contexts_is_one_table_with_its_signs(run: Run, form: str) -> None:
    asked = ("compare", "attention", "-m", "v3", "-g", "h200", "--variants", "mla,none", "--contexts", "4k,32k")
    head, whole = run(*asked, "--brief", "-f", form), run(*asked, "-f", form)
    sign = "$\\dagger$" if form == "latex" else "†"
    assert "At 4,000 tokens" in whole and "At 4,000 tokens" not in head
    assert f"{sign} breaks the limit, TPOT of 50 ms" in head and whole.count(f"{sign} breaks") == 1
    assert head.count(r"\begin{table}") == (form == "latex")


def test_brief_csv_has_what_the_table_shows(run: Run) -> None:
    command = ("compare", "gpus", "h100", "h200", "-m", "llama-3.1-8b", "-f", "csv")
    whole, narrow = (list(csv.DictReader(io.StringIO(run(*command, *more)))) for more in ([], ["--brief"]))
    assert set(narrow[0]) < set(whole[0]) and len(narrow[0]) < 50
    assert [{name: row[name] for name in narrow[0]} for row in whole] == narrow
    assert {"variant", "deployment.layout", "cost.usd_per_million_output_tokens", "chance_cheaper"} <= set(narrow[0])
