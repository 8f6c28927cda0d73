"""Days, months and years as files and measurements write them."""

from __future__ import annotations

import re
from datetime import date

_FORM = re.compile(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?")


def read_date(text: str) -> tuple[int, int | None, int | None] | None:
    """Return year, month and day of '2026-11-23', '2026-11' or '2026', as far as they are given; None for no date.

    text: what was written.
    """
    found = _FORM.fullmatch(text)
    if not found:
        return None
    year, month, day = (int(part) if part else None for part in found.groups())
    try:
        date(year or 0, month or 1, day or 1)
    except ValueError:
        return None
    return year or 0, month, day
