"""OPTIONS: everything an estimate can be told, one row an option, and how each is read.

Keywords of Python, flags of the command line, their help, axes of a sweep and docs/cli.md follow from the rows. A value
is read here alone, wherever it comes from; every error is one line that names the option and says what it may be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from shlex import join
from typing import TYPE_CHECKING, Any, Literal

from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.fields import Record, read_date
from costcalc.formats import COMPUTE_PRECISIONS, cache_format, weight_format
from costcalc.predict.readers import (
    Read,
    format_of,
    is_list,
    kind_of,
    per_kwh,
    quantity,
    text_of,
    whole,
    within,
    word,
    yes_or_no,
)
from costcalc.units import parse_demand, parse_level, parse_quantity

if TYPE_CHECKING:
    from costcalc.engine.parallelism import Degrees
    from costcalc.engine.step import Terms
    from costcalc.model.attention.mla import MlaMode

EfficiencyMode = Literal["calibrated", "ideal"]
Arrivals = Literal["closed", "offline", "static"]
"""Whoever gets an answer asks again; all requests queue at once; one batch begins and ends together."""
Lengths = Literal["mixed", "equal"]
Statistic = Literal["median", "mean"]
Tuning = Literal["default", "tuned"]
"""An engine as its documentation starts it, or a published recipe."""

MOST_GPUS = 100_000
MOST_SEQUENCES = 1e8
MOST_TOKENS = 1e9
MOST_SECONDS = 1e6
MOST_USD_PER_HOUR = 1e7
MOST_DRAFTS = 64
MOST_LAYERS = 10_000


# How the value of one option is read.


def _batch(value: Any) -> int | None:
    if isinstance(value, str) and value.strip().lower() == "auto":
        return None
    return int(whole(1, MOST_SEQUENCES)(value))


WEIGHED = "auto"
"""Degree that is weighed like those that are not typed."""


def _context_degree(value: Any) -> int | str:
    if isinstance(value, str) and value.strip().lower() == WEIGHED:
        return WEIGHED
    try:
        return int(_DEGREE(value))
    except CostcalcError as error:
        raise CostcalcError(error.message, hint=f"{error.hint or 'write a whole number'}; or auto") from None


def _gpu_layers(value: Any) -> int | str:
    """Layers as llama.cpp's -ngl has them: a number, auto, or all, which is more than any model has."""
    text = value.strip().lower() if isinstance(value, str) else value
    if text == WEIGHED:
        return WEIGHED
    try:
        return MOST_LAYERS if text == "all" else int(whole(0, MOST_LAYERS)(value))
    except CostcalcError as error:
        raise CostcalcError(error.message, hint=f"{error.hint or 'write a whole number'}; or auto") from None


def _expert_layers(value: Any) -> int | str:
    if isinstance(value, str) and value.strip().lower() == "all":
        return "all"
    return int(whole(0, MOST_LAYERS)(value))


def _gibibytes(value: Any) -> float:
    """GiB, as of vLLM's flag, also where a size has its own unit."""
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str) and text[-1:].isalpha():
        return within(value, parse_quantity(text, "bytes") / 2**30, 0.0, 1e6)
    return quantity("count", 0, 1e6)(text)


def _price(value: Any) -> float | str:
    text = value.strip() if isinstance(value, str) else ""
    if isinstance(value, str) and not text:
        raise CostcalcError("the price is empty", hint="write it like '2.00' or 'spot'")
    if text[:1].isalpha() and text.lower() not in ("nan", "inf", "infinity"):
        return text
    dollars = quantity("price_per_hour", 0, MOST_USD_PER_HOUR)(value)
    return text or dollars


def _demand(value: Any) -> str:
    text = text_of(value, "demand")
    parse_demand(text)
    return text


def _limit(value: Any) -> float:
    """A limit of time, of the median: what is predicted without a replay."""
    if not isinstance(value, str):
        return float(_TIME(value))
    level = parse_level(value)
    if level.of != "p50":
        hint = "costcalc simulate and costcalc plan replay requests; here say a time for the median"
        raise CostcalcError(f"{shown(value)} takes a replay", hint=hint)
    return float(_TIME(level.seconds if level.told else value))


