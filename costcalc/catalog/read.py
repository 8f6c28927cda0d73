"""Catalog files read into specifications: what one extends, and what `--set gpu.memory=96GB` or `derive` changes."""

from __future__ import annotations

import copy
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from costcalc.catalog.check import (
    EXTENDED_FILES,
    KeyPath,
    Positions,
    allowed_keys,
    descend,
    has,
    known_paths,
    place,
    validate,
)
from costcalc.catalog.files import Folders, Kind
from costcalc.catalog.yaml import Scalar, load_yaml, parse_yaml, resolve_scalar
from costcalc.errors import LONGEST_NAME, CostcalcError, did_you_mean, nearest, shortened, shown
from costcalc.fields import Spec
from costcalc.hardware.accelerator import Accelerator
from costcalc.units import format_bytes, parse_quantity

KEY = "extends"
_OWN = ("name", "aliases", "hf_id")
"""What belongs to the entry itself and is never taken from another one."""
_ADDED = ("prices", "api_prices")
"""Lists that are put before those of the other entry; every other list replaces its own."""
_OF_THE_MACHINE = {"memory", "memory_bandwidth", "peak_flops"}
"""What prices are asked for: an accelerator with another of these is not one that anybody lets."""
_OF_NO_WEIGHTS = {
    *("name", "aliases", "same_shape", "hf_id", "family", "released", "max_context", "precision", "published"),
    *("api_prices", "sources", "notes", "caveats", "measured_as"),
}
"""What a variant of a model may say without having other weights than the entry that it extends."""


def extended(
    kind: Kind,
    path: str | Path,
    data: dict[str, Any],
    positions: Positions,
    folders: Folders,
    seen: tuple[Path, ...] = (),
) -> dict[str, Any]:
    """Return the raw data of a file with what it leaves out, from the entry that its `extends` names.

    Groups are joined key by key, values and lists replace those of the entry; `prices` and `api_prices` are put before
    its own, and so are `sources` of an accelerator, whose own stay for the facts that are not given. What has a source
    of its own, as a price, is replaced as a whole. Name and aliases stay apart: a file of another name is another
    entry.

    kind: 'models' or 'hardware_profiles'.
    data: its raw data, as from load_yaml.
    positions: where its keys stand; where nothing stands, errors will point at `extends`.
    folders: where the entry is looked up. seen: files that led here.
    Raises CostcalcError with file:line:column when the entry does not exist or extends this one.
    """
    if KEY not in data:
        return data
    where = place(path, positions.of_value((KEY,)))
    other = _other(kind, path, data[KEY], where, folders)
    seen = (*seen, _real(path))
    if _real(other) in seen or len(seen) > EXTENDED_FILES:
        raise CostcalcError(f"{shown(data[KEY])} leads back to this file", where, "extend an entry that stands alone")
    inherited, inherited_positions = load_yaml(other)
    inherited = extended(kind, other, inherited, inherited_positions, folders, seen)
    own = {key: value for key, value in data.items() if key != KEY}
    base = {key: value for key, value in inherited.items() if key not in _OWN or _same_name(path, other)}
    positions.values_at[()] = positions.values_at[(KEY,)]
    positions.pop((), None)
    own.setdefault("name", inherited.get("name") if _same_name(path, other) else Path(path).stem)
    if kind == "models" and own.keys() - _OF_NO_WEIGHTS:
        base.pop("published", None)  # the count is of the other's weights
    machine = own.keys() & _OF_THE_MACHINE if kind == "hardware_profiles" else set()
    priced = kind == "hardware_profiles" and own.get("price") is not None and not _same_name(path, other)
    for key in ("prices", "price") if machine else ("prices",) if priced else ():
        base.pop(key, None)  # are asked for what the entry is not
    joined = _joined(base, own, ())
    if kind == "hardware_profiles":
        consequences(joined, {key: value for key, value in own.items() if key in _MEMORY}, "gpu", inherited)
    if kind == "hardware_profiles" and isinstance(base.get("sources"), list):
        added = own.get("sources")
        if added is None or isinstance(added, list):
            joined["sources"] = [*(added or []), *_sources_of_the_rest(base, own)]
    return joined


_MEMORY = ("memory", "memory_reported", "runtime_memory")


