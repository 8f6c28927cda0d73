"""costcalc: what a token costs on this hardware, how many users fit, and why.

>>> import costcalc
>>> answer = costcalc.estimate("v3", "h100")
>>> answer.cost.usd_per_million_output_tokens

Names are imported when first used, so that `import costcalc` is free.
"""

# As in typing, whose import is longer than this package and the command line before they look after signals.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing

    from costcalc.catalog.catalog import Catalog, load_gpu, load_model
    from costcalc.catalog.summary import Listing, gpus, models
    from costcalc.errors import CostcalcError
    from costcalc.explore.attention import attention_curves, compare_attention
    from costcalc.explore.capacity import Capacity, capacity
    from costcalc.explore.compare import compare_gpus, compare_models
    from costcalc.explore.diff import Diff, diff
    from costcalc.explore.estimate import estimate
    from costcalc.explore.fleet.plan import Plan, plan
    from costcalc.explore.launch.emit import launch_line
    from costcalc.explore.launch.read import Launch, from_launch_line
    from costcalc.explore.money.breakeven import breakeven
    from costcalc.explore.money.sensitivity import Sensitivity, sensitivity
    from costcalc.explore.money.train import Training, train
    from costcalc.explore.simulate import simulate
    from costcalc.explore.spaces.frontier import Frontier, frontier
    from costcalc.explore.spaces.sweep import Sweep, sweep, sweep_chunks
    from costcalc.hardware.accelerator import Accelerator
    from costcalc.model.spec import ModelSpec
    from costcalc.predict.results import BreakEven, Comparison, Estimate
    from costcalc.replay.results import Simulation
    from costcalc.validation.price import Priced, price

__version__ = "0.1.0"

_HOMES = {
    "Accelerator": "hardware.accelerator",
    "BreakEven": "predict.results",
    "Capacity": "explore.capacity",
    "Catalog": "catalog.catalog",
    "Comparison": "predict.results",
    "CostcalcError": "errors",
    "Diff": "explore.diff",
    "Estimate": "predict.results",
    "Frontier": "explore.spaces.frontier",
    "Launch": "explore.launch.read",
    "Listing": "catalog.summary",
    "ModelSpec": "model.spec",
    "Plan": "explore.fleet.plan",
    "Priced": "validation.price",
    "Sensitivity": "explore.money.sensitivity",
    "Simulation": "replay.results",
    "Sweep": "explore.spaces.sweep",
    "Training": "explore.money.train",
    "attention_curves": "explore.attention",
    "breakeven": "explore.money.breakeven",
    "capacity": "explore.capacity",
    "compare_attention": "explore.attention",
    "compare_gpus": "explore.compare",
    "compare_models": "explore.compare",
    "diff": "explore.diff",
    "estimate": "explore.estimate",
    "from_launch_line": "explore.launch.read",
    "frontier": "explore.spaces.frontier",
    "gpus": "catalog.summary",
    "launch_line": "explore.launch.emit",
    "load_gpu": "catalog.catalog",
    "load_model": "catalog.catalog",
    "models": "catalog.summary",
    "plan": "explore.fleet.plan",
    "price": "validation.price",
    "sensitivity": "explore.money.sensitivity",
    "simulate": "explore.simulate",
    "sweep": "explore.spaces.sweep",
    "sweep_chunks": "explore.spaces.sweep",
    "train": "explore.money.train",
}
"""The module of every name, imported when the name is first used."""
_METHODS = {
    "chart": "notebook", "derived": "catalog.read", "describe": "notebook", "frame": "notebook", "html": "notebook",
    "rows": "notebook",
}  # fmt: skip
"""The module of what is done with records by rooms above theirs, as with public names."""


__all__ = [
    "Accelerator", "BreakEven", "Capacity", "Catalog", "Comparison", "CostcalcError", "Diff", "Estimate", "Frontier",
    "Launch", "Listing", "ModelSpec", "Plan", "Priced", "Sensitivity", "Simulation", "Sweep", "Training",
    "attention_curves", "breakeven", "capacity", "compare_attention", "compare_gpus", "compare_models", "diff",
    "estimate", "from_launch_line", "frontier", "gpus", "launch_line", "load_gpu", "load_model", "models", "plan",
    "price", "sensitivity", "simulate", "sweep", "sweep_chunks", "train",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        import sys

        raise AttributeError(f"module 'costcalc' has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    found = globals()[name] = _imported(_HOMES[name], name)
    if name[0].islower():
        _method("describe")(found)
    return found


def _method(name: str) -> "typing.Any":
    return _imported(_METHODS[name], name)


def _imported(module: str, name: str) -> "typing.Any":
    from importlib import import_module

    return getattr(import_module(f"costcalc.{module}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
