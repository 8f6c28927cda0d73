"""A model as YAML text in the form of the catalog's own files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from costcalc.catalog.scalars import resolve_scalar

MODELINE = "# yaml-language-server: $schema=../docs/schemas/model.json"
WIDTH = 110
_PLAIN = re.compile(r"[A-Za-z0-9_./(][\w ./()$'+,;:=%-]*", re.ASCII)
# A blank line stands before these keys: who the model is, its shape, where it comes from.
_STARTS = ("hidden_size", "sources")
_BLOCKS = ("attention", "feedforward")


def model_yaml(model: Mapping[str, Any]) -> str:
    """Return the YAML text of a model.

    model: its data, in the order in which to write it.
    """
    lines = [MODELINE]
    for key, value in model.items():
        if key in _STARTS:
            lines.append("")
        if key in _BLOCKS and value:
            lines.append(f"{key}:")
            for label, variant in value.items():
                lines += _mapping(f"  {label}: ", variant, 4)
        elif isinstance(value, Sequence) and value and not isinstance(value, str) and key != "aliases":
            lines.append(f"{key}:")
            for item in value:
                lines += _item(item)
        elif isinstance(value, Mapping):
            lines += _mapping(f"{key}: ", value, 2)
        else:
            lines += _text(f"{key}: ", value, 2)
    return "\n".join(lines) + "\n"


def _mapping(prefix: str, value: Mapping[str, Any], indent: int) -> list[str]:
    """Return a mapping on one line where it fits, else one key a line."""
    whole = prefix + _flow(value)
    if len(whole) <= WIDTH:
        return [whole]
    return [prefix.rstrip()] + [f"{' ' * indent}{key}: {_flow(each)}" for key, each in value.items()]


def _item(value: Any) -> list[str]:
    if not isinstance(value, Mapping):
        return _text("  - ", value, 4)
    whole = "  - " + _flow(value)
    if len(whole) <= WIDTH:
        return [whole]
    lines: list[str] = []
    for key, each in value.items():
        prefix = f"    {key}: " if lines else f"  - {key}: "
        lines += _text(prefix, each, 6)
    return lines


def _text(prefix: str, value: Any, indent: int) -> list[str]:
    """Return 'key: text', folded over several lines when it is long."""
    whole = prefix + _flow(value, inside=False)
    if len(whole) <= WIDTH or not isinstance(value, str) or not value.isprintable() or value != " ".join(value.split()):
        return [whole]
    lines, current = [prefix + ">-"], ""
    for word in value.split(" "):
        if current and indent + len(current) + 1 + len(word) > WIDTH:
            lines.append(" " * indent + current)
            current = ""
        current = f"{current} {word}" if current else word
    return [*lines, " " * indent + current]


def _flow(value: Any, inside: bool = True) -> str:
    """Return a value on one line.

    inside: whether it stands inside brackets, where commas need quotes.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flow(each) for each in value) + "]"
    if not isinstance(value, str):
        return repr(value)
    return value if _is_plain(value, inside) else _quoted(value)


def _is_plain(text: str, inside: bool) -> bool:
    if not _PLAIN.fullmatch(text) or text != text.strip() or ": " in text or text.endswith(":"):
        return False
    if inside and ("," in text or ":" in text):
        return False
    # yes, no, on and off are text here, but not to other readers of YAML.
    return resolve_scalar(text) == text and text[0].isalpha() and text.lower() not in _WORDS


_WORDS = {"yes", "no", "on", "off", "y", "n", "true", "false", "null", "none"}


def _quoted(text: str) -> str:
    shown = "".join(
        character if character.isprintable() else f"\\u{ord(character):04x}"
        for character in text.replace("\\", "\\\\").replace('"', '\\"')
        if ord(character) <= 0xFFFF or character.isprintable()
    )
    return f'"{shown}"'
