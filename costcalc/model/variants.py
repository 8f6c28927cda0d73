"""A model with another attention: the variants of a comparison by the names of papers, built by stated rules.

MHA, GQA, MQA and windows keep the number of heads, with a head dim of the model's value dim. MLA, for a model without
it, takes a latent rank of 4 head dims and a rope dim of half a head, as DeepSeek-V2 did (arXiv 2405.04434, 2.1.4). The
control keeps MHA's heads and narrows them until the cache is as small as MLA's.

GQA-8 has 8 KV heads: Ainslie et al. (arXiv 2305.13245) call GQA-G grouped queries with G groups, each with one KV head.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from typing import Any

from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.fields import Record
from costcalc.model.attention import AnyAttention
from costcalc.model.attention.gqa import GroupedAttention, LowRankAttention, SlidingWindowAttention
from costcalc.model.attention.linear import KimiDeltaAttention, LightningAttention
from costcalc.model.attention.mla import LatentAttention, MlaMode
from costcalc.model.attention.sparse import IndexedLatentAttention
from costcalc.model.spec import LayerGroup, ModelSpec
from costcalc.units import counted, parse_whole

SHARED = (4, 8, 16)
"""Query heads per KV head of the groups that are compared where no variants are named."""


@dataclass(frozen=True, slots=True)
class AttentionVariant:
    """A model with another attention."""

    variant: str
    model: ModelSpec
    rule: str
    recompute: bool = False  # no cache at all: every step prefills the context again


class CannotBeBuilt(CostcalcError):
    """A variant that a model has no room for; its message says why."""


def attention_variants(model: ModelSpec, names: Sequence[str] = ()) -> tuple[list[AttentionVariant], list[str]]:
    """Return variants of a model, and what cannot be built on it: a line each, with the reason.

    names: as in 'gqa:8', see VARIANTS; none: MHA, GQA of 4, 8 and 16 query heads per KV head, MQA, MLA absorbed and
    expanded, the model's own DSA, the low-rank control, and no cache.
    Raises CostcalcError for unknown names and values, where none can be built, and for a model none of whose layers
    caches keys and values per token.
    """
    base = _Base(model, _reference_layer(model))
    left_out: list[str] = []
    found: dict[str, AttentionVariant] = {}
    for name in names or _usual(base):
        try:
            each = _built(base, str(name))
            found.setdefault(each.variant, each)
        except CannotBeBuilt as error:
            left_out.append(f"{name} is left out: {error.message}")
    if not found:
        raise CostcalcError(f"none of them can be built on {model.name}: {'; '.join(left_out)}", where="variants")
    return list(found.values()), left_out


def _usual(base: _Base) -> Iterator[str]:
    heads = base.heads
    yield "mha"
    yield from (f"gqa:{heads // each}" for each in SHARED if heads % each == 0 and each < heads)
    yield from ("mqa", "mla", "mla-expanded")
    if isinstance(base.layer, IndexedLatentAttention):
        yield f"dsa:{base.layer.index_topk}"
    yield from ("lowrank", "none")


class _Base(Record):
    """What variants are built on: a model, and the first of its layers with keys and values to replace."""

    model: ModelSpec
    layer: GroupedAttention | LatentAttention

    @property
    def heads(self) -> int:
        return self.layer.num_attention_heads

    @property
    def width(self) -> int:
        """Width of a value head [elements]."""
        return self.layer.v_head_dim if isinstance(self.layer, LatentAttention) else int(self.layer.value_dim)

    def grouped(self, kv_heads: int) -> GroupedAttention:
        return GroupedAttention(num_attention_heads=self.heads, num_key_value_heads=kv_heads, head_dim=self.width)

    def latent(self) -> LatentAttention:
        """The model's own MLA, or one of DeepSeek-V2's proportions."""
        if isinstance(self.layer, LatentAttention):
            return self.layer
        return LatentAttention(
            num_attention_heads=self.heads,
            kv_lora_rank=4 * self.width,
            qk_nope_head_dim=self.width,
            qk_rope_head_dim=self.width // 2,
            v_head_dim=self.width,
        )

    @property
    def latent_rule(self) -> str:
        own = isinstance(self.layer, LatentAttention)
        return "as the model ships" if own else "latent 4 × head dim, rope head dim / 2"


def _reference_layer(model: ModelSpec) -> GroupedAttention | LatentAttention:
    for _, layer in model.attention_layers():
        if type(layer) is GroupedAttention or isinstance(layer, LatentAttention):
            return layer
    for _, layer in model.attention_layers():
        if isinstance(layer, GroupedAttention):
            return layer
    raise CostcalcError(f"{model.name} has no attention whose keys and values could be replaced")


# What is replaced: every layer that caches keys and values per token; states stay as they are.


def _caches(layer: AnyAttention) -> bool:
    return isinstance(layer, GroupedAttention | LatentAttention)


def _in_all(model: ModelSpec, layer: AnyAttention) -> ModelSpec:
    changed = {label: layer if _caches(old) else old for label, old in model.attention.items()}
    return replace(model, attention=changed)


def _in_share(model: ModelSpec, layer: AnyAttention, share: int, of: int) -> ModelSpec:
    """The model with the first `share` layers replaced in each run of `of`; the others stay as it ships."""
    if share == of:
        return _in_all(model, layer)
    label = "replaced"
    single: list[LayerGroup] = []
    seen = 0
    for group in model.layers:
        for _ in range(group.count):
            attention = group.attention
            if any(_caches(model.attention[each]) for each in attention):
                if seen % of < share:
                    attention = tuple(label if _caches(model.attention[each]) else each for each in attention)
                seen += 1
            single.append(replace(group, count=1, attention=attention))
    if seen < of:
        raise CannotBeBuilt(f"{counted(seen, 'layer')} of {model.name} can be replaced, and it takes {of}")
    layers = tuple(replace(each, count=len([*same])) for each, same in groupby(single))
    return replace(model, attention={**model.attention, label: layer}, layers=layers)


# The variants by name. Each is built of a base and of the numbers behind its name, and says its rule.


def _of_heads(name: str, kv_heads: int) -> Callable[[_Base], AttentionVariant]:
    """GQA, and MHA and MQA as its ends."""

    def build(base: _Base) -> AttentionVariant:
        kv = kv_heads or base.heads
        if base.heads % kv:
            raise CannotBeBuilt(f"{base.heads} heads of {base.model.name} cannot share {kv} KV heads evenly")
        what = "head" if name == "MHA" else "KV head"
        return AttentionVariant(name, _in_all(base.model, base.grouped(kv)), f"{counted(kv, what)} × {base.width}")

    return build


def _plain_mla(own: LatentAttention, **changed: Any) -> LatentAttention:
    """MLA of these shapes that reads every token."""
    shape = {each.name: getattr(own, each.name) for each in fields(LatentAttention) if each.name != "kind"}
    return LatentAttention(**shape | changed)


def _mla(base: _Base, mode: MlaMode = "absorbed") -> AttentionVariant:
    own = base.latent()
    indexed = ", without its indexer" if isinstance(own, IndexedLatentAttention) else ""
    model = _in_all(base.model, _plain_mla(own, mode=mode))
    return AttentionVariant(f"MLA {mode}", model, f"{base.latent_rule}{indexed}")


def _mla_of_rank(base: _Base, text: str) -> AttentionVariant:
    own = base.latent()
    rank, rope = _numbers(text, (0, own.qk_rope_head_dim), least=(1, 0))
    layer = _plain_mla(own, kv_lora_rank=rank, qk_rope_head_dim=rope, mode="absorbed")
    name = f"MLA {rank}/{rope}" if "/" in text else f"MLA {rank}"
    return AttentionVariant(name, _in_all(base.model, layer), f"latent {rank}, rope {rope}, absorbed")


_WINDOW_KV_HEADS = 8
"""Of windows for a model whose attention has no KV heads: as many as Mistral-7B's and gpt-oss's have."""


def _window(base: _Base, text: str) -> AttentionVariant:
    window, period = _numbers(text, (0, 1))
    few = _WINDOW_KV_HEADS if base.heads % _WINDOW_KV_HEADS == 0 else base.heads
    grouped = base.layer if isinstance(base.layer, GroupedAttention) else base.grouped(few)
    layer = SlidingWindowAttention(
        num_attention_heads=grouped.num_attention_heads,
        num_key_value_heads=grouped.num_key_value_heads,
        head_dim=base.width,
        window=window,
    )
    # Layers that stay see all tokens, also of a model that ships windows itself.
    whole = _in_all(base.model, base.layer)
    model = _in_share(whole, layer, max(period - 1, 1), period)
    rest = "as the model ships" if whole.attention == base.model.attention else "full"
    full = f", 1 layer in {period} {rest}" if period > 1 else ""
    rule = f"{counted(grouped.num_key_value_heads, 'KV head')} × {base.width}, the last {window:,} tokens{full}"
    return AttentionVariant(f"SWA {window:,}" + (f"/{period}" if period > 1 else ""), model, rule)


# DeepSeek-V3.2-Exp's indexer (config.json: index_n_heads 64, index_head_dim 128), for a model without one.
_INDEX_HEADS, _INDEX_DIM = 64, 128


def _dsa(base: _Base, text: str) -> AttentionVariant:
    (chosen,) = _numbers(text, (0,))
    own = base.latent()
    if isinstance(own, IndexedLatentAttention):
        layer, rule = replace(own, index_topk=chosen), "the model's own MLA and indexer"
    else:
        layer = IndexedLatentAttention(
            num_attention_heads=own.num_attention_heads,
            q_lora_rank=own.q_lora_rank,
            kv_lora_rank=own.kv_lora_rank,
            qk_nope_head_dim=own.qk_nope_head_dim,
            qk_rope_head_dim=own.qk_rope_head_dim,
            v_head_dim=own.v_head_dim,
            index_n_heads=_INDEX_HEADS,
            index_head_dim=_INDEX_DIM,
            index_topk=chosen,
        )
        rule = f"MLA {base.latent_rule}, an indexer of {_INDEX_HEADS} × {_INDEX_DIM} as DeepSeek-V3.2 has"
    return AttentionVariant(f"DSA {chosen:,}", _in_all(base.model, layer), f"top {chosen:,} tokens; {rule}")


def _linear(name: str, kind: type[KimiDeltaAttention | LightningAttention]) -> Callable[[_Base, str], AttentionVariant]:
    def build(base: _Base, text: str) -> AttentionVariant:
        share, of = _numbers(text, (0, 0))
        if not 1 <= share <= of:
            hint = "write the share of linear layers, as in 3/4"
            raise CostcalcError(f"{shown(text)} is no share of the layers", where="variants", hint=hint)
        layer = kind(num_heads=base.heads, head_dim=base.width)
        rest = "" if share == of else ", the others as the model ships"
        rule = f"{layer.describe()} in {share} of {of} layers, {base.heads} heads × {base.width}{rest}"
        return AttentionVariant(f"{name} {share}/{of}", _in_share(base.model, layer, share, of), rule)

    return build


def _low_rank(base: _Base) -> AttentionVariant:
    heads = base.heads
    rank = base.latent().latent_dim / (2 * heads)
    layer = LowRankAttention(num_attention_heads=heads, num_key_value_heads=heads, head_dim=rank)
    rule = f"{heads} heads × {rank:g}: MLA's cache, MHA's form"
    return AttentionVariant("Low rank", _in_all(base.model, layer), rule)


def _no_cache(base: _Base) -> AttentionVariant:
    model = _in_all(base.model, base.grouped(base.heads))
    return AttentionVariant("No cache", model, "every step prefills the context again", recompute=True)


CONTROLS = ("Low rank", "No cache")
"""Variants that are controls of cost; nobody would train them for what they answer."""
_PLAIN: dict[str, Callable[[_Base], AttentionVariant]] = {
    "mha": _of_heads("MHA", 0),
    "mqa": _of_heads("MQA", 1),
    "mla": _mla,
    "mla-expanded": lambda base: _mla(base, "expanded"),
    "lowrank": _low_rank,
    "none": _no_cache,
}
_SIZED: dict[str, Callable[[_Base, str], AttentionVariant]] = {
    "gqa": lambda base, text: _of_heads(f"GQA-{(kv := _numbers(text, (0,))[0])}", kv)(base),
    "mla": _mla_of_rank,
    "window": _window,
    "dsa": _dsa,
    "kda": _linear("KDA", KimiDeltaAttention),
    "linear": _linear("Linear", LightningAttention),
}
VARIANTS = (
    "mha", "gqa:8", "mqa", "mla", "mla:256", "mla:512/64", "mla-expanded", "window:4k", "window:4k/6", "dsa:2048",
    "kda:3/4", "linear:7/8", "lowrank", "none",
)  # fmt: skip
"""How variants are named, by example: KV heads; latent rank and rope dim; a window, and one in how many layers full;
tokens that are chosen; the share of layers that is linear."""
_SPELLED = {"low-rank": "lowrank", "no-cache": "none", "nocache": "none", "mla-absorbed": "mla", "swa": "window"}


def _built(base: _Base, name: str) -> AttentionVariant:
    """The variant of a name such as 'gqa:8', 'GQA-8' or 'Low rank'."""
    word = re.sub(r"\s+", "-", name.strip().lower())
    kind, _, text = word.partition(":")
    if not text and (found := re.fullmatch(r"([a-z]+)-([0-9].*)", kind)):
        kind, text = found.groups()
    kind = _SPELLED.get(kind, kind)
    if kind not in _PLAIN and kind not in _SIZED:
        hint = did_you_mean(kind, [*_PLAIN, *_SIZED]) or f"name some of: {', '.join(VARIANTS)}"
        raise CostcalcError(f"{shown(name)} is no variant of attention", where="variants", hint=hint)
    example = next((each for each in VARIANTS if each.startswith(f"{kind}:")), None)
    if text and kind in _SIZED:
        try:
            return _SIZED[kind](base, text)
        except CannotBeBuilt:
            raise
        except CostcalcError as error:
            hint = f"write it like {example}"
            raise CostcalcError(f"{shown(name)}: {error.message}", where="variants", hint=hint) from None
    if text or ":" in word:
        raise CostcalcError(f"{shown(name)} takes no number", where="variants", hint=f"write {kind}")
    if kind not in _PLAIN:
        raise CostcalcError(f"{shown(name)} lacks its number", where="variants", hint=f"write it like {example}")
    return _PLAIN[kind](base)


def _numbers(text: str, defaults: Sequence[int], least: Sequence[int] = (1, 1)) -> list[int]:
    """Whole numbers divided by '/', as many as there are defaults; 0 stands for one that must be told."""
    parts = text.split("/")
    if len(parts) > len(defaults) or any(not default for default in defaults[len(parts) :]):
        raise CostcalcError(f"{shown(text)} is not {counted(len(defaults), 'number')} divided by /")
    told = [parse_whole(each, least=low) for each, low in zip(parts, least, strict=False)]
    return [*told, *defaults[len(told) :]]
