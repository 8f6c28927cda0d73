"""A deployment as the command, or the manifest, that starts it.

hardware_profiles/efficiency/launch.yaml says which flag of which engine is which option; `read.py`, which reads
such commands, goes by the same table.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from costcalc.catalog.catalog import Catalog, catalog_of
from costcalc.catalog.names import is_hub_id
from costcalc.engine.parallelism import Chosen, Parallelism
from costcalc.errors import CostcalcError, did_you_mean, escaped, shown
from costcalc.explore.launch.read import DEGREES, MANIFEST, PREFILL, Launch, ranks_are_replicas
from costcalc.explore.search import choose_deployment, refused_degree, why_refused
from costcalc.formats import WEIGHT_FORMATS
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.engines import EngineFlags, LaunchFlag
from costcalc.model.spec import ModelSpec
from costcalc.predict.options import read_option
from costcalc.predict.predict import capacity, prefill_layout
from costcalc.predict.scenario import Scenario, asked, usual_backend
from costcalc.units import counted

_AS_THEY_ARE = (
    *("max_num_batched_tokens", "memory_utilization", "kv_cache", "drafts", "gpu_layers", "offload_experts"),
    *("offload_cache", "cpu_offload_gb", "two_batch_overlap"),
)
"""Options that stand on the line as they were told."""


class Emitted(NamedTuple):
    """The text that starts a deployment, and what to know before it is run."""

    text: str
    notes: tuple[str, ...]


# Written.


def launch_line(
    model: ModelSpec | str | Path,
    gpu: Accelerator | str | Path,
    engine: str,
    *,
    catalog: Catalog | str | Path | None = None,
    **options: Any,
) -> str:
    """Return the command, or with engine 'k8s' the manifest, that starts the deployment of an estimate.

    model, gpu, catalog, options: as `costcalc.estimate` takes them. engine: vllm, sglang, trtllm, llama.cpp, or k8s.
    Raises CostcalcError as `costcalc.estimate` does, and for what the engine cannot run.
    """
    return emitted(model, gpu, engine, catalog=catalog, **options).text


def emitted(
    model: ModelSpec | str | Path,
    gpu: Accelerator | str | Path,
    engine: str,
    *,
    catalog: Catalog | str | Path | None = None,
    **options: Any,
) -> Emitted:
    """Return what `launch_line` does, with notes on how to run it."""
    folders = catalog_of(catalog)
    constants, known = folders.serving_efficiency(), folders.launching().engines
    told = read_option("backend", options.get("backend"))
    if engine.strip().lower() != MANIFEST:
        wanted = constants.backend_called(engine)
        if wanted not in known:
            raise _unknown_engine(engine, known)
        if told is not None and constants.backend_called(told) != wanted:
            raise CostcalcError(f"{told} contradicts {shown(engine)}", where="backend", hint="leave one out")
        options["backend"] = wanted
    q = asked(model, gpu, options, folders)
    usual = usual_backend(q.options, q.precision, q.gpu, constants)
    name = constants.backend_called(q.options.backend) if q.options.backend else usual
    if name not in known:
        raise _unknown_engine(name, known)
    if name == "llamacpp" and float(q.full_length) < _request(q):  # whose cache is kept from its start, and must fit
        lengths = {"input_tokens": float(q.input_tokens), "output_tokens": float(q.output_tokens)}
        q = asked(model, gpu, options | lengths, folders)
    if q.options.terms != "all":
        raise CostcalcError("a term of the bill is no deployment", where="terms", hint="leave it out")
    how, chosen = known[name], choose_deployment(q)
    notes = [] if _hub_name(model, q.model) else [f"{q.model.name} has no name on the hub here: put its folder there."]
    launch = launch_of(q, chosen, name, escaped(_hub_name(model, q.model) or q.model.name))
    pods = engine.strip().lower() == MANIFEST
    workers = _workers(q, chosen, launch, how, pods)
    if pods:
        return Emitted(_manifest(q, how, workers), tuple(notes))
    for each in workers:
        notes += _how_to_run(q.gpu, how, each)
    return Emitted("".join(f"{_typed(each.words)}\n" for each in workers), tuple(notes))


def _unknown_engine(engine: str, known: Mapping[str, EngineFlags]) -> CostcalcError:
    names = [*known, MANIFEST]
    hint = did_you_mean(engine, names) or f"one of: {', '.join(names)}"
    return CostcalcError(f"no launch lines of {shown(engine)} are known", where="emit", hint=hint)


def _hub_name(model: object, spec: ModelSpec) -> str | None:
    """What an engine finds the model by: the folder or the hub's name that was typed, else that of the catalog."""
    typed = str(model) if isinstance(model, str | Path) else ""
    folder = Path(typed) if typed and Path(typed).is_dir() else None
    return typed if folder or is_hub_id(typed) else spec.hf_id


