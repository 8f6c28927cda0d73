"""accuracy.md, and the table of README.md: every prediction against every measurement that costcalc ships."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

from costcalc.catalog.catalog import Catalog
from costcalc.catalog.files import packaged_root
from costcalc.cli.validate import asked
from costcalc.report.accuracy import KIND_TITLES, UNITS, amount, covered, described, figure, percent, signed
from costcalc.units import NOTHING
from costcalc.validation.files import load_measurements, shipped_measurements
from costcalc.validation.kernels.fit import KERNEL_KINDS
from costcalc.validation.published import compare, published_figures
from costcalc.validation.score import Group, Point, Validation, score, summary, validate
from costcalc.validation.serving.energy import score_energy
from costcalc.validation.serving.pairs import pairs_of, tenths
from costcalc.validation.serving.score import LABELS, as_serving_row

INTRODUCTION = """\
# Accuracy

<!-- Made by docs/generate.py from measurements/ and hardware_profiles/efficiency/: change those, then run it again. -->

costcalc's estimates against {points:,} published measurements: {kernels:,} of single kernels, {serving:,} of
serving and {logs:,} start-up logs, of which {counted:,} count. Repeat it with `costcalc validate`, divide it with
`--by gpu` or `--by model`, and score measurements of your own with `--data FILE.csv`. Sources and licences are in
[measurements/](../measurements/README.md), the equations in [method.md](method.md).

![Every prediction against its measurement](images/accuracy.png)

- **fitted**: median error, and the mean in brackets, of the constants that costcalc ships, on the points that they were
  fitted on. **Left out**: of fits that have not seen the point's GPU, its model, or any point of its shape (for
  serving: a random fifth of the rows). What is new to costcalc is off by the errors of what was left out, not by the
  fitted ones.
- **bias**: median of predicted over measured, less 1: below 0, costcalc is too optimistic about times.
- **in range**: measurements inside of the 80% range that estimates show; in brackets the 95% interval that so many
  points leave to that share.
