"""TOOLS: what agents may ask, with which arguments, and which figures of an answer they are shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from inspect import signature
from typing import Any, NamedTuple

import costcalc
from costcalc.cli.parameters import backend_names
from costcalc.errors import CostcalcError, did_you_mean, shortened, shown
from costcalc.predict.options import OPTIONS, Options, by_keyword, refuse_unknown
from costcalc.units import counted, format_price

MOST_BYTES = 2000
"""Bytes of an answer: what an agent can read in passing."""
MOST_OF_A_LIST = 100
"""Names or figures of one question; an answer has no room for more."""
INSTRUCTIONS = (
    "What serving a language model on given GPUs costs, how fast it is and how many users fit, computed offline. Names"
    " of figures end in their units: _s seconds, usd dollars, bytes, tokens_per_s; beside x, x_range is where x lies in"
    " 8 of 10 cases. What stands under `assumed` was chosen because it was left out: pass it to decide. Ask for other"
    " figures by `fields`, for a figure's formula and sources by explain, for names by models and gpus, and for options"
    " that a tool takes without listing them by options."
)


class Tool(NamedTuple):
    """A question: what it is for, its own arguments, the options it lists, and the figures of its answer."""

    help: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    options: tuple[str, ...] = ()  # of those that are usual; it takes every other one too
    figures: tuple[str, ...] = ()


_LOAD = ("gpus", "batch", "context", "input_tokens", "output_tokens", "cached", "concurrency", "tpot", "ttft")
_HOW = ("weights", "kv_cache", "backend", "tuning", "efficiency", "disaggregated", "price", "utilization")
_USUAL = (*_LOAD, *_HOW)
_OUTPUT, _BLENDED = "cost.usd_per_million_output_tokens", "cost.usd_per_million_blended_tokens"
_PER_GPU, _PER_USER = "serving.output_tokens_per_s_per_gpu", "serving.tokens_per_s_per_user"
_CACHED, _HELD = "kv_cache.bytes_per_token", "kv_cache.bytes_per_sequence"
_LAYOUT = ("workload.batch", "deployment.gpus", "deployment.layout")
_COMPARED = ("variant", _OUTPUT, _PER_GPU, *_LAYOUT, _CACHED, _HELD, "chance_cheaper", "note")
TOOLS = {
    "estimate": Tool(
        "What serving a model on GPUs costs and does: dollars, tokens/s, latencies, users at once, memory.",
        ("model", "gpu"), ("fields",), (*_USUAL, "demand"),
        (_OUTPUT, "cost.usd_per_million_input_tokens", _BLENDED, _PER_GPU, _PER_USER, "serving.time_to_first_token_s",
         "serving.time_per_output_token_s", *_LAYOUT, "memory.max_sequences", _CACHED, "decode.bound_by"),
    ),
    "explain": Tool("A figure of an estimate as formula, numbers put in, range and source.", ("model", "gpu"),
                    ("quantity",), _USUAL),
    "capacity": Tool(
        "What fits at most on these GPUs: the longest context, most users, largest batch or model, most bits.",
        ("gpu",), ("model", "max", "fields"), _USUAL,
        ("model.name", "bits_per_weight", "workload.context_tokens", "memory.max_sequences", *_LAYOUT,
         "memory.weights_bytes_per_gpu", "memory.kv_pool_bytes_per_gpu", _CACHED, _PER_USER, _OUTPUT),
    ),
    "compare_gpus": Tool("One model on several kinds of GPU: which is cheapest, and how surely.",
                         ("accelerators", "model"), ("fields",), _USUAL, _COMPARED),
    "compare_models": Tool("Several models on one kind of GPU.", ("models", "gpu"), ("fields",), _USUAL, _COMPARED),
    "compare_attention": Tool("One model with its attention replaced: MHA, GQA, MQA, MLA and others, in dollars.",
                              ("model", "gpu"), ("variants", "contexts", "fields"), _USUAL, _COMPARED),
    "breakeven": Tool("How busy GPUs of one's own must be to cost what an API charges.", ("model", "gpu"),
                      ("against", "margin", "fields"), (*_USUAL, "demand"),
                      ("usd_per_month", _BLENDED, _OUTPUT, "deployment.gpus")),
    "plan": Tool("What to run, and how many GPUs, for a demand with levels such as ttft='p95=2s'. Takes seconds.",
                 ("model", "accelerators", "demand"), ("peak", "fields"),
                 ("ttft", "tpot", "input_tokens", "output_tokens", "weights", "kv_cache", "price"),
                 ("gpu", "gpus", "prefill_gpu", "layout", "usd_per_month", "replay.ttft_s", "replay.tpot_s",
                  "why_not")),
    "train": Tool("FLOPs, GPU-hours, days and dollars of a training run.", ("model", "gpu", "tokens"),
                  ("mfu", "sequence", "precision", "gpus", "price", "fields"), (),
                  ("flops", "gpu_hours", "days", "usd", "mfu", "peak_flops", "usd_per_gpu_hour")),
    "models": Tool("Models of the catalog: parameters, attention, cache bytes per token, API prices. The one of this"
                   " name, with its sources; else those that have every word.", ("query",), ("fields",), (),
                   ("id", "total_parameters", "active_parameters", "attention", "kv_bytes_per_token", "max_context")),
    "gpus": Tool("Accelerators of the catalog: memory, bandwidth, peak FLOP/s, watts, price. The one of this name, with"
                 " its sources; else those that have every word.", ("query",), ("fields",), (),
                 ("id", "memory_bytes", "memory_bandwidth", "bf16", "fp8", "power_w", "usd_per_gpu_hour")),
    "options": Tool("Options that the tools take beside those they list: names, values and meaning.", ("query",)),
}  # fmt: skip
_TEXT, _NUMBER = {"type": "string"}, {"type": ["number", "string"]}
_SEVERAL = {"type": "array", "items": _TEXT}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "model": _TEXT | {"description": "A name, alias or Hugging Face id, as in deepseek-v3, or a config.json's path."},
    "gpu": _TEXT | {"description": "A name or alias, with a count where that is fixed, as in h100 or 8xh100."},
    "models": _SEVERAL | {"description": "Names of models."},
    "accelerators": _SEVERAL | {"description": "Names of GPUs, as in h100 or 8xmi300x."},
    "max": {"enum": ["context", "users", "batch", "model", "bits"], "description": "What is to be the most."},
    "variants": _SEVERAL | {"description": "As in mla, gqa:8, window:4k/6, dsa:2048, kda:3/4."},
    "contexts": {"type": "array", "items": _NUMBER, "description": "Lengths to compare at, as in 4k, 128k."},
    "against": _SEVERAL | {"description": "Providers or models of APIs, or a price, input and output, as in 0.5/0.8."},
    "margin": _NUMBER | {"description": "What to charge for this margin, as in 60%."},
    "peak": _NUMBER | {"description": "The busiest hour over the mean."},
    "tokens": _NUMBER | {"description": "Tokens trained on, as in 14.8T."},
    "mfu": _NUMBER | {"description": "Share of the peak reached, as in 40%; default: that of published runs."},
    "sequence": _NUMBER | {"description": "Tokens of a sequence."},
    "precision": _TEXT | {"description": "Of the matrix products, as in bf16 or fp8."},
    "quantity": _TEXT | {"description": f"A figure's name; default: {_OUTPUT}."},
    "query": _TEXT | {"description": "A name, or words."},
    "fields": _SEVERAL | {"description": "Figures to show instead: names, or what they begin with, as in memory,"
                                         " energy, breakdown, prefill, deployment, workload."},
}  # fmt: skip


def option_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of an option: numbers in SI units, or text as people type it."""
    row, kind = OPTIONS[name], str(Options.__annotations__[name])
    words = backend_names() if name == "backend" else row.metavar.split("|")
    if not row.metavar:
        known: dict[str, Any] = {"type": "boolean"}
    elif words and all(re.fullmatch(r"[a-z][a-z0-9_-]+", word) for word in words):
        known = {"enum": words}
    else:
        known = dict(_NUMBER if kind.startswith(("int", "float")) else _TEXT)
    return known | {"description": by_keyword(row.help).replace(": {backends}", "")}


