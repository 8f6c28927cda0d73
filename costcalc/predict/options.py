"""What may be asked, read as the command line reads it, and several values of it at once.

Every error is one line that names the argument and says what it may be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from inspect import Parameter, signature
from math import isfinite
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from costcalc.catalog.read import load_gpu, load_model
from costcalc.engine.step import MOST_DRAFTS
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.fields import read_date
from costcalc.formats import CACHE_FORMATS, COMPUTE_PRECISIONS, WEIGHT_FORMATS
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.spec import ModelSpec
from costcalc.units import parse_machine, parse_quantity, parse_whole

MOST_GPUS = 100_000
MOST_SEQUENCES = 1e8
MOST_TOKENS = 1e9
MOST_SECONDS = 1e6
MOST_USD_PER_HOUR = 1e7

OTHER_NAMES = {
    "tp": "tensor_parallel", "pp": "pipeline_parallel", "ep": "expert_parallel", "dp": "attention_data_parallel",
    "kv": "kv_cache", "input": "input_tokens", "output": "output_tokens", "prompt": "input_tokens",
    "context_tokens": "context", "context_length": "context", "batch_size": "batch",
    "users": "batch", "usd_per_gpu_hour": "price", "num_gpus": "gpus", "n_gpus": "gpus", "engine": "backend",
    "dtype": "weights",
    "gpu_memory_utilization": "memory_utilization", "mem_fraction_static": "memory_utilization",
    "max_running_requests": "max_num_seqs", "max_batch_size": "max_num_seqs",
    "max_num_tokens": "max_num_batched_tokens", "chunked_prefill_size": "max_num_batched_tokens",
}  # fmt: skip
"""What else an option is called: the command line's short names, and those of other tools."""
FLAGS = {
    "tensor_parallel": "tp", "pipeline_parallel": "pp", "expert_parallel": "ep", "attention_data_parallel": "dp",
    "kv_cache": "kv", "input_tokens": "input", "output_tokens": "output",
}  # fmt: skip
"""Options whose flag on the command line is another word than their keyword."""


def flag_of(name: str) -> str:
    """Return an option as the command line spells it: `tensor_parallel` is `--tp`.

    name: its keyword.
    """
    return "--" + FLAGS.get(name, name).replace("_", "-")


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

    name: the option, a field of `costcalc.predict.scenario.Options`. value: what was passed for it.
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


def _plain(low: float, most: float, what: str, low_too: bool = True) -> Callable[[str, Any], Any]:
    def read(name: str, value: Any) -> float:
        number = _number(name, value, lambda text: parse_quantity(text, "count"), what)
        return _within(name, value, number, low, most, low_too)

    return read


def _month(name: str, value: Any) -> str:
    if not isinstance(value, str) or (found := read_date(value.strip())) is None or found[1] is None:
        raise CostcalcError(f"{shown(value)} is no month", where=name, hint="write it like 2026-06 or 2026-06-15")
    return value.strip()


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
        word = value.strip()
        if not word:
            raise CostcalcError("the price is empty", where=name, hint="write it like '2.00' or 'spot'")
        if word.lower() in ("nan", "inf", "infinity") or not word[0].isalpha():
            number = _number(name, word, lambda text: parse_quantity(text, "price_per_hour"), "")
            _within(name, value, number, 0, MOST_USD_PER_HOUR)
        return word
    number = _number(name, value, float, "dollars per GPU-hour such as 2.0, or words such as 'spot'")
    return _within(name, value, number, 0, MOST_USD_PER_HOUR)


def _demand(name: str, value: Any) -> str:
    from costcalc.units import parse_demand

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
    "max_num_batched_tokens": _whole(1, MOST_TOKENS),
    "max_num_seqs": _whole(1, MOST_SEQUENCES),
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
    "prefill_gpus": _plain(0, MOST_GPUS, "GPUs such as 8", low_too=False),
    "experts": _word(WEIGHT_FORMATS),
    "arrivals": _word(("closed", "offline", "static")),
    "concurrency": _plain(0, MOST_SEQUENCES, "requests such as 64", low_too=False),
    "requests": _whole(1, MOST_SEQUENCES),
    "lengths": _word(("mixed", "equal")),
    "statistic": _word(("median", "mean")),
    "polling": _plain(0, 1e6, "decode steps such as 10"),
    "engine_date": _month,
}
"""How the value of each option is read."""


