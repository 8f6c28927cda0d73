"""An accelerator: its rates, memory, links, power and prices, each with its source."""

from dataclasses import fields
from typing import Annotated, Literal, NamedTuple

import numpy as np

from costcalc.errors import CostcalcError, did_you_mean
from costcalc.fields import After, Bandwidth, Bytes, Derivable, FlopRate, Limits, Name, Number, Power, Size, Spec
from costcalc.hardware.prices import (
    Capex,
    Date,
    Price,
    PriceChoice,
    Provenance,
    ProviderPrice,
    choose_price,
    default_price,
)

FALLBACKS: dict[str, tuple[str, ...]] = {
    "fp4": ("fp8", "bf16", "fp16", "fp32"),
    "int4": ("int8", "bf16", "fp16", "fp32"),
    "fp8": ("bf16", "fp16", "fp32"),
    "int8": ("bf16", "fp16", "fp32"),
    "bf16": ("fp16", "fp32"),
    "fp16": ("bf16", "fp32"),
    "tf32": ("fp32",),
    "fp32": (),
    "fp64": (),
}
"""What hardware without a precision computes in instead, first choice first.

Narrow formats are converted to the next wider one that there is; 16-bit formats stand in for each other
(bf16 weights run in fp16 on Volta and Turing). 32 and 64 bits have no stand-in: less precision is not
the same result.
"""


