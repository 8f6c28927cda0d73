"""What Python callers pass, read as the command line reads it: '32k', '60%' and 'auto' are as good as numbers.

Every error is one line that names the argument and says what it may be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from costcalc.catalog.load import load_gpu, load_model
from costcalc.engine.speculation import MOST_DRAFTS
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.formats import CACHE_FORMATS, COMPUTE_PRECISIONS, WEIGHT_FORMATS
from costcalc.specs.accelerator import Accelerator
from costcalc.specs.model import ModelSpec
from costcalc.units import parse_machine, parse_quantity, parse_whole

MOST_GPUS = 100_000
MOST_SEQUENCES = 1e8
MOST_TOKENS = 1e9
MOST_SECONDS = 1e6
MOST_USD_PER_HOUR = 1e7

OTHER_NAMES = {
    "tp": "tensor_parallel", "pp": "pipeline_parallel", "ep": "expert_parallel", "dp": "attention_data_parallel",
    "kv": "kv_cache", "input": "input_tokens", "output": "output_tokens", "prompt": "input_tokens",
    "context_tokens": "context", "context_length": "context", "batch_size": "batch", "concurrency": "batch",
    "users": "batch", "usd_per_gpu_hour": "price", "num_gpus": "gpus", "n_gpus": "gpus", "engine": "backend",
    "dtype": "weights",
}  # fmt: skip
"""What else an option is called: the command line's short names, and those of other tools."""
_ELSEWHERE = {
    "set": "load_model and load_gpu take overrides={'path': 'value'}",
    "explain": "read .explanation of the answer",
    "format": "the answer has .to_dict()",
}