# The edge of the Python API: what callers pass is read and checked before a function of costcalc sees it.


Function = TypeVar("Function", bound=Callable[..., Any])


def checked(function: Function) -> Function:
    """Return a function of the public API that reads its arguments as the command line does.

    Models and GPUs may be names, lists must hold something, lengths are read like '32k'; what cannot be is one
    line of CostcalcError that names the argument. Numbers that leave the range of floats warn nobody.

    function: the function.
    """
    shape = signature(function)
    variable = next((each.name for each in shape.parameters.values() if each.kind is Parameter.VAR_KEYWORD), None)
    keywords = get_args(get_type_hints(function)[variable])[0].__annotations__ if variable else {}
    known = sorted(keywords, key=[*READ_OPTIONS, *keywords].index)
    known += [each for each in shape.parameters if each != variable]

    @wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        import numpy as np

        bound = shape.bind(*arguments, **named)
        given = bound.arguments
        options = given.get(variable, {}) if variable else {}
        if variable:
            refuse_unknown(options, known)
        _read(given, options)
        if options and variable:
            given[variable] = options
        with np.errstate(all="ignore"):
            return function(*bound.args, **bound.kwargs)

    return called  # type: ignore[return-value]


def _read(given: dict[str, Any], options: dict[str, Any]) -> None:
    """Read arguments in place."""
    catalog = given.get("catalog")
    if catalog is not None and not isinstance(catalog, str | Path):
        raise CostcalcError(f"{shown(catalog)} is no folder", where="catalog", hint="name a folder with models/ in it")
    if "model" in given:
        given["model"] = the_model(given["model"], catalog)
    if "gpu" in given:
        given["gpu"], count = the_machine(given["gpu"], options.get("gpus", given.get("gpus")), catalog)
        if count is not None:
            (given if "gpus" in given else options)["gpus"] = count
    if "models" in given:
        listed = several(given["models"], "models", "['v3', 'llama-3.1-70b']")
        given["models"] = [the_model(each, catalog) for each in listed]
    if "gpus" in given and "gpu" not in given:
        _read_gpus(given, options, catalog)
    if given.get("contexts") is not None and not _empty(given["contexts"]):
        listed = several(given["contexts"], "contexts", "[4096, '32k']")
        given["contexts"] = tuple(float(read_option("context", each)) for each in listed)
    if "groups" in given:
        given["groups"] = tuple(_group(each) for each in several(given["groups"], "groups", "(4, 8, 16)"))
    if given.get("against") is not None and not isinstance(given["against"], str):
        raise CostcalcError(f"{shown(given['against'])} is no model's name", where="against")
    if given.get("overrides") is not None:
        given["overrides"] = _overrides(given["overrides"])


def _read_gpus(given: dict[str, Any], options: dict[str, Any], catalog: str | Path | None) -> None:
    """Read a list of GPUs, each with a count of its own as in '8xh100'."""
    listed = several(given["gpus"], "gpus", "['h100', '4xb200']")
    found = [the_machine(each, options.get("gpus"), catalog) for each in listed]
    counts = [count for _, count in found]
    asked = list(given.get("counts") or ())
    if asked and len(asked) != len(listed):
        raise CostcalcError(f"{len(asked)} counts for {len(listed)} GPUs", where="counts", hint="give one for each")
    given["gpus"] = [gpu for gpu, _ in found]
    if asked:
        given["counts"] = [read_option("gpus", each) for each in asked]
    elif any(count is not None for count in counts):
        shared = options.get("gpus")
        given["counts"] = [shared if count is None else count for count in counts]


def _group(value: Any) -> int:
    try:
        return int(read_option("gpus", value))
    except CostcalcError as error:
        hint = "query heads per KV head, a whole number from 1"
        raise CostcalcError(error.message, where="groups", hint=hint) from None


def _overrides(values: Any) -> dict[str, str]:
    if not isinstance(values, Mapping):
        hint = "write it like {'memory_bandwidth': '3.3 TB/s'}"
        raise CostcalcError(f"{shown(values)} is no mapping", where="overrides", hint=hint)
    return {str(path): value if isinstance(value, str) else str(value) for path, value in values.items()}


def _empty(values: Any) -> bool:
    return hasattr(values, "__len__") and not isinstance(values, str) and len(values) == 0


