"""Prices of an accelerator."""

from typing import Annotated, Literal, get_args

from costcalc.schema import Examples, Limits, Size, Spec
from costcalc.specs.quantities import Usd, UsdPerHour

Provenance = Literal["seen", "recalled", "derived"]
"""How a fact got here: read in the named source, remembered from it, or computed from other facts."""

PriceKind = Literal["on-demand", "reserved", "spot", "owned", "marketplace"]
"""How an hour is paid: by the list, by contract, interruptible, as an owner, or from a private host."""

Date = Annotated[str, Limits(pattern=r"^\d{4}(-\d{2}){0,2}$"), Examples("2026-05-20", "2026-05", "2026")]
"""A day, a month or a year, as exactly as it is known."""

KINDS: tuple[str, ...] = get_args(PriceKind)

Seller = Literal["cloud", "hyperscaler", "study"]
"""Who names a price: a cloud that lets accelerators, one of the largest, or somebody who reports prices of others."""


class Price(Spec):
    """What one accelerator costs for an hour."""

    usd_per_gpu_hour: UsdPerHour
    kind: PriceKind
    source: str
    date: Date
    provenance: Provenance = "seen"
    note: str | None = None


class ProviderPrice(Price):
    """A price that one provider asks, or one study finds."""

    provider: str
    seller: Seller = "cloud"
    instance_gpus: Size | None = None  # accelerators of the instance that was priced


class PriceChoice(Spec):
    """A price with what it was chosen by; `provider` and `source` are null where it was typed."""

    usd_per_gpu_hour: UsdPerHour
    kind: PriceKind | None = None
    provider: str | None = None
    source: str | None = None
    date: Date | None = None
    provenance: Provenance | None = None
    matches: int = 1  # prices that the words fitted, this one included

    @property
    def offer(self) -> str:
        """Kind, provider and date, as far as they are known: 'on-demand, Lambda, 2026-09-16'."""
        return ", ".join(filter(None, (self.kind, self.provider, self.date)))


class Capex(Spec):
    """What buying one accelerator costs."""

    usd: Usd
    date: Date
    source: str
    provenance: Provenance = "seen"
    note: str | None = None
