"""Numbers and words that commands read themselves; options of an estimate are read in `predict/options.py`."""

from __future__ import annotations

from collections.abc import Iterable

from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.units import format_count, parse_whole


def whole(text: str | None, option: str, *, most: int, least: int = 1) -> int | None:
    """Return a whole number, or None when nothing was typed.

    text: what was typed, such as '8' or '100k'.
    option: the option, for errors.
    """
    if text is None:
        return None
    try:
        number = parse_whole(text, least=least)
    except CostcalcError as error:
        raise CostcalcError(error.message, where=option, hint=error.hint) from None
    if number > most:
        raise CostcalcError(
            f"{shown(text)} is beyond all reason", where=option, hint=f"the most is {format_count(most)}"
        )
    return number


def choice(text: str | None, option: str, choices: Iterable[str]) -> str | None:
    """Return one of several words, or None when nothing was typed.

    text: what was typed; upper and lower case are the same.
    option: the option, for errors.
    """
    if text is None:
        return None
    words = list(choices)
    word = text.strip().lower()
    if word in words:
        return word
    hint = did_you_mean(word, words) or f"one of: {', '.join(words)}"
    raise CostcalcError(f"{shown(text)} is unknown", where=option, hint=hint)
