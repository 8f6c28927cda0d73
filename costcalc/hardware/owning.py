"""What owning an accelerator costs an hour: capital recovered over its life, space, people, support, electricity."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, field, fields
from math import expm1, log1p
from typing import Annotated, Any, Literal

from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.fields import Limits, Number, Record, Spec
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.prices import COMPUTED, Date, PriceChoice, means_owned
from costcalc.units import format_usd, parse_quantity

HOURS_OF_A_MONTH = 730.0  # a twelfth of 365 days
SITE = ("pue", "power_price", "grid_co2")
"""Terms of the site, which options of their own say."""


class OwnedTerms(Record):
    """What an owner's hour is computed with; units are those of owning.yaml."""

    years: float
    rate: float
    residual: float
    server: float
    space: float
    host_power: float
    draw: float
    idle: float
    busy: float
    staff: float
    support: float
    pue: float
    power_price: float
    grid_co2: float
    capital: float | None = None  # of the accelerator [$]; null for that of its profile
    preset: str | None = None  # whose terms stand in for the others
    typed: tuple[str, ...] = ()  # names of the terms that were

    @property
    def load(self) -> float:
        """Share of its limit that an accelerator draws over the 24 hours."""
        return self.busy * self.draw + (1 - self.busy) * self.idle


class Term(Spec):
    """One term of owning: what it is where nobody says otherwise, and where that comes from."""

    value: float
    reads: Literal["count", "ratio", "price"]  # how it is typed
    within: tuple[float, float]
    unit: str
    meaning: str
    source: str
    date: Date
    note: str | None = None

    def read(self, name: str, text: str) -> float:
        """Return what was typed for it; raises CostcalcError."""
        value = parse_quantity(re.sub(r"\s*(y|years?|/kWh|/kW|g)$", "", text.strip()), self.reads)
        low, high = self.within
        if not low <= value <= high:
            hint = f"{self.meaning}: {low:g} to {high:g} {self.unit}"
            raise CostcalcError(f"{name} {shown(text)} is out of range", hint=hint)
        return value


class PresetTerm(Spec):
    """What a term is for owners of one kind, and where that comes from."""

    value: float
    source: str
    date: Date
    note: str | None = None


class Owning(Spec):
    """Every term of owning; one file, hardware_profiles/efficiency/owning.yaml."""

    terms: Annotated[dict[str, Term], Limits(min_length=1)]
    presets: dict[str, dict[str, PresetTerm]] = field(default_factory=dict)  # terms of one kind of owner, by its name

    def __post_init__(self) -> None:
        for preset, own in self.presets.items():
            for name in own:
                if name not in self.terms:
                    raise CostcalcError(f"no term is called {name!r}", path=("presets", preset))
        for name in (each.name for each in fields(OwnedTerms) if each.default is MISSING):
            if name not in self.terms:
                raise CostcalcError(f"lacks the key {name!r}", path=("terms",))

    def told(self, words: str | None = None, site: Mapping[str, float | None] | None = None) -> OwnedTerms:
        """Return the terms: those typed as 'home, years=4', those of the site that are given, else the defaults.

        words: a preset, if any, and terms, with `capital` [$], where it is not the profile's. site: by name, null for
        defaults.
        Raises CostcalcError for names and values that cannot be.
        """
        parts = [part.strip() for part in _SPLIT.split((words or "").strip()) if part.strip()]
        preset = next((part.lower() for part in parts if part.lower() in self.presets), None)
        found: dict[str, Any] = {
            each.name: self.terms[each.name].value for each in fields(OwnedTerms) if each.default is MISSING
        }
        found |= {name: each.value for name, each in self.presets.get(preset or "", {}).items()}
        found |= {name: value for name, value in (site or {}).items() if value is not None}
        own = ["capital", *(name.replace("_", "-") for name in found if name not in SITE)]
        told = list[str]()
        for part in parts:
            if part.lower() == preset:
                continue
            typed, equals, text = (each.strip() for each in part.partition("="))
            name = typed.lower().replace("_", "-")
            if name in own and not equals:
                raise CostcalcError(f"the term {name} has no value", hint=f"write it like {name}=VALUE")
            if name not in own:
                of_site = f"--{name} is an option of its own" if name.replace("-", "_") in SITE else None
                known = [*self.presets, *own]
                listed = f"write it like 'years=4,rate=8%'; of {', '.join(known)}"
                hint = of_site or did_you_mean(name, known) or listed
                raise CostcalcError(f"{shown(part)} is no term of owning", hint=hint)
            key = name.replace("-", "_")
            found[key] = parse_quantity(text, "price") if key == "capital" else self.terms[key].read(name, text)
            told.append(key)
        return OwnedTerms(**found, preset=preset, typed=tuple(told))


_SPLIT = re.compile(r"[,;]\s*(?=[A-Za-z])|\s+(?=[A-Za-z_-]+\s*=)")
"""Between terms: a comma before a name, so that $25,000 stays whole."""


class OwnedParts(Record):
    """What an hour of an owned accelerator is made of [$/GPU-hour]."""

    accelerator: float
    server_and_network: float
    space: float
    staff: float
    support: float
    electricity: float


