"""A model's shape from its settings, a layer at a time, by the row of its family in families.yaml."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, get_args

from costcalc.catalog.huggingface.config import Document, Fields, evaluate, first_name
from costcalc.catalog.yaml import load_yaml
from costcalc.model.attention import AnyAttention
from costcalc.model.ffn import AnyFeedForward
from costcalc.model.spec import ModelSpec

MOST_LAYERS = 2000
Entry = dict[str, Any]
"""One attention or feed-forward variant as the catalog writes it; what has its default value is left out."""
_OWN = ("like", "family", "architectures", "types")
"""Keys of a row that a row like it does not take."""


class Layer(NamedTuple):
    """One layer: the labels of its attention and feed-forward parts, and its norms where they are unusual."""

    attention: str | None
    feedforward: tuple[str, ...]
    norms: int | None = None


@dataclass
class Shape:
    """A model read from its configuration.

    model: sizes and other settings of the whole. layers: one item per layer, in order of depth. kv_cache, experts:
    formats that the family is known to use, where the file's own words do not say.
    """

    model: Entry
    attention: dict[str, Entry]
    feedforward: dict[str, Entry]
    layers: list[Layer]
    prediction: Entry | None = None
    kv_cache: str | None = None
    experts: str | None = None


class Family(NamedTuple):
    """Models of one row: the family as the catalog calls it, the names in configurations, and the row itself."""

    name: str
    architectures: tuple[str, ...]
    types: tuple[str, ...]
    row: Mapping[str, Any]

    def fields(self, document: Document, data: Mapping[str, Any], path: tuple[str, ...] = ()) -> Fields:
        """Return the settings of a group of a configuration, in the family's spellings and with its defaults."""
        return Fields(document, data, path, dict(self.row["names"]), self.row["defaults"])


@cache
def _file() -> dict[str, Any]:
    return load_yaml(Path(__file__).with_name("families.yaml"))[0]


@cache
def families() -> tuple[Family, ...]:
    """Return every family that can be imported."""
    rows = _file()["families"]
    return tuple(
        Family(row.get("family", key), tuple(row["architectures"]), tuple(row.get("types", (key,))), _whole_row(key))
        for key, row in rows.items()
    )


def _whole_row(key: str) -> Entry:
    """A row with what it takes from the row that it is like; groups are joined key by key."""
    row = _file()["families"][key]
    base = _whole_row(row["like"]) if "like" in row else _file()["usual"]
    return _joined(base, {name: value for name, value in row.items() if name not in _OWN})


def _joined(base: Entry, own: Entry) -> Entry:
    both = {key: {**base[key], **value} for key, value in own.items() if isinstance(value, dict) and key in base}
    return {**base, **own, **both}


@cache
def _kind(kind: str) -> Entry:
    made = _file()["kinds"][kind]
    return {**_kind(made["like"]), **made} if "like" in made else made


@cache
def _defaults() -> dict[str, dict[str, Any]]:
    """The default of every field of a variant, by kind, and of the model itself."""
    variants: list[Any] = [each for union in (AnyAttention, AnyFeedForward) for each in get_args(get_args(union)[0])]
    of_kind = {each.kind: each for each in variants} | {"model": ModelSpec}
    return {kind: {f.name: None if f.default is MISSING else f.default for f in fields(variant)}
            for kind, variant in of_kind.items()}  # fmt: skip


def read_shape(family: Family, settings: Fields) -> Shape:
    """Return the shape of a model.

    family: whose row is followed. settings: of the language model.
    Raises CostcalcError with file:line:column where a setting is missing, wrong or of no meaning in the catalog.
    """
    return _Reading(family.row, settings).shape()


