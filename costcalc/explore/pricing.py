"""The price that each accelerator of a comparison is charged: of one kind, so that their ratios mean something."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from costcalc.explore.result import Estimate
from costcalc.readable import format_usd
from costcalc.specs.accelerator import Accelerator
from costcalc.specs.offers import BY_COMPARABILITY, kinds_priced
from costcalc.specs.prices import PriceChoice, PriceKind, ProviderPrice


class Basis(NamedTuple):
    """Accelerators with the prices to compare them at, and the kind of these prices; null where none is common."""

    kind: PriceKind | None
    gpus: list[Accelerator]


def on_one_basis(gpus: Sequence[Accelerator]) -> Basis | None:
    """Return accelerators whose default price is of the most comparable kind that all of them have.

    That is the figure of `costcalc.specs.offers.price_of_kind`: on demand where all have it, else reserved,
    marketplace, owned or spot. Without a kind in common each has its own most comparable one; an accelerator without
    any price keeps none, and the others are compared all the same. Null where a price was set by hand: it stands.

    gpus: the accelerators, each with its price list.
    """
    if any(gpu.price and gpu.price.source.startswith("--set") for gpu in gpus):
        return None
    known = [kinds_priced(gpu.price, gpu.prices) for gpu in gpus]
    priced = [kinds for kinds in known if kinds]
    kind = next((each for each in BY_COMPARABILITY if priced and all(each in kinds for kinds in priced)), None)
    pairs = zip(gpus, known, strict=True)
    return Basis(kind, [_at(gpu, gpu.price_for(kind or kinds[0])) if kinds else gpu for gpu, kinds in pairs])


def price_notes(answers: Iterable[Estimate], basis: Basis | None) -> list[str]:
    """Return what a reader has to know of the prices in a comparison: the offers, and where they differ in kind.

    answers: the rows.
    basis: what `on_one_basis` found, or None where the prices were asked for.
    """
    told = {each.deployment.gpu: each for each in answers if each.deployment.price_kind}
    kinds = {each.deployment.price_kind for each in told.values()}
    years = {(each.deployment.price_date or "")[:4] for each in told.values()}
    notes = [f"Per GPU-hour: {'; '.join(f'{gpu} {_offer(each)}' for gpu, each in told.items())}."] if told else []
    if basis is not None and basis.kind is not None and len(told) > 1:
        why = "" if basis.kind == "on-demand" else ", the most comparable kind that all of them have"
        notes.append(
            f"All at {basis.kind} prices{why}: the median over providers (docs/catalog.md). "
            "Each GPU's own default: --price default."
        )
    if basis is not None and basis.kind is None and told:
        notes.append("No kind of price is known of all of them: each is at the most comparable one that it has.")
    if len(kinds) > 1 or len(years) > 1:
        what = " and ".join([*(["kind"] if len(kinds) > 1 else []), *(["year"] if len(years) > 1 else [])])
        notes.append(f"Warning: the prices differ in {what}, so the ratios compare terms of payment as well as GPUs.")
    return notes


def _offer(answer: Estimate) -> str:
    machine = answer.deployment
    told = ", ".join(filter(None, (machine.price_kind, machine.price_provider, machine.price_date)))
    return f"{format_usd(machine.usd_per_gpu_hour)} ({told})"


def _at(gpu: Accelerator, choice: PriceChoice | None) -> Accelerator:
    """The accelerator with a choice of its prices as its default."""
    if choice is None or choice.kind is None or choice.source is None or choice.date is None:
        return gpu
    price = ProviderPrice(
        usd_per_gpu_hour=choice.usd_per_gpu_hour,
        kind=choice.kind,
        source=choice.source,
        date=choice.date,
        provenance=choice.provenance or "derived",
        provider=choice.provider or "its profile",
    )
    return replace(gpu, price=price)