def _month(value: Any) -> str:
    text = text_of(value, "month").strip()
    if (found := read_date(text)) is None or found[1] is None:
        raise CostcalcError(f"{shown(value)} is no month", hint="write it like 2026-06 or 2026-06-15")
    return text


def _weights(text: str) -> str:
    from costcalc.engine.precision import read_weights

    return ",".join(f"{part}={name}" for part, name in read_weights(text).items()).removeprefix("weights=")


def _imbalance(value: Any) -> str:
    text = str(value).strip().lower()
    if text in ("measured", "uniform"):
        return text
    kind, _, number = text.rpartition(":")
    try:
        factor = parse_quantity(number, "count")
    except CostcalcError:
        factor = None
    if kind not in ("", "zipf") or factor is None:
        hint = "write uniform, measured, zipf:1.2, or one factor such as 1.5"
        raise CostcalcError(f"{shown(value)} is no imbalance", hint=hint)
    found = within(value, factor, 0.0 if kind else 1.0, 100.0)
    return f"zipf:{found:g}" if kind else f"{found:g}"


# The table.


LAYOUT, LOAD, NUMBERS, MONEY = "Layout", "Load", "Precision and method", "Money"
"""Headings of the help."""


class Option(Record):
    """What an option is besides its keyword, its type and its default."""

    flags: tuple[str, ...]  # on the command line
    metavar: str  # what stands for its value in the help; '' for a switch
    panel: str  # heading that it stands under there
    help: str
    read: Read  # returns what the engine takes; raises CostcalcError
    several: bool  # whether a sweep takes many values of it
    also: tuple[str, ...]  # what else people call it
    written: str | None  # flag that errors and commands name, where it is not the first

    @property
    def flag(self) -> str:
        """The flag that errors and commands name."""
        return self.written or self.flags[0]


def option(
    flags: str, metavar: str, panel: str, read: Read, help: str,
    *, default: Any = None, several: bool = False, also: str = "", written: str | None = None,
) -> Any:  # fmt: skip
    """Return a row of the table as a field of `Options`; flags and also: separated by spaces."""
    row = Option(tuple(flags.split()), metavar, panel, help, read, several, tuple(also.split()), written)
    return field(default=default, metadata={"option": row})


_DEGREE = whole(1, MOST_GPUS)
_TOKENS = quantity("count", 1, MOST_TOKENS)
_TIME = quantity("time", 0, MOST_SECONDS, low_too=False)
_SHARE_OF_ALL = quantity("ratio", 0, 1, low_too=False)


