"""Dollars of what a benchmark just measured, beside what costcalc predicts of the same run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from costcalc.catalog.catalog import Catalog, catalog_of
from costcalc.engine.cost import SECONDS_PER_HOUR
from costcalc.errors import CostcalcError, shown
from costcalc.fields import Number, Record, Result
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.efficiency import ServingEfficiency
from costcalc.hardware.owning import charged
from costcalc.hardware.prices import PriceChoice, kinds_priced
from costcalc.predict.options import Options, command_of, read_option, refuse_unknown
from costcalc.predict.predict import predict
from costcalc.predict.quantities import BLENDED, Answered, numbers_of
from costcalc.predict.results import Range, plain_tree
from costcalc.predict.scenario import charged_as_told, counted, owner_of
from costcalc.units import counted as number_of
from costcalc.validation.benchmarks import Run, load_benchmarks
from costcalc.validation.files import Row, find_gpu
from costcalc.validation.serving.rows import ServingGroup, ServingRow, serving_backend, serving_groups, serving_row
from costcalc.validation.serving.score import predict_group

TTFT, TPOT, RATE = (
    "serving.time_to_first_token_s",
    "serving.time_per_output_token_s",
    "serving.output_tokens_per_s_per_gpu",
)
INPUT_USD, OUTPUT_USD = "cost.usd_per_million_input_tokens", "cost.usd_per_million_output_tokens"
PREFILL, DECODE, SHARE = "prefill.time_s", "decode.tokens_per_s_per_gpu", "serving.prefill_share"
WANTED = frozenset({TTFT, TPOT, RATE, INPUT_USD, OUTPUT_USD, BLENDED, PREFILL, DECODE, SHARE})
BOTH, PROMPTS, ANSWERS = "both", "prompts", "answers"
PATHS: Mapping[str, Mapping[str, str]] = {
    BOTH: {
        "time_to_first_token_s": TTFT,
        "time_per_output_token_s": TPOT,
        "tokens_per_s_per_gpu": RATE,
        "usd_per_million_input_tokens": INPUT_USD,
        "usd_per_million_output_tokens": OUTPUT_USD,
        "usd_per_million_blended_tokens": BLENDED,
    },
    PROMPTS: {
        "prefill_time_s": PREFILL,
        "usd_per_million_input_tokens": PREFILL,
        "usd_per_million_blended_tokens": PREFILL,
    },
    ANSWERS: {
        "time_per_output_token_s": TPOT,
        "tokens_per_s_per_gpu": DECODE,
        "usd_per_million_output_tokens": OUTPUT_USD,
        "usd_per_million_blended_tokens": OUTPUT_USD,
    },
}
"""What is predicted of runs of requests, and of tests of prompts or of answers alone, by its path in an estimate."""


class PriceBasis(Record):
    """Dollars of a run at one price of its GPUs."""

    kind: str | None  # on-demand, reserved, marketplace, owned or spot; null where the price was typed
    provider: str | None
    date: str | None
    usd_per_gpu_hour: float
    usd_per_million_input_tokens: float | None
    usd_per_million_cached_input_tokens: float | None
    usd_per_million_output_tokens: float | None
    usd_per_million_blended_tokens: float
    usd_per_request: float


class PredictedRun(Record):
    """What costcalc predicts of a run; `command` is the estimate that gives these numbers."""

    command: str
    time_to_first_token_s: float | None = None
    time_per_output_token_s: float | None = None
    prefill_time_s: float | None = None  # of a prompt alone
    tokens_per_s_per_gpu: float | None = None
    usd_per_million_input_tokens: float | None = None
    usd_per_million_output_tokens: float | None = None
    usd_per_million_blended_tokens: float | None = None
    time_to_first_token_s_range: Range | None = None
    time_per_output_token_s_range: Range | None = None
    prefill_time_s_range: Range | None = None
    tokens_per_s_per_gpu_range: Range | None = None
    usd_per_million_input_tokens_range: Range | None = None
    usd_per_million_output_tokens_range: Range | None = None
    usd_per_million_blended_tokens_range: Range | None = None


class RunTotal(Record):
    """The whole of a run, warm-up and set-up apart; null where the file says no duration and no count."""

    requests: float | None = None
    duration_s: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    gpu_hours: float | None = None
    usd: float | None = None  # at the price of the row


COMPARED = (
    "time_to_first_token_s", "time_per_output_token_s", "prefill_time_s", "tokens_per_s_per_gpu",
    "usd_per_million_blended_tokens",
)  # fmt: skip
"""Numbers that were measured and are predicted."""


class PricedRun(Record):
    """One run of a benchmark: measured speeds, what they cost, and what was predicted."""

    source: str
    tool: str
    model: str | None
    gpu: str | None
    gpus: float | None
    input_tokens: float  # of one request, on average
    output_tokens: float
    requests_per_s: float | None  # of all GPUs
    concurrency: float | None
    time_to_first_token_s: float | None
    time_per_output_token_s: float | None
    prefill_time_s: float | None  # of a prompt alone
    tokens_per_s_per_user: float | None
    tokens_per_s_per_gpu: float | None  # output tokens
    input_tokens_per_s_per_gpu: float | None
    gpu_hours_per_request: float
    input_share: float | None  # of these, that prompts take
    cached_share: float | None  # of the prompts' part, that tokens from a prefix cache take
    cached: float  # share of the input tokens that a prefix cache held
    split: str | None  # by what the bill is split: measured, predicted, or null
    usd_per_gpu_hour: float | None
    usd_per_million_input_tokens: float | None
    usd_per_million_cached_input_tokens: float | None
    usd_per_million_output_tokens: float | None
    usd_per_million_blended_tokens: float | None
    usd_per_request: float | None
    offers: tuple[PriceChoice, ...]
    utilization: float
    predicted: PredictedRun | None
    note: str  # what is taken otherwise than recorded, or why nothing is predicted
    total: RunTotal = RunTotal()

    @property
    def prices(self) -> tuple[PriceBasis, ...]:
        """Dollars at each price of the GPU: of every kind that is known, or at the one that was asked for."""
        found = []
        for each in self.offers:
            usd = self._usd(each.usd_per_gpu_hour)
            found.append(PriceBasis(each.kind, each.provider, each.date, each.usd_per_gpu_hour, *usd))
        return tuple(found)

    def _usd(self, usd_per_gpu_hour: float) -> tuple[Any, ...]:
        bill = self.gpu_hours_per_request * usd_per_gpu_hour / self.utilization
        return dollars(bill, self.input_tokens, self.output_tokens, self.input_share, self.cached, self.cached_share)

    def ratio(self, name: str) -> float | None:
        """Measured over predicted of a number of COMPARED; None where either is not known."""
        measured, predicted = getattr(self, name), self.predicted and getattr(self.predicted, name)
        return measured / predicted if measured and predicted else None

    def in_range(self, name: str) -> bool | None:
        """Whether what was measured lies in the predicted range; None where either is not known."""
        limits = self.predicted and getattr(self.predicted, f"{name}_range")
        measured = getattr(self, name)
        return limits[0] <= measured <= limits[1] if limits and measured else None

    @property
    def differs_in(self) -> str | None:
        """Where more of the difference between a request's measured and predicted time lies."""
        p = self.predicted
        known = (self.time_to_first_token_s, self.time_per_output_token_s)
        if p is None or None in (*known, p.time_to_first_token_s, p.time_per_output_token_s):
            return None
        first, each = known[0] - p.time_to_first_token_s, known[1] - p.time_per_output_token_s  # type: ignore[operator]
        after = each * max(self.output_tokens - 1, 0.0)
        return "time_to_first_token_s" if abs(first) > abs(after) else "time_per_output_token_s"

    def to_dict(self) -> dict[str, Any]:
        """The run as plain dictionaries and numbers; what is not known is null."""
        tree = {name: value for name, value in self.__dict__.items() if name not in _SHOWN_BELOW}
        tree["total"] = plain_tree(self.total)
        tree["prices"] = plain_tree(self.prices)
        tree["predicted"] = plain_tree(self.predicted)
        tree["measured_over_predicted"] = {name: self.ratio(name) for name in COMPARED}
        tree["as_predicted"] = {name: self.in_range(name) for name in COMPARED}
        return tree | {"differs_in": self.differs_in, "note": self.note}


