"""Self-host or buy: the break-even page, its conclusion in words, and models that only have prices."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from schemacheck import complaints
from terminal import fitted

import costcalc
from costcalc.cli import main
from costcalc.predict.results import BreakEven
from costcalc.report.export.schema import schema_of
from costcalc.report.money.breakeven import breakeven_page, conclusion
from costcalc.report.page import plain_page

Run = Callable[..., str]
RunJson = Callable[..., Any]
V3 = ("breakeven", "--model", "v3", "--gpu", "h100")
SMALL = ("breakeven", "--model", "llama-3.1-8b", "--gpu", "1xh100", "--batch", "32")


def words(text: str) -> str:
    return " ".join(text.split())


def refused(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    printed = capfd.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1
    return printed.err.removeprefix("error: ").rstrip()


def test_the_page_has_cost_prices_ratio_margin_use_date_and_source(run: Run) -> None:
    page = run(*V3, "--against", "claude-3.5-sonnet")
    head = next(line for line in page.splitlines() if "price/cost" in line)
    assert words(head) == "$ per M tokens blended price/cost margin break-even use 80% range tokens/day"
    # Anthropic's $3 and $15 per million; 4,096 tokens in and 1,024 out blend to $5.40.
    row = next(line for line in page.splitlines() if line.strip().startswith("Anthropic, Claude 3.5 Sonnet "))
    assert words(row).startswith("Anthropic, Claude 3.5 Sonnet $5.40 ")
    asked = "$3.00 in, $15.00 out; litellm 1.60.0, claude-3-5-sonnet-20241022"
    assert f"Anthropic, Claude 3.5 Sonnet, 2025-02: {asked}" in page
    assert "--utilization" in run(*V3, "-v")  # what was taken by default


def test_own_list_prices_are_told_with_cached_input(run: Run) -> None:
    page = run(*V3)
    rows = [words(line) for line in page.splitlines() if re.match(r"  DeepSeek +\$", line)]
    # The same figures of 2025-08 and 2026-11 are one row; both sources stand below.
    assert len(rows) == 1 and rows[0].startswith("DeepSeek $0.436 ")
    assert page.count("  DeepSeek, 20") == 2 and page.count("$0.27 in, $1.10 out, $0.07 cached; ") == 2
    assert "the list keeps the last price of models no longer served" in page


def test_the_conclusion_says_who_is_cheaper_and_when(run_json: RunJson, run: Run) -> None:
    tree, page = run_json(*V3, "--price", "1"), run(*V3, "--price", "1")
    prices = {price["provider"]: price for price in tree["market"]}
    beaten = [price["break_even_utilization"] for price in prices.values() if price["break_even_utilization"] <= 1]
    hardest = max(beaten)
    said = re.search(r"^Busy (\d+)% \[\d+–\d+%\] of the time or more, (.*)$", page, re.MULTILINE)
    assert said and int(said[1]) == pytest.approx(100 * hardest, abs=0.5)
    assert said[2].startswith(
        "16 × NVIDIA H100 SXM5 80GB at $1.00 per GPU-hour cost less than Fireworks AI's list price of "
        "$0.90 (2025-02) per million tokens: from 427M tokens a day."
    )  # 16 GPUs x 24 h x $1 / $0.90 per million
    assert prices["DeepSeek"]["break_even_utilization"] > 1
    assert "Even when never idle, they cost more than DeepSeek's list price of $0.436." in page
    assert "Busy or not, they cost $11,680 a month." in page  # 16 GPUs x 730 h x $1
    assert prices["Fireworks AI"]["break_even_tokens_per_day"] * 0.9e-6 == pytest.approx(16 * 24)
    assert tree["usd_per_month"] == 16 * 730


def test_an_api_that_cannot_be_beaten_says_never(run: Run) -> None:
    page = run(*SMALL, "--price", "50")
    assert (
        "Even when never idle, 1 × NVIDIA H100 SXM5 80GB at $50.00 per GPU-hour costs more than Together AI's" in page
    )
    row = next(line for line in page.splitlines() if line.startswith("  Together AI "))
    assert " never " in row and re.search(r" -\d+% ", row)


def test_some_beaten_and_some_not() -> None:
    found = costcalc.breakeven("gpt-oss-120b", "h100", gpus=4, batch=128, efficiency="ideal")
    cost = found.estimate.cost.usd_per_million_blended_tokens
    assert cost
    paid = found.estimate.deployment.usd_per_gpu_hour or 0.0
    between = 0.3 / cost * paid  # costs $0.30: above Groq's $0.24 of this mix, below Cerebras's $0.43
    found = costcalc.breakeven("gpt-oss-120b", "h100", gpus=4, batch=128, efficiency="ideal", price=between)
    said = " ".join(conclusion(found))
    assert said.startswith("Busy 70% of the time or more, 4 × NVIDIA H100")
    assert re.search(
        r"cost less than Cerebras's list price of \$0.43 per million tokens: from \S+ tokens a day\. Even when "
        r"never idle, they cost more",
        said,
    )
    assert "Together AI's, Fireworks AI's and Groq's list price of $0.24. Busy or not, they cost $" in said


def test_the_utilization_assumed_is_in_the_conclusion(run: Run) -> None:
    page = run(*V3, "--against", "gpt-4o", "--utilization", "5%")
    assert "At the 5% use assumed a million tokens of this mix cost $" in page
    assert "At full use" not in page


@pytest.mark.parametrize("width", [80, 100, 160])
def test_pages_fit_their_terminal(width: int) -> None:
    found = costcalc.breakeven("v3", "h100")
    page = fitted(breakeven_page(found), width)
    assert max(map(len, page.splitlines())) <= width
    assert "price/cost" in page and "break-even use" in page
    assert "cached" in page and "2025-08" in page


def test_a_free_deployment_has_no_ratio() -> None:
    found = costcalc.breakeven("llama-3.1-8b", "h100", gpus=1, batch=32, price=0.0)
    assert conclusion(found)[-1].endswith("At full use a million tokens of this mix cost $0.")
    assert "  price/cost  " not in plain_page(breakeven_page(found))


def test_no_list_price_of_the_same_provider_counts_twice() -> None:
    found = costcalc.breakeven("v3", "h100")
    assert sum(price.provider == "DeepSeek" for price in found.estimate.market) == 2
    assert " ".join(conclusion(found)).count("DeepSeek's") == 1
    older = tuple(price for price in found.estimate.market if price.date == "2025-08")
    alone = BreakEven(found.against, replace(found.estimate, market=older))
    assert "DeepSeek's list price of $0.436" in " ".join(conclusion(alone))


def test_json_is_the_result_and_keeps_the_schema(run_json: RunJson) -> None:
    tree = run_json(*SMALL, "--against", "gpt-4o")
    assert tree == json.loads(json.dumps(costcalc.breakeven(
        "llama-3.1-8b", "h100", against="gpt-4o", gpus=1, batch=32
    ).to_dict()))  # fmt: skip
    assert tree["against"] == "GPT-4o"
    assert {"margin", "price_over_cost", "break_even_utilization", "date", "source"} <= set(tree["market"][0])
    schema = schema_of("result")
    assert complaints(tree, schema) == []


def test_several_prices_a_provider_and_ones_own_stand_side_by_side(run_json: RunJson) -> None:
    tree = run_json(*V3, "--against", "together,gpt-5", "--against", "$0.6/2.2/0.1", "--cached", "50%")
    assert tree["against"] == "DeepSeek-V3, GPT-5"
    sellers = [(each["provider"], each["model"], each["date"]) for each in tree["market"]]
    assert sellers == [("Together AI", None, "2026-11"), ("OpenAI", "GPT-5", "2026-11"), ("$0.6/2.2/0.1", None, None)]
    # Half of 4,096 tokens in at $0.60, half at $0.10, and 1,024 out at $2.20.
    assert tree["market"][2]["blended_usd_per_million"] == pytest.approx((2048 * 0.7 + 1024 * 2.2) / 5120, rel=1e-12)
    every = {each["provider"] for each in run_json(*V3, "--against", "all")["market"]}
    assert every == {"DeepSeek", "Together AI", "Fireworks AI"}


def test_batch_tiers_and_discounts_come_off(run_json: RunJson, capfd: pytest.CaptureFixture[str]) -> None:
    # OpenAI's batches cost half; half of the standard price is the same.
    half = run_json(*V3, "--against", "gpt-5", "--tier", "batch")["market"][0]
    same = run_json(*V3, "--against", "gpt-5", "--discount", "50%")["market"][0]
    assert half["output_usd_per_million"] == same["output_usd_per_million"] == 5.0
    assert half["break_even_utilization"] == same["break_even_utilization"]
    assert "no batch price of DeepSeek-V3 is known" in refused(capfd, *V3, "--tier", "batch")


def test_a_sale_leaves_what_arithmetic_says(run_json: RunJson, run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    tree = run_json(*V3, "--sell", "0.6/2.2", "--utilization", "50%")
    cost, sale = tree["cost"]["usd_per_million_blended_tokens"], tree["sale"]
    assert sale["blended_usd_per_million"] == pytest.approx((4096 * 0.6 + 1024 * 2.2) / 5120, rel=1e-12)
    assert sale["margin"] == pytest.approx(1 - cost / sale["blended_usd_per_million"], rel=1e-12)
    # Tokens of half a month, at what is left of each million.
    million = tree["usd_per_month"] / cost
    assert tree["left_usd_per_month"] == pytest.approx(million * (sale["blended_usd_per_million"] - cost), rel=1e-12)
    asked = run_json(*V3, "--margin", "60%")
    assert asked["sale"]["margin"] == pytest.approx(0.6, rel=1e-12)
    assert asked["sale"]["output_usd_per_million"] * 0.4 == pytest.approx(
        asked["cost"]["usd_per_million_output_tokens"]
    )
    assert "they leave 60% of it [" in run(*V3, "--margin", "60%")
    assert refused(capfd, *V3, "--margin", "60%", "--sell", "1/2").startswith("--margin: the price is told too")
    assert refused(capfd, *V3, "--sell", "1").startswith("--sell: '1' is no list of prices")


def test_csv_and_markdown(run: Run) -> None:
    [row] = csv.DictReader(io.StringIO(run(*SMALL, "--format", "csv")))
    assert float(row["market.0.break_even_utilization"]) > 0 and row["against"] == "Llama-3.1-8B"
    assert "| --: |" in run(*SMALL, "--format", "markdown")


def test_options_of_an_estimate_are_understood(run_json: RunJson) -> None:
    tree = run_json(*SMALL, "--input", "1000", "--output", "1000", "--cached", "50%", "--price", "3", "--kv", "fp8")
    assert tree["deployment"]["usd_per_gpu_hour"] == 3 and tree["deployment"]["precision"]["kv_cache"] == "fp8"
    # Together AI asks $0.18 for a token of any kind.
    assert tree["market"][0]["blended_usd_per_million"] == pytest.approx(0.18)


def test_an_estimate_shows_the_same_ratio_and_break_even(run: Run, run_json: RunJson) -> None:
    shown, asked = run("estimate", *SMALL[1:]), run(*SMALL)
    row = {
        page: words(
            next(line for line in page.splitlines() if "Together AI " in line and "%" in line and "$0.18" in line)
        )
        for page in (shown, asked)
    }
    ratio, use = re.findall(r"(\S+×) .*?(\S+%) (?:\[|20)", row[asked])[0]
    assert ratio in row[shown] and f" {use} " in row[shown]
    assert run_json("estimate", *SMALL[1:])["market"] == run_json(*SMALL)["market"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*V3, "--terms", "kv"), "a list price pays for everything, not for one term of the bill; leave --terms out"),
        ((*V3, "--against", ""), "the name of the model is empty; list them with: costcalc models"),
        (
            ("breakeven", "--model", "v3", "--gpu", "h20"),
            "no price per hour of NVIDIA H20 96GB is known; give one with",
        ),
        (("breakeven", "--model", "llama-2-7b", "--gpu", "h100"), "no list price of Llama-2-7B is known; name a model"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    arguments: tuple[str, ...], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert refused(capfd, *arguments).startswith(message)


@pytest.mark.parametrize(
    "arguments",
    [
        ("estimate", "--model", "GPT-4o", "--gpu", "h100"),
        ("breakeven", "--model", "gpt_4o", "--gpu", "h100"),
        ("compare", "models", "v3", "gpt-4o", "--gpu", "h100"),
        ("compare", "attention", "--model", "gpt 4o", "--gpu", "h100"),
    ],
)
def test_a_closed_model_has_no_shape_and_the_error_says_what_it_is_for(
    arguments: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    assert refused(capfd, *arguments) == (
        "GPT-4o is known by its list prices only, not by its shape; compare with them as in: "
        "costcalc breakeven --model v3 --gpu h100 --against gpt-4o"
    )


def test_that_command_works(run: Run) -> None:
    assert "or GPT-4o by API" in run("breakeven", "--model", "v3", "--gpu", "h100", "--against", "gpt-4o")


def test_closed_models_are_listed(run: Run, run_json: RunJson) -> None:
    closed = run_json("models", "list", "--closed")
    assert len(closed) >= 43 and {"id", "provider", "usd_per_million_input_tokens", "date"} <= set(closed[0])
    assert not {each["id"] for each in closed} & {each["id"] for each in run_json("models")}
    anthropic = run_json("models", "--closed", "anthropic", "--sort", "price", "--reverse")
    assert {each["provider"] for each in anthropic} == {"Anthropic"}
    prices = [each["usd_per_million_output_tokens"] for each in anthropic]
    assert prices == sorted(prices, reverse=True)
    page = run("models", "list", "--closed", "claude-3.5")
    assert words(page.splitlines()[2]) == "claude-3.5-sonnet Anthropic $3.00 - $15.00 200,000 2025-02"
    assert "costcalc models list --closed" in run("models")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--family", "qwen"), "--family: models that only have prices have no shape; leave one out"),
        (("--attention", "mla"), "--attention: models that only have prices have no shape; leave one out"),
        (("--sort", "kv"), "--sort: 'kv' is unknown; one of: name, provider, context, price"),
        (("nobody",), "TEXT: nothing matches 'nobody'"),
    ],
)
def test_closed_lists_that_cannot_be(options: tuple[str, ...], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert refused(capfd, "models", "list", "--closed", *options).startswith(message)


def test_a_closed_model_shows_its_prices(run: Run, run_json: RunJson, capfd: pytest.CaptureFixture[str]) -> None:
    page = run("models", "show", "sonnet-3.5")
    assert page.startswith("Claude 3.5 Sonnet\n") and "claude-3-5-sonnet-20241022" in page
    assert "$3.00" in page and "$15.00" in page and "2025-02" in page and "--against claude-3.5-sonnet" in page
    tree = run_json("models", "show", "gpt-4o")
    assert [each["date"] for each in tree["spec"]["api_prices"]] == ["2026-11", "2025-02"]
    assert "did you mean 'gpt-4o'?" in refused(capfd, "models", "show", "gpt-4p")


def test_ones_own_closed_models_come_first(
    run: Run, run_json: RunJson, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "models" / "closed_models.yaml"
    file.parent.mkdir()
    price = "{provider: Us, input_usd_per_million: 1, output_usd_per_million: 1, date: '2026-11', source: contract}"
    file.write_text(f"models:\n  - name: GPT-4o\n    provider: Us\n    api_prices: [{price}]\n")
    own = ("--catalog", str(tmp_path))
    [found] = run_json("models", "list", "--closed", "gpt-4o", *own)[:1]
    assert found["provider"] == "Us" and len(run_json("models", "list", "--closed", *own)) >= 43
    assert run_json(*SMALL, "--against", "gpt-4o", *own)["market"][0]["blended_usd_per_million"] == 1
    assert "no problem" in run("models", "check", str(file))
    file.write_text(file.read_text().replace("'2026-11'", "lately"))
    assert "api_prices.0.date: 'lately' does not fit" in refused(capfd, "models", "check", str(file))
    assert "api_prices.0.date" in refused(capfd, *SMALL, "--against", "gpt-4o", *own)


OPENED = """
import sys
opened = []
sys.addaudithook(lambda event, given: opened.append(str(given[0])) if event == "open" else None)
from costcalc.cli import main
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()):
    code = main(sys.argv[1:])
