"""costcalc: what a token costs on this hardware, how many users fit, and why.

>>> import costcalc
>>> answer = costcalc.estimate("v3", "h100")
>>> answer.cost.usd_per_million_output_tokens

Names are imported when first used, so that `import costcalc` is free.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from costcalc.catalog.read import load_gpu, load_model
    from costcalc.errors import CostcalcError
    from costcalc.explore.breakeven import break_even
    from costcalc.explore.compare import attention_curves, compare_attention, compare_gpus, compare_models
    from costcalc.explore.estimate import estimate
    from costcalc.explore.sweep import Sweep, sweep
    from costcalc.hardware.accelerator import Accelerator
    from costcalc.model.spec import ModelSpec
    from costcalc.predict.quantities import Comparison, Estimate


__version__ = "0.1.0"

_HOMES = {
    "Accelerator": "costcalc.hardware.accelerator",
    "Comparison": "costcalc.predict.quantities",
    "CostcalcError": "costcalc.errors",
    "Estimate": "costcalc.predict.quantities",
    "ModelSpec": "costcalc.model.spec",
    "Sweep": "costcalc.explore.sweep",
    "attention_curves": "costcalc.explore.compare",
    "break_even": "costcalc.explore.breakeven",
    "compare_attention": "costcalc.explore.compare",
    "compare_gpus": "costcalc.explore.compare",
    "compare_models": "costcalc.explore.compare",
    "estimate": "costcalc.explore.estimate",
    "load_gpu": "costcalc.catalog.read",
    "load_model": "costcalc.catalog.read",
    "sweep": "costcalc.explore.sweep",
}

__all__ = [
    "Accelerator",
    "Comparison",
    "CostcalcError",
    "Estimate",
    "ModelSpec",
    "Sweep",
    "attention_curves",
    "break_even",
    "compare_attention",
    "compare_gpus",
    "compare_models",
    "estimate",
    "load_gpu",
    "load_model",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module
        from inspect import isfunction

        found = getattr(import_module(_HOMES[name]), name)
        if isfunction(found):
            from costcalc.predict.options import checked

            found = checked(found)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'costcalc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
