"""`costcalc models` and `costcalc gpus`: list, show, check, new, import, made by one factory for both."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer import Argument, Option

from costcalc.cli.parameters import (
    CatalogFolder,
    NewYaml,
    OwnerGiven,
    Sources,
    WrittenInMoney,
    choice,
    gpu_names,
    model_names,
)
from costcalc.errors import LONGEST_NAME, CostcalcError, did_you_mean, escaped, shown, tell
from costcalc.fields import Record
from costcalc.units import counted

if TYPE_CHECKING:
    from costcalc.catalog.catalog import Catalog
    from costcalc.catalog.files import CatalogEntry
    from costcalc.catalog.files import Kind as FolderKind
    from costcalc.catalog.summary import Finding
    from costcalc.report.page import Block


Facts = TypeVar("Facts")
Command = Callable[..., None]
Value = Callable[[Any], Any]
"""A field of an entry's summary."""
BAD_INPUT = 2
MOST_VALUES = 1500


class Tools(Record):
    """Functions that read and show entries of a kind, which commands import when they run."""

    load: Callable[[Catalog, str | Path], Any]
    summary: Callable[..., Any]
    page: Callable[[str, Any, str], list[Block]]
    list_page: Callable[[Sequence[Any]], list[Block]]
    findings: Callable[[Any], Iterable[Finding]]


class Kind(Record):
    """What differs between the commands of models and those of GPUs."""

    folder: FolderKind
    noun: str  # 'a model'
    nouns: str
    checked: str  # what its check looks at
    shown: str  # what is shown of one besides its sources
    names: Callable[[str], list[str]]  # for shells to complete
    filters: type[Record]  # options of its list
    filtered_by: Mapping[str, Value]  # by the fields of `filters`
    sorted_by: Mapping[str, Value]  # by the names that --sort takes


class ModelFilters(Record):
    """Which models are listed."""

    family: Annotated[str | None, Option("--family", metavar="NAME", help="Only this family, such as qwen.")] = None
    attention: Annotated[
        str | None, Option("--attention", metavar="NAME", help="Only this attention, such as mla, gqa, gqa-8 or mamba.")
    ] = None
    closed: Annotated[bool, Option("--closed", help="Models without a known shape, which only have list prices.")] = (
        False
    )


class GpuFilters(Record):
    """Which accelerators are listed."""

    vendor: Annotated[str | None, Option("--vendor", metavar="NAME", help="Only this vendor, such as amd.")] = None
    architecture: Annotated[
        str | None, Option("--architecture", metavar="NAME", help="Only this architecture, such as hopper.")
    ] = None


MODELS = Kind(
    folder="models",
    noun="a model",
    nouns="models",
    checked="keys, units, sources, and parameters counted from the shape against those published",
    shown="",
    names=model_names,
    filters=ModelFilters,
    filtered_by={
        "family": attrgetter("family"),
        "attention": lambda each: f"{each.attention}, {each.attention_kinds}",
    },
    sorted_by={
        "name": attrgetter("id"),
        "total": attrgetter("total_parameters"),
        "active": attrgetter("active_parameters"),
        "layers": attrgetter("layers"),
        "kv": attrgetter("kv_bytes_per_token", "fixed_bytes_per_sequence"),
        "context": attrgetter("max_context"),
        "released": attrgetter("released"),
        "family": attrgetter("family"),
        "price": attrgetter("usd_per_million_output_tokens"),
    },
)
GPUS = Kind(
    folder="hardware_profiles",
    noun="an accelerator",
    nouns="accelerators",
    checked="keys, units, and a source for every fact",
    shown=" and prices",
    names=gpu_names,
    filters=GpuFilters,
    filtered_by={"vendor": attrgetter("vendor"), "architecture": attrgetter("architecture")},
    sorted_by={
        "name": attrgetter("id"),
        "memory": attrgetter("memory_bytes"),
        "bandwidth": attrgetter("memory_bandwidth"),
        "bf16": lambda each: each.bf16 or each.fp16,
        "fp8": attrgetter("fp8"),
        "power": attrgetter("power_w"),
        "price": attrgetter("usd_per_gpu_hour"),
        "released": attrgetter("released"),
        "vendor": attrgetter("vendor"),
    },
)
CLOSED_SORTED_BY: Mapping[str, Value] = {
    "name": attrgetter("id"),
    "provider": attrgetter("provider"),
    "context": attrgetter("max_context"),
    "price": attrgetter("usd_per_million_output_tokens"),
}


