"""The commands of costcalc, and what each is for; their files are imported when they are run."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from costcalc.cli.lazy import Command, Group, Table, as_text, lazy_group

COMMANDS: Table = {
    "estimate": Command("costcalc.cli.estimate:estimate", "What a deployment does and costs, and why."),
    "compare": Group(
        {
            "attention": Command("costcalc.cli.compare:attention", "One model with its attention replaced."),
            "models": Command("costcalc.cli.compare:models", "Several models on one kind of GPU."),
            "gpus": Command("costcalc.cli.compare:gpus", "One model on several kinds of GPU."),
        },
        "Attention variants, models or GPUs side by side.",
    ),
    "sweep": Command("costcalc.cli.sweep:sweep", "One question at many batches, contexts, prices or GPU counts."),
    "breakeven": Command("costcalc.cli.breakeven:breakeven", "How busy GPUs of your own must be to beat an API."),
    "models": Group(
        {
            "list": Command("costcalc.cli.models:list_models", "All of them, one line each."),
            "show": Command("costcalc.cli.models:show_model", "Everything known of one, with its sources."),
            "check": Command("costcalc.cli.models:check_models", "Check files, or the whole catalog."),
            "new": Command("costcalc.cli.models:new_model", "A commented file to start one of your own from."),
            "import": Command("costcalc.cli.models_import:import_model", "A model from a Hugging Face config.json."),
        },
        "The models of the catalog.",
        default="list",
    ),
    "gpus": Group(
        {
            "list": Command("costcalc.cli.gpus:list_gpus", "All of them, one line each."),
            "show": Command("costcalc.cli.gpus:show_gpu", "Everything known of one, with its sources and prices."),
            "check": Command("costcalc.cli.gpus:check_gpus", "Check files, or the whole catalog."),
            "new": Command("costcalc.cli.gpus:new_gpu", "A commented file to start one of your own from."),
        },
        "The accelerators of the catalog.",
        default="list",
    ),
    "validate": Command("costcalc.cli.validate:validate", "How far predictions are from measurements."),
    "calibrate": Command("costcalc.cli.calibrate:calibrate", "Fit the constants on measurements of your own."),
    "schema": Command("costcalc.cli.schema:schema", "JSON Schema of results, models and accelerators."),
}


def build() -> Any:
    """Return the whole command, ready to parse; what its commands need is not imported yet."""
    app = typer.Typer(
        name="costcalc",
        cls=lazy_group(COMMANDS),
        help="What a token costs on this hardware, how many users fit, and why.",
        epilog="Start with: costcalc estimate --model v3 --gpu h100",
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
