"""The commands about money: `costcalc breakeven`, `sensitivity` and `train`."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from typer import Option

from costcalc.cli.parameters import (
    CHART_KINDS,
    Brief,
    Given,
    Gpu,
    Model,
    Output,
    PayerGiven,
    Sources,
    WrittenInMoney,
    subject,
)
from costcalc.errors import CostcalcError
from costcalc.predict.options import LAYOUT, LOAD, MONEY, NUMBERS

# Self-host, or pay an API.

Against = Annotated[
    list[str] | None,
    Option("--against", metavar="NAME,...", rich_help_panel=MONEY,
           help="Whose prices to compare with, one or several: a model, open or closed, as in claude-3.5-sonnet; a "
                "provider of the model's own; all of these, the default; or $/M of your own, as in 0.27/1.10/0.07 for "
                "input, output and cached input."),
]  # fmt: skip
Tier = Annotated[
    str | None,
    Option("--tier", metavar="standard|batch", rich_help_panel=MONEY,
           help="List prices, or those of the batch tier, whose answers may take a day; default: standard."),
]  # fmt: skip
Discount = Annotated[
    str | None,
    Option("--discount", metavar="SHARE", rich_help_panel=MONEY,
           help="Off the prices compared with, as negotiated or for batches; default: 0."),
]  # fmt: skip
Sell = Annotated[
    str | None,
    Option("--sell", metavar="IN/OUT", rich_help_panel=MONEY,
           help="$/M that your own users pay, as in 0.6/2.2, or with a third for cached input: the margin, and the use "
                "from which nothing is lost."),
]  # fmt: skip
Margin = Annotated[
    str | None,
    Option("--margin", metavar="SHARE", rich_help_panel=MONEY,
           help="Share of what users pay that has to be left, as in 60%: the prices to ask."),
]  # fmt: skip


def breakeven(
    *,
    model: Model = None,
    gpu: Gpu = None,
    against: Against = None,
    tier: Tier = None,
    discount: Discount = None,
    sell: Sell = None,
    margin: Margin = None,
    given: Given,
    output: Output,
    sources: Sources,
) -> None:
    """How busy GPUs of your own must be to cost what APIs charge for the same tokens, and what to ask for yours."""
    given = output.with_tokens(given)
    with output.opened(CHART_KINDS["breakeven"]) as opened:
        (name, machine), catalog = subject(model, gpu), sources.opened()
        from costcalc.explore.money.breakeven import breakeven as answered

        listed = [each for part in against for each in part.split(",")] if against else None
        result = answered(
            name, machine, against=listed, tier=(tier or "standard").strip().lower(), discount=discount, sell=sell,
            margin=margin, catalog=catalog, **given,
        )  # fmt: skip

        opened.show(result)


# What moves a cost.

Vary = Annotated[
    list[str] | None,
    Option("--vary", metavar="INPUT=LOW:HIGH,...", rich_help_panel=MONEY,
           help="Ranges of your own, as in price=1.5:4,cached=0:0.9; an empty one (batch=) leaves an input out."),
]  # fmt: skip
Of = Annotated[
    str | None,
    Option("--of", metavar="blended|output|input", rich_help_panel=MONEY,
           help="Dollars per million of which tokens; default: blended."),
]  # fmt: skip


def sensitivity(
    *,
    model: Model = None,
    gpu: Gpu = None,
    vary: Vary = None,
    of: Of = None,
    given: Given,
    output: Output,
    sources: Sources,
) -> None:
    """What moves the cost most: each input over its range, the others as they are.

    Price, use, lengths, cached share, batch, the limit of TPOT and the range of the prediction itself.
    """
    given = output.with_tokens(given)
    with output.opened(CHART_KINDS["sensitivity"]) as opened:
        (name, machine), catalog = subject(model, gpu), sources.opened()
        from costcalc.explore.money.sensitivity import sensitivity as answered

        ranges = [each for part in vary or () for each in part.split(",")]
        result = answered(
            name, machine, of=(of or "blended").strip().lower(), vary=ranges or None, catalog=catalog, **given
        )

        opened.show(result)


# What training takes.


Tokens = Annotated[
    str | None, Option("--tokens", metavar="N", rich_help_panel=LOAD, help="Tokens to train on, as in 14.8T.")
]
Together = Annotated[
    str | None, Option("--gpus", metavar="N", rich_help_panel=LAYOUT, help="GPUs at work together, for the days.")
]
Mfu = Annotated[
    str | None,
    Option("--mfu", metavar="SHARE", rich_help_panel=NUMBERS,
           help="Share of the dense peak over all GPU-hours, as in 40%, or two as in 38%-43%; default: what published "
                "runs reached."),
]  # fmt: skip
Sequence = Annotated[
    str | None,
    Option("--sequence", metavar="TOKENS", rich_help_panel=LOAD,
           help="Length of the sequences, which attention spans; default: 4096."),
]  # fmt: skip
Products = Annotated[
    str | None,
    Option("--precision", metavar="bf16|fp8", rich_help_panel=NUMBERS,
           help="Precision of the products, whose dense peak counts; default: bf16."),
]  # fmt: skip


def train(
    *,
    model: Model = None,
    gpu: Gpu = None,
    tokens: Tokens = None,
    gpus: Together = None,
    sequence: Sequence = None,
    mfu: Mfu = None,
    precision: Products = None,
    paid: PayerGiven,
    brief: Brief = False,
    written: WrittenInMoney,
    sources: Sources,
) -> None:
    """FLOPs, GPU-hours, days and dollars of a training run, each with its range.

    FLOPs follow from the model's shape and the tokens, GPU-hours from the share of the peak that published runs
    reached.
    """
    with written.opened() as show:
        from costcalc.report.export.files import csv_rows, whole_page

        (name, machine), catalog = subject(model, gpu), sources.opened()
        if tokens is None:
            raise CostcalcError("--tokens is missing", hint="say how many, as in --tokens 15T")
        from costcalc.explore.money.train import train as trained

        result = trained(
            name, machine, tokens=tokens, gpus=gpus, mfu=mfu, sequence=sequence, precision=precision or "bf16",
            catalog=catalog, **paid,
        )  # fmt: skip
        page = partial(whole_page, result, depth="brief" if brief else "usual")
        show(page, result.to_dict, lambda: csv_rows(result))
