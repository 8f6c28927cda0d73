"""The columns of a file of measurements, by kind."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns that a kind of file has; others are kept as they are, and change nothing."""

    text: tuple[str, ...]  # required, may not be empty
    numbers: tuple[str, ...]  # required, may not be empty
    optional_text: tuple[str, ...] = ()  # may be empty or missing
    optional_numbers: tuple[str, ...] = ()  # may be empty or missing
    measured: tuple[str, ...] = ("ms",)  # what was measured; a row without any is only predicted
    unheeded: tuple[str, ...] = ()  # change the time, and no prediction looks at them: a row that has one is told so

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that a file of this kind must have."""
        return (*self.text, *self.numbers)

    @property
    def known(self) -> tuple[str, ...]:
        """Columns that mean something in a file of this kind."""
        return (*self.required, *self.optional_text, *self.optional_numbers, *self.measured)

    def is_text(self, name: str) -> bool:
        """Whether a column is text, even where it looks like a number, as versions do."""
        return name in self.text or name in self.optional_text or name in _TEXT


_TEXT = ("version", "source", "date", "licence")
"""Text that every kind may carry along."""

KINDS: dict[str, Columns] = {
    "decode_attention": Columns(
        text=("gpu", "kind", "kv_dtype"),
        numbers=("batch", "context", "q_heads", "kv_heads", "head_dim"),
        optional_text=("framework", "kernel", "q_dtype", "note", "suspect"),
        optional_numbers=("kv_lora_rank", "rope_dim", "window_size", "window"),
        unheeded=("q_len", "query_tokens", "sinks", "softcap", "sparsity"),
    ),
    "prefill_attention": Columns(
        text=("gpu", "kind"),
        numbers=("batch", "seq", "q_heads", "kv_heads", "qk_head_dim", "v_head_dim"),
        optional_text=("framework", "kernel", "q_dtype", "kv_dtype", "note", "suspect"),
        optional_numbers=("window_size", "window"),
        unheeded=("prefix", "cached", "past", "kv_len", "softcap", "sparsity"),
    ),
    "gemm": Columns(
        text=("gpu", "dtype"),
        numbers=("m", "n", "k"),
        optional_text=("framework", "kernel", "op", "note", "suspect"),
        unheeded=("batch", "groups", "bias", "sparsity"),
    ),
    "moe": Columns(
        text=("gpu", "dtype"),
        numbers=("tokens", "hidden", "inter", "topk", "experts", "moe_tp", "moe_ep"),
        optional_text=("framework", "kernel", "distribution", "model_shape", "note", "suspect"),
        unheeded=("moe_dtype", "a_dtype", "shared_experts", "bias"),
    ),
    "comm": Columns(
        text=("gpu", "op"),
        numbers=("n_gpus",),
        optional_text=("impl", "fabric", "note", "suspect"),
        optional_numbers=("bytes", "tokens", "hidden", "topk", "experts"),
        unheeded=("nodes", "n_nodes", "num_nodes"),
    ),
    "e2e": Columns(
        text=("gpu", "model", "kind"),
        numbers=("n_gpus", "isl", "osl"),
        optional_text=(
            "dtype",
            "moe_dtype",
            "kv_dtype",
            "framework",
            "version",
            "spec",
            "statistic",
            "date",
            "suspect",
        ),
        optional_numbers=(
            *("tp", "pp", "ep", "dp_attn", "concurrency", "total_tok_s_gpu", "disagg"),
            *("mean_length", "equal_lengths", "held_steps", "prompts_reused"),
        ),
        measured=("ttft_ms", "tpot_ms", "out_tok_s_gpu"),
    ),
}
"""Columns by kind of measurement."""