_SHOWN_BELOW = ("offers", "predicted", "note", "total")


class Priced(Result):
    """Runs of benchmarks with their dollars."""

    rows: tuple[PricedRun, ...]
    notes: tuple[str, ...] = ()

    @property
    def about(self) -> str:
        """How many runs there are."""
        return number_of(len(self.rows), "benchmark run")

    def to_dict(self) -> dict[str, Any]:
        """`{"rows": [...], "notes": [...]}`."""
        return {"rows": [each.to_dict() for each in self.rows], "notes": list(self.notes)}


def dollars(
    bill: float | None, input_tokens: float, output_tokens: float, input_share: float | None, cached: float,
    cached_share: float | None,
) -> tuple[float | None, float | None, float | None, float | None, float | None]:  # fmt: skip
    """Dollars per million tokens of input, cached input, output and both, and per request.

    bill: of a request [$]: input and output tokens times their dollars add up to it. input_share: of the bill, that the
    prompt's GPU time is. cached: share of the input that was cached. cached_share: of the prompt's part.
    """
    into = out = of_cache = None
    if bill is None:
        return None, None, None, None, None
    if input_share is not None:
        into = bill * input_share / input_tokens * 1e6 if input_tokens else None
        out = bill * (1 - input_share) / output_tokens * 1e6 if output_tokens else None
        if cached and cached_share is not None:
            of_cache = bill * input_share * cached_share / (input_tokens * cached) * 1e6
    return into, of_cache, out, bill / (input_tokens + output_tokens) * 1e6, bill


