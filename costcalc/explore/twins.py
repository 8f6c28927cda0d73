"""Twins: the same model with its attention replaced, by rules that are stated and shown.

MHA, GQA and MQA keep the number of heads, with a head dim of the model's value dim. MLA, for a model
without it, takes a latent rank of 4 head dims and a rope dim of half a head, as DeepSeek-V2 did
(arXiv 2405.04434, 2.1.4). The control keeps MHA's heads and narrows them until the cache is as small
as MLA's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from costcalc.attention import AnyAttention, GroupedAttention, LatentAttention, LowRankAttention
from costcalc.attention.latent import MlaMode
from costcalc.errors import CostcalcError
from costcalc.specs.model import ModelSpec


@dataclass(frozen=True, slots=True)
class Twin:
    """A model with another attention."""

    variant: str
    model: ModelSpec
    rule: str
    recompute: bool = False  # no cache at all: every step prefills the context again


def attention_twins(model: ModelSpec, groups: tuple[int, ...] = (4, 8, 16)) -> list[Twin]:
    """MHA, GQA of several group sizes, MQA, MLA absorbed and expanded, the control, and no cache.

    groups: query heads per KV head; those that do not divide the heads are left out.
    Raises CostcalcError for a model none of whose layers caches keys and values per token.
    """
    base = _reference_layer(model)
    heads, width = _heads_and_width(base)
    mha = _replaced(model, _grouped(heads, heads, width))
    twins = [Twin("MHA", mha, f"{heads} heads × {width}")]
    for group in groups:
        if heads % group == 0 and 1 < group < heads:
            kv = heads // group
            twins.append(Twin(f"GQA-{group}", _replaced(model, _grouped(heads, kv, width)), f"{kv} KV heads × {width}"))
    twins.append(Twin("MQA", _replaced(model, _grouped(heads, 1, width)), f"1 KV head × {width}"))
    latent = _latent(base, heads, width)
    rule = "as the model ships" if isinstance(base, LatentAttention) else "latent 4 × head dim, rope head dim / 2"
    modes: tuple[MlaMode, ...] = ("absorbed", "expanded")
    for mode in modes:
        twins.append(Twin(f"MLA {mode}", _replaced(model, replace(latent, mode=mode)), rule))
    rank = latent.latent_dim / (2 * heads)
    control = LowRankAttention(num_attention_heads=heads, num_key_value_heads=heads, head_dim=rank)
    twins.append(Twin("Low rank", _replaced(model, control), f"{heads} heads × {rank:g}: MLA's cache, MHA's form"))
    twins.append(Twin("No cache", mha, "every step prefills the context again", recompute=True))
    return twins


def _reference_layer(model: ModelSpec) -> GroupedAttention | LatentAttention:
    for _, layer in model.attention_layers():
        if type(layer) is GroupedAttention or isinstance(layer, LatentAttention):
            return layer
    for _, layer in model.attention_layers():
        if isinstance(layer, GroupedAttention):
            return layer
    raise CostcalcError(f"{model.name} has no attention whose keys and values could be replaced")


def _heads_and_width(layer: GroupedAttention | LatentAttention) -> tuple[int, int]:
    if isinstance(layer, LatentAttention):
        return layer.num_attention_heads, layer.v_head_dim
    return layer.num_attention_heads, int(layer.value_dim)


def _grouped(heads: int, kv_heads: int, width: int) -> GroupedAttention:
    return GroupedAttention(num_attention_heads=heads, num_key_value_heads=kv_heads, head_dim=width)


def _latent(base: GroupedAttention | LatentAttention, heads: int, width: int) -> LatentAttention:
    if isinstance(base, LatentAttention):
        return base
    return LatentAttention(
        num_attention_heads=heads,
        kv_lora_rank=4 * width,
        qk_nope_head_dim=width,
        qk_rope_head_dim=width // 2,
        v_head_dim=width,
    )


def _replaced(model: ModelSpec, layer: AnyAttention) -> ModelSpec:
    """The model with every layer that caches keys and values per token replaced; states stay as they are."""
    changed = {
        label: layer if isinstance(old, GroupedAttention | LatentAttention) else old
        for label, old in model.attention.items()
    }
    return replace(model, attention=changed)
