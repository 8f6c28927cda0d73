"""Models outside the catalog: parameters counted from their configurations against those that others publish."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hub_configs import imported

# architecture -> settings of the published config.json, its parameters, and who says so.
PUBLISHED: dict[str, tuple[dict[str, Any], int]] = {
    # Gu and Dao 2023 (arXiv 2312.00752); huggingface.co/state-spaces/mamba-2.8b-hf: 2,768,345,600
    "MambaForCausalLM": (
        {"conv_kernel": 4, "hidden_size": 2560, "intermediate_size": 5120, "num_hidden_layers": 64, "state_size": 16,
         "time_step_rank": 160, "vocab_size": 50280},
        2_768_345_600,
    ),
    # mistralai/Mamba-Codestral-7B-v0.1: 7,285,403,648
    "Mamba2ForCausalLM": (
        {"head_dim": 64, "hidden_size": 4096, "n_groups": 8, "num_heads": 128, "num_hidden_layers": 64,
         "state_size": 128, "tie_word_embeddings": False, "vocab_size": 32768},
        7_285_403_648,
    ),
    # mosaicml/mpt-7b, 6.65B
    "MPTForCausalLM": (
        {"attn_config": {"alibi": True}, "d_model": 4096, "expansion_ratio": 4, "max_seq_len": 2048, "n_heads": 32,
         "n_layers": 32, "no_bias": True, "vocab_size": 50432},
        6_649_286_656,
    ),
    # internlm/internlm2-chat-7b, 7.74B
    "InternLM2ForCausalLM": (
        {"bias": False, "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 32768,
         "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "vocab_size": 92544},
        7_737_708_544,
    ),
    # deepseek-ai/deepseek-moe-16b-base, 16.4B (arXiv 2401.06066)
    "DeepseekForCausalLM": (
        {"first_k_dense_replace": 1, "hidden_size": 2048, "intermediate_size": 10944, "max_position_embeddings": 4096,
         "moe_intermediate_size": 1408, "moe_layer_freq": 1, "n_routed_experts": 64, "n_shared_experts": 2,
         "num_attention_heads": 16, "num_experts_per_tok": 6, "num_hidden_layers": 28, "num_key_value_heads": 16,
         "vocab_size": 102400},
        16_375_728_128,
    ),
    # Radford et al. 2019; huggingface.co/openai-community/gpt2: 124M
    "GPT2LMHeadModel": (
        {"n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024, "vocab_size": 50257},
        124_439_808,
    ),
    # EleutherAI/gpt-j-6b, 6.05B
    "GPTJForCausalLM": (
        {"n_embd": 4096, "n_head": 16, "n_inner": None, "n_layer": 28, "n_positions": 2048, "vocab_size": 50400,
         "tie_word_embeddings": False},
        6_050_882_784,
    ),
    # Black et al. 2022, GPT-NeoX-20B (arXiv 2204.06745), table 1
    "GPTNeoXForCausalLM": (
        {"hidden_size": 6144, "intermediate_size": 24576, "num_attention_heads": 64, "num_hidden_layers": 44,
         "vocab_size": 50432},
        20_554_567_680,
    ),
    # bigcode/starcoder, 15.5B (Li et al. 2023, arXiv 2305.06161)
    "GPTBigCodeForCausalLM": (
        {"n_embd": 6144, "n_head": 48, "n_inner": 24576, "n_layer": 40, "n_positions": 8192, "vocab_size": 49152,
         "multi_query": True},
        15_517_456_384,
    ),
    # bigcode/starcoder2-7b, 7.17B
    "Starcoder2ForCausalLM": (
        {"hidden_size": 4608, "intermediate_size": 18432, "max_position_embeddings": 16384, "num_attention_heads": 36,
         "num_hidden_layers": 32, "num_key_value_heads": 4, "sliding_window": 4096, "vocab_size": 49152},
        7_173_923_840,
    ),
    # microsoft/phi-2, 2.78B
    "PhiForCausalLM": (
        {"hidden_size": 2560, "intermediate_size": 10240, "num_attention_heads": 32, "num_hidden_layers": 32,
         "num_key_value_heads": 32, "qk_layernorm": False, "vocab_size": 51200},
        2_779_683_840,
    ),
    # Gemma 2 (arXiv 2408.00118), table 2: 2,024,517,888 beside the embeddings of 256,000 tokens
    "Gemma2ForCausalLM": (
        {"head_dim": 256, "hidden_size": 2304, "intermediate_size": 9216, "num_attention_heads": 8,
         "num_hidden_layers": 26, "num_key_value_heads": 4, "sliding_window": 4096, "vocab_size": 256000},
        2_024_517_888 + 2304 * 256_000,
    ),
    # google/gemma-2b, 2.51B
    "GemmaForCausalLM": (
        {"head_dim": 256, "hidden_size": 2048, "intermediate_size": 16384, "num_attention_heads": 8,
         "num_hidden_layers": 18, "num_key_value_heads": 1, "vocab_size": 256000},
        2_506_172_416,
    ),
    # google/gemma-3-1b-it, 1.00B
    "Gemma3ForCausalLM": (
        {"head_dim": 256, "hidden_size": 1152, "intermediate_size": 6912, "num_attention_heads": 4,
         "num_hidden_layers": 26, "num_key_value_heads": 1, "sliding_window": 512, "vocab_size": 262144},
        999_885_952,
    ),
    # Qwen/Qwen1.5-MoE-A2.7B, 14.3B
    "Qwen2MoeForCausalLM": (
        {"hidden_size": 2048, "intermediate_size": 5632, "max_window_layers": 21, "num_attention_heads": 16,
         "num_hidden_layers": 24, "num_key_value_heads": 16, "sliding_window": 32768, "use_sliding_window": False,
         "vocab_size": 151936, "decoder_sparse_step": 1, "moe_intermediate_size": 1408, "num_experts": 60,
         "shared_expert_intermediate_size": 5632, "num_experts_per_tok": 4},
        14_315_784_192,
    ),
    # CohereForAI/aya-23-8B, 8.03B
    "CohereForCausalLM": (
        {"hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32, "num_hidden_layers": 32,
         "num_key_value_heads": 8, "use_qk_norm": False, "vocab_size": 256000},
        8_028_033_024,
    ),
    # stabilityai/stablelm-2-1_6b, 1.64B
    "StableLmForCausalLM": (
        {"hidden_size": 2048, "intermediate_size": 5632, "num_attention_heads": 32, "num_hidden_layers": 24,
         "num_key_value_heads": 32, "use_qkv_bias": True, "vocab_size": 100352},
        1_644_515_328,
    ),
    # THUDM/GLM-4-32B-0414, 32.6B
    "Glm4ForCausalLM": (
        {"attention_bias": False, "head_dim": 128, "hidden_size": 6144, "intermediate_size": 23040,
         "num_attention_heads": 48, "num_hidden_layers": 61, "num_key_value_heads": 2, "vocab_size": 151552},
        32_566_081_536,
    ),
    # HuggingFaceTB/SmolLM3-3B, 3.08B
    "SmolLM3ForCausalLM": (
        {"hidden_size": 2048, "intermediate_size": 11008, "num_attention_heads": 16, "num_hidden_layers": 36,
         "num_key_value_heads": 4, "vocab_size": 128256},
        3_075_098_624,
    ),
    # allenai/Olmo-3-1025-7B, 7.30B
    "Olmo3ForCausalLM": (
        {"hidden_size": 4096, "intermediate_size": 11008, "max_position_embeddings": 65536, "num_attention_heads": 32,
         "num_hidden_layers": 32, "num_key_value_heads": 32, "sliding_window": 4096, "vocab_size": 100278},
        7_298_011_136,
    ),
    # tencent/Hunyuan-A13B-Instruct, 80.4B
    "HunYuanMoEV1ForCausalLM": (
        {"head_dim": 128, "hidden_size": 4096, "intermediate_size": 3072, "moe_intermediate_size": [3072] * 32,
         "moe_topk": [8] * 32, "num_attention_heads": 32, "num_experts": 64, "num_hidden_layers": 32,
         "num_key_value_heads": 8, "num_shared_expert": [1] * 32, "tie_word_embeddings": True, "use_cla": False,
         "use_qk_norm": True, "vocab_size": 128167},
        80_393_183_232,
    ),
    # Granite-4.0-H-Small, built from the class of transformers 5.23.0 (granitemoehybrid): 32B
    "GraniteMoeHybridForCausalLM": (
        {"hidden_size": 4096, "intermediate_size": 768, "num_attention_heads": 32, "num_hidden_layers": 40,
         "num_key_value_heads": 8, "num_local_experts": 72, "num_experts_per_tok": 10, "vocab_size": 100352,
         "shared_intermediate_size": 1536, "mamba_n_heads": 128, "mamba_d_head": 64, "mamba_d_state": 128,
         "mamba_n_groups": 1, "mamba_expand": 2, "mamba_d_conv": 4, "tie_word_embeddings": True,
         "layer_types": ["attention" if i in (5, 15, 25, 35) else "mamba" for i in range(40)]},
        32_207_337_984,
    ),
    # Mistral Small 4, built from the class of transformers 5.23.0 (mistral4): 119B
    "Mistral4ForCausalLM": (
        {"hidden_size": 4096, "intermediate_size": 12288, "moe_intermediate_size": 2048, "num_hidden_layers": 36,
         "num_attention_heads": 32, "n_shared_experts": 1, "n_routed_experts": 128, "kv_lora_rank": 256,
         "q_lora_rank": 1024, "qk_rope_head_dim": 64, "v_head_dim": 128, "qk_nope_head_dim": 64,
         "num_experts_per_tok": 4, "first_k_dense_replace": 0, "vocab_size": 131072},
        118_972_826_624,
    ),
}  # fmt: skip


@pytest.mark.parametrize("architecture", PUBLISHED)
def test_parameters_are_those_published(architecture: str, tmp_path: Path) -> None:
    settings, parameters = PUBLISHED[architecture]
    data = {"architectures": [architecture], "torch_dtype": "bfloat16", **settings}
    assert imported(tmp_path, data).spec.total_parameters == parameters


def test_layers_without_a_window_stand_where_the_class_puts_them(tmp_path: Path) -> None:
    # Gemma 3 (arXiv 2503.19786), section 2.1: five local layers to a global one, local first; Gemma 2: one to one.
    for architecture, full in (("Gemma3ForCausalLM", 4), ("Gemma2ForCausalLM", 13)):
        data = {"architectures": [architecture], **PUBLISHED[architecture][0]}
        counts = {group.attention[0]: group.count for group in imported(tmp_path, data).spec.layers}
        assert counts == {"sliding": 26 - full, "full": full}


@pytest.mark.parametrize("parameters", [1, 2])
def test_one_or_two_norms_in_a_falcon(parameters: int, tmp_path: Path) -> None:
    # tiiuae/falcon-11B sets num_ln_in_parallel_attn to 1, where Falcon-40B has a norm for each half.
    data = {"architectures": ["FalconForCausalLM"], "hidden_size": 4096, "num_attention_heads": 32, "num_kv_heads": 8,
            "num_hidden_layers": 2, "vocab_size": 65024, "new_decoder_architecture": True,
            "num_ln_in_parallel_attn": parameters}  # fmt: skip
    assert imported(tmp_path, data).spec.norm_parameters == (2 * parameters + 1) * 2 * 4096
