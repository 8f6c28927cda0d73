"""docs/planning.md: a worked page of `costcalc plan`, made of what it prints."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

from simulating import shown

CHAT = (
    "plan --model llama-3.1-8b --gpu h100,l40s,a100 --demand 20rps --peak 2 --input 1155 --input-lengths lognormal:1 "
    "--output 211 --output-lengths lognormal:0.8 --ttft p95=500ms --tpot p95=30ms"
)
TRACE = (
    "plan --model llama-3.1-70b --gpu h100,b200 --trace examples/AzureLLMInferenceTrace_conv_20min.csv --demand 30rps"
    " --ttft p95=1s --tpot p95=60ms"
)

PAGE = """\
# What to run, and how many: `costcalc plan`

`costcalc estimate` says what one deployment does, `costcalc simulate` what users see of it. `costcalc plan` turns the
question round: a demand and its service levels are given, and what is asked for is the fleet.

Chat of 20 requests a second in the mean and twice that at the peak, lengths as those of Azure's conversation trace of
2023 in the mean; 95 of 100 first tokens are to come within half a second, and answers at 30 ms a token:

{chat}

A demand is what people say: `--demand 50rps`, `50/s`, `'3M requests/day'`, `'1B tokens/day'` (of output) or `'100
users'`, each of whom asks again when answered. It is the mean of a day: `--peak 3` or `--hourly` with the loads of 24
hours, as a list or a file, say what the fleet has to stand, and what it costs where GPUs follow the hours. Levels are
`--ttft p95=2s` and `--tpot p99=50ms`, at `p50`, `p90`, `p95`, `p99` or `mean`; a time alone is that of the median, and
without `--tpot` 50 ms are meant, as in an estimate. `-g all` asks about every GPU of the catalog, and `-g 8xh100,b200`
has eight H100s and any number of B200s.

## A trace

Requests of your own say more than a rate: `--trace FILE` takes what [`costcalc simulate`](simulating.md#traces) takes,
and beside `--demand` it is sped up to that. Twenty minutes of Azure's conversations are in
[examples](../examples), here six times as fast as they came:

{trace}

## How it is found

1. **Ranking.** Every layout and size of a replica is predicted at the batch that serves most under the levels, taken as
   limits of the median; the demand then takes ⌈demand / what one replica serves⌉ of them. That alone is what
   `costcalc estimate`, `compare` and `breakeven` answer to `--demand`, without a replay.
2. **Short replays** of 1,000 requests find the fewest replicas of up to eight layouts of each GPU. Round-robin gives
   one of n replicas every n-th request, so one of them is replayed, with its own. Where TPOT is missed, replicas that
   run no more than the predicted batch (`--max-num-seqs`) are tried, too: others wait, and those that run stay fast.
3. **Pools apart**, of like and of unlike GPUs of one vendor, begin with as many workers and replicas as full use takes,
   and grow by whichever the missed level asks for.
4. **Long replays** of 5,000 requests or more, with five seeds (`--seeds`), of what is cheapest then. It has to keep
   every level with each seed, and the mean of their logarithms and three standard deviations, too. Where it does not,
   it grows, or another layout takes its place, until the cheapest fleet is one that is sure.
5. **Headroom** of what is recommended is replayed, too, at 1.05 to 3 times the peak by bisection: the largest that
   keeps every level, less 1.

So the first fleet is recommended; of fleets at one price, that on fewer GPUs, and then that in one pool. The others
were replayed once, shortly: near saturation a queue wanders for thousands of requests, and a short replay is too kind,
so that they take at least the GPUs that are told. What could not win at full use was not replayed at all, and has no
numbers.

**A perfect scheduler** would keep every replica full, at the batch and the layout that give a request the least GPU
time that any do, and never mind a level. No fleet of that GPU does with less; what stands between it and the plan is
the price of the levels, of chance, and of whole replicas.

## How sure one can be

- **Of chance**: four plans were replayed with 100 seeds that they had not seen, by their own commands, every replica
  with 5,000 requests: Llama-3.1-8B on H100s at 20 and at 50 requests a second, Llama-3.1-70B on H100s with spread
  lengths, and 100 users of Llama-3.1-8B on L40S. Each kept every level with all 100 (2026-11).
- **Of the prediction**: the ranges in brackets hold in 8 of 10 cases (see [accuracy](accuracy.md)). They are much wider
  than what seeds do: GPUs and dollars in brackets are the fleets where every request takes that much more or less GPU
  time. Measure one replica before buying a hundred: `costcalc calibrate` narrows them.
- **Of a level**: `How sure` tells the range of the time that comes nearest to its level, and in how many of 10 cases
  the level holds by it, logarithms taken to be normal. Pools apart have the widest: time to first token of them is the
  least sure of all that is predicted.
- **Of the traffic**: a trace has one course, and is replayed once, with all its replicas, as the command of the fleet
  does it; `--seeds` and `--seed` change nothing. There is no margin for other days but the headroom.

Not planned for: failures of GPUs and spare ones, the time that a replica takes to start, routers that know prefixes,
several models on one GPU, and prices that change with the amount.
"""


def planning_page() -> str:
    """Return the page."""
    with chdir(Path(__file__).parents[1]):
        return PAGE.format(chat=shown(CHAT), trace=shown(TRACE))