@dataclass
class _Reading:
    row: Mapping[str, Any]
    settings: Fields
    count: int = 0
    ahead: int = 0  # heads for multi-token prediction
    found: dict[str, Entry] = field(default_factory=dict)  # fields that a pattern knows, by label
    tail: list[str] = field(default_factory=list)  # labels behind the last layer

    def shape(self) -> Shape:
        row, settings = self.row, self.settings
        if "blocks" not in row:
            self.count = settings.size("num_hidden_layers", most=MOST_LAYERS)
        self._refuse()
        self.ahead = evaluate(settings, row["prediction"]["layers"])
        layers = self._layers()
        prediction = self._prediction(layers)
        ahead = prediction or {"attention": (), "feedforward": ()}
        labels = [*(each.attention for each in layers if each.attention), *ahead["attention"]]
        parts = [*(part for each in layers for part in each.feedforward), *ahead["feedforward"]]
        shape = Shape(
            self.entry("model", row.get("model", {})),
            {label: self._variant("attention", label) for label in dict.fromkeys(labels)},
            {label: self._variant("feedforward", label) for label in dict.fromkeys(parts)},
            layers,
            prediction,
        )
        shape.model.pop("kind")
        _without_idle_windows(shape, settings)
        _named_plainly(shape)
        self._formats(shape)
        for condition, note in row.get("notes", {}).items():
            if evaluate(settings, condition, "flag"):
                settings.note(note)
        return shape

    def _refuse(self) -> None:
        for condition, message in self.row.get("refuse", {}).items():
            if evaluate(self.settings, condition, "flag"):
                raise self.settings.error(first_name(condition), message)

    def _formats(self, shape: Shape) -> None:
        formats = self.row.get("formats", {})
        if formats:
            shape.kv_cache = formats["kv_cache"]
            self.settings.note("The cache is in the layout that the family's own kernels keep; the file does not say.")
        if "experts" in formats:
            shape.experts = formats.get(self.settings.text(formats["experts"]))

    def _layers(self) -> list[Layer]:
        if "blocks" in self.row:
            blocks = self._blocks(self.row["blocks"])
            self.count = len(blocks)
            return [self._block(label) for label in blocks]
        mixers, mlps = self._labels("mixers"), self._labels("mlps")
        norms = evaluate(self.settings, self.row.get("norms"))
        return [Layer(mixer, _parts(mlp), norms) for mixer, mlp in zip(mixers, mlps, strict=True)]

    def _block(self, label: str) -> Layer:
        return Layer(label, ()) if label in self.row["attention"] else Layer(None, (label,))

    def _blocks(self, forms: Sequence[Entry]) -> list[str]:
        form = next((each for each in forms if self.settings.has(_setting(each))), forms[0])
        blocks = _FORMS[next(iter(form))](self, form, None)
        if blocks is None and forms is self.row["blocks"]:
            raise self.settings.error(_setting(form), "is missing", "the shape cannot be known without it")
        blocks = blocks or []
        count = self.settings.get("num_hidden_layers")
        # As configuration_nemotron_h.py asserts.
        if forms is self.row["blocks"] and count is not None and count != len(blocks):
            message = f"has {len(blocks)} blocks, but num_hidden_layers is {count}"
            raise self.settings.error(_setting(form), message, "which of them is right?")
        return blocks

    def _prediction(self, layers: Sequence[Layer]) -> Entry | None:
        told = self.row["prediction"]
        if not self.ahead:
            return None
        if "blocks" in told:
            blocks = self._blocks(told["blocks"])
            mixers = [label for label in blocks if label in self.row["attention"]]
            parts = [label for label in blocks if label not in mixers]
            return {"layers": self.ahead, "attention": mixers, "feedforward": parts}
        last = layers[-1]
        wanted = told.get("attention") or self.tail[-1:] or [last.attention]
        used = {layer.attention for layer in layers}
        attention = next((label for label in wanted if label in used), wanted[0])
        return {"layers": self.ahead, "attention": [attention],
                "feedforward": list(told.get("feedforward", last.feedforward))}  # fmt: skip

    def _variant(self, table: str, label: str) -> Entry:
        told = self.row[table][label]
        kind, own = (told, {}) if isinstance(told, str) else (told["kind"], told)
        made = self.entry(kind, {**own, **self.found.get(label, {})})
        if kind == "experts" and made["experts_per_token"] > made["num_experts"]:
            message = f"{made['experts_per_token']} exceeds the {made['num_experts']} experts"
            raise self.settings.error("experts_per_token", message)
        return made

    def entry(self, kind: str, own: Mapping[str, Any]) -> Entry:
        """Return the fields of a variant as the catalog writes them.

        kind: of the variant. own: expressions that stand in for those of the kind and of the row.
        """
        usual, defaults = _kind(kind), _defaults()[kind]
        row: Entry = {}
        for each in (usual.get("like"), kind):
            row |= self.row.get(each, {}) if each and each != "model" else {}
        told = {**usual, **row, **own}
        made: Entry = {}
        for name in (each for each in defaults if each in told and each != "kind"):
            default = defaults[name]
            mode: Any = "flag" if isinstance(default, bool) else "word" if isinstance(default, str) else "size"
            value = evaluate(self.settings, told[name], mode)
            if value is not None and value != default:
                made[name] = value
        for part, whole in usual.get("divides", {}).items():
            if part in made and (not made[part] or made[whole] % made[part]):
                words = whole.removeprefix("num_").replace("_", " ")
                message = f"{made[part]} does not divide {made[whole]} {words}"
                raise self.settings.error(first_name(told[part]), message)
        return {"kind": kind, **made}

    # Which layer is which.

    def _labels(self, key: str) -> list[str]:
        forms: list[Entry] = []
        for each in self.row[key]:
            named = _file()["patterns"].get(each, {"all": each}) if isinstance(each, str) else each
            forms += named if isinstance(named, list) else [named]
        for form in forms:
            if "when" in form and not evaluate(self.settings, form["when"], "flag"):
                continue
            labels = _FORMS[next(iter(form))](self, form, self.count)
            if labels is not None:
                if key == "mixers" and "every" in form and "words" in forms[0]:
                    self._note_period(forms[0], form)
                return labels
        told = [_setting(form) for form in forms]
        others = "".join(f", and so is {name}" for name in told[1:])
        raise self.settings.error(told[0], f"is missing{others}", "which layers are of which kind?")

    def _note_period(self, listed: Entry, form: Entry) -> None:
        period = evaluate(self.settings, form["every"])
        if period > 1:
            told = {2: "second", 3: "third"}.get(period, f"{period}th")
            self.settings.note(
                f"The file lists no {listed['words']}; every {told} layer is {form['as'][1]}, as in the model's code."
            )

    def _of_each_layer(self, name: str, listed: list[Any], count: int | None) -> list[Any]:
        """A list with one entry for each layer; what stands behind is of the heads for multi-token prediction."""
        if count is None or len(listed) == count:
            return listed
        if self.ahead and len(listed) == count + self.ahead:
            return listed
        raise self.settings.error(name, f"must have one entry for each of {count} layers, has {len(listed)}")

    def _cut(self, labels: list[str], count: int | None) -> list[str]:
        self.tail = [] if count is None else labels[count:]
        return labels if count is None else labels[:count]

    def all_layers(self, form: Entry, count: int | None) -> list[str] | None:
        """All layers of one kind."""
        return [form["all"]] * (count or 0)

    def by_words(self, form: Entry, count: int | None) -> list[str] | None:
        """A word for each layer."""
        name, labels = form["words"], form["as"]
        listed = self.settings.words(name)
        if listed is None:
            return None
        if unknown := [word for word in listed if word not in labels]:
            raise self.settings.error(name, f"unknown kind of layer '{unknown[0]}'", f"known: {', '.join(labels)}")
        return self._cut([labels[word] for word in self._of_each_layer(name, listed, count)], count)

    def by_letters(self, form: Entry, count: int | None) -> list[str] | None:
        """A letter for each layer."""
        name, labels = form["letters"], form["as"]
        pattern = self.settings.text(name)
        if pattern is None:
            return None
        unknown = sorted(set(pattern) - set(labels))
        if unknown or len(pattern) > MOST_LAYERS:
            raise self.settings.error(name, f"unknown letter '{unknown[0]}'" if unknown else "too many layers")
        return [labels[letter] for letter in self._of_each_layer(name, list(pattern), count)]

    def by_flags(self, form: Entry, count: int | None) -> list[str] | None:
        """A number for each layer: 0, or another one."""
        name = form["flags"]
        if not isinstance(self.settings.get(name), list) or not self.settings.get(name):
            return None
        listed = self._of_each_layer(name, self.settings.numbers(name) or [], count)
        return self._cut([form["as"][bool(each)] for each in listed], count)

    def by_numbers(self, form: Entry, count: int | None) -> list[str] | None:
        """A number for each layer, that of the label with the largest least one; the variant keeps it as a field."""
        name = form["numbers"]
        listed = self.settings.numbers(name)
        if listed is None:
            return None
        labels = []
        for number in self._of_each_layer(name, listed, count):
            labels.append(max((least, label) for label, least in form["as"].items() if number >= least)[1])
            self.found[labels[-1]] = {form["field"]: number}
        return self._cut(labels, count)

    def by_list(self, form: Entry, count: int | None) -> list[str] | None:
        """The numbers of the layers of the second kind, also as text with commas."""
        name, first = form["listed"], form.get("first", 0)
        listed = self.settings.get(name)
        if listed is None:
            return None
        words = listed.split(",") if isinstance(listed, str) else listed
        if not isinstance(words, list) or not all(str(word).strip().isdecimal() for word in words):
            raise self.settings.error(name, "must list the numbers of layers")
        chosen = {int(word) - first for word in words}
        last = (count or 0) + first - 1
        if any(not 0 <= number <= last - first + self.ahead for number in chosen):
            raise self.settings.error(name, f"must list layers from {first} to {last}")
        return [form["as"][i in chosen] for i in range(count or 0)]

    def by_period(self, form: Entry, count: int | None) -> list[str] | None:
        """The last of every so many layers, or the one at an offset: from a layer on, and all up to another one."""
        assert count is not None
        period, start, until = (evaluate(self.settings, form.get(key, 0)) for key in ("every", "from", "until"))
        offset = evaluate(self.settings, form.get("offset", period - 1))
        if start > count:
            message = f"{start} {form['as'][0]} layers come first, but there are {count} in all"
            raise self.settings.error(first_name(form["from"]), message)
        if offset >= period and not until:
            raise self.settings.error(first_name(form["offset"]), f"{offset} is not below the period of {period}")
        but = self.settings.numbers(form["but"]) if "but" in form else None
        if beyond := [number for number in but or [] if number >= count]:
            message = f"names layer {max(beyond)}, but there are {count}, counted from 0"
            raise self.settings.error(form["but"], message)
        hits = (i < until or (i >= start and (i - offset) % period == 0) for i in range(count))
        return [form["as"][hit and i not in (but or ())] for i, hit in enumerate(hits)]