def _tools(kind: Kind) -> Tools:
    from costcalc.catalog import summary
    from costcalc.catalog.catalog import Catalog
    from costcalc.report import catalog as pages

    if kind is MODELS:
        found = summary.model_summaries, pages.model_page, pages.models_page, summary.findings_of_model
        return Tools(Catalog.model, *found)
    return Tools(Catalog.gpu, summary.gpu_summaries, pages.gpu_page, pages.gpus_page, summary.findings_of_gpu)


# The factory: the commands that both kinds have.


def _command(function: Command, told: str, **types: Any) -> Command:
    """A command of a function whose parameters have these types, and of what its help says."""
    function.__doc__, function.__annotations__ = told, types
    return function


def list_command(kind: Kind) -> Command:
    """Return the command that lists entries, one line each."""

    def listed(
        *,
        written: WrittenInMoney,
        filters: Any,
        search: str | None = None,
        sort: str | None = None,
        reverse: bool = False,
        folder: CatalogFolder,
    ) -> None:
        closed = getattr(filters, "closed", False)
        if closed and (given := [f"--{name}" for name in kind.filtered_by if getattr(filters, name) is not None]):
            raise CostcalcError("models that only have prices have no shape", where=given[0], hint="leave one out")
        with written.opened() as show:
            catalog = folder.opened()
            named, page = _closed(catalog) if closed else _entries(kind, catalog)
            text_of = {id(facts): text for facts, text in named}
            found = matching([facts for facts, _ in named], lambda each: text_of[id(each)], search, "TEXT")
            for name, value in () if closed else kind.filtered_by.items():
                found = matching(found, value, getattr(filters, name), f"--{name}")
            found = ordered(found, CLOSED_SORTED_BY if closed else kind.sorted_by, sort, reverse)
            show(lambda: page(found), lambda: [each.to_dict() for each in found])

    sorts, words = "|".join(kind.sorted_by), f"names, {' or '.join(kind.filtered_by)}"
    return _command(
        listed,
        f"The {kind.nouns} of the catalog, one line each.",
        written=WrittenInMoney,
        filters=kind.filters,
        folder=CatalogFolder,
        search=Annotated[str | None, Argument(metavar="[TEXT]", help=f"Only {kind.nouns} with this in their {words}.")],
        sort=Annotated[str | None, Option("--sort", metavar=sorts, help="The order; default: by name.")],
        reverse=Annotated[bool, Option("--reverse", help="Largest or last first.")],
    )


def show_command(kind: Kind) -> Command:
    """Return the command that shows all that is known of an entry."""

    def show(*, written: WrittenInMoney, name: str, folder: CatalogFolder) -> None:
        with written.opened() as shows:
            from costcalc.catalog.check import place

            catalog = folder.opened()
            try:
                path = catalog.find(kind.folder, name)
            except CostcalcError:
                if kind is not MODELS or not _show_closed(name, shows, catalog):
                    raise
                return
            tools = _tools(kind)
            spec = tools.load(catalog, name)
            facts = tools.summary(path.stem, spec).to_dict()
            _show_card(shows, facts, spec, lambda: tools.page(path.stem, spec, place(path)))

    known = f"{kind.noun[0].upper()}{kind.noun[1:]}'s name, alias or YAML file."
    return _command(
        show,
        f"Everything that the catalog knows of {kind.noun}, with its sources{kind.shown}.",
        written=WrittenInMoney,
        folder=CatalogFolder,
        name=Annotated[str, Argument(metavar="NAME", help=known, autocompletion=kind.names)],
    )