class Options(Record):
    """The options of an estimate, read; None leaves a choice to costcalc, which then says so."""

    # fmt: off
    gpus: int | None = option(
        "--gpus", "N", LAYOUT, _DEGREE,
        "GPUs in all; default: the fewest that fit, in whole nodes; inside a node more where they are cheaper.",
        several=True, also="num_gpus n_gpus")
    tensor_parallel: int | None = option(
        "--tp", "N", LAYOUT, _DEGREE, "Tensor parallel degree.", several=True, also="tp")
    pipeline_parallel: int | None = option(
        "--pp", "N", LAYOUT, _DEGREE, "Pipeline parallel degree.", several=True, also="pp")
    expert_parallel: int | None = option(
        "--ep", "N", LAYOUT, _DEGREE, "Expert parallel degree.", several=True, also="ep")
    attention_data_parallel: int | None = option(
        "--dp", "N", LAYOUT, _DEGREE,
        "Attention data parallel degree: sequences spread over N groups.", several=True, also="dp")
    context_parallel: int | str | None = option(
        "--cp", "N|auto", LAYOUT, _context_degree,
        "Context parallel degree of decoding: N tensor ranks that would hold copies of a KV head or a latent share its "
        "tokens instead; auto weighs all that can.", also="cp dcp decode_context_parallel_size")
    memory_utilization: float | None = option(
        "--memory-utilization", "SHARE", LAYOUT, _SHARE_OF_ALL,
        "Share of the GPU's memory that the engine takes; default: the engine's, 90% of vLLM.",
        also="gpu_memory_utilization mem_fraction_static")
    max_num_batched_tokens: int | None = option(
        "--max-num-batched-tokens", "TOKENS", LAYOUT, whole(1, MOST_TOKENS),
        "Tokens of one step, all prompts together; default: the engine's.",
        also="max_num_tokens chunked_prefill_size")
    max_num_seqs: int | None = option(
        "--max-num-seqs", "N", LAYOUT, whole(1, MOST_SEQUENCES),
        "Sequences that the engine runs at once, on each attention data rank; default: the engine's.",
        also="max_running_requests max_batch_size")
    link: float | None = option(
        "--link", "BANDWIDTH", LAYOUT, quantity("bandwidth", 0, 1e15, low_too=False),
        "What a GPU sends to the others of its server, one direction, as measured there; default: its own links, or a"
        " share of PCIe.")
    gpu_layers: int | str | None = option(
        "--gpu-layers", "N|auto", LAYOUT, _gpu_layers,
        "Layers on the one GPU, the LM head counted, as llama.cpp's -ngl; the others, their cache included, are in host"
        " memory and computed by the CPU. auto: as many as fit, and experts leave the GPU first.",
        also="n_gpu_layers ngl num_gpu")
    offload_experts: int | str | None = option(
        "--offload-experts", "N|all", LAYOUT, _expert_layers,
        "First layers whose routed experts are in host memory, as llama.cpp's --n-cpu-moe, or all, as its --cpu-moe.",
        also="n_cpu_moe cpu_moe")
    offload_cache: bool = option(
        "--offload-cache", "", LAYOUT, yes_or_no,
        "Keep the cache in host memory, where the CPU attends to it, as llama.cpp's --no-kv-offload.",
        default=False, also="no_kv_offload")
    cpu_offload_gb: float | None = option(
        "--cpu-offload-gb", "GIB", LAYOUT, _gibibytes,
        "GiB of weights in host memory that vLLM's GPU reads over the link in every step; or a size with its unit, as "
        "in 24GB.")
    host_bandwidth: float | None = option(
        "--host-bandwidth", "BANDWIDTH", LAYOUT, quantity("bandwidth", 0, 1e15, low_too=False),
        "Peak bandwidth of the host's memory; default: 89.6 GB/s, two channels of DDR5-5600, beside GDDR, and 307.2"
        " GB/s, eight of DDR5-4800, beside HBM.")
    host_memory: float | None = option(
        "--host-memory", "SIZE", LAYOUT, quantity("bytes", 0, 1e18, low_too=False),
        "Host memory that weights and cache may take; default: not asked.")
    host_flops: float | None = option(
        "--host-flops", "FLOP/S", LAYOUT, quantity("flops", 0, 1e18, low_too=False),
        "Peak of the host's CPU in fp32; default: 5.12 TFLOP/s, 16 cores.")
    batch: int | None = option(
        "--batch -b", "N|auto", LOAD, _batch,
        "Sequences at once, of one replica; auto, the default, is the cheapest under --tpot.",
        several=True, also="batch_size users")
    context: float | None = option(
        "--context -c", "TOKENS", LOAD, _TOKENS,
        "KV length at which decode is evaluated, as in 32k (32,000) or 32Ki (32,768); default: the input and half of "
        "the output.",
        several=True, also="context_tokens context_length")
    input_tokens: float | None = option(
        "--input --input-tokens", "TOKENS", LOAD, _TOKENS,
        "Tokens of a prompt; default: 4096.", several=True, also="input prompt")
    cached: float = option(
        "--cached", "SHARE", LOAD, quantity("ratio", 0, 1, high_too=False),
        "Share of the input served from a prefix cache; default: 0.", default=0.0)
    tpot: float | None = option(
        "--tpot", "TIME", LOAD, _limit,
        "Most time per output token, when the batch is chosen, as in 50ms; of simulate and plan also at a percentile,"
        " as in p99=50ms; default: 50 ms.")
    ttft: float | None = option(
        "--ttft", "TIME", LOAD, _limit,
        "Most time to the first token, when the batch is chosen, as in 2s; of simulate and plan also at a percentile,"
        " as in p95=2s; default: no limit.")
    demand: str | None = option(
        "--demand", "RATE", LOAD, _demand,
        "Requests or output tokens to serve, or users who ask again, as in '50 requests/s', '1B tokens/day' or '100"
        " users': how many GPUs, in replicas of the cheapest size; of simulate and plan, how requests come.")
    weights: str | None = option(
        "--weights", "FORMAT", NUMBERS, format_of(_weights),
        "Number format of the weights, such as bf16, fp8, int4, q4_k_m or exl2-4.65, of parts apart as in"
        " nvfp4,attention=bf16; default: the model's.")
    bits: float | None = option(
        "--bits", "BITS", NUMBERS, quantity("count", 1, 16),
        "Bits per weight of weight-only formats, scales included; default: as the format has.")
    kv_cache: str | None = option(
        "--kv", "FORMAT", NUMBERS, format_of(lambda text: cache_format(text).name),
        "Number format of the KV cache, such as bf16, fp8 or q8_0; default: as engines keep this model's.", also="kv")
    activations: str | None = option(
        "--activations", "FORMAT", NUMBERS, word(*COMPUTE_PRECISIONS),
        "Precision of the activations; default: what the weights are multiplied with.")
    mla: MlaMode | None = option(
        "--mla", "absorbed|expanded|naive", NUMBERS, word("absorbed", "expanded", "naive"),
        "How latent attention is executed; default: absorbed.")
    efficiency: EfficiencyMode = option(
        "--efficiency", "calibrated|ideal", NUMBERS, word("calibrated", "ideal"),
        "Speeds as measured (the default), or the bound that the data sheet allows.", default="calibrated")
    backend: str | None = option(
        "--backend", "NAME", NUMBERS, word(),
        "Serving engine whose overheads are counted: {backends}; default: vllm.", also="engine")
    drafts: int | None = option(
        "--drafts", "N", LOAD, whole(0, MOST_DRAFTS),
        "Tokens drafted per step and verified by it (speculation, multi-token prediction); default: 0.")
    acceptance: float | None = option(
        "--acceptance", "SHARE", LOAD, quantity("ratio", 0, 1),
        "Chance that a drafted token is kept; default: as measured, 85% in the ideal bound.")
    accepted: float | None = option(
        "--accepted", "TOKENS", LOAD, quantity("count", 1, MOST_DRAFTS + 1),
        "Tokens that a pass yields for a sequence, its own included, as tools print it; instead of --acceptance.")
    disaggregated: bool = option(
        "--disaggregated", "", LOAD, yes_or_no,
        "Prefill and decode on pools of GPUs of their own: --gpus of them decode, and as many more prefill as keep"
        " those busy.", default=False)
    prefill_gpus: float | None = option(
        "--prefill-gpus", "N", LOAD, quantity("count", 0, MOST_GPUS, low_too=False),
        "GPUs of the pool that prefills, with --disaggregated; default: as many as keep decode busy.")
    prefill_tp: int | None = option(
        "--prefill-tp", "N", LAYOUT, _DEGREE,
        "Tensor parallel degree of the workers that prefill, with --disaggregated; default: as those that decode.")
    prefill_dp: int | None = option(
        "--prefill-dp", "N", LAYOUT, _DEGREE, "Their attention data parallel degree.")
    prefill_ep: int | None = option(
        "--prefill-ep", "N", LAYOUT, _DEGREE, "Their expert parallel degree.")
    prefill_cp: int | None = option(
        "--prefill-cp", "N", LAYOUT, _DEGREE,
        "Ranks of theirs that share the tokens of each prompt (prefill context parallelism); they take --prefill-cp"
        " times the GPUs.")
    two_batch_overlap: bool = option(
        "--two-batch-overlap", "", LAYOUT, yes_or_no,
        "Decode in two half batches, one computing while the other's tokens travel to experts and back.",
        default=False)
    imbalance: str | None = option(
        "--imbalance", "measured|uniform|zipf:S|FACTOR", LOAD, _imbalance,
        "Load of the hottest expert rank: as measured (the default), even, of experts chosen by Zipf's law with"
        " exponent S, or so many times the mean.")
    tuning: Tuning = option(
        "--tuning", "default|tuned", NUMBERS, word("default", "tuned"),
        "An engine started as its documentation says (the default), or by the best published recipe.",
        default="default")
    arrivals: Arrivals | None = option(
        "--arrivals", "closed|offline|static", LOAD, word("closed", "offline", "static"),
        "How requests come: whoever is answered asks again (--concurrency), all queue at once, or one batch begins"
        " and ends together; default: as many as --batch are always running.")
    concurrency: float | None = option(
        "--concurrency", "N", LOAD, quantity("count", 0, MOST_SEQUENCES, low_too=False),
        "Requests in flight at all replicas together, instead of --batch.")
    requests: int | None = option(
        "--requests", "N", LOAD, whole(1, MOST_SEQUENCES),
        "Requests in all, with --arrivals offline; of simulate, those that are replayed, 10,000 or the whole trace by"
        " default.")
    lengths: Lengths | None = option(
        "--lengths", "mixed|equal", LOAD, word("mixed", "equal"),
        "Whether requests differ in length, or all are equal and stay in step; default: mixed.")
    statistic: Statistic | None = option(
        "--statistic", "median|mean", LOAD, word("median", "mean"),
        "Which time to first token is meant; a mean sees the burst that starts a run; default: median.")
    polling: float | None = option(
        "--polling", "STEPS", LOAD, quantity("count", 0, 1e6),
        "Decode steps for which the scheduler looks at no new request; default: 0.")
    client_latency: float | None = option(
        "--client-latency", "TIME", LOAD, quantity("time", 0, MOST_SECONDS),
        "Time from a user to the engine and back, added to the time to first token; default: 0.")
    engine_date: str | None = option(
        "--engine-date", "YYYY-MM", NUMBERS, _month,
        "Month of the serving engine: older ones are slower; default: that of the newest measurements.")
    experts: str | None = option(
        "--experts", "FORMAT", NUMBERS, format_of(lambda text: weight_format(text).name),
        "Number format of the routed experts; default: as --weights says.")
    terms: Terms = option(
        "--terms", "all|kv|weights", NUMBERS, word("all", "kv", "weights"),
        "Count everything, or reads of the KV cache or of the weights alone.", default="all")
    price: float | str | None = option(
        "--price", "PRICE", MONEY, _price,
        "Dollars per GPU-hour; or a kind, for the median of its prices: on-demand, spot, reserved, marketplace, "
        "owned; or a provider, for its price on demand, as in lambda or 'verda spot'; default: the on-demand median.",
        several=True, also="usd_per_gpu_hour")
    utilization: float = option(
        "--utilization", "SHARE", MONEY, _SHARE_OF_ALL,
        "Share of the paid hours in which the GPUs work; default: 100%.", default=1.0, several=True)
    owned: str | None = option(
        "--owned", "TERMS", MONEY, lambda value: text_of(value, "list of terms"),
        "Terms of an owner, which mean --price owned, as in years=4,rate=8%: capital, years, rate, residual, server, "
        "space, host-power, draw, idle, busy, staff, support; or home, a card in a PC at home, as in home,capital=1800;"
        " costcalc gpus own has the defaults.")
    pue: float | None = option(
        "--pue", "X", MONEY, quantity("count", 1, 10),
        "Watts at the site's meter for one of its machines; default: 1.54, the average of sites.")
    power_price: float | None = option(
        "--power-price", "USD", MONEY, per_kwh("price", "/ *kWh", 5, "in dollars, at most 5: 30 cents are 0.3"),
        "Dollars per kWh, of an owner; default: $0.086, US industry's of 2025.", also="electricity_price")
    grid_co2: float | None = option(
        "--grid-co2", "GRAMS", MONEY, per_kwh("count", "g(/ *kWh)?", 5000),
        "Grams of CO2 of a kWh; default: 445, the world's of 2024.")
    output_tokens: float | None = option(
        "--output-tokens", "TOKENS", LOAD, _TOKENS,
        "Output tokens of an answer.", several=True, also="output", written="--output")
    # fmt: on

    def __new__(cls, *_values: object, **given: object) -> Options:
        """Refuse keywords that are no options, naming the one that was meant."""
        refuse_unknown(given)
        return object.__new__(cls)

    def __post_init__(self) -> None:
        """Read what was passed; raises CostcalcError, naming the option."""
        for name, each in self.__dataclass_fields__.items():
            value = read_option(name, getattr(self, name))
            self.__dict__[name] = each.default if value is None else value
        if self.acceptance is not None and not self.drafts:
            hint = "say with `drafts` how many tokens are drafted per step"
            raise CostcalcError("there are no drafts to accept", where="acceptance", hint=hint)
        self._check_load()
        self._check_host()

    def _check_load(self) -> None:
        """Raise CostcalcError where what is said of the load contradicts itself."""
        if self.batch and self.load_told:
            what = "concurrency" if self.concurrency is not None else "arrivals"
            raise CostcalcError(f"a batch beside `{what}`", where="batch", hint="the batch follows from the load")
        if self.arrivals in ("closed", "static") and self.concurrency is None:
            hint = "say with `concurrency` how many requests are in flight"
            raise CostcalcError(f"{self.arrivals} arrivals without `concurrency`", where="arrivals", hint=hint)
        if self.arrivals == "offline" and self.concurrency is not None:
            hint = "say with `requests` how many there are, or leave both out"
            raise CostcalcError("all requests queue, none is held back", where="concurrency", hint=hint)
        if self.context is not None and self.input_tokens is not None:
            check_context(self.context, self.input_tokens)
        if self.requests is not None and self.arrivals != "offline":
            hint = "with `arrivals` offline"
            raise CostcalcError("requests are counted where all of them queue", where="requests", hint=hint)
        for name in ("prefill_gpus", "prefill_tp", "prefill_dp", "prefill_ep", "prefill_cp"):
            if getattr(self, name) is not None and not self.disaggregated:
                hint = "ask for pools apart with `disaggregated`"
                raise CostcalcError("there is no pool of its own for prefill", where=name, hint=hint)

    def _check_host(self) -> None:
        """Raise CostcalcError where what is said of host memory contradicts itself."""
        if not self.offloads:
            for name in ("host_bandwidth", "host_memory", "host_flops"):
                if getattr(self, name) is not None:
                    hint = "say what with `gpu_layers`, `offload_experts`, `offload_cache` or `cpu_offload_gb`"
                    raise CostcalcError("host memory holds nothing", where=name, hint=hint)
            return
        if self.terms != "all":
            raise CostcalcError("a term of the bill knows no host memory", where="terms", hint="leave one of them out")
        if self.cpu_offload_gb is not None and (
            self.gpu_layers is not None or self.offload_experts is not None or self.offload_cache
        ):
            hint = "it is vLLM's; `gpu_layers`, `offload_experts` and `offload_cache` are llama.cpp's"
            raise CostcalcError("two engines' ways at once", where="cpu_offload_gb", hint=hint)

    @property
    def told(self) -> dict[str, Any]:
        """What differs from the defaults, by keyword, read."""
        given = {name: getattr(self, name) for name in self.__dataclass_fields__}
        if isinstance(self.price, str):
            with suppress(CostcalcError):  # else it is a kind or a provider
                given["price"] = parse_quantity(self.price, "price_per_hour")
        return {name: value for name, value in given.items() if value != self.__dataclass_fields__[name].default}

    @property
    def offloads(self) -> bool:
        """Whether a part of the model may lie in host memory."""
        told = (self.gpu_layers, self.offload_experts, self.cpu_offload_gb)
        return self.offload_cache or any(each is not None for each in told)

    @property
    def load_told(self) -> bool:
        """Whether the load decides how many sequences decode at once, instead of a batch."""
        return self.concurrency is not None or self.arrivals is not None

    @property
    def degrees(self) -> Degrees:
        """The degrees of parallelism asked for."""
        from costcalc.engine.parallelism import Degrees

        return Degrees(
            self.gpus,
            self.tensor_parallel,
            self.pipeline_parallel,
            self.expert_parallel,
            self.attention_data_parallel,
        )


