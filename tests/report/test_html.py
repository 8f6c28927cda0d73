"""The report as one HTML file: what is in it, and in a browser what its sliders say against the library."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, Browser

import costcalc
from costcalc.cli import app
from costcalc.explore.overview import TOLD, Overview, overview
from costcalc.report.html.document import report_html
from costcalc.report.market import newest
from costcalc.report.page import quantity
from costcalc.report.verdict import verdict
from costcalc.units import Currency, format_usd, shown_in

ASKED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "experts": ("v3", "h100", {}),
    "replicas": ("llama-3.1-70b", "8xh100", {"utilization": "40%", "price": "spot"}),
    "context": ("llama-3.1-8b", "h100", {"context": "32k", "batch": 7}),
    "longer": ("llama-3.1-8b", "h100", {"context": "20k", "input_tokens": 1000}),
    "apart": ("v3", "h200", {"disaggregated": True}),
    "load": ("llama-3.1-8b", "h100", {"concurrency": 30}),
    "demand": ("llama-3.1-8b", "h100", {"demand": "20 requests/s", "utilization": 0.5}),
    "idle": ("llama-3.1-70b", "h100", {"gpus": 7}),
    "term": ("gpt-3", "h100", {"terms": "kv", "efficiency": "ideal", "batch": 1, "context": "100k"}),
    "no price": ("qwen2.5-7b", "apple-m5", {}),
}


@cache
def asked(name: str) -> Overview:
    model, gpu, options = ASKED[name]
    return overview(model, gpu, **options)


@cache
def document(name: str) -> str:
    return report_html(asked(name), "costcalc report -o report.html", "1.2.3")


class Read(HTMLParser):
    """Reads a document: elements with their attributes, and what scripts hold; elements close as they were opened."""

    VOID = ("meta", "input", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: Counter[str] = Counter()
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text[data] += 1


# What is in the file.


@pytest.mark.parametrize("name", ASKED)
def test_a_report_is_small_and_fetches_nothing(name: str) -> None:
    text = document(name)
    assert len(text.encode()) < 500_000
    read = Read(text)
    policy = next(each["content"] for _, each in read.elements if "http-equiv" in each)
    assert (
        policy is not None and policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe" not in policy
    )
    names = Counter(each["id"] for _, each in read.elements if "id" in each)
    assert not [each for each, times in names.items() if times > 1]
    for tag, attributes in read.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base")
        assert not [each for each in attributes if each.startswith("on") or each in ("style", "src", "srcset")]
        for address in (attributes.get("href"), attributes.get("xlink:href")):
            assert address is None or address == "#" or address.removeprefix("#") in names
        if found := re.search(r"url\(#(\w+)\)", attributes.get("clip-path") or ""):
            assert found[1] in names
        for each in (attributes.get("aria-labelledby"), attributes.get("for")):
            assert each is None or each in names


@pytest.mark.parametrize("name", ASKED)
def test_a_report_has_every_part(name: str) -> None:
    read = Read(document(name))
    result = asked(name).estimate
    assert verdict(result) in read.text
    for part in ("What if", "The answer", "Attention variants", "How each number comes about", "Notes and assumptions"):
        assert part in read.text, part
    assert all(each.why in read.text for each in result.assumptions)
    assert all(each.source in "".join(read.text) for each in result.explanation)
    tables = [attributes for tag, attributes in read.elements if tag == "th"]
    assert tables and all(each.get("scope") in ("col", "row") for each in tables)
    if name in ("experts", "replicas", "apart"):
        assert [tag for tag, _ in read.elements].count("svg") == 3
    levels = [int(tag[1]) for tag, _ in read.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1 and all(level - before <= 1 for before, level in pairwise(levels))


def test_no_name_is_markup() -> None:
    found = asked("experts")
    hostile = "</script><script>alert(1)</script><b>\x1b[31m\u2028{{style}}\"'&"
    told = replace(found.estimate, model=replace(found.estimate.model, name=hostile), notes=(hostile,))
    choices = replace(found.choices, held=hostile, command=hostile)
    text = report_html(replace(found, estimate=told.on(found.estimate.machine), choices=choices), hostile, hostile)
    read = Read(text)
    assert [tag for tag, _ in read.elements].count("script") == 2 and "b" not in {tag for tag, _ in read.elements}
    assert "\x1b" not in text and "\u2028" not in text
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert data is not None and json.loads(data[1])["command"].startswith("</script>")


@pytest.mark.parametrize("name", ASKED)
def test_cells_are_what_estimate_answers(name: str) -> None:
    found, (model, gpu, options) = asked(name), ASKED[name]
    choices, result = found.choices, found.estimate
    price, use = 2.75, 0.37
    cells = {choices.start} if len(choices.batches) == 1 else {choices.start, 0, len(choices.columns[TOLD[0]]) // 2}
    for cell in sorted(cells):
        batch, context = divmod(cell, len(choices.contexts))
        same = {}
        if len(choices.batches) > 1:
            degrees = ("gpus", "tensor_parallel", "pipeline_parallel", "expert_parallel", "attention_data_parallel")
            same = {each: getattr(result.deployment, each) for each in degrees}
            same |= {"batch": choices.batches[batch], "context": choices.contexts[context]}
            if name != "context" and name != "term":  # elsewhere prompts are as long as the context
                same |= {"input_tokens": result.workload.input_tokens, "output_tokens": result.workload.output_tokens}
        alone = gpu.removeprefix("8x") if same else gpu
        try:
            answered = costcalc.estimate(model, alone, **{**options, **same, "price": price, "utilization": use})
        except costcalc.CostcalcError as error:
            assert "fit" in str(error) and not choices.at(cell)["memory.fits"]
            continue
        for path, value in choices.at(cell).items():
            group, _, end = path.partition(".")
            part: Any = getattr(answered, group)
            field, _, side = end.partition("_range.")
            expected = getattr(part, f"{field}_range" if side else field)
            expected = expected[side == "high"] if side and expected is not None else expected
            if isinstance(expected, float):
                assert value * (price / use if group == "cost" else 1) == pytest.approx(expected, rel=1e-9), path
            else:
                assert value == expected, path


def test_a_report_shows_the_variants_and_contexts_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told: dict[str, Any] = {"variants": "mla,gqa:8,none", "contexts": "4k,32k", "disaggregated": False}
    rows = costcalc.compare_attention("v3", "h200", **told).rows
    assert overview("v3", "h200", attention=told).attention.rows == rows  # type: ignore[union-attr]
    page = str(tmp_path / "report.html")
    words = ["report", "-m", "v3", "-g", "h200", "-o", page, "--variants", "mla,gqa:8,none", "--contexts", "4k,32k"]
    assert app.run([*words, "--pools", "one"]) == 0
    named = re.findall(r'<th scope="row" class="unbroken name">([^<]*)', Path(page).read_text(encoding="utf-8"))
    assert {"MLA absorbed", "GQA-8", "No cache"} <= {*named} and "MQA" not in named
    for wrong in (["--variants", "gq:8"], ["--pools", "no"], ["--contexts", "4k", "--context", "8k"]):
        assert app.run([*words[:7], *wrong]) == 2 and wrong[0] in capsys.readouterr().err


# In a browser.


in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: chromium, google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


def address(folder: Path, name: str) -> str:
    file = folder / "report.html"
    file.write_text(document(name), encoding="utf-8")
    return file.as_uri()


NUMBERS = """Object.fromEntries([...document.querySelectorAll("#results data")].flatMap(each => {
  const range = each.closest("tr").querySelector(".range").dataset;
  return [[each.dataset.path, each.value], [each.dataset.path + "_range.low", range.low],
          [each.dataset.path + "_range.high", range.high]];
}))"""
TEXTS = """[...document.querySelectorAll("#results tbody tr")].map(
  row => [...row.children].map(each => each.textContent))"""


@in_a_browser
@pytest.mark.parametrize(
    ("price", "use", "batch", "context"),
    [(3.24, 1.0, 100, 4608), (2.5, 0.37, 64, 8192), (0.123456789, 0.07, 1, 4096), (11, 0.999, 48, 16384)],
)
def test_sliders_say_what_the_library_answers(
    browser: Browser, tmp_path: Path, price: float, use: float, batch: int, context: int
) -> None:
    page = address(tmp_path, "experts")
    browser.open(f"{page}#price={price}&use={use}&batch={batch}&context={context}")
    told = browser.value('document.querySelector("#command code").textContent').split()
    asked_for: dict[str, Any] = {
        "gpus": 16, "tensor_parallel": 4, "pipeline_parallel": 2, "expert_parallel": 1, "attention_data_parallel": 2,
        "input_tokens": 4096, "output_tokens": 1024, "batch": batch, "context": context, "price": price,
        "utilization": use,
    }  # fmt: skip
    answered = costcalc.estimate("v3", "h100", **asked_for)
    numbers = browser.value(NUMBERS)
    for path in TOLD:
        group, _, field = path.partition(".")
        part: Any = getattr(answered, group)
        low, high = getattr(part, f"{field}_range")
        assert float(numbers[path]) == pytest.approx(getattr(part, field), rel=1e-9)
        assert float(numbers[f"{path}_range.low"]) == pytest.approx(low, rel=1e-9)
        assert float(numbers[f"{path}_range.high"]) == pytest.approx(high, rel=1e-9)
    shown = [quantity(path, answered) for path in TOLD]
    assert browser.value(TEXTS) == [[each.title, each.text, each.range] for each in shown]
    margins = browser.value('[...document.querySelectorAll("[data-list]")].map(each => Number(each.dataset.margin))')
    assert margins == pytest.approx([each.margin for each in newest(answered.market)], rel=1e-9)
    # The command that is told answers the same.
    assert told[:2] == ["costcalc", "estimate"] and told[-8:-6] == ["--batch", str(batch)]
    assert not browser.complaints() and browser.requests() == [f"{page}"]


@in_a_browser
@pytest.mark.parametrize("name", ASKED)
def test_a_page_begins_with_the_estimate(browser: Browser, tmp_path: Path, name: str) -> None:
    page, result = address(tmp_path, name), asked(name).estimate
    browser.open(page)
    rows = browser.value(TEXTS)
    every = [quantity(path, result) for path in TOLD]
    shown = [each for each in every if each.title in {row[0] for row in rows}]
    told = [[each.title, each.text, each.range] for each in shown]
    if result.demand is not None:
        told.append(["$ per month, of the demand", format_usd(result.demand.usd_per_month), ""])
        told.append(["$ per M tokens, busy or not", format_usd(result.demand.usd_per_million_tokens), ""])
    assert shown and rows == told
    assert not browser.complaints() and browser.requests() == [page]
    # What waits for a script is shown, and nothing stands out of the window.
    assert browser.value("document.documentElement.scrollWidth <= window.innerWidth")


@in_a_browser
@pytest.mark.parametrize(("price", "use"), [(None, None), (2.5, 0.9), (0.7, 0.13)])
def test_a_month_of_a_demand_follows_price_and_use(
    browser: Browser, tmp_path: Path, price: float | None, use: float | None
) -> None:
    page, (model, gpu, options) = address(tmp_path, "demand"), ASKED["demand"]
    browser.open(page if price is None else f"{page}#price={price}&use={use}")
    told = options if price is None else {**options, "price": price, "utilization": use}
    answered = costcalc.estimate(model, gpu, **told, gpus=asked("demand").estimate.deployment.gpus)
    numbers, summary = browser.value(NUMBERS), browser.value('document.getElementById("summary").textContent')
    assert answered.demand is not None
    for field in ("usd_per_month", "usd_per_million_tokens"):
        assert float(numbers[f"demand.{field}"]) == pytest.approx(getattr(answered.demand, field), rel=1e-9)
        assert format_usd(getattr(answered.demand, field)) in summary
    # What is sold is what the demand costs, as the verdict has it.
    lowest = min(newest(answered.market), key=lambda each: each.blended_usd_per_million)
    left = browser.value('[...document.querySelectorAll("[data-list]")].map(each => each.textContent)')
    assert verdict(answered).rpartition("): ")[2] in left and lowest.provider in verdict(answered)


@in_a_browser
def test_a_price_is_in_the_currency_shown_and_told_in_dollars(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    with shown_in(Currency("€", 0.92, "EUR")):
        file.write_text(report_html(asked("experts"), "costcalc report", "1.2.3"), encoding="utf-8")
    browser.open(file.as_uri())
    assert "Price per GPU-hour [€]" in file.read_text(encoding="utf-8")
    assert float(browser.value('document.getElementById("price").value')) == pytest.approx(3.24 * 0.92)
    browser.value(
        'const box = document.getElementById("price"); box.value = "1.84"; box.dispatchEvent(new Event("change"))'
    )
    assert "--price 2 " in browser.value('document.querySelector("#command code").textContent')
    assert float(browser.value(NUMBERS)["cost.usd_per_million_blended_tokens"]) == pytest.approx(
        costcalc.estimate("v3", "h100", price=2).cost.usd_per_million_blended_tokens, rel=1e-9
    )


@in_a_browser
def test_keys_alone_reach_and_move_every_setting(browser: Browser, tmp_path: Path) -> None:
    browser.open(address(tmp_path, "experts"))
    seen = []
    for _ in range(8):
        browser.press("Tab", 9)
        seen.append(browser.value("document.activeElement.id || document.activeElement.type"))
    assert seen == ["price", "price-slider", "use", "use-slider", "batch", "context", "reset", "link"]
    assert browser.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    before = browser.value('document.getElementById("summary").textContent')
    browser.value('document.getElementById("batch").focus()')
    browser.press("ArrowRight", 39)
    assert "batch=128" in browser.value("location.hash")
    said = browser.value('document.getElementById("summary").textContent')
    assert said != before and said.startswith("128 users at 4,608 tokens of context; ")
    assert browser.value('document.getElementById("batch").getAttribute("aria-valuetext")') == "128 users"
    browser.value('document.getElementById("price").select()')
    browser.value('document.getElementById("price").focus()')
    for digit in "1.25":
        browser.press(digit, 190 if digit == "." else ord(digit), digit)
    browser.press("Enter", 13, "\r")
    assert "price=1.25" in browser.value("location.hash")
    link = browser.value('document.getElementById("link").href')
    numbers = browser.value(NUMBERS)
    browser.open(link)
    assert browser.value(NUMBERS) == numbers
    assert not browser.complaints()


@in_a_browser
def test_a_screen_reader_hears_names_and_what_changed(browser: Browser, tmp_path: Path) -> None:
    browser.open(address(tmp_path, "experts"))
    nodes = browser.ask("Accessibility.getFullAXTree")["nodes"]
    told = {(each["role"]["value"], each.get("name", {}).get("value", "")) for each in nodes if "role" in each}
    for kind, name in (
        ("spinbutton", "Price per GPU-hour [US$]"), ("slider", "Utilization in percent of the paid hours"),
        ("slider", "Users at once"), ("slider", "Context [tokens]"), ("button", "As asked"),
    ):  # fmt: skip
        assert (kind, name) in told
    assert not [each for each in told if each[0] in ("slider", "spinbutton", "button", "link", "image") and not each[1]]
    live = [each for each in nodes if each.get("role", {}).get("value") == "status" and not each.get("ignored")]
    assert live


@in_a_browser
@pytest.mark.parametrize(
    "hostile",
    ["<img src=x onerror=alert(1)>", "price=NaN&use=2&batch=-1&context=1e999", "price=1e400", "use=0", "%00",
     "batch=abc", "price=javascript:alert(1)", "__proto__=1&constructor=2"],
)  # fmt: skip
def test_an_address_cannot_harm(browser: Browser, tmp_path: Path, hostile: str) -> None:
    page = address(tmp_path, "experts")
    browser.open(page)
    texts = browser.value(TEXTS)
    browser.open(f"{page}#{hostile}")
    assert browser.value(TEXTS)[:-4] == texts[:-4] or "context" in hostile
    assert not browser.complaints() and browser.value('document.querySelectorAll("img").length') == 0


@in_a_browser
def test_a_batch_that_does_not_fit_has_no_numbers(browser: Browser, tmp_path: Path) -> None:
    choices = asked("experts").choices
    most = choices.batches[-1]
    browser.open(f"{address(tmp_path, 'experts')}#batch={most}")
    assert re.fullmatch(
        rf"{most:,.0f} users at 4,608 tokens of context do not fit: \d+ do\.",
        browser.value('document.getElementById("summary").textContent'),
    )
    assert {row[1] for row in browser.value(TEXTS)} == {"-"}


@in_a_browser
def test_a_price_that_is_not_known_can_be_typed(browser: Browser, tmp_path: Path) -> None:
    page, choices = address(tmp_path, "no price"), asked("no price").choices
    browser.open(page)
    assert browser.value(TEXTS)[0][1] == "-" and browser.value('document.getElementById("price").value') == ""
    browser.open(f"{page}#price=0.5&use=0.25")
    hours = choices.at(choices.start)[TOLD[0]]
    assert float(browser.value(NUMBERS)[TOLD[0]]) == pytest.approx(2 * hours, rel=1e-12)
    assert not browser.complaints()


@in_a_browser
def test_dark_and_print(browser: Browser, tmp_path: Path) -> None:
    browser.open(address(tmp_path, "experts"))
    looks = {}
    for scheme in ("light", "dark"):
        browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        looks[scheme] = browser.value(
            "[getComputedStyle(document.body).backgroundColor,"
            ' getComputedStyle(document.querySelector("svg path")).fill]'
        )
    assert looks == {"light": ["rgb(255, 255, 255)"] * 2, "dark": ["rgb(20, 24, 29)"] * 2}
    browser.ask("Emulation.setEmulatedMedia", media="print", features=[])
    assert browser.value('getComputedStyle(document.getElementById("batch")).display') == "none"
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    browser.ask("Emulation.setEmulatedMedia", media="", features=[])
    printed = browser.ask("Page.printToPDF")["data"]
    assert len(printed) > 10_000
    assert not browser.complaints()


# The command.


def test_a_report_is_a_file_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "report.html"
    assert app.run(["report", "-m", "llama-3.1-8b", "-g", "h100", "-o", str(file), "--currency", "EUR=0.5"]) == 0
    told = capsys.readouterr()
    assert told.out == told.err == ""
    text = file.read_text(encoding="utf-8")
    assert "money in EUR, 0.5 to the US dollar" in text and "€ per M output tokens" in text
    assert f"costcalc report -m llama-3.1-8b -g h100 -o {file} --currency EUR=0.5" in text
    assert re.findall(r"&#36;(?!\d)", text) == []  # but for what is quoted in dollars


def test_a_report_of_a_launch_line_that_leaves_notes_draws_its_memory(tmp_path: Path) -> None:
    line, chart = "vllm serve Qwen/Qwen3-8B --max-model-len 2048", tmp_path / "memory.svg"
    asked = ["report", "--from", line, "-g", "h100", "-o", str(tmp_path / "report.html"), "--chart", str(chart)]
    assert app.run([*asked, "--chart-kind", "memory"]) == 0
    assert "users that fit on all" in chart.read_text(encoding="utf-8")
    assert "as long as the line allows" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([], "--output-file: a report is a file; name one that ends in .html or .xlsx, as in -o report.html"),
        (["-o", "r.json"], "--output-file: a report is a file; name one"),
        (["-f", "json", "-o", "r.html"], "--format: json contradicts the ending of 'r.html'"),
        (["--plot", "-o", "r.html"], "--plot: a report is no terminal; it has charts of its own"),
        (["-o", "r.html", "-g", "h200"], "it is given twice"),
        (["-o", "r.html", "--gpus", "1", "--batch", "100000"], "fit"),
        (["-o", "missing/r.html"], "there is no folder"),
    ],
)
def test_what_cannot_be_a_report_is_one_line(
    more: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert app.run(["report", "-m", "llama-3.1-8b", "-g", "h100", *more]) == 2
    said = capsys.readouterr()
    assert said.out == "" and told in said.err and said.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_report_of_a_launch_line_notes_what_it_does_not_say(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    line = "vllm serve Qwen/Qwen3-32B -tp 2 --enforce-eager"
    assert app.run(["report", "--from", line, "-g", "h100", "-o", str(file)]) == 0
    read = Read(file.read_text(encoding="utf-8"))
    notes = costcalc.from_launch_line(line, gpu="h100").notes
    text = "".join("".join(read.text).split())  # options stand in elements of their own, in which no line breaks
    assert notes and all("".join(each.split()) in text for each in notes)


def test_a_scenario_asks_for_a_report(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(
        f"command: report\nmodel: llama-3.1-8b\ngpu: h100\noutput: {tmp_path / 'report.html'}\n", encoding="utf-8"
    )
    assert app.run(["run", str(file)]) == 0
    assert "Llama-3.1-8B on 1 × NVIDIA H100" in (tmp_path / "report.html").read_text(encoding="utf-8")
