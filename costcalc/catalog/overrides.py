"""Values set on the command line (`--set gpu.memory_bandwidth=3.3TB/s`) over what a file says."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from costcalc.catalog.check import KeyPath, Positions, descend, has
from costcalc.catalog.yaml import Scalar, resolve_scalar
from costcalc.errors import CostcalcError, did_you_mean, nearest, shortened, shown

if TYPE_CHECKING:
    from costcalc.fields import Spec


TARGETS = ("model", "gpu")


def split_overrides(texts: Iterable[str], targets: Sequence[str] = TARGETS) -> dict[str, dict[str, str]]:
    """Return what `--set` options set, as {target: {path: value}}, with an entry for every target.

    texts: the options' values, such as 'gpu.memory_bandwidth=3.3TB/s'.
    targets: the first words allowed.
    Raises CostcalcError for one that does not read 'target.path=value' or sets a path twice.
    """
    split: dict[str, dict[str, str]] = {target: {} for target in targets}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        where = f"--set {shortened(name) or shown(text)}"
        if not equals:
            raise CostcalcError("the value is missing", where, "write it like --set gpu.memory_bandwidth=3.3TB/s")
        target, _, path = name.partition(".")
        if target not in split:
            known = " or ".join(f"'{each}.'" for each in targets)
            hint = did_you_mean(target, targets) if target else None
            raise CostcalcError(f"a path starts with {known}, not {shown(target)}", where, hint)
        if not path or not all(path.split(".")):
            raise CostcalcError("the path is not complete", where, f"write it like --set {target}.name=value")
        if path in split[target]:
            raise CostcalcError("this is set twice", where, "keep one")
        split[target][path] = value
    return split


def apply_overrides(
    data: Mapping[str, Any],
    overrides: Mapping[str, str],
    *,
    prefix: str,
    spec: type[Spec] | None = None,
    positions: Positions | None = None,
) -> dict[str, Any]:
    """Return a copy of raw specification data with values replaced.

    data: the raw data, as from load_yaml; left as it is.
    overrides: new values by dotted path, list items by number: {'attention.full.num_key_value_heads': '8'}.
    prefix: what stands before the path on the command line, for errors: 'model' or 'gpu'.
    spec: the class of the specification, which allows keys that the data leaves out.
    positions: remembers which paths were replaced, so that validation can name the option.
    Raises CostcalcError for an unknown path, with the nearest valid one.
    """
    changed: dict[str, Any] = copy.deepcopy(dict(data))
    for name, text in overrides.items():
        where = f"--set {shortened(f'{prefix}.{name}')}"
        path = _resolve_path(changed, name, prefix, where, spec)
        _put(changed, path, _read(text, where))
        if positions is not None:
            positions.overrides[path] = where
    return changed


def consequences(data: dict[str, Any], overrides: Mapping[str, str], prefix: str) -> list[str]:
    """Change what follows from values that were set, and return what to say of it.

    The memory that drivers and runtimes see is of the card as sold, and a price's source of the price that it had.

    data: the raw data with the values set; changed in place.
    overrides: what was set, by dotted path.
    prefix: 'model' or 'gpu'.
    """
    if prefix != "gpu":
        return []
    told = []
    if "memory" in overrides and "memory_reported" not in overrides and data.get("memory_reported") is not None:
        told.append(
            f"--set gpu.memory: memory_reported, {data['memory_reported']}, is of the card as sold and left out."
        )
        data["memory_reported"] = None
    if "memory" in overrides or "memory_reported" in overrides:
        data["runtime_memory"] = overrides.get("runtime_memory")
    if "price.usd_per_gpu_hour" in overrides and isinstance(price := data.get("price"), dict):
        kept = {key: value for key, value in price.items() if f"price.{key}" in overrides or key == "kind"}
        data["price"] = {
            "kind": "on-demand",
            "source": "--set gpu.price.usd_per_gpu_hour",
            "date": date.today().isoformat(),
            **kept,
        }
    return told


def _read(text: str, where: str) -> Scalar:
    cleaned = text.strip()
    if not cleaned:
        raise CostcalcError("the value is missing", where, "write null for what is unknown")
    if len(cleaned) >= 2 and cleaned[0] == cleaned[-1] and cleaned[0] in "'\"":
        return cleaned[1:-1]
    try:
        return resolve_scalar(cleaned)
    except CostcalcError as error:
        raise CostcalcError(error.message, where, error.hint) from None


def _resolve_path(data: dict[str, Any], name: str, prefix: str, where: str, spec: type[Spec] | None) -> KeyPath:
    path: KeyPath = ()
    value: Any = data
    steps = name.split(".")
    for index, text in enumerate(steps):
        step = int(text) if isinstance(value, list) and text.isdecimal() and len(text) < 7 else text
        is_last = index == len(steps) - 1
        if not has(value, step) and not _may_add(data, path, value, step, spec, is_last):
            raise _unknown_path(data, name, prefix, where, spec)
        path = (*path, step)
        value = descend(value, step)
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value)):
        inside = list(value) if isinstance(value, dict) else list(range(len(value)))
        example = f"{prefix}.{name}.{inside[0]}" if inside else "one of its keys"
        raise CostcalcError("this is a group of keys, not a value", where, f"set a value in it, such as {example}")
    return path


def _may_add(
    data: dict[str, Any],
    path: KeyPath,
    value: Any,
    step: str | int,
    spec: type[Spec] | None,
    is_last: bool,
) -> bool:
    """Return whether the specification has this key although the data leaves it out."""
    if spec is None or isinstance(step, int) or not (value is None or isinstance(value, dict)):
        return False
    from costcalc.catalog.check import allowed_keys

    keys = allowed_keys(spec, data, path)
    return step in keys if keys is not None else is_last and isinstance(value, dict)


def _unknown_path(data: dict[str, Any], name: str, prefix: str, where: str, spec: type[Spec] | None) -> CostcalcError:
    if spec is None:
        known = _data_paths(data)
    else:
        from costcalc.catalog.check import known_paths

        known = known_paths(spec, data)
    dotted = [".".join(map(str, path)) for path in known]
    near = nearest(name, dotted)
    hint = f"did you mean '{prefix}.{near}'?" if near else None
    top = list(dict.fromkeys(str(path[0]) for path in known))
    listed = ", ".join(top[:12]) + (f", ...; all of them: costcalc schema {prefix}" if len(top) > 12 else "")
    return CostcalcError("unknown key", where, hint or f"valid keys: {listed}")


def _data_paths(value: Any, path: KeyPath = ()) -> list[KeyPath]:
    steps: list[Any] = list(value) if isinstance(value, dict) else []
    if isinstance(value, list):
        steps = list(range(len(value)))
    return [each for step in steps for each in [(*path, step), *_data_paths(value[step], (*path, step))]]


def _put(data: dict[str, Any], path: KeyPath, value: Scalar) -> None:
    group: Any = data
    for step in path[:-1]:
        if descend(group, step) is None:
            group[step] = {}
        group = group[step]
    group[path[-1]] = value
