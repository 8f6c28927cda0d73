"""Output that survives a narrow encoding: '×' becomes 'x' where a terminal or pipe knows ASCII alone."""

from __future__ import annotations

import codecs
from typing import Any

_PLAIN = {
    "×": "x", "≈": "~", "°": "*", "†": "+", "–": "-", "—": "-", "−": "-", "…": ".", "·": "|", "µ": "u", "μ": "u",
    "≤": "<", "≥": ">", "≠": "!", "→": ">", "←": "<", "“": '"', "”": '"', "‘": "'", "’": "'",
    "█": "#", "▉": "#", "▊": "#", "▋": "#", "▌": "=", "▍": "=", "▎": "-", "▏": "-", "░": ".", "▒": ":", "▓": "+",
    "─": "-", "━": "-", "│": "|", "┼": "+", "├": "+", "┤": "+", "└": "+", "┘": "+", "┌": "+", "┐": "+",
    "┬": "+", "┴": "+", "●": "o", "○": "O", "■": "#", "▲": "^", "◆": "D", "▼": "v", "★": "*",
}  # fmt: skip
_NAME = "costcalc-plain"


def plain_text(text: str) -> str:
    """Return text in ASCII: each sign that has a plain look-alike by that, others as '?'; widths stay."""
    return "".join(each if each.isascii() else _PLAIN.get(each) or _dotted(each) for each in text)


def _dotted(sign: str) -> str:
    """A sign of a line in a terminal's chart, which is drawn in Braille, as a dot."""
    return "." if "\u2800" < sign <= "\u28ff" else "?"


def tolerate_narrow_encodings(*streams: Any) -> None:
    """Make streams write look-alikes of what their encoding lacks, instead of raising.

    streams: text streams such as sys.stdout; those that cannot be reconfigured are left alone.
    """
    codecs.register_error(_NAME, _replace)
    for stream in streams:
        encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "")
        if hasattr(stream, "reconfigure") and encoding not in ("utf8", "utf16", "utf32"):
            stream.reconfigure(errors=_NAME)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain_text(error.object[error.start : error.end]), error.end
