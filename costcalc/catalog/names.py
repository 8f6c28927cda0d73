"""Names as people and hubs spell them, and the catalog's names that come closest."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from costcalc.errors import nearest

_MOST_NAMES = 5
_NEAR = 0.72
"""Likeness of a name that is only misspelt."""
_MOST_TYPED = 100
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([bmt])(?![a-z0-9])")


def normal_name(text: str) -> str:
    """Return a name as files spell it: lower case, with hyphens for spaces and underscores."""
    return re.sub(r"[\s_]+", "-", text.strip()).casefold()


def squeezed(text: str) -> str:
    """Return a name without its hyphens.

    text: the name.
    """
    return normal_name(text).replace("-", "")


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
    if begun := [name for spelling, name in spellings.items() if len(wanted) > 1 and spelling.startswith(wanted)]:
        return list(dict.fromkeys(begun))
    if family := _of_the_family(wanted, spellings):
        return family
    inside = [spelling for spelling in spellings if len(spelling) > 2 and spelling in wanted[:_MOST_TYPED]]
    close = nearest(wanted, spellings, _NEAR) or max(inside, key=len, default=None)
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
