"""measuring.md: the columns of each kind of measurement, what a blank means, and which rows are left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from costcalc.catalog.files import packaged_root
from costcalc.catalog.yaml import load_yaml
from costcalc.engine.latency.kernel_choice import CUSTOM_LIMIT
from costcalc.formats import spellings
from costcalc.report.accuracy import KIND_TITLES
from costcalc.validation.files import BEATS_ROOFLINE, EMPTY, KINDS, Columns

INTRODUCTION = """\
# Measurements of your own

<!-- Made by docs/generate.py from costcalc/validation/ and docs/measuring.py: change those, then run it again. -->

A CSV file in these columns can be scored, and the constants of estimates can be fitted on it:

```sh
costcalc validate --data mine.csv                                        # how far off is costcalc here?
costcalc calibrate --from mine.csv -o mine                               # make it follow
costcalc estimate --model llama-3.1-70b --gpu 8xh100 --catalog mine      # an estimate that does
```

The first row names the columns, in any order; lines that begin with `#` are comments. Commas, semicolons or tabs
separate. The kind of a file is told by its columns, or by `--kind`. Other columns than these may be there, are handed
through to `--format json` and `--format csv`, and change nothing. Names of GPUs and models are those of
[catalog.md](catalog.md), however drivers and hubs spell them. A row without what was measured is predicted too.
"""
AFTER = """\
## What becomes of it

`costcalc calibrate --from` writes into the folder that `-o` names, which `--catalog` then reads.

Kernels become factors on the parameters of their closed forms, GPU by GPU, in
`hardware_profiles/efficiency/machines.yaml`. `validate` and estimates time that GPU's kernels by the same forms with
these factors, never above the data sheet; estimates add what engines make of kernels, as for any GPU. Few points move
a factor little, and a kernel keeps the shipped parameters where it predicts shapes left out worse with them than
without. What was not measured stays as it is: other GPUs, and other kernels of this one.

| kind | kernels |
| :-- | :-- |
| gemm | all matrix products, and the LM head |
| moe | routed experts |
| decode_attention | decode over a cache of heads (index scores and recurrent states too), or of latents |
| prefill_attention | prefill |
| comm | NCCL's collectives, an engine's own all-reduce, exchange of routed tokens: each by its rows |

On a machine with a GPU, `costcalc calibrate` measures products and decode attention itself and keeps its points in
`measurements/`. These are PyTorch's kernels: what those are over the kernels of engines (rows whose `framework` is
`torch`), as one H100 showed, is not taken for the machine's, and its range is no narrower than the shipped one.

## From five runs

Runs (`e2e`) move the constants of serving themselves, in `hardware_profiles/efficiency/serving.yaml`: every estimate
from that folder follows, whatever its GPU, so keep a folder for each machine and engine. Groups of runs, a GPU under an
engine of a version, differ from all that was fitted in every constant by so much, and runs of one group err together,
those of one deployment most, and the more the nearer their loads are. Both spreads are learnt from the shipped groups,
each left out of the fit, and stand in [groups.yaml](../measurements/groups.yaml). The constants that are most likely
given the runs follow from them, as a Gaussian posterior. Of that,

- rows of one deployment count as few: the page says how many rows were effective, and that many over one more is
  believed;
- nothing moves where rows left out in turn are predicted worse than by the shipped constants;
- a constant that the runs say nothing of stays; shares of a peak stay at most 1;
- ranges narrow as far as the constants are known better, and hold the runs themselves, predicted by each other.

Kernels and runs together count once. Rows of kernels go first, into the factors of their kernels; runs are then
predicted with these, and move constants only by what is left. A row that stands in two files is one row, and constants
that runs moved are no start for the same runs. 200 rows at most are weighed, evenly spaced.

```sh
costcalc calibrate --from gemm.csv --from runs.csv -o mine        # kernels and runs, in one call or in this order
```

What five runs are worth, tried on {groups} groups of the shipped rows (`python benchmarks/calibrate.py`): the constants
before are fitted without the group, linearly; five of its rows move them, with spreads of the other groups, and the
median error of its other rows is taken, of times per output token or throughput. The five are drawn at random, or from
one deployment.

{summary}

So five runs help most where most is wrong. They do not cut the error of a typical group by a third: half of the groups
are predicted to 10% before, and what is left there is mostly of single deployments and loads ({deployment:.0%} and
{load:.0%}, as standard deviations), which no constant moves.

{table}
"""
RULES = """\
## Which rows are left out

Every row is listed. It has no prediction, and says why, where

