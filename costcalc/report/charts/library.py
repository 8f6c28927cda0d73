"""matplotlib as it is delivered, whatever the environment and the folder say: a chart is the same anywhere."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = [
    "AutoLocator", "Axes", "Axis", "ConstrainedLayoutEngine", "Figure", "FixedFormatter", "FixedLocator",
    "FuncFormatter", "MaxNLocator", "NullFormatter", "NullLocator", "Patch", "ScaledTranslation",
    "Text", "findfont", "get_font",
    "get_named_colors_mapping", "mpl",
]  # fmt: skip


@contextlib.contextmanager
def _as_delivered() -> Iterator[None]:
    """Keep settings from an import inside; a matplotlibrc of the current folder is read before all others."""
    changed = {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull}
    before = {name: os.environ.get(name) for name in changed}
    here = os.open(".", os.O_RDONLY) if hasattr(os, "fchdir") else None
    logging.getLogger("matplotlib").setLevel(logging.CRITICAL)  # its complaints are of no use to who asks for a chart
    try:
        os.environ |= changed
        if here is not None:
            os.chdir(Path(__file__).parent)
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        if here is not None:
            os.fchdir(here)
            os.close(here)


with _as_delivered():
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import get_named_colors_mapping
    from matplotlib.figure import Figure
    from matplotlib.font_manager import findfont, get_font
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.patches import Patch
    from matplotlib.text import Text
    from matplotlib.ticker import (
        AutoLocator,
        FixedFormatter,
        FixedLocator,
        FuncFormatter,
        MaxNLocator,
        NullFormatter,
        NullLocator,
    )
    from matplotlib.transforms import ScaledTranslation
