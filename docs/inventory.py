"""catalog.md: everything that the catalog knows, as tables; made from the files of models/ and hardware_profiles/."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from guide import GUIDE

from costcalc.catalog.catalog import load_closed_models, load_gpu, load_model
from costcalc.catalog.files import CLOSED_MODELS
from costcalc.catalog.summary import kv_bytes_per_token
from costcalc.engine.memory import fixed_cache_bytes_per_sequence
from costcalc.errors import CostcalcError
from costcalc.formats import cache_format
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.spec import ApiPrice, ModelSpec
from costcalc.units import NOTHING, format_bytes, format_count, format_power, format_rate, format_usd

ROOT = Path(__file__).parents[1]
Entry = TypeVar("Entry", ModelSpec, Accelerator)
MOST_OFF = 0.01

INTRODUCTION = """\
# The catalog

<!-- Made by docs/generate.py from models/ and hardware_profiles/: change those, then run it again. -->

{models} models with their shapes, {closed} more with list prices only, and {gpus} accelerators. Every entry is one YAML
file, linked by its name; `costcalc models show NAME` and `costcalc gpus show NAME` print it with all of its sources.

**Seen** facts were read in the source that the file names. **Recalled** ones are remembered from it and were not read
again; **partly** recalled ones are a mixture. **Derived** ones are computed from others. **Defaults** were seen in the
class that reads a model's checkpoints, not in a checkpoint. A published count that is in the model's **name** is as
exact as a name is.

