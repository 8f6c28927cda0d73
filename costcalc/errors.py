"""The one error that users see, and the suggestion of a nearest valid name."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from functools import lru_cache

_LONGEST = 480
"""Characters of a message, or of a place: paths of files fit, a novel typed as an option does not."""
_LONGEST_HINT = 1600
"""Characters of a hint, which may list what can be asked."""
LONGEST_NAME = 200
"""Characters of a name that another may be meant by."""
LONGEST_LINE = 100_000
"""Letters of a command that is pasted."""


class CostcalcError(ValueError):
    """An input that cannot be used, told in one line: where, what, and how to mend it.

    A ValueError, so that pydantic adds the place in the specification when a field validator raises it.

    message: what is wrong.
    where: the place of the mistake, as `file:line:column` or the option, when known.
    hint: how to mend it, such as the nearest valid name, when known.
    path: keys and list positions of the mistake inside the group that was checked, when known.
    """

    def __init__(
        self, message: str, where: str | None = None, hint: str | None = None, path: tuple[str | int, ...] = ()
    ) -> None:
        self.message = shortened(message, _LONGEST)
        self.where = shortened(where, _LONGEST) if where else None
        self.hint = shortened(hint, _LONGEST_HINT) if hint else None
        self.path = path
        self.each: tuple[CostcalcError, ...] = (self,)  # all mistakes of a file, of which this one is the first
        super().__init__(self.message, self.where, self.hint)

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}; {self.hint}" if self.hint else text


class AboveLimit(Exception):
    """An answer, which was given, is a no: dearer than --fail-above allows, or no fleet keeps its levels."""


def nearest(name: str, candidates: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the candidate spelled most like a name, ignoring case, or None when none is close.

    name: what was typed.
    candidates: the valid names.
    cutoff: least similarity [0 to 1] that counts as close.
    """
    if len(name) > LONGEST_NAME:
        return None  # nobody misspells a novel, and comparing takes time in proportion to both
    return _nearest(name, tuple(each for each in candidates if len(each) <= LONGEST_NAME), cutoff)


@lru_cache(maxsize=1024)  # a file repeats its mistakes, and each costs milliseconds
def _nearest(name: str, candidates: tuple[str, ...], cutoff: float) -> str | None:
    # difflib takes milliseconds to import and is needed only when something is already wrong.
    from difflib import get_close_matches

    by_folded = {candidate.casefold(): candidate for candidate in reversed(candidates)}
    close = get_close_matches(name.casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[close[0]] if close else None


def did_you_mean(name: str, candidates: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the hint "did you mean 'x'?" for the nearest candidate, or None when none is close.

    name: what was typed.
    candidates: the valid names.
    cutoff: least similarity [0 to 1] that counts as close.
    """
    close = nearest(name, candidates, cutoff)
    return f"did you mean '{close}'?" if close is not None else None


def tell(line: str) -> None:
    """Write a line to stderr, escaped; whoever started the program may have closed it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{escaped(line)}\n")
        sys.stderr.flush()


def shown(value: object, limit: int = 48) -> str:
    """Return a value as an error message quotes it: on one line, shortened, text in quotes.

    value: what was given.
    limit: most characters to quote.
    """
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = shortened(value if isinstance(value, str) else str(value), limit)
    return f"'{text}'" if isinstance(value, str) else text


def shortened(text: str, limit: int = 48) -> str:
    """Return text on one line, cut where it is longer than a reader needs to know it again.

    text: what was given. limit: most characters.
    """
    return escaped(text[: limit - 3] + "..." if len(text) > limit else text)


def escaped(text: str) -> str:
    """Return text on one line that says what it is made of: every face of an answer shows what comes from files so.

    Control characters, line breaks, marks that turn the direction of writing, and halves of characters are written as
    '\\x1b', '\\n', '\\u202e' and '\\udc80'.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
