"""Numbers, tokens and words that commands read themselves; options of an estimate are read in `predict/options.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.units import format_count, parse_count, parse_whole

Value = TypeVar("Value")


def whole(text: str | None, option: str, *, most: int, least: int = 1) -> int | None:
    """Return a whole number, or None when nothing was typed.

    text: what was typed, such as '8' or '100k'.
    option: the option, for errors.
    """
    return _limited(text, option, lambda typed: parse_whole(typed, least=least), most)


def tokens(text: str | None, option: str, *, most: float = 1e9) -> float | None:
    """Return a number of tokens, or None when nothing was typed.

    text: what was typed, such as '100k'.
    option: the option, for errors.
    most: the limit [tokens].
    """
    number = _limited(text, option, lambda typed: parse_count(typed, positive=True), most)
    if number is not None and number < 1:
        raise CostcalcError(f"{shown(text)} is less than one token", where=option)
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


def _limited(text: str | None, option: str, read: Callable[[str], Value], most: float) -> Value | None:
    number = _read(text, option, read)
    if isinstance(number, (int, float)) and number > most:
        limit = format_count(most)
        raise CostcalcError(f"{shown(text)} is beyond all reason", where=option, hint=f"the most is {limit}")
    return number


def _read(text: str | None, option: str, read: Callable[[str], Value]) -> Value | None:
    if text is None:
        return None
    try:
        return read(text)
    except CostcalcError as error:
        raise CostcalcError(error.message, where=option, hint=error.hint) from None
