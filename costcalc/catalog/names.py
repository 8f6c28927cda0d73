"""Names as people, hubs, drivers and benchmarks spell them, and the catalog's names that come closest."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from costcalc.errors import nearest

_MOST_NAMES = 5
_NEAR = 0.72
"""Likeness of a name that is only misspelt."""
_MOST_TYPED = 100
_SIZE = r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([bmt])(?![a-z0-9])"


def normal_name(text: str) -> str:
    """Return a name as files spell it: lower case, with hyphens for spaces and underscores."""
    return re.sub(r"[\s_]+", "-", text.strip()).casefold()


def squeezed(text: str) -> str:
    """Return a name without its hyphens."""
    return normal_name(text).replace("-", "")


def is_hub_id(text: str) -> bool:
    """Return whether a name is spelled as organisation/name, and not as a path."""
    return bool(re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", text)) and not text.endswith((".yaml", ".yml"))


def meant(wanted: str, spellings: Mapping[str, str]) -> list[str]:
    """Return the names that a misspelt one may mean, the likeliest first.

    Those that begin as typed; else those of the same family, by size; else the one spelled most like it; else the
    longest that stands inside it.

    wanted: what was typed, in normal spelling.
    spellings: the names of the catalog by everything that they answer to.
    """
    if begun := [name for spelling, name in spellings.items() if len(wanted) > 1 and spelling.startswith(wanted)]:
        return list(dict.fromkeys(begun))
    if family := _of_the_family(wanted, spellings):
        return family
    inside = [spelling for spelling in spellings if len(spelling) > 2 and spelling in wanted[:_MOST_TYPED]]
    close = nearest(wanted, spellings, _NEAR) or max(inside, key=len, default=None)
    return [spellings[close]] if close else []


_LETTERS = re.compile(r"([a-z]{3,})(\d+(?:\.\d+)?)")
_VERSION = re.compile(r"v?\d+(?:\.\d+)*")
_SAYING = re.compile(r"[a-z]{2,}")


def words_of(name: str) -> list[str]:
    """Return the words of a name in normal spelling; a family and its version are two: llama, 3.1 and 8b."""
    apart = [(_LETTERS.fullmatch(part), part) for part in name.split("-") if part]
    return [word for found, part in apart for word in (found.groups() if found else (part,))]


def loosely_meant(wanted: str, released: Mapping[str, str]) -> list[str]:
    """Return the names that have all the words typed, the one that is meant first; empty where that is not clear.

    It is clear where one name has them, or where those that have nothing but a version besides are told apart by their
    release, of which the newest is meant: of llama-2-70b, llama-3-70b and llama-3.3-70b where llama-70b was typed.

    wanted: what was typed, in normal spelling. released: when each came, by name; '' where that is not known.
    """
    typed = words_of(wanted[:_MOST_TYPED])
    if not any(_SAYING.fullmatch(word) for word in typed):
        return []
    beyond: dict[str, list[str]] = {}
    for name in released:
        words = words_of(name)
        if all(word in words for word in typed):
            beyond[name] = [word for word in words if word not in typed]
    if len(beyond) == 1:
        return [*beyond]
    versions = [name for name, more in beyond.items() if all(map(_VERSION.fullmatch, more))]
    sized = any(re.fullmatch(_SIZE, word) for word in typed)
    if len(versions) < len(beyond) and not sized:
        return []  # other things are called so, too
    newest = sorted(versions, key=lambda name: released[name], reverse=True)
    clear = newest and released[newest[0]] and (len(newest) == 1 or released[newest[0]] > released[newest[1]])
    return newest if clear else []


def listed(names: Sequence[str]) -> str:
    """Return names as a hint lists them, the first five in full."""
    if len(names) == 1:
        return f"'{names[0]}'"
    more = f" or {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"one of {', '.join(names[:_MOST_NAMES])}{more}"


def _of_the_family(wanted: str, spellings: Mapping[str, str]) -> list[str]:
    """The two names nearest in size among those that stand before their size as the name typed does."""
    head, size = _sized(wanted[:_MOST_TYPED])
    if size is None or not head:
        return []
    by_size: dict[str, float] = {}
    for spelling, name in spellings.items():
        other, its_size = _sized(spelling)
        if other == head and its_size is not None:
            by_size.setdefault(name, abs(math.log(its_size / size)))
    return sorted(by_size, key=lambda name: by_size[name])[:2]


def _sized(name: str) -> tuple[str, float | None]:
    """What stands before the size in a name, and the size in billions."""
    found = re.search(_SIZE, name)
    if found is None or float(found[1]) == 0:
        return name, None
    return squeezed(name[: found.start()]), float(found[1]) * {"m": 1e-3, "b": 1.0, "t": 1e3}[found[2]]


# Accelerators and models as sources spell them: 'NVIDIA H100 80GB HBM3', 'meta-llama/Llama-3.1-8B-Instruct'.
#
# What a spelling adds to a name is taken off only where it says nothing of speed or size: an A100 of 40 GB is
# another one than that of 80, and a checkpoint in FP8 is not the one in 16 bits.


_VENDORS = r"\b(nvidia|amd|intel|google|cloud|aws|tesla|instinct|geforce|radeon|gpu|nv)\b"
_FORMS = ("pcie", "nvl", "sxm")
_NOISE = {
    "server",
    "se",
    "edition",
    "generation",
    "oam",
    "hgx",
    "tensor",
    "core",
    "hbm2",
    "hbm2e",
    "hbm3",
    "hbm3e",
}
_TUNED = r"-(instruct|chat|it|hf|base|thinking|preview|\d{4})(?=-|$)"
_QUANTIZED = r"-(?:quantized\.)?(fp8|fp4|nvfp4|mxfp4|int4|int8|bf16|awq|gptq|w4a16|w8a8)(?:-(?:dynamic|static))?(?=-|$)"
_GGUF = r"(?P<name>.+?)(?:-(?:ud-)?(?P<stored>i?q\d(?:-[a-z0-9]+){1,2}|mxfp4))?(?:-\d+-of-\d+)?(?P<file>[.-]gguf)?"
SAME_MEMORY = 0.02
"""How far rounding takes the memory in a name from that of a data sheet or a driver."""


class Named(Protocol):
    """What a name may stand for."""

    @property
    def name(self) -> str: ...
    @property
    def aliases(self) -> tuple[str, ...]: ...


Entry = TypeVar("Entry", bound=Named)


class Accelerated(NamedTuple):
    """What the name of an accelerator says: model, form factor and memory."""

    model: str
    form: str
    gigabytes: float | None


def accelerators_alike(name: str, entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries of the same product as a name, the one whose form and memory agree best first.

    name: in lower case, with hyphens. SXM goes first where the name says no form.
    """
    wanted = accelerated(name)
    found: list[tuple[float, int, Entry]] = []
    for number, entry in enumerate(entries):
        points = [_points(wanted, accelerated(spelling)) for spelling in (entry.name, *entry.aliases)]
        known = [each for each in points if each is not None]
        if known:
            found.append((-max(known), number, entry))
    return [entry for _, _, entry in sorted(found, key=lambda each: each[:2])]


