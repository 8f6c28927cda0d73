"""Pages: the headline first, defaults marked, what is unknown as '-', nothing cut on any terminal."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from terminal import fitted

import costcalc
from costcalc import compare_models, frontier
from costcalc.cli import main
from costcalc.cli.app import plain_text
from costcalc.predict.results import (
    Assumption,
    BreakEven,
    Comparison,
    CostResult,
    DemandResult,
    Estimate,
    LimitsResult,
    PrefillResult,
    Row,
    ServingResult,
)
from costcalc.report.charts.terminal import bars, plots
from costcalc.report.comparison import comparison_page
from costcalc.report.estimate import estimate_page
from costcalc.report.explanation import explanation
from costcalc.report.export.latex import latex_page
from costcalc.report.frontier import frontier_page
from costcalc.report.money.breakeven import breakeven_page
from costcalc.report.page import (
    RANGE,
    Block,
    Column,
    Command,
    Grid,
    Line,
    bar,
    markdown_page,
    plain_page,
    quantity,
    seconds,
    span,
    speed,
    times,
)


def row(page: str, start: str) -> str:
    """Return the only line that starts with a text."""
    [found] = [line for line in page.splitlines() if line.strip().startswith(start)]
    return found


def test_the_headline_comes_first_with_its_ranges(estimate: Estimate) -> None:
    verdict, blank, *lines = plain_page(estimate_page(estimate)).splitlines()
    assert verdict.startswith("16 GPU-Ys serve 384 users at 20.2 tok/s each") and not blank
    assert lines[0] == "Model-X on 16 × GPU-Y"
    assert lines[3].split()[:5] == ["$", "per", "M", "output", "tokens"]
    assert "$0.83" in lines[3] and "[$0.68–0.99]" in lines[3]


def test_defaults_are_marked_and_their_options_named(estimate: Estimate) -> None:
    page = plain_page(estimate_page(estimate))
    assert "384°" in row(page, "Users at once") and "$2.00°" in row(page, "Price")
    assert "4,096°" not in page  # not among the assumptions
    assert "--batch N" in row(page, "batch")
    given = plain_page(estimate_page(replace(estimate, assumptions=())))
    assert "°" not in given


def test_a_term_of_the_bill_leaves_out_what_it_does_not_ask(estimate: Estimate) -> None:
    term = replace(
        estimate,
        prefill=PrefillResult(None, None),
        serving=ServingResult(None, None, None),
        cost=CostResult(79.44, None, None),
    )
    page = plain_page(estimate_page(term))
    assert "$79.44" in page and "Time to first token" not in page and "Users at once" not in page


def test_drafts_and_pools_are_said(estimate: Estimate) -> None:
    load = replace(estimate.workload, draft_tokens=2, tokens_per_step=2.57, disaggregated=True)
    serving = replace(estimate.serving, prefill_share=0.25, prefill_gpus=16 / 3)
    page = plain_page(estimate_page(replace(estimate, workload=load, serving=serving)))
    assert "\n\nModel-X on 16 × GPU-Y for decode, and 5.3 for prefill\n" in page
    assert "2 tokens drafted per step, 2.57 tokens out of one" in row(page, "Speculation")
    assert "decode on 16 GPUs, prefill on 5.3 of their own: 25% of the GPU time" in row(page, "Pools")
    assert "prefills run elsewhere" in page and "GPUs of both pools" in row(page, "Tokens/s per GPU")
    assert "$42.67 per hour in all" in row(page, "Price")
    assert "Speculation" not in plain_page(estimate_page(estimate))
    one = replace(estimate, workload=replace(load, draft_tokens=1))
    assert "1 token drafted per step" in row(plain_page(estimate_page(one)), "Speculation")


def test_what_is_served_is_the_headline_and_decoding_alone_stands_below(estimate: Estimate) -> None:
    serving = replace(
        estimate.serving, output_tokens_per_s_per_gpu=304, output_tokens_per_s=4864, tokens_per_s_per_user=20.3
    )
    lines = plain_page(estimate_page(replace(estimate, serving=serving))).splitlines()
    per_gpu = next(line for line in lines if "Tokens/s per GPU" in line)
    assert "304" in per_gpu and "served, prefills included; 4,860 in all" in per_gpu and "669" not in per_gpu
    assert "20.3" in next(line for line in lines if "Tokens/s per user" in line)
    alone = next(line for line in lines if "Decoding alone" in line)
    assert "669 tokens/s per GPU, 27.9 per user" in alone
    assert lines.index(alone) > lines.index(per_gpu)


def test_the_bound_says_its_own_share_of_a_step(estimate: Estimate) -> None:
    assert estimate.decode.bound_by == "memory"
    of_memory = [op for op in estimate.breakdown if op.bound_by == "memory"]
    share = sum(op.time_s for op in of_memory) / sum(op.time_s for op in estimate.breakdown)
    longest = max(of_memory, key=lambda op: op.time_s)
    shown = row(plain_page(estimate_page(estimate)), "Bound by")
    assert f"{share:.0%} of a step" in shown and longest.op in shown and "overhead" not in shown


def test_long_reasons_of_defaults_are_broken(estimate: Estimate) -> None:
    source = Assumption(
        "price", "$2.00", "a study with a title that goes on and on, in a journal with a long name", "--price X"
    )
    page = fitted(estimate_page(replace(estimate, assumptions=(*estimate.assumptions[:1], source))), 80)
    assert "lowest cost" in row(page, "batch") and "a study with a title" in row(page, "price")
    assert "a study with a title that goes on and on, in a journal with a long name" in " ".join(page.split())


def test_market_prices_are_the_newest_of_each_provider(estimate: Estimate) -> None:
    page = plain_page(estimate_page(estimate))
    assert "$1.10" in row(page, "Somebody") and "53%" in row(page, "Somebody")


def test_a_comparison_has_its_reference_first_and_says_what_does_not_fit(comparison: Comparison) -> None:
    page = plain_page(comparison_page(comparison))
    assert "1×" in row(page, "MLA  ").split()
    assert "does not fit" in row(page, "MHA  ") and "$" not in row(page, "MHA  ")
    assert "2.25×" in row(page, "MQA  ")
    assert "does not fit on 16 × GPU-Y" in page


def test_contexts_are_sections_of_their_own(comparison: Comparison) -> None:
    rows = tuple(
        replace(
            each,
            variant=f"{each.variant} @ {context:,.0f}",
            estimate=replace(each.estimate, workload=replace(each.estimate.workload, context_tokens=context)),
        )
        for context in (4096.0, 131_072.0)
        for each in comparison.rows
    )
    page = plain_page(comparison_page(replace(comparison, rows=rows, contexts=(4096.0, 131_072.0))))
    assert "At 4,096 tokens of context" in page and "At 131,072 tokens of context" in page
    assert len(re.findall(r"^  MQA  ", page, re.MULTILINE)) == 3  # and one of the dollars at each


def test_a_cache_that_is_the_same_everywhere_is_no_column(comparison: Comparison) -> None:
    rows = tuple(replace(each, estimate=comparison.rows[0].estimate) for each in comparison.rows)
    page = plain_page(comparison_page(replace(comparison, rows=rows)))
    assert "70.27 kB in every row" in page and "smaller" not in page


def test_caches_with_windows_are_told_by_the_sequence() -> None:
    # Gemma 3 (2503.19786): of 62 layers 10 are global and 52 have a window of 1,024 tokens; 16 KV heads of 128, bf16.
    found = costcalc.compare_models(["gemma-3-27b", "llama-3.1-70b"], "h100", contexts=["4k", "128k"], gpus=8)
    layer, tokens = 2 * 16 * 128 * 2, (4_000, 128_000)
    held = [10 * layer * each + 52 * layer * 1024 for each in tokens]
    assert [row.estimate.kv_cache.bytes_per_sequence for row in found.rows[::2]] == held
    assert found.rows[0].estimate.kv_cache.bytes_per_token == 10 * layer
    # Llama-3.1-70B (2407.21783): 80 layers of 8 KV heads of 128.
    ratios = [mine / (80 * 2 * 8 * 128 * 2 * each) for mine, each in zip(held, tokens, strict=True)]
    assert [row.sequence_ratio for row in found.rows[1::2]] == pytest.approx(ratios)
    page = plain_page(comparison_page(found))
    _, *shown = [line.split() for line in page.splitlines() if line.strip().startswith("Llama-3.1-70B  ")]
    assert all(f"{ratio:.3g}×" in told for ratio, told in zip(ratios, shown, strict=True))
    assert "KV/seq: that of a whole sequence, windows and states included" in page
    alike = costcalc.compare_gpus(["h100", "h200"], "gemma-3-27b", context="4k", gpus=8)
    said = plain_page(comparison_page(alike))
    assert "81.92 kB, with 436.2 MB of windows and states per sequence, in every row" in said and "KV/seq" not in said


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_command_can_be_pasted_from_a_terminal_of_any_width(width: int) -> None:
    text = (
        "costcalc estimate --model './my models/a.yaml' --gpu rtx-4090 --gpus 1 --batch 1 --context 39396 --tpot 0.04"
    )
    lines = fitted([Command(text, "12")], width).splitlines()
    assert all(line.endswith(" \\") for line in lines[:-1])
    pasted = "\n".join(lines).replace("12  ", "", 1)
    assert shlex.split(pasted.replace("\\\n", "")) == shlex.split(text)  # as a shell joins lines
    assert all(len(line) <= max(width, 44) for line in lines)
    assert plain_page([Command(text)]) == f"  {text}\n"
    assert markdown_page([Command(text, "12")]) == f"12:\n\n```sh\n{text}\n```\n"


@pytest.mark.parametrize("width", [80, 160])
def test_a_frontier_fits_its_terminal(width: int) -> None:
    result = frontier(["gpt-oss-120b", "qwen3-30b-a3b"], ["h100", "mi300x"], disaggregated=[False, True])
    page = fitted([*frontier_page(result), *plots(result)], width)
    assert max(map(len, page.splitlines())) <= width
    text = " ".join(page.split())
    for point in result.points:  # the fastest of every set is shown whole, with its command
        first = next(each for each in result.points if (each.model, each.set) == (point.model, point.set))
        # A shell joins what is broken behind a backslash.
        assert first.command in text.replace(" \\ ", " ") and speed(first.tokens_per_s_per_user) in text


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_pages_fit_their_terminal(estimate: Estimate, comparison: Comparison, width: int) -> None:
    for page in (estimate_page(estimate), comparison_page(comparison), explanation(estimate), plots(comparison)):
        assert max(map(len, fitted(page, width).splitlines())) <= width


texts = st.text(st.characters(whitelist_categories=["Lu", "Ll", "Nd"]), min_size=1, max_size=24)


@given(st.data(), st.integers(10, 200))
def test_every_cell_is_shown_whole_on_any_terminal(data: st.DataObject, width: int) -> None:
    columns = [
        Column(data.draw(texts), right=data.draw(st.booleans()), beside=data.draw(st.booleans())) for _ in "abcd"
    ]
    rows = [[data.draw(texts) for _ in columns] for _ in range(3)]
    page = fitted([Grid(columns, rows)], width)
    parts = [part.splitlines()[2:] for part in page.split("\n\n")]
    for number, row in enumerate(rows):
        lines = [part[number] for part in parts]
        assert all(row[0] in line for line in lines)
        assert all(any(cell in line for line in lines) for cell in row)
    assert all(any(column.title in line for line in page.splitlines()) for column in columns)


def heads(grid: Grid, width: int) -> list[list[str]]:
    """Return the titles of each table that a grid takes."""
    tables = fitted([grid], width).split("\n\n")
    return [[each.strip() for each in table.splitlines()[0].split("  ") if each.strip()] for table in tables]


def test_what_has_no_room_follows_in_another_table_under_the_names_of_its_rows() -> None:
    grid = Grid([Column("name"), Column("first"), Column("second")], [["a" * 10, "b" * 10, "c" * 10], ["d", "e", ""]])
    assert heads(grid, 60) == [["name", "first", "second"]]
    assert heads(grid, 30) == heads(grid, 14) == [["name", "first"], ["name", "second"]]
    # The second row adds nothing to the second table.
    assert [len(table.splitlines()) for table in fitted([grid], 30).split("\n\n")] == [4, 3]


def test_ranges_stay_beside_what_they_are_of() -> None:
    columns = [Column("name"), Column("speed"), RANGE, Column("cost"), RANGE]
    grid = Grid(columns, [["somebody", "12", "[10-14]", "$1.10", "[$0.90-$1.30]"]])
    assert heads(grid, 40) == [["name", "speed", "80% range"], ["name", "cost", "80% range"]]


def test_bars_go_first_and_texts_are_broken() -> None:
    columns = [Column("op"), Column("why", wrap=True), Column("", drawing=True)]
    page = fitted([Grid(columns, [["core", "a reason of seven words or even more", "█" * 20]])], 34)
    assert page.splitlines()[2:] == ["  core  a reason of seven words or", "        even more"]


def test_a_list_says_which_columns_it_has_no_room_for() -> None:
    columns = [Column("model"), Column("attention"), Column("family")]
    page = fitted([Grid(columns, [["a" * 10, "b" * 10, "c" * 10]], listed=True)], 30)
    assert " ".join(page.splitlines()[3].split()) == "no room here for family: a"


def test_prose_is_broken_between_words() -> None:
    line = Line("a long sentence " * 12, indent=2)
    lines = fitted([line], 40).splitlines()
    assert max(map(len, lines)) <= 40 and " ".join(" ".join(lines).split()) == line.text.strip()
    assert plain_page([line]).count("\n") == 1


def test_explanations_show_formula_numbers_result_and_source(estimate: Estimate) -> None:
    lines = plain_page(explanation(estimate)).splitlines()
    start = lines.index("Cache: 70.27 kB/token")
    assert lines[start + 1 : start + 4] == [
        "  = layers × bytes",
        "  = 61 × 1,152 B",
        "  kv_cache.bytes_per_token; a paper",
    ]


def test_markdown_has_tables_and_no_bars(estimate: Estimate) -> None:
    text = markdown_page(estimate_page(estimate))
    assert "\n\n# Model-X on 16 × GPU-Y\n" in text
    assert "| op | time | share | bound by | bytes | work |" in text and "█" not in text
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def set_in(cells: str) -> str:
    """What LaTeX prints of a row, by the rules of The LaTeX Companion for the few commands that a page uses."""
    printed = {
        r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^", r"\textasciigrave{}": "`",
        r"$\times$": "×", r"$\cdot$": "·", r"$\to$": "→", r"$\dagger$": "†", r"$^\circ$": "°", "$^2$": "²",
        r"$\lambda$": "λ", r"$\Sigma$": "Σ", r"$\mu$": "μ", "$-$": "−", "$<$": "<", "$>$": ">", "$|$": "|",
        r"$\star$": "★", r"$\bullet$": "●", r"$\circ$": "○", "-{}": "-", "--{}": "–", "--": "–",
        "{[}": "[", "{]}": "]", "{*}": "*",
        **{f"\\{sign}": sign for sign in "&%$#_{}"},
    }  # fmt: skip
    names = sorted(printed, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, names)), lambda found: printed[found[0]], cells)


@given(st.text(st.sampled_from("aZ09 \\{}$&#_^~%<>|[]*-–×†°²→·é.,"), max_size=12).map(str.strip))
def test_latex_prints_every_sign_of_a_cell_and_obeys_none(text: str) -> None:
    told = latex_page([Grid([Column("x"), Column("y")], [["a", text]])])
    [row] = [line for line in told.splitlines() if line.startswith("    a &")]
    cell = row.removeprefix("    a &").removesuffix(r"\tabularnewline").strip()
    assert set_in(cell) == text
    bare = re.sub(r"\\[&%$#_{}]", "", cell)  # what is left of signs that command are pairs of braces and of dollars
    assert not set("&%#_") & set(bare) and bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0


def test_latex_has_a_float_for_each_table_with_caption_label_and_notes(estimate: Estimate) -> None:
    page = comparison_page(compare_models(["llama-3.1-8b", "llama-3.1-70b"], "h100"))
    lines = latex_page([Command("costcalc compare models"), *page]).splitlines()
    assert lines[0] == r"% needs \usepackage{booktabs}" and "costcalc compare models" in lines[1]
    opened: list[str] = []
    columns = 0
    for line in lines:
        for what, name in re.findall(r"\\(begin|end){(\w+)}", line.partition("%")[0]):
            opened.append(name) if what == "begin" else opened.remove(name)
        if found := re.search(r"\\begin{tabular}{([lr]+)}", line):
            columns = len(found[1])
        if line.endswith(r" \\"):
            assert opened == ["table", "tabular"] and len(re.findall(r"(?<!\\)&", line)) == columns - 1
        assert opened or line.startswith("%") or not line or line == r"\end{table}"
    text = "\n".join(lines)
    captions, labels = re.findall(r"\\caption{(.*)}", text), re.findall(r"\\label{tab:(.*)}", text)
    floats, tables = text.count(r"\begin{table}"), text.count(r"\begin{tabular}")
    assert opened == [] and floats == tables == len(captions) == len(labels) == len({*labels})
    assert labels[:2] == ["compare-models", "compare-models-2"] and captions[1] == f"{captions[0]} (continued)"
    # What explains columns stands below the last of them, to which the others refer.
    legend, last = text.index("TPOT, TTFT and tok/"), text.rindex(r"\end{tabular}")
    assert last < legend < text.rindex(r"\end{table}")
    assert text.count(rf"\ref{{tab:{labels[-1]}}}") == floats - 1
    assert any(line.startswith("    Llama-3.1-70B & ") for line in lines)
    assert any("327.7 kB & 0.4$\\times$" in line for line in lines)
    assert any("{[}" in line and "--" in line for line in lines)  # ranges, in a column of their own
    # A terminal's bars are no table, and letters that LaTeX lacks are told by their number.
    assert "█" not in latex_page(estimate_page(estimate)) and "{[}U+6A21é" in latex_page([Grid([Column("[模é")], [])])


@pytest.mark.parametrize(
    ("command", "label"),
    [
        ("costcalc compare attention -m v3 -g h100 -o table.tex", "compare-attention-v3-h100"),
        ("costcalc compare attention --model v3 --gpu h100 -f latex --currency EUR=0.9", "compare-attention-v3-h100"),
        ("costcalc compare gpus h100 b200 -v -m v3 --brief", "compare-gpus-h100-b200-v3"),
        ("costcalc estimate --model=v3 --gpu=8xh100 --context 64k --output t.tex", "estimate-v3-8xh100-[0-9a-f]{3}"),
        ("costcalc estimate -m v3 -g 8xh100 --output 512 --spot", "estimate-v3-8xh100-[0-9a-f]{3}"),
    ],
)
def test_labels_of_latex_follow_the_question(command: str, label: str) -> None:
    page: list[Block] = [Command(command), Line("16 GPUs", "title")]
    for heading in ("Cost: by context", "Memory: 79 GiB", "At 4,000 tokens"):
        page += [Line(heading, "heading"), Grid([Column("a")], [["1"]])]
    labels = re.findall(r"\\label{tab:(.*)}", latex_page(page))
    assert re.fullmatch(label, labels[0]) and labels == [labels[0], f"{labels[0]}-memory", f"{labels[0]}-2"]


def test_labels_of_latex_tell_options_apart_in_any_order() -> None:
    def label(options: str) -> str:
        page: list[Block] = [Command(f"costcalc estimate -m v3 -g h100 {options}"), Grid([Column("a")], [["1"]])]
        return re.findall(r"\\label{tab:(.*)}", latex_page(page))[0]

    assert label("--tp 2 --batch 3 -o a.tex") == label("--batch=3 --explain --tp 2") != label("--tp 3 --batch 2")
    assert label("--output 512") != label("--output 513") != label("--output a.tex") == label("")
    long: list[Block] = [Command("costcalc " + "a" * 99), Grid([Column("a")], [["1"]])]
    assert len(re.findall(r"\\label{tab:(.*)}", latex_page(long))[0]) < 60


@given(st.integers(1, 200), st.lists(st.text(st.sampled_from("ab / "), max_size=200), max_size=40))
def test_no_float_of_latex_is_longer_than_a_page_and_none_of_its_text_is_lost(rows: int, notes: list[str]) -> None:
    grid = Grid([Column("x", right=True)], [[f"r{row}"] for row in range(rows)])
    told = latex_page([grid, *map(Line, notes)])
    floats = told.split(r"\begin{table}")[1:]
    assert all(each.partition(r"\end{table}")[0].count("\n") < 60 for each in floats)
    assert re.findall(r"^    (r\d+) ", told, re.MULTILINE) == [f"r{row}" for row in range(rows)]
    kept = [each.strip().replace("/", "") for each in notes if each.strip()]
    assert all(each in told.replace(r"/\allowbreak{}", "").replace("/", "") for each in kept)


def test_a_cache_per_token_is_drawn_once_for_all_contexts(comparison: Comparison) -> None:
    longer = [replace(row, estimate=replace(row.estimate, workload=replace(row.estimate.workload, context_tokens=2e5)))
              for row in comparison.rows]  # fmt: skip
    both = replace(comparison, rows=(*comparison.rows, *longer), contexts=(1.0, 2e5))
    page = plain_page(plots(both))
    assert page.count("KV cache per token") == 1 and page.count("$ per M output tokens at ") == 2


def test_markdown_escapes_what_it_would_read_as_markup() -> None:
    page: list[Block] = [Grid([Column("a|b")], [["fp8_block * $2 <x>"]])]
    assert markdown_page(page) == "| a\\|b |\n| :-- |\n| fp8\\_block \\* \\$2 \\<x> |\n"


def test_bars_and_lines_of_a_comparison(comparison: Comparison) -> None:
    page = plain_page(plots(comparison))
    lengths = {name: row(page[: page.index("$ per")], name).count("█") for name in ("MLA", "MQA", "MHA")}
    assert lengths["MHA"] == 40 > lengths["MLA"] > lengths["MQA"] > 0


def test_bars_are_as_long_as_their_values_unless_the_small_ones_would_vanish() -> None:
    def drawn(*values: float | None) -> tuple[str, list[float]]:
        lines = plain_page(bars("Dollars", [(f"row {each}", each) for each in values], str)).splitlines()[1:]
        return lines[0], [each.count("█") / 40 for each in lines[1:]]

    assert drawn(8.0, 4.0, 2.0, None, 0.0) == ("Dollars", [1.0, 0.5, 0.25, 0.0, 0.0])
    assert drawn(100.0, 1.0)[0] == "Dollars" and "▍" in plain_page(bars("", [("a", 100.0), ("b", 1.0)], str))
    title, lengths = drawn(1000.0, 10.0, 1.0, None)
    assert title == "Dollars, bars logarithmic"
    assert lengths[0] == 1.0 and 0.3 < lengths[1] < 0.4 and 0 < lengths[2] < 0.05 and lengths[3] == 0.0
    assert drawn(None, 0.0) == ("Dollars", [0.0, 0.0])


@given(st.floats(0, 1), st.integers(1, 60))
def test_a_bar_is_as_long_as_its_share(share: float, width: int) -> None:
    drawn = bar(share, width)
    assert abs(drawn.count("█") + (len(drawn) > drawn.count("█")) * 0.5 - share * width) <= 0.6


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (bar(-0.2, 10), ""),
        (bar(7, 10), "█" * 10),
        (times(None), "-"),
        (times(56.889), "56.9×"),
        (times(12345.6), "12,346×"),
        (speed(None), "-"),
        (speed(10_704.6), "10,700"),
        (speed(27.876), "27.9"),
        (span(None, speed), ""),
        (span((560.4, 821.7), speed), "[560–820]"),
        (span((0.0412, 0.0998), seconds), "[41–100 ms]"),
        (span((0.00099, 0.0012), seconds), "[0.99–1.2 ms]"),
        (span((90.0, 150.0), seconds), "[1.5–2.5 min]"),
        (span((1.14, 2.91), quantity("cost.usd_per_request").show_end), "[$1.14–2.91]"),
        (span((-0.12, 0.1), quantity("cost.usd_per_request").show_end), "[-$0.12–$0.10]"),
        (span((0.0, 0.005), seconds), "[0–5 ms]"),
        (plain_text("8×, ≈1, 90–100, 2·K, 5 µs, █▌"), "8x, ~1, 90-100, 2|K, 5 us, #="),
        (plain_text("日"), "?"),
    ],
)
def test_numbers_as_shown(shown: str, expected: str) -> None:
    assert shown == expected


def test_a_limit_that_is_not_met_is_said_first_with_what_comes_nearest(estimate: Estimate) -> None:
    def head(late: Estimate, *assumed: str) -> list[str]:
        known = tuple(Assumption(name, "", "", "") for name in assumed)
        return plain_page(estimate_page(replace(late, assumptions=known))).splitlines()[5:8]

    machine = replace(estimate.deployment, layout="dp16 ep16")
    late = replace(estimate, deployment=machine, limits=LimitsResult(1e-6, None, False))
    assert head(late, "batch", "layout", "gpus") == [
        "  Limit not met: time per output token is 49.5 ms, 49,500× the limit of 1 µs.",
        "  No batch and no layout that was weighed keeps it. This is the nearest: 384 users at once, dp16 ep16. "
        "The dollars are its own.",
        "",
    ]
    assert "another --gpus may come nearer" in head(late, "batch")[1]
    both = replace(late, limits=LimitsResult(0.045, 0.5, False))
    assert head(both)[0] == (
        "  Limit not met: time per output token is 49.5 ms, 10% over the limit of 45 ms, and time to first token is "
        "630 ms, 26% over the limit of 500 ms."
    )
    assert "leave --batch and the layout out to get the nearest to it" in head(both)[1]
    one = replace(both, limits=LimitsResult(0.05, 0.5, False))
    assert "output token is" not in head(one)[0]
    for kept in (None, True):
        assert "Limit" not in plain_page(estimate_page(replace(estimate, limits=LimitsResult(0.05, None, kept))))
    assert "Limit not met" in plain_page(breakeven_page(BreakEven("x", late)))


def test_what_breaks_a_limit_is_marked_and_explained(comparison: Comparison) -> None:
    first = comparison.rows[0]
    late = replace(first, estimate=replace(first.estimate, limits=LimitsResult(0.05, None, False)))
    page = plain_page(comparison_page(replace(comparison, rows=(late, *comparison.rows[1:]))))
    assert "†" in row(page, "MLA  ")
    assert "† breaks the limit, TPOT of 50 ms" in page
    assert "†" not in plain_page(comparison_page(comparison))


def test_a_row_without_a_price_is_not_one_that_does_not_fit(comparison: Comparison) -> None:
    unpriced = replace(
        comparison.rows[0],
        cost_ratio=None,
        estimate=replace(comparison.rows[0].estimate, cost=CostResult(None, None, None)),
    )
    priced = replace(comparison.rows[0], variant="Other", cost_ratio=1.0)
    unfit = replace(comparison.rows[2], needs_gpus=24)
    page = plain_page(comparison_page(replace(comparison, rows=(unpriced, priced, unfit))))
    assert "no price" in row(page, "MLA  ")
    assert "needs 24 GPUs" in row(page, "MHA  ")
    assert "vs ref." in page and "to Other, the first that has one" in page


def test_every_price_names_its_source(comparison: Comparison) -> None:
    def priced(name: str, usd: float, source: str) -> Row:
        here = comparison.rows[0].estimate
        machine = replace(here.deployment, gpu=name, usd_per_gpu_hour=usd, price_source=source)
        price = Assumption("price", f"${usd:.2f} per GPU-hour", source, "--price X")
        return replace(
            comparison.rows[0], variant=name, estimate=replace(here, deployment=machine, assumptions=(price,))
        )

    rows = (priced("One", 2.0, "first source"), priced("Two", 3.5, "second source"))
    page = plain_page(comparison_page(replace(comparison, rows=rows)))
    assert "$2.00 One: first source; $3.50 Two: second source" in page
    assert "$2.00" in row(page, "One ") and "$3.50" in row(page, "Two ")


def test_a_comparison_shows_what_an_estimate_shows_under_the_same_names() -> None:
    found = compare_models(["llama-3.1-8b", "qwen3-8b"], "1xh100")
    grid = next(block for block in comparison_page(found) if isinstance(block, Grid))
    cells = dict(zip([each.title for each in grid.columns], grid.rows[0], strict=True))
    here = plain_page(estimate_page(costcalc.estimate("llama-3.1-8b", "1xh100")))
    for title, heading in (
        ("TPOT", "Time per output token"), ("TTFT", "Time to first token"), ("$/M out", "$ per M output tokens"),
        ("tok/s GPU", "Tokens/s per GPU"), ("tok/s user", "Tokens/s per user"),
    ):  # fmt: skip
        assert row(here, heading).split(heading)[1].strip().startswith(cells[title]), title
    decoding = float(cells["decode tok/s GPU"].replace(",", ""))
    assert decoding > float(cells["tok/s GPU"].replace(",", ""))
    assert f"{cells['decode tok/s GPU']} tokens/s per GPU" in row(here, "Decoding alone")


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (80, ["$/GPU-h KV/token", "$/M out 80% range vs first"]),
        (120, ["$/GPU-h KV/token", "$/M out 80% range vs first", "layout batch TPOT"]),
        (160, ["$/GPU-h KV/token", "$/M out 80% range vs first", "layout batch TPOT", "TTFT tok/s GPU 80% range"]),
    ],
)
def test_narrow_terminals_keep_what_explains_the_cost(comparison: Comparison, width: int, shown: list[str]) -> None:
    first, *rest = comparison.rows
    dear = replace(first.estimate, deployment=replace(first.estimate.deployment, usd_per_gpu_hour=3.0))
    page = fitted(comparison_page(replace(comparison, rows=(replace(first, estimate=dear), *rest))), width)
    head = " ".join(page.splitlines()[3].split())
    assert all(each in head for each in shown), head
    assert "16 GPUs in every row" in " ".join(page.split())


def test_a_demand_is_a_block_of_its_own(estimate: Estimate) -> None:
    of_each = {"usd_per_million_tokens": 0.417, "usd_per_million_output_tokens": 2.08, "usd_per_request": 0.00213}
    asked = replace(estimate, demand=DemandResult(50.0, 51_200.0, 12, 192, 0.93, 384.0, 280_320.0, **of_each))
    page = plain_page(estimate_page(asked))
    assert "50 requests/s, 51,200 output tokens/s" in page
    assert "192 GPUs: 12 replicas of 16 GPUs, 93% of what they can serve" in page
    assert "$384.00 per hour, $280,320 per month" in page
    assert "Of all its GPUs, busy or not, that is $0.417 per million tokens in and out" in page
    assert "$2.08 per million output tokens, their prompts included, $0.00213 per request" in page
    narrow = fitted(estimate_page(asked), 80).splitlines()
    start = next(place for place, line in enumerate(narrow) if line.startswith("Demand"))
    assert max(map(len, narrow[start : narrow.index("", start)])) <= 80
    assert "Demand" not in plain_page(estimate_page(estimate))


def test_a_gpu_without_a_price_says_so_instead_of_unknown_dollars(estimate: Estimate) -> None:
    machine = replace(estimate.deployment, usd_per_gpu_hour=None)
    page = plain_page(estimate_page(replace(estimate, deployment=machine, cost=CostResult(None, None, None))))
    assert page.count("no price is known") == 1 and "$ per M" not in page
    assert "here, at cost" not in page
    assert "Somebody" in page and not re.search(r"^  Price ", page, re.MULTILINE)


def test_rows_of_a_comparison_say_what_is_in_host_memory(capsys: pytest.CaptureFixture[str]) -> None:
    asked = [
        "qwen3-30b-a3b",
        "llama-3.3-70b",
        "qwen3-8b",
        "-g",
        "rtx-3060",
        "--weights",
        "q4_k_m",
        "--gpu-layers",
        "auto",
    ]
    assert main(["compare", "models", *asked]) == 0
    page = " ".join(capsys.readouterr().out.split())
    alone = {
        name: costcalc.estimate(name, "rtx-3060", weights="q4_k_m", gpu_layers="auto").memory
        for name in ("qwen3-30b-a3b", "llama-3.3-70b")
    }
    experts = alone["qwen3-30b-a3b"].host_expert_layers
    # num_hidden_layers of both config.json: 48 and 80, and the head counts as one, as in -ngl.
    assert f"Qwen3-30B-A3B: the experts of {experts}° of 48 layers are in host memory." in page
    assert f"Llama-3.3-70B: {alone['llama-3.3-70b'].gpu_layers}° of 81 layers are on the GPU." in page
    assert "Qwen3-8B: " not in page