_FORMS: dict[str, Callable[[_Reading, Entry, int | None], list[str] | None]] = {
    "all": _Reading.all_layers,
    "words": _Reading.by_words,
    "letters": _Reading.by_letters,
    "flags": _Reading.by_flags,
    "numbers": _Reading.by_numbers,
    "listed": _Reading.by_list,
    "every": _Reading.by_period,
}


def _setting(form: Entry) -> str:
    """The setting that a form of pattern reads."""
    return first_name(next(iter(form.values())))


def _parts(label: str) -> tuple[str, ...]:
    return () if label == "none" else tuple(label.split("+"))


def _without_idle_windows(shape: Shape, settings: Fields) -> None:
    """Count layers whose window covers the whole context as full ones."""
    context = shape.model.get("max_context")
    for layer in shape.attention.values():
        if layer["kind"] == "sliding" and context is not None and layer["window"] >= context:
            settings.note(f"The window of {layer.pop('window'):,} tokens covers the whole context: "
                          "layers are counted as full.")  # fmt: skip
            layer["kind"] = "grouped"


def _named_plainly(shape: Shape) -> None:
    """Let equal variants share a label, and grouped attention that stands alone have its usual name."""
    first = {label: next(each for each, other in shape.attention.items() if other == made)
             for label, made in shape.attention.items()}  # fmt: skip
    kept = {label: shape.attention[label] for label in dict.fromkeys(first.values())}
    if len(kept) == 1 and next(iter(kept.values()))["kind"] == "grouped":
        (made,) = kept.values()
        heads, kv = made["num_attention_heads"], made["num_key_value_heads"]
        name = "mha" if heads == kv else "mqa" if kv == 1 else "gqa"
        first, kept = dict.fromkeys(first, name), {name: made}
    shape.attention = kept
    shape.layers = [each._replace(attention=each.attention and first[each.attention]) for each in shape.layers]
    if shape.prediction:
        shape.prediction["attention"] = [first[label] for label in shape.prediction["attention"]]


def runs(layers: Sequence[Layer]) -> list[tuple[int, Layer]]:
    """Return equal layers merged as (count, layer), in order of first use."""
    return [(count, layer) for layer, count in Counter(layers).items()]


def is_interleaved(layers: Sequence[Layer]) -> bool:
    """Whether equal layers do not all stand together."""
    return sum(before != after for before, after in pairwise(layers)) >= len(set(layers))