Slug = Annotated[str, Limits(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
"""A lower-case word, such as 'nvidia' or 'rtx-blackwell'."""


class PeakFlops(Spec):
    """Dense peak rates of multiply-adds by precision; integer ones in operations per second."""

    fp64: FlopRate | None = None
    fp32: FlopRate | None = None
    tf32: FlopRate | None = None
    bf16: FlopRate | None = None
    fp16: FlopRate | None = None
    fp8: FlopRate | None = None
    fp4: FlopRate | None = None
    int8: FlopRate | None = None
    int4: FlopRate | None = None

    def rates(self) -> dict[str, float]:
        """The known rates by precision [FLOP/s]."""
        return {each.name: rate for each in fields(self) if (rate := getattr(self, each.name)) is not None}


class Peak(NamedTuple):
    """A peak rate [FLOP/s] and the precision that it is computed in."""

    flops: float
    precision: str


class ScaleUp(Spec):
    """The fast fabric: NVLink, Infinity Fabric, ICI, or PCIe within one server."""

    technology: str
    bandwidth: Bandwidth | None = None  # of one device over all its links, one direction
    domain: Size  # devices that it joins


class ScaleOut(Spec):
    """The network between domains."""

    bandwidth: Bandwidth  # of one device, one direction


class HostLink(Spec):
    """The link to the host's memory."""

    technology: str
    bandwidth: Bandwidth  # one direction


class Source(Spec):
    """Where the named fields come from."""

    fields: Annotated[tuple[str, ...], Limits(min_length=1)]
    source: str
    date: Date  # when it was read
    published: Date | None = None  # its own date
    provenance: Provenance
    note: str | None = None


class Dispute(Spec):
    """A field on which sources disagree: the value used and the other one."""

    field: str
    used: str
    other: str
    sources: str
    note: str | None = None


def _some_peak(value: PeakFlops) -> PeakFlops:
    if not value.rates():
        raise ValueError("peak_flops needs at least one precision, such as bf16: 989.4 TFLOP/s")
    return value


def _fields_exist(value: tuple[Source, ...]) -> tuple[Source, ...]:
    known = [each.name for each in fields(Accelerator)]
    for source in value:
        for name in source.fields:
            if name.partition(".")[0] not in known:
                near = did_you_mean(name.partition(".")[0], known)
                raise ValueError("; ".join(filter(None, [f"a source names the unknown field {name!r}", near])))
    return value


class Accelerator(Derivable, Spec):
    """One GPU, TPU, NPU or processor, as software sees and providers rent it."""

    name: Name
    aliases: tuple[str, ...] = ()
    vendor: Slug
    architecture: Slug  # family of efficiency curves
    released: Annotated[str, Limits(pattern=r"^\d{4}(-\d{2})?$")] | None = None
    status: Literal["announced"] | None = None  # announced: figures before the product
    memory: Bytes  # as sold
    memory_reported: Bytes | None = None  # as the driver reports it
    runtime_memory: Bytes | None = None  # as the runtime sees it, which engines divide: less than the driver's
    memory_type: str
    memory_bandwidth: Bandwidth
    peak_flops: Annotated[PeakFlops, After(_some_peak)]
    sm_count: Size | None = None  # streaming multiprocessors, compute units or cores
    l2_cache: Bytes | None = None  # last level on the chip
    scale_up: ScaleUp | None = None
    scale_out: ScaleOut | None = None
    host_link: HostLink | None = None
    node_size: Size  # devices of one server
    power: Power | None = None  # the board's limit
    power_all_in: Power | None = None  # with its share of host, network and cooling
    price: Price | None = None  # the default, where it is not to follow from prices
    prices: tuple[ProviderPrice, ...] = ()
    capex: Capex | None = None
    sources: Annotated[tuple[Source, ...], After(_fields_exist)] = ()
    disputed: tuple[Dispute, ...] = ()
    notes: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()  # what every estimate has to say
    measured_as: str | None = None  # name that measurements know it by, where its own says what was changed

    @property
    def known_as(self) -> str:
        """The name that measurements know it by."""
        return self.measured_as or self.name

    @property
    def usable_memory(self) -> float:
        """Memory for capacity arithmetic: as the runtime sees it, else as the driver reports it, else as sold [bytes].

        They differ: an "80 GB" H100 reports 81,559 MiB = 85.5e9 bytes, of which CUDA sees 79.19 GiB = 85.0e9.
        """
        return self.runtime_memory or self.memory_reported or self.memory

    @property
    def domain(self) -> int:
        """Devices within one scale-up domain: 1 without a scale-up fabric."""
        return self.scale_up.domain if self.scale_up else 1

    def supports(self, precision: str) -> bool:
        """Whether the hardware computes in `precision` itself."""
        return precision in self.peak_flops.rates()

    def peak(self, precision: str) -> Peak:
        """Return the dense peak for work in `precision`, and the precision it really runs in.

        Args:
            precision: 'fp64', 'fp32', 'tf32', 'bf16', 'fp16', 'fp8', 'fp4', 'int8' or 'int4'.

        Raises:
            CostcalcError: an unknown precision, or one without a stand-in among FALLBACKS.
        """
        if precision not in FALLBACKS:
            hint = did_you_mean(precision, FALLBACKS) or f"one of {', '.join(FALLBACKS)}"
            raise CostcalcError(f"unknown compute precision {precision!r}", hint=hint)
        rates = self.peak_flops.rates()
        for key in (precision, *FALLBACKS[precision]):
            if key in rates:
                return Peak(rates[key], key)
        raise CostcalcError(f"{self.name} has no known {precision} rate", hint=f"it has {', '.join(rates)}")

    def ridge_point(self, precision: str) -> float:
        """Arithmetic intensity at which `precision` work turns compute-bound [FLOP/byte]."""
        return self.peak(precision).flops / self.memory_bandwidth

    def link_bandwidth(self, devices: Number) -> Number:
        """Return the bandwidth of one device's link in a group, one direction [bytes/s].

        Args:
            devices: size of the group [1]: the scale-up fabric within its domain, the network beyond;
                infinite for one device, which sends nothing. Broadcasts.

        Raises:
            CostcalcError: a group needs a link whose bandwidth is not known.
        """
        group = np.asarray(devices)
        domain = self.domain
        inside = self.scale_up.bandwidth if self.scale_up else None
        beyond = self.scale_out.bandwidth if self.scale_out else None
        if inside is None and np.any((group > 1) & (group <= domain)):
            raise CostcalcError(f"the scale-up bandwidth of {self.name} is not known", hint="set scale_up.bandwidth")
        if beyond is None and np.any(group > domain):
            where = f"beyond {domain} devices" if domain > 1 else "between devices"
            raise CostcalcError(f"{self.name} has no known link {where}", hint="set scale_out.bandwidth")
        known = np.where(group > domain, beyond or np.inf, inside or np.inf)
        rate = np.where(group > 1, known, np.inf)
        return rate if rate.ndim else float(rate)

    def price_for(self, words: str | float | None = None) -> PriceChoice | None:
        """Return the price that `words` mean, the default one without any; null where none is known.

        Args:
            words: a number (2.0 [$/h], '2.00', '$2/h'), 'default', or kinds and providers ('spot', 'lambda',
                'lambda spot').

        Raises:
            CostcalcError: no price fits the words; the message names those that do.
        """
        if words is None:
            return default_price(self.price, self.prices)
        return choose_price(str(words), self.price, self.prices, of=self.name)
