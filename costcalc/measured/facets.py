"""What a measurement is about: its GPU, model, engine, architecture and number formats, in the catalog's names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from costcalc.catalog.find import normal_name
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.measured.gpus import find_gpu
from costcalc.measured.load import Row
from costcalc.measured.rows import backend_of
from costcalc.measured.serving_case import find_model

UNNAMED = "-"


def gpu_name(row: Row) -> str:
    """The catalog's name of a row's GPU, or what the row says."""
    try:
        return find_gpu(str(row["gpu"]))[0]
    except CostcalcError:
        return str(row["gpu"]) or UNNAMED


def family(row: Row) -> str:
    """The architecture of a row's GPU."""
    try:
        return find_gpu(str(row["gpu"]))[1].architecture
    except CostcalcError:
        return UNNAMED


def model_name(row: Row) -> str:
    """The model of a row, or whose shape it has, by the catalog's name where it has one."""
    text = str(row.get("model") or row.get("model_shape") or "")
    try:
        return find_model(text).name if text else UNNAMED
    except CostcalcError:
        return text


def backend_name(row: Row) -> str:
    """The serving engine or library of a row."""
    words = f"{row.get('framework') or ''} {row.get('impl') or ''}".split()
    return backend_of(row) or (words[0].lower() if words else UNNAMED)


def precision_of(row: Row) -> str:
    """The number formats of a row: of its cache, queries, weights and experts, as far as they are named."""
    names = (str(row.get(column) or "") for column in ("dtype", "moe_dtype", "q_dtype", "kv_dtype"))
    return " / ".join(dict.fromkeys(name for name in names if name)) or UNNAMED


FACETS: Mapping[str, Callable[[Row], str]] = {
    "gpu": gpu_name,
    "model": model_name,
    "backend": backend_name,
    "family": family,
    "precision": precision_of,
}
"""What measurements can be divided by."""

_ASKED: Mapping[str, Callable[[str], str]] = {
    "gpu": lambda text: find_gpu(text)[0],
    "model": lambda text: find_model(text).name,
    "backend": lambda text: backend_of({"framework": text}) or text.strip().lower(),
}
"""How a name that somebody types is read, by what they ask for."""


def only(rows: Iterable[Row], facet: str, names: Iterable[str]) -> Callable[[Row], bool]:
    """Return whether a row is one of those that are asked for.

    rows: all of them. facet: 'gpu', 'model' or 'backend'. names: as typed, in any spelling.
    Raises CostcalcError for a name that none of the rows has, with the nearest one that some have.
    """
    of = FACETS[facet]
    known = {normal_name(name): name for name in map(of, rows)}
    wanted = {_asked(facet, name, known) for name in names}
    return lambda row: normal_name(of(row)) in wanted


def _asked(facet: str, name: str, known: Mapping[str, str]) -> str:
    try:
        read = normal_name(_ASKED[facet](name))
    except CostcalcError:
        read = normal_name(name)
    if read not in known:
        hint = did_you_mean(read, known.values()) or f"there are: {', '.join(sorted(known.values()))}"
        raise CostcalcError(f"no row is of {shown(name)}", where=f"--{facet}", hint=hint)
    return read
