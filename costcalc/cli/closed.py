"""The part of `costcalc models` that is about models known by their list prices alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from costcalc.cli.catalogued import Written, matching, ordered

if TYPE_CHECKING:
    from costcalc.show.files import NewFile


def list_closed(written: Written, search: str | None, sort: str | None, *, reverse: bool, catalog: str | None) -> None:
    """Print the models that only have list prices, one line each.

    written, search, sort, reverse, catalog: the options as typed.
    Raises CostcalcError for options that cannot be read, and where nothing matches.
    """
    form = written.form()
    from costcalc.catalog.closed import list_closed_models
    from costcalc.explore.facts import ClosedFacts, closed_facts
    from costcalc.show.files import new_file
    from costcalc.show.listing import closed_models_page
    from costcalc.show.present import present_list

    with new_file(written.output, "--output") as file:
        facts = [closed_facts(entry.model) for entry in list_closed_models(catalog)]
        facts = matching(facts, lambda each: f"{each.id} {each.name} {each.provider}", search, "TEXT")
        found: list[ClosedFacts] = ordered(
            facts,
            {
                "name": lambda each: each.id,
                "provider": lambda each: each.provider,
                "context": lambda each: each.max_context,
                "price": lambda each: each.usd_per_million_output_tokens,
            },
            sort,
            reverse,
        )
        present_list([each.to_dict() for each in found], closed_models_page(found), form, file)


def show_closed(name: str, form: str, file: NewFile | None, catalog: str | None) -> bool:
    """Print all that is known of a model that only has list prices; return whether there is one.

    name: its name or an alias.
    form, file: the format, and the file to write or None for stdout.
    catalog: a folder to look at first.
    """
    from costcalc.catalog.closed import find_closed_model
    from costcalc.catalog.positions import place
    from costcalc.explore.facts import closed_facts
    from costcalc.show.modelcard import closed_model_page
    from costcalc.show.present import present_card

    entry = find_closed_model(name, catalog)
    if entry is None:
        return False
    facts = closed_facts(entry.model).to_dict()
    tree = {**facts, "spec": asdict(entry.model)}
    present_card(tree, facts, closed_model_page(entry.model, place(entry.path)), form, file)
    return True
