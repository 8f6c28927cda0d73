"""`costcalc schema`: the JSON Schema of results and of catalog files."""

from __future__ import annotations

from typing import Annotated

from typer import Argument

from costcalc.cli import parse

KINDS = (
    *("result", "sweep", "validation", "model", "gpu", "closed_models"),
    *("models-list", "models-show", "gpus-list", "gpus-show"),
)
What = Annotated[
    str,
    Argument(
        metavar="|".join(KINDS),
        help="What to describe: --format json of estimate, compare and breakeven (result), of sweep or of validate "
        "(validation), of a list or an entry of the catalog; or a YAML file of the catalog.",
    ),
]


def schema(what: What) -> None:
    """The JSON Schema of what --format json prints, or of a YAML file of the catalog."""
    kind = parse.choice(what, "WHAT", KINDS)
    from costcalc.report.export import as_json
    from costcalc.report.files import write
    from costcalc.report.schema import schema_of

    write(as_json(schema_of(str(kind))))