# What is asked of each run: what its file says, and what was typed besides.


_COLUMNS = {
    "gpus": "n_gpus", "tensor_parallel": "tp", "pipeline_parallel": "pp", "expert_parallel": "ep",
    "attention_data_parallel": "dp_attn", "input_tokens": "isl", "output_tokens": "osl", "concurrency": "concurrency",
}  # fmt: skip
"""Options that are columns of a measured row."""
_MEASURED = ("batch", "context", "tpot", "ttft", "demand", "terms", "arrivals", "requests")


class _Asked(Record):
    """A run as it is asked: the row, the GPU and the price."""

    run: Run
    row: Row
    model: str | None  # name in the catalog
    gpu: str | None
    price: PriceChoice | None
    offers: tuple[PriceChoice, ...]
    why: str  # nothing is predicted


def price(
    files: str | Path | Iterable[str | Path],
    *,
    model: str | Path | None = None,
    gpu: str | Path | None = None,
    catalog: Catalog | str | Path | None = None,
    **options: Any,
) -> Priced:
    """Price what benchmarks measured, and set it beside what is predicted of the same runs.

    files: what `vllm bench serve`, SGLang's bench_serving, AIPerf, GenAI-Perf, GuideLLM, InferenceX or llama-bench
        wrote, or a CSV in the columns of serving measurements.
    model, gpu: names, where the files do not say them. options: as of `costcalc.estimate`.
    Raises CostcalcError for files that cannot be read, and where no count or price of GPUs is known.
    """
    folders = catalog_of(catalog)
    name, given = counted(gpu, options)
    refuse_unknown(given)
    for each in _MEASURED:
        if given.get(each) not in (None, "all"):
            raise CostcalcError("this was measured, and is not asked for", where=each, hint="leave it out")
    given = {each: read_option(each, value) for each, value in given.items() if value is not None}
    found = load_benchmarks([files] if isinstance(files, str | Path) else files)
    known: dict[Any, Any] = {}
    asked = [_asked(run, model, name, given, folders, known) for run in found.read]
    predicted = _predictions(asked, given, folders)
    rows = tuple(_priced(each, its, given) for each, its in zip(asked, predicted, strict=True))
    notes = [f"{number_of(len(found.left_out), 'run')} left out: {found.left_out[0]}."] if found.left_out else []
    return Priced(rows, tuple(notes))


