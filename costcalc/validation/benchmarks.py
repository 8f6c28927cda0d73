"""What benchmarks write: runs of vLLM, SGLang, AIPerf, GuideLLM, InferenceX and llama-bench, told apart by content.

Sources of the forms, read 2026-11: vllm-project/vllm vllm/benchmarks/serve.py; sgl-project/sglang bench_serving.py;
ai-dynamo/aiperf and triton-inference-server/perf_analyzer genai-perf, their JSON exports; vllm-project/guidellm
schemas; SemiAnalysisAI/InferenceX utils/process_result.py; ggml-org/llama.cpp tools/llama-bench/README.md.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, NamedTuple

from costcalc.catalog.check import BENCHMARK_BYTES, BENCHMARK_RUNS, place
from costcalc.catalog.yaml import read_text
from costcalc.errors import CostcalcError, shown
from costcalc.fields import Record, read_date
from costcalc.validation.files import KINDS, LEAST, MOST, Columns, Row, read_rows
from costcalc.validation.serving.rows import condition

ONLINE, OFFLINE = "online", "max-throughput offline"
"""Kinds of serving measurements: so many requests are kept in flight, or all queue at once."""


class Run(Record):
    """One deployment at one load: what was counted, and what is told of how it was run."""

    source: str  # the file, and the place in it where it has several
    tool: str
    seconds: float  # [s] in which the following were counted
    requests: float
    input_tokens: float  # [tokens] of all of these requests
    output_tokens: float
    per_gpu: bool  # whether they were counted on one GPU, on average, rather than on all
    models: tuple[str, ...]  # names that the file has for the model, the likeliest first
    row: Row  # in the columns of serving measurements; what is not told is missing
    options: Mapping[str, Any] = field(default_factory=dict)  # of an estimate, beside the columns
    note: str = ""
    count: float | None = None  # requests of the whole benchmark, where they are told; those above may be of a second


class Runs(NamedTuple):
    """The runs of files, and why others could not be read."""

    read: tuple[Run, ...]
    left_out: tuple[str, ...]


def load_benchmarks(paths: Iterable[str | Path]) -> Runs:
    """Return the runs that benchmarks wrote.

    Raises CostcalcError for a file that cannot be read, is of no known form, or has no run that can be used.
    """
    runs: list[Run] = []
    left_out: list[str] = []
    for path in paths:
        found = _runs(read_text(path, BENCHMARK_BYTES), path)
        runs += found.read
        left_out += found.left_out
        if not found.read:
            raise CostcalcError(found.left_out[0], hint="no run of the file can be used")
        if len(runs) > BENCHMARK_RUNS:
            raise CostcalcError(f"more than {BENCHMARK_RUNS:,} runs", place(path), "price fewer files at a time")
    return Runs(tuple(runs), tuple(left_out))


def _runs(text: str, path: str | Path) -> Runs:
    name, start = Path(path).name, text.lstrip()[:1]
    if start in ("{", "["):
        items = list(_objects(text, path))
        return _read(items, name, path)
    if (table := _markdown_rows(text)) is not None:
        return _read(table, name, path)
    if not start:
        raise CostcalcError("the file is empty", place(path), FORMS)
    head = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    if "avg_ts" in head and "n_gen" in head:
        return _read(_csv_rows(text, path), name, path)
    return _own(text, name, path)


FORMS = (
    "files of vllm bench serve --save-result, sglang.bench_serving --output-file, aiperf, genai-perf, guidellm,"
    " InferenceX and llama-bench are read, and CSV with isl, osl and out_tok_s_gpu"
)


def _unknown(path: str | Path, what: str = "the file is of no known benchmark") -> CostcalcError:
    return CostcalcError(what, place(path), FORMS)


# Numbers and names in what others wrote.


def _number(value: Any) -> float | None:
    """A number from 0 on, also one written as text; None where it is missing, or no sound one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    sound = math.isfinite(number) and 0 <= number <= MOST and (number == 0 or number >= LEAST)
    return number if sound else None


