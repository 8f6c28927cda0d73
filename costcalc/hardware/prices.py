"""An accelerator's prices: per provider and kind, and which of them the words of `--price` mean."""

import re
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Annotated, Literal, get_args

from costcalc.errors import CostcalcError, nearest, shown
from costcalc.fields import Examples, Limits, Size, Spec, Usd, UsdPerHour, read_date
from costcalc.units import DOLLARS, format_price, parse_quantity

Provenance = Literal["seen", "recalled", "derived"]
"""How a fact got here: read in the named source, remembered from it, or computed from other facts."""

PriceKind = Literal["on-demand", "reserved", "spot", "owned", "marketplace"]
"""How an hour is paid: by the list, by contract, interruptible, as an owner, or from a private host."""

Date = Annotated[str, Limits(pattern=r"^\d{4}(-\d{2}){0,2}$"), Examples("2026-05-20", "2026-05", "2026")]
"""A day, a month or a year, as exactly as it is known."""

COMPUTED = "computed"
"""Stands for the provider of a price that is what owning costs."""

KINDS: tuple[str, ...] = get_args(PriceKind)

Seller = Literal["cloud", "hyperscaler", "study"]
"""Who names a price: a cloud that lets accelerators, one of the largest, or somebody who reports prices of others."""


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
    seller: Seller = "cloud"
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

    @property
    def computed(self) -> bool:
        """Whether it is what owning costs by its capital, rather than what somebody asks or reports."""
        return self.kind == "owned" and self.provider == COMPUTED

    @property
    def offer(self) -> str:
        """Kind, provider and date, as far as they are known: 'on-demand, Lambda, 2026-09-16'."""
        return ", ".join(filter(None, (self.kind, self.provider, self.date)))


class Capex(Spec):
    """What buying one accelerator costs."""

    usd: Usd
    whole: bool = False  # whether that is of the machine that it is in
    date: Date
    source: str
    provenance: Provenance = "seen"
    note: str | None = None


# Which of an accelerator's prices the words of `--price` mean, and what its default is.


BY_COMPARABILITY: tuple[PriceKind, ...] = ("on-demand", "reserved", "marketplace", "owned", "spot")
"""Kinds of price in the order in which a default, or the common basis of a comparison, is looked for."""

_SYNONYMS = {
    "ondemand": "on-demand",
    "list": "on-demand",
    "median": "on-demand",
    "marketmedian": "on-demand",
    "preemptible": "spot",
    "interruptible": "spot",
    "contract": "reserved",
    "committed": "reserved",
    "tco": "owned",
}
_MOST_LISTED = 12


def choose_price(words: str, default: Price | None, prices: Sequence[ProviderPrice], *, of: str) -> PriceChoice:
    """Return the price that `words` mean.

    A number ('2.00', '$2/h') is the price itself, and 'default' the accelerator's own. A kind alone ('spot') is
    the figure of `price_of_kind`. A provider ('lambda') is what it asks on demand, with a kind ('lambda spot')
    what it asks for that: the newest price, and of several of that date the lowest.

    Args:
        words: what was typed after `--price`.
        default: the price that the accelerator's profile names, if any [USD/h].
        prices: its price list [USD/h].
        of: the accelerator's name, for the message of an error.

    Raises:
        CostcalcError: nothing fits; the message names the words that do.
    """
    wanted = re.sub(r"\bon[ _]demand\b", "on-demand", words.strip().lower())
    if wanted and (wanted[0] in "$+-." or wanted[0].isdigit()):
        return PriceChoice(usd_per_gpu_hour=parse_quantity(words, "price_per_hour"))
    tokens = [word for word in re.split(r"[\s,]+", wanted) if word]
    if tokens == ["default"] and (own := default_price(default, prices)) is not None:
        return own
    if tokens == ["market"]:
        hint = "on-demand is the median of the market, marketplace what private hosts ask"
        raise CostcalcError(f"{shown(words.strip())} may mean two things", hint=hint)
    by_name = [price for price in prices if squashed(price.provider) == squashed(wanted)]
    kind = None if by_name else _kind(tokens)
    found = price_of_kind(kind, default, prices) if kind else _of_provider(tokens, by_name or prices, of)
    if found is None:
        raise _no_price(words, tokens, default, prices, of)
    return found