def refuse_unknown(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise CostcalcError for the first keyword that is no option, with the one that was meant.

    given: the keywords. known: the options.
    """
    names = list(known)
    for name in given:
        if name in names:
            continue
        meant = OTHER_NAMES.get(name)
        hint = f"it is called {meant}" if meant else _ELSEWHERE.get(name) or did_you_mean(name, names)
        raise CostcalcError(f"unknown option {shown(name)}", hint=hint or f"the options are: {', '.join(names)}")


def the_model(model: object, catalog: str | Path | None = None) -> ModelSpec:
    """Return the model that an argument is or names; raises CostcalcError."""
    if isinstance(model, ModelSpec):
        return model
    if isinstance(model, str | Path):
        return load_model(model, catalog=catalog)
    raise _no_name("model", model, "'v3'", "load_model")


def the_gpu(gpu: object, catalog: str | Path | None = None) -> Accelerator:
    """Return the accelerator that an argument is or names; raises CostcalcError."""
    if isinstance(gpu, Accelerator):
        return gpu
    if isinstance(gpu, str | Path):
        return load_gpu(gpu, catalog=catalog)
    raise _no_name("gpu", gpu, "'h100'", "load_gpu")


def the_machine(gpu: object, gpus: object = None, catalog: str | Path | None = None) -> tuple[Accelerator, int | None]:
    """Return the accelerator, and how many of it '8xh100' says, which must not contradict `gpus`; raises."""
    if not isinstance(gpu, str):
        return the_gpu(gpu, catalog), None
    count, name = parse_machine(gpu)
    single = isinstance(gpus, str) or not isinstance(gpus, Iterable)
    if count is not None and gpus is not None and (not single or read_option("gpus", gpus) != count):
        raise CostcalcError(f"{shown(gpus)} contradicts {shown(gpu)}", where="gpus", hint="leave one out")
    return the_gpu(name, catalog), count


def several(values: object, argument: str, example: str) -> list[Any]:
    """Return the values of a list that must not be empty, nor a single name; raises CostcalcError."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise CostcalcError(f"{shown(values)} is no list", where=argument, hint=f"write it like {example}")
    listed = list(values)
    if not listed:
        raise CostcalcError("the list is empty", where=argument, hint=f"write it like {example}")
    return listed


def read_option(name: str, value: Any) -> Any:
    """Return the value of an option as the engine takes it; raises CostcalcError, naming the option.

    name: the option, a field of `costcalc.explore.question.Options`. value: what was passed for it.
    """
    reader = READ_OPTIONS.get(name)
    if reader is None or value is None:
        return value
    if not isinstance(value, str) and isinstance(value, Iterable):
        several_at_once = "costcalc.sweep takes several values at once" if name in SWEPT else "give one value"
        raise CostcalcError(f"{_kind(value)} where one value belongs", where=name, hint=several_at_once)
    return reader(name, value)


def _whole(least: int, most: float) -> Callable[[str, Any], Any]:
    def read(name: str, value: Any) -> int | None:
        if name == "batch" and isinstance(value, str) and value.strip().lower() == "auto":
            return None
        number = _number(name, value, lambda text: parse_whole(text, least=least), "a whole number such as 16 or '32k'")
        if number != int(number):
            raise CostcalcError(f"{shown(value)} is not a whole number", where=name)
        return int(_within(name, value, number, least, most))

    return read


def _tokens(name: str, value: Any) -> float:
    number = _number(name, value, lambda text: parse_quantity(text, "count"), "tokens such as 32768 or '32k'")
    return _within(name, value, number, 1, MOST_TOKENS)


def _share(low_too: bool, high_too: bool) -> Callable[[str, Any], Any]:
    def read(name: str, value: Any) -> float:
        number = _number(name, value, lambda text: parse_quantity(text, "ratio"), "a share such as 0.6 or '60%'")
        return _within(name, value, number, 0, 1, low_too, high_too)

    return read


def _seconds(name: str, value: Any) -> float:
    number = _number(name, value, lambda text: parse_quantity(text, "time"), "seconds such as 0.05 or '50 ms'")
    return _within(name, value, number, 0, MOST_SECONDS, low_too=False)


def _price(name: str, value: Any) -> float | str:
    if isinstance(value, str):
        return value
    number = _number(name, value, float, "dollars per GPU-hour such as 2.0, or words such as 'spot'")
    return _within(name, value, number, 0, MOST_USD_PER_HOUR)


def _demand(name: str, value: Any) -> str:
    from costcalc.rates import parse_demand

    if not isinstance(value, str):
        raise CostcalcError(f"{_kind(value)} where a demand belongs", where=name, hint="write '50 requests/s'")
    try:
        parse_demand(value)
    except CostcalcError as error:
        raise CostcalcError(error.message, where=name, hint=error.hint) from None
    return value


def _word(words: Iterable[str]) -> Callable[[str, Any], Any]:
    names = list(words)
    listed = f"one of {_some(names)}" if names else None

    def read(name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise CostcalcError(f"{shown(value)} is no name", where=name, hint=listed)
        word = value.strip().lower()
        if names and word not in names:
            raise CostcalcError(f"{shown(value)} is unknown", where=name, hint=did_you_mean(word, names) or listed)
        return word

    return read


def _flag(name: str, value: Any) -> bool:
    if type(value).__name__ not in ("bool", "bool_"):
        raise CostcalcError(f"{shown(value)} is neither True nor False", where=name)
    return bool(value)


def _number(name: str, value: Any, parse: Callable[[str], float], what: str) -> float:
    if isinstance(value, str):
        try:
            return parse(value)
        except CostcalcError as error:
            raise CostcalcError(error.message, where=name, hint=error.hint) from None
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if not isinstance(value, Real) or isinstance(value, bool):
        raise CostcalcError(f"{_kind(value)} where a number belongs", where=name, hint=f"write {what}")
    if not isfinite(value):
        raise CostcalcError(f"{shown(value)} is not a finite number", where=name, hint=f"write {what}")
    return float(value)


def _within(
    name: str, value: Any, number: float, low: float, high: float, low_too: bool = True, high_too: bool = True
) -> float:
    if (number < low if low_too else number <= low) or (number > high if high_too else number >= high):
        floor = f"at least {low:,.10g}" if low_too else f"more than {low:,.10g}"
        roof = f"at most {high:,.10g}" if high_too else f"less than {high:,.10g}"
        raise CostcalcError(f"{shown(value)} is out of range", where=name, hint=f"it must be {floor} and {roof}")
    return number


def _no_name(argument: str, value: object, example: str, loader: str) -> CostcalcError:
    hint = f"pass a name such as {example}, the path of a YAML file, or what costcalc.{loader} returns"
    belongs = {"gpu": "GPU"}.get(argument, argument)
    return CostcalcError(f"{_kind(value)} where a {belongs} belongs", where=argument, hint=hint)


def _kind(value: object) -> str:
    if value is None:
        return "None"
    kind = type(value).__name__
    return f"{shown(value)} ({kind})" if isinstance(value, str | Real) else f"a value of type {kind}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")


SWEPT = (
    "gpus", "tensor_parallel", "pipeline_parallel", "expert_parallel", "attention_data_parallel", "batch", "context",
    "input_tokens", "output_tokens", "price", "utilization",
)  # fmt: skip
"""Options of which `costcalc.sweep` takes several values."""
READ_OPTIONS: Mapping[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(
        ("gpus", "tensor_parallel", "pipeline_parallel", "expert_parallel", "attention_data_parallel"),
        _whole(1, MOST_GPUS),
    ),
    "batch": _whole(1, MOST_SEQUENCES),
    "context": _tokens,
    "input_tokens": _tokens,
    "output_tokens": _tokens,
    "cached": _share(True, False),
    "weights": _word(WEIGHT_FORMATS),
    "kv_cache": _word(CACHE_FORMATS),
    "activations": _word(COMPUTE_PRECISIONS),
    "price": _price,
    "utilization": _share(False, True),
    "memory_utilization": _share(False, True),
    "tpot": _seconds,
    "ttft": _seconds,
    "demand": _demand,
    "efficiency": _word(("calibrated", "ideal")),
    "backend": _word(()),
    "terms": _word(("all", "kv", "weights")),
    "mla": _word(("absorbed", "expanded", "naive")),
    "drafts": _whole(0, MOST_DRAFTS),
    "acceptance": _share(True, True),
    "disaggregated": _flag,
}
"""How the value of each option is read."""
