"""A configuration read into a model of the catalog: its family detected, its layers read, its YAML written."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import ValidationError

from costcalc.catalog.check import CONFIG_BYTES, place, validate, validator
from costcalc.catalog.huggingface.config import (
    QUANTIZATION,
    STDIN,
    Document,
    Fields,
    Source,
    find_source,
    parse_document,
)
from costcalc.catalog.huggingface.hub import address_of
from costcalc.catalog.huggingface.quantization import precision_of
from costcalc.catalog.huggingface.shape import Entry, Family, Layer, Shape, families, is_interleaved, read_shape, runs
from costcalc.catalog.yaml import parse_yaml, resolve_scalar
from costcalc.errors import CostcalcError, nearest, shown
from costcalc.model.spec import ModelSpec
from costcalc.units import format_count

_NESTED = ("text_config", "llm_config", "language_config")
_LIKE = 4
"""Letters that names of one family have in common at least."""
_OTHER_PARTS = ("vision_config", "audio_config", "vision_tower", "speech_config")
_LOOKALIKES = {
    "weight_map": "this is the index of the weights; config.json stands beside it",
    "tokenizer_class": "this is the tokenizer's configuration; config.json stands beside it",
    "peft_type": "this is an adapter; import the config.json of the model that it adapts",
    "quantization": "this is hf_quant_config.json; name the folder, and both files are read",
    "dim": "this is a params.json; the Hugging Face form of the checkpoint has a config.json",
}


class Detected(NamedTuple):
    """A family, the settings of the language model, those around it, and the architecture's name."""

    family: Family
    fields: Fields
    outer: Fields
    architecture: str


@cache
def _table() -> tuple[dict[str, Family], dict[str, Family]]:
    architectures = {name: family for family in families() for name in family.architectures}
    types = {name: family for family in families() for name in family.types}
    return architectures, types


def known_architectures() -> list[str]:
    """Return the names of the architectures that can be imported, sorted."""
    return sorted(_table()[0])


def detect(document: Document) -> Detected:
    """Return the family that a configuration belongs to.

    document: the config.json.
    Raises CostcalcError when it names none, or one that is not known, with the closest known one.
    """
    data = document.data
    outer = Fields(document, data)
    nested = next((key for key in _NESTED if isinstance(data.get(key), dict)), None)
    if nested is None and (wrong := next((key for key in _NESTED if key in data), None)):
        what = "is null" if data[wrong] is None else f"must be an object, got {shown(data[wrong])}"
        raise outer.error(wrong, what, "it holds the settings of the language model")
    if nested is None:
        family, architecture = _family_of(outer)
        if any(key in data for key in _OTHER_PARTS):
            if not any(key in data for key in ("hidden_size", "num_hidden_layers", "n_layer", "d_model")):
                raise outer.error("text_config", "is missing", "it holds the settings of the language model")
            outer.note("The text model; the vision tower is not counted.")
        fields = family.fields(document, data)
        fields.notes = outer.notes
        return Detected(family, fields, outer, architecture)
    inner = Fields(document, data[nested], (nested,))
    named = inner if inner.get("architectures") or inner.has("model_type") else outer
    family, architecture = _family_of(named)
    fields = family.fields(document, data[nested], (nested,))
    _inherit(fields, outer)
    around = next(iter(outer.words("architectures") or []), None)
    if around is not None and around not in _table()[0]:
        fields.note(f"Only the language model inside {shown(around)} is read, which is a {architecture}.")
    fields.note("The text model; the vision tower is not counted.")
    return Detected(family, fields, outer, architecture)


def family_name(detected: Detected) -> str:
    """Return the family as people call it: a Kimi K2 has the architecture of a DeepSeek-V3, but says what it is."""
    by_type = _table()[1]
    kinds = (detected.outer.get("model_type"), detected.fields.get("model_type"))
    named = [by_type[kind].name for kind in kinds if isinstance(kind, str) and kind in by_type]
    return named[0] if named else detected.family.name


