"""`costcalc models import`: a Hugging Face config.json turned into a model of the catalog."""

import sys
from typing import Annotated

from typer import Argument, Option

from costcalc.cli.bundle import with_options
from costcalc.cli.catalogued import write_template

Source = Annotated[
    str,
    Argument(
        metavar="PATH|HF_ID",
        help="A config.json, a folder that holds one, a hub id such as Qwen/Qwen3-8B, or - for stdin.",
    ),
]
Name = Annotated[str | None, Option("--name", metavar="NAME", help="The model's name; default: its file's or id's.")]
Online = Annotated[
    bool,
    Option("--online", help="Fetch what the local cache of the hub lacks, from HF_ENDPOINT where it is set."),
]
NewFile = Annotated[
    str | None,
    Option("--output", "-o", "--output-file", metavar="FILE", help="Write to this new YAML file."),
]


@with_options
def import_model(path: Source, name: Name = None, online: Online = False, output: NewFile = None) -> None:
    """Turn a Hugging Face config.json into a model file, which --model takes.

    What the configuration cannot say stands in the file's notes. An architecture that is not known is refused.
    """
    from costcalc.catalog.huggingface import import_model as read
    from costcalc.readable import format_count

    imported = read(path, name=name, online=online)
    write_template(imported.text, output)
    if output is not None:
        spec = imported.spec
        counted = f"{format_count(spec.total_parameters)} parameters, {format_count(spec.active_parameters)} active"
        sys.stdout.write(f"{output}: {spec.name}, {spec.num_layers} layers, {counted}\n")