def means_owned(words: str | float | None) -> bool:
    """Return whether the words of a price mean that of an owner, whoever it may be.

    words: as typed.
    """
    return isinstance(words, str) and _kind(re.split(r"[\s,]+", words.strip().lower())) == "owned"


def default_price(default: Price | None, prices: Sequence[ProviderPrice]) -> PriceChoice | None:
    """Return the price taken where none is asked for: the profile's own, else the figure of its first kind.

    default: the price that the profile names [USD/h]. prices: its price list [USD/h].
    A spot price, which can end at any minute, is never a default.
    """
    if default is not None:
        return _chosen(default)
    figures = (price_of_kind(kind, None, prices) for kind in BY_COMPARABILITY if kind != "spot")
    return next((each for each in figures if each is not None), None)


def price_of_kind(kind: str, default: Price | None, prices: Sequence[ProviderPrice]) -> PriceChoice | None:
    """Return what a kind of price is on the whole: the median of what providers ask, or null without any.

    Prices of the newest year count, each provider once, by its lowest. On demand, hyperscalers and then studies
    count only where no other cloud lists a price. What a study derived from others never counts. Where no list is
    known, the profile's own price counts if it is of that kind.

    kind: 'on-demand', 'reserved', 'spot', 'owned' or 'marketplace'.
    default: the price that the profile names [USD/h]. prices: its price list [USD/h].
    """
    counted = lowest_of_each(_current(kind, prices))
    if not counted:
        return _chosen(default) if default is not None and default.kind == kind else None
    if len(counted) == 1:
        return _chosen(counted[0])
    listed = ", ".join(
        f"{each.provider} {format_price(each.usd_per_gpu_hour, DOLLARS)}" for each in counted[:_MOST_LISTED]
    )
    more = f" and {len(counted) - _MOST_LISTED} more" if len(counted) > _MOST_LISTED else ""
    return PriceChoice(
        usd_per_gpu_hour=median(each.usd_per_gpu_hour for each in counted),
        kind=counted[0].kind,
        provider=f"median of {len(counted)} providers",
        source=listed + more,
        date=max(each.date for each in counted),
        provenance="derived",
        matches=len(counted),
    )


def range_of_kind(kind: str, prices: Sequence[ProviderPrice]) -> tuple[float, float] | None:
    """Return the lowest and the highest price that the figure of a kind is the median of, or null of fewer than two.

    kind: 'on-demand', 'reserved', 'spot', 'owned' or 'marketplace'. prices: the price list [USD/h].
    """
    counted = [each.usd_per_gpu_hour for each in lowest_of_each(_current(kind, prices))]
    return (counted[0], counted[-1]) if len(counted) > 1 else None


NEWEST = "2026-09-22"
"""Date of the newest price that the catalog lists: prices are old beside it, whatever the day they are read on."""
OLD_MONTHS = 6
"""A price is told to be old from more than so many months on."""


def age_in_months(date: str) -> int:
    """Return how many months a price is older than the catalog's newest; of a year alone, its last month counts.

    date: of the price.
    """
    (year, month, _), (newest, now, _) = read_date(date) or (9999, None, None), read_date(NEWEST) or (0, None, None)
    return max(0, 12 * (newest - year) + (now or 12) - (month or 12))


def kinds_priced(default: Price | None, prices: Sequence[ProviderPrice]) -> list[PriceKind]:
    """Return the kinds of price that are known, the most comparable first.

    default: the price that the profile names [USD/h]. prices: its price list [USD/h].
    """
    return [kind for kind in BY_COMPARABILITY if price_of_kind(kind, default, prices) is not None]


