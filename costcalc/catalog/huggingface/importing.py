"""A configuration read into a model of the catalog."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from costcalc.catalog.huggingface.detect import Detected, detect, family_name
from costcalc.catalog.huggingface.document import MAX_BYTES, Document, parse_document, read_document
from costcalc.catalog.huggingface.fields import Fields
from costcalc.catalog.huggingface.precision import precision_of
from costcalc.catalog.huggingface.shape import Entry, Layer, Shape, is_interleaved, runs
from costcalc.catalog.huggingface.source import QUANTIZATION, STDIN, Source, find_source
from costcalc.catalog.huggingface.writer import model_yaml
from costcalc.catalog.positions import place
from costcalc.catalog.validation import adapter, validate
from costcalc.catalog.yaml import parse_yaml
from costcalc.errors import CostcalcError
from costcalc.readable import format_count
from costcalc.specs.model import ModelSpec


@dataclass(frozen=True, slots=True)
class Imported:
    """A model read from a configuration: its specification, and the text of its file."""

    spec: ModelSpec
    text: str


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
        document = read_document(found.config)
    detected = detect(document)
    shape = detected.family.read(detected.fields)
    blank = _spec({"name": "model", **_shape_data(shape), "precision": {}}, document)
    precision = precision_of(detected.fields, _quantization(detected, found), shape, blank)
    data = {
        **_identity(found, name, detected),
        **_shape_data(shape),
        "precision": precision,
        **({"mtp": shape.prediction} if shape.prediction else {}),
        "sources": [_source(found, today or date.today())],
        "notes": _notes(detected, shape, blank),
    }
    text = model_yaml(data)
    raw, positions = parse_yaml(text, found.config)
    return Imported(validate(ModelSpec, raw, positions, found.config), text)


def _standard_input() -> str:
    content = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise CostcalcError(f"larger than {MAX_BYTES / 1e6:g} MB", "stdin", "is this a config.json?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CostcalcError("not UTF-8 text", "stdin", "pipe a config.json in UTF-8") from None


def _identity(found: Source, name: str | None, detected: Detected) -> Entry:
    known = {"hf_id": found.hf_id} if found.hf_id else {}
    return {"name": name or found.name, "aliases": [], **known, "family": family_name(detected)}


def _shape_data(shape: Shape) -> Entry:
    return {
        "hidden_size": shape.hidden_size,
        "vocab_size": shape.vocab_size,
        "tied_embeddings": shape.tied,
        "max_context": shape.max_context,
        **shape.settings,
        "attention": shape.attention,
        "feedforward": shape.feedforward,
        "layers": [_group(count, layer) for count, layer in runs(shape.layers)],
    }


def _group(count: int, layer: Layer) -> Entry:
    parts = layer.feedforward
    feedforward = list(parts) if isinstance(parts, tuple) else parts
    group: Entry = {"count": count, "attention": layer.attention, "feedforward": feedforward}
    return group if layer.norms is None else {**group, "norms": layer.norms}


def _source(found: Source, today: date) -> Entry:
    extra = f" and {QUANTIZATION}" if found.quantization else ""
    return {"what": "shape", "source": found.told + extra, "date": today.isoformat(), "provenance": "seen"}


def _notes(detected: Detected, shape: Shape, spec: ModelSpec) -> list[str]:
    fields = detected.fields
    notes = list(fields.notes)
    if is_interleaved(shape.layers):
        notes.insert(0, "Layers of different kinds alternate; equal ones are counted together.")
    if fields.defaults_used:
        used = ", ".join(f"{name} {_word(value)}" for name, value in sorted(fields.defaults_used.items()))
        notes.append(f"Left out of the file, and taken from the defaults of its class: {used}.")
    if shape.max_context is None:
        notes.append("The file does not say how long a context may be.")
    total, active = format_count(spec.total_parameters), format_count(spec.active_parameters)
    notes.append(
        f"The shape has {total} parameters, {active} of them active; the file does not say what its makers publish."
    )
    return notes


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quantization(detected: Detected, found: Source) -> list[Fields]:
    """Return the quantization blocks: of the configuration first, then of ModelOpt's file beside it."""
    groups = [
        fields.group(name)
        for fields in (detected.fields, detected.outer)
        for name in ("quantization_config", "compression_config")
    ]
    if found.quantization is not None:
        beside = read_document(found.quantization)
        groups.append(Fields(beside, beside.data).group("quantization"))
        if groups[-1] is None:
            raise CostcalcError("names no quantization", place(found.quantization), "remove the file, or mend it")
    return [group for group in groups if group is not None]


def _spec(data: Mapping[str, Any], document: Document) -> ModelSpec:
    """Return the specification of raw data; what it finds wrong is told of the configuration."""
    try:
        return adapter(ModelSpec).validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        keys = [str(key) for key in first["loc"] if not isinstance(key, int)]
        text = first["msg"].removeprefix("Value error, ")
        raise CostcalcError(
            f"the settings do not make a model: {keys[-1] if keys else 'model'}: {text}", place(document.path)
        ) from None
