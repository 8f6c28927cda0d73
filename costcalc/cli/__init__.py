"""The command line: each file parses, calls and shows one command; none computes."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run costcalc and return its exit code: 0, or 2 for input that cannot be used.

    arguments: the words after the program's name; those of the process when None.
    """
    # Looking for plugins of pydantic reads the metadata of every installed package; costcalc uses none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    collecting = gc.isenabled()
    # A command is over before its cycles are worth collecting, which would take a tenth of its time.
    gc.disable()
    # Nor are they when the process ends, which takes back all memory anyway; Python would search it twice.
    atexit.register(gc.freeze)
    try:
        # Imported here, so that `import costcalc.cli` stays free of typer.
        from costcalc.cli.app import run

        return run(list(sys.argv[1:] if arguments is None else arguments))
    finally:
        if collecting:
            gc.enable()