def _other(kind: Kind, path: str | Path, name: Any, where: str, folders: Folders) -> Path:
    """The file that a name means: never the file itself, so that one may extend the entry that it shadows."""
    if not isinstance(name, str) or not name.strip():
        raise CostcalcError(f"extends: expected the name of an entry, got {shown(name)}", where)
    if os.sep in name or name.lower().endswith((".yaml", ".yml")):
        return Path(path).parent / os.path.expanduser(name)  # noqa: PTH111 - unlike Path.expanduser, never raises
    try:
        return folders.find(kind, name, without=_real(path))
    except CostcalcError as error:
        raise CostcalcError(f"extends: {error.message}", where, error.hint) from None


def _joined(base: Any, own: Any, path: KeyPath) -> Any:
    if path and path[-1] in _ADDED and isinstance(base, list) and isinstance(own, list):
        return [*own, *base]
    if not isinstance(base, dict) or not isinstance(own, dict) or "source" in own or _differ(base, own):
        return own
    return {
        **base,
        **{key: _joined(base[key], value, (*path, key)) if key in base else value for key, value in own.items()},
    }


def _sources_of_the_rest(base: dict[str, Any], own: dict[str, Any]) -> list[Any]:
    """The sources of an accelerator's facts that a variant leaves as they are; what it changes needs its own."""
    kept = []
    for source in base["sources"]:
        if not isinstance(source, dict) or not isinstance(source.get("fields"), list):
            return list(base["sources"])  # told where it stands
        fields = [each for field in source["fields"] for each in _unchanged(str(field), base, own)]
        kept += [{**source, "fields": fields}] if fields else []
    return kept


def _unchanged(field: str, base: dict[str, Any], own: dict[str, Any]) -> list[str]:
    """A field of a source, or the parts of it, that a variant does not say itself."""
    group, _, part = field.partition(".")
    if group not in own:
        return [field]
    new, old = own[group], base.get(group)
    if not isinstance(new, dict) or not isinstance(old, dict):
        return []
    if part:
        return [] if part in new else [field]
    return [f"{group}.{key}" for key in old if key not in new]


def _differ(base: dict[str, Any], own: dict[str, Any]) -> bool:
    """Whether two layers are of different kinds, whose keys do not go together."""
    return "kind" in own and "kind" in base and own["kind"] != base["kind"]


def _same_name(path: str | Path, other: Path) -> bool:
    return Path(path).stem.casefold() == other.stem.casefold()


def _real(path: str | Path) -> Path:
    return Path(os.path.realpath(path))


# Values set on the command line over what a file says.


TARGETS = ("model", "gpu")


