"""What a training run takes: FLOPs by tokens, GPU-hours by the share of the peak that runs reach, days and dollars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from costcalc.catalog.catalog import Catalog, catalog_of
from costcalc.catalog.files import packaged_root
from costcalc.catalog.read import load_spec
from costcalc.engine.cost import (
    training_flops_per_token,
    training_gpu_hours,
    training_usd,
    training_utilization,
)
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.fields import Count, Limits, Record, Result, Size, Spec
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.owning import Owning
from costcalc.hardware.prices import Date, Provenance
from costcalc.model.spec import ModelSpec
from costcalc.predict.options import MOST_GPUS, Options
from costcalc.predict.readers import quantity, read_as, whole
from costcalc.predict.results import Range, plain_tree
from costcalc.predict.scenario import charged_as_told, counted, owner_of, the_gpu, the_model, words_of_price
from costcalc.units import format_count, format_percent, format_usd

Precision = Literal["bf16", "fp8"]
Share = Annotated[float, Limits(gt=0, le=1)]

SEQUENCE = 4096.0
"""Length of sequences where none is told: of most of the pre-training of Llama 2 and DeepSeek-V3."""
MOST_TOKENS = 1e18
MOST_SEQUENCE = 1e9
ENDS = (0.1, 0.9)
"""Of the shares that published runs reached: 8 of 10 lie between them."""
HOURS_OF_A_DAY = 24.0


class Told(Spec):
    """Where a run was published."""

    of: str
    date: Date
    provenance: Provenance


class PublishedRun(Spec):
    """A training run with its GPU-hours."""

    model: str
    gpu: str
    precision: Precision  # of the products
    tokens: Count
    sequence: Size  # [tokens]
    gpu_hours: Count
    source: Told
    published_mfu: tuple[Share, ...] | None = None  # low and high, of the dense bf16 peak
    note: str | None = None


class PublishedRuns(Spec):
    """The published runs; one file, measurements/training.yaml."""

    runs: tuple[PublishedRun, ...] = field(default_factory=tuple)


class ReachedShare(Record):
    """A published run, and the share of a peak that its GPU-hours come to."""

    model: str
    gpu: str
    precision: str
    tokens: float
    gpu_hours: float
    mfu: float  # of the dense peak of that precision
    source: str


class Training(Result):
    """What a training run takes."""

    model: str
    gpu: str
    gpus: int | None
    tokens: float
    sequence_tokens: float
    precision: str
    flops_per_token: float
    attention_share: float  # of the FLOPs
    flops: float
    peak_flops: float  # [FLOP/s] dense, of one GPU
    mfu: float  # share of the peak, over all GPU-hours
    gpu_hours: float
    days: float | None
    usd_per_gpu_hour: float | None
    price_kind: str | None  # on-demand, reserved, spot, owned or marketplace; null where it was typed
    price_provider: str | None
    price_date: str | None
    usd: float | None
    runs: tuple[ReachedShare, ...]  # behind the share, where none was told
    notes: tuple[str, ...] = ()
    mfu_range: Range | None = None
    gpu_hours_range: Range | None = None
    days_range: Range | None = None
    usd_range: Range | None = None

    @property
    def about(self) -> str:
        """Model, tokens, GPU-hours and dollars."""
        hours = f"{format_count(self.gpu_hours, 3)} GPU-hours, {format_usd(self.usd)}"
        return f"{self.model} trained on {format_count(self.tokens)} tokens on {self.gpu}: {hours}"

    def to_dict(self) -> dict[str, Any]:
        """The run as plain dictionaries, lists and numbers; absent ranges are left out."""
        plain: dict[str, Any] = plain_tree(self)
        return plain


@cache
def published_runs() -> tuple[PublishedRun, ...]:
    """Return the training runs that costcalc ships, with their sources."""
    path = packaged_root() / "measurements" / "training.yaml"
    return load_spec(PublishedRuns, path, "training").runs


def reached(run: PublishedRun, catalog: Catalog) -> ReachedShare:
    """Return the share of its precision's dense peak that a run's GPU-hours come to."""
    model, gpu = catalog.model(run.model), catalog.gpu(run.gpu)
    flops = run.tokens * float(training_flops_per_token(model, float(run.sequence)))
    share = float(training_utilization(flops, run.gpu_hours, _peak(gpu, run.precision)))
    return ReachedShare(model.name, gpu.name, run.precision, run.tokens, run.gpu_hours, share, run.source.of)


def train(
    model: ModelSpec | str | Path,
    gpu: Accelerator | str | Path,
    *,
    tokens: str | float,
    gpus: int | str | None = None,
    mfu: str | float | None = None,
    sequence: str | float | None = None,
    precision: str = "bf16",
    price: str | float | None = None,
    owned: str | None = None,
    pue: str | float | None = None,
    power_price: str | float | None = None,
    catalog: Catalog | str | Path | None = None,
) -> Training:
    """What it takes to train `model` on `tokens` tokens: FLOPs, GPU-hours, days and dollars, each with its range.

    FLOPs are 6 for each active parameter and token, and three times those of causal attention, of which only the pairs
    that are scored count; what is computed again in the backward pass is not model FLOPs.

    tokens: such as '14.8T'. gpus: for the days. mfu: share of the dense peak over all GPU-hours, or two as in
        '38%-43%'; by default that of published runs: their median, and the 10th and the 90th percentile. sequence:
        length that attention spans [tokens]. precision: 'bf16' or 'fp8', of the products. price, owned, pue,
        power_price: as of an estimate.
    Raises CostcalcError for names and values that cannot be.
    """
    folders = catalog_of(catalog)
    name, given = counted(gpu, {} if gpus is None else {"gpus": gpus})
    spec, machine = the_model(model, folders), the_gpu(name, folders)
    if precision not in ("bf16", "fp8"):
        hint = did_you_mean(str(precision), ("bf16", "fp8")) or "one of bf16, fp8"
        raise CostcalcError(f"{shown(precision)} is unknown", where="precision", hint=hint)
    count = None if given.get("gpus") is None else read_as(whole(1, MOST_GPUS), given["gpus"], "gpus")
    length = SEQUENCE if sequence is None else read_as(quantity("count", 1, MOST_SEQUENCE), sequence, "sequence")
    amount = read_as(quantity("count", 1, MOST_TOKENS), tokens, "tokens")
    each, peak = float(training_flops_per_token(spec, length)), _peak(machine, precision)
    share, spread, runs, notes = _share(mfu, precision)
    flops = amount * each
    hours = float(training_gpu_hours(flops, peak, share))
    limits = None if spread is None else _range(training_gpu_hours(flops, peak, end) for end in reversed(spread))
    paid = {"price": price, "owned": owned, "pue": pue, "power_price": power_price}
    choice = _price(machine, paid, folders.serving_efficiency().of_owning)
    usd = None if choice is None else choice.usd_per_gpu_hour
    days = None if count is None else 1 / (count * HOURS_OF_A_DAY)
    if choice is None:
        notes = (*notes, f"No price per hour of {machine.name} is known; give one with --price.")
    return Training(
        model=spec.name,
        gpu=machine.name,
        gpus=count,
        tokens=amount,
        sequence_tokens=length,
        precision=precision,
        flops_per_token=each,
        attention_share=1 - 6 * spec.active_parameters / each,
        flops=flops,
        peak_flops=peak,
        mfu=share,
        gpu_hours=hours,
        days=None if days is None else hours * days,
        usd_per_gpu_hour=usd,
        price_kind=choice and choice.kind,
        price_provider=choice and choice.provider,
        price_date=choice and choice.date,
        usd=None if usd is None else float(training_usd(hours, usd)),
        runs=runs,
        notes=(*_notes(runs, count), *notes),
        mfu_range=spread,
        gpu_hours_range=limits,
        days_range=None if limits is None or days is None else _range(each * days for each in limits),
        usd_range=None if limits is None or usd is None else _range(training_usd(each, usd) for each in limits),
    )


def _notes(runs: tuple[ReachedShare, ...], gpus: int | None) -> Iterator[str]:
    """What is counted, and what stands behind the share of the peak."""
    yield (
        "FLOPs: 6 for each active parameter and token, and three times causal attention, of which only the pairs that "
        "are scored count; what the backward pass computes again does not."
    )
    if runs:
        yield (
            "The share is over all GPU-hours, restarts and what else the sources count included: the median of "
            "published runs, and the range of 8 in 10; --mfu says another, as in 40% or 38%-43%. "
            "measurements/training.yaml has the sources."
        )
    if gpus is None:
        yield "Days follow from --gpus."


def _range(values: Any) -> Range:
    low, high = map(float, values)
    return low, high


def _peak(gpu: Accelerator, precision: str) -> float:
    """The dense peak of a precision [FLOP/s]; raises CostcalcError where the GPU has none."""
    rates = gpu.peak_flops.rates()
    if precision not in rates:
        hint = f"its peaks are of {', '.join(rates)}"
        raise CostcalcError(f"{gpu.name} computes nothing in {precision}", where="precision", hint=hint)
    return float(rates[precision])


def _price(gpu: Accelerator, paid: Mapping[str, Any], owning: Owning | None) -> Any:
    options = Options(**{name: value for name, value in paid.items() if value is not None})
    owner = owner_of(options, owning)
    return charged_as_told(gpu, words_of_price(options), owner)


def _share(told: Any, precision: str) -> tuple[float, Range | None, tuple[ReachedShare, ...], tuple[str, ...]]:
    """The share of the peak with its range, the runs behind it, and what is to be said of them."""
    if told is not None:
        low, high = _shares(told)
        return (low * high) ** 0.5, (low, high) if low < high else None, (), ()
    # Shapes and peaks of published runs are costcalc's own, whatever the catalog changes.
    runs = [reached(each, Catalog()) for each in published_runs()]
    of_bf16 = [each.mfu for each in runs if each.precision == "bf16"]
    low, median, high = (float(each) for each in np.quantile(of_bf16, (ENDS[0], 0.5, ENDS[1])))
    chosen = tuple(each for each in runs if each.precision == precision)
    if precision == "bf16":
        return median, (low, high), chosen, ()
    mine = float(np.median([each.mfu for each in chosen]))
    note = f"{len(chosen)} published run computed in {precision}: its range is as wide as that of bf16 runs."
    return mine, (mine * low / median, min(mine * high / median, 1.0)), chosen, (note,)


def _shares(told: Any) -> Range:
    """'40%', or two as in '38%-43%'."""
    parts = [each for each in str(told).replace("–", "-").split("-") if each.strip()]
    if not isinstance(told, str):
        parts = [told]
    if len(parts) not in (1, 2):
        raise CostcalcError(f"{shown(told)} is no share", where="mfu", hint="write it like 40% or 38%-43%")
    read = quantity("ratio", 0, 1, low_too=False)
    low, high = (read_as(read, each, "mfu") for each in (parts[0], parts[-1]))
    if low > high:
        hint = f"write it like {format_percent(high)}-{format_percent(low)}"
        raise CostcalcError(f"{shown(told)} is no range", where="mfu", hint=hint)
    return low, high
