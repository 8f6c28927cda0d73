"""A pasted launch line, or a manifest of Kubernetes, as the options of an estimate.

hardware_profiles/efficiency/launch.yaml says which flag of which engine is which option; `emit.py`, which writes such
lines, goes by the same table.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from costcalc.catalog.catalog import Catalog, catalog_of
from costcalc.catalog.names import is_hub_id, squeezed
from costcalc.catalog.yaml import parse_yaml, read_text
from costcalc.engine.parallelism import DoesNotFit
from costcalc.errors import LONGEST_LINE, CostcalcError, nearest, shown
from costcalc.fields import Record
from costcalc.formats import GGUF_FIRST, gguf_format
from costcalc.hardware.engines import EngineFlags, LaunchFlag
from costcalc.model.spec import ModelSpec
from costcalc.predict.options import MOST_GPUS, OPTIONS, WEIGHED, read_option
from costcalc.predict.scenario import DEFAULT_INPUT, DEFAULT_OUTPUT, asked
from costcalc.units import counted, parse_machine, parse_whole

MANIFEST = "k8s"
"""What `--emit` calls a manifest of Kubernetes, beside the names of engines."""
DEGREES = ("tensor_parallel", "pipeline_parallel", "attention_data_parallel", "expert_parallel", "context_parallel")
PREFILL = {"tensor_parallel": "prefill_tp", "attention_data_parallel": "prefill_dp", "expert_parallel": "prefill_ep"}


class Launch(Record):
    """What a launch line says: the engine and the model, options of an estimate, and what else is to be known."""

    engine: str
    model: str
    options: dict[str, Any]  # by keyword, read
    max_context: int | None = None  # longest request [tokens]
    notes: tuple[str, ...] = ()


def ranks_are_replicas(how: EngineFlags, model: ModelSpec) -> bool:
    """Whether attention data ranks of a model without experts are replicas of it, as in vLLM."""
    rows = how.options.get("attention_data_parallel", ())
    return bool(rows) and rows[0].form == "value" and "replicas" not in how.options and not model.has_experts


def from_launch_line(
    line: str,
    *,
    gpu: str | None = None,
    model: str | Path | None = None,
    catalog: Catalog | str | Path | None = None,
    **options: Any,
) -> Launch:
    """Return what a launch line means, for `costcalc.estimate(launch.model, gpu, **launch.options)`.

    line: a command of vllm serve, sglang.launch_server, trtllm-serve or llama-server, several of them, a manifest of
        Kubernetes, or the path of a file that holds one.
    gpu: what it is to run on, whose count a line leaves open, as those of llama.cpp do which layers are on it.
    model: instead of the line's.
    options: more of the estimate, which may not contradict the line.
    Raises CostcalcError for flags that the engine does not have, and values that no estimate takes.
    """
    folders = catalog_of(catalog)
    known = folders.launching().engines
    workers = [each for words, copies in _commands(_text_of(line)) if (each := _worker(words, copies, known))]
    if not workers:
        hint = f"it has none of: {', '.join(how.commands[0] for how in known.values())}"
        raise CostcalcError("no command of a serving engine", where="from", hint=hint)
    found = _of_one_deployment(workers)
    how = known[found[0].engine]
    name, stored, model_notes = _model_named(found[0], how, folders, model)
    launch = _launched(found, how, name, folders.model(name))
    told = {**stored, **launch.options}
    if "weights" in options and stored:
        told.pop("weights", None)
    count = parse_machine(gpu)[0] if gpu else None
    splits = any(row.form == "split" for row in how.options["pipeline_parallel"])
    if count and splits and found[0].split is None:
        told["pipeline_parallel"] = count  # llama.cpp spreads layers over all GPUs that it sees
    for option, value in options.items():
        if option in told and read_option(option, value) != told[option]:
            raise CostcalcError(f"{value} contradicts the line's {told[option]}", where=option, hint="leave one out")
    notes = [*model_notes, *launch.notes]
    limit = launch.max_context
    if limit is not None and limit < DEFAULT_INPUT + DEFAULT_OUTPUT and not _LENGTHS & options.keys():
        answer = max(1, limit // 5)
        told |= {"input_tokens": float(max(1, limit - answer)), "output_tokens": float(answer)}
        notes.append(f"Requests are as long as the line allows, {limit:,} tokens, a fifth of them answer.")
    if how.slots and gpu is not None:
        more, why = _beside_its_cache(found[0], name, gpu, {**options, **told}, folders)
        told |= more
        notes += why
    return Launch(launch.engine, name, {**options, **told}, launch.max_context, tuple(notes))


_LENGTHS = {"input_tokens", "output_tokens", "context"}
_OF_THE_LOAD = {*_LENGTHS, "batch", "concurrency", "requests", "arrivals", "lengths", "demand", "tpot", "ttft"}


def _beside_its_cache(
    worker: _Worker, name: str, gpu: str, told: dict[str, Any], folders: Catalog
) -> tuple[dict[str, Any], list[str]]:
    """What follows from a cache that llama.cpp keeps from its start, and the notes on it.

    How many requests of the load it holds, and how many layers are left on the GPU where the line does not say. Raises
    CostcalcError where it does, and they do not fit.
    """
    q = asked(name, gpu, told, folders)
    slots, request = int(worker.settings["max_num_seqs"]), float(q.full_length)
    total = worker.cache or int(request)
    more, notes, kept = dict[str, Any](), list[str](), f"a cache of {total:,} tokens is kept from the start"
    if worker.cache and (holds := max(1, int(total // request))) < slots:
        more["max_num_seqs"], fits = holds, counted(holds, "request")
        notes.append(f"{slots} slots share a cache of {total:,} tokens, which holds {fits} of {request:,.0f}.")
    from costcalc.explore.search import choose_deployment

    whole = {each: value for each, value in told.items() if each not in _OF_THE_LOAD}
    whole |= {"batch": slots, "context": max(1, total // slots)}
    try:
        choose_deployment(asked(name, gpu, whole, folders))
    except DoesNotFit as error:
        if q.options.offloads or error.tried.gpus > 1:
            raise CostcalcError(f"{error.message}: {kept}", where="from", hint=error.hint) from None
        fitted = asked(name, gpu, {**whole, "gpu_layers": WEIGHED}, folders)
        choose_deployment(fitted)
        of_them = {each: getattr(fitted.options, each) for each in ("gpu_layers", "offload_experts")}
        more |= {each: value for each, value in of_them.items() if value is not None}
        notes.append(f"As many layers are on the GPU as fit, as --fit has it: {kept}.")
    return more, notes


# Text to commands.


def _text_of(line: str) -> str:
    """What was pasted, or what the file of that name holds."""
    if len(line) > LONGEST_LINE:
        raise CostcalcError("the line is too long", where="from", hint="paste one command")
    one_word = line.strip()
    if one_word and not re.search(r"\s", one_word) and os.path.isfile(one_word):  # noqa: PTH113 - never raises
        return read_text(one_word)
    return line


def _commands(text: str) -> Iterator[tuple[list[str], int]]:
    """The commands of a text, each as words and with how often it runs."""
    if re.search(r"(?m)^kind:", text):
        yield from _of_manifest(text)
        return
    lexer = shlex.shlex(re.sub(r"\\\r?\n", " ", text), posix=True, punctuation_chars=";&|\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    words: list[str] = []
    try:
        for word in lexer:
            if word.strip(";&|\n"):
                words.append(word)
            elif words:
                yield words, 1
                words = []
    except ValueError as error:
        raise CostcalcError(str(error).lower(), where="from", hint="are all quotes closed?") from None
    if words:
        yield words, 1


def _of_manifest(text: str) -> Iterator[tuple[list[str], int]]:
    for part in re.split(r"(?m)^---\s*$", text):
        if not part.strip():
            continue
        document, _ = parse_yaml(part, "the manifest")
        spec = _mapping(document.get("spec"))
        pod = _mapping(_mapping(spec.get("template")).get("spec"))
        copies = spec.get("replicas", 1)
        if not isinstance(copies, int) or not 1 <= copies <= MOST_GPUS:
            hint = "write a whole number of 1 or more"
            raise CostcalcError(f"{shown(copies)} replicas", where="the manifest", hint=hint)
        for container in map(_mapping, _list(pod.get("containers"))):
            words = [*_list(container.get("command")), *_list(container.get("args"))]
            if len(words) == 3 and words[1] in ("-c", "-lc"):  # sh -c 'vllm serve ...'
                words = next(_commands(str(words[2])), ([], 1))[0]
            yield [str(container.get("image") or ""), *map(str, words)], copies


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


# Words to settings.


class _Worker(Record):
    """One command as the table of its engine reads it."""

    engine: str
    model: str | None
    hub: bool  # whether the model is a repository
    settings: dict[str, Any]  # by option
    copies: int = 1
    cache: int | None = None  # that all slots of llama.cpp share or divide [tokens]
    split: str | None = None  # how llama.cpp spreads over GPUs, where it says so
    idle: tuple[str, ...] = ()  # flags without effect on the cost
    uncounted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _worker(words: list[str], copies: int, known: Mapping[str, EngineFlags]) -> _Worker | None:
    """The command among words; None where they are none of an engine."""
    plain = [re.sub(r"\.exe$", "", re.sub(r"^python[\d.]*$", "python", word.rpartition("/")[2])) for word in words]
    for engine, how in known.items():
        for command in sorted((each.split() for each in how.commands), key=len, reverse=True):
            for start in range(len(words) - len(command) + 1):
                if plain[start : start + len(command)] == command:
                    return _Reader(engine, how).read(words[start + len(command) :], copies)
    for engine, how in known.items():
        images = {image.rpartition(":")[0] or image for image in how.images.values()}
        for start, word in enumerate(words):
            if any(word == image or word.startswith(f"{image}:") for image in images):
                return _Reader(engine, how).read(words[start + 1 :], copies)
    return None


class _Reader:
    """Reads the words behind an engine's command."""

    def __init__(self, engine: str, how: EngineFlags) -> None:
        self.engine, self.how = engine, how
        self.rows: dict[str, tuple[str, LaunchFlag]] = {}
        for name, rows in how.options.items():
            for row in rows:
                for flag in row.flags:
                    self.rows.setdefault(_normal(flag), (name, row))
        self.switches = {_normal(flag) for flag in how.switches}
        self.models = {_normal(flag) for flag in (*how.model, *how.hub)}
        self.values = {_normal(flag) for flag in how.others} | self.models
        self.uncounted = {_normal(flag) for flag in how.uncounted}
        self.known = {**dict.fromkeys((*self.rows, *self.switches, *self.values))}
        self.settings: dict[str, Any] = {}
        self.typed: dict[str, str] = {}  # values of other flags
        self.notes: list[str] = []
        self.belonging: set[str] = set()

    def read(self, words: Sequence[str], copies: int) -> _Worker:
        """Return what the words say; raises CostcalcError for a flag that the engine does not have."""
        model, hub, last, rest = None, False, "", list(words)
        while rest:
            word = rest.pop(0)
            if not re.match(r"--?[A-Za-z]", word):
                if model is None and self.how.positional:
                    model, hub = word, True
                elif last not in self.values:  # a flag may take several values
                    raise CostcalcError(f"unexpected word {shown(word)}", where="from", hint="are all quotes closed?")
                continue
            flag, equals, value = word.partition("=")
            flag, _, part = flag.partition(".")
            last = name = self._flag(flag)
            takes = name not in self.switches and not (name in self.rows and self.rows[name][1].form in _SWITCHES)
            if takes and not equals:
                if rest and not self._is_flag(rest[0]):
                    value = rest.pop(0)
                elif name in self.rows or name in self.models or name == _normal(self.how.cache_of_one or ""):
                    hint = f"{shown(rest[0])} follows it" if rest else "the line is cut off there"
                    raise CostcalcError(f"{flag} has no value", where="from", hint=hint)
                # Of others the value may be left out: it had none once, as -fa of llama.cpp, or has a default.
            if name in self.models:
                model, hub = value, name in {_normal(each) for each in self.how.hub} or not self.how.hub
            elif name in self.rows:
                self._set(flag, *self.rows[name], value, part)
            else:
                self.typed[name] = value
        return self._done(model, hub, copies)

    def _is_flag(self, word: str) -> bool:
        """Whether a word is a flag of the engine, and no value."""
        return _normal(word.partition("=")[0]) in self.known

    def _flag(self, typed: str) -> str:
        """The flag that was typed, perhaps cut short; raises CostcalcError with the nearest one."""
        name = _normal(typed)
        if name in self.known:
            return name
        if name.startswith("--no-") and f"--{name[5:]}" in self.switches:
            self.switches.add(name)
            return name
        begun = [each for each in self.known if each.startswith(name)]
        if self.how.abbreviates and name.startswith("--") and len(begun) == 1:
            return begun[0]
        close = nearest(name, self.known)
        told = next((each for each in self._spelled() if _normal(each) == close), close)
        hint = f"did you mean '{told}'?" if close else f"flags are those of version {self.how.version}"
        raise CostcalcError(f"{self.how.name} has no flag {shown(typed)}", where="from", hint=hint)

    def _spelled(self) -> Iterator[str]:
        yield from (*self.how.switches, *self.how.others, *self.how.model, *self.how.hub)
        yield from (flag for rows in self.how.options.values() for row in rows for flag in row.flags)

    def _set(self, flag: str, name: str, row: LaunchFlag, text: str, part: str) -> None:
        """Take what a flag of an option says."""
        self.belonging |= {_normal(each) for each in row.beside.split() if each.startswith("--")}
        if row.form in _SWITCHES:
            self.settings[name] = row.value or (row.form if row.form != "switch" else True)
            return
        if row.form == "json":
            found = _json(flag, text, part)
            if row.key not in found:
                return
            text = str(found[row.key])
        if row.form == "split":
            self.settings["split"] = len(text.split(","))
            return
        if text.lower() in ("auto", "null", "none", "-1") or (name == "max_context" and text == "0"):
            return  # left to the engine
        told = next((option for option, written in row.values.items() if written == text), text)
        if name == "pool":
            if told not in row.values:
                self.notes.append(f"{flag} {text} is read as one pool: which worker prefills it does not say.")
                return
            self.settings[name] = told
        elif name in OPTIONS:
            self.settings[name] = self._value(flag, name, row, told)
        else:
            self.settings[name] = _whole(flag, text)

    def _value(self, flag: str, name: str, row: LaunchFlag, text: str) -> Any:
        if row.form in ("stage", "ranks", "sequences"):
            return _whole(flag, text)
        try:
            return read_option(name, text)
        except CostcalcError as error:
            raise CostcalcError(f"{flag} {text}: {error.message}", where="from", hint=error.hint) from None

    def _done(self, model: str | None, hub: bool, copies: int) -> _Worker:
        kv = self.settings.get("kv_cache")
        other = self.typed.get("--cache-type-v")
        if self.how.hub and other is not None and other != kv and not self._same_format(kv, other):
            self.notes.append(f"--cache-type-v {other} is another format than that of keys, and is not counted.")
        cache, split = self._cache(), self._spread()
        told = [each for each in self.typed if each not in self.belonging]
        uncounted = tuple(each for each in told if each in self.uncounted)
        idle = tuple(each for each in told if each not in self.uncounted)
        return _Worker(self.engine, model, hub, self.settings, copies, cache, split, idle, uncounted, tuple(self.notes))

    def _same_format(self, kv: str | None, other: str) -> bool:
        row = self.how.options["kv_cache"][0]
        return next((option for option, written in row.values.items() if written == other), other) == (kv or "fp16")

    def _cache(self) -> int | None:
        """The tokens that llama.cpp keeps for all slots, or None; settings get those that a request has of them."""
        if self.how.slots is None:
            return None
        given, of_one = self.settings.get("max_num_seqs"), self.typed.get(self.how.cache_of_one or "")
        slots = self.settings["max_num_seqs"] = given or self.how.slots
        most = _whole(self.how.cache_of_one or "", of_one) if of_one else None
        total = self.settings.get("max_context") or (most and most * slots)
        if total is None:
            return None
        shared = given is None or any(_normal(each) in self.typed for each in self.how.one_cache)
        self.settings["max_context"] = min(total if shared else max(1, total // slots), most or total)
        self.belonging |= {_normal(each) for each in (*self.how.one_cache, self.how.cache_of_one or "")}
        return int(total)

    def _spread(self) -> str | None:
        """How llama.cpp spreads over GPUs: by layers unless it says so."""
        gpus = self.settings.pop("split", None)
        mode = self.typed.get("--split-mode", self.typed.get("-sm"))
        if gpus is None and mode != "none":
            return None
        cut = "tensor_parallel" if mode in ("row", "tensor") else "pipeline_parallel"
        self.settings[cut] = 1 if mode == "none" else gpus
        return cut


_SWITCHES = ("switch", "whole_stage", "moved")


def _normal(flag: str) -> str:
    """A flag as it is looked up: hyphens and underscores are one to most engines."""
    return "--" + flag[2:].replace("_", "-") if flag.startswith("--") else flag


def _json(flag: str, text: str, part: str) -> dict[str, Any]:
    if part:
        return {part.replace("-", "_"): text}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        hint = 'write it in quotes, as in \'{"method": "mtp"}\''
        raise CostcalcError(f"{flag} is no object of JSON: {shown(text)}", where="from", hint=hint)
    return found


def _whole(flag: str, text: str) -> int:
    try:
        return int(parse_whole(text, least=1))
    except CostcalcError as error:
        raise CostcalcError(f"{flag} {text}: {error.message}", where="from", hint=error.hint) from None


# Settings to options.


def _of_one_deployment(workers: list[_Worker]) -> list[_Worker]:
    """The worker that decodes, and that which prefills, if any; raises CostcalcError for more than one deployment."""
    roles = [each.settings.get("pool") for each in workers]
    if len(workers) == 1 and roles != ["prefill"]:
        return workers
    pair = dict(zip(roles, workers, strict=True))
    if sorted(map(str, roles)) == ["decode", "prefill"] and workers[0].engine == workers[1].engine:
        return [pair["decode"], pair["prefill"]]
    if roles == ["prefill"]:
        raise CostcalcError("a worker that prefills alone", where="from", hint="paste the command that decodes too")
    hint = "paste one command, or one that prefills and one that decodes"
    raise CostcalcError(f"{len(workers)} commands of serving engines", where="from", hint=hint)


def _launched(workers: list[_Worker], how: EngineFlags, name: str, spec: ModelSpec) -> Launch:
    """The options of a deployment; workers: that which decodes first."""
    told, notes = _options_of(workers[0], how, spec)
    limit = told.pop("max_context", None)
    if len(workers) > 1:
        own, more = _options_of(workers[1], how, spec)
        own.pop("max_context", None)
        notes += more
        if any(own[each] != told[each] for each in DEGREES if each in own) or own.get("prefill_cp", 1) > 1:
            if own["pipeline_parallel"] != 1:
                hint = "leave its pipeline stages out"
                raise CostcalcError("a worker that prefills in stages of its own", where="from", hint=hint)
            told |= {given: own[each] for each, given in PREFILL.items()}
            told |= {"prefill_cp": own["prefill_cp"]} if own.get("prefill_cp", 1) > 1 else {}
    if workers[0].settings.get("pool"):
        told["disaggregated"] = True
    told.pop("prefill_cp" if not told.get("prefill_tp") else "", None)
    if limit is not None:
        notes.append(f"The line does not say how long requests are, {limit:,} tokens at most: --input and --output do.")
    idle = list(dict.fromkeys(each for worker in workers for each in worker.idle))
    uncounted = list(dict.fromkeys(each for worker in workers for each in worker.uncounted))
    if uncounted:
        notes.append(f"Not counted, though they may change the cost: {', '.join(uncounted)}.")
    if idle:
        notes.append(f"Without effect on the cost here: {', '.join(idle)}.")
    return Launch(workers[0].engine, name, told, limit, tuple(dict.fromkeys(notes)))


def _options_of(worker: _Worker, how: EngineFlags, spec: ModelSpec) -> tuple[dict[str, Any], list[str]]:
    """Options by keyword, and the longest request, of one command."""
    told, notes = {**dict.fromkeys(DEGREES, 1), **worker.settings}, list(worker.notes)
    told.pop("pool", None)
    if told.pop("no_prefix_cache", None):
        notes.append("No prefix cache: --cached would not hold.")
    elif told.pop("prefix_cache", None):
        notes.append("The line does not say which share of prompts the prefix cache serves: --cached does.")
    replicas = told.pop("replicas", 1)
    if told["attention_data_parallel"] == "moved":
        told["attention_data_parallel"], replicas = replicas, 1
    stage_first = any(row.form == "stage" for row in how.options["tensor_parallel"])
    if stage_first:
        stage = told["tensor_parallel"]
        if told["attention_data_parallel"] == "whole_stage":
            told["attention_data_parallel"] = stage
        ranks = told["attention_data_parallel"]
        if stage % ranks:
            what = f"{ranks} attention data ranks do not divide {stage} GPUs"
            raise CostcalcError(what, where="from", hint="tp counts the GPUs of all of them here")
        told["tensor_parallel"] = stage // ranks
    if ranks_are_replicas(how, spec):
        replicas, told["attention_data_parallel"] = told["attention_data_parallel"], 1
    stage = told["tensor_parallel"] * told["attention_data_parallel"]
    if told["expert_parallel"] == "whole_stage":
        told["expert_parallel"] = stage
    if told["expert_parallel"] != 1 and not spec.has_experts:
        notes.append(f"{spec.name} has no experts to spread: expert parallelism is left out.")
        told["expert_parallel"] = 1
    for name, row in ((name, rows[0]) for name, rows in how.options.items() if name in told):
        if row.form == "ranks":
            told[name] = -(-told[name] // told["attention_data_parallel"])
    replicas *= worker.copies
    if replicas > 1:
        told["gpus"] = stage * told["pipeline_parallel"] * replicas
    told["backend"] = worker.engine
    if told["context_parallel"] == 1:
        del told["context_parallel"]
    return told, notes


# Names of models on lines to models of the catalog.


_GGUF = re.compile(r"(?i)(?P<name>.+?)[-.](?P<stored>(?:UD-)?(?:I?Q\d\w*|BF16|F16|F32|MXFP4))(?:-\d+-of-\d+)?")


def _model_named(
    worker: _Worker, how: EngineFlags, folders: Catalog, model: str | Path | None
) -> tuple[str, dict[str, str], list[str]]:
    """The model's name, the format that a name of GGUF says its weights are in, and notes."""
    typed, stored, notes = worker.model, None, list[str]()
    if how.hub and typed is not None:
        if worker.hub:
            typed, _, stored = typed.partition(":")
            typed = re.sub(r"(?i)-gguf$", "", typed)
        else:
            file = typed.replace("\\", "/").rpartition("/")[2]
            found = _GGUF.fullmatch(re.sub(r"(?i)\.gguf$", "", file))
            typed, stored = (found["name"], found["stored"]) if found else (file, None)
    formats: dict[str, str] = {}
    if stored is not None:
        plain = re.sub(r"(?i)^ud-", "", stored)
        row = how.options["weights"][0]
        known = next((option for option, written in row.values.items() if written == plain.upper()), plain.lower())
        if near := gguf_format(known):
            formats["weights"] = near
            notes += [f"Weights in {stored} are taken as {near}."] if near != known else []
        else:
            notes.append(f"Weights in {stored} are not known: say a near format, as in --weights q4_k_m.")
    if model is None:
        model = _in_the_catalog(typed, how, folders)
    ships = folders.model(model).precision.experts
    if worker.hub and how.hub and not stored and ships not in how.options["weights"][0].values:
        formats["weights"] = GGUF_FIRST  # gpt-oss is there as it ships alone
    return str(model), formats, notes


def _in_the_catalog(typed: str | None, how: EngineFlags, folders: Catalog) -> str:
    """The catalog's name of a line's model; raises CostcalcError where it has none."""
    if typed is None:
        hint = "name it with --model" if how.positional or how.model else None
        raise CostcalcError("the line names no model", where="from", hint=hint)
    name = next((each for each in _spellings(typed, folders) if _is_known(each, folders)), None)
    if name is None:
        hint = "name one of the catalog with --model, or import it: costcalc models import"
        raise CostcalcError(f"the line's model {shown(typed)} is not in the catalog", where="from", hint=hint)
    return name


def _spellings(typed: str, folders: Catalog) -> Iterator[str]:
    """What a model's name on a line may stand for: as it is, the last part of a path, or a hub's name without owner."""
    yield typed
    last = typed.rstrip("/").rpartition("/")[2]
    if last != typed:
        yield last
    for entry in folders.entries("models"):
        if any(is_hub_id(each) and squeezed(each.rpartition("/")[2]) == squeezed(last) for each in entry.aliases):
            yield entry.name


def _is_known(name: str, folders: Catalog) -> bool:
    try:
        folders.find("models", name)
    except CostcalcError:
        return False
    return True
