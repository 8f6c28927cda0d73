"""What an hour of an owned accelerator is made of, part by part, and what GPUs draw: blocks of other pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.owning import HOURS_OF_A_MONTH, OwnedResult, OwnedTerms, Owning, apportioned
from costcalc.predict.results import Estimate
from costcalc.report.page import Block, Column, Grid, Line, Role, numbers, quantity
from costcalc.units import SHOWN_IN, format_percent, format_power, format_price, format_usd

_FIXED = ("accelerator", "server_and_network", "space", "staff", "support")


def energy_block(result: Estimate) -> Iterator[Block]:
    """Yield what the GPUs draw while they work, and the electricity and CO2 of a month."""
    found = result.energy
    if found.watts_per_gpu is None or found.kwh_per_month is None or found.kg_co2_per_month is None:
        return
    each = quantity("energy.watts_per_gpu", result)
    tokens = quantity("energy.joules_per_output_token", result)
    hours = "of the demand" if result.demand else "around the clock"
    co2 = found.kg_co2_per_month / found.kwh_per_month * 1e3
    rows = [
        ("A GPU draws", f"{each.text} {each.range}".rstrip(), "while it works"),
        (
            "A token takes",
            f"{tokens.text} {tokens.range}".rstrip(),
            f"of output, prompts included; {quantity('energy.joules_per_token', result).text} of any",
        ),
        ("A month", quantity("energy.kwh_per_month", result).text, f"at the meter, {hours}"),
        ("", f"{quantity('energy.kg_co2_per_month', result).text} CO2", f"at {co2:.4g} g/kWh"),
    ]
    if (own := result.deployment.owned) is not None:
        paid, drawn = electricity_of_a_month(result, own)
        at = f"of electricity, at {format_price(own.terms.power_price)} per kWh, as this load draws"
        rows.append(("", format_usd(drawn), f"{at}; the price has {format_usd(paid)}, by the owner's terms"))
    yield Line("Energy", "heading")
    yield Grid((Column(), Column(role="value"), Column(role="dim")), rows)
    yield Line()


def electricity_of_a_month(result: Estimate, own: OwnedResult) -> tuple[float, float]:
    """Return what a month's electricity of all GPUs is in an owner's price, and what they draw as predicted [$]."""
    in_price = own.parts.electricity * result.gpus_paid * HOURS_OF_A_MONTH
    if result.demand is not None:  # whose GPUs work as much as it has them do
        hourly = (result.demand.usd_per_hour or 0.0) - own.fixed_usd_per_gpu_hour * result.demand.gpus
        in_price = hourly * HOURS_OF_A_MONTH
    return in_price, (result.energy.kwh_per_month or 0.0) * own.terms.power_price


def owned_block(cost: OwnedResult, usd_per_million: float | None = None) -> Iterator[Block]:
    """Yield the parts of an owned hour, which sum to the whole as they are shown.

    usd_per_million: the cost of output tokens [$/M], whose parts are shown too; none without it.
    """
    rate = SHOWN_IN.get().per_usd  # of which the parts shown sum to the whole shown
    per_hour = apportioned({name: value * rate for name, value in asdict(cost.parts).items()})
    million = usd_per_million is not None
    whole = cost.usd_per_gpu_hour * rate or 1.0  # of what costs nothing, every part is none of it
    scaled = {name: value / whole * (usd_per_million or 0.0) * rate for name, value in per_hour.items()}
    per_million = apportioned(scaled)
    percent = apportioned({name: 100 * value * rate / whole for name, value in asdict(cost.parts).items()}, 1)
    columned = (per_hour, per_million, percent)
    rows = [_row(name.replace("_", " "), *(each[name] for each in columned)) for name in per_hour]
    rows.insert(len(_FIXED), _row("fixed", *(sum(each[name] for name in _FIXED) for each in columned)))
    rows.append(_row("in all", *(sum(each.values()) for each in columned)))
    columns = (Column("of an hour"), *numbers("$/GPU-h", *(["$/M output"] if million else []), "share"))
    width = len(columns)
    shown = [[row[0], row[1], *([row[2]] if million else []), row[3]] for row in rows]
    roles: dict[tuple[int, int], Role] = {(len(_FIXED), at): "value" for at in range(width)}
    roles |= {(len(rows) - 1, at): "headline" for at in range(width)}
    yield Line("Owned, around the clock", "heading")
    yield Grid(columns, shown, roles)
    yield Line(
        f"Capital {format_usd(cost.capital_usd)}, server and network included; "
        f"{format_power(cost.watts_at_the_meter)} at the meter. {_terms(cost.terms)}",
        "dim",
        indent=2,
    )
    yield Line()


def _row(name: str, per_hour: float, per_million: float, percent: float) -> list[str]:
    """Money in the currency shown."""
    sign = SHOWN_IN.get().sign
    return [name, f"{sign}{per_hour:.4f}", f"{sign}{per_million:.4f}", f"{percent:.1f}%"]


def owning_page(gpu: Accelerator, cost: OwnedResult, owning: Owning, use: float) -> list[Block]:
    """Return what owning an accelerator costs as a page.

    cost: of it. owning: the terms by default, and their sources. use: share of the hours in which it works.
    """
    used = cost.usd_per_gpu_hour / use
    per_used = "" if use == 1 else f", {format_price(used)} an hour of work at {format_percent(use)} utilization"
    rows = []
    for name, term in owning.terms.items():
        value = getattr(cost.terms, name)
        whose = owning.presets.get(cost.terms.preset or "", {}).get(name, term)
        source = f"{whose.source}, {whose.date}" if value == whose.value else "as typed"
        note = f"; {whose.note}" if whose.note and value == whose.value else ""
        rows.append((name.replace("_", "-"), _termed(value, term.unit), term.meaning, f"{source}{note}"))
    columns = (Column("term"), Column("value", role="value"), Column("meaning", wrap=True), _SOURCE)
    return [
        Line(f"{gpu.name}: {format_price(cost.usd_per_gpu_hour)} an hour to own{per_used}", "title"),
        Line(),
        *owned_block(cost),
        Line("Terms", "heading"),
        Grid(columns, rows),
        Line(
            "Others: --owned 'years=4, rate=8%, capital=$28k', --pue, --power-price, --grid-co2; all at once: "
            f"{', '.join(f'--owned {name}' for name in owning.presets)}.",
            "dim",
            indent=2,
        ),
    ]


_SOURCE = Column("source", role="dim", wrap=True)


def _termed(value: float, unit: str) -> str:
    """A term in its unit, such as '$200/kW a month' or '5 years'."""
    return f"{format_usd(value)}{unit[1:]}" if unit.startswith("$") else f"{value:,.6g} {unit}"


def _terms(terms: OwnedTerms) -> str:
    """The terms of an owner as a sentence."""
    space, power = format_usd(terms.space), format_usd(terms.power_price)
    rate, left, staff, support, load = (
        format_percent(each) for each in (terms.rate, terms.residual, terms.staff, terms.support, terms.load)
    )
    return (
        f"{terms.years:g} years at {rate} a year, compounded monthly, {left} left at the end; {space} a kW "
        f"and month; {power} per kWh, PUE {terms.pue:g}; {staff} and {support} of the capital a year "
        f"for staff and support; the accelerator draws {load} of its limit."
    )
