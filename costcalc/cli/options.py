"""Options that commands share, declared once, and what completes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from inspect import Parameter, Signature, cleandoc, signature
from typing import TYPE_CHECKING, Annotated, Any, cast, get_type_hints

from typer import Option

from costcalc.catalog.files import searched_first
from costcalc.errors import CostcalcError
from costcalc.fields import Record

if TYPE_CHECKING:
    from costcalc.predict.scenario import OptionKeywords


# Names for shells to complete, found without reading more than the names of the files.


NO_MODEL = "closed_models"  # lists prices of models without a shape
BEST = "best"  # no engine, but the least overhead of each: ServingEfficiency.engine


def model_names(incomplete: str) -> list[str]:
    """Return the models whose names begin as typed.

    incomplete: what was typed so far.
    """
    return _names("models", incomplete, "")


def gpu_names(incomplete: str) -> list[str]:
    """Return the accelerators whose names begin as typed, behind a count such as '8x'.

    incomplete: what was typed so far.
    """
    digits = len(incomplete) - len(incomplete.lstrip("0123456789"))
    counted = digits > 0 and incomplete[digits : digits + 1].lower() == "x"
    count = incomplete[: digits + 1] if counted else ""
    return _names("hardware_profiles", incomplete[len(count) :], count)


def backend_names() -> list[str]:
    """Return the serving engines of the constants, found without a YAML parser, which help has no time for."""
    import re
    from pathlib import Path

    from costcalc.catalog.files import catalog_roots
    from costcalc.errors import CostcalcError

    try:
        files = [root / "hardware_profiles" / "efficiency" / "serving.yaml" for root in catalog_roots()]
        text = next(Path(file).read_text(encoding="utf-8") for file in files if file.is_file())
    except (CostcalcError, OSError, StopIteration, ValueError):
        return []
    _, _, block = f"\n{text}".partition("\nbackends:\n")
    names = re.findall(r"^ {2}([\w-]+):\s*$", re.split(r"^\S", block, maxsplit=1, flags=re.MULTILINE)[0], re.MULTILINE)
    return [*names, BEST] if names else []


def matching_backends(incomplete: str) -> list[str]:
    """Return the serving engines whose names begin as typed.

    incomplete: what was typed so far.
    """
    return [name for name in backend_names() if name.startswith(incomplete.lower())]


def _names(kind: str, incomplete: str, prefix: str) -> list[str]:
    from costcalc.catalog.files import catalog_roots
    from costcalc.errors import CostcalcError

    try:
        roots = catalog_roots()
    except CostcalcError:
        return []
    stems = {path.stem for root in roots for path in (root / kind).glob("*.y*ml")} - {NO_MODEL}
    return [prefix + stem for stem in sorted(stems) if stem.startswith(incomplete.lower())]


# Options that several commands share, declared once as the fields of a dataclass.


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command in which every parameter that is a dataclass of options stands for its fields.

    function: the command; its parameters are typer options and dataclasses of typer options.
    """
    hints = get_type_hints(function, include_extras=True)
    plain: list[Parameter] = []
    bundles: dict[str, tuple[type, list[str]]] = {}
    for parameter in signature(function).parameters.values():
        hint = hints[parameter.name]
        if isinstance(hint, type) and is_dataclass(hint):
            own = _parameters(hint)
            bundles[parameter.name] = (hint, [each.name for each in own])
            plain += own
        else:
            plain.append(parameter.replace(annotation=hint, kind=Parameter.KEYWORD_ONLY))

    def command(**values: Any) -> None:
        # Fitted constants are found by the same order of folders as models and GPUs.
        with searched_first(values.get("catalog")):
            for name, (bundle, names) in bundles.items():
                values[name] = bundle(**{each: values.pop(each) for each in names})
            function(**values)

    command.__name__ = function.__name__
    command.__doc__ = cleandoc(function.__doc__ or "")
    command.__annotations__ = {each.name: each.annotation for each in plain}
    command.__dict__["__signature__"] = Signature(plain)
    return command