# Several values of one quantity, as people write them: '1,8,64', '1:256:x2', '4k:128k:x2', '1:3:0.5'.


MOST_VALUES = 10_000
"""Values of one quantity."""
EXAMPLES = "'1,8,64', '1:256:x2' (doubling) or '10:50:10' (in steps)"
_BETWEEN = re.compile(r"\s*,\s*|\s+")
_THOUSANDS = re.compile(r"0[0-9]{2}")
_RANGE = re.compile(r"(?P<low>[^:]+):(?P<high>[^:]+):(?P<step>[^:]+)")

Read = Callable[[Any], Any]


def is_several(value: object) -> bool:
    """Return whether a value stands for several: a list, an array, or text with a comma or a range in it.

    value: what was passed or typed.
    """
    if isinstance(value, str):
        return len(split(value)) > 1 or ":" in value
    # What numpy makes of a single number has no dimension.
    return isinstance(value, Iterable) and getattr(value, "ndim", 1) > 0


def split(text: str) -> list[str]:
    """Return the parts between commas, which never stand inside of a number here.

    text: what was typed.
    """
    return _BETWEEN.split(text.strip())


def values_of(given: Any, read: Read, where: str) -> tuple[Any, ...]:
    """Return the values that a list, an array, or text stands for, each once, in the order given.

    given: what was passed or typed. read: reads one value. where: the option or argument, for errors.
    Raises CostcalcError for what cannot be read, and for more values than anyone reads.
    """
    if getattr(given, "ndim", 1) > 1:
        raise CostcalcError(f"an array of {given.ndim} dimensions", where=where, hint="give a list of one")
    parts = split(given) if isinstance(given, str) else list(given)
    if len(parts) > MOST_VALUES:
        raise _too_many(where)
    found: list[Any] = []
    for part in parts:
        text = part.strip() if isinstance(part, str) else part
        if isinstance(text, str) and _THOUSANDS.fullmatch(text):
            hint = "commas stand between values: write 128000 or 128k"
            raise CostcalcError(f"{shown(given)} has a value {shown(text)}", where=where, hint=hint)
        found += _range(text, read, where) if isinstance(text, str) and ":" in text else [read(text)]
    if not found:
        raise CostcalcError("the list is empty", where=where, hint=f"write it like {EXAMPLES}")
    if any(value is None for value in found):
        raise CostcalcError("one of several values must be a value", where=where, hint="leave 'auto' out of the list")
    if len(found) > MOST_VALUES:
        raise _too_many(where)
    return tuple(dict.fromkeys(found))


def _range(text: str, read: Read, where: str) -> list[Any]:
    """Return the values of 'low:high:step' or 'low:high:xfactor'; the last is the largest that is no more than high."""
    match = _RANGE.fullmatch(text)
    if match is None:
        raise CostcalcError(f"{shown(text)} is no range", where=where, hint=f"write it like {EXAMPLES}")
    low, high = read(match["low"]), read(match["high"])
    if isinstance(low, str) or isinstance(high, str) or low is None or high is None:
        raise CostcalcError(f"{shown(text)} is no range of numbers", where=where, hint=f"write it like {EXAMPLES}")
    step = match["step"].strip()
    factor = step[0] in "xX×*"
    by = _factor(step[1:], text, where) if factor else float(read(step.lstrip("+")))
    if by <= (1 if factor else 0) or low > high:
        raise CostcalcError(f"{shown(text)} never ends", where=where, hint="low:high:step, from low to high")
    values = [low]
    while (following := values[-1] * by if factor else low + len(values) * by) <= high * (1 + 1e-12):
        # Whole numbers stay whole where the quantity is.
        whole = isinstance(low, int) and not isinstance(low, bool)
        following = min(round(following) if whole else following, high)
        if following <= values[-1]:
            raise CostcalcError(f"{shown(text)} has steps of less than one", where=where, hint="take a larger factor")
        values.append(following)
        if len(values) > MOST_VALUES:
            raise _too_many(where)
    return values


def _factor(text: str, whole: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise CostcalcError(f"{shown(whole)} has no factor", where=where, hint=f"write it like {EXAMPLES}") from None


def _too_many(where: str) -> CostcalcError:
    return CostcalcError(f"more than {MOST_VALUES:,} values", where=where, hint="take larger steps")
