"""`costcalc models`: the models of the catalog."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from costcalc.cli.bundle import with_options
from costcalc.cli.catalogued import (
    CatalogFolder,
    Written,
    check_each,
    loaded,
    matching,
    names_given_twice,
    ordered,
    report,
    write_template,
)
from costcalc.cli.closed import list_closed, show_closed
from costcalc.cli.complete import model_names
from costcalc.errors import CostcalcError
from costcalc.readable import counted

if TYPE_CHECKING:
    from costcalc.explore.facts import ModelFacts

_SORTED_BY: "dict[str, Callable[[ModelFacts], Any]]" = {
    "name": lambda each: each.id,
    "total": lambda each: each.total_parameters,
    "active": lambda each: each.active_parameters,
    "layers": lambda each: each.layers,
    "kv": lambda each: (each.kv_bytes_per_token, each.fixed_bytes_per_sequence),
    "context": lambda each: each.max_context,
    "released": lambda each: each.released,
    "family": lambda each: each.family,
    "price": lambda each: each.usd_per_million_output_tokens,
}

Search = Annotated[str | None, Argument(metavar="[TEXT]", help="Only models with this in their id or name.")]
Family = Annotated[str | None, Option("--family", metavar="NAME", help="Only this family, such as qwen.")]
Attention = Annotated[
    str | None, Option("--attention", metavar="NAME", help="Only this attention, such as mla, gqa, gqa-8 or mamba.")
]
Sort = Annotated[str | None, Option("--sort", metavar="|".join(_SORTED_BY), help="The order; default: by name.")]
Closed = Annotated[bool, Option("--closed", help="Models without a known shape, which only have list prices.")]
Reverse = Annotated[bool, Option("--reverse", help="Largest or last first.")]
Name = Annotated[str, Argument(metavar="NAME", help="A model's name, alias or YAML file.", autocompletion=model_names)]
Paths = Annotated[list[str] | None, Argument(metavar="[FILE]...", help="YAML files; default: the whole catalog.")]
NewFile = Annotated[
    str | None, Option("--output", "-o", "--output-file", metavar="FILE", help="Write to this new YAML file.")
]


@with_options
def list_models(
    written: Written,
    search: Search = None,
    family: Family = None,
    attention: Attention = None,
    sort: Sort = None,
    reverse: Reverse = False,
    closed: Closed = False,
    catalog: CatalogFolder = None,
) -> None:
    """The models of the catalog, one line each."""
    if closed:
        if family is not None or attention is not None:
            where = "--attention" if family is None else "--family"
            raise CostcalcError("models that only have prices have no shape", where=where, hint="leave one out")
        list_closed(written, search, sort, reverse=reverse, catalog=catalog)
        return
    form = written.form()
    from costcalc.catalog.find import list_entries
    from costcalc.catalog.load import load_model
    from costcalc.explore.facts import model_facts
    from costcalc.show.files import new_file
    from costcalc.show.listing import models_page
    from costcalc.show.present import present_list

    with new_file(written.output, "--output") as file:
        entries = list_entries("models", catalog)
        facts = loaded(
            entries, lambda entry: model_facts(entry.name, load_model(entry.path, catalog=catalog), own=entry.own)
        )
        aliases = {entry.name: entry.aliases for entry in entries}
        found = ordered(_matching(facts, aliases, search, family, attention), _SORTED_BY, sort, reverse)
        present_list([each.to_dict() for each in found], models_page(found), form, file)


def _matching(
    facts: "list[ModelFacts]",
    aliases: Mapping[str, tuple[str, ...]],
    search: str | None,
    family: str | None,
    attention: str | None,
) -> "list[ModelFacts]":
    """Return the models of a list that the options name; raises CostcalcError where none is."""
    kinds = {kind for each in facts for kind in each.attention_kinds.split(", ")}
    facts = matching(facts, lambda each: " ".join((each.id, each.name, *aliases[each.id])), search, "TEXT")
    facts = matching(facts, lambda each: each.family, family, "--family")
    return matching(
        facts,
        lambda each: f"{each.attention}, {each.attention_kinds}",
        attention,
        "--attention",
        valid={*kinds, "mha", "gqa", "mqa", "mla", "window", "mamba2"},
    )


@with_options
def show_model(written: Written, name: Name, catalog: CatalogFolder = None) -> None:
    """Everything that the catalog knows of a model, with its sources."""
    form = written.form()
    from costcalc.catalog.find import find_path
    from costcalc.catalog.load import load_model
    from costcalc.catalog.positions import place
    from costcalc.explore.facts import model_facts
    from costcalc.show.files import new_file
    from costcalc.show.modelcard import model_page
    from costcalc.show.present import present_card

    with new_file(written.output, "--output") as file:
        try:
            path = find_path("models", name, catalog)
        except CostcalcError:
            if not show_closed(name, form, file, catalog):
                raise
            return
        model = load_model(name, catalog=catalog)
        facts = model_facts(path.stem, model)
        tree = {**facts.to_dict(), "spec": asdict(model)}
        present_card(tree, facts.to_dict(), model_page(path.stem, model, place(path)), form, file)


@with_options
def check_models(paths: Paths = None, catalog: CatalogFolder = None) -> None:
    """Check model files: keys, units, sources, and parameters counted from the shape against those published."""
    from costcalc.catalog.closed import closed_paths, load_closed_models
    from costcalc.catalog.find import CLOSED_MODELS, list_paths
    from costcalc.catalog.load import load_model
    from costcalc.explore.doubts import Doubt, doubts_of_model

    files = [Path(each) for each in paths or []] or [*list_paths("models", catalog), *closed_paths(catalog)]

    def doubts(path: Path) -> Iterator[Doubt]:
        if path.name == CLOSED_MODELS:
            load_closed_models(path, check=True)
        else:
            yield from doubts_of_model(load_model(path, catalog=catalog, check=True))

    problems = check_each(files, doubts)
    if not paths:
        problems += names_given_twice("models", catalog)
    lists = sum(path.name == CLOSED_MODELS for path in files)
    also = f" and {counted(lists, 'list')} of prices" if lists else ""
    report(problems, f"{counted(len(files) - lists, 'model file')}{also}: no problem")


@with_options
def new_model(output: NewFile = None) -> None:
    """A commented YAML file to start a model of your own from."""
    from costcalc.show.templates import MODEL

    write_template(MODEL, output)
