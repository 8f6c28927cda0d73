"""Names as people and hubs spell them, and the catalog's names that come closest."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from costcalc.errors import nearest

_MOST_NAMES = 5
_MOST_TYPED = 100
_FORMATS = (
    r"fp8(?:-(?:dynamic|block|e4m3|kv))*|fp4|nvfp4|mxfp4|bf16|fp16|awq(?:-int4)?|gptq(?:-int[48])?|gguf|int[48]|"
    r"w[48]a(?:16|8)|quantized|bnb-4bit|4bit|8bit"
)
_TUNINGS = r"instruct|chat|it|hf|base|thinking|preview|\d{4}"
_BY_FORMAT = re.compile(rf"-(?:{_FORMATS})(?=-|$)", re.IGNORECASE)
_BY_TUNING = re.compile(rf"-(?:{_TUNINGS})(?=-|$)", re.IGNORECASE)
_MAKER = re.compile(r"^(?:nvidia|amd|intel|google|aws|apple|huawei)[-\s_]+(?:(?:tesla|instinct|geforce)[-\s_]+)?", re.I)
_MEMORY = re.compile(r"[-\s_]?(\d{2,4})\s?gb?$", re.IGNORECASE)
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([bmt])(?![a-z0-9])")


def normal_name(text: str) -> str:
    """Return a name as files spell it: lower case, with hyphens for spaces and underscores."""
    return re.sub(r"[\s_]+", "-", text.strip()).casefold()


def squeezed(text: str) -> str:
    """Return a name without its hyphens.

    text: the name.
    """
    return normal_name(text).replace("-", "")


def plainer_models(text: str) -> Iterator[str]:
    """Yield a model's name with less and less of what hubs add: organisation, number format, tuning and date.

    text: the name, such as 'Qwen/Qwen3-32B-FP8'; it is not among those yielded.
    """
    bare = text.rpartition("/")[2] if is_hub_id(text) else text
    wider, base = _BY_FORMAT.sub("", bare), _BY_TUNING.sub("", bare)
    yield from (
        name for name in dict.fromkeys((bare, wider, base, _BY_TUNING.sub("", wider))) if name not in ("", text)
    )


def plainer_gpus(text: str) -> Iterator[str]:
    """Yield an accelerator's name without its maker, such as 'H200' for 'NVIDIA H200', and without its memory.

    text: the name.
    """
    bare = _MAKER.sub("", text.strip())
    yield from (name for name in (bare, bare_gpu(text)) if name not in ("", text))


def bare_gpu(text: str) -> str:
    """Return an accelerator's name without its maker and its memory.

    text: the name.
    """
    return _MEMORY.sub("", _MAKER.sub("", text.strip()))


def named_memory(text: str) -> int | None:
    """Return the memory [GB] that ends an accelerator's name, as in 'H100-SXM5-80GB', or None.

    text: the name.
    """
    found = _MEMORY.search(text)
    return int(found[1]) if found else None


def is_hub_id(text: str) -> bool:
    """Return whether a name is spelled as organisation/name, and not as a path.

    text: the name.
    """
    return bool(re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", text)) and not text.endswith((".yaml", ".yml"))


def meant(wanted: str, spellings: Mapping[str, str]) -> list[str]:
    """Return the names that a misspelt one may mean, the likeliest first.

    Those that begin as typed; else those of the same family, by size; else the one spelled most like it; else the
    longest that stands inside it.

    wanted: what was typed, in normal spelling.
    spellings: the names of the catalog by everything that they answer to.
    """
    if begun := [name for spelling, name in spellings.items() if wanted and spelling.startswith(wanted)]:
        return list(dict.fromkeys(begun))
    if family := _of_the_family(wanted, spellings):
        return family
    inside = [spelling for spelling in spellings if len(spelling) > 2 and spelling in wanted[:_MOST_TYPED]]
    close = nearest(wanted, spellings) or max(inside, key=len, default=None)
    return [spellings[close]] if close else []


def listed(names: Sequence[str]) -> str:
    """Return names as a hint lists them, the first five in full.

    names: the names.
    """
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
    found = _SIZE.search(name)
    if found is None or float(found[1]) == 0:
        return name, None
    return squeezed(name[: found.start()]), float(found[1]) * {"m": 1e-3, "b": 1.0, "t": 1e3}[found[2]]