def _parameters(bundle: type) -> list[Parameter]:
    hints = get_type_hints(bundle, include_extras=True)
    return [
        Parameter(
            each.name,
            Parameter.KEYWORD_ONLY,
            annotation=hints[each.name],
            default=Parameter.empty if each.default is MISSING else each.default,
        )
        for each in fields(bundle)
    ]


SUBJECT = "Model and GPU"
LAYOUT = "Layout"
LOAD = "Load"
NUMBERS = "Precision and method"
MONEY = "Money"
CATALOG = "Catalog"
SHOW = "Output"

EFFICIENCIES = ("calibrated", "ideal")
TERMS = ("all", "kv", "weights")
MLA_MODES = ("absorbed", "expanded", "naive")

Model = Annotated[
    str | None,
    Option(
        "--model", "-m", metavar="NAME", autocompletion=model_names, rich_help_panel=SUBJECT,
        help="A model's name, alias, Hugging Face id or YAML file; see: costcalc models",
    ),
]  # fmt: skip
Gpu = Annotated[
    str | None,
    Option(
        "--gpu", "-g", metavar="NAME", autocompletion=gpu_names, rich_help_panel=SUBJECT,
        help="An accelerator's name, alias or YAML file, as in h100 or 8xh100; see: costcalc gpus",
    ),
]  # fmt: skip


def required(text: str | None, option: str, example: str, listing: str) -> str:
    """Return what was typed for an option that has no default.

    text: what was typed.
    option, example: the option, and a value for it, for errors.
    listing: the command that lists its values.
    Raises CostcalcError when nothing was typed.
    """
    if text is None:
        raise CostcalcError(
            f"{option} is missing", hint=f"name one, such as {option} {example}; list them with: {listing}"
        )
    return text