def _asked(run: Run, model: Any, gpu: Any, given: Mapping[str, Any], catalog: Catalog, known: dict[Any, Any]) -> _Asked:
    columns = {column: float(given[name]) for name, column in _COLUMNS.items() if name in given}
    row = {**run.row, **columns}
    # As the command of the prediction has them, which is then of the same lengths and users.
    row.setdefault("isl", max(round(run.input_tokens / run.requests, 2), 1.0))
    row.setdefault("osl", max(round(run.output_tokens / run.requests, 2), 1.0))
    row["concurrency"] = row["concurrency"] and (round(row["concurrency"], 3) or row["concurrency"])
    unnamed, row["model"] = _once(known, "model", (run.models,), lambda: _model(model, run.models, catalog))
    told = row.get("gpu")
    (name, machine), unknown = _once(known, "gpu", (told,), lambda: _gpu(gpu, told, given, catalog))
    row["gpu"] = gpu or name
    if not row.get("n_gpus"):
        degrees = [row[each] for each in ("tp", "pp", "dp_attn") if row.get(each)]
        row["n_gpus"] = float(np.prod(degrees)) if degrees else None
    if row["n_gpus"] is None and not run.per_gpu:
        hint = "say it with `gpus`, or in front of the GPU, as in 8xh100"
        raise CostcalcError(f"{run.source} does not say how many GPUs there were", hint=hint)
    offers = _once(known, "price", (name,), lambda: _offers(run, machine, given, catalog))
    why = unknown or unnamed
    if row["n_gpus"] is None:
        why = why or "the count of GPUs is not said"
    return _Asked(run, row, row["model"], name, offers[0], offers[1], why)


def _once(known: dict[Any, Any], what: str, key: Any, find: Any) -> Any:
    """What was found for the same names before: files have few of them, and runs by the thousands."""
    if (what, *key) not in known:
        known[(what, *key)] = find()
    return known[(what, *key)]


def _model(told: Any, names: Sequence[str], catalog: Catalog) -> tuple[str, str | None]:
    """Why no model is known, and the name of the one that is."""
    if told is not None:
        catalog.model(told)
        return "", str(told)
    for name in names:
        try:
            catalog.model(name)
        except CostcalcError:
            continue
        return "", name
    return (f"unknown model {shown(names[0])}" if names else "the model is not said"), None


def _gpu(
    told: Any, name: str | None, given: Mapping[str, Any], catalog: Catalog
) -> tuple[tuple[str | None, Accelerator | None], str]:
    if told is not None:
        return find_gpu(str(told), catalog), ""
    if not name:
        return (None, None), "the GPU is not said"
    try:
        return find_gpu(name, catalog), ""
    except CostcalcError as error:
        if "price" not in given:
            raise CostcalcError(error.message, hint="name a known one with `gpu`, or give a `price`") from None
        return (name, None), f"unknown GPU {shown(name)}"


def _offers(
    run: Run, machine: Accelerator | None, given: Mapping[str, Any], catalog: Catalog
) -> tuple[PriceChoice | None, tuple[PriceChoice, ...]]:
    """The price that counts, and all that are shown."""
    asked = given.get("price")
    if machine is None:
        try:
            usd = float(str(asked))
        except ValueError:
            hint = "name the GPU with `gpu`, or give dollars per GPU-hour with `price`"
            raise CostcalcError(f"{run.source} does not say which GPU it ran on", hint=hint) from None
        choice = PriceChoice(usd_per_gpu_hour=usd)
        return choice, (choice,)
    terms = {name: given[name] for name in ("owned", "pue", "power_price") if name in given}
    owner = owner_of(Options(**terms), catalog.serving_efficiency().of_owning)
    chosen = charged_as_told(machine, asked, owner)
    if asked is not None or chosen is None:
        return chosen, (chosen,) if chosen else ()
    kinds = (charged(machine, kind, owner) for kind in kinds_priced(machine.price, machine.prices))
    return chosen, tuple(each for each in kinds if each is not None)


