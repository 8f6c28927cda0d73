"""Mamba-2 among attention: Nemotron-H and Nemotron 3, whose blocks are one thing each, and Granite 4.

As in transformers 5.23.0, models/nemotron_h/ and granitemoehybrid/.
"""

from __future__ import annotations

from costcalc.catalog.huggingface.decoder import Traits, grouped
from costcalc.catalog.huggingface.family import Family
from costcalc.catalog.huggingface.fields import Fields
from costcalc.catalog.huggingface.hybrid import state_dtype
from costcalc.catalog.huggingface.patterns import FULL, LINEAR
from costcalc.catalog.huggingface.shape import Entry, Layer, Shape, dense, entry, experts, layer_count, shape_of

_LETTERS = {"M": "mamba", "*": "full", "-": "dense", "E": "experts"}
_WORDS = {
    "mamba": "mamba", LINEAR: "mamba", "attention": "full", FULL: "full", "mlp": "dense", "moe": "experts",
}  # fmt: skip


def read_nemotron_h(fields: Fields) -> Shape:
    """Return a Nemotron-H or Nemotron 3: every block is a Mamba-2, an attention, an MLP or an experts layer."""
    blocks = _blocks(fields, "layers_block_type", "hybrid_override_pattern")
    if not blocks:
        raise fields.error("hybrid_override_pattern", "is missing", "the shape cannot be known without it")
    _check_count(fields, len(blocks))
    attention = {"mamba": _mamba(fields), "full": grouped(fields, Traits(qkv_bias="attention_bias",
                                                                         o_bias="attention_bias"))}  # fmt: skip
    ahead = fields.size("prediction_layers", 0, least=0, most=100)
    ahead_blocks = (_blocks(fields, "mtp_layers_block_type", "mtp_hybrid_override_pattern") if ahead else None) or []
    used = {*blocks, *ahead_blocks}
    feedforward: dict[str, Entry] = {}
    if "dense" in used:
        feedforward["dense"] = dense(fields, gated=False, bias=fields.flag("mlp_bias", False))
    if "experts" in used:
        shared = fields.size("moe_shared_expert_intermediate_size", 0, least=0)
        feedforward["experts"] = experts(
            fields, shared=shared, gated=False, latent_size=fields.optional_size("moe_latent_size")
        )
    shape = shape_of(
        fields,
        attention={label: attention[label] for label in attention if label in used},
        feedforward=feedforward,
        layers=[Layer(block, None) if block in attention else Layer(None, block) for block in blocks],
    )
    if ahead:
        shape.prediction = {
            "layers": ahead,
            "attention": [block for block in ahead_blocks if block in attention],
            "feedforward": [block for block in ahead_blocks if block not in attention],
        }
    return shape


def _blocks(fields: Fields, words: str, letters: str) -> list[str] | None:
    listed = fields.words(words, None, tuple(_WORDS))
    if listed is not None:
        return [_WORDS[word] for word in listed]
    pattern = fields.text(letters)
    if pattern is None:
        return None
    unknown = sorted(set(pattern) - set(_LETTERS))
    if unknown or len(pattern) > 2000:
        raise fields.error(letters, f"unknown letter '{unknown[0]}'" if unknown else "too many layers")
    return [_LETTERS[letter] for letter in pattern]


def _check_count(fields: Fields, blocks: int) -> None:
    """Raise CostcalcError where num_hidden_layers says another number, as configuration_nemotron_h.py asserts."""
    count = fields.optional_size("num_hidden_layers")
    if count is not None and count != blocks:
        name = "layers_block_type" if fields.has("layers_block_type") else "hybrid_override_pattern"
        raise fields.error(name, f"has {blocks} blocks, but num_hidden_layers is {count}", "which of them is right?")


def _mamba(fields: Fields) -> Entry:
    kernel = fields.size("conv_kernel", 4, most=1024)
    heads, groups = fields.size("mamba_num_heads"), fields.size("n_groups", 1)
    if heads % groups:
        raise fields.error("n_groups", f"{groups} does not divide {heads} Mamba heads")
    return entry(
        "mamba2",
        num_heads=heads,
        head_dim=fields.size("mamba_head_dim"),
        state_size=fields.size("ssm_state_size"),
        n_groups=groups,
        conv_kernel=None if kernel == 4 else kernel,
        state_dtype=state_dtype(fields, "mamba_ssm_cache_dtype"),
    )


def read_granite_hybrid(fields: Fields) -> Shape:
    """Return a Granite 4: Mamba-2 layers, some with attention instead, and a shared MLP beside the experts."""
    count, hidden = layer_count(fields), fields.size("hidden_size")
    heads = fields.size("mamba_num_heads")
    inner = fields.size("mamba_expand", 2) * hidden
    if inner % heads:
        raise fields.error("mamba_num_heads", f"{heads} does not divide the inner width of {inner}")
    given = fields.get("mamba_head_dim")
    size = inner // heads if given in (None, "auto") else fields.size("mamba_head_dim")
    mamba = _mamba(fields.with_values(mamba_d_head=size))
    kinds = fields.words("layer_types", count, tuple(_WORDS))
    if kinds is None:
        raise fields.error("layer_types", "is missing", "which layers have attention?")
    shared = fields.size("shared_intermediate_size")
    routed = fields.size("num_experts", 0, least=0)
    mlp = experts(fields, shared=shared) if routed else dense(fields, name="shared_intermediate_size")
    label = "experts" if routed else "dense"
    table = {"mamba": mamba, "full": grouped(fields, Traits(qkv_bias="attention_bias", o_bias="attention_bias",
                                                            kv_default="heads"))}  # fmt: skip
    labels = [_WORDS[kind] for kind in kinds]
    return shape_of(
        fields,
        attention={name: table[name] for name in table if name in labels},
        feedforward={label: mlp},
        layers=[Layer(name, label) for name in labels],
    )


FAMILIES = (
    Family(
        "nemotron",
        ("NemotronHForCausalLM",),
        ("nemotron_h",),
        read_nemotron_h,
        {
            "layers_block_type": ("layers_block_type", "layer_types"),
            "head_dim": ("head_dim", "attention_head_dim"),
            "n_groups": ("n_groups", "mamba_n_groups"),
            "conv_kernel": ("conv_kernel", "mamba_d_conv"),
        },
    ),
    Family(
        "granite",
        ("GraniteMoeHybridForCausalLM",),
        ("granitemoehybrid",),
        read_granite_hybrid,
        {
            "layer_types": ("layer_types", "layers_block_type"),
            "mamba_num_heads": ("mamba_n_heads",),
            "mamba_head_dim": ("mamba_d_head",),
            "ssm_state_size": ("mamba_d_state",),
            "n_groups": ("mamba_n_groups",),
            "conv_kernel": ("mamba_d_conv",),
            "moe_intermediate_size": ("intermediate_size",),
        },
    ),
)