def accelerated(name: str) -> Accelerated:
    """Return what the name of an accelerator says: ('h100', 'sxm', 80) of 'nvidia-h100-sxm5-80gb'."""
    model, form, memory = [], "", None
    for token in re.sub(_VENDORS, "", name).split("-"):
        kind = next((each for each in _FORMS if re.fullmatch(rf"{each}\d*", token)), None)
        if kind:
            form = token if re.fullmatch(r"nvl\d+", token) else kind  # how many GPUs NVLink joins tells racks apart
        elif size := re.fullmatch(r"(\d+)g(i?b)?", token):
            memory = float(size[1])
        elif token and token not in _NOISE:
            model.append(token)
    return Accelerated("-".join(model), form, memory)


def untuned(name: str) -> list[str]:
    """Return the names of checkpoints of the same shape: without an owner, tuning and date.

    name: in lower case, with hyphens; 'qwen3:8b', as Ollama writes it, is qwen3-8b.
    """
    owner, slash, bare = name.removesuffix(":latest").replace(":", "-").rpartition("/")
    if slash and ("/" in owner or not owner.strip(".~")):
        return []  # a path
    return list(dict.fromkeys([bare, re.sub(_TUNED, "", bare)]))


def unquantized(name: str) -> tuple[str, str] | None:
    """Return the name of a checkpoint without the number format that it is quantized to, and the format.

    name: in lower case, with hyphens.
    """
    found = re.search(_QUANTIZED, name)
    return (re.sub(_QUANTIZED, "", name), found[1]) if found else None


def of_gguf(name: str) -> tuple[str, str | None] | None:
    """Return the name of the model in a file or repository of GGUF, and its format; None for what is neither.

    name: in lower case, with hyphens; of 'qwen3-32b-ud-q4-k-xl.gguf', 'qwen3-32b-gguf' and Ollama's 'qwen3-32b-q4-k-m'.
    """
    found = re.fullmatch(_GGUF, name)
    if found is None or not (found["stored"] or found["file"]):
        return None
    return found["name"], found["stored"] and found["stored"].replace("-", "_")


def same_memory(gigabytes: float, sizes: Sequence[float | None]) -> bool:
    """Whether one of some sizes of memory [B] is what a name says [GB]."""
    return any(size and abs(size / (gigabytes * 1e9) - 1) <= SAME_MEMORY for size in sizes)


def _points(wanted: Accelerated, its: Accelerated) -> float | None:
    """How well two names agree; None where they are of different products."""
    if not wanted.model or its.model != wanted.model or not _same_form(wanted.form, its.form):
        return None
    points = 4.0 * (wanted.form == its.form and bool(wanted.form)) + (not wanted.form and its.form == "sxm")
    if wanted.gigabytes and its.gigabytes:
        points += 2 if wanted.gigabytes == its.gigabytes else -2
    return points


def _same_form(wanted: str, its: str) -> bool:
    """Whether forms may be the same: a name may leave its form open, but not how many GPUs a rack joins."""
    return wanted == its or not wanted or (not its and wanted in _FORMS)
