"""Write the parts of the documentation that follow from the code; --check tells which are out of date.

Run it from anywhere: python docs/generate.py. Charts are drawn with --charts alone, and are not checked: other
versions of matplotlib draw the same picture from other bytes.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

from accuracy import accuracy_page, readme_table
from agents import agents_page
from attention import attention_page
from commands import commands_page
from gallery import PICTURES, Picture, gallery_page
from inventory import catalog_counts, catalog_page
from measuring import measuring_page
from planning import planning_page
from pricing import pricing_page
from scenarios import scenarios_page
from simulating import simulating_page
from worked import frontier_page

from costcalc import estimate
from costcalc.cli import main as costcalc
from costcalc.cli.catalog import SCHEMAS, schema_named
from costcalc.report.export.files import as_json

DOCS = Path(__file__).parent


def schema(kind: str) -> str:
    """Return a JSON Schema as the content of a file."""
    return as_json(schema_named(kind))


# Parts of README.md, each between two markers such as <!-- accuracy:begin --> and <!-- accuracy:end -->.
def first_screen() -> str:
    """Return what the first command of README.md shows, up to the market, as a block."""
    shown = io.StringIO()
    with redirect_stdout(shown):
        costcalc(["estimate", "--model", "v3", "--gpu", "h100"])
    head, _, _ = shown.getvalue().partition("\nMarket")
    more = "… list prices of APIs and notes; -v lists every default (°) with its reason"
    return f"```text\n{head.rstrip()}\n\n{more}\n```\n"


OTHERWISE: dict[str, dict[str, Any]] = {
    "vLLM as its documentation starts it": {},
    "`--disaggregated`: prompts on GPUs of their own": {"disaggregated": True},
    "`--tuning tuned`: the best published recipes": {"tuning": "tuned"},
    "both": {"disaggregated": True, "tuning": "tuned"},
    "`--efficiency ideal`: the physical bound": {"efficiency": "ideal"},
}
"""How else the deployment of the first screen may be run."""


def run_otherwise() -> str:
    """Return what the deployment of the first screen costs where it is run otherwise, as a table."""
    lines = [
        "| the same model and GPUs | $ per M output | $ per M, blended | tokens/s per GPU |",
        "| :-- | --: | --: | --: |",
    ]
    for how, options in OTHERWISE.items():
        found = estimate("v3", "h100", **options)
        dollars = (found.cost.usd_per_million_output_tokens, found.cost.usd_per_million_blended_tokens)
        shown = " | ".join("-" if each is None else f"${each:.2f}" for each in dollars)
        lines.append(f"| {how} | {shown} | {found.serving.output_tokens_per_s_per_gpu:,.0f} |")
    return "\n".join(lines) + "\n"


README_PARTS: dict[str, Callable[[], str]] = {
    "catalog": catalog_counts,
    "estimate": first_screen,
    "otherwise": run_otherwise,
    "accuracy": readme_table,
}


def readme() -> str:
    """Return README.md with its generated parts."""
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    for name, make in README_PARTS.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise SystemExit(f"README.md lacks {begin} or {end}")
        text = f"{before}{begin}\n{make()}{end}{after}"
    return text


GENERATED: dict[str, Callable[[], str]] = {
    **{f"schemas/{kind}.json": partial(schema, kind) for kind in SCHEMAS},
    "catalog.md": catalog_page,
    "accuracy.md": accuracy_page,
    "agents.md": agents_page,
    "attention.md": attention_page,
    "measuring.md": measuring_page,
    "cli.md": commands_page,
    "frontier.md": frontier_page,
    "gallery.md": gallery_page,
    "planning.md": planning_page,
    "scenarios.md": scenarios_page,
    "simulating.md": simulating_page,
    "pricing.md": pricing_page,
    "../README.md": readme,
}


def draw() -> None:
    """Draw the charts that the repository keeps, each by its command."""
    images = DOCS / "images"
    for each in (*PICTURES, Picture("accuracy.png", "Predicted and measured", "costcalc validate", kept=True)):
        if each.kept:
            each.draw(images)


def outdated() -> list[str]:
    """Return the generated files that differ from what the code says now."""
    return [name for name, make in GENERATED.items() if _content(DOCS / name) != make()]


def write() -> None:
    """Write every generated file."""
    for name, make in GENERATED.items():
        path = DOCS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(make(), encoding="utf-8")


def _content(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def main() -> int:
    """Write the files, or with --check name those that are out of date and return 1 if there are any."""
    if "--charts" in sys.argv[1:]:
        draw()
        return 0
    if "--check" not in sys.argv[1:]:
        write()
        return 0
    stale = outdated()
    for name in stale:
        path = (DOCS / name).resolve().relative_to(DOCS.parent.resolve())
        print(f"{path.as_posix()} is out of date: run python docs/generate.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