def check_context(context: float, input_tokens: float) -> None:
    """Raise CostcalcError where a context [tokens] is shorter than the prompt in it [tokens]."""
    if context < input_tokens:
        raise CostcalcError(
            f"{context:,.0f} tokens do not hold the prompt of {input_tokens:,.0f}",
            where="context",
            hint="decode is evaluated at this length, prompt included: give more, or leave `input_tokens` out",
        )


OPTIONS: dict[str, Option] = {name: each.metadata["option"] for name, each in Options.__dataclass_fields__.items()}
"""The rows by keyword, in the order of the help."""
BANDWIDTH = Option(
    ("--memory-bandwidth",), "RATE,...", NUMBERS,
    "The GPU's memory bandwidth, several of them, as in 2TB/s,3.35TB/s; default: the data sheet's.",
    lambda value: parse_quantity(value, "bandwidth", positive=True), True, (), None,
)  # fmt: skip
SWEPT: dict[str, Option] = {name: row for name, row in OPTIONS.items() if row.several} | {"memory_bandwidth": BANDWIDTH}
"""What a sweep takes several values of; a bandwidth belongs to the GPU, and is no option of one estimate."""
_ELSEWHERE = {
    "set": "load_model and load_gpu take overrides={'path': 'value'}",
    "explain": "read .explanation of the answer",
    "format": "the answer has .to_dict()",
}


