"""costcalc: what a token costs on this hardware, how many users fit, and why.

>>> import costcalc
>>> answer = costcalc.estimate("v3", "h100")
>>> answer.cost.usd_per_million_output_tokens

Names are imported when first used, so that `import costcalc` is free.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from costcalc.catalog.load import load_gpu, load_model
    from costcalc.errors import CostcalcError
    from costcalc.explore.breakeven import break_even
    from costcalc.explore.compare import compare_attention, compare_gpus, compare_models
    from costcalc.explore.curves import attention_curves
    from costcalc.explore.estimate import estimate
    from costcalc.explore.result import Comparison, Estimate
    from costcalc.explore.sweep import sweep
    from costcalc.explore.swept import Sweep
    from costcalc.specs.accelerator import Accelerator
    from costcalc.specs.model import ModelSpec

__version__ = "0.1.0"

_HOMES = {
    "Accelerator": "costcalc.specs.accelerator",
    "Comparison": "costcalc.explore.result",
    "CostcalcError": "costcalc.errors",
    "Estimate": "costcalc.explore.result",
    "ModelSpec": "costcalc.specs.model",
    "Sweep": "costcalc.explore.swept",
    "attention_curves": "costcalc.explore.curves",
    "break_even": "costcalc.explore.breakeven",
    "compare_attention": "costcalc.explore.compare",
    "compare_gpus": "costcalc.explore.compare",
    "compare_models": "costcalc.explore.compare",
    "estimate": "costcalc.explore.estimate",
    "load_gpu": "costcalc.catalog.load",
    "load_model": "costcalc.catalog.load",
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
            from costcalc.explore.public import checked

            found = checked(found)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'costcalc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
