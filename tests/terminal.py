"""Pages as a terminal of some width shows them."""

from __future__ import annotations

import io
from collections.abc import Iterable

from costcalc.report.page import Block, print_page


def fitted(page: Iterable[Block], width: int) -> str:
    """Return the text of a page, without the blanks at the ends of lines."""
    text = io.StringIO()
    print_page(page, text, width)
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())