def _above(value: Any, what: str) -> float:
    """A number above 0; raises CostcalcError where it is none."""
    number = _number(value)
    if not number:
        raise CostcalcError(f"{what} is {'missing' if value is None else shown(value)}")
    return number


def _at(tree: Any, *path: str | int) -> Any:
    """What stands at a path of keys and positions, or None."""
    for step in path:
        if isinstance(tree, dict):
            tree = tree.get(step)
        elif isinstance(tree, list) and isinstance(step, int) and -len(tree) <= step < len(tree):
            tree = tree[step]
        else:
            return None
    return tree


def _first(values: Iterable[Any]) -> Any:
    return next((each for each in values if each not in (None, "")), None)


def _text(value: Any) -> str:
    return value.strip()[:200] if isinstance(value, str) else ""


_HUB_CACHE = re.compile(r"models--([^/\\]+?)--([^/\\]+)")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_FILE_TYPE = re.compile(r"\.(gguf|ya?ml|json)$", re.IGNORECASE)


def _names(*texts: Any) -> tuple[str, ...]:
    """Names of a model: hub ids as they are, of paths the last part; never what could be the name of a file."""
    found = []
    for text in map(_text, texts):
        if cached := _HUB_CACHE.search(text):
            found.append(f"{cached[1]}/{cached[2]}")
        elif _HUB_ID.fullmatch(text):
            found.append(text)
        else:
            found.append(re.split(r"[/\\]", text.rstrip("/\\"))[-1])
    return tuple(dict.fromkeys(each for each in found if each.strip(".~") and not _FILE_TYPE.search(each)))


def _told(**columns: Any) -> Row:
    """Columns that are told: those that are not are missing."""
    return {name: value for name, value in columns.items() if value not in (None, "")}


# JSON, JSON lines and lists of either.