# Predictions: runs that differ in lengths and users alone are one call of the engine.


_VARIES = ("isl", "osl", "concurrency")
_SAME: tuple[str, ...] = (
    *("model", "gpu", "n_gpus", "kind", "framework", "version", "dtype", "moe_dtype", "kv_dtype", "spec", "statistic"),
    *("tuning", "lengths", "date", "tp", "pp", "ep", "dp_attn", "disagg", "mean_length", "polling", "cached", "source"),
    *("client_latency", "max_batch_size", "draft_tokens", "accepted", "n_requests"),
    *(f"{pool}_{each}" for pool in ("prefill", "decode") for each in ("gpus", "workers", "ep", "dp_attention")),
)


class Found(NamedTuple):
    """What is predicted of a run, and what is taken otherwise or why there is nothing."""

    predicted: PredictedRun | None
    input_share: float | None  # of the GPU time, that prompts take
    cached_share: float | None  # of the prompts' part, that cached tokens take
    note: str


def kind_of(run: Run) -> str:
    """Whether a run is of whole requests, or of prompts or answers alone."""
    return PROMPTS if not run.output_tokens else ANSWERS if not run.input_tokens else BOTH


@np.errstate(all="ignore")
def _predictions(asked: Sequence[_Asked], given: Mapping[str, Any], catalog: Catalog) -> list[Found]:
    found = [Found(None, None, None, each.why) for each in asked]
    parts: dict[Any, list[int]] = {}
    for number, each in enumerate(asked):
        if not each.why:
            key = (*map(each.row.get, _SAME), *each.run.options.items(), each.row["concurrency"] is None)
            # How a known benchmark was run may depend on all of it.
            own = tuple(each.row[name] for name in _VARIES) if each.row.get("source") else ()
            parts.setdefault((*key, own), []).append(number)
    constants = catalog.serving_efficiency()
    asks: list[ServingRow] = []
    members: list[list[int]] = []  # runs that each of them stands for
    for part in parts.values():
        for its, numbers in _questions(part, asked, given, catalog, constants, found):
            asks.append(its)
            members.append(numbers)
    for gpu in dict.fromkeys(each.asked[1] for each in asks):
        chosen = [number for number, each in enumerate(asks) if each.asked[1] == gpu]
        for group in serving_groups([asks[each] for each in chosen], chosen):
            _predict(group, asks, members, asked, given, catalog, found)
    return found


def _questions(
    part: Sequence[int], asked: Sequence[_Asked], given: Mapping[str, Any], catalog: Catalog,
    constants: ServingEfficiency, found: list[Found],
) -> Iterator[tuple[ServingRow, list[int]]]:  # fmt: skip
    """Runs of one configuration as one question, or each as its own where memory decides by their lengths."""

    def ask(number: int) -> ServingRow | None:
        run, row = asked[number].run, asked[number].row
        told = {name: value for name, value in given.items() if name not in _COLUMNS} | dict(run.options)
        limited = constants.memory_of(serving_backend(row, constants)).cache_formats
        if not (row.get("kv_dtype") or limited) and run.tool not in ("inferencex", "csv"):
            told.setdefault("kv_cache", catalog.model(str(row["model"])).precision.kv_cache)
        try:
            its = serving_row(row, catalog, constants, told)
        except CostcalcError as error:
            found[number] = Found(None, None, None, str(error))
            return None
        note = "; ".join(filter(None, (*its.mended, *its.warnings, run.note)))
        found[number] = Found(None, None, None, note)
        return its

    order = sorted(part, key=lambda number: asked[number].row["isl"] + asked[number].row["osl"])
    longest, shortest = ask(order[-1]), ask(order[0])
    if longest and shortest and _memory(longest) == _memory(shortest):
        for number in part:
            found[number] = found[order[-1]]
        yield longest, [order[-1], *order[:-1]]
        return
    for number in order:
        if (its := ask(number)) is not None:
            yield its, [number]