def launch_of(q: Scenario, chosen: Chosen, engine: str, model: str) -> Launch:
    """What is said of a deployment on a launch line.

    engine, model: by the names that the line has for them.
    """
    o, layout, replicas = q.options, chosen.deployment.layout, chosen.deployment.replicas
    told: dict[str, Any] = dict(zip(DEGREES, _degrees(layout), strict=True))
    told["gpus"] = int(layout.gpus) * replicas
    told["backend"] = engine
    at_once = ceil(float(chosen.batch) / int(layout.attention_dp) - 1e-9)
    told["max_num_seqs"] = o.max_num_seqs or max(at_once, 1)
    if engine == "llamacpp":  # which keeps the cache of all of them from its start
        told["max_num_seqs"] = min(told["max_num_seqs"], max(capacity(q, layout)[1], at_once, 1))
    told |= {name: value for name in _AS_THEY_ARE if (value := getattr(o, name)) not in (None, False)}
    usual = q.budget.engine.utilization if q.budget.engine else None
    if o.memory_utilization is None and usual is not None and usual < 1:
        told["memory_utilization"] = usual  # versions differ in what they take by default
    if not told.get("drafts"):
        told.pop("drafts", None)
    told |= _weights_told(q, engine)
    if q.disaggregated:
        told["disaggregated"] = True
        if q.load.prefill_told:
            worker = prefill_layout(q, layout)
            context = o.prefill_cp or 1
            told |= {"prefill_tp": int(worker.tp), "prefill_dp": int(worker.attention_dp) // context}
            told |= {"prefill_ep": int(worker.ep)} | ({"prefill_cp": context} if context > 1 else {})
    return Launch(engine, model, told, ceil(max(float(q.full_length), _request(q))))


def _request(q: Scenario) -> float:
    """Tokens of a prompt and its answer, which a context that was asked about alone leaves out."""
    return float(q.input_tokens + q.output_tokens)


def _degrees(layout: Parallelism) -> tuple[int, ...]:
    return int(layout.tp), int(layout.pp), int(layout.attention_dp), int(layout.ep), int(layout.cp)


def _weights_told(q: Scenario, engine: str) -> dict[str, str]:
    """The format of the weights, where the line has to say it; raises CostcalcError where no line can."""
    o, own = q.options, q.model.precision.weights
    if o.experts is not None or o.bits is not None:
        where = "bits" if o.experts is None else "experts"
        raise CostcalcError("no flag narrows weights so", where=where, hint="name a checkpoint that is stored so")
    if o.weights is not None and "=" in o.weights:
        raise CostcalcError("no flag stores parts apart", where="weights", hint="name a checkpoint that is stored so")
    if engine == "llamacpp":
        return {"weights": o.weights or q.model.precision.experts or own}  # files are called by their experts' format
    return {} if o.weights in (None, own) else {"weights": str(o.weights)}


class _Worker(NamedTuple):
    """One command of a deployment."""

    role: str  # '', 'prefill' or 'decode'
    words: list[str]
    replicas: int  # how often it is run
    gpus: int  # of one


def _workers(q: Scenario, chosen: Chosen, launch: Launch, how: EngineFlags, pods: bool) -> list[_Worker]:
    """The commands of a deployment; raises CostcalcError for what the engine cannot run.

    pods: whether whoever starts them starts several of one, so that the engine need not.
    """
    if launch.options.get("drafts") and q.model.mtp is None:
        hint = "the line would need the name of a draft model: leave it out"
        raise CostcalcError(f"{q.model.name} ships no prediction head", where="drafts", hint=hint)
    layout, replicas = chosen.deployment.layout, chosen.deployment.replicas
    if not q.disaggregated:
        return [_worker(q, how, launch, "", layout, replicas, itself=not pods)]
    from costcalc.explore.estimate import answer

    context = q.options.prefill_cp or 1
    worker = prefill_layout(q, layout)
    own = replace(worker, attention_dp=int(worker.attention_dp) // context)
    count = max(1, ceil((answer(q, chosen).serving.prefill_gpus or 0.0) / int(worker.gpus) - 1e-6))
    return [
        _worker(q, how, launch, "prefill", own, count, context=context),
        _worker(q, how, launch, "decode", layout, replicas),
    ]


def _worker(
    q: Scenario,
    how: EngineFlags,
    launch: Launch,
    role: str,
    layout: Parallelism,
    replicas: int,
    *,
    context: int = 1,
    itself: bool = False,
) -> _Worker:
    """The command of one worker.

    context: ranks that share the tokens of a prompt. itself: whether the engine starts replicas itself, if it can.
    """
    settings = {**launch.options, **dict(zip(DEGREES, _degrees(layout), strict=True))}
    for name in ("gpus", "backend", "disaggregated", *PREFILL.values(), "prefill_cp"):
        settings.pop(name, None)
    settings |= {"max_context": launch.max_context, "pool": role or None, "prefill_cp": context}
    settings["prefix_cache"] = bool(q.options.cached) and "prefix_cache" in how.options
    if role == "prefill":
        settings.pop("max_num_seqs", None)
    gpus = int(layout.gpus) * context
    ranks_too = "replicas" in how.options and settings["attention_data_parallel"] == 1
    in_node = gpus * replicas <= q.gpu.node_size  # SGLang spreads replicas over no more, nor need others
    if replicas > 1 and itself and in_node and (ranks_too or ranks_are_replicas(how, q.model)):
        name = "replicas" if ranks_too else "attention_data_parallel"
        settings[name], gpus, replicas = replicas, gpus * replicas, 1
    words = [*how.commands[0].split(), *_model_words(how, launch, settings)]
    for name, value in settings.items():
        if value not in (None, False, 0) and not (value == 1 and (name in DEGREES or name == "prefill_cp")):
            _check_said(how, name, value)
    split = [name for name, rows in how.options.items() if rows[0].form == "split" and settings[name] > 1]
    if len(split) > 1:
        hint = f"`{split[0]}` or `{split[1]}`"
        raise CostcalcError(f"{how.name} spreads over GPUs in one way, not two", where="emit", hint=hint)
    words += how.one_of_several.split() if gpus == 1 and replicas > 1 else []
    stage = settings["tensor_parallel"] * int(layout.attention_dp)
    _check_starts(q, how, settings)
    for name, rows in how.options.items():
        words += _said(how, name, rows, settings, stage)
    nodes = -(-gpus // q.gpu.node_size)
    return _Worker(role, _over_nodes(how, words, q.gpu, settings, gpus) if nodes > 1 else words, replicas, gpus)


def _check_starts(q: Scenario, how: EngineFlags, settings: Mapping[str, Any]) -> None:
    """Raise CostcalcError for a degree of parallelism that the engine cannot be started with."""
    layout = Parallelism(settings["tensor_parallel"], settings["attention_data_parallel"], settings["expert_parallel"])
    name = refused_degree(layout, q.budget.engine)
    if name is not None and q.budget.engine is not None and "stage" in q.budget.engine.degrees[name]:
        stage = int(layout.stage)
        hint = f"ask for {stage} or 1" if stage > 1 else "ask for 1"
        raise CostcalcError(why_refused(layout, q.budget.engine, name, how.name), where="emit", hint=hint)


def _check_said(how: EngineFlags, name: str, value: Any) -> None:
    """Raise CostcalcError where an engine has no flag for an option, or none for its value."""
    if name == "max_context" or (name in how.options and name != "weights"):
        return
    option = {"pool": "disaggregated"}.get(name, name)
    if name == "weights" and how.hub:
        found = WEIGHT_FORMATS.get(str(value))
        if value in how.options[name][0].values or (found is not None and found.note == "GGUF"):
            return
        hint = "name one of GGUF, such as q8_0 or q4_k_m"
        raise CostcalcError(f"{how.name} stores no weights in {value}", where="weights", hint=hint)
    if name == "weights":
        if value in (how.options[name][0].values if name in how.options else ()):
            return
        ending = "FP8" if str(value).startswith("fp8") else "NVFP4" if "fp4" in str(value) else "AWQ"
        hint = f"name a checkpoint that is stored so as the model, such as ORG/NAME-{ending}"
        raise CostcalcError(f"{how.name} does not store weights in {value} by itself", where="weights", hint=hint)
    number = "" if value is True or name == "pool" else f" {value}"
    hint = "ask for 1, or another engine" if name in DEGREES else "leave it out, or ask for another engine"
    raise CostcalcError(f"{how.name} has no flag for `{option}`{number}", where="emit", hint=hint)


def _said(
    how: EngineFlags, name: str, rows: Sequence[LaunchFlag], settings: Mapping[str, Any], stage: int
) -> list[str]:
    """The words that say one option; none where it is not told."""
    value = settings.get(name)
    row = next((each for each in rows if each.value is not None and each.value == value), rows[0])
    if value in (None, False) or not row.flags:
        return []
    number: Any = stage if row.form == "stage" else value
    if row.form in ("ranks", "sequences"):
        number *= settings["attention_data_parallel" if row.form == "ranks" else "max_num_seqs"]
    if number == 1 and (name in DEGREES or name in ("replicas", "prefill_cp")):
        return []
    if row.values and str(number) not in row.values:
        hint = f"one of: {', '.join(row.values)}"
        raise CostcalcError(f"{how.name} keeps no cache in {number}", where=name, hint=hint)
    text = row.values.get(str(number)) or _plain(number)
    if row.form == "json":
        told = {**json.loads(row.beside), str(row.key): int(text) if text.isdigit() else text}
        return [row.flags[0], json.dumps(told)]
    if row.form == "split":
        return [*row.beside.split(), row.flags[0], ",".join("1" * int(number))]
    beside = row.beside.replace("{n}", text).replace("{more}", str(number + 1) if isinstance(number, int) else "")
    return [*beside.split(), row.flags[0], *([] if row.form in ("switch", "whole_stage") else [text])]


def _plain(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _model_words(how: EngineFlags, launch: Launch, settings: Mapping[str, Any]) -> list[str]:
    if how.positional:
        return [launch.model]
    if not how.hub:
        return [how.model[0], launch.model]
    stored = str(settings["weights"])
    ending = how.options["weights"][0].values.get(stored, stored.upper())
    return [how.model[0], f"{launch.model.rstrip('/').rpartition('/')[2]}-{ending}.gguf"]


def _over_nodes(
    how: EngineFlags, words: list[str], gpu: Accelerator, settings: Mapping[str, Any], gpus: int
) -> list[str]:
    """The words of a worker of several nodes; raises CostcalcError where the engine joins those of one."""
    if how.beyond_node is None:
        hint = f"{gpu.name} has {gpu.node_size} to a node: ask for no more"
        raise CostcalcError(f"{how.name} joins the GPUs of one machine, not {gpus}", where="emit", hint=hint)
    within = settings["tensor_parallel"] * settings["pipeline_parallel"] <= gpu.node_size
    added = how.beyond_node_ranks if within and how.beyond_node_ranks else how.beyond_node
    local = max(gpu.node_size // (settings["tensor_parallel"] * settings["pipeline_parallel"]), 1)
    numbers = {"nodes": -(-gpus // gpu.node_size), "gpus": gpus, "node": gpu.node_size, "local": local}
    return [*how.before_beyond_node.format(**numbers).split(), *words, *added.format(**numbers).split()]


def _how_to_run(gpu: Accelerator, how: EngineFlags, worker: _Worker) -> Iterator[str]:
    """Notes on a worker of several nodes, and on one that runs several times."""
    what = {"prefill": "the one that prefills: ", "decode": "the one that decodes: "}.get(worker.role, "")
    nodes = -(-worker.gpus // gpu.node_size)
    if nodes > 1:
        yield what + how.beyond_node_note.format(nodes=nodes)
    if worker.replicas > 1:
        yield f"{what}start it {worker.replicas} times, each on {counted(worker.gpus, 'GPU')} of its own"


def _typed(words: Sequence[str]) -> str:
    """Words as a shell reads them; variables that whoever runs them sets stay variables."""
    return " ".join(each if re.search(r"(^|:)\$[A-Z_]+", each) else shlex.quote(each) for each in words)


DEVICES = {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu", "intel": "gpu.intel.com/xe"}
"""Resources of the vendors' device plug-ins (kubernetes.io, Schedule GPUs, 2026-11)."""
_PORT = 8000


def _manifest(q: Scenario, how: EngineFlags, workers: Sequence[_Worker]) -> str:
    """Deployments and services of Kubernetes; raises CostcalcError for what does not fit a pod."""
    import yaml

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    device, image = DEVICES.get(q.gpu.vendor), how.images.get(q.gpu.vendor)
    if device is None or image is None:
        hint = f"of {', '.join(how.images)} one is"
        raise CostcalcError(f"no image of {how.name} for GPUs of {q.gpu.vendor} is known", where="emit", hint=hint)
    documents: list[dict[str, Any]] = []
    for worker in workers:
        if worker.gpus > q.gpu.node_size:
            hint = f"ask for at most {q.gpu.node_size} GPUs to a replica"
            raise CostcalcError(f"a pod is on one node, and {worker.gpus} GPUs are not", where="emit", hint=hint)
        name = "-".join(filter(None, [re.sub(r"[^a-z0-9]+", "-", q.model.name.lower()).strip("-")[:40], worker.role]))
        memory = {"name": "shm", "emptyDir": {"medium": "Memory"}}  # NCCL's and the workers' shared memory
        container = {
            "name": "server",
            "image": image,
            "command": [*worker.words, "--host", "0.0.0.0", "--port", str(_PORT)],
            "ports": [{"containerPort": _PORT}],
            "resources": {"limits": {device: worker.gpus}},
            "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
        }
        labels, metadata = {"app": name}, {"name": name}
        pod = {"metadata": {"labels": labels}, "spec": {"containers": [container], "volumes": [memory]}}
        spec = {"replicas": worker.replicas, "selector": {"matchLabels": labels}, "template": pod}
        documents.append({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
        port = [{"port": _PORT, "targetPort": _PORT}]
        service = {"selector": labels, "ports": port}
        documents.append({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service})
    return str(yaml.dump_all(documents, Dumper=Plain, sort_keys=False, width=1000))
