"""Which parts of a model the module names of a quantization block stand for.

Checkpoints name modules ('model.layers.3.mlp.experts'), wildcards or regular expressions. The catalog keeps one
format for routed experts, one for the LM head and one for all else, so a name is read for the part and the
layer that it means; a pattern is never run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from costcalc.catalog.huggingface.shape import Shape

_LONGEST_NAME = 300
PARTS = ("attention", "mlp", "shared", "experts", "head")
_LAYER = re.compile(r"(?:layers|h|blocks)\.(\d+)(?!\d)")
_WHOLE_LAYER = re.compile(r"(?:layers|h|blocks)\.\d+(?:\.?\*|\.)?$")
_NEVER = re.compile(
    r"norm|bias|embed|vision|visual|audio|multi_modal|mm_projector|patch_merge|mtp|indexer|index_|rotary|conv1d|a_log"
    r"|router|eh_proj|shared_expert_gate|(?:^|[._*/])gate(?:[.*$_]*$|\.(?!proj))|e_score|in_proj_[ab]\b|(?:^|[._])dt"
)
_ATTENTION = re.compile(r"attn|attention|[qkvo]_proj|qkv|kv_[ab]_|q_[ab]_|mixer\.(?:in|out)_proj")
_PROJECTION = re.compile(r"(q_a|q_b|kv_a|kv_b|qkv|[qkvo])_proj")


class Meaning(NamedTuple):
    """The parts that a name means, the layer (None: all of them), and the projection of the attention if one."""

    parts: tuple[str, ...]
    layer: int | None
    projection: str | None


def meaning(name: str) -> Meaning | None:
    """Return what a module name or pattern means, or None when it means nothing that is known.

    name: as the quantization block writes it.
    """
    if len(name) > _LONGEST_NAME:
        return None
    text = name.removeprefix("re:").replace("\\", "").lower().strip("^$")
    found = _LAYER.search(text)
    layer = int(found.group(1)) if found else None
    if _WHOLE_LAYER.search(text):
        return Meaning(PARTS[:4], layer, None)
    if "lm_head" in text or text in ("head", "output"):
        return Meaning(("head",), None, None)
    if _NEVER.search(text) and "gate_up" not in text:
        return Meaning((), layer, None)
    if "shared_expert" in text or "shared_mlp" in text:
        return Meaning(("shared",), layer, None)
    if "expert" in text:
        return Meaning(("experts",), layer, None)
    if _ATTENTION.search(text):
        one = _PROJECTION.search(text)
        return Meaning(("attention",), layer, one.group(1) if one else None)
    if re.search(r"(?:mlp|ffn|feed_forward|block_sparse_moe|mixer)[.*]*$", text):
        return Meaning(("mlp", "shared", "experts"), layer, None)
    if re.search(r"mlp|ffn|feed_forward|(?:gate|up|down|gate_up)_proj|mixer", text):
        return Meaning(("mlp",), layer, None)
    return None


class Coverage:
    """What share of each part of each layer a set of names means.

    shape: the model. projections: share of the attention's weights in each of its projections.
    """

    def __init__(self, shape: Shape, projections: dict[str, float]) -> None:
        self.projections = projections
        self.layers = {part: _layers_with(shape, part) for part in PARTS}
        # An MLP that stands beside the experts is a module of its own.
        self.beside = any(isinstance(layer.feedforward, tuple) for layer in shape.layers)
        self.count = len(shape.layers)
        self.shares: dict[str, dict[int, float]] = {part: {} for part in PARTS}
        self.unknown: list[str] = []

    def add(self, names: Iterable[str], *, whole: bool = False) -> None:
        """Count names in.

        names: module names or patterns. whole: a projection stands for all of its attention, as where every
        module is listed.
        """
        for name in names:
            means = meaning(name)
            if means is None:
                self.unknown.append(name)
                continue
            # What stands behind the last layer are heads for multi-token prediction.
            if means.layer is not None and means.layer >= self.count:
                continue
            share = 1.0 if whole or means.projection is None else self.projections.get(means.projection, 0.25)
            parts = ("mlp",) if self.beside and means.parts == ("mlp", "shared", "experts") else means.parts
            for part in parts:
                held = self.shares[part]
                for layer in self.layers[part] if means.layer is None else [means.layer]:
                    held[layer] = min(1.0, held.get(layer, 0.0) + share)

    def share(self, part: str) -> float:
        """Return the share of a part, over the layers that have it, that the names mean."""
        layers = self.layers[part]
        return sum(self.shares[part].get(layer, 0.0) for layer in layers) / len(layers) if layers else 0.0


def _layers_with(shape: Shape, part: str) -> list[int]:
    if part == "head":
        return [0]
    return [i for i, layer in enumerate(shape.layers) if part in _parts_of(shape, layer.attention, layer.feedforward)]


def _parts_of(shape: Shape, attention: str | None, feedforward: object) -> set[str]:
    labels = [feedforward] if isinstance(feedforward, str) else list(feedforward or ())  # type: ignore[call-overload]
    parts = {"attention"} if attention else set()
    for label in labels:
        variant = shape.feedforward[label]
        if variant["kind"] == "dense":
            parts.add("mlp")
        else:
            parts |= {"experts"} | ({"shared"} if variant.get("shared_intermediate_size") else set())
    return parts