def lowest_of_each(prices: Iterable[ProviderPrice]) -> list[ProviderPrice]:
    """Return the lowest price of each provider, cheapest first.

    prices: the prices.
    """
    lowest: dict[str, ProviderPrice] = {}
    for price in sorted(prices, key=lambda each: each.usd_per_gpu_hour):
        lowest.setdefault(price.provider, price)
    return list(lowest.values())


def _current(kind: str, prices: Sequence[ProviderPrice]) -> list[ProviderPrice]:
    """Prices of a kind that count: of the first sellers that list any, and of the newest year."""
    found = [each for each in prices if each.kind == kind and (each.seller, each.provenance) != ("study", "derived")]
    if kind == "on-demand":
        by_seller = ([price for price in found if price.seller == each] for each in ("cloud", "hyperscaler", "study"))
        found = next(filter(None, by_seller), [])
    year = max((price.date[:4] for price in found), default="")
    return [price for price in found if price.date[:4] == year]


def _of_provider(tokens: Sequence[str], prices: Sequence[ProviderPrice], of: str) -> PriceChoice | None:
    kinds = {_SYNONYMS.get(squashed(word), word) for word in tokens} & set(KINDS)
    names = [word for word in tokens if _SYNONYMS.get(squashed(word), word) not in KINDS]
    named = [price for price in prices if len(kinds) < 2 and names and all(_fits(word, price) for word in names)]
    named = [price for price in named if not kinds or price.kind in kinds]
    offered = [kind for kind in BY_COMPARABILITY if any(price.kind == kind for price in named)]
    if not offered:
        return None
    firm = [kind for kind in offered if kind != "spot" or kinds]
    if "on-demand" not in offered and len(firm) != 1:
        name = " ".join(names)
        listed = " and ".join(offered)
        hint = " or ".join(f"'{name} {kind}'" for kind in offered)
        raise CostcalcError(f"{named[0].provider} lists {of} as {listed} only", hint=f"type {hint}")
    best = max(
        (price for price in named if price.kind == firm[0]),
        key=lambda price: (price.date.ljust(10, "-"), -price.usd_per_gpu_hour),
    )
    return _chosen(best, len([price for price in named if price.kind == best.kind]))


def _kind(tokens: Sequence[str]) -> str | None:
    """The kind that words mean when they name nothing else."""
    kinds = {_SYNONYMS.get("".join(map(squashed, tokens)), ""), *(_SYNONYMS.get(squashed(t), t) for t in tokens)}
    kinds -= {"", "market"}
    return kinds.pop() if len(kinds) == 1 and kinds <= set(KINDS) else None


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


def squashed(text: str) -> str:
    """Return what tells names of providers apart: letters and digits, whatever their case."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _fits(word: str, price: ProviderPrice) -> bool:
    return squashed(word) in {squashed(price.provider), *_provider_words(price.provider)}


def _provider_words(provider: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", provider.lower()) if word]


def _no_price(
    words: str, tokens: list[str], default: Price | None, prices: Sequence[ProviderPrice], of: str
) -> CostcalcError:
    kinds = [kind for kind in KINDS if price_of_kind(kind, default, prices) is not None]
    sellers = [price for price in prices if not price.provider.startswith("market ")]
    providers = list(dict.fromkeys(_provider_words(price.provider)[0] for price in sellers))
    valid = ([] if default_price(default, prices) is None else ["default"]) + kinds + providers
    known = {*KINDS, *_SYNONYMS}
    unknown = [word for word in tokens if word not in known and not any(_fits(word, price) for price in prices)]
    near = nearest(unknown[0], [*valid, *KINDS]) if unknown else None
    message = f"no price of {of} fits {shown(words.strip())}"
    if near in valid:
        return CostcalcError(message, hint=f"did you mean {near!r}?")
    if not valid:
        return CostcalcError(f"{message}: none is known", hint="type a number, such as --price 2.00")
    return CostcalcError(message, hint=f"type a number ('2.00') or one of: {', '.join(valid)}")
