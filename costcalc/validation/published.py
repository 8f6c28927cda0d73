"""What papers and benchmarks published, beside what costcalc says to the same question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Annotated, Any, Literal

from costcalc.catalog.catalog import Catalog
from costcalc.catalog.files import packaged_root
from costcalc.catalog.read import load_spec
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.fields import Limits, Spec
from costcalc.hardware.prices import Provenance

_AS_IT_IS = Limits(strict=True)
Value = Annotated[bool, _AS_IT_IS] | Annotated[int, _AS_IT_IS] | Annotated[float, _AS_IT_IS] | Annotated[str, _AS_IT_IS]
Finite = Annotated[float, Limits(gt=0, allow_inf_nan=False)]
Slug = Annotated[str, Limits(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$")]


class Publication(Spec):
    """A paper, report or benchmark."""

    paper: Slug  # what `costcalc validate --against` names
    title: str
    url: str


class Origin(Spec):
    """Where in a publication a figure stands."""

    of: str
    where: str
    provenance: Provenance


class PublishedCase(Spec):
    """A published figure, and the estimate that answers the same question."""

    id: Slug
    follows: Literal["exact", "measured", "modelled"]
    statement: str
    source: Origin
    model: str
    gpu: str
    set: dict[str, str] = field(default_factory=dict)  # catalog values changed, as by --set
    options: dict[str, Value] = field(default_factory=dict)  # of the estimate
    result: str  # dotted path in its tree
    over: str | None = None  # path that the result is divided by
    expected: Finite  # as published
    unit: str
    scale: Finite  # a published unit in the SI unit of the result
    note: str | None = None


class Published(Spec):
    """The published figures; one file, measurements/published.yaml."""

    sources: dict[str, Publication]
    cases: tuple[PublishedCase, ...]

    def __post_init__(self) -> None:
        seen = set()
        for case in self.cases:
            if case.source.of not in self.sources:
                hint = did_you_mean(case.source.of, self.sources) or "add it to sources"
                raise CostcalcError(f"{case.id} names the unknown source {case.source.of!r}", hint=hint)
            if case.id in seen:
                raise CostcalcError(f"the case {case.id} stands twice")
            seen.add(case.id)

    def papers(self) -> dict[str, list[PublishedCase]]:
        """The cases by the name of their publication."""
        found: dict[str, list[PublishedCase]] = {source.paper: [] for source in self.sources.values()}
        for case in self.cases:
            found[self.sources[case.source.of].paper].append(case)
        return found

    def of_paper(self, name: str) -> list[PublishedCase]:
        """The cases of one publication, or of 'all'; raises CostcalcError with the nearest name."""
        papers = self.papers()
        if name == "all":
            return list(self.cases)
        name = name if name in papers else _model_of(name)
        if name not in papers:
            hint = did_you_mean(name, papers) or f"one of: {', '.join(papers)}, all"
            raise CostcalcError(f"no figures of {shown(name)} are known", hint=hint)
        return papers[name]


@dataclass(frozen=True, slots=True)
class Compared:
    """A published figure and costcalc's, in the published unit."""

    id: str
    paper: str
    follows: str
    statement: str
    unit: str
    published: float
    predicted: float | None
    low: float | None
    high: float | None
    error: float | None  # predicted over published, less 1
    title: str  # of the publication
    where: str  # in it
    url: str
    provenance: str
    note: str
    failed: str = ""  # why there is no prediction

    def to_dict(self) -> dict[str, Any]:
        """The comparison as a plain dictionary."""
        return asdict(self)


Answer = Callable[[PublishedCase], Mapping[str, Any]]
"""Gives the tree of the estimate that a case asks for."""


@cache
def published_figures() -> Published:
    """Return the published figures that costcalc ships."""
    return load_spec(Published, packaged_root() / "measurements" / "published.yaml", "published")


def compare(cases: Sequence[PublishedCase], answer: Answer) -> list[Compared]:
    """Return published figures beside costcalc's; one that cannot be answered says why.

    cases: the figures. answer: gives the tree of the estimate that a case asks for.
    """
    return [_compared(case, answer) for case in cases]


def _model_of(name: str) -> str:
    """The catalog's name of a model whose paper an alias means: 'deepseek-v3' by 'v3'."""
    try:
        return Catalog().find("models", name).stem
    except CostcalcError:
        return name


def _compared(case: PublishedCase, answer: Answer) -> Compared:
    publication = published_figures().sources[case.source.of]
    predicted = low = high = None
    failed = ""
    try:
        tree = answer(case)
        predicted = _value(tree, case.result) / case.scale
        if case.over:
            predicted /= _value(tree, case.over)
        elif limits := _value_or_none(tree, f"{case.result}_range"):
            low, high = (each / case.scale for each in limits)
    except CostcalcError as error:
        failed = str(error)
    return Compared(
        id=case.id,
        paper=publication.paper,
        follows=case.follows,
        statement=case.statement,
        unit=case.unit,
        published=case.expected,
        predicted=predicted,
        low=low,
        high=high,
        error=None if predicted is None else predicted / case.expected - 1,
        title=publication.title,
        where=case.source.where,
        url=publication.url,
        provenance=case.source.provenance,
        note=case.note or "",
        failed=failed,
    )


def _value(tree: Mapping[str, Any], path: str) -> float:
    value = _value_or_none(tree, path)
    if value is None:
        raise CostcalcError(f"the estimate has no {path}")
    return float(value)


def _value_or_none(tree: Any, path: str) -> Any:
    """The value at a dotted path; an op of the breakdown is named by what it is: 'breakdown.LM head.bytes'."""
    for step in path.split("."):
        if isinstance(tree, list):
            tree = next((each for each in tree if each["op"] == step), None)
        else:
            tree = tree.get(step) if isinstance(tree, Mapping) else None
        if tree is None:
            return None
    return tree