def split_overrides(texts: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return what `--set` options set, as {target: {path: value}}, with an entry for every target.

    texts: the options' values, such as 'gpu.memory_bandwidth=3.3TB/s'.
    Raises CostcalcError for one that does not read 'target.path=value' or sets a path twice.
    """
    split: dict[str, dict[str, str]] = {target: {} for target in TARGETS}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        where = f"--set {shortened(name) or shown(text)}"
        if not equals:
            raise CostcalcError("the value is missing", where, "write it like --set gpu.memory_bandwidth=3.3TB/s")
        target, _, path = name.partition(".")
        if target not in split:
            hint = did_you_mean(target, TARGETS) if target else None
            raise CostcalcError(f"a path starts with 'model.' or 'gpu.', not {shown(target)}", where, hint)
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
    spec: type[Spec],
    positions: Positions,
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
        positions.overrides[path] = where
    return changed


def consequences(
    data: dict[str, Any], overrides: Mapping[str, str], prefix: str, before: Mapping[str, Any]
) -> list[str]:
    """Change what follows from values that were set, and return what to say of it.

    The memory that drivers and runtimes see is of the card as sold, but what a system lets the GPU have of the memory
    that they share is a share of it, which stays; a price's source is of the price that it had.

    data: the raw data with the values set; changed in place.
    overrides: what was set, by dotted path.
    prefix: 'model' or 'gpu'. before: the raw data as the file has it.
    """
    if prefix != "gpu":
        return []
    told = []
    if "memory" in overrides and "memory_reported" not in overrides and data.get("memory_reported") is not None:
        what = f"{_size(before['memory_reported'])}, is of the card as sold and left out."
        seen = _of_shared_memory(before, data["memory"])
        if seen is not None:
            share = f"{_size(before['memory_reported'])} of {_size(before['memory'])}"
            what = f"what the system lets the GPU have, stays {share}."
        data["memory_reported"] = seen
        told.append(f"--set gpu.memory: memory_reported, {what}")
    if ("memory" in overrides or "memory_reported" in overrides) and data.get("runtime_memory") is not None:
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


def _size(value: Any) -> str:
    """A size as the file has it, or as a specification does [B]."""
    return format_bytes(value) if isinstance(value, float) else str(value)


def _of_shared_memory(before: Mapping[str, Any], memory: Any) -> float | None:
    """What a GPU may have of another size of the memory that it shares with the processor [B].

    None of a GPU with memory of its own, and of a size that cannot be read, which the check of the data tells.
    """
    if "unified" not in str(before.get("memory_type")):
        return None
    try:
        seen, sold, now = (
            parse_quantity(str(each), "bytes") for each in (before["memory_reported"], before["memory"], memory)
        )
    except CostcalcError:
        return None
    return seen / sold * now if sold else None


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


def _resolve_path(data: dict[str, Any], name: str, prefix: str, where: str, spec: type[Spec]) -> KeyPath:
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
    spec: type[Spec],
    is_last: bool,
) -> bool:
    """Return whether the specification has this key although the data leaves it out."""
    if isinstance(step, int) or not (value is None or isinstance(value, dict)):
        return False
    keys = allowed_keys(spec, data, path)
    return step in keys if keys is not None else is_last and isinstance(value, dict)


def _unknown_path(data: dict[str, Any], name: str, prefix: str, where: str, spec: type[Spec]) -> CostcalcError:
    known = known_paths(spec, data)
    dotted = [".".join(map(str, path)) for path in known]
    near = nearest(name, dotted)
    hint = f"did you mean '{prefix}.{near}'?" if near else None
    top = list(dict.fromkeys(str(path[0]) for path in known))
    listed = ", ".join(top[:12]) + (f", ...; all of them: costcalc schema {prefix}" if len(top) > 12 else "")
    return CostcalcError("unknown key", where, hint or f"valid keys: {listed}")


def _put(data: dict[str, Any], path: KeyPath, value: Any) -> None:
    group: Any = data
    for step in path[:-1]:
        if descend(group, step) is None:
            group[step] = {}
        group = group[step]
    group[path[-1]] = value


# Models and accelerators from the catalog as validated specifications.


SpecT = TypeVar("SpecT", bound=Spec)
_KINDS: dict[str, Kind] = {"ModelSpec": "models", "Accelerator": "hardware_profiles"}


def load_spec(
    spec: type[SpecT],
    path: str | Path,
    prefix: str,
    overrides: Mapping[str, str] | None = None,
    remarks: Sequence[str] = (),
    *,
    folders: Folders | None = None,
    text: str | None = None,
) -> SpecT:
    """Return the specification that one YAML file describes.

    prefix: what stands before an override's path on the command line: 'model' or 'gpu'.
    overrides: values to replace, by dotted path.
    remarks: what every estimate has to say about how the file was found.
    folders: where what the file extends is looked up; by default those of every command. text: what the file would
        hold, where it is made of another one.
    Raises CostcalcError with file:line:column, or the option, of the first mistake.
    """
    data, positions = load_yaml(path) if text is None else parse_yaml(text, path)
    kind = _KINDS.get(spec.__name__)
    if kind is not None:
        _check_kind(kind, data, path)
        if "extends" in data:
            data = extended(kind, path, data, positions, folders or Folders())
    if overrides:
        before = data
        data = apply_overrides(data, overrides, prefix=prefix, spec=spec, positions=positions)
        remarks = (*remarks, *consequences(data, overrides, prefix, before))
    return validate(spec, _with_caveats(data, remarks), positions, path)


def _with_caveats(data: dict[str, Any], remarks: Sequence[str]) -> dict[str, Any]:
    return {**data, "caveats": [*(data.get("caveats") or ()), *remarks]} if remarks else data


def derived(base: SpecT, changes: Mapping[str, Any]) -> SpecT:
    """Return a model or an accelerator with some values changed, read as files and `--set` are.

    Its name says what was changed, unless that is changed too.

    changes: by name or dotted path. A mapping changes the values inside its group, key by key; one of another `kind`,
        and a list, replace what was there.
    Raises CostcalcError, which names the path, for what is unknown and for what cannot be.
    """
    kind = "model" if _KINDS[type(base).__name__] == "models" else "gpu"
    before, positions = raw(base), Positions()
    data, texts = copy.deepcopy(before), dict[str, str]()
    changed = dict(_each_value(changes, before))
    for path, value in changed.items():
        if isinstance(value, dict | list):
            _put(data, tuple(path.split(".")), value)
        else:
            texts[path] = as_text(value)
    if changes and "name" not in changes:
        data["name"] = _name_of(str(before["name"]), changes)
        data["measured_as"] = before.get("measured_as") or before["name"]
    try:
        with_values = apply_overrides(data, texts, prefix=kind, spec=type(base), positions=positions)
        remarks = consequences(with_values, texts, kind, before)
        if isinstance(base, Accelerator):
            remarks += _prices_of_another(with_values, {path.partition(".")[0] for path in changed}, base)
        typed = [each.replace(f"--set {kind}.", "") for each in remarks]
        return validate(type(base), _with_caveats(with_values, typed), positions)
    except CostcalcError as error:
        raise by_path(error, kind) from None


def _prices_of_another(data: dict[str, Any], changed: Collection[str], base: Accelerator) -> list[str]:
    """Leave out the prices that others ask for what an accelerator was made of, and say whose price stays.

    data: with the values set; changed in place. changed: the fields that are.
    """
    priced, machine = "price" in changed and data.get("price") is not None, _OF_THE_MACHINE & set(changed)
    if "prices" in changed or not (priced or machine):
        return []
    data.pop("prices", None)
    kept = None if priced else base.price_for()
    if kept is None or kept.kind is None or kept.date is None:
        return []
    source = ", ".join(filter(None, (f"of {base.name}", kept.provider, kept.source)))
    data["price"] = {"usd_per_gpu_hour": kept.usd_per_gpu_hour, "kind": kept.kind, "source": source, "date": kept.date}
    return [] if base.measured_as else [f"The price is that of {base.name}; price.usd_per_gpu_hour sets another."]


_TOLD = 3
"""Changes that a derived name tells."""


def _name_of(name: str, changes: Mapping[str, Any]) -> str:
    """A name with what was changed: 'NVIDIA H100 SXM5 80GB, memory 141 GB'."""
    told = [f"{path.rpartition('.')[2].replace('_', ' ')} {text}" for path, text in _leaves(changes)]
    more = [f"{len(told) - _TOLD} more"] if len(told) > _TOLD else []
    return shortened(", ".join([name, *told[:_TOLD], *more]), LONGEST_NAME)


def _leaves(changes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in changes.items():
        own = raw(value)
        if isinstance(own, dict):
            yield from _leaves(own)
        else:
            yield key, "otherwise" if isinstance(own, list) else as_text(own)


def raw(value: Any) -> Any:
    """Return a specification as files would write it, in SI units and without what is left to its default."""
    if is_dataclass(value):
        given = {each.name: (getattr(value, each.name), each.default) for each in fields(value)}
        return {name: raw(own) for name, (own, default) in given.items() if own != default or name == "kind"}
    if isinstance(value, Mapping):
        return {key: raw(item) for key, item in value.items()}
    return [raw(item) for item in value] if isinstance(value, tuple | list) else value


def _each_value(changes: Mapping[str, Any], base: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what is changed by its dotted path; a group of the same kind by the values in it."""
    for key, value in changes.items():
        own, there = raw(value), base.get(key) if isinstance(base, dict) else None
        if isinstance(own, dict) and isinstance(there, dict) and not _differ(there, own):
            yield from _each_value(own, there, f"{path}{key}.")
        else:
            yield f"{path}{key}", own


def as_text(value: Any) -> str:
    """Return a value of Python as it would be written in a file."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def by_path(error: CostcalcError, kind: str) -> CostcalcError:
    """Return an error of `--set` as Python callers know what they passed: by its path alone."""
    where, hint = (text and text.replace(f"--set {kind}.", "") for text in (error.where, error.hint))
    hint = hint and hint.replace(f"'{kind}.", "'").replace(f"such as {kind}.", "such as ")
    return CostcalcError(error.message, where, hint)


def _check_kind(kind: Kind, data: Mapping[str, Any], path: str | Path) -> None:
    """Raise CostcalcError for a file that is of the other kind, or of another program."""
    if "architectures" in data or "model_type" in data:
        hint = f"turn it into a model file with: costcalc models import {path} -o my-model.yaml"
        raise CostcalcError("this is a Hugging Face configuration", place(path), hint)
    if kind == "models" and "peak_flops" in data and "layers" not in data:
        raise CostcalcError("this is an accelerator file", place(path), "name it with --gpu")
    if kind == "hardware_profiles" and "layers" in data and "peak_flops" not in data:
        raise CostcalcError("this is a model file", place(path), "name it with --model")
