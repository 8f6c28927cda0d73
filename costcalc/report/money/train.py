"""The page of a training run: what it takes, and the published runs behind the share of the peak."""

from __future__ import annotations

from collections.abc import Iterator

from costcalc.explore.money.train import Training
from costcalc.predict.results import Range
from costcalc.report.page import HEAD_ENDS, Block, Column, Grid, Line, Show, filled_grid, notes, numbers, span
from costcalc.units import NOTHING, SHOWN_IN, format_count, format_percent, format_price, format_rate, format_usd


def train_page(found: Training) -> list[Block]:
    """Return a training run as a page."""
    title = f"Training {found.model} on {format_count(found.tokens)} tokens: {_machine(found)}"
    page: list[Block] = [Line(title, "title"), Line(_how(found), "dim"), Line()]
    columns = [Column(), Column(right=True, role="value"), Column("range", role="dim", beside=True)]
    page += [filled_grid(columns, list(_numbers(found))), HEAD_ENDS]
    if found.runs:
        page += [Line("Share of the peak that published runs reached", "heading"), _runs(found), Line()]
    return [*page, *notes(found.notes)]


def _machine(found: Training) -> str:
    return found.gpu if found.gpus is None else f"{found.gpus:,} × {found.gpu}"


def _how(found: Training) -> str:
    price = NOTHING
    if found.usd_per_gpu_hour is not None:
        offer = ", ".join(filter(None, (found.price_kind, found.price_provider, found.price_date)))
        price = format_price(found.usd_per_gpu_hour) + (f" ({offer})" if offer else "")
    peak = format_rate(found.peak_flops, "FLOP/s")
    return (
        f"sequences of {format_count(found.sequence_tokens)} tokens; {found.precision}, {peak} dense; GPU-hour {price}"
    )


def _numbers(found: Training) -> Iterator[tuple[str, str, str]]:
    def row(title: str, value: float | None, limits: Range | None, show: Show) -> tuple[str, str, str]:
        # Dollars are rounded in the currency that is shown.
        rate = SHOWN_IN.get().per_usd if show is _dollars else 1.0
        return title, show(value), span(limits, lambda end, digits: show(float(f"{end * rate:.{digits - 1}e}") / rate))

    yield "FLOPs per token", format_rate(found.flops_per_token, "FLOP"), ""
    yield "of these, attention", format_percent(found.attention_share), ""
    yield "FLOPs", f"{found.flops:.3g}", ""
    yield row("Share of the peak (MFU)", found.mfu, found.mfu_range, format_percent)
    yield row("GPU-hours", found.gpu_hours, found.gpu_hours_range, format_count)
    yield row("Days", found.days, found.days_range, _days)
    yield row("Dollars", found.usd, found.usd_range, _dollars)


def _days(value: float | None) -> str:
    return NOTHING if value is None else f"{float(f'{value:.2e}'):,g}"


def _dollars(value: float | None) -> str:
    """Dollars such as '$5.34M', in thousands and more where there are so many."""
    money = SHOWN_IN.get()
    if value is None or value * money.per_usd < 1e4:
        return format_usd(value)
    return money.sign + format_count(value * money.per_usd)


def _runs(found: Training) -> Grid:
    columns = [Column("model"), Column("GPU"), *numbers("tokens", "GPU-hours"), Column("of the peak", right=True)]
    rows = [
        [each.model, each.gpu, format_count(each.tokens), format_count(each.gpu_hours), format_percent(each.mfu)]
        for each in found.runs
    ]
    return Grid(columns, rows)