def _inherit(fields: Fields, outer: Fields) -> None:
    """Take what stands around the language model for what it does not say itself."""
    for name in ("tie_word_embeddings", "torch_dtype", "dtype"):
        value: Any = outer.data.get(name)
        if value is not None and not fields.has(name):
            fields.data = {**fields.data, name: value}


def _family_of(fields: Fields) -> tuple[Family, str]:
    listed = fields.words("architectures")
    kind = fields.text("model_type")
    by_architecture, by_type = _table()
    if listed:
        family = by_architecture.get(listed[0])
        if family is not None:
            return family, listed[0]
        raise _unknown(fields, listed[0], kind)
    if kind is None:
        raise _nameless(fields)
    if kind not in by_type:
        raise fields.error("model_type", f"unknown model_type {shown(kind)}", _hint(nearest(kind, by_type)))
    fields.note(f"The file names no architecture; read by its model_type, {kind}.")
    return by_type[kind], by_type[kind].architectures[0]


def _unknown(fields: Fields, architecture: str, kind: str | None) -> CostcalcError:
    _, by_type = _table()
    told = f" (model_type {shown(kind)})" if kind else ""
    if kind in by_type:
        first = by_type[kind].architectures[0]
        hint = f"the closest known one is '{first}', which is read if a copy of the file names it"
    else:
        hint = _hint(_closest(architecture, kind))
    return fields.error("architectures", f"unknown architecture {shown(architecture)}{told}", hint)


def _hint(near: str | None) -> str:
    return "docs/import.md lists those that are read" if near is None else f"the closest known one is '{near}'"


def _closest(architecture: str, kind: str | None) -> str | None:
    """The known architecture of the same family, by how the names begin; else one that is spelled like it, if any."""
    by_architecture, _ = _table()

    def likeness(name: str, family: Family) -> int:
        begun = [_common(_stem(architecture), _stem(name)), *(_common(kind or "", each) for each in family.types)]
        inside = max((len(each) for each in family.types if each in (kind or architecture).casefold()), default=0)
        return max(*begun, inside)

    best = max(by_architecture, key=lambda name: likeness(name, by_architecture[name]))
    if likeness(best, by_architecture[best]) >= _LIKE:
        return best
    stems = {_stem(name): name for name in by_architecture}  # their endings are all alike
    near = nearest(_stem(architecture), stems, cutoff=0.8)
    return None if near is None else stems[near]


def _stem(architecture: str) -> str:
    return architecture.partition("For")[0]


def _common(one: str, other: str) -> int:
    """How many letters two names begin with alike."""
    pairs = zip(one.casefold(), other.casefold(), strict=False)
    return next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _nameless(fields: Fields) -> CostcalcError:
    hint = next((text for key, text in _LOOKALIKES.items() if key in fields.data), "is this a config.json?")
    where = fields.document.place(fields.path)
    return CostcalcError("names neither architectures nor a model_type", where, hint)


# A configuration read into a model of the catalog.


@dataclass(frozen=True, slots=True)
class Imported:
    """A model read from a configuration: its specification, the text of its file, and what was fetched for it."""

    spec: ModelSpec
    text: str
    fetched: tuple[str, ...] = ()  # addresses