def check_command(kind: Kind) -> Command:
    """Return the command that checks files, or the whole catalog."""
    noun = kind.nouns.removesuffix("s")

    def check(*, paths: list[str] | None = None, folder: CatalogFolder) -> None:
        from costcalc.catalog.catalog import load_closed_models
        from costcalc.catalog.check import Positions, place
        from costcalc.catalog.files import CLOSED_MODELS
        from costcalc.catalog.yaml import load_yaml

        catalog = folder.opened()
        files = [Path(each) for each in paths or []] or catalog.paths(kind.folder)
        files += catalog.closed_paths() if kind is MODELS and not paths else []
        tools, problems = _tools(kind), list[str]()
        for path in files:
            try:
                if path.name == CLOSED_MODELS:
                    load_closed_models(path)
                    continue
                found = list(tools.findings(tools.load(catalog, path)))
                positions = load_yaml(path)[1] if found else Positions()
                for doubt in found:
                    where = place(path, positions.of_value(doubt.path) if doubt.path else None)
                    problems.append(f"{where}: {doubt.text}")
            except CostcalcError as error:
                problems += map(str, error.each)
        problems += [] if paths else names_given_twice(kind, catalog)
        for problem in problems:
            tell(f"error: {problem}")
        if problems:
            raise typer.Exit(BAD_INPUT)
        lists = sum(path.name == CLOSED_MODELS for path in files)
        also = f" and {counted(lists, 'list')} of prices" if lists else ""
        typer.echo(f"{counted(len(files) - lists, f'{noun} file')}{also}: no problem")

    return _command(
        check,
        f"Check {noun} files: {kind.checked}.",
        folder=CatalogFolder,
        paths=Annotated[
            list[str] | None, Argument(metavar="[FILE]...", help="YAML files; default: the whole catalog.")
        ],
    )


NewAttention = Annotated[
    str | None,
    Option(
        "--attention", metavar="KIND", help="With layers of this kind, such as latent, kda or mamba2; default: grouped."
    ),
]


def new_command(kind: Kind) -> Command:
    """Return the command that prints a commented file to start from."""

    def new(output: str | None = None) -> None:
        from costcalc.report.catalog import template

        write_template(template("gpu"), output)

    def new_with(output: str | None = None, attention: str | None = None) -> None:
        from costcalc.catalog.catalog import Catalog
        from costcalc.report.catalog import template, template_with

        write_template(template("model") if attention is None else template_with(attention, Catalog()), output)

    told = f"A commented YAML file to start {kind.noun} of your own from."
    return (
        _command(new, told, output=NewYaml)
        if kind is GPUS
        else _command(new_with, told, output=NewYaml, attention=NewAttention)
    )


def _entries(kind: Kind, catalog: Catalog) -> tuple[list[tuple[Any, str]], Callable[[Sequence[Any]], list[Block]]]:
    """What a catalog has of a kind, each with the text that a search looks in, and the page of a list of them."""
    from costcalc.catalog.summary import loaded

    tools = _tools(kind)

    def named(entry: CatalogEntry) -> tuple[Any, str]:
        facts = tools.summary(entry.name, tools.load(catalog, entry.path), own=entry.own)
        about = (value(facts) or "" for value in kind.filtered_by.values())
        return facts, " ".join((facts.id, facts.name, *entry.aliases, *about))

    return loaded(catalog.entries(kind.folder), named), tools.list_page


def matching(facts: Sequence[Facts], value_of: Value, text: str | None, option: str) -> list[Facts]:
    """Return the entries of which a field contains a text, upper and lower case alike, or all where it is None.

    option: named in errors, which list the values of the field, if need be by the parts that commas divide.
    Raises CostcalcError when none does.
    """
    if text is None:
        return list(facts)
    wanted = text.strip().casefold()
    found = [each for each in facts if wanted in (value_of(each) or "").casefold()]
    if not wanted or not found:
        values = sorted({part for each in facts for part in (value_of(each) or "").split(", ") if part})
        hint = did_you_mean(wanted, values, 0.5)
        if hint is None and option.startswith("--"):
            hint = f"one of: {', '.join(values)}" if len(", ".join(values)) < MOST_VALUES else None
        raise CostcalcError(f"nothing matches {shown(text)}", where=option, hint=hint)
    return found