class OwnedResult(Record):
    """What an hour of an owned accelerator costs, around the clock, and what of it falls with the work."""

    usd_per_gpu_hour: float  # the sum of its parts
    fixed_usd_per_gpu_hour: float
    variable_usd_per_gpu_hour: float  # electricity
    capital_usd: float  # of the accelerator with its share of server and network
    limit_watts: float  # of the accelerator
    watts_at_the_meter: float  # of the accelerator, its share of the host, and the site's overhead
    parts: OwnedParts
    terms: OwnedTerms

    @property
    def paid_idle(self) -> float:
        """Share of the hour that is paid without work too: all where its hours of work were typed."""
        terms = self.terms
        if "busy" in terms.typed or not self.parts.electricity:
            return 1.0
        work = self.parts.electricity * terms.busy * (terms.draw - terms.idle) / terms.load
        return 1 - work / self.usd_per_gpu_hour


def monthly_capital(capital: float, rate: float, years: float, residual: float = 0.0) -> float:
    """Return the monthly payment that recovers a capital over its life [$/month].

    (P - S/(1+i)^n) i / (1 - (1+i)^-n), the capital recovery factor of engineering economics (Newnan, Eschenbach and
    Lavelle, Engineering Economic Analysis, ch. 4); without a rate, (P - S)/n.

    capital: P [$]. rate: nominal a year, i is its twelfth. years: n is twelve times as many. residual: S/P.
    """
    i, n = rate / 12, 12 * years
    if i == 0:
        return capital * (1 - residual) / n
    gone = -expm1(-n * log1p(i))  # 1 - (1+i)^-n, exact where the rate is small
    return capital * (1 - residual * (1 - gone)) * i / gone


def owned(gpu: Accelerator, terms: OwnedTerms) -> OwnedResult | None:
    """Return what owning an accelerator costs, or null where nobody knows its capital or its watts.

    terms: as `Owning.told` returns them.
    """
    known = gpu.capex.usd if gpu.capex else None
    usd = known if terms.capital is None else terms.capital
    if usd is None or gpu.power is None:
        return None
    server = 0.0 if _whole(gpu, terms) else usd * terms.server
    recovered = monthly_capital(1.0, terms.rate, terms.years, terms.residual) / HOURS_OF_A_MONTH
    nameplate = gpu.power * (1 + host_share(gpu, terms))
    electricity = float(electricity_at(gpu, terms, terms.busy))
    parts = OwnedParts(
        accelerator=usd * recovered,
        server_and_network=server * recovered,
        space=nameplate / 1e3 * terms.space / HOURS_OF_A_MONTH,
        staff=(usd + server) * terms.staff / (12 * HOURS_OF_A_MONTH),
        support=(usd + server) * terms.support / (12 * HOURS_OF_A_MONTH),
        electricity=electricity,
    )
    watts = nameplate * terms.load * terms.pue
    fixed = parts.accelerator + parts.server_and_network + parts.space + parts.staff + parts.support
    return OwnedResult(
        fixed + parts.electricity, fixed, parts.electricity, usd + server, gpu.power, watts, parts, terms
    )


def electricity_at(gpu: Accelerator, terms: OwnedTerms, busy: Number) -> Number:
    """Return what an hour's electricity costs where an accelerator works for a share of the hours [$/GPU-hour].

    busy: that share, an array or one.
    """
    drawn = busy * terms.draw + (1 - busy) * terms.idle
    return (gpu.power or 0.0) * (1 + host_share(gpu, terms)) * drawn * terms.pue / 1e3 * terms.power_price


def not_known(gpu: Accelerator) -> CostcalcError:
    """The error where nobody knows what owning an accelerator takes, with the option that says what lacks."""
    lacks = "--owned capital=USD" if gpu.power else "--set gpu.power=WATTS"
    return CostcalcError(f"what owning {gpu.name} takes is not known", hint=f"say it with {lacks}")


def _whole(gpu: Accelerator, terms: OwnedTerms) -> bool:
    """Whether the capital is of a whole machine."""
    return gpu.capex is not None and gpu.capex.whole and terms.capital is None


def host_share(gpu: Accelerator, terms: OwnedTerms) -> float:
    """Return the watts of host and network beside one of an accelerator: none where it is the machine."""
    return 0.0 if _whole(gpu, terms) else terms.host_power


def charged(gpu: Accelerator, words: str | float | None, terms: OwnedTerms) -> PriceChoice | None:
    """Return the price that words mean, and what owning costs where they mean that and its capital is known.

    words: as `Accelerator.price_for` takes them. terms: of owning, `Owning.told()` by default.
    Raises CostcalcError where no price fits the words.
    """
    cost = owned(gpu, terms) if means_owned(words) else None
    if cost is None:
        try:
            return gpu.price_for(words)
        except CostcalcError as error:
            if not means_owned(words):
                raise
            raise not_known(gpu) from error
    capex = gpu.capex if terms.capital is None else None
    bought = f"{format_usd(cost.capital_usd)} with server and network, capital"
    return PriceChoice(
        usd_per_gpu_hour=cost.usd_per_gpu_hour,
        kind="owned",
        provider=COMPUTED,
        source=f"{bought}: {capex.source}" if capex else f"{bought} as typed",
        date=capex.date if capex else None,
        provenance="derived",
    )


def apportioned(parts: Mapping[str, float], digits: int = 4) -> dict[str, float]:
    """Return parts rounded so that they sum to their rounded sum: the largest remainders are rounded up.

    parts: by name. digits: behind the point.
    """
    unit = 10.0**-digits
    units = {name: int(value / unit) for name, value in parts.items()}
    left = round(sum(parts.values()) / unit) - sum(units.values())
    by_remainder = sorted(parts, key=lambda name: units[name] - parts[name] / unit)
    return {name: (units[name] + (name in by_remainder[:left])) * unit for name in parts}