def import_model(source: str, *, name: str | None = None, online: bool = False, today: date | None = None) -> Imported:
    """Return the model that a Hugging Face configuration describes, as a file for the catalog.

    source: a config.json, a folder that holds one, a hub id, or '-' for standard input. name: of the model, in place
    of its file's. online: whether a hub id may be fetched. today: the date to write into its sources.
    Raises CostcalcError with file:line:column when it cannot be read or belongs to no known family.
    """
    if source == STDIN:
        found = Source(Path("stdin"), None, None, "config.json, from standard input", "imported-model")
        document = parse_document(_standard_input(), found.config)
    else:
        found = find_source(source, online=online)
        document = found.document(found.config)
    detected = detect(document)
    shape = read_shape(detected.family, detected.fields)
    blank = _spec({"name": "model", **_shape_data(shape), "precision": {}}, document)
    precision = precision_of(detected.fields, _quantization(detected, found), shape, blank)
    extra = f" and {QUANTIZATION}" if found.quantization else ""
    when = (today or date.today()).isoformat()
    data = {
        "name": name or found.name,
        "aliases": [],
        **({"hf_id": found.hf_id} if found.hf_id else {}),
        "family": family_name(detected),
        **_shape_data(shape),
        "precision": precision,
        **({"mtp": {**shape.prediction, **_labels(shape.prediction)}} if shape.prediction else {}),
        "sources": [{"what": "shape", "source": found.told + extra, "date": when, "provenance": "seen"}],
        "notes": _notes(detected, shape, blank),
    }
    text = model_yaml(data)
    raw, positions = parse_yaml(text, found.config)
    spec = validate(ModelSpec, raw, positions, found.config)
    return Imported(spec, text, tuple(address_of(str(found.hf_id), each.name) for each in found.texts))