def _objects(text: str, path: str | Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file, one a run or a report."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise CostcalcError(f"not JSON: {error.msg}", place(path, (error.lineno, error.colno))) from None
        data = _lines(text, path)
    except (RecursionError, ValueError):
        raise CostcalcError("not JSON: nested too deeply, or a number has too many digits", place(path)) from None
    for each in data if isinstance(data, list) else [data]:
        if not isinstance(each, dict):
            raise _unknown(path)
        yield each


def _lines(text: str, path: str | Path) -> list[Any]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise CostcalcError(f"not JSON: {error.msg}", place(path, (number, error.colno))) from None
        except (RecursionError, ValueError):
            raise CostcalcError("not JSON: nested too deeply, or too many digits", place(path, (number, 1))) from None
        if len(found) > BENCHMARK_RUNS:
            raise CostcalcError(f"more than {BENCHMARK_RUNS:,} runs", place(path), "price fewer at a time")
    return found


def _read(items: Sequence[dict[str, Any]], name: str, path: str | Path) -> Runs:
    runs: list[Run] = []
    left_out: list[str] = []
    if not items:
        raise _unknown(path, "the file holds no run")
    for number, item in enumerate(items, 1):
        read = next((reader for known, reader in _READERS if known(item)), None)
        where = name if len(items) == 1 else f"{name}, run {number}"
        if read is None:
            if not runs and not left_out:
                raise _unknown(path)
            left_out.append(f"{where}: of no known benchmark")
            continue
        try:
            runs += read(item, where)
        except CostcalcError as error:
            left_out.append(f"{where}: {error.message}")
    return Runs(tuple(runs), tuple(left_out))


# vLLM's `vllm bench serve --save-result`, its ancestors, and SGLang's bench_serving, which descends from them.


def _is_serving(data: Mapping[str, Any]) -> bool:
    return "total_output_tokens" in data and "completed" in data


def _serving(data: Mapping[str, Any], source: str) -> Iterator[Run]:
    requests, output = (
        _above(data["completed"], "completed"),
        _above(data["total_output_tokens"], "total_output_tokens"),
    )
    into = _above(data.get("total_input_tokens"), "total_input_tokens")
    seconds = _number(data.get("duration")) or output / _above(data.get("output_throughput"), "output_throughput")
    sglang = "dataset_name" in data or "total_output_tokens_retokenized" in data
    ttft, tpot, statistic = _times(data, "ttft_ms"), _times(data, "tpot_ms"), "median"
    e2e = _first(_number(data.get(each)) for each in ("mean_e2el_ms", "mean_e2e_latency_ms"))
    if tpot is None and e2e and ttft and output > requests:
        # Older ones have gaps between chunks alone: all time behind the first tokens over all tokens behind them.
        tpot = max(e2e - (_number(data.get("mean_ttft_ms")) or ttft), 0.0) / (output / requests - 1)
    if e2e is None and ttft and tpot:
        e2e = ttft + tpot * max(output / requests - 1, 0.0)
    backend = _text(data.get("backend"))
    row = _told(
        framework="sglang" if sglang and "vllm" not in backend else backend,
        statistic=statistic,
        lengths="equal" if _number(data.get("random_range_ratio")) == 1 and sglang else None,
        ttft_ms=ttft,
        tpot_ms=tpot,
        date=_date(data.get("date")),
    )
    load, note = _load(data.get("max_concurrency"), data.get("request_rate"), requests / seconds, e2e, requests)
    names = _names(data.get("model_id"), data.get("tokenizer_id"), _at(data, "server_info", "model_path"))
    tool = "sglang" if sglang else "vllm"
    yield Run(source, tool, seconds, requests, into, output, False, names, row | load, note=note, count=requests)


def _times(data: Mapping[str, Any], name: str) -> float | None:
    return _first(_number(data.get(f"{statistic}_{name}")) or None for statistic in ("median", "mean"))


LITTLE = "requests in flight are those of Little's law: they came at a rate"


def _load(most: Any, rate: Any, requests_per_s: float, e2e_ms: float | None, requests: float) -> tuple[Row, str]:
    """How many requests were in flight: told, or by Little's law where they came at a rate; else all queued at once."""
    if _number(rate) and e2e_ms:
        return {"kind": ONLINE, "concurrency": max(requests_per_s * e2e_ms / 1e3, LEAST)}, LITTLE
    if limit := _number(most):
        return {"kind": ONLINE, "concurrency": limit}, ""
    return {"kind": OFFLINE, "concurrency": None, "n_requests": requests}, ""


def _date(value: Any) -> str | None:
    """A day of the form YYYY-MM-DD, from that or from vLLM's 20260428-095035."""
    found = re.match(r"(\d{4})-?(\d{2})-?(\d{2})", _text(value))
    day = "-".join(found.groups()) if found else ""
    return day if read_date(day) else None


# AIPerf and its predecessor genai-perf: every metric an object of its unit and statistics.


_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "seconds": 1.0}


def _is_aiperf(data: Mapping[str, Any]) -> bool:
    metrics = data["records"] if isinstance(data.get("records"), dict) else data
    return _at(metrics, "output_token_throughput", "avg") is not None