def _memory(row: ServingRow) -> float | None:
    """The share of memory that had to be told, for what ran to fit."""
    return row.options.get("memory_utilization")


def _predict(
    group: ServingGroup, asks: Sequence[ServingRow], members: Sequence[list[int]], asked: Sequence[_Asked],
    given: Mapping[str, Any], catalog: Catalog, found: list[Found],
) -> None:  # fmt: skip
    """Predict the runs of a group of questions."""
    numbers = [number for index in group.index for number in members[index]]
    which = np.repeat(np.arange(len(group)), [len(members[index]) for index in group.index])
    first = {members[index][0]: index for index in group.index}
    scale = [asks[index].options["input_tokens"] / asked[number].row["isl"] for number, index in first.items()]
    inputs, outputs = (
        np.array([asked[number].row[name] for number in numbers]) * np.array(scale)[which] for name in ("isl", "osl")
    )
    whole = group.take(which)
    load = whole.scenario.load
    if load.concurrency is not None:
        load = replace(load, concurrency=np.array([asked[number].row["concurrency"] for number in numbers]))
    scenario = replace(whole.scenario, input_tokens=inputs, output_tokens=outputs, load=load)
    whole = replace(whole, scenario=scenario)
    at = predict_group(whole)
    choice = asked[numbers[0]].price
    usd = None if choice is None else choice.usd_per_gpu_hour
    told = Answered(
        scenario, whole.replicas, whole.layout.gpus * whole.replicas, at, usd, given.get("utilization", 1.0)
    )
    columns = {path: _listed(value, len(numbers)) for path, value in numbers_of(told, WANTED).items()}
    cached = np.any(scenario.cached)
    held = _listed(_cached_share(whole, at.batch, at.interference), len(numbers)) if cached else [None] * len(numbers)
    commands = {index: _command(asks[index], catalog) for index in group.index}
    per_s = _listed(np.nan if usd is None else told.gpus * usd / told.utilization / SECONDS_PER_HOUR, len(numbers))
    tables = {kind: _table(paths, columns) for kind, paths in PATHS.items()}
    for place, number in enumerate(numbers):
        run, row, index = asked[number].run, asked[number].row, group.index[which[place]]
        users = f" --concurrency {_plain(row['concurrency'])}" if "concurrency" in asks[index].options else ""
        lengths = f" --input {_plain(float(inputs[place]))} --output {_plain(float(outputs[place]))}"
        values: dict[str, Any] = {"command": commands[index] + lengths + users}
        for name, column, of_prompt in tables[kind_of(run)]:
            value = column[place]
            if of_prompt:
                value = _times(value, per_s[place] and per_s[place] / row["isl"] * 1e6)
            values[name] = value
        share = columns[SHARE][place] if SHARE in columns else None
        found[number] = Found(PredictedRun(**values), share, held[place], found[number].note)


def _listed(value: Any, count: int) -> list[Any]:
    """A value for each of so many runs; None where it is not a number."""
    numbers: list[Any] = np.broadcast_to(np.asarray(value, dtype=float), count).tolist()
    return [None if isnan(each) else each for each in numbers]


def _table(paths: Mapping[str, str], columns: Mapping[str, list[Any]]) -> list[tuple[str, list[Any], bool]]:
    """Fields of a prediction with their columns, and whether dollars are still to be made of the seconds in them."""
    found = []
    for name, path in paths.items():
        if path in columns:
            dollars_of = name.startswith("usd") and path == PREFILL
            found.append((name, columns[path], dollars_of))
            if f"{path}_range.low" in columns:
                ends = [columns[f"{path}_range.{end}"] for end in ("low", "high")]
                pairs = [None if None in each else each for each in zip(*ends, strict=True)]
                found.append((f"{name}_range", pairs, dollars_of))
    return found


