"""Prices of an accelerator, and which of them the words of `--price` mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from costcalc.errors import CostcalcError, nearest, shown
from costcalc.schema import Examples, Limits, Size, Spec
from costcalc.specs.quantities import Usd, UsdPerHour
from costcalc.units import parse_quantity

Provenance = Literal["seen", "recalled", "derived"]
"""How a fact got here: read in the named source, remembered from it, or computed from other facts."""

PriceKind = Literal["on-demand", "reserved", "spot", "owned", "marketplace"]
"""How an hour is paid: by the list, by contract, interruptible, as an owner, or from a private host."""

Date = Annotated[str, Limits(pattern=r"^\d{4}(-\d{2}){0,2}$"), Examples("2026-05-20", "2026-05", "2026")]
"""A day, a month or a year, as exactly as it is known."""

_KINDS: tuple[str, ...] = get_args(PriceKind)
_SYNONYMS = {
    "ondemand": "on-demand",
    "list": "on-demand",
    "preemptible": "spot",
    "interruptible": "spot",
    "contract": "reserved",
    "committed": "reserved",
    "tco": "owned",
    "market": "marketplace",
}


class Price(Spec):
    """What one accelerator costs for an hour."""

    usd_per_gpu_hour: UsdPerHour
    kind: PriceKind
    source: str
    date: Date
    provenance: Provenance = "seen"
    note: str | None = None


class ProviderPrice(Price):
    """A price that one provider asks, or one study finds."""

    provider: str
    instance_gpus: Size | None = None  # accelerators of the instance that was priced


class PriceChoice(Spec):
    """A price with what it was chosen by; `provider` and `source` are null where it was typed."""

    usd_per_gpu_hour: UsdPerHour
    kind: PriceKind | None = None
    provider: str | None = None
    source: str | None = None
    date: Date | None = None
    provenance: Provenance | None = None
    matches: int = 1  # prices that the words fitted, this one included


class Capex(Spec):
    """What buying one accelerator costs."""

    usd: Usd
    date: Date
    source: str
    provenance: Provenance = "seen"
    note: str | None = None


def choose_price(words: str, default: Price | None, prices: Sequence[ProviderPrice], *, of: str) -> PriceChoice:
    """Return the price that `words` mean.

    A number ('2.00', '$2/h') is the price itself and 'default' the accelerator's own. Other words name a
    kind or a provider and all have to fit; of several that do, the newest date wins, then the lowest
    price. A date known to the year only counts as older than any day of that year.

    Args:
        words: what was typed after `--price`.
        default: the accelerator's default price [USD/h].
        prices: the accelerator's price list [USD/h].
        of: the accelerator's name, for the message of an error.

    Raises:
        CostcalcError: nothing fits; the message names the words that do.
    """
    wanted = re.sub(r"\bon[ _]demand\b", "on-demand", words.strip().lower())
    if wanted and (wanted[0] in "$+-." or wanted[0].isdigit()):
        return PriceChoice(usd_per_gpu_hour=parse_quantity(words, "price_per_hour"))
    tokens = [word for word in re.split(r"[\s,]+", wanted) if word]
    if tokens == ["default"] and default is not None:
        return _chosen(default)
    fitting = [price for price in prices if tokens and all(_fits(word, price) for word in tokens)]
    if not fitting:
        raise _no_price(words, tokens, default, prices, of)
    best = max(fitting, key=lambda price: (price.date.ljust(10, "-"), -price.usd_per_gpu_hour))
    return _chosen(best, len(fitting))


def _chosen(price: Price, matches: int = 1) -> PriceChoice:
    return PriceChoice(
        usd_per_gpu_hour=price.usd_per_gpu_hour,
        kind=price.kind,
        provider=price.provider if isinstance(price, ProviderPrice) else None,
        source=price.source,
        date=price.date,
        provenance=price.provenance,
        matches=matches,
    )


def _squashed(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _fits(word: str, price: ProviderPrice) -> bool:
    kind = _SYNONYMS.get(_squashed(word), word)
    if kind in _KINDS:
        return price.kind == kind
    return _squashed(word) in {_squashed(price.provider), *_provider_words(price.provider)}


def _provider_words(provider: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", provider.lower()) if word]


def _no_price(
    words: str, tokens: list[str], default: Price | None, prices: Sequence[ProviderPrice], of: str
) -> CostcalcError:
    kinds = [kind for kind in _KINDS if any(price.kind == kind for price in prices)]
    providers = list(dict.fromkeys(_provider_words(price.provider)[0] for price in prices))
    valid = ([] if default is None else ["default"]) + kinds + providers
    unknown = [word for word in tokens if not any(_fits(word, price) for price in prices)]
    near = nearest(unknown[0], valid) if unknown else None
    message = f"no price of {of} fits {shown(words.strip())}"
    if near:
        return CostcalcError(message, hint=f"did you mean {near!r}?")
    return CostcalcError(message, hint=f"type a number ('2.00') or one of: {', '.join(valid)}")