def tool_schemas() -> list[dict[str, Any]]:
    """Return the tools as the protocol lists them; an option is told where it is first, and else by its kind."""
    listed = []
    told: set[str] = set()
    for name, tool in TOOLS.items():
        own = {each: ARGUMENTS.get(each) or option_schema(each) for each in (*tool.required, *tool.optional)}
        known = own | {each: option_schema(each) for each in tool.options}
        for each in told & {*tool.options}:
            del known[each]["description"]
        told.update(tool.options)
        schema = {"type": "object", "properties": known, "required": list(tool.required)}
        hints = {"readOnlyHint": True, "openWorldHint": False}
        listed.append({"name": name, "description": tool.help, "inputSchema": schema, "annotations": hints})
    return listed


# Asking.


def ask(name: str, arguments: Mapping[str, Any]) -> str:
    """Return the answer of a tool, as JSON of at most MOST_BYTES; raises CostcalcError for what cannot be answered."""
    tool = TOOLS[name]
    own = (*tool.required, *tool.optional)
    for each in arguments:
        if each not in own and not (tool.options and each in OPTIONS):
            if tool.options:
                refuse_unknown([each], own)
            raise CostcalcError(f"unknown argument {shown(each)}", hint=f"it takes {' and '.join(own)}")
    given = {each: _read(each, value) for each, value in arguments.items() if value is not None}
    for each in tool.required:
        if each not in given:
            raise CostcalcError(f"{each} is missing", hint=ARGUMENTS.get(each, {}).get("description"))
    fields = given.pop("fields", [])
    if name in ("models", "gpus"):
        return _fitted(_of_catalog(name, given["query"], fields))
    if name == "options":
        return _fitted(_options(given["query"]))
    return _fitted(_explained(given) if name == "explain" else _answered(name, given, fields))


