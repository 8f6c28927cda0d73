"""What the tests of importing configurations share: writing a configuration, reading it, and comparing two models."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from costcalc.catalog.huggingface.importer import Imported, import_model
from costcalc.model.spec import LayerGroup, ModelSpec, PredictionHeads

CONFIGS = Path(__file__).parent / "catalog" / "configs"

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 131072,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 128256,
}
"""Llama-3.1-8B, meta-llama/Llama-3.1-8B config.json."""


def config(name: str) -> dict[str, Any]:
    """Return a stored configuration."""
    data: dict[str, Any] = json.loads((CONFIGS / f"{name}.json").read_text())
    return data


def imported(folder: Path, data: Any, **beside: Any) -> Imported:
    """Return the model that a configuration describes.

    folder: an empty one. data: the configuration. beside: further files by stem, such as hf_quant_config.
    """
    (folder / "config.json").write_text(json.dumps(data))
    for stem, content in beside.items():
        (folder / f"{stem}.json").write_text(json.dumps(content))
    return import_model(str(folder))


def layers(spec: ModelSpec) -> Counter[Any]:
    """Return how many layers a model has of each make, whatever their labels and their order."""
    counts: Counter[Any] = Counter()
    for group in spec.layers:
        counts[_made_of(spec, group)] += group.count
    return counts


def prediction(spec: ModelSpec) -> Any:
    """Return the heads for multi-token prediction, whatever their labels."""
    return None if spec.mtp is None else (spec.mtp.layers, *_made_of(spec, spec.mtp))


def _made_of(spec: ModelSpec, group: LayerGroup | PredictionHeads) -> tuple[Any, ...]:
    attention = tuple(spec.attention[label] for label in group.attention)
    feedforward = tuple(spec.feedforward[label] for label in group.feedforward)
    return repr(attention), repr(feedforward), getattr(group, "norms", None)