def _aiperf(data: Mapping[str, Any], source: str) -> Iterator[Run]:
    metrics = data["records"] if isinstance(data.get("records"), dict) else data
    config = data.get("input_config")

    def mean(*names: str) -> Any:
        return _first(_at(metrics, name, "avg") for name in names)

    def milliseconds(name: str) -> float | None:
        value = _first(_number(_at(metrics, name, each)) for each in ("p50", "avg"))
        return None if value is None else value * _SECONDS.get(_text(_at(metrics, name, "unit")) or "ms", 1e-3) * 1e3

    rate, output = _above(mean("request_throughput"), "request_throughput"), mean("output_token_throughput")
    output = _above(output, "output_token_throughput")
    into = _above(mean("input_sequence_length", "num_input_token"), "input_sequence_length") * rate
    e2e = _number(mean("request_latency"))
    unit = _SECONDS.get(_text(_at(metrics, "request_latency", "unit")) or "ms", 1e-3)
    told = _at(config, "phases")
    phases = [each for each in (told if isinstance(told, list) else []) if not _at(each, "exclude_from_results")]
    places = [_at(phases, -1), _at(config, "loadgen"), config, _at(config, "perf_analyzer", "stimulus")]
    spread = [_number(_at(metrics, f"{which}_sequence_length", "std")) for which in ("input", "output")]
    backend = _text(_at(config, "backend"))
    row = _told(
        framework=backend if backend in ("tensorrtllm", "vllm", "sglang") else None,
        statistic="median",
        lengths="equal" if spread == [0.0, 0.0] else None,
        ttft_ms=milliseconds("time_to_first_token"),
        tpot_ms=milliseconds("inter_token_latency"),
        date=_date(_at(data, "start_time")),
    )
    count = _number(mean("request_count")) or None
    load, note = _load(
        _first(_at(each, "concurrency") for each in places), _first(_at(each, "request_rate") for each in places),
        rate, None if e2e is None else e2e * unit * 1e3, count or 1.0,
    )  # fmt: skip
    models = [
        _at(config, "models", "items", 0, "name"), _at(config, "endpoint", "model_names", 0),
        _at(config, "model_names", 0), _at(config, "model", 0), _at(config, "model"),
        _at(config, "tokenizer", "name"), _at(config, "tokenizer"),
    ]  # fmt: skip
    tool = "genai-perf" if "aiperf_version" not in data and told is None else "aiperf"
    names = _names(*models)
    yield Run(source, tool, 1.0, rate, into, output, False, names, row | load, note=note, count=count)


# GuideLLM: one report of several benchmarks, each a distribution of every metric.


def _is_guidellm(data: Mapping[str, Any]) -> bool:
    return isinstance(_at(data, "benchmarks", 0, "metrics"), dict)


def _guidellm(data: Mapping[str, Any], source: str) -> Iterator[Run]:
    for number, each in enumerate(data["benchmarks"], 1):
        yield _guidellm_run(each, data, f"{source}, benchmark {number}" if len(data["benchmarks"]) > 1 else source)


def _guidellm_run(benchmark: Any, report: Mapping[str, Any], source: str) -> Run:
    def of(name: str, statistic: str) -> float | None:
        return _number(_at(benchmark, "metrics", name, "successful", statistic))

    length = _above(of("output_token_count", "mean"), "output_token_count")
    output = _above(of("output_tokens_per_second", "mean"), "output_tokens_per_second")
    into = _above(of("prompt_token_count", "mean"), "prompt_token_count")
    ways = ("config", "strategy"), ("args", "strategy"), ("scheduler", "strategy")
    strategy = _first(_at(benchmark, *way) for way in ways)
    kind = _text(_first(_at(strategy, each) for each in ("type_", "type", "kind")))
    in_flight = of("request_concurrency", "mean")
    if kind == "concurrent":
        in_flight = _first(_number(_at(strategy, each)) for each in ("streams", "max_concurrency")) or in_flight
    spread = of("prompt_token_count", "std_dev"), of("output_token_count", "std_dev")
    row = _told(
        statistic="median",
        lengths="equal" if spread == (0.0, 0.0) else None,
        ttft_ms=of("time_to_first_token_ms", "median"),
        tpot_ms=of("inter_token_latency_ms", "median"),
    )
    count = of("output_token_count", "count") or None
    if kind == "throughput" or not in_flight:
        row |= {"kind": OFFLINE, "concurrency": None, "n_requests": count or 1.0}
    else:
        row |= {"kind": ONLINE, "concurrency": in_flight}
    models = [
        _at(report, "args", "model"), _at(benchmark, "config", "backend", "model"),
        _at(benchmark, "worker", "backend_model"), _at(benchmark, "benchmarker", "backend", "model"),
        _at(report, "args", "processor"),
    ]  # fmt: skip
    requests = output / length
    return Run(source, "guidellm", 1.0, requests, requests * into, output, False, _names(*models), row, count=count)