def flag_of(name: str) -> str | None:
    """Return an option as the command line spells it, `tensor_parallel` as `--tp`, or None for what is none."""
    row = OPTIONS.get(name) or SWEPT.get(name)
    return row.flag if row else None


_KEYWORDS = {flag: name for name, row in (OPTIONS | SWEPT).items() for flag in row.flags}


def by_keyword(text: str) -> str:
    """Return a line of the help with options by their keywords, `--tp` as `tensor_parallel`; others' flags stay."""
    return re.sub(r"--[\w-]+", lambda flag: _KEYWORDS.get(flag[0], flag[0]), text)


def command_of(model: str, gpu: str, options: Mapping[str, Any], sources: Sequence[str] = ()) -> str:
    """Return the `costcalc estimate` that answers for a model on a GPU.

    model, gpu: their names. options: by keyword, read. sources: further words, of the catalog.
    """
    words = ["costcalc", "estimate", "--model", model, "--gpu", gpu]
    for name, value in options.items():
        whole = isinstance(value, float) and value.is_integer()
        words += [OPTIONS[name].flag, *([] if value is True else [str(int(value) if whole else value)])]
    return join([*words, *sources])


def refuse_unknown(given: Iterable[str], more: Iterable[str] = ()) -> None:
    """Raise CostcalcError for the first keyword that is no option, with the one that was meant.

    given: the keywords. more: what is known beside OPTIONS.
    """
    names = list(dict.fromkeys([*OPTIONS, *more]))
    for name in given:
        if name in names:
            continue
        meant = next((each for each, row in OPTIONS.items() if name in row.also), None)
        hint = f"it is called {meant}" if meant else _ELSEWHERE.get(name) or did_you_mean(name, names)
        raise CostcalcError(f"unknown option {shown(name)}", hint=hint or f"the options are: {', '.join(names)}")


def read_option(name: str, value: Any) -> Any:
    """Return the value of an option as the engine takes it, or None where none was given.

    name: its keyword, in OPTIONS or SWEPT. value: what was passed or typed.
    Raises CostcalcError, naming the option.
    """
    if value is None:
        return None
    if not isinstance(value, str) and isinstance(value, Iterable):
        several_at_once = "costcalc.sweep takes several values at once" if name in SWEPT else "give one value"
        raise CostcalcError(f"{kind_of(value)} where one value belongs", where=name, hint=several_at_once)
    row = OPTIONS.get(name) or SWEPT[name]
    try:
        return row.read(value)
    except CostcalcError as error:
        if isinstance(value, str) and is_list(value, row.read):
            hint = "costcalc sweep takes several of it" if row.several else "give one"
            hint = "; ".join(filter(None, [hint, error.hint]))
            raise CostcalcError(f"{shown(value)} are several values", where=name, hint=hint) from None
        raise CostcalcError(error.message, where=name, hint=error.hint) from None
