"""Which models are the same to a machine: equal shapes, whatever their names and weights."""

from __future__ import annotations

from costcalc.specs.model import ModelSpec


def shape_of(model: ModelSpec) -> str:
    """Return what a model's speed depends on in one line: layers, width, parameters and attention.

    DeepSeek-R1 and DeepSeek-V3 share theirs; a model whose attention is replaced does not.
    model: the model.
    """
    attention = " + ".join(f"{count} {layer.describe()}" for count, layer in model.attention_layers())
    return (
        f"{model.num_layers} x {model.hidden_size}, {model.total_parameters:.0f} parameters, "
        f"{model.active_parameters:.0f} active, {attention}"
    )