def _standard_input() -> str:
    if sys.stdin is None:
        raise CostcalcError("it is closed", "stdin", "pipe a config.json, or name a file")
    content = sys.stdin.buffer.read(CONFIG_BYTES + 1)
    if len(content) > CONFIG_BYTES:
        raise CostcalcError(f"larger than {CONFIG_BYTES / 1e6:g} MB", "stdin", "is this a config.json?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CostcalcError("not UTF-8 text", "stdin", "pipe a config.json in UTF-8") from None


def _shape_data(shape: Shape) -> Entry:
    return {
        **dict.fromkeys(("hidden_size", "vocab_size")),
        "tied_embeddings": False,
        "max_context": None,
        **shape.model,
        "attention": shape.attention,
        "feedforward": shape.feedforward,
        "layers": [_group(count, layer) for count, layer in runs(shape.layers)],
    }


def _group(count: int, layer: Layer) -> Entry:
    group: Entry = {"count": count, "attention": layer.attention, "feedforward": _label(layer.feedforward)}
    return group if layer.norms is None else {**group, "norms": layer.norms}


def _labels(prediction: Entry) -> Entry:
    return {table: _label(prediction[table]) for table in ("attention", "feedforward")}


def _label(labels: Sequence[str]) -> str | list[str] | None:
    return list(labels) if len(labels) > 1 else labels[0] if labels else None


def _notes(detected: Detected, shape: Shape, spec: ModelSpec) -> list[str]:
    fields = detected.fields
    notes = list(fields.notes)
    if is_interleaved(shape.layers):
        notes.insert(0, "Layers of different kinds alternate; equal ones are counted together.")
    if fields.defaults_used:
        used = ", ".join(f"{name} {_flow(value)}" for name, value in sorted(fields.defaults_used.items()))
        notes.append(f"Left out of the file, and taken from the defaults of its class: {used}.")
    if "max_context" not in shape.model:
        notes.append("The file does not say how long a context may be.")
    total, active = format_count(spec.total_parameters), format_count(spec.active_parameters)
    notes.append(
        f"The shape has {total} parameters, {active} of them active; the file does not say what its makers publish."
    )
    return notes


def _quantization(detected: Detected, found: Source) -> list[Fields]:
    """Return the quantization blocks: of the configuration first, then of ModelOpt's file beside it."""
    groups = [
        fields.group(name)
        for fields in (detected.fields, detected.outer)
        for name in ("quantization_config", "compression_config")
    ]
    if found.quantization is not None:
        beside = found.document(found.quantization)
        groups.append(Fields(beside, beside.data).group("quantization"))
        if groups[-1] is None:
            raise CostcalcError("names no quantization", place(found.quantization), "remove the file, or mend it")
    return [group for group in groups if group is not None]


def _spec(data: Mapping[str, Any], document: Document) -> ModelSpec:
    """Return the specification of raw data; what it finds wrong is told of the configuration."""
    try:
        return validator(ModelSpec).validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        keys = [str(key) for key in first["loc"] if not isinstance(key, int)]
        text = first["msg"].removeprefix("Value error, ")
        raise CostcalcError(
            f"the settings do not make a model: {keys[-1] if keys else 'model'}: {text}", place(document.path)
        ) from None


# A model as YAML text in the form of the catalog's own files.


MODELINE = "# yaml-language-server: $schema=../docs/schemas/model.json"
WIDTH = 110
_PLAIN = re.compile(r"[A-Za-z0-9_./(][\w ./()$'+,;:=%-]*", re.ASCII)
# A blank line stands before these keys: who the model is, its shape, where it comes from.
_STARTS = ("hidden_size", "sources")
_BLOCKS = ("attention", "feedforward")


def model_yaml(model: Mapping[str, Any]) -> str:
    """Return the YAML text of a model.

    model: its data, in the order in which to write it.
    """
    lines = [MODELINE]
    for key, value in model.items():
        if key in _STARTS:
            lines.append("")
        if key in _BLOCKS and value:
            lines.append(f"{key}:")
            for label, variant in value.items():
                lines += _mapping(f"  {label}: ", variant, 4)
        elif isinstance(value, Sequence) and value and not isinstance(value, str) and key != "aliases":
            lines.append(f"{key}:")
            for item in value:
                lines += _item(item)
        elif isinstance(value, Mapping):
            lines += _mapping(f"{key}: ", value, 2)
        else:
            lines += _text(f"{key}: ", value, 2)
    return "\n".join(lines) + "\n"


def _mapping(prefix: str, value: Mapping[str, Any], indent: int) -> list[str]:
    """Return a mapping on one line where it fits, else one key a line."""
    whole = prefix + _flow(value)
    if len(whole) <= WIDTH:
        return [whole]
    return [prefix.rstrip()] + [f"{' ' * indent}{key}: {_flow(each)}" for key, each in value.items()]


def _item(value: Any) -> list[str]:
    if not isinstance(value, Mapping):
        return _text("  - ", value, 4)
    whole = "  - " + _flow(value)
    if len(whole) <= WIDTH:
        return [whole]
    lines: list[str] = []
    for key, each in value.items():
        prefix = f"    {key}: " if lines else f"  - {key}: "
        lines += _text(prefix, each, 6)
    return lines


def _text(prefix: str, value: Any, indent: int) -> list[str]:
    """Return 'key: text', folded over several lines when it is long."""
    whole = prefix + _flow(value, inside=False)
    if len(whole) <= WIDTH or not isinstance(value, str) or not value.isprintable() or value != " ".join(value.split()):
        return [whole]
    lines, current = [prefix + ">-"], ""
    for word in value.split(" "):
        if current and indent + len(current) + 1 + len(word) > WIDTH:
            lines.append(" " * indent + current)
            current = ""
        current = f"{current} {word}" if current else word
    return [*lines, " " * indent + current]


def _flow(value: Any, inside: bool = True) -> str:
    """Return a value on one line.

    inside: whether it stands inside brackets, where commas need quotes.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flow(each) for each in value) + "]"
    if not isinstance(value, str):
        return repr(value)
    return value if _is_plain(value, inside) else _quoted(value)


def _is_plain(text: str, inside: bool) -> bool:
    if not _PLAIN.fullmatch(text) or text != text.strip() or ": " in text or text.endswith(":"):
        return False
    if inside and ("," in text or ":" in text):
        return False
    # yes, no, on and off are text here, but not to other readers of YAML.
    return resolve_scalar(text) == text and text[0].isalpha() and text.lower() not in _WORDS


_WORDS = {"yes", "no", "on", "off", "y", "n", "true", "false", "null", "none"}


def _quoted(text: str) -> str:
    shown = "".join(
        character if character.isprintable() else f"\\u{ord(character):04x}"
        for character in text.replace("\\", "\\\\").replace('"', '\\"')
        if ord(character) <= 0xFFFF or character.isprintable()
    )
    return f'"{shown}"'
