"""What shells complete, found without reading more than the names of the files and their first lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from typer import Context

from costcalc.errors import CostcalcError
from costcalc.formats import CACHE_FORMATS, COMPUTE_PRECISIONS, WEIGHT_FORMATS
from costcalc.hardware.prices import KINDS as PRICE_KINDS
from costcalc.predict.options import OPTIONS
from costcalc.predict.options import Option as Row
from costcalc.report.charts import CHARTS, OF_GPUS

Completing = Callable[[str], list[str]]

NO_MODEL = "closed_models"  # lists prices of models without a shape
BEST = "best"  # no engine, but the least overhead of each: ServingEfficiency.engine


def model_names(incomplete: str) -> list[str]:
    """Return the models whose names begin as typed."""
    return _names("models", incomplete, "")


def gpu_names(incomplete: str) -> list[str]:
    """Return the accelerators whose names begin as typed, behind a count such as '8x'."""
    digits = len(incomplete) - len(incomplete.lstrip("0123456789"))
    counted = digits > 0 and incomplete[digits : digits + 1].lower() == "x"
    count = incomplete[: digits + 1] if counted else ""
    return _names("hardware_profiles", incomplete[len(count) :], count)


def backend_names() -> list[str]:
    """Return the serving engines of the constants, found without a YAML parser, which help has no time for."""
    from costcalc.catalog.files import catalog_roots

    try:
        files = [root / "hardware_profiles" / "efficiency" / "serving.yaml" for root in catalog_roots()]
        text = next(Path(file).read_text(encoding="utf-8") for file in files if file.is_file())
    except (CostcalcError, OSError, StopIteration, ValueError):
        return []
    _, _, block = f"\n{text}".partition("\nbackends:\n")
    names = re.findall(r"^ {2}([\w-]+):\s*$", re.split(r"^\S", block, maxsplit=1, flags=re.MULTILINE)[0], re.MULTILINE)
    return [*names, BEST] if names else []


def matching_backends(incomplete: str) -> list[str]:
    """Return the serving engines whose names begin as typed."""
    return _begun(backend_names(), incomplete)


def one_of(*words: str) -> Completing:
    """Return what completes one of some words, or several between commas."""

    def begun(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [f"{before}{comma}{word}" for word in _begun(words, last)]

    return begun


CHART_KINDS = {
    name: CHARTS[result][1]
    for name, result in {
        "estimate": "Estimate", "capacity": "Capacity", "attention": "Comparison", "models": "Comparison",
        "sweep": "Sweep", "frontier": "Frontier", "simulate": "Simulation", "plan": "Plan",
        "sensitivity": "Sensitivity", "breakeven": "BreakEven", "price": "Priced",
    }.items()
} | {"gpus": OF_GPUS}  # fmt: skip
"""Panels of each command's chart, by its name."""


def chart_kinds(ctx: Context, incomplete: str) -> list[str]:
    """Return the panels of this command's chart that begin as typed."""
    return one_of(*CHART_KINDS.get(str(ctx.info_name), ()))(incomplete)


def completing(name: str, row: Row) -> Completing | None:
    """What completes a row of OPTIONS: engines, formats, kinds of prices, or the words that its help names."""
    if name == "backend":
        return matching_backends
    if name == "price":
        return one_of(*PRICE_KINDS)
    weights, caches = [*WEIGHT_FORMATS], [*CACHE_FORMATS]
    formats = {"weights": weights, "experts": weights, "kv_cache": caches, "activations": [*COMPUTE_PRECISIONS]}
    words = formats.get(name) or words_named(row.metavar)
    return one_of(*words) if words else None


def _begun(words: Iterable[str], typed: str) -> list[str]:
    """The words that begin as typed, whatever its case, which stays: shells and typer drop what begins otherwise."""
    return [typed + word[len(typed) :] for word in words if word.startswith(typed.lower())]


def _names(kind: str, incomplete: str, prefix: str) -> list[str]:
    from costcalc.catalog.files import catalog_roots

    try:
        roots = catalog_roots()
    except CostcalcError:
        return []
    files = {path.stem: path for root in reversed(roots) for path in (root / kind).glob("*.y*ml")}
    files.pop(NO_MODEL, None)
    typed, found = incomplete.lower(), set[str]()
    for stem, path in files.items():
        begun = stem.startswith(typed)
        found |= {stem} if begun else set()
        # Of a file that is offered, only what is short for it: h100 of h100-sxm.
        found |= {each for each in _aliases(path) if each.startswith(typed) and (not begun or stem.startswith(each))}
    return [prefix + name for name in _begun(sorted(found), incomplete)]


