"""Mamba and Mamba-2 without attention, as in transformers 5.23.0, models/mamba/ and models/mamba2/."""

from __future__ import annotations

from math import ceil

from costcalc.catalog.huggingface.family import Family
from costcalc.catalog.huggingface.fields import Fields
from costcalc.catalog.huggingface.shape import Entry, Layer, Shape, entry, layer_count, shape_of

_STATE_NOTE = "Recurrent states are kept in 16 bits, as engines do by default; the file does not say."


def read_mamba(fields: Fields) -> Shape:
    """Return a Mamba: every layer is one mixer, without a feed-forward part."""
    _no_bias(fields)
    hidden = fields.size("hidden_size")
    rank = fields.get("time_step_rank")
    kernel = fields.size("conv_kernel", 4, most=1024)
    mixer = entry(
        "mamba1",
        inner_size=fields.size("intermediate_size", fields.size("expand", 2) * hidden),
        state_size=fields.size("state_size", 16),
        dt_rank=ceil(hidden / 16) if rank in (None, "auto") else fields.size("time_step_rank"),
        conv_kernel=None if kernel == 4 else kernel,
        state_dtype="bf16",
    )
    return _of_mixers(fields, mixer)


def read_mamba2(fields: Fields) -> Shape:
    """Return a Mamba-2: every layer is one mixer, without a feed-forward part."""
    _no_bias(fields)
    inner, heads = fields.size("expand", 2) * fields.size("hidden_size"), fields.size("num_heads")
    size, kernel = fields.size("head_dim", 64), fields.size("conv_kernel", 4, most=1024)
    if heads * size != inner:
        raise fields.error("num_heads", f"{heads} heads of {size} are not the inner width of {inner}")
    groups = fields.size("n_groups", 8)
    if heads % groups:
        raise fields.error("n_groups", f"{groups} does not divide {heads} heads")
    mixer = entry(
        "mamba2",
        num_heads=heads,
        head_dim=size,
        state_size=fields.size("state_size", 128),
        n_groups=groups,
        conv_kernel=None if kernel == 4 else kernel,
        state_dtype="bf16",
    )
    return _of_mixers(fields, mixer)


def _of_mixers(fields: Fields, mixer: Entry) -> Shape:
    fields.note(_STATE_NOTE)
    return shape_of(
        fields,
        tied=True,
        attention={"mamba": mixer},
        feedforward={},
        layers=[Layer("mamba", None)] * layer_count(fields),
    )


def _no_bias(fields: Fields) -> None:
    if fields.flag("use_bias", False) or not fields.flag("use_conv_bias", True):
        name = "use_bias" if fields.flag("use_bias", False) else "use_conv_bias"
        raise fields.error(name, "biases other than those of the class cannot be imported")


FAMILIES = (
    Family(
        "mamba",
        ("MambaForCausalLM",),
        ("mamba",),
        read_mamba,
        {"num_hidden_layers": ("num_hidden_layers", "n_layer"), "hidden_size": ("hidden_size", "d_model")},
    ),
    Family("mamba", ("Mamba2ForCausalLM",), ("mamba2",), read_mamba2),
)