# InferenceX (once InferenceMAX): one line of its results.


def _is_inferencex(data: Mapping[str, Any]) -> bool:
    return "tput_per_gpu" in data and "conc" in data


def _inferencex(data: Mapping[str, Any], source: str) -> Iterator[Run]:
    apart = data.get("disagg") in (True, "true")
    pools = [_number(data.get(f"num_{each}_gpu")) or 0.0 for each in ("prefill", "decode")]
    gpus = sum(pools) or _above(data.get("tp"), "tp") * (_number(data.get("pp")) or 1.0)
    both = _above(data.get("tput_per_gpu"), "tput_per_gpu") * gpus
    output = _above(data.get("output_tput_per_gpu"), "output_tput_per_gpu") * (pools[1] or gpus)
    lengths = _above(data.get("isl"), "isl"), _above(data.get("osl"), "osl")
    tp, data_parallel = _number(data.get("tp")), _yes(data.get("dp_attention"))
    row = _told(
        source="SemiAnalysis InferenceX",
        gpu=_text(data.get("hw")).split("_")[0],
        n_gpus=gpus,
        framework=_text(data.get("framework")),
        dtype=_text(data.get("precision")),
        spec=_text(_first((data.get("spec_decoding"), data.get("mtp")))),
        isl=lengths[0],
        osl=lengths[1],
        concurrency=_above(data.get("conc"), "conc"),
        kind=ONLINE,
        tp=1.0 if data_parallel else tp,
        dp_attn=tp if data_parallel else None,
        pp=_number(data.get("pp")),
        ep=_number(data.get("ep")),
        disagg=float(apart),
    )
    for name in ("ttft", "tpot"):
        row |= _told(**{f"{name}_ms": _times_in_seconds(data, name)}, statistic="median")
    if apart:
        for pool, count in zip(("prefill", "decode"), pools, strict=True):
            workers, tp = (_number(data.get(f"{pool}_{each}")) for each in ("num_workers", "tp"))
            row |= {f"{pool}_gpus": count or None, f"{pool}_workers": workers, f"{pool}_tp": tp}
            row |= {f"{pool}_ep": _number(data.get(f"{pool}_ep"))}
            row |= {f"{pool}_dp_attention": float(_yes(data.get(f"{pool}_dp_attention")))}
    elif pools[0]:
        row |= _told(tp=_number(data.get("prefill_tp")), ep=_number(data.get("prefill_ep")))
    # Not recorded: requests per second. Little's law has them, of requests in flight and the mean time of one.
    mean = _number(data.get("mean_e2el"))
    requests = row["concurrency"] / mean if mean else output / (lengths[1] * (condition(row, "mean_length") or 1.0))
    names = _names(data.get("model"), data.get("infmax_model_prefix"))
    yield Run(source, "inferencex", 1.0, requests, max(both - output, 0.0), output, False, names, row)


def _times_in_seconds(data: Mapping[str, Any], name: str) -> float | None:
    value = _first(_number(data.get(f"{statistic}_{name}")) or None for statistic in ("median", "mean"))
    return None if value is None else value * 1e3


def _yes(value: Any) -> bool:
    return value is True or _text(value).lower() == "true"


# llama-bench: a test a row, of prompts (pp), of answers (tg) or of both.


_TYPE = re.compile(r"(?:mostly\s+)?\b((?:I?Q\d\w*|MXFP4|BF16|F16|F32)(?:\s+-\s+\w+)?)", re.IGNORECASE)
_TEST = re.compile(r"(pp|tg)\s*(\d+)(?:\+tg\s*(\d+))?(?:\s*@\s*d(\d+))?")
_ALL_LAYERS = 99.0
"""What people write for all of them, as -ngl's own default of -1 means."""