class Serving(Record):
    """How the model is deployed, loaded and paid for, as typed."""

    gpus: Annotated[
        str | None,
        Option("--gpus", metavar="N", help="GPUs in all; default: the fewest that fit, in whole nodes.",
               rich_help_panel=LAYOUT),
    ] = None  # fmt: skip
    tp: Annotated[str | None, Option("--tp", metavar="N", help="Tensor parallel degree.", rich_help_panel=LAYOUT)] = (
        None
    )
    pp: Annotated[str | None, Option("--pp", metavar="N", help="Pipeline parallel degree.", rich_help_panel=LAYOUT)] = (
        None
    )
    ep: Annotated[str | None, Option("--ep", metavar="N", help="Expert parallel degree.", rich_help_panel=LAYOUT)] = (
        None
    )
    dp: Annotated[
        str | None,
        Option("--dp", metavar="N", help="Attention data parallel degree: sequences spread over N groups.",
               rich_help_panel=LAYOUT),
    ] = None  # fmt: skip
    memory_utilization: Annotated[
        str | None,
        Option("--memory-utilization", metavar="SHARE", rich_help_panel=LAYOUT,
               help="Share of the GPU's memory that the engine takes; default: the engine's, 90% of vLLM."),
    ] = None  # fmt: skip
    max_num_batched_tokens: Annotated[
        str | None,
        Option("--max-num-batched-tokens", metavar="TOKENS", rich_help_panel=LAYOUT,
               help="Tokens of one step, all prompts together; default: the engine's."),
    ] = None  # fmt: skip
    max_num_seqs: Annotated[
        str | None,
        Option("--max-num-seqs", metavar="N", rich_help_panel=LAYOUT,
               help="Sequences that the engine runs at once; default: the engine's."),
    ] = None  # fmt: skip
    batch: Annotated[
        str | None,
        Option("--batch", "-b", metavar="N|auto", rich_help_panel=LOAD,
               help="Sequences at once, of one replica; auto, the default, is the cheapest under --tpot."),
    ] = None  # fmt: skip
    context: Annotated[
        str | None,
        Option("--context", "-c", metavar="TOKENS", rich_help_panel=LOAD,
               help="KV length at which decode is evaluated; default: the input and half of the output."),
    ] = None  # fmt: skip
    input: Annotated[
        str | None,
        Option("--input", "--input-tokens", metavar="TOKENS", rich_help_panel=LOAD,
               help="Tokens of a prompt; default: 4096."),
    ] = None  # fmt: skip
    cached: Annotated[
        str | None,
        Option("--cached", metavar="SHARE", rich_help_panel=LOAD,
               help="Share of the input served from a prefix cache; default: 0."),
    ] = None  # fmt: skip
    tpot: Annotated[
        str | None,
        Option("--tpot", metavar="TIME", rich_help_panel=LOAD,
               help="Most time per output token, when the batch is chosen; default: 50 ms."),
    ] = None  # fmt: skip
    ttft: Annotated[
        str | None,
        Option("--ttft", metavar="TIME", rich_help_panel=LOAD,
               help="Most time to the first token, when the batch is chosen; default: no limit."),
    ] = None  # fmt: skip
    demand: Annotated[
        str | None,
        Option("--demand", metavar="RATE", rich_help_panel=LOAD,
               help="Requests or output tokens to serve, as in '50 requests/s' or '1B tokens/day': how many GPUs."),
    ] = None  # fmt: skip
    weights: Annotated[
        str | None,
        Option("--weights", metavar="FORMAT", rich_help_panel=NUMBERS,
               help="Number format of the weights, such as bf16, fp8, int4 or mxfp4; default: the model's."),
    ] = None  # fmt: skip
    kv: Annotated[
        str | None,
        Option("--kv", metavar="FORMAT", rich_help_panel=NUMBERS,
               help="Number format of the KV cache, such as bf16 or fp8; default: as engines keep this model's."),
    ] = None  # fmt: skip
    activations: Annotated[
        str | None,
        Option("--activations", metavar="FORMAT", rich_help_panel=NUMBERS,
               help="Precision of the activations; default: what the weights are multiplied with."),
    ] = None  # fmt: skip
    mla: Annotated[
        str | None,
        Option("--mla", metavar="|".join(MLA_MODES), rich_help_panel=NUMBERS,
               help="How latent attention is executed; default: absorbed."),
    ] = None  # fmt: skip
    efficiency: Annotated[
        str | None,
        Option("--efficiency", metavar="|".join(EFFICIENCIES), rich_help_panel=NUMBERS,
               help="Speeds as measured (the default), or the bound that the data sheet allows."),
    ] = None  # fmt: skip
    backend: Annotated[
        str | None,
        Option("--backend", metavar="NAME", rich_help_panel=NUMBERS,
               autocompletion=matching_backends,
               help=f"Serving engine whose overheads are counted: {', '.join(backend_names())}; default: vllm."),
    ] = None  # fmt: skip
    drafts: Annotated[
        str | None,
        Option("--drafts", metavar="N", rich_help_panel=LOAD,
               help="Tokens drafted per step and verified by it (speculation, multi-token prediction); default: 0."),
    ] = None  # fmt: skip
    acceptance: Annotated[
        str | None,
        Option("--acceptance", metavar="SHARE", rich_help_panel=LOAD,
               help="Chance that a drafted token is kept; default: as measured, 85% in the ideal bound."),
    ] = None  # fmt: skip
    disaggregated: Annotated[
        bool,
        Option("--disaggregated", rich_help_panel=LOAD,
               help="Prefill and decode on pools of GPUs of their own: --gpus of them decode, and as many more "
                    "prefill as keep those busy."),
    ] = False  # fmt: skip
    prefill_gpus: Annotated[
        str | None,
        Option("--prefill-gpus", metavar="N", rich_help_panel=LOAD,
               help="GPUs of the pool that prefills, with --disaggregated; default: as many as keep decode busy."),
    ] = None  # fmt: skip
    arrivals: Annotated[
        str | None,
        Option("--arrivals", metavar="closed|offline|static", rich_help_panel=LOAD,
               help="How requests come: whoever is answered asks again (--concurrency), all queue at once, or one "
                    "batch begins and ends together; default: as many as --batch are always running."),
    ] = None  # fmt: skip
    concurrency: Annotated[
        str | None,
        Option("--concurrency", metavar="N", rich_help_panel=LOAD,
               help="Requests in flight at all replicas together, instead of --batch."),
    ] = None  # fmt: skip
    requests: Annotated[
        str | None,
        Option("--requests", metavar="N", rich_help_panel=LOAD, help="Requests in all, with --arrivals offline."),
    ] = None  # fmt: skip
    lengths: Annotated[
        str | None,
        Option("--lengths", metavar="mixed|equal", rich_help_panel=LOAD,
               help="Whether requests differ in length, or all are equal and stay in step; default: mixed."),
    ] = None  # fmt: skip
    statistic: Annotated[
        str | None,
        Option("--statistic", metavar="median|mean", rich_help_panel=LOAD,
               help="Which time to first token is meant; a mean sees the burst that starts a run; default: median."),
    ] = None  # fmt: skip
    polling: Annotated[
        str | None,
        Option("--polling", metavar="STEPS", rich_help_panel=LOAD,
               help="Decode steps for which the scheduler looks at no new request; default: 0."),
    ] = None  # fmt: skip
    engine_date: Annotated[
        str | None,
        Option("--engine-date", metavar="YYYY-MM", rich_help_panel=NUMBERS,
               help="Month of the serving engine: older ones are slower; default: that of the newest measurements."),
    ] = None  # fmt: skip
    experts: Annotated[
        str | None,
        Option("--experts", metavar="FORMAT", rich_help_panel=NUMBERS,
               help="Number format of the routed experts; default: as --weights says."),
    ] = None  # fmt: skip
    terms: Annotated[
        str | None,
        Option("--terms", metavar="|".join(TERMS), rich_help_panel=NUMBERS,
               help="Count everything, or reads of the KV cache or of the weights alone."),
    ] = None  # fmt: skip
    price: Annotated[
        str | None,
        Option("--price", metavar="PRICE", rich_help_panel=MONEY,
               help="Dollars per GPU-hour; or a kind, for the median of its prices: on-demand, spot, reserved, "
                    "marketplace, owned; or a provider, for its price on demand, as in lambda or 'verda spot'; "
                    "default: the profile's."),
    ] = None  # fmt: skip
    utilization: Annotated[
        str | None,
        Option("--utilization", metavar="SHARE", rich_help_panel=MONEY,
               help="Share of the paid hours in which the GPUs work; default: 100%."),
    ] = None  # fmt: skip

    def keywords(self, output_tokens: str | None = None) -> OptionKeywords:
        """Return what was typed as keyword arguments of `costcalc.estimate`, which reads them.

        output_tokens: what was typed for them, an option that this bundle does not hold.
        """
        from costcalc.predict.options import FLAGS

        names = {flag: name for name, flag in FLAGS.items()}
        typed = {names.get(each.name, each.name): getattr(self, each.name) for each in fields(self)}
        typed["output_tokens"] = output_tokens
        return cast("OptionKeywords", {name: text for name, text in typed.items() if text not in (None, False)})


class Catalog(Record):
    """Where specifications come from, and what is changed in them."""

    catalog: Annotated[
        str | None,
        Option("--catalog", metavar="DIR", rich_help_panel=CATALOG,
               help="A folder with models/ and hardware_profiles/ of your own, looked at first; those of the "
                    "variable COSTCALC_CATALOG are next, then what costcalc ships."),
    ] = None  # fmt: skip
    set: Annotated[
        list[str] | None,
        Option("--set", metavar="PATH=VALUE", rich_help_panel=CATALOG,
               help="Change a value of the model or the GPU, as in gpu.memory_bandwidth=3.3TB/s; repeatable."),
    ] = None  # fmt: skip