def ordered(facts: list[Facts], keys: Mapping[str, Value], text: str | None, reverse: bool) -> list[Facts]:
    """Return entries sorted by one of the fields that --sort takes, or as they are where `text` is None.

    Those without a value stand last. Raises CostcalcError for an unknown field.
    """
    name = choice(text, "--sort", keys)
    if name is None:
        return facts[::-1] if reverse else facts
    value = keys[name]

    def place(each: Facts) -> Any:
        found = value(each)
        # A year without a month stands in the middle of it.
        return f"{found}-06~" if name == "released" and len(found) == 4 else found

    known = sorted((each for each in facts if value(each) is not None), key=place, reverse=reverse)
    return known + [each for each in facts if value(each) is None]


def names_given_twice(kind: Kind, catalog: Catalog) -> list[str]:
    """Return the names of the catalog that two files answer to, each in a line."""
    from costcalc.catalog.files import read_aliases
    from costcalc.catalog.names import normal_name

    owners: dict[str, str] = {}
    problems: list[str] = []
    # What is shipped comes first: whoever takes one of its names is to be told.
    for entry in sorted(catalog.entries(kind.folder), key=lambda each: each.own):
        for name in dict.fromkeys(normal_name(each) for each in (entry.name, *read_aliases(entry.path))):
            other = owners.setdefault(name, entry.name)
            if other != entry.name:
                shadow = f", and means {entry.name} while this file is in the catalog" if entry.own else ""
                problems.append(f"{entry.path}: the name {shown(name)} belongs to {other} too{shadow}")
    return problems


def write_template(text: str, output: str | None) -> None:
    """Print a template, or write it to a file that does not exist yet.

    Raises CostcalcError for a file that exists or cannot be written.
    """
    from costcalc.report.export.files import new_file, write

    if output is not None and os.path.lexists(output):
        raise CostcalcError(f"{shown(output)} exists already", where="--output", hint="name a new file")
    if output is not None and Path(output).suffix.lower() not in (".yaml", ".yml"):
        raise CostcalcError(f"{shown(output)} has an unknown ending", where="--output", hint="end it in .yaml")
    with new_file(output, "--output") as file:
        write(text, file)


# Models known by their list prices alone.


def _closed(catalog: Catalog) -> tuple[list[tuple[Any, str]], Callable[[Sequence[Any]], list[Block]]]:
    from costcalc.catalog.summary import closed_summaries
    from costcalc.report.catalog import closed_models_page

    facts = [closed_summaries(entry.model) for entry in catalog.closed_models()]
    return [(each, f"{each.id} {each.name} {each.provider}") for each in facts], closed_models_page


def _show_closed(name: str, shows: Callable[..., None], catalog: Catalog) -> bool:
    """Print all that is known of a model that only has list prices; return whether there is one."""
    from costcalc.catalog.check import place
    from costcalc.catalog.summary import closed_summaries
    from costcalc.report.catalog import closed_model_page

    entry = catalog.closed_entry(name)
    if entry is None:
        return False
    facts = closed_summaries(entry.model).to_dict()
    _show_card(shows, facts, entry.model, lambda: closed_model_page(entry.model, place(entry.path)))
    return True


def _show_card(shows: Callable[..., None], facts: dict[str, Any], spec: Any, page: Callable[[], list[Block]]) -> None:
    """Show one entry of the catalog."""
    shows(page, lambda: {**facts, "spec": asdict(spec)}, lambda: [facts])


list_models, show_model = list_command(MODELS), show_command(MODELS)
check_models, new_model = check_command(MODELS), new_command(MODELS)
list_gpus, show_gpu = list_command(GPUS), show_command(GPUS)
check_gpus, new_gpu = check_command(GPUS), new_command(GPUS)