def _is_llama_bench(data: Mapping[str, Any]) -> bool:
    return "avg_ts" in data and "n_gen" in data


def _llama_bench(data: Mapping[str, Any], source: str) -> Iterator[Run]:
    rate = _above(data["avg_ts"], "avg_ts")
    prompt, answer = _number(data.get("n_prompt")) or 0.0, _number(data["n_gen"]) or 0.0
    depth = _number(data.get("n_depth")) or 0.0
    if not prompt + answer:
        raise CostcalcError("the test has neither a prompt nor an answer")
    seconds = (prompt + answer) / rate
    kind, cards = _text(data.get("model_type")), [each for each in _text(data.get("gpu_info")).split(", ") if each]
    number_format = _TYPE.search(kind)
    row = _told(
        gpu=cards[0] if cards else None,
        n_gpus=float(len(cards)) or None,
        framework="llama.cpp",
        dtype=_llama_format(number_format[1]) if number_format else None,
        kv_dtype=_text(data.get("type_k")) or "f16",
        statistic="median",
        lengths="equal",
        concurrency=1.0,
        kind=ONLINE,
        isl=max(prompt + depth, 1.0),
        osl=max(answer, 1.0),
        cached=depth / (prompt + depth) if prompt and depth else None,
        prefill_ms=seconds * 1e3 if not answer else None,
        tpot_ms=seconds / answer * 1e3 if not prompt else None,
        date=_date(data.get("test_time")),
    )
    if len(cards) > 1:
        row["tp" if _text(data.get("split_mode")) in ("row", "tensor") else "pp"] = float(len(cards))
    name = re.split(r"[/\\]", _text(data.get("model_filename")))[-1]
    name = re.sub(r"-\d{5}-of-\d{5}$", "", _FILE_TYPE.sub("", name))
    name = re.sub(r"[-._](I?Q\d\w*|MXFP4|BF16|F16|F32)$", "", name, flags=re.IGNORECASE)
    plain = kind[: number_format.start()].strip() if number_format else kind
    layers, experts = _number(data.get("n_gpu_layers")), _number(data.get("n_cpu_moe"))
    options = _told(
        gpu_layers=int(layers) if layers is not None and layers < _ALL_LAYERS else None,
        offload_experts=int(experts) if experts else None,
        offload_cache=True if data.get("no_kv_offload") in (True, "1") else None,
    )
    times = data.get("samples_ns")  # of every repetition; its table and its CSV do not have them
    yield Run(
        source, "llama-bench", seconds, 1.0, prompt, answer, False, _names(name, plain.replace(" ", "-")), row, options,
        count=float(len(times)) or None if isinstance(times, list) else None,
    )  # fmt: skip


def _llama_format(text: str) -> str:
    """'Q4_K - Medium' as q4_k_m."""
    name, _, size = text.partition(" - ")
    return f"{name}_{size[0]}".lower() if size and name.upper().endswith("_K") else name.lower()


def _csv_rows(text: str, path: str | Path) -> list[dict[str, Any]]:
    """llama-bench's CSV as its JSON."""
    reader = csv.DictReader(text.splitlines(), strict=True)
    found = []
    try:
        for row in reader:
            if None in row or None in row.values():
                raise CostcalcError("not as many fields as the header names", place(path, (reader.line_num, 1)))
            found.append(dict(row))
    except csv.Error as error:
        raise CostcalcError(f"not CSV: {error}", place(path), "check the quotes") from None
    return found


def _markdown_rows(text: str) -> list[dict[str, Any]] | None:
    """llama-bench's table as its JSON; None where the text has no such table."""
    head: list[str] = []
    found: list[dict[str, Any]] = []
    for line in text.splitlines():
        if not line.lstrip().startswith("|"):
            continue
        cells = [each.strip() for each in line.strip().strip("|").split("|")]
        if "test" in cells and "t/s" in cells:
            head = cells
        elif head and len(cells) == len(head) and not set(line) <= set("|-: "):
            found.append(_markdown_row(dict(zip(head, cells, strict=True))))
    return found if head else None


