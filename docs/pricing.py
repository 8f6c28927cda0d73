"""docs/pricing.md: worked pages of `costcalc price` and `costcalc train`, made of what they print."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

from simulating import shown

from costcalc.validation.benchmarks import OWN, RATES

ROOT = Path(__file__).parents[1]
FILES = "tests/validation/benchmarks"
SERVED = f"price {FILES}/sglang.jsonl --model llama-3.3-70b --gpu 8xh200"
UNKNOWN = f"price {FILES}/genai-perf.json --gpus 1 --price 2"
ALONE = f"price {FILES}/llama-bench.csv --price 0.4"
TRAINED = "train --model v3 --gpu h800 --tokens 14.8T --gpus 2048 --price 2 --mfu 38.94%"
ASSUMED = "train --model llama-3.1-70b --gpu h100 --tokens 15T --sequence 8192"

PAGE = """\
# What was measured, and what training takes

## A benchmark in dollars: `costcalc price`

A benchmark says tokens and seconds. `costcalc price FILE...` says what they cost, and how far they are from what
costcalc predicts of the same runs. A real file, of SGLang on eight H200 (where it is from, and all others of this page:
[{files}](../{files}/README.md)):

{served}

**Dollars** are GPU-hours times their price, at every kind of price that is known of the GPU, or at `--price`. GPU time
of prompts is what input costs, that of answers what output costs, so that tokens in × $/M in + tokens out × $/M out is
the bill, to the last cent. Which part prompts took is measured where pools are apart (their GPUs), where one request
runs at a time (its time to first token), and where a test is of prompts or of answers alone; elsewhere it is the part
that is predicted, as `costcalc estimate` divides it. With `--cached SHARE`, `$/M cached` is of tokens that a prefix
cache held: what a prompt takes beyond one of its fresh tokens alone. `$/M in` is of all input tokens.

**Predictions** are those of the command below each run: the model, the machine and the load that the file tells, and
beside it the options. `most of the difference` weighs the time to first token against the time of all further tokens.

What a file does not say (model, GPU, count, degrees, engine) is told by the options of an estimate, which go before
what the file says. Without a model or GPU that costcalc knows there are dollars all the same, of a count and a price:

{unknown}

Tests of prompts and of answers alone, as llama-bench makes them, have dollars of their own each:

{alone}

### What is read

The form is told by what is in a file, never by its name; several runs of a file are a row each.

| tool | file |
| :-- | :-- |
| vLLM | `vllm bench serve --save-result`, one or several results (`--append-result`) |
| SGLang | `python -m sglang.bench_serving --output-file`, JSON lines |
| AIPerf, GenAI-Perf | `profile_export_aiperf.json`, `profile_export_genai_perf.json` |
| GuideLLM | its JSON report, every benchmark in it |
| InferenceX | its aggregated results, one or a list |
| llama-bench | `-o json`, `jsonl`, `csv` or `md` |
| your own | CSV with `isl`, `osl` and one of {rates} (with `concurrency`); `n_gpus` and others as below |

Times are medians where a file has them. Requests that came at a rate are in flight by Little's law: their rate times
the mean time of one. A run without a rate and without a limit queued all of its requests at once.

A CSV of one's own has the columns of [measurements/e2e.csv](../measurements/e2e.csv), explained in its head; all but
the lengths may be missing or empty: {own}.

## A training run: `costcalc train`

{trained}

DeepSeek-V3's report has 2,664,000 hours for these tokens (arXiv 2412.19437, table 1), and 2,788,000 hours or $5,576,000
with context extension and post-training; the share of the peak is that of arXiv 2505.09343, table 4.

Without `--mfu` the share is that of published runs, over all of their GPU-hours:

{assumed}

FLOPs are 6 for each active parameter and token (arXiv 2001.08361, 2.1), and three times those of attention, causal:
only the pairs that are scored count. The share of the peak is those FLOPs over GPU-hours times the dense peak of
`--precision`; what the backward pass computes again, restarts and evaluations make it smaller. Model cards count all
GPU time of a model, papers of a running job do not: the 38 to 43% of Llama 3.1 405B are 36% of the hours on its card.
"""


def pricing_page() -> str:
    """Return the page."""
    with chdir(ROOT):
        return PAGE.format(
            files=FILES,
            served=shown(SERVED),
            unknown=shown(UNKNOWN),
            alone=shown(ALONE),
            trained=shown(TRAINED),
            assumed=shown(ASSUMED),
            rates=", ".join(f"`{each}`" for each in RATES),
            own=", ".join(
                f"`{each}`" for each in (*OWN.numbers, *OWN.optional_text, *OWN.optional_numbers, *OWN.measured)
            ),
        )