GpuName = Annotated[str, Argument(metavar="NAME", help="A GPU's name, alias or YAML file.", autocompletion=gpu_names)]


def own_gpu(name: GpuName, given: OwnerGiven, written: WrittenInMoney, folder: Sources) -> None:
    """What owning an accelerator costs an hour, around the clock: each part, and the terms with their sources.

    Terms that are typed take the place of defaults, which stand in hardware_profiles/efficiency/owning.yaml.
    """
    with written.opened() as show:
        from costcalc.hardware.owning import not_known, owned
        from costcalc.predict.options import Options
        from costcalc.predict.results import plain_tree
        from costcalc.predict.scenario import owner_of
        from costcalc.report.export.files import flattened
        from costcalc.report.owning import owning_page

        catalog, options = folder.opened(), Options(**given)
        gpu, owning = catalog.gpu(name), catalog.owning()
        cost = owned(gpu, owner_of(options, owning))
        if cost is None:
            raise not_known(gpu)
        whole = {"gpu": gpu.name, "utilization": options.utilization, **plain_tree(cost)}
        page = partial(owning_page, gpu, cost, owning, options.utilization)
        show(page, lambda: whole, lambda: [dict(flattened(whole))])


# `costcalc models import`: a Hugging Face config.json turned into a model of the catalog.


Source = Annotated[
    str,
    Argument(
        metavar="PATH|HF_ID",
        help="A config.json, a folder that holds one, a hub id such as Qwen/Qwen3-8B, or - for stdin.",
    ),
]
ImportedName = Annotated[
    str | None, Option("--name", metavar="NAME", help="The model's name; default: its file's or id's.")
]
Online = Annotated[
    bool,
    Option("--online", help="Fetch what the local cache of the hub lacks, from HF_ENDPOINT (https) where it is set."),
]


def import_model(path: Source, name: ImportedName = None, online: Online = False, output: NewYaml = None) -> None:
    """Turn a Hugging Face config.json into a model file, which --model takes.

    What the configuration cannot say stands in the file's notes. An architecture that is not known is refused.
    """
    from costcalc.catalog.huggingface.importer import import_model as read
    from costcalc.units import format_count

    if name is not None and not 0 < len(name) <= LONGEST_NAME:
        raise CostcalcError(f"{shown(name)} is no name", where="--name", hint=f"from 1 to {LONGEST_NAME} letters")
    imported = read(path, name=name, online=online)
    write_template(imported.text, output)
    for address in imported.fetched:
        tell(f"note: fetched {address}")
    if output is not None:
        spec = imported.spec
        counted = f"{format_count(spec.total_parameters)} parameters, {format_count(spec.active_parameters)} active"
        sys.stdout.write(escaped(f"{output}: {spec.name}, {spec.num_layers} layers, {counted}") + "\n")


# `costcalc schema`: the JSON Schema of results and of catalog files.


SCHEMAS = (
    *("result", "capacity", "sweep", "frontier", "sensitivity", "simulation", "plan", "price", "training", "diff"),
    *("config", "validation", "model", "gpu", "closed_models", "scenario"),
    *("models-list", "models-show", "gpus-list", "gpus-show"),
)
What = Annotated[
    str,
    Argument(
        metavar="|".join(SCHEMAS),
        help="What to describe: --format json of a command (estimate, compare and breakeven print a result, simulate a "
        "simulation, train a training, validate a validation), of a list or an entry of the catalog; or a YAML file of "
        "the catalog, or of costcalc run (scenario).",
    ),
]


def schema(what: What) -> None:
    """The JSON Schema of what --format json prints, or of a YAML file."""
    kind = choice(what, "WHAT", SCHEMAS)
    from costcalc.report.export.files import as_json, write

    write(as_json(schema_named(str(kind))))


def schema_named(kind: str) -> dict[str, Any]:
    """Return one of SCHEMAS: what a scenario may hold follows from the commands, everything else from records."""
    from costcalc.cli.scenario_files import scenario_schema
    from costcalc.report.export.schema import schema_of

    return scenario_schema() if kind == "scenario" else schema_of(kind)
