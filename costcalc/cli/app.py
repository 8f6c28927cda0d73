"""The commands of costcalc, and what each is for; their files are imported when they are run."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from costcalc.cli.lazy import Command, Group, Table, as_text, lazy_group

START = (
    "costcalc estimate --model v3 --gpu h100   # cost, speed, users and why",
    "costcalc compare attention -m v3 -g h100  # MHA, GQA, MQA and MLA in dollars",
    "costcalc compare gpus h100 b200 -m v3     # which GPU is cheapest",
    "costcalc breakeven -m v3 -g h100          # your own GPUs, or an API",
    "costcalc models; costcalc gpus            # what may be named",
)
"""What a first-time user tries."""

COMMANDS: Table = {
    "estimate": Command(
        "costcalc.cli.estimate:estimate",
        "What a deployment does and costs, and why.",
        (
            "costcalc estimate --model v3 --gpu h100",
            "costcalc estimate -m llama-3.1-70b -g 8xh100 --weights fp8 --price spot",
            "costcalc estimate -m v3 -g h200 --context 100k --explain --chart step.svg",
        ),
    ),
    "compare": Group(
        {
            "attention": Command(
                "costcalc.cli.compare:attention",
                "One model with its attention replaced.",
                ("costcalc compare attention -m v3 -g h100 --contexts 4k,32k,128k --plot",),
            ),
            "models": Command(
                "costcalc.cli.compare:models",
                "Several models on one kind of GPU.",
                ("costcalc compare models qwen3-32b gpt-oss-120b -g 1xh200",),
            ),
            "gpus": Command(
                "costcalc.cli.compare:gpus",
                "One model on several kinds of GPU.",
                ("costcalc compare gpus h100 b200 8xmi300x --model gpt-oss-120b",),
            ),
        },
        "Attention variants, models or GPUs side by side.",
        examples=(
            "costcalc compare attention --model v3 --gpu h100",
            "costcalc compare models qwen3-32b gpt-oss-120b --gpu 1xh200",
            "costcalc compare gpus h100 b200 mi300x --model gpt-oss-120b",
        ),
    ),
    "sweep": Command(
        "costcalc.cli.sweep:sweep",
        "One question at many batches, contexts, prices or GPU counts.",
        (
            "costcalc sweep -m v3 -g h100 --batch 1,8,64 --context 4k,32k,128k",
            "costcalc sweep -m llama-3.1-8b -g 1xh100 --batch 1:256:x2 --chart batch.svg",
            "costcalc sweep -m v3 -g h200 --gpus 8,16,32 --price 2:4:0.5 -o prices.csv",
        ),
    ),
    "breakeven": Command(
        "costcalc.cli.breakeven:breakeven",
        "How busy GPUs of your own must be to beat an API.",
        (
            "costcalc breakeven --model v3 --gpu h100",
            "costcalc breakeven -m llama-3.1-70b -g 8xh100 --against claude-3.5-sonnet",
        ),
    ),
    "models": Group(
        {
            "list": Command("costcalc.cli.models:list_models", "All of them, one line each."),
            "show": Command(
                "costcalc.cli.models:show_model",
                "Everything known of one, with its sources.",
                ("costcalc models show v3",),
            ),
            "check": Command("costcalc.cli.models:check_models", "Check files, or the whole catalog."),
            "new": Command("costcalc.cli.models:new_model", "A commented file to start one of your own from."),
            "import": Command(
                "costcalc.cli.models_import:import_model",
                "A model from a Hugging Face config.json.",
                (
                    "costcalc models import ./my-model/config.json -o mine.yaml",
                    "costcalc models import Qwen/Qwen3-8B --online -o mine.yaml",
                    "costcalc estimate --model ./mine.yaml --gpu l40s",
                ),
            ),
        },
        "The models of the catalog.",
        default="list",
        examples=("costcalc models", "costcalc models show v3"),
    ),
    "gpus": Group(
        {
            "list": Command("costcalc.cli.gpus:list_gpus", "All of them, one line each."),
            "show": Command(
                "costcalc.cli.gpus:show_gpu",
                "Everything known of one, with its sources and prices.",
                ("costcalc gpus show h100",),
            ),
            "check": Command("costcalc.cli.gpus:check_gpus", "Check files, or the whole catalog."),
            "new": Command("costcalc.cli.gpus:new_gpu", "A commented file to start one of your own from."),
        },
        "The accelerators of the catalog.",
        default="list",
        examples=("costcalc gpus", "costcalc gpus show h100"),
    ),
    "validate": Command("costcalc.cli.validate:validate", "How far predictions are from measurements."),
    "calibrate": Command("costcalc.cli.calibrate:calibrate", "Fit the constants on measurements of your own."),
    "schema": Command(
        "costcalc.cli.schema:schema", "JSON Schemas of results and of the catalog's files.", ("costcalc schema result",)
    ),
}


def build() -> Any:
    """Return the whole command, ready to parse; what its commands need is not imported yet."""
    app = typer.Typer(
        name="costcalc",
        cls=lazy_group(COMMANDS, examples=START),
        help="What a token costs on this hardware, how many users fit, and why.",
        epilog="COMMAND --help says more of each; docs/cli.md has them all.",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        invoke_without_command=True,
    )
    app.callback()(_root)
    command: Any = typer.main.get_command(app)
    command.params = as_text(command.params)  # those that install completion come last
    return command


def _show_version(wanted: bool) -> None:
    if wanted:
        from costcalc import __version__

        typer.echo(f"costcalc {__version__}")
        raise typer.Exit


def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand is None and not version:
        typer.echo(context.get_help())