- a column that it needs is empty, no number, not above 0, or beyond all reason. In any case, these are empty:
  {empty}.
  A number such as `1,024` is read in quotes; where semicolons separate, commas in numbers are refused;
- it has more or fewer fields than the header;
- its GPU, model, number type, kind of attention or collective is unknown, or a link that it needs is not known.

It is predicted and not scored, nor fitted, where

- nothing was measured;
- `suspect` gives a reason, or `note` does;
- it was faster than the roofline of its GPU by more than {beats:.1%};
- for serving, its replicas need more GPUs than it says.

It is scored with a warning, and mostly with a wider range, where the measurements behind the fit say little of it: a
collective or a fabric that was not measured, a GPU with fewer FLOP per byte than any measured one, a kernel that is a
fall-back, a degree of parallelism that cannot be as recorded; and where it states what no prediction looks at:
{unheeded}.
A file is refused where its header fits no kind, where it is not CSV, and where it has no rows.
"""
MEANINGS = {
    "gpu": "name of the GPU",
    "dtype": "number type of the weights, see below",
    "ms": "measured time [ms]",
    "framework": "engine: TensorRT-LLM, vLLM, SGLang ...; tells which kernel runs",
    "kernel": "name of the kernel, as a profiler records it",
    "note": "why the row is to be left out",
    "suspect": "why the row is to be left out",
    "kind": "MHA, GQA, MQA, MLA, or SWA with a window",
    "batch": "sequences",
    "context": "cached tokens of each",
    "q_heads": "query heads on this GPU",
    "kv_heads": "KV heads on this GPU",
    "head_dim": "dims of a head",
    "kv_dtype": "number type of the cache; `auto` for that of the queries",
    "q_dtype": "number type of the queries",
    "kv_lora_rank": "dims of MLA's latent",
    "rope_dim": "dims of MLA's rotary key",
    "window_size": "tokens that a query sees at most",
    "window": "the same",
    "seq": "query and key tokens of each sequence",
    "qk_head_dim": "dims of queries and keys",
    "v_head_dim": "dims of values",
    "m": "rows of the activations: tokens",
    "n": "outputs",
    "k": "inputs",
    "op": "what the product is for",
    "tokens": "tokens routed, over all ranks",
    "hidden": "dims of a token",
    "inter": "dims of an expert, before it is cut",
    "topk": "experts of a token",
    "experts": "experts of the layer",
    "moe_tp": "ranks that an expert is cut into",
    "moe_ep": "ranks that share the experts",
    "distribution": "`balanced`, or `power_law_1.2`: loads drawn from a power law, the fullest rank timed",
    "model_shape": "model that has this shape",
    "n_gpus": "GPUs that take part",
    "impl": "library, such as `nccl 2.27`; `custom` in it is an engine's own all-reduce",
    "fabric": "what joins the GPUs, if not their own links: `2 nodes`, `InfiniBand`, `PCIe`, `pairwise NVLink`",
    "bytes": "the whole tensor; what each rank sends in an all-to-all",
    "model": "name of the model or checkpoint",
    "isl": "tokens in",
    "osl": "tokens out",
    "moe_dtype": "number type of the routed experts",
    "version": "of the engine; changes nothing",
    "spec": "`mtp` where drafts are predicted, `mtp3` where three are in a step, `none` where not",
    "statistic": "`mean` or `median`: what times are",
    "date": "when it was measured, YYYY-MM-DD or YYYY-MM",
    "tp": "tensor parallel degree",
    "pp": "pipeline parallel degree",
    "ep": "expert parallel degree",
    "dp_attn": "attention data parallel degree",
    "concurrency": "requests at once",
    "total_tok_s_gpu": "changes nothing",
    "disagg": "1 where prefill and decode have GPUs of their own",
    "mean_length": "mean length of prompts and answers over the nominal one",
    "lengths": "`mixed`, or `equal` where all requests have the nominal length",
    "tuning": "`tuned` by a recipe, or `default`: as the engine's documentation starts it",
    "polling": "decode steps for which the scheduler is given no new request",
    "cached": "share of a prompt that a prefix cache holds",
    "n_requests": "requests that queue at once",
    "max_batch_size": "sequences that the engine ran at most, on each attention data rank",
    "draft_tokens": "tokens drafted in a step, where `spec` is `mtp`",
    "accepted": "tokens that a step yields for a sequence",
    "engine_version": "changes nothing",
    "prefill_gpus": "GPUs of the pool that prefills",
    "prefill_workers": "its workers",
    "prefill_tp": "tensor parallel degree of one",
    "prefill_ep": "expert parallel degree of one",
    "prefill_dp_attention": "1 where its attention is data parallel",
    "decode_gpus": "GPUs of the pool that decodes",
    "decode_workers": "its workers",
    "decode_tp": "tensor parallel degree of one",
    "decode_ep": "expert parallel degree of one",
    "decode_dp_attention": "1 where its attention is data parallel",
    "prefill_ms": "measured time of prefilling one prompt [ms]",
    "gpus": "GPUs in all",
    "quantity": "`TPOT`, `decode`, `TTFT`, `prefill`, `output` or `output per GPU`",
    "unit": "`ms` or `tok/s`",
    "measured": "the result, in its unit",
    "engine": "engine and version",
    "weights": "number type of the weights, as people write it: `GGUF Q4_K_M`, `EXL2 4.0 bpw`, `fp8`",
    "kv": "number type of the cache",
    "setup": "`documented-default`, `community` or `tuned-recipe`",
    "class": "kind of result, which tables group by",
    "dp": "attention data parallel degree",
    "input": "tokens in",
    "output": "tokens out",
    "ttft_ms": "measured time to first token [ms]",
    "tpot_ms": "measured time per output token [ms]",
    "out_tok_s_gpu": "measured output tokens/s per GPU, where all requests queue",
    "memory_utilization": "share of the GPU's memory that the engine was given",
    "max_length": "tokens of the longest sequence",
    "weights_gib": "logged weights [GiB per GPU]; tells the number type where neither `dtype` nor the name does",
    "max_concurrency": "logged sequences of full length",
    "activations_gib": "logged; changes nothing",
    "non_torch_gib": "logged; changes nothing",
    "kv_pool_gib": "logged memory for the cache [GiB per GPU]",
    "precision": "`fp8` or `fp4`, of the checkpoint",
    "run": "changes nothing",
    "median_tpot_ms": "changes nothing",
    "output_tok_s_gpu": "measured output tokens/s per GPU: a row far below the prediction hardly ran",
    "tok_s_gpu": "changes nothing",
    "avg_power_w_per_gpu": "mean power of a GPU [W]; fitted on",
    "j_per_token": "changes nothing",
    "j_per_output_token": "measured joules of all GPUs per output token",
}
"""What columns mean, where a kind says nothing else."""
OWN_MEANINGS = {
    ("comm", "op"): "all_reduce, all_gather, reduce_scatter, alltoall, broadcast, reduce, send_recv in any spelling; "
    "dispatch or combine of experts where the name has it, low-latency with `ll`",
    ("comm", "tokens"): "tokens of each rank, of dispatch and combine",
    ("comm", "experts"): "changes nothing",
    ("e2e", "kind"): "`online` for a closed loop, `offline` where all requests queue at once, `static batch`",
    ("e2e", "dtype"): "number type of the checkpoint",
    ("e2e", "kv_dtype"): "number type of the cache",
    ("gemm", "op"): "changes nothing",
    ("power", "decode_gpus"): "GPUs of the pool that decodes, or all",
    ("power", "decode_tp"): "tensor parallel degree",
    ("power", "decode_ep"): "expert parallel degree",
}
BLANKS = {
    "framework": "the usual kernel of the GPU; of serving, vLLM",
    "kernel": "the usual one of engine and GPU",
    "q_dtype": "16 bits",
    "kv_lora_rank": "512",
    "rope_dim": "64",
    "window_size": "no window",
    "window": "no window",
    "distribution": "balanced",
    "fabric": "the GPU's own links, the network beyond its domain",
    "impl": "NCCL or RCCL",
    "spec": "no drafts",
    "tp": "the GPUs that other degrees leave",
    "pp": "1",
    "ep": "1",
    "dp_attn": "1",
    "disagg": "shared",
    "moe_dtype": "that of the checkpoint",
    "dtype": "the model's own",
    "kv_dtype": "fp8 beside narrow weights, else 16 bits",
    "concurrency": "needed unless all requests queue",
    "mean_length": "1",
    "lengths": "mixed",
    "tuning": "default",
    "polling": "0",
    "cached": "0",
    "prefill_gpus": "as many as it takes",
    "prefill_workers": "workers like those that decode",
    "decode_gpus": "all of `n_gpus`",
    "decode_workers": "workers of `tp`, `dp_attn` and `ep`",
    "date": "the month that estimates are for",
    "statistic": "median",
    "bytes": "needed by collectives",
    "tokens": "needed by dispatch and combine",
    "hidden": "needed by dispatch and combine",
    "topk": "needed by dispatch and combine",
    "engine": "vLLM",
    "kv": "the checkpoint's",
    "weights_gib": "not logged",
    "max_concurrency": "not logged",
    "activations_gib": "not logged",
    "non_torch_gib": "not logged",
}
"""What a blank of an optional column is taken for."""
OWN_BLANKS = {("prefill_attention", "kv_dtype"): ""}
WHAT = {
    "decode_attention": "One layer on one GPU: one new token of each sequence over its cache.",
    "prefill_attention": "One layer on one GPU, causal, without a prefix. MLA is stated by its expanded dims.",
    "gemm": "One product of [m, k] and [k, n] on one GPU.",
    "moe": "Fused routed experts of one layer on one GPU: gate, up, activation, down.",
    "comm": "A collective, or dispatch and combination of routed tokens. Messages above "
    f"{CUSTOM_LIMIT / 1e6:.0f} MB of an engine's own all-reduce are predicted as NCCL's.",
    "power": "A run of a closed loop whose GPUs' power was measured.",
    "kv_pool": "A start-up log of a serving engine: the memory that it leaves for the cache.",
    "e2e": "A deployment under load. One of the measured columns is enough.",
    "field": "Single results as people report them, one number a row.",
}


def measuring_page() -> str:
    """Return the page as Markdown."""
    parts = [INTRODUCTION]
    for kind, columns in KINDS.items():
        parts += [f"## {KIND_TITLES[kind]}: `{kind}`\n\n{WHAT[kind]}\n", "\n".join(_table(kind, columns)) + "\n"]
    parts += ["## Number types\n\nIn any case, with hyphens or underscores.\n", "\n".join(_types()) + "\n"]
    unheeded = dict.fromkeys(name for columns in KINDS.values() for name in columns.unheeded)
    empty = ", ".join(f"`{word}`" for word in sorted(EMPTY) if word)
    named = ", ".join(f"`{name}`" for name in unheeded)
    parts.append(RULES.format(empty=empty, beats=1 - BEATS_ROOFLINE, unheeded=named))
    own = _own()
    noise = {name: own["noise"][f"{name}_rate"] for name in ("deployment", "load")}
    return "\n".join([*parts, AFTER.format(groups=len(own["groups"]), summary=_summary(), table=_groups(), **noise)])


def _own() -> Mapping[str, Any]:
    """What benchmarks/calibrate.py wrote."""
    return load_yaml(packaged_root() / "measurements" / "groups.yaml")[0]


_WAYS = {"at_random": "at random", "one_deployment": "one deployment"}


def _summary() -> str:
    lines = [
        "| the five rows | median cut | mean error | worst | 2 points worse | in range | range wider |",
        "| :-- | --: | --: | --: | --: | --: | --: |",
    ]
    for way, name in _WAYS.items():
        each = _own()["five_rows"][way]
        lines.append(
            f"| {name} | {each['median_cut']:.0%} | {each['before']:.1%} to {each['after']:.1%} | "
            f"{100 * each['worst']:+.1f} points | {each['worse_by_2_points']:.0f} groups | "
            f"{each['in_range_before']:.0%} to {each['in_range_after']:.0%} | {each['wider']:+.0%} |"
        )
    return "\n".join(lines)


def _groups() -> str:
    lines = ["| GPU | engine | version | rows | at random | one deployment |", "| :-- | :-- | :-- | --: | --: | --: |"]
    for each in sorted(_own()["groups"], key=lambda each: -each["at_random_before"]):
        errors = [f"{each[f'{way}_before']:.1%} to {each[f'{way}_after']:.1%}" for way in _WAYS]
        version = str(each["version"] or "-").rpartition("/")[2]
        lines.append(f"| {each['gpu']} | {each['engine']} | {version} | {each['rows']} | {' | '.join(errors)} |")
    return "\n".join(lines)


def _table(kind: str, columns: Columns) -> Iterator[str]:
    yield "| column | | means | a blank is |"
    yield "| :-- | :-- | :-- | :-- |"
    groups = (
        ("needed", columns.required),
        ("measured", columns.measured),
        ("optional", (*columns.optional_text, *columns.optional_numbers)),
    )
    for what, names in groups:
        for name in names:
            meaning = OWN_MEANINGS.get((kind, name)) or MEANINGS[name]
            blank = OWN_BLANKS.get((kind, name), BLANKS.get(name, "")) if what == "optional" else ""
            yield f"| `{name}` | {what} | {meaning} | {'not measured' if what == 'measured' else blank} |"


def _types() -> Iterator[str]:
    yield "| name | also written |"
    yield "| :-- | :-- |"
    for name, others in spellings().items():
        if others:
            yield f"| `{name}` | {', '.join(f'`{each}`' for each in others)} |"