- **roofline**: median error of the ideal bound, `--efficiency ideal`, with no measurement behind it.
"""
KERNELS = """\
One layer on one GPU, or one exchange between GPUs, by the forms and constants that time the same ops in an estimate.
"""
SERVING = """\
Whole deployments under load: TensorRT-LLM's own tables of maximal throughput, online serving at fixed concurrency from
InferenceX and others, and static batches from Splitwise. "Pools apart" have prefill and decode on GPUs of their own.
These are recipes tuned by vendors and teams: `--tuning tuned`.
"""
FIELD = """\
Single results that engines' documentation, model cards, blogs and users publish, run as documented (`--tuning default`,
which is what an estimate assumes) unless their source says otherwise. **Sources left out**: by fits without any result
of the source, which is how the next stranger's run will be met. One number of a source is no more than that.
"""
PAIRS = """\
Of every two measured runs, the chance that one costs less a token, by both predictions, their ranges and the errors
they have in common (`cheaper?` of a comparison), and how often it did. Of the constants that ship; with the models left
out of the fit in four parts and the ranges of models not seen, chances of 55, 65, 75, 85 and 98% came true in 56, 68,
78, 89 and 99% of 327,320 pairs, and in 55, 68, 78, 88 and 98% of the 48,509 of one model on two GPUs (2026-11-27).
"""
LOGS = """\
What engines said at start-up that each GPU had left for the cache: median distance, and the mean in brackets.
"""
OWN = """\
Kernels of PyTorch on one H100 80GB and one H200, measured for costcalc and in no fit: what its form and constants say
of shapes of Llama-3.1-8B, Llama-3.1-70B on eight GPUs and DeepSeek-V3 that they have not seen, by the usual kernels of
engines. How they were measured, and how far two runs differ (1% in the median), is in
[measurements/](../measurements/README.md#measured-for-costcalc). Bare products and attention of a library are not what
engines run: where a row is off, either may be the reason.

- 16-bit products are as well predicted as shapes left out of the fit, and so is decode attention on the H100. PyTorch's
  FlashAttention 2 does not split caches once sequences times KV heads are 256 or more, and reads them at 2.5 to
  2.8 TB/s on both GPUs: predicted to take 8% less than it does on the H100, and 32% less on the H200. cuDNN, which is
  PyTorch's own choice there, takes a tenth less than predicted on the H200.
- fp8 products of cuBLAS are predicted to take a fifth longer than they do with few rows, 30 to 50% with many. The fit
  has seen products that quantize their activations in the call, and engines' own CUTLASS kernels of few rows.
- Prompts of 512 to 2,048 tokens are predicted to take 35 to 60% longer than cuDNN does, longer ones 3 to 13%. Long ones
  by FlashAttention 2, which engines do not run on Hopper, are predicted to take 40 to 48% less than it does.
- Steps of Llama-3.1-8B on the H100 without an engine: vLLM's decode step is estimated at 1.14 to 1.29 times as long
  with 1 to 16 sequences, which is what its host adds, and at 0.94 to 1.03 times with 32 to 256, whose caches
  FlashAttention 2 does not split; prefills of 2,048 tokens and more at 0.91 to 1.10 times.
- Long products run into the power limit: 8192 x 8192 x 8192 in bf16 starts at 750 TFLOP/s and holds 580 to 720, at
  clocks down to 1.1 GHz of 1.98.
"""
DIVIDED = """\
Median error, and points in brackets, with all points in the fit.
"""
CONDITIONS = """\
How a benchmark is run changes what it measures. Columns of a file say it; where one is empty, what is known of the
benchmark in its source decides ([conditions.yaml](../measurements/conditions.yaml)), else the default of an estimate:

- `tuning`: `tuned` by a recipe, or `default`, as the engine's documentation starts it.
- `lengths`: `mixed`, or `equal`: requests that begin together and wait for each other's prompts where a prompt takes
  several steps. `mean_length`: of prompts and answers over the nominal one.
- `statistic`: `mean`, where the burst that starts a run counts, or `median`.
- `polling`: decode steps for which the scheduler is given no new request. `client_latency`: between user and engine.
- `cached`: share of a prompt that a prefix cache held.
- `spec`, `mtp3`: three tokens are drafted in a step; `draft_tokens` says how many where `mtp` alone does not.
- `date`: engines run models with experts faster from month to month, and a run is predicted for the engine of its own.
- `n_requests`: requests that queue at once in an offline run: they run in waves.
- `prefill_*` and `decode_*`: GPUs, workers and degrees of pools apart.
- `kv_dtype`: empty, fp8 beside weights of 8 bits or fewer, else bf16. `tp`: empty, the GPUs that other degrees leave.

What is scored is what is printed: every row of `costcalc validate --format json` carries its `command`, the
`costcalc estimate ...` line that answers the same number; each condition is an option of it. Left out, an estimate is
for the median request of a closed loop of mixed lengths in steady state, with nothing reused, no polling, an engine
that nobody tuned, of {as_of}. Rows of offline runs ask for the memory that deployments tuned for throughput take.
"""
ENERGY = """\
Three shares of a board's limit, one for working at all, one for the whole bandwidth and one for the whole peak, turn
what a prediction moves and multiplies into watts (`costcalc validate --kind power`). All published runs are
DeepSeek-R1 on one GPU, an MI355X, by one source: what can be left out is the engine, and whether the shares hold on
another GPU is not known. Ranges of other GPUs are those of the MI355X twice as wide, as logarithms: a guess. Joules
of a token have the errors of the tokens/s in them. One run that served a tenth of the tokens predicted is left out.
"""
PUBLISHED = """\
`costcalc validate --against NAME` asks the questions of papers and benchmarks, and sets the answers side by side.
"""
NOT_MODELLED = """\
- **Clocks.** Peaks are those of data sheets. Power caps, heat and shared hosts lower them.
- **Which kernel runs.** An engine's choice changes from version to version; costcalc knows one class for each engine,
  GPU family and format.
- **Arrivals.** Requests come in a closed loop or all at once. Bursts, priorities, preemption and admission by hand are
  not there, which is why the time to first token has the widest ranges.
- **Routing of tokens.** Experts are hit at random, and a step waits for the fullest rank of such draws and a share
  more. `--imbalance` says another load; copies of popular experts are not there.
- **Networks.** One bandwidth within a domain and one beyond. Congestion, rails and topologies are not there; cards that
  share a PCIe root complex differ from server to server.
- **Prefix caches and drafts.** The share of hits is an input, and so is that of accepted drafts, which is else the one
  measured with DeepSeek-R1 on random prompts; what decides them is not modelled.
- **Most throughput of experts.** Deployments that serve as many requests as memory holds are slower than predicted
  where experts are many and small: on H200, DeepSeek-R1 by 40 to 55% and Qwen3-235B by 45%. What
  ranks wait for each other, and what a full scheduler costs, is not there; a limit on TPOT keeps clear of it.
- **The host.** Sampling, detokenizing and HTTP are a time per sequence and one per request.
- **What was never measured here.** Linear attention, state spaces, sparse and compressed attention, windows, caches
  below 8 bits, and accelerators other than NVIDIA's and AMD's follow the same equations with the constants of what was
  measured. Ranges are wider for GPUs and models that were not.
"""
README_NOTE = """\
Worst first. "Left out" are errors of fits that have not seen the point: for single kernels its shape, for recipes a
random fifth of the rows, for results "as documented" anything of its source, which is how the next stranger's run will
be met. "Never seen" are fits without any point of that GPU or model. "Pools apart" prefill and decode on different
GPUs. Not modelled: power caps and heat, bursts of requests, congested networks.
"""
WORST = 5
MEMORY = "kv_pool"


def accuracy_page() -> str:
    """Return accuracy.md."""
    found = _validation()
    serving = [point for point in found.points if point.kind == "e2e" and not point.beside]
    kernels = [point for point in found.points if point.kind in KERNEL_KINDS]
    logs = [point for point in found.points if point.kind == MEMORY]
    counted = sum(not point.row["excluded"] for point in (*serving, *kernels, *logs))
    head = INTRODUCTION.format(
        points=len(serving) + len(kernels) + len(logs),
        kernels=len(kernels),
        serving=len(serving),
        logs=len(logs),
        counted=counted,
    )
    parts = [
        head,
        _section("Kernels", KERNELS, _kernels(found.groups())),
        _section("Serving", SERVING, _serving(found.groups())),
        _section("From the field", FIELD, _fields()),
        _section("Which of two is cheaper", PAIRS, _pairs()),
        _section("Memory", LOGS, _memory(found.groups())),
        _section("Energy", ENERGY, _energy()),
        _section("Measured here, never fitted", OWN, own_table()),
        _section("Conditions of a run", CONDITIONS.format(as_of=Catalog().serving_efficiency().as_of)),
        _section("By GPU", DIVIDED, _matrix(found, "gpu", KERNEL_KINDS), _matrix(found, "gpu", ("e2e",))),
        _section("Serving by engine", DIVIDED, _matrix(found, "backend", ("e2e",))),
        _section("Serving by model", DIVIDED, _matrix(found, "model", ("e2e",))),
        _section("Against published figures", PUBLISHED, _published()),
        _section("Worst points", f"The {WORST} furthest off of each kind and quantity.\n", _worst(found.worst(WORST))),
        _section("Not scored", "Rows that are predicted but not scored, by rule.\n", _excluded(found)),
        _section("What is not modelled", NOT_MODELLED),
    ]
    return "\n".join(parts)


def readme_table() -> str:
    """Return the table between the markers of README.md."""
    groups = [
        group
        for group in _validation().groups()
        if group.summary["n"] and (group.kind == MEMORY or _record(group) is not None)
    ]
    rows = [
        (
            group.label,
            group.summary["n"],
            _both(_as_met(group)),
            _record_cell(group, "gpu_left_out"),
            _record_cell(group, "model_left_out"),
            covered(group.summary),
            percent(group.summary["ideal_median_ape"]),
        )
        for group in sorted(groups, key=lambda each: -float(_as_met(each)["median_ape"]))
    ]
    head = ("", "points", "left out: median (mean)", "GPU never seen", "model never seen", "in range", "roofline alone")
    return f"{_table(head, rows)}\n{README_NOTE}"


def _as_met(group: Group) -> Any:
    """The error of fits that have not seen the point: its source, its row or its shape; all for rules."""
    record = _record(group)
    if record is None:
        return group.summary
    levels = ("source_left_out", "rows_left_out", "shape_left_out")
    return asdict(next(error for level in levels if (error := getattr(record, level, None)) is not None))


OWN_KINDS = ("gemm", "decode_attention", "prefill_attention")


def own_table() -> str:
    """Rows of PyTorch's kernels by GPU, kind and library: how far off predictions by engines' kernels are."""
    rows = []
    for kind in OWN_KINDS:
        own = load_measurements(packaged_root() / "measurements/own" / f"{kind}.csv", kind).rows
        groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for row, scored in zip(own, score(kind, own), strict=True):
            number = str(row.get("dtype") or row["q_dtype"])
            what = f"{row['library']}, {row['kind']}" if kind == "prefill_attention" else row["library"]
            groups.setdefault((str(row["gpu"]), KIND_TITLES[kind].lower(), str(what), number), []).append(scored)
        for names, found in groups.items():
            errors = summary(found)
            off, within = signed(errors["bias"]), covered(errors)
            rows.append((*names, errors["n"], _both(errors), off, within, percent(errors["ideal_median_ape"])))
    head = ("GPU", "kernel", "library", "numbers", "n", "error", "bias", "in range", "roofline")
    return _table(head, rows)


def _fields() -> str:
    """Single results by their kind, and what fits without their sources make of them."""
    rows = [
        (*_name_and_count(group), _both(group.summary), *_end(group))
        for group in validate([shipped_measurements("field")]).groups()
    ]
    errors = Catalog().serving_efficiency().errors
    left = [
        (LABELS[name], record.points, _both(asdict(record.in_sample)), _both(asdict(record.source_left_out)))
        for name, record in errors.items()
        if record.source_left_out is not None
    ]
    return "\n".join((
        _table(("", "n", "fitted", "sources left out"), left),
        _table(("kind of result", "n", "fitted", "bias", "in range", "roofline"), rows),
    ))  # fmt: skip


@cache
def _validation() -> Validation:
    return validate([shipped_measurements(kind) for kind in (*KERNEL_KINDS, "e2e", MEMORY)])


def _kernels(groups: Sequence[Group]) -> str:
    rows = [
        (
            *_name_and_count(group),
            _both(group.summary),
            *_left_out(group, ("shape_left_out", "gpu_left_out")),
            *_end(group),
        )
        for group in groups
        if group.kind in KERNEL_KINDS
    ]
    return _table(("", "n", "fitted", "shape left out", "GPU left out", "bias", "in range", "roofline"), rows)


def _serving(groups: Sequence[Group]) -> str:
    levels = ("rows_left_out", "model_left_out", "gpu_left_out")
    rows = [
        (*_name_and_count(group), _both(group.summary), *_left_out(group, levels), *_end(group))
        for group in groups
        if group.kind == "e2e"
    ]
    head = ("", "n", "fitted", "rows left out", "model left out", "GPU left out", "bias", "in range", "roofline")
    return _table(head, rows)


def _pairs() -> str:
    rows = [*shipped_measurements("e2e").rows, *map(as_serving_row, shipped_measurements("field").rows)]
    found = [(percent(each.stated), percent(each.observed), f"{each.pairs:,}") for each in tenths(pairs_of(rows))]
    return _table(("stated", "came true", "pairs"), found)


def _memory(groups: Sequence[Group]) -> str:
    rows = [
        (*_name_and_count(each), _both(each.summary), *_end(each))
        for each in groups
        if each.kind == MEMORY and each.summary["n"]
    ]
    return _table(("", "n", "error", "bias", "in range", "reserve left out"), rows)


def _energy() -> str:
    found = Catalog().serving_efficiency().energy
    scored = summary(score_energy(shipped_measurements("power").rows))
    rows = [
        (
            title,
            found.points,
            *(_both(asdict(found.errors[f"{name}{level}"])) for level in ("", "_engine_left_out")),
            covered(scored) if name == "joules" else NOTHING,
        )
        for title, name in (("watts of a GPU", "watts"), ("joules of an output token", "joules"))
    ]
    return _table(("", "n", "fitted", "engine left out", "in range"), rows)


def _name_and_count(group: Group) -> tuple[str, int]:
    return group.label, group.summary["n"]


def _end(group: Group) -> tuple[str, ...]:
    errors = group.summary
    return signed(errors["bias"]), covered(errors), percent(errors["ideal_median_ape"])


def _left_out(group: Group, levels: Sequence[str]) -> tuple[str, ...]:
    record = _record(group)
    return tuple(_both(asdict(getattr(record, level))) for level in levels)


def _record_cell(group: Group, level: str) -> str:
    error = getattr(_record(group), level, None)
    return percent(error.median_ape) if error else NOTHING


def _record(group: Group) -> Any:
    """What the fit of a class says of itself."""
    if group.kind == "e2e":
        name = next((name for name, label in LABELS.items() if label == group.label), "")
        return Catalog().serving_efficiency().errors.get(name)
    if group.kind == MEMORY:  # rules, on which nothing is fitted
        return None
    op = next(op for op, each in KERNEL_KINDS[group.kind].models.items() if each.label == group.label)
    return getattr(Catalog().kernel_efficiency(), op).fit


def _both(errors: Any) -> str:
    return f"{percent(errors['median_ape'])} ({percent(errors['mape'])})"


def _matrix(found: Validation, by: str, kinds: Iterable[str]) -> str:
    """Median errors: a row for each GPU, engine or model, a column for each class."""
    groups = [group for group in found.groups(by) if group.kind in kinds and group.summary["n"]]
    labels = list(dict.fromkeys(group.label for group in groups))
    members = sorted({group.member for group in groups})
    cells = {(group.member, group.label): group.summary for group in groups}
    rows = [
        (
            member,
            *(
                f"{percent(errors['median_ape'])} ({errors['n']})"
                if (errors := cells.get((member, label)))
                else NOTHING
                for label in labels
            ),
        )
        for member in members
    ]
    return _table(("", *labels), [row for row in rows if set(row[1:]) != {NOTHING}])


def _published() -> str:
    rows = []
    for each in compare(published_figures().cases, asked):
        where = f"[{each.paper}]({each.url}), {each.where}"
        if each.predicted is None or each.error is None:
            rows.append((each.statement, figure(each.published, 6), NOTHING, each.unit, each.failed, "", where))
        else:
            ours, error = figure(each.predicted, 4), signed(each.error)
            rows.append((each.statement, figure(each.published, 6), ours, each.unit, error, each.follows, where))
    return _table(("", "published", "costcalc", "unit", "off", "kind", "source"), rows)


def _worst(points: Sequence[Point]) -> str:
    rows = []
    for point in points:
        unit, ratio = UNITS.get(str(point.row["quantity"]), ""), point.ratio or 1.0
        span = f"{amount(point.row['low'])} to {amount(point.row['high'])}"
        off = f"{ratio:,.0f}×" if ratio >= 10 else f"{ratio:.2g}×"
        measured = f"{amount(point.measured)} {unit}"
        rows.append((point.label, described(point), measured, amount(point.row["predicted"]), span, off))
    return _table(("", "what", "measured", "predicted", "80% range", "off"), rows)


def _excluded(found: Validation) -> str:
    rows = []
    for reason, points in sorted(found.excluded().items()):
        kinds = ", ".join(dict.fromkeys(point.kind for point in points))
        rows.append((reason, len(points), f"{kinds}: lines {', '.join(str(point.line) for point in points)}"))
    return _table(("reason", "rows", "where"), rows)


def _section(title: str, *parts: str) -> str:
    return f"## {title}\n\n" + "\n".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    numbers = [all(_NUMBER.fullmatch(row[index]) for row in cells) for index in range(len(head))]
    lines = [list(head), ["--:" if number else ":--" for number in numbers], *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


_NUMBER = re.compile(r"-|[-+]?[0-9.,]+([%×]| ms| tok/s)?( \([0-9.,]+%?\))?")
