"""Every exact and derived figure as costcalc gives it: one entry a case, all through the public interface.

An expression takes the published inputs and returns the answer in the published unit.
"""

from __future__ import annotations

from asking import (
    Expression,
    article,
    bytes_per_token,
    cache_read,
    catalog_sonnet_ratio,
    compute_seconds,
    crossover_batch,
    dense,
    elements_per_token,
    exchange_bound_tpot,
    exchange_seconds,
    fleet_revenue,
    fleet_usd,
    groups_of_latent,
    intensity,
    logical_transfer,
    memory_seconds,
    popquiz_step,
    prefill_floor,
    q1_parameters,
    ridge,
    step_of,
    touched,
    v3_attention_parameters,
    v3_expert_slots,
    v3_weights_of_one_token,
)

import costcalc
from costcalc.engine.cost import training_flops_per_token, training_usd, usd_per_million
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.queueing import concurrency
from costcalc.engine.step import tokens_per_pass
from costcalc.model.attention.gqa import GroupedAttention
from costcalc.model.attention.mla import LatentAttention

EXPRESSED: dict[str, Expression] = {
    "epoch-gpt3-kv-params": lambda _: elements_per_token("gpt-3"),
    "epoch-gpt3-kv-bytes": lambda i: article(i).kv_cache.bytes_per_token,
    "epoch-gpt3-100k-read": lambda i: article(i).kv_cache.bytes_read_per_token,
    "epoch-gpt3-100k-time": lambda i: article(i).decode.step_time_s or 0.0,
    "epoch-gpt3-100k-80usd": lambda i: article(i).cost.usd_per_million_output_tokens or 0.0,
    "epoch-vs-sonnet-ratio": catalog_sonnet_ratio,
    "erdil-mistral-crossover-batch": crossover_batch,
    "erdil-gqa-intensity": lambda i: intensity(
        GroupedAttention(num_attention_heads=8 * i["group"], num_key_value_heads=8, head_dim=128)
    ),
    "erdil-llama70b-prefill-floor": prefill_floor,
    "erdil-h100-hbm-sweep": lambda i: 1e3 * memory_seconds(costcalc.load_gpu("h100").memory, i["hbm_Bps"]),
    "v2-mla-eq-gqa-groups": groups_of_latent,
    "v2-kv-elements": lambda _: elements_per_token("deepseek-v2"),
    "v2-kv-elements-mla-small": lambda _: elements_per_token("deepseek-v2-lite"),
    "v3-total-params": lambda _: costcalc.load_model("v3").total_parameters,
    "v2lite-total-params": lambda _: costcalc.load_model("deepseek-v2-lite").total_parameters,
    "v3-mla-attn-params": v3_attention_parameters,
    "v3-train-cost": lambda i: float(training_usd(sum(i["gpu_hours"].values()), i["usd_per_gpu_hour"])),
    "v3-prefill-unit-fit": v3_expert_slots,
    # Attention on 4 tensor ranks, 80 of them data parallel; one expert or a copy on each GPU.
    "v3-report-decode-unit": lambda _: Parallelism(tp=4, attention_dp=80, ep=320).gpus,
    "isca-kv-v3": bytes_per_token("v3"),
    "isca-kv-qwen72b": bytes_per_token("qwen2.5-72b"),
    "isca-ib-comm": lambda i: 1e6 * exchange_seconds(i),
    "isca-ib-tpot": lambda i: 1e3 * exchange_bound_tpot(i),
    "isca-train-gflop-v3": lambda i: training_flops_per_token(costcalc.load_model("v3"), i["seq"]) / 1e9,
    "day6-daily-cost": lambda i: fleet_usd(i, 168e9),
    "day6-revenue": fleet_revenue,
    "day6-decode-cost": lambda i: usd_per_million(1, i["usd_per_node_hour"], i["tokens_per_s_node"]),
    "day6-blended-cost": lambda i: usd_per_million(1, i["usd_day"] / 24, i["output_tokens_day"] / 86_400),
    "day6-concurrency-per-gpu": lambda i: (
        concurrency(i["tokens_per_s_node"], 1 / i["tps_per_user"]) / i["gpus_per_node"]
    ),
    "sgl-020-usd": lambda i: usd_per_million(i["gpus_per_node"], i["usd_per_gpu_hour"], i["tokens_per_s_node"]),
    "sgl-decode-itl": lambda i: 1e3 * 8 * i["batch_per_gpu"] / concurrency(i["tokens_per_s_node"], 1.0),
    "flashmla-intensity": lambda i: intensity(
        LatentAttention(
            num_attention_heads=i["heads"],
            kv_lora_rank=i["d_v"],
            qk_nope_head_dim=128,
            qk_rope_head_dim=i["d_k"] - i["d_v"],
            v_head_dim=128,
        )
    ),
    "flashmla-mbu": lambda i: i["achieved_Bps"] / costcalc.load_gpu("h800").memory_bandwidth,
    "flashmla-fp8-kv": lambda _: (
        costcalc.estimate("v3", "h100", kv_cache="fp8_ds_mla", terms="kv").kv_cache.bytes_per_token / 61
    ),
    "deepep-ll-combine-ep8": lambda i: 1e6 * logical_transfer(i),
    "deepep-ll-dispatch-ep128": lambda i: 1e6 * logical_transfer(i),
    "deepep-ll-combine-ep256": lambda i: 1e6 * logical_transfer(i),
    "sb-popquiz-b4": lambda i: 1e3 * popquiz_step(i),
    "sb-llama13b-kv-8k": lambda i: cache_read("llama-2-13b", context=i["context"]).kv_cache.bytes_per_sequence,
    "sb-llama13b-step-b1": lambda i: 1e3 * step_of(i),
    "sb-llama13b-step-b32": lambda i: 1e3 * step_of(i),
    "sb-q1-params": q1_parameters,
    "sb-llama70b-kv-int8": lambda _: cache_read("llama-3.1-70b", kv_cache="fp8").kv_cache.bytes_per_token,
    "sb-llama70b-step": lambda i: 1e3 * memory_seconds(i["bytes"], i["chips"] * i["hbm_Bps"]),
    "sb-llama70b-mincount-bf16": lambda i: i["weight_bytes"] / costcalc.load_gpu("tpu-v5e").memory,
    "sb-prefill-8k": lambda i: compute_seconds(2 * i["params"] * i["tokens"], i["chips"] * i["flops"] * i["mfu"]),
    "sb-bcrit-v5e": lambda i: i["flops"] / i["hbm_Bps"] * i["weight_bytes"] / 2,
    "kip-a100-ridge": ridge("a100-40gb-sxm", "1.5 TB/s"),
    "kip-52b-kv": lambda i: cache_read(dense(i["layers"], i["d_model"], 64, 64, 128)).kv_cache.bytes_per_token,
    "kip-260b-b1": lambda i: 1e3 * memory_seconds(i["params"] * i["weight_bytes"], i["gpus"] * i["hbm_Bps"]),
    "vllm-opt13b-kv": bytes_per_token("opt-13b"),
    "kvtab-llama3-8b": bytes_per_token("llama-3.1-8b"),
    "kvtab-qwen3-8b": bytes_per_token("qwen3-8b"),
    "kvtab-qwen3-30b-a3b": bytes_per_token("qwen3-30b-a3b"),
    "kvtab-opt-30b": bytes_per_token("opt-30b"),
    "kvtab-glm-4-9b-1m": bytes_per_token("glm-4-9b-1m"),
    "lev-eq1-08-5": lambda i: tokens_per_pass(i["alpha"], i["gamma"]),
    "lev-bigram": lambda i: tokens_per_pass(i["alpha"], i["gamma"]) / (1 + i["gamma"] * i["c"]),
    "lev-corollary39": lambda i: tokens_per_pass(i["alpha"], 1) / (1 + i["c"]),
    "moe-distinct-v3-b1": touched("v3"),
    "moe-distinct-v3-b32": touched("v3"),
    "moe-distinct-mixtral-8x7b-b4": touched("mixtral-8x7b"),
    "moe-distinct-gpt-oss-120b-b8": touched("gpt-oss-120b"),
    "moe-v3-weights-b1": v3_weights_of_one_token,
    "pope-540b-prefill-mfu": lambda i: (
        compute_seconds(2 * i["params"] * i["tokens"], i["chips"] * i["flops"]) / i["seconds"]
    ),
    "nv-h200-r1-usd": lambda i: usd_per_million(1, i["usd_per_gpu_hour"], i["tokens_per_s_gpu"]),
    "baseten-a10-ridge": ridge("a10"),
    "roofline-a6000-ridge": ridge("rtx-a6000"),
}

NOT_EXPRESSED = {
    "erdil-nccl-ar-8": "a latency model of NCCL's low-latency protocol; costcalc fits its own to measured all-reduces",
    "erdil-sqrt-law-70b": "a rule of thumb across models; costcalc counts each model's own bytes and FLOPs instead",
    "sb-evict": "bookkeeping of a cache allocator; costcalc sizes the cache by sequences at full length",
}
