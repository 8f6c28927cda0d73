"""docs/simulating.md: a worked page of `costcalc simulate`, made of what it prints."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

from costcalc.cli import main as costcalc

CHAT = (
    "simulate --model llama-3.1-8b --gpu 1xh100 --demand 10rps --input 1155 --input-lengths lognormal:1 "
    "--output 211 --output-lengths lognormal:0.8 --requests 3000 --ttft 500ms --tpot 20ms"
)

PAGE = """\
# Real traffic: `costcalc simulate`

`costcalc estimate` answers for one batch of equal requests. Traffic comes in bursts, of short and of long requests, and
a service is judged by its 95th percentile. `costcalc simulate` replays requests, drawn or traced, through the scheduler
of the engine; a step takes as long as `estimate` predicts of the batch, the contexts and the prompts in it.

Chat on one H100: ten requests a second, prompts and answers as long in the mean as those of Azure's conversation trace
of 2023 (1,155 and 211 tokens), and a service level of half a second to the first token and 20 ms for each further one:

{chat}

**At work** is the share of the time in which a replica has anything to do, be it for one request. **Cost** pays every
hour, idle or not, so it falls as load grows, until waits break the level. How far that goes, `--loads` tells, which
replays the same requests at other rates:

{loads}

`--chart load.svg --chart-kind load` draws it, and replays the loads by itself where none are told:

![First and output tokens at the 50th, 90th and 99th percentile against requests per second](images/load-8b.svg)

Twice the load on two replicas, each request on that with the fewest unanswered:

{replicas}

## Traces

`--trace FILE` takes three forms, told apart by what the file holds:

| form | columns |
| :-- | :-- |
| a CSV of your own | `arrival_s`, `input_tokens`, `output_tokens`; others are ignored |
| Azure's LLM inference traces | `TIMESTAMP`, `ContextTokens`, `GeneratedTokens` |
| JSON lines as Mooncake's | `timestamp` [ms], `input_length`, `output_length`, `hash_ids`: one for 512 tokens |

```sh
costcalc simulate -m llama-3.1-8b -g 1xh100 --trace AzureLLMInferenceTrace_conv.csv --loads 0.5:2:0.5
costcalc simulate -m llama-3.1-8b -g 1xh100 --trace conversation_trace.jsonl --replicas 8 --prefix-cache infinite
```

The traces are at [Azure/AzurePublicDataset](https://github.com/Azure/AzurePublicDataset) (CC-BY 4.0) and
[kvcache-ai/Mooncake](https://github.com/kvcache-ai/Mooncake) (Apache-2.0). Equal ids are equal prefixes: where an
earlier request left its blocks in the cache of the replica, they are not computed again. `--prefix-cache infinite`
stores them beside the GPUs, for all replicas and for ever: 37.36% of the tokens of Mooncake's conversations are found
there.

## What is replayed

- **Steps**: those that run get a token each. Prompts ride on decode steps where the engine mixes them (vLLM,
  TensorRT-LLM), within its budget of tokens, and are cut where they are longer; elsewhere (SGLang) decoding stops for a
  pass of prompts.
- **Admission**: in order of arrival, at most `--max-num-seqs`, as far as blocks of 16 tokens of the cache are left.
- **A full cache**: the request admitted last gives its blocks back and is computed again. Engines that keep room for
  whole answers (TensorRT-LLM, llama.cpp) admit fewer instead.
- **Prefixes**: blocks that nobody holds stay until their room is needed, the least recently used go first.
- **Pools apart** (`--disaggregated`): workers that prefill share one queue and send a prompt's cache over the network.
- **Replicas**: each request goes to the next one, to the one with the fewest unanswered (`--router least-loaded`), or
  to the one that holds most of its prefix and is not over 1.25 times as busy as the mean (`--router prefix`).
- **Refused** are requests that are longer than the cache of a replica; they count in goodput.
- **Saturated** is a load whose queue grows as long as requests come.

Of users who ask again (`--concurrency`), what is told begins when each was answered once, and ends when no more come;
they begin one after the other, or all at once with `--lengths equal`. Under light loads their waits are those of
`estimate` within a few percent; where prompts meet often, `estimate` waits longer for the first token, for its queue is
of users who come by chance.

Not replayed: windows and states of a prefix (all its tokens count), priorities, requests that are given up, ranks of
attention data parallelism that are loaded unevenly, and how times scatter around what is predicted.
"""


def simulating_page() -> str:
    """Return the page."""
    return PAGE.format(
        chat=shown(CHAT),
        loads=shown(f"{CHAT} --loads 0.5,1,1.25,1.5,2,3", "Against load", "\nNotes"),
        replicas=shown(f"{CHAT} --speed 2 --replicas 2 --router least-loaded", end="\nNotes"),
    )


def shown(command: str, begin: str = "", end: str = "") -> str:
    """Return a command and what it prints between two texts, as a block."""
    text = io.StringIO()
    with redirect_stdout(text):
        costcalc(command.split())
    body = text.getvalue()
    body = body[body.index(begin) :] if begin else body
    body = body[: body.index(end)] if end else body
    words, lines = f"$ costcalc {command}".split(" --"), [""]
    for word in (words[0], *(f"--{each}" for each in words[1:])):
        if len(lines[-1]) + len(word) > 100:
            lines.append("    ")
        lines[-1] += f"{' ' if lines[-1].strip() else ''}{word}"
    typed = " \\\n".join(lines)
    return f"```console\n{typed}\n```\n\n```text\n{body.rstrip()}\n```"