- [What `--price` means](#what---price-means)
- [Entries of your own](#entries-of-your-own)
- [Models](#models): shapes, parameters counted from them against those published, caches
- [Accelerators](#accelerators): data sheets, links, default prices
- [Where sources disagree](#where-sources-disagree)
- [Prices of accelerators](#prices-of-accelerators), per hour
- [Prices of APIs](#prices-of-apis), per million tokens
"""
MODELS = """\
Total and active parameters are counted from the shape; "off" is how far they are from the published ones, total and
active. Active counts every matrix that one token multiplies, the LM head included, the input embedding not. KV cache is
what each further token of context adds in all layers, in bytes: in bf16, and in the format that the model is served in;
behind a plus what windows and states hold besides, per sequence, when full.
Context is in tokens. GQA-8 has 8 KV heads, which its query heads share. "Facts" says how the shape and the published
count are known.
"""
ACCELERATORS = """\
Peaks are dense, in FLOP/s; where a precision is missing, work in it runs in the one in brackets. Bandwidths of links
are of one device, in one direction. A domain is the devices on one scale-up fabric. The price is the default of
`--price`, in dollars per device and hour: of kinds and years that differ, as its footnote says.
"""


class Footnotes:
    """Long texts that tables point at, each once."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def mark(self, content: str | None) -> str:
        """Return the reference to a text, or nothing without one."""
        if not content:
            return ""
        return f"[^{self.numbers.setdefault(content, len(self.numbers) + 1)}]"

    def lines(self) -> Iterator[str]:
        """Yield the texts."""
        yield from (f"[^{number}]: {text(content)}" for content, number in self.numbers.items())


def catalog_page() -> str:
    """Return the content of catalog.md."""
    models = {path: load_model(path) for path in _files("models") if path.name != CLOSED_MODELS}
    gpus = {path: load_gpu(path) for path in _files("hardware_profiles")}
    closed = load_closed_models(ROOT / "models" / CLOSED_MODELS)
    notes = Footnotes()
    introduction = INTRODUCTION.format(models=len(models), closed=len(closed), gpus=len(gpus))
    parts = [introduction, GUIDE, "## Models", MODELS]
    for family, members in _grouped(models, lambda model: model.family or "others"):
        parts += [f"### {family}", _models_table(members, notes)]
    parts += ["## Accelerators", ACCELERATORS]
    for vendor, machines in _grouped(gpus, lambda gpu: gpu.vendor):
        parts += [f"### {vendor}", _gpus_table(machines, notes)]
    parts += ["## Where sources disagree", _disputes_table(gpus)]
    parts += ["## Prices of accelerators", _rents_table(gpus, notes)]
    parts += ["## Prices of APIs", "Models with a known shape:"]
    parts += [
        _api_table([(_link(model.name, path), each) for path, model in models.items() for each in model.api_prices])
    ]
    parts += ["Models that only have prices, for `--against`:"]
    parts += [_api_table([(text(model.name), each) for model in closed for each in model.api_prices])]
    parts += ["## Notes", "\n".join(notes.lines())]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def catalog_counts() -> str:
    """Return what README.md says of the catalog's size."""
    models = sum(path.name != CLOSED_MODELS for path in _files("models"))
    gpus = len(list(_files("hardware_profiles")))
    return f"costcalc knows the shapes of {models} open models and the data sheets of {gpus} accelerators.\n"


def text(content: str) -> str:
    """Return text so that Markdown shows it as it is; addresses stay links."""
    return re.sub(r"[\\|*<$`\[\]]|(?<!\w)_|_(?!\w)", r"\\\g<0>", " ".join(content.split()))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a column whose title ends in a colon is aligned to the right."""
    head = "| " + " | ".join(title.rstrip(":") for title in columns) + " |"
    rule = "| " + " | ".join("--:" if title.endswith(":") else ":--" for title in columns) + " |"
    return "\n".join([head, rule, *("| " + " | ".join(cells) + " |" for cells in rows)])


def _models_table(models: dict[Path, ModelSpec], notes: Footnotes) -> str:
    columns = (
        *("model", "names", "attention", "layers:", "total:", "active:", "published:", "off:"),
        *("KV, bf16:", "KV as served:", "context:", "facts"),
    )
    return table(columns, (_model_row(path, model, notes) for path, model in models.items()))


def _model_row(path: Path, model: ModelSpec, notes: Footnotes) -> tuple[str, ...]:
    published = model.published
    off = (model.total_deviation, model.active_deviation)
    note = published.note if published and any(abs(each or 0) > MOST_OFF for each in off) else None
    stated = [published.total, published.active] if published else [None]
    shape = "/".join(dict.fromkeys(source.provenance for source in model.sources if source.what == "shape"))
    native = model.precision.kv_cache
    return (
        _link(model.name, path),
        _names(path.stem, *model.aliases),
        text(model.attention_name),
        str(model.num_layers),
        format_count(model.total_parameters),
        format_count(model.active_parameters),
        " / ".join(format_count(each) for each in stated if each is not None) or NOTHING,
        " / ".join(f"{round(each, 3) + 0:+.1%}" for each in off if each is not None) + notes.mark(note) or NOTHING,
        _cache(model, "bf16"),
        f"{_cache(model, native)} {native}",
        format_count(model.max_context),
        f"{shape or NOTHING}, {published.provenance if published else NOTHING}",
    )


def _cache(model: ModelSpec, form: str) -> str:
    """Return the bytes that a token adds, and what stays besides."""
    fixed = fixed_cache_bytes_per_sequence(model, cache_format(form))
    return f"{kv_bytes_per_token(model, form):,.0f}" + (f" + {format_bytes(fixed)}" if fixed else "")


def _gpus_table(gpus: dict[Path, Accelerator], notes: Footnotes) -> str:
    columns = (
        *("accelerator", "names", "released", "memory:", "bandwidth:", "bf16:", "fp8:", "fp4:"),
        *("domain:", "link:", "network:", "power:", "$/h:", "recalled"),
    )
    return table(columns, (_gpu_row(path, gpu, notes) for path, gpu in gpus.items()))


def _gpu_row(path: Path, gpu: Accelerator, notes: Footnotes) -> tuple[str, ...]:
    price, up, out = gpu.price_for(), gpu.scale_up, gpu.scale_out
    told = f"{price.kind}, {price.provider or 'default'}, {price.date}: {price.source}" if price else None
    return (
        _link(gpu.name, path),
        _names(path.stem, *gpu.aliases),
        f"{gpu.released or NOTHING}{' announced' if gpu.status else ''}",
        f"{format_bytes(gpu.memory)} {gpu.memory_type}",
        format_rate(gpu.memory_bandwidth),
        *(_peak(gpu, precision) for precision in ("bf16", "fp8", "fp4")),
        str(gpu.domain),
        f"{format_rate(up.bandwidth) if up.bandwidth else ''} {text(up.technology)}".strip() if up else NOTHING,
        format_rate(out.bandwidth) if out else NOTHING,
        format_power(gpu.power),
        text(format_usd(price.usd_per_gpu_hour)) + notes.mark(told) if price else NOTHING,
        ", ".join(_recalled(gpu)) or "none",
    )


def _peak(gpu: Accelerator, precision: str) -> str:
    try:
        peak = gpu.peak(precision)
    except CostcalcError:
        return NOTHING
    rate = format_rate(peak.flops, "", 3).strip()
    if peak.precision == precision:
        return rate
    return f"{rate} ({peak.precision})" if precision == "bf16" else f"({peak.precision})"


def _recalled(gpu: Accelerator) -> list[str]:
    """Return the fields that no source was read for."""
    read = {field for source in gpu.sources if source.provenance != "recalled" for field in source.fields}
    known = [field for source in gpu.sources if source.provenance == "recalled" for field in source.fields]
    return sorted({field.removeprefix("peak_flops.") for field in known if field not in read})


def _disputes_table(gpus: dict[Path, Accelerator]) -> str:
    rows = (
        (
            _link(gpu.name, path),
            each.field,
            text(each.used),
            text(each.other),
            text(each.sources),
            text(each.note or ""),
        )
        for path, gpu in gpus.items()
        for each in gpu.disputed
    )
    return table(("accelerator", "field", "used", "elsewhere", "sources", "note"), rows)


def _rents_table(gpus: dict[Path, Accelerator], notes: Footnotes) -> str:
    rows = (
        (
            _link(gpu.name, path),
            each.kind,
            text(each.provider),
            text(format_usd(each.usd_per_gpu_hour)),
            str(each.instance_gpus or NOTHING),
            each.date,
            each.provenance,
            text(each.note or "") + notes.mark(each.source),
        )
        for path, gpu in gpus.items()
        for each in gpu.prices
    )
    return table(("accelerator", "kind", "provider", "$/h:", "of how many:", "date", "fact", "note, source"), rows)


def _api_table(prices: Iterable[tuple[str, ApiPrice]]) -> str:
    rows = (
        (
            name,
            text(each.provider),
            text(format_usd(each.input_usd_per_million)),
            text(format_usd(each.cached_input_usd_per_million)),
            text(format_usd(each.output_usd_per_million)),
            each.date,
            each.provenance,
            text(each.source + (f" ({each.note})" if each.note else "")),
        )
        for name, each in prices
    )
    return table(("model", "provider", "input:", "cached:", "output:", "date", "fact", "source"), rows)


def _files(kind: str) -> list[Path]:
    # The files beside this one, and no catalog of whoever runs it.
    return sorted((ROOT / kind).glob("*.yaml"), key=lambda path: path.stem)


def _grouped(entries: dict[Path, Entry], key: Callable[[Entry], str]) -> Iterator[tuple[str, dict[Path, Entry]]]:
    for name in sorted({key(each) for each in entries.values()}):
        yield name, {path: each for path, each in entries.items() if key(each) == name}


def _link(name: str, path: Path) -> str:
    return f"[{text(name)}](../{path.relative_to(ROOT).as_posix()})"


def _names(*names: str) -> str:
    return ", ".join(f"`{name}`" for name in names)