def _read(name: str, value: Any) -> Any:
    """An argument, of a kind that its schema allows; options are read by whoever takes them."""
    schema = ARGUMENTS.get(name, {"type": None})
    several = schema.get("type") == "array"
    values = value if several and isinstance(value, list) else [value]
    if several and not 1 <= len(values) <= MOST_OF_A_LIST:
        raise CostcalcError(f"a list of {len(values):,}", where=name, hint=f"give 1 to {MOST_OF_A_LIST}")
    kind = schema["items"]["type"] if several else schema.get("type", "string")
    for each in values:
        if kind and (isinstance(each, bool) or not isinstance(each, str if kind == "string" else str | int | float)):
            raise CostcalcError(f"{shown(each)} where text{'' if kind == 'string' else ' or a number'} belongs", name)
        if isinstance(each, str) and ("\0" in each or any("\ud800" <= sign <= "\udfff" for sign in each)):
            raise CostcalcError(f"{shown(each)} is not text in UTF-8", where=name)
    return values if several else value


def _answered(name: str, given: dict[str, Any], fields: list[str]) -> dict[str, Any]:
    from costcalc.report.export.files import csv_rows

    function = getattr(costcalc, name)
    parameters = signature(function).parameters.values()
    by_place = [
        given.pop(each.name, None)
        for each in parameters
        if each.default is each.empty and each.kind is not each.KEYWORD_ONLY
    ]
    result = function(*by_place, **given)
    rows, tree = csv_rows(result), result.to_dict()
    usual = (*TOOLS[name].figures, *(["demand"] if "demand" in given else []))
    told = {"answer": result.about, **_figures(rows, fields or usual, bool(fields))}
    if tree.get("beyond"):
        told["beyond"] = tree["beyond"]
    told["source"] = _prices(rows)
    if fields:
        return told
    if name == "breakeven":
        told |= _figures(tree["market"], _AGAINST, False, as_table=True)
    assumed = {each["name"]: each["value"] for each in tree.get("assumptions", ()) if each["name"] != "price"}
    return told | {"assumed": assumed, "notes": list(tree.get("notes", ())), "command": tree.get("command")}


