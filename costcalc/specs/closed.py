"""Models that only their makers serve: no weights, no shape, but a list price to compare with."""

from typing import Annotated

from costcalc.schema import Limits, Size, Spec
from costcalc.specs.model import ApiPrice


class ClosedModel(Spec):
    """A model known by its list prices alone."""

    name: str
    aliases: tuple[str, ...] = ()
    provider: str
    max_context: Size | None = None
    api_prices: Annotated[tuple[ApiPrice, ...], Limits(min_length=1)]
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Everything the model answers to, in lower case with hyphens for spaces."""
        return tuple(dict.fromkeys(name.lower().replace(" ", "-") for name in (self.name, *self.aliases)))


class ClosedModels(Spec):
    """The models of one file, which answer to different names."""

    models: Annotated[tuple[ClosedModel, ...], Limits(min_length=1)]

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for model in self.models:
            for name in model.names:
                if name in seen:
                    raise ValueError(f"{seen[name]!r} and {model.name!r} both answer to {name!r}")
                seen[name] = model.name

    def find(self, name: str) -> ClosedModel | None:
        """Return the model that answers to a name or an alias, or None."""
        wanted = name.strip().lower().replace(" ", "-").replace("_", "-")
        return next((model for model in self.models if wanted in model.names), None)
