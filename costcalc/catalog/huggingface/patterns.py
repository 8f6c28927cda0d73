"""Which layers are of which kind: the ways in which configurations say it."""

from __future__ import annotations

from costcalc.catalog.huggingface.fields import Fields

SLIDING = "sliding_attention"
FULL = "full_attention"
CHUNKED = "chunked_attention"
LINEAR = "linear_attention"
_SPARSE = ("sparse", "moe", "hash_moe")
_DENSE = ("dense", "mlp")


def every_nth_full(count: int, period: int, other: str = SLIDING) -> list[str]:
    """Return kinds where every `period`-th layer is full and the others are `other`."""
    return [FULL if (i + 1) % period == 0 else other for i in range(count)]


def layer_kinds(fields: Fields, count: int, *, period: int | None, other: str = SLIDING) -> list[str]:
    """Return the kind of attention of each layer.

    period: every how many layers one is full where the file lists no `layer_types`; None: all are.
    other: what the others are.
    """
    listed = fields.words("layer_types", count, (FULL, other))
    if listed is not None:
        return listed
    if period is None:
        return [FULL] * count
    fields.note(f"The file lists no layer_types; every {_ordinal(period)} layer is full, as in the model's code.")
    return every_nth_full(count, period, other)


def first_dense(fields: Fields, count: int) -> list[bool]:
    """Return whether each layer has experts: `mlp_layer_types`, else `first_k_dense_replace` and `moe_layer_freq`."""
    listed = fields.words("mlp_layer_types", count, (*_SPARSE, *_DENSE))
    if listed is not None:
        return [kind in _SPARSE for kind in listed]
    if isinstance(fields.get("moe_layer_freq"), list):
        return [bool(each) for each in fields.numbers("moe_layer_freq", count) or []]
    first = fields.size("first_k_dense_replace", 0, least=0)
    if first > count:
        raise fields.error("first_k_dense_replace", f"{first} dense layers come first, but there are {count} in all")
    period = fields.size("moe_layer_freq", 1)
    return [i >= first and i % period == 0 for i in range(count)]


def every_step(fields: Fields, count: int) -> list[bool]:
    """Return whether each layer has experts by `decoder_sparse_step` and `mlp_only_layers` (Qwen)."""
    step = fields.size("decoder_sparse_step", 1)
    dense = set(fields.numbers("mlp_only_layers") or [])
    if beyond := [number for number in dense if number >= count]:
        raise fields.error("mlp_only_layers", f"names layer {max(beyond)}, but there are {count}, counted from 0")
    return [i not in dense and (i + 1) % step == 0 for i in range(count)]


def periodic(fields: Fields, count: int, kind: str, offset: int | None = None) -> list[bool]:
    """Return which layers are chosen by `<kind>_layer_period` and `<kind>_layer_offset` (Jamba)."""
    period = fields.size(f"{kind}_layer_period", most=2000)
    start = fields.size(f"{kind}_layer_offset", offset, least=0)
    if start >= period:
        raise fields.error(f"{kind}_layer_offset", f"{start} is not below the period of {period}")
    return [i % period == start for i in range(count)]


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")