_HEAD = 4096  # bytes of a file in which its aliases stand


def _aliases(path: Path) -> list[str]:
    """Other names of a file of the catalog, found without a YAML parser."""
    try:
        with path.open("rb") as file:
            text = file.read(_HEAD).decode(errors="replace")
    except OSError:
        return []
    listed = re.search(r"^aliases: *\[([^\]\n]*)\]", text, re.MULTILINE)
    return re.findall(r"[\w.-]+", listed[1]) if listed else []


# Options that do not say it themselves: the words that their help names, or those of their kind.


KINDS = ("decode_attention", "prefill_attention", "gemm", "moe", "comm", "e2e", "field", "power", "kv_pool")
"""Those of measurements, which `costcalc/validation/files.py` reads."""
VARIANTS = (
    "mha",
    "mqa",
    "mla",
    "mla-expanded",
    "lowrank",
    "none",
    "gqa:",
    "mla:",
    "window:",
    "dsa:",
    "kda:",
    "linear:",
)
ATTENTIONS = (
    *("block_sparse", "chunked", "compressed", "gated_deltanet", "grouped", "indexed_latent", "kda", "latent"),
    *("lightning", "mamba1", "mamba2", "short_conv", "sliding"),
)
"""Kinds of `costcalc/model/attention/`."""


def complete_words(params: Sequence[Any]) -> None:
    """Let options complete that do not yet: by the words of their help, else by their name.

    params: of a command, as typer declares them.
    """
    for param in params:
        if getattr(param, "_custom_shell_complete", None) is None and (found := _completing(param)):
            param._custom_shell_complete = _by(found)


def words_named(metavar: str) -> list[str]:
    """The words between bars in the help of a value, as in 'measured|uniform|zipf:S|FACTOR'."""
    return re.findall(r"(?<![^|])[a-z][a-z0-9._-]*(?=[|:]|$)", metavar) if "|" in metavar else []


def _completing(param: Any) -> Completing | None:
    metavar = param.metavar or ""
    if words := words_named(metavar):
        return one_of(*words)
    return next(
        (_BY_FLAG[each] for flag in param.opts for each in ((flag, metavar), (flag, "")) if each in _BY_FLAG), None
    )


def _by(found: Completing) -> Callable[[Any, Any, str], list[str]]:
    """What typer asks for completions, which makes its own items of words: click has them, or a part of typer."""
    return lambda _context, _param, incomplete: found(incomplete)


def _of_profiles(kind: str, key: str) -> Completing:
    """What completes a word that profiles have under a key, as in 'vendor', found without a YAML parser."""

    def begun(incomplete: str) -> list[str]:
        from costcalc.catalog.files import catalog_roots

        heads = (
            path.read_text(encoding="utf-8")[:4096] for root in catalog_roots() for path in (root / kind).glob("*.yaml")
        )
        found = (re.search(rf"(?m)^{key}: *([\w.-]+)", head) for head in heads)
        return one_of(*sorted({each[1] for each in found if each}))(incomplete)

    return begun


def _terms(incomplete: str) -> list[str]:
    """Terms of an owner: those that the help of --owned names."""
    words = re.findall(r"[a-z][a-z-]*(?=,|;)", OPTIONS["owned"].help.partition("rate=8%:")[2])
    return one_of("home", *(f"{word}=" for word in words if word != "home"))(incomplete)


_BY_FLAG: dict[tuple[str, str], Completing] = {
    ("--gpu", ""): gpu_names,
    ("--model", ""): model_names,
    ("--backend", ""): matching_backends,
    ("--against", "NAME,..."): model_names,
    ("--kind", ""): one_of(*KINDS),
    ("--vendor", ""): _of_profiles("hardware_profiles", "vendor"),
    ("--architecture", ""): _of_profiles("hardware_profiles", "architecture"),
    ("--family", ""): _of_profiles("models", "family"),
    ("--attention", "KIND"): one_of(*ATTENTIONS),
    ("--variants", ""): one_of(*VARIANTS),
    ("--owned", ""): _terms,
}
"""By the flag, and by what stands for its value in the help where others have the same flag."""