_AGAINST = ("provider", "model", "input_usd_per_million", "output_usd_per_million", "blended_usd_per_million",
            "break_even_utilization", "date", "source")  # fmt: skip


def _explained(given: dict[str, Any]) -> dict[str, Any]:
    wanted = given.pop("quantity", _OUTPUT)
    result = costcalc.estimate(**given)
    steps = {each.quantity: each for each in result.explanation}
    if wanted not in steps:
        hint = did_you_mean(wanted, steps) or f"there are: {', '.join(steps)}"
        raise CostcalcError(f"{shown(wanted)} has no formula", where="quantity", hint=hint)
    step = steps[wanted]
    told = {each: getattr(step, each) for each in ("title", "formula", "numbers", "value", "unit", "value_range")}
    parts = [[each.title, each.formula, each.numbers, each.value, each.unit] for each in step.parts]
    columns = ["title", "formula", "numbers", "value", "unit"]
    sources = {"source": step.source, "range_source": step.range_source}
    return {"answer": result.about, **told, **sources, **({"columns": columns, "rows": parts} if parts else {})}


def _of_catalog(kind: str, query: str, fields: list[str]) -> dict[str, Any]:
    """An entry of the catalog, or those that have every word."""
    from costcalc.catalog.catalog import Catalog
    from costcalc.catalog.summary import closed_summaries, gpu_summaries, model_summaries

    catalog = Catalog()
    try:
        entry: Any = catalog.model(query) if kind == "models" else catalog.gpu(query)
    except CostcalcError:
        closed = catalog.closed_models() if kind == "models" else []
        rows = [
            each.to_dict() for each in (*getattr(costcalc, kind)(), *(closed_summaries(each.model) for each in closed))
        ]
        words = query.lower().split()
        alone = [row for row in rows if row["id"] == query.lower()]
        rows = alone or [row for row in rows if all(each in " ".join(map(str, row.values())).lower() for each in words)]
        if not rows:
            raise
        figures = fields or (list(rows[0]) if len(rows) == 1 else TOOLS[kind].figures)
        return {"answer": counted(len(rows), kind[:-1]), **_figures(rows, figures, bool(fields))}
    row = (model_summaries if kind == "models" else gpu_summaries)(query, entry).to_dict()
    price = entry.price_for() if kind == "gpus" else max(entry.api_prices, key=lambda each: each.date, default=None)
    told = [f"price of {price.provider}, {price.date}, {price.source}"] if price else []
    told += [f"{each.source}, {each.date}, {each.provenance}" for each in entry.sources]
    return {"answer": entry.name, **_figures([row], fields or [*row], bool(fields)), "source": "; ".join(told)}


def _options(query: str) -> dict[str, Any]:
    words = query.lower().replace("-", "_").split()
    rows = [
        [name, option_schema(name).get("enum") or row.metavar or "true", by_keyword(row.help)]
        for name, row in OPTIONS.items()
        if all(word in f"{name} {row.also} {row.help}".lower().replace("-", "_") for word in words)
    ]
    if not rows:
        hint = did_you_mean(query, OPTIONS) or f"the options are: {', '.join(OPTIONS)}"
        raise CostcalcError(f"no option has {shown(query)}", where="query", hint=hint)
    return {"answer": counted(len(rows), "option"), "columns": ["name", "value", "meaning"], "rows": rows}


# Showing.


