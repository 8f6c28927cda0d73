"""The chart of a comparison: cache, throughput and cost, against context where there are curves."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from costcalc.explore.curves import Curves
from costcalc.explore.result import Comparison, Row
from costcalc.readable import format_bytes, format_count, format_seconds, format_usd
from costcalc.show.basis import price_basis
from costcalc.show.comparison import by_context
from costcalc.show.figures.lines import draw_lines
from costcalc.show.figures.style import look, panels, saved
from costcalc.show.figures.values import draw_values
from costcalc.show.headline import is_term
from costcalc.show.numbers import speed


def draw_comparison(
    comparison: Comparison, curves: Curves | None, suffix: str, kinds: Sequence[str] = ("cache", "throughput", "cost")
) -> bytes:
    """Return the chart of a comparison as the content of a file.

    comparison: the rows.
    curves: the variants over contexts; None draws bars of the rows instead.
    suffix: '.png', '.svg' or '.pdf'.
    kinds: the panels: 'cache', 'throughput' of a GPU, 'speed' for a user, 'cost'.
    """
    rows = next(rows for _, rows in by_context(comparison))
    with look():
        figure, axes = panels(
            len(kinds),
            comparison.title,
            _subtitle(comparison, curves is not None),
            width=5.4 if len(kinds) > 1 else 8.0,
        )
        for each, where in zip(kinds, axes, strict=True):
            _draw(each, where, rows, curves)
        return saved(figure, suffix)


def _draw(kind: str, axes: Axes, rows: Sequence[Row], curves: Curves | None) -> None:
    if kind == "cache":
        values = [row.estimate.kv_cache.bytes_per_token for row in rows]
        draw_values(axes, rows, values, format_bytes, "KV cache per token")
    elif kind == "cost":
        costs = [row.estimate.cost.usd_per_million_output_tokens for row in rows]
        spans = [row.estimate.cost.usd_per_million_output_tokens_range for row in rows]
        if curves is None:
            draw_values(axes, rows, costs, format_usd, "$ per million output tokens", spans)
        else:
            lines = [(curve, curve.usd_per_million_output_tokens) for curve in curves.curves]
            draw_lines(axes, lines, format_usd, "$ per million output tokens against context", rate=False)
    else:
        per_user = kind == "speed"
        title = "Output tokens/s per user" if per_user else "Output tokens/s per GPU"
        decodes = [row.estimate.decode for row in rows]
        rates = [each.tokens_per_s_per_user if per_user else each.tokens_per_s_per_gpu for each in decodes]
        spans = [each.tokens_per_s_per_user_range if per_user else each.tokens_per_s_per_gpu_range for each in decodes]
        if curves is None:
            draw_values(axes, rows, rates, speed, title, spans)
        else:
            found = [
                (curve, curve.tokens_per_s_per_user if per_user else curve.tokens_per_s_per_gpu)
                for curve in curves.curves
            ]
            draw_lines(axes, found, speed, f"{title} against context", rate=True)


def _subtitle(comparison: Comparison, lines: bool) -> str:
    estimates = [row.estimate for row in comparison.rows]
    load, machine = estimates[0].workload, estimates[0].deployment
    term = is_term(estimates[0])
    chosen = not term and any(each.name == "batch" for each in estimates[0].assumptions)
    limit = estimates[0].limits.time_per_output_token_s
    under = f", TPOT up to {format_seconds(limit)}" if chosen and limit else ""
    one_context = len({each.workload.context_tokens for each in estimates}) == 1
    tokens = f"{format_count(load.input_tokens)} tokens in{' at the dots' if lines else ''}, "
    if not one_context:
        tokens = "prompts as long as the context, "
    parts = [
        f"{tokens}{format_count(load.output_tokens)} out",
        f"layout and batch of lowest cost{under}" if chosen else f"batch {format_count(load.batch)}",
        *(["a term of the bill alone"] if term else []),
        f"KV cache {machine.precision.kv_cache}",
        price_basis(each.deployment for each in estimates),
        "ideal bound" if machine.efficiency == "ideal" else "efficiency as measured, 80% range",
    ]
    return "; ".join(parts)
