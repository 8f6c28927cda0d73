"""Which family a configuration belongs to, and which part of it describes the language model."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from costcalc.catalog.huggingface.document import Document
from costcalc.catalog.huggingface.family import Family
from costcalc.catalog.huggingface.fields import Fields
from costcalc.errors import CostcalcError, nearest, shown

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
def families() -> tuple[Family, ...]:
    """Return every family that can be imported."""
    from costcalc.catalog.huggingface import dense, gemma, hybrid, latent, mamba, mixture, older, special, state

    parts = (dense, gemma, mixture, latent, special, hybrid, mamba, state, older)
    return tuple(family for part in parts for family in part.FAMILIES)


@cache
def _table() -> tuple[dict[str, Family], dict[str, Family]]:
    architectures = {name: family for family in families() for name in family.architectures}
    types = {name: family for family in families() for name in family.model_types}
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
        fields = Fields(document, data, (), family.names, family.defaults)
        fields.notes = outer.notes
        return Detected(family, fields, outer, architecture)
    inner = Fields(document, data[nested], (nested,))
    named = inner if inner.get("architectures") or inner.has("model_type") else outer
    family, architecture = _family_of(named)
    fields = Fields(document, data[nested], (nested,), family.names, family.defaults)
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
        begun = [_common(_stem(architecture), _stem(name)), *(_common(kind or "", each) for each in family.model_types)]
        inside = max((len(each) for each in family.model_types if each in (kind or architecture).casefold()), default=0)
        return max(*begun, inside)

    best = max(by_architecture, key=lambda name: likeness(name, by_architecture[name]))
    if likeness(best, by_architecture[best]) >= _LIKE:
        return best
    stems = {_stem(name): name for name in by_architecture}  # their endings are all alike
    near = nearest(_stem(architecture), stems)
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
