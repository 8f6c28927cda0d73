"""Efficiency of machines that someone measured, as data: what `costcalc calibrate` writes."""

from typing import Annotated

from costcalc.errors import CostcalcError, did_you_mean
from costcalc.frozen import hints
from costcalc.schema import Limits, Spec
from costcalc.specs.efficiency import KernelEfficiency, MachineFit


class MachineEfficiency(Spec):
    """Kernels of machines; one file, hardware_profiles/efficiency/machines.yaml of a catalog of one's own."""

    machines: Annotated[dict[str, dict[str, MachineFit]], Limits(min_length=1)]  # by catalog name of the GPU and op

    def __post_init__(self) -> None:
        for gpu, fits in self.machines.items():
            for op, fit in fits.items():
                known = _parameters(op, gpu)
                for name in fit.factors:
                    if name not in known:
                        hint = did_you_mean(name, known) or f"one of: {', '.join(known)}"
                        raise CostcalcError(f"{gpu}.{op} has no parameter {name!r}", hint=hint)


def _parameters(op: str, gpu: str) -> list[str]:
    """Names of the parameters of a kernel."""
    ops = hints(KernelEfficiency)
    if op not in ops:
        hint = did_you_mean(op, ops) or f"one of: {', '.join(ops)}"
        raise CostcalcError(f"machines.{gpu} names the unknown kernel {op!r}", hint=hint)
    return list(hints(hints(ops[op])["parameters"]))
