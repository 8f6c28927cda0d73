"""Where each key and value of a YAML file stands, so that an error can point at it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

KeyPath = tuple[str | int, ...]
Position = tuple[int, int]


class Positions(dict[KeyPath, Position]):
    """Line and column, both from 1, of the key (or list item) at each path of a file.

    values: line and column of the value at each path.
    overrides: for a path set on the command line, the option that set it.
    """

    def __init__(
        self,
        keys: Mapping[KeyPath, Position] | None = None,
        values: Mapping[KeyPath, Position] | None = None,
    ) -> None:
        super().__init__(keys or {})
        self.values_at: dict[KeyPath, Position] = dict(values or {})
        self.overrides: dict[KeyPath, str] = {}

    def of_key(self, path: KeyPath) -> Position:
        """Return where the key stands, or the innermost group around it that the file names."""
        return self._nearest(self, path)

    def of_value(self, path: KeyPath) -> Position:
        """Return where the value stands, or the innermost group around it that the file names."""
        return self._nearest(self.values_at, path)

    def override_of(self, path: KeyPath) -> str | None:
        """Return the option that set this path or a group around it, or None."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.overrides:
                return self.overrides[path[:length]]
        return None

    @staticmethod
    def _nearest(positions: Mapping[KeyPath, Position], path: KeyPath) -> Position:
        for length in range(len(path), -1, -1):
            if path[:length] in positions:
                return positions[path[:length]]
        return 1, 1


def place(path: str | Path, position: Position | None = None) -> str:
    """Return a file and a position as people follow them: 'models/x.yaml:12:3'.

    path: the file; shown relative to the current folder when it is inside it.
    position: line and column, from 1.
    """
    shown = Path(path)
    if shown.is_absolute() and shown.is_relative_to(Path.cwd()):
        shown = shown.relative_to(Path.cwd())
    return f"{shown}:{position[0]}:{position[1]}" if position else str(shown)


def has(value: Any, step: str | int) -> bool:
    """Return whether raw data holds a key or a list position."""
    if isinstance(value, dict):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value)


def descend(value: Any, step: str | int) -> Any:
    """Return what raw data holds at a key or a list position, or None when it holds nothing there."""
    return value[step] if has(value, step) else None