def _markdown_row(cells: Mapping[str, str]) -> dict[str, Any]:
    test = _TEST.fullmatch(cells["test"])
    first, second = (test[2], test[3]) if test else (None, None)
    prompt, answer = (None, first) if test and test[1] == "tg" else (first, second)
    return {
        "model_type": cells.get("model"),
        "n_gpu_layers": -1 if cells.get("ngl") in (None, "-1") else cells["ngl"],
        "n_prompt": prompt or 0,
        "n_gen": answer or 0,
        "n_depth": (test and test[4]) or 0,
        "avg_ts": cells["t/s"].split("±")[0].strip(),
    }


_READERS: tuple[tuple[Callable[[Mapping[str, Any]], bool], Callable[[Mapping[str, Any], str], Iterable[Run]]], ...] = (
    (_is_serving, _serving),
    (_is_aiperf, _aiperf),
    (_is_guidellm, _guidellm),
    (_is_inferencex, _inferencex),
    (_is_llama_bench, _llama_bench),
)


# A CSV of one's own: the columns of serving measurements, of which lengths and one throughput must be there.


_E2E = KINDS["e2e"]
OWN = Columns(
    text=(),
    numbers=("isl", "osl"),
    optional_text=(*_E2E.text, *_E2E.optional_text),
    optional_numbers=("n_gpus", "requests_s", *_E2E.optional_numbers),
    measured=_E2E.measured,
)
RATES = ("out_tok_s_gpu", "total_tok_s_gpu", "requests_s", "tpot_ms")


def _own(text: str, name: str, path: str | Path) -> Runs:
    def fitting(header: Sequence[str], _: str) -> tuple[str, Columns]:
        if "isl" not in header or "osl" not in header or not any(each in header for each in RATES):
            raise _unknown(path)
        return "runs", OWN

    found = read_rows(text, path, fitting)
    runs: list[Run] = []
    left_out = [f"{name}, {each.reason}" for each in found.unusable]
    for line, row in zip(found.lines, found.rows, strict=True):
        where = f"{name}, line {line}"
        try:
            runs.append(_own_run(row, where))
        except CostcalcError as error:
            left_out.append(f"{where}: {error.message}")
    return Runs(tuple(runs), tuple(left_out))


def _own_run(row: Row, source: str) -> Run:
    kind = row.get("kind") or (ONLINE if row.get("concurrency") else OFFLINE)
    row = {**row, "kind": kind}
    mean = condition(row, "mean_length") or 1.0 if "online" in kind else 1.0
    into, out = row["isl"] * mean, row["osl"] * mean
    if rate := row.get("out_tok_s_gpu"):
        requests, per_gpu = rate / out, True
    elif both := row.get("total_tok_s_gpu"):
        requests, per_gpu = both / (into + out), True
    elif requests_s := row.get("requests_s"):
        requests, per_gpu = requests_s, False
    elif (tpot := row.get("tpot_ms")) and (users := row.get("concurrency")):
        # Little's law: requests in flight over the time of one.
        requests, per_gpu = users / ((row.get("ttft_ms") or 0.0) + tpot * max(out - 1, 0.0)) * 1e3, False
    else:
        raise CostcalcError("none of out_tok_s_gpu, total_tok_s_gpu, requests_s, or concurrency with tpot_ms")
    told = {name: value for name, value in row.items() if value not in (None, "")} | {
        "concurrency": row.get("concurrency")
    }
    names = _names(row.get("model"))
    inputs, outputs, count = requests * into, requests * out, row.get("n_requests") or None
    return Run(source, "csv", 1.0, requests, inputs, outputs, per_gpu, names, told, count=count)