def _figures(
    rows: list[dict[str, Any]], wanted: Iterable[str], strict: bool, *, as_table: bool = False
) -> dict[str, Any]:
    """Figures of one row by their names, those of several as a table; beside each its range, where it has one.

    strict: whether a name that no row has is a mistake. Raises CostcalcError for such.
    """
    known = dict.fromkeys(name for row in rows for name in row)
    chosen: dict[str, None] = {}
    for each in wanted:
        inside = [
            name for name in known if name.startswith(f"{each}.") and any(row.get(name) is not None for row in rows)
        ]
        if strict and each not in known and not inside:
            groups = dict.fromkeys(name.partition(".")[0] for name in known)
            hint = did_you_mean(each, known) or f"they begin with: {', '.join(groups)}"
            raise CostcalcError(f"no figure {shown(each)}", where="fields", hint=hint)
        chosen |= dict.fromkeys([each] if each in known else inside)
        if f"{each}_range.low" in known:
            chosen |= dict.fromkeys([f"{each}_range.low", f"{each}_range.high"])
    names = [name.removesuffix(".low") for name in chosen if not name.endswith("_range.high")]
    table = [[_range(row, name) if name.endswith("_range") else row.get(name) for name in names] for row in rows]
    if len(rows) == 1 and not as_table:
        figures = zip(names, table[0], strict=True)
        return {"figures": {name: value for name, value in figures if value is not None or name in known}}
    return {"columns": names, "rows": table}


def _range(row: Mapping[str, Any], name: str) -> list[float] | None:
    """The ends of a range in three digits, more than it is sure of, the number itself never beyond them."""
    low, value, high = (row.get(f"{name}{end}") for end in (".low", "", ".high"))
    if low is None or high is None:
        return None
    ends = float(f"{low:.3g}"), float(f"{high:.3g}")
    return [*ends] if value is None else [min(ends[0], value), max(ends[1], value)]


def _prices(rows: list[dict[str, Any]]) -> str:
    """Where the price of a GPU-hour comes from, and of when it is."""
    told: dict[str, str] = {}
    for row in rows:
        of = {each: row.get(f"deployment.{each}", row.get(each)) for each in _PRICED}
        if of["usd_per_gpu_hour"] is not None:
            words = row.get("price") or ", ".join(str(each) for each in list(of.values())[2:] if each)
            told[str(of["gpu"])] = f"{format_price(of['usd_per_gpu_hour'])} per GPU-hour, {words or 'as told'}"
    if len(told) == 1:
        return "; ".join(told.values())
    return "; ".join(f"{gpu}: {text.partition(': ')[0]}" for gpu, text in told.items())


_PRICED = ("gpu", "usd_per_gpu_hour", "price_kind", "price_provider", "price_date", "price_source")
_SACRIFICED = (("notes", 0), ("rows", 5), ("assumed", 0), ("rows", 1), ("figures", 1))
"""Parts of an answer that is too long, and how much of each stays, in the order in which they are cut."""


def _fitted(answer: dict[str, Any]) -> str:
    """An answer as JSON of at most MOST_BYTES; what is left out is counted."""
    for longest in (480, 160, 40):
        told = _told({name: part for name, part in answer.items() if part not in (None, [], {}, "")}, longest)
        left: dict[str, int] = {}
        for name, least in (*_SACRIFICED, ("", 0)):
            while len(text := json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()) > MOST_BYTES:
                part = told.get(name, ())
                if len(part) <= least:
                    break
                part.pop() if isinstance(part, list) else part.popitem()
                left[name] = left.get(name, 0) + 1
                told = {key: value for key, value in told.items() if value not in ([], {})}
                told["left_out"] = {**left, "hint": "name fewer `fields`, or ask for less"}
            else:
                return text.decode()
    raise CostcalcError("the answer is too long", hint="name fewer `fields`, or ask for less")


def _told(value: Any, longest: int) -> Any:
    """A tree as JSON holds it: text on one line, whole numbers without a point, null for what is not finite."""
    if isinstance(value, str):
        return shortened(value, longest)
    if isinstance(value, float):
        return None if value - value else int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, dict):
        return {shortened(str(name), 80): _told(each, longest) for name, each in value.items()}
    return [_told(each, longest) for each in value] if isinstance(value, list | tuple) else value
