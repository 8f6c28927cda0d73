"""What InferenceX's public recipes set, where its rows do not say: drafts, polling and gathering of requests, cache.

Source: github.com/SemiAnalysisAI/InferenceX, benchmarks/*.sh and perf-changelog.yaml, read 2026-11-24. Recipes tell
how runs were set up, not how fast they were.
"""

from __future__ import annotations

from costcalc.measured.load import Row

_POLLED_BLACKWELL = 16  # requests from which SGLang polls for new ones every 30 steps, below every 10
_GATHERED_STEPS = 20.0
"""Steps for which TensorRT-LLM gathers prompts (batch_wait_timeout_iters)."""
_DRAFTS = {"trtllm": 3, "sglang": 2, "atom": 1}
_DRAFTS_AMD_SGLANG = 3


def is_inferencex(row: Row) -> bool:
    """Whether a row is one of InferenceX's runs, wherever it was published."""
    return "InferenceX" in str(row.get("source") or "")


def drafts_of(backend: str, vendor: str, attention_data: float) -> int:
    """Tokens that multi-token prediction drafts per step: num_nextn_predict_layers, speculative-num-steps.

    backend: the serving engine. attention_data: degree of attention data parallelism, beside which one is drafted.
    """
    if attention_data > 1:
        return 1
    return _DRAFTS_AMD_SGLANG if (backend, vendor) == ("sglang", "amd") else _DRAFTS.get(backend, 1)


def held_steps(row: Row, backend: str, architecture: str) -> float:
    """Decode steps for which the scheduler leaves a request unseen, on average [steps]; 0 where no recipe says so."""
    if not is_inferencex(row):
        return 0.0
    if backend == "sglang" and architecture == "blackwell" and not row.get("disagg") and (row.get("dp_attn") or 1) <= 1:
        # scheduler-recv-interval: a request arrives anywhere within it.
        return (30 if (row["concurrency"] or 0) >= _POLLED_BLACKWELL else 10) / 2
    gathers = str(row.get("framework")) == "trtllm" and row["isl"] == row["osl"] and (row.get("tp") or 1) < 8
    return _GATHERED_STEPS if gathers else 0.0


def cache_format(row: Row, architecture: str) -> str | None:
    """The cache that a recipe leaves at 16 bits: MiniMax's and gpt-oss's on Hopper do, others ask for fp8."""
    silent = str(row["model"]).startswith(("MiniMax", "gpt-oss")) and architecture == "hopper"
    return "bf16" if silent and is_inferencex(row) else None