print(code, *(name for name in opened if name.endswith(".yaml")), sep="\\n")
"""


def opened(*arguments: str) -> list[str]:
    """Return the YAML files of models and accelerators that a command opens."""
    run = subprocess.run([sys.executable, "-c", OPENED, *arguments], capture_output=True, text=True, check=True)
    code, *files = run.stdout.splitlines()
    assert code == "0"
    return sorted("/".join(Path(name).parts[-2:]) for name in files if "efficiency" not in name)


def test_an_estimate_reads_the_files_that_it_needs_and_no_other() -> None:
    needed = ["hardware_profiles/h100-sxm.yaml", "models/deepseek-v3.yaml"]
    assert opened("estimate", "--model", "deepseek-v3", "--gpu", "h100-sxm") == needed


def test_an_alias_costs_a_look_at_the_heads_and_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    from costcalc.catalog import read as load

    whole: list[str] = []
    read = load.load_yaml

    def counting(path: str | Path) -> Any:
        whole.append(Path(path).name)
        return read(path)

    monkeypatch.setattr(load, "load_yaml", counting)
    costcalc.load_model("v3")
    costcalc.load_gpu("h100")
    assert whole == ["deepseek-v3.yaml", "h100-sxm.yaml"]


def test_a_list_price_of_a_closed_model_reads_one_file_more() -> None:
    files = opened("breakeven", "--model", "deepseek-v3", "--gpu", "h100-sxm", "--against", "gpt-4o")
    assert files == ["hardware_profiles/h100-sxm.yaml", "models/closed_models.yaml", "models/deepseek-v3.yaml"]
