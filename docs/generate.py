"""Write the parts of the documentation that follow from the code; --check tells which are out of date.

Run it from anywhere: python docs/generate.py. Charts are drawn with --charts alone, and are not checked: other
versions of matplotlib draw the same picture from other bytes.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

from inventory import catalog_page

from costcalc.show.export import as_json
from costcalc.show.schema import KINDS, schema_of

DOCS = Path(__file__).parent


def schema(kind: str) -> str:
    """Return a JSON Schema as the content of a file."""
    return as_json(schema_of(kind))


GENERATED: dict[str, Callable[[], str]] = {
    **{f"schemas/{kind}.json": partial(schema, kind) for kind in KINDS},
    "catalog.md": catalog_page,
}


# Charts of the documentation, and the commands that draw them.
CHARTS = {
    "images/attention-v3.svg": "compare attention --model v3 --gpu h100",
    "images/estimate-v3.svg": "estimate --model v3 --gpu h100",
}


def draw() -> None:
    """Draw every chart by its command."""
    from costcalc.cli import main as costcalc

    for name, command in CHARTS.items():
        path = DOCS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with redirect_stdout(io.StringIO()):
            costcalc([*command.split(), "--chart", str(path)])


def outdated() -> list[str]:
    """Return the generated files that differ from what the code says now."""
    return [name for name, make in GENERATED.items() if _content(DOCS / name) != make()]


def write() -> None:
    """Write every generated file."""
    for name, make in GENERATED.items():
        path = DOCS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(make(), encoding="utf-8")


def _content(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def main() -> int:
    """Write the files, or with --check name those that are out of date and return 1 if there are any."""
    if "--charts" in sys.argv[1:]:
        draw()
        return 0
    if "--check" not in sys.argv[1:]:
        write()
        return 0
    stale = outdated()
    for name in stale:
        print(f"docs/{name} is out of date: run python docs/generate.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