def _times(value: Any, factor: float | None) -> Any:
    if value is None or factor is None:
        return None
    return tuple(each * factor for each in value) if isinstance(value, tuple) else value * factor


def _command(row: ServingRow, catalog: Catalog) -> str:
    """The command of a question, without what its runs differ in."""
    same = {name: value for name, value in row.options.items() if name not in _RUNS_OWN}
    return command_of(row.asked[0], row.asked[1], same, catalog.typed())


_RUNS_OWN = ("input_tokens", "output_tokens", "concurrency")


def _plain(value: Any) -> Any:
    """A number as people write it: 1024 instead of 1024.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _cached_share(group: ServingGroup, batch: Number, interference: Number) -> Number:
    """Share of a prompt's GPU time that its cached tokens take: what is beyond that of a prompt of the fresh ones."""
    q = group.scenario
    fresh = replace(q, input_tokens=np.maximum(q.input_tokens * (1 - np.asarray(q.cached)), 1.0), cached=0.0)
    alone = predict(fresh, group.layout, batch, group.replicas).interference
    return np.clip(1 - alone / interference, 0.0, 1.0)


# Dollars.


def _priced(asked: _Asked, prediction: Found, given: Mapping[str, Any]) -> PricedRun:
    run, row = asked.run, asked.row
    gpus = row["n_gpus"]
    inputs, outputs = run.input_tokens / run.requests, run.output_tokens / run.requests
    hours = run.seconds * (1.0 if run.per_gpu else gpus) / run.requests / SECONDS_PER_HOUR
    share, split = _input_share(row, inputs, outputs, prediction.input_share)
    cached, held = float(row.get("cached") or given.get("cached") or 0.0), prediction.cached_share
    use = given.get("utilization", 1.0)
    usd = None if asked.price is None else asked.price.usd_per_gpu_hour
    bill = None if usd is None else hours * usd / use
    seconds = {name: row[name] / 1e3 if row.get(name) else None for name in ("ttft_ms", "tpot_ms", "prefill_ms")}
    per_s = run.requests / run.seconds / (1.0 if run.per_gpu else gpus)  # requests of one GPU
    tpot = seconds["tpot_ms"]
    rate, count = per_s * gpus if gpus else None, run.count
    total = RunTotal()
    if count is not None:
        spent = hours * count
        total = RunTotal(
            count, count / rate if rate else None, inputs * count, outputs * count, spent, bill and bill * count
        )
    return PricedRun(
        run.source, run.tool, asked.model or (run.models[0] if run.models else None), asked.gpu, gpus, inputs, outputs,
        rate, row["concurrency"], seconds["ttft_ms"], tpot, seconds["prefill_ms"],
        1 / tpot if tpot else None, per_s * outputs or None, per_s * inputs or None, hours, share, held, cached,
        split, usd, *dollars(bill, inputs, outputs, share, cached, held), asked.offers, use,
        prediction.predicted, prediction.note, total,
    )  # fmt: skip


def _input_share(row: Row, inputs: float, outputs: float, predicted: float | None) -> tuple[float | None, str | None]:
    """Share of the GPU time that prompts take, and how it is known.

    Measured where pools are apart, where a test is of prompts or of answers alone, and where one request runs at a
    time: its time to first token is then that of its prompt. Elsewhere the share that is predicted.
    """
    if not outputs or not inputs:
        return (1.0 if inputs else 0.0), "measured"
    pools = row.get("prefill_gpus"), row.get("decode_gpus")
    if pools[0] and pools[1]:
        return pools[0] / (pools[0] + pools[1]), "measured"
    if row["concurrency"] is not None and row["concurrency"] <= 1 and row.get("ttft_ms") and row.get("tpot_ms"):
        after = row["tpot_ms"] * max(outputs - 1, 0.0)
        return row["ttft_ms"] / (row["ttft_ms"] + after), "measured"
    return (None, None) if predicted is None else (predicted, "predicted")
