"""Commented YAML files to start a model or an accelerator of one's own from; both pass their check."""

from __future__ import annotations

MODEL = """\
# A model for costcalc. Use it by its path:    costcalc estimate --model ./my-model.yaml --gpu h100
# or put it into models/ of a catalog folder:  costcalc estimate --catalog DIR --model my-model --gpu h100
# Check it with:                               costcalc models check my-model.yaml
# To change a few values of a model of the catalog, 'extends: deepseek-v3' and those values are enough.
# The numbers below are an 8B model; replace them by those of the model's config.json.
name: My-Model-8B
aliases: [my-model]            # other names that it answers to
# hf_id: organisation/My-Model-8B
family: my-family
released: "2026-11"

hidden_size: 4096
vocab_size: 128256
tied_embeddings: false         # true where the LM head is the embedding table
max_context: 131072

# Every kind of attention layer gets a label, which `layers` uses below.
attention:
  gqa:
    kind: grouped              # MHA, GQA and MQA: as many KV heads as heads, fewer, or 1
    num_attention_heads: 32
    num_key_value_heads: 8
    head_dim: 128
  # mla:                       # multi-head latent attention, as in DeepSeek
  #   kind: latent
  #   num_attention_heads: 128
  #   q_lora_rank: 1536
  #   kv_lora_rank: 512
  #   qk_nope_head_dim: 128
  #   qk_rope_head_dim: 64
  #   v_head_dim: 128
  # local:                     # sliding window
  #   kind: sliding
  #   num_attention_heads: 32
  #   num_key_value_heads: 8
  #   head_dim: 128
  #   window: 4096
feedforward:
  dense:
    kind: dense
    intermediate_size: 14336
  # experts:                   # mixture of experts
  #   kind: experts
  #   num_experts: 64
  #   experts_per_token: 8
  #   moe_intermediate_size: 2048
  #   shared_intermediate_size: 2048   # of the experts that every token passes, together; leave out where none

# Runs of equal layers, in order of depth.
layers:
  - {count: 32, attention: gqa, feedforward: dense}

# Formats that the model is served in: bf16, fp8, fp8_block, int8, int4, mxfp4, nvfp4 ...
precision: {weights: bf16, kv_cache: bf16}

# What the makers say; the check counts the parameters of the shape and compares.
published:
  total: 8.03B
  # active: 8B                 # of mixtures of experts
  source: model card
  provenance: seen             # seen, recalled or derived
# api_prices:                  # list prices, dollars per million tokens
#   - provider: Somebody
#     input_usd_per_million: 0.10
#     output_usd_per_million: 0.40
#     date: "2026-11"
#     source: https://example.com/pricing
sources:
  - what: shape
    source: config.json
    date: "2026-11"
    provenance: seen
"""

GPU = """\
# An accelerator for costcalc. Use it by its path:        costcalc estimate --model v3 --gpu ./my-gpu.yaml
# or put it into hardware_profiles/ of a catalog folder:  costcalc estimate --catalog DIR --model v3 --gpu my-gpu
# Check it with:                                          costcalc gpus check my-gpu.yaml
# To change a few values of an accelerator of the catalog, 'extends: h100-sxm' and those values are enough.
# The numbers below are made up; replace them by those of the data sheet. What is unknown is left out.
name: My GPU 96GB
aliases: [my-gpu]              # other names that it answers to
vendor: my-vendor
architecture: hopper           # the family whose measured efficiency applies, such as ampere, hopper, cdna3
released: "2026-11"
# status: announced            # where the figures came before the product

memory: 96 GB                  # as sold
# memory_reported: 97871 MiB   # as the driver reports it, where known
memory_type: HBM3
memory_bandwidth: 4 TB/s
peak_flops:                    # dense: half of what sheets give "with sparsity"
  bf16: 990 TFLOP/s
  fp8: 1980 TFLOP/s            # leave out what the hardware does not compute in
scale_up:                      # the fast fabric; leave out where devices talk through the host alone
  technology: NVLink
  bandwidth: 450 GB/s          # of one device, one direction
  domain: 8                    # devices that it joins
scale_out:                     # the network between servers
  bandwidth: 400 Gb/s          # of one device, one direction; 'b' is bits, 'B' is bytes
node_size: 8                   # devices of one server
power: 700 W

price:                         # the default; without it, the median of the on-demand prices below
  usd_per_gpu_hour: 2.50
  kind: on-demand              # on-demand, reserved, spot, owned or marketplace
  source: https://example.com/pricing
  date: "2026-11-23"
# prices:                      # more of them, for --price spot or --price somebody
#   - provider: Somebody
#     seller: cloud            # cloud, hyperscaler or study: which of them the median counts
#     kind: spot
#     usd_per_gpu_hour: 1.20
#     date: "2026-11-23"
#     source: https://example.com/pricing
#     provenance: seen         # seen, recalled or derived
sources:                       # every field above names where it comes from
  - fields: [memory, memory_type, memory_bandwidth, peak_flops, scale_up, scale_out, node_size, power, released]
    source: the data sheet
    date: "2026-11-23"
    provenance: seen
"""
